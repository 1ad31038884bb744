//! Use cases of the organisation: founding it, its people and what they may do.

use serde_json::json;

use super::{
    error::OrganisationError,
    model::{FirstPassword, MadePerson, Member, Membership, NewPerson, Organisation, Workspace, WorkspaceRole},
    store,
};
use crate::{
    accounts::{
        model::{Mail, Name, PeopleFilter, Person},
        ops::{self as accounts, OneTime},
    },
    base::{
        access::{PeopleEdit, PeopleRead, Role},
        ctx::{Actor, Ctx, Denied},
        error::{Invalid, NotFound},
        ids::{OrganisationId, PersonId, WorkspaceId},
        paging::{Page, PageRequest},
        random,
    },
    platform::{
        Platform,
        audit::{self, Act},
        crypto::{CryptoError, Keys, Purpose},
        db::{Conn, DbError, Tx},
        idempotency::{Answer, Once},
        keyring::{Keyring, OwnerKind},
    },
};

/// What a person may do, and where. Nobody's membership is nothing.
pub async fn membership(conn: &mut Conn, person: PersonId) -> Result<Option<Membership>, DbError> {
    store::membership(conn, person).await
}

pub async fn workspaces_of(conn: &mut Conn, person: PersonId) -> Result<Vec<Workspace>, DbError> {
    store::workspaces_of(conn, person).await
}

pub async fn has_workspace(conn: &mut Conn, id: WorkspaceId) -> Result<bool, DbError> {
    store::has_workspace(conn, id).await
}

/// The organisation of this server.
pub async fn organisation(conn: &mut Conn) -> Result<Organisation, OrganisationError> {
    store::organisation(conn).await?.ok_or(OrganisationError::NotFounded)
}

/// On the first start: organisation, workspace and first owner, from the configuration. On every start until the owner
/// has chosen a password: the one-time password that opens the door. It is derived from the organisation's key, so that it is the
/// same each time although only its hash is stored.
pub async fn bootstrap(app: &Platform) -> Result<Option<FirstPassword>, OrganisationError> {
    let ctx = Ctx::system("first start", app.clock.clone());
    let first = match first_owner(app).await? {
        Some(person) => person,
        None => found(&ctx, app).await?,
    };
    let used = !first.must_change_password || first.password_changed_at != first.created_at;
    if used || first.deactivated_at.is_some() {
        return Ok(None);
    }
    let one_time = OneTime::of(first_password(&app.keys, first.id)?).await?;
    app.db
        .write("organisation.first_password", async |tx| {
            accounts::store_one_time(tx, &ctx, first.id, &one_time).await.map_err(OrganisationError::from)
        })
        .await?;
    Ok(Some(FirstPassword { mail: first.mail, one_time_password: one_time.password }))
}

/// Whoever owned the organisation first.
pub async fn first_owner(app: &Platform) -> Result<Option<Person>, OrganisationError> {
    let mut conn = app.db.read().await?;
    match store::owners(&mut conn).await?.as_slice().first() {
        Some(first) => Ok(accounts::find(&mut conn, &app.keys, *first).await?),
        None => Ok(None),
    }
}

async fn found(ctx: &Ctx, app: &Platform) -> Result<Person, OrganisationError> {
    let settings = &app.config.organisation;
    let mail: Mail = settings.owner_mail.parse().map_err(|fault| Invalid(vec![fault]))?;
    let name: Name = settings.owner_name.parse().map_err(|fault| Invalid(vec![fault]))?;
    // Replaced before anybody learns it: the real one needs the id that the account gets here.
    let one_time = accounts::one_time_password().await?;
    let founded = app
        .db
        .write("organisation.found", async |tx| {
            store::lock_founding(tx).await?;
            if store::organisation(tx).await?.is_some() {
                return Ok::<_, OrganisationError>(None);
            }
            let id = OrganisationId::new(&ctx.clock);
            let organisation = Organisation { id, name: settings.name.clone(), currency: settings.currency };
            let workspace = WorkspaceId::new(&ctx.clock);
            store::found(tx, &organisation, (workspace, &settings.name), ctx.clock.now()).await?;
            app.keys.begin(tx, workspace.uuid(), OwnerKind::Workspace, ctx.clock.now()).await?;
            let person = accounts::add(tx, ctx, &app.keys, &mail, &name, &one_time).await?;
            let place = (workspace, WorkspaceRole::Manager);
            store::join(tx, person.id, id, Role::Owner, place, ctx.clock.now()).await?;
            audit::record(tx, ctx, Act::done("organisation.found").on("organisation", id)).await?;
            Ok(Some(person))
        })
        .await?;
    match founded {
        Some(person) => Ok(person),
        None => first_owner(app).await?.ok_or(OrganisationError::NotFounded),
    }
}

/// About every second derivation is legible, so this ends soon.
fn first_password(keys: &Keys, owner: PersonId) -> Result<String, CryptoError> {
    for round in 0..200 {
        let mac = keys.mac(Purpose::FirstPassword, format!("{owner} {round}").as_bytes())?;
        if let Some(password) = mac.first_chunk::<10>().and_then(random::readable) {
            return Ok(password);
        }
    }
    Err(CryptoError::Derive)
}

pub async fn list_people(
    ctx: &Ctx,
    app: &Platform,
    filter: &PeopleFilter,
    page: &PageRequest,
) -> Result<Page<Member>, OrganisationError> {
    let grant = ctx.grant::<PeopleRead>()?;
    let mut conn = app.db.read().await?;
    let people = accounts::list(&mut conn, &app.keys, &grant, filter, page).await?;
    let ids: Vec<PersonId> = people.items.iter().map(|person| person.id).collect();
    let mut roles = store::roles_of(&mut conn, &ids).await?;
    Ok(people.map(|person| {
        let roles = roles.remove(&person.id).unwrap_or_default();
        Member { person, roles }
    }))
}

pub async fn find_person(ctx: &Ctx, app: &Platform, id: PersonId) -> Result<Member, OrganisationError> {
    ctx.grant::<PeopleRead>()?;
    member(&mut *app.db.read().await?, &app.keys, id).await
}

async fn member(conn: &mut Conn, keys: &Keyring, id: PersonId) -> Result<Member, OrganisationError> {
    let person = accounts::find(conn, keys, id).await?.ok_or(NotFound)?;
    let roles = store::roles_of(conn, &[id]).await?.remove(&id).unwrap_or_default();
    Ok(Member { person, roles })
}

/// A new member with a one-time password that the answer holds and nothing else does.
pub async fn add_person(
    ctx: &Ctx,
    app: &Platform,
    new: NewPerson,
    once: &Once,
    answer: impl FnOnce(&MadePerson) -> Answer,
) -> Result<Answer, OrganisationError> {
    let owner = ctx.grant::<PeopleEdit>()?.person();
    let one_time = accounts::one_time_password().await?;
    app.db
        .write("organisation.add_person", async |tx| {
            if let Some(kept) = once.claim(tx, &app.keys, ctx, owner).await? {
                return Ok(kept);
            }
            let first = answer(&add(tx, ctx, &app.keys, &new, &one_time).await?);
            once.keep(tx, &app.keys, owner, &first).await?;
            Ok(first)
        })
        .await
}

/// A new member made on the machine itself by whoever runs the server.
pub async fn add_person_from_console(
    ctx: &Ctx,
    app: &Platform,
    new: NewPerson,
) -> Result<MadePerson, OrganisationError> {
    if !matches!(ctx.actor, Actor::System(_)) {
        return Err(Denied::RoleLacks.into());
    }
    let one_time = accounts::one_time_password().await?;
    app.db.write("organisation.add_person", async |tx| add(tx, ctx, &app.keys, &new, &one_time).await).await
}

async fn add(
    tx: &mut Tx,
    ctx: &Ctx,
    keys: &Keyring,
    new: &NewPerson,
    one_time: &OneTime,
) -> Result<MadePerson, OrganisationError> {
    let organisation = organisation(tx).await?;
    let workspace = store::default_workspace(tx).await?.ok_or(OrganisationError::NotFounded)?;
    let person = accounts::add(tx, ctx, keys, &new.mail, &new.name, one_time).await?;
    let place = (workspace, WorkspaceRole::Editor);
    store::join(tx, person.id, organisation.id, new.role, place, ctx.clock.now()).await?;
    let act = Act::done("people.add").on("person", person.id).details(json!({ "role": new.role }));
    audit::record(tx, ctx, act).await?;
    let member = Member { person, roles: vec![new.role] };
    Ok(MadePerson { member, one_time_password: one_time.password.clone() })
}

/// Switches an account off. The last owner's stays on: nobody could ever switch one on again.
pub async fn deactivate_person(
    ctx: &Ctx,
    app: &Platform,
    id: PersonId,
    reason: Option<&str>,
) -> Result<Member, OrganisationError> {
    let grant = ctx.grant::<PeopleEdit>()?;
    app.db
        .write("organisation.deactivate_person", async |tx| {
            store::lock(tx).await?;
            let before = member(tx, &app.keys, id).await?;
            if before.role() == Role::Owner && before.person.deactivated_at.is_none() {
                refuse_last_owner(tx, id).await?;
            }
            accounts::deactivate(tx, ctx, &grant, id, reason).await?;
            member(tx, &app.keys, id).await
        })
        .await
}

async fn refuse_last_owner(tx: &mut Tx, id: PersonId) -> Result<(), OrganisationError> {
    let others: Vec<PersonId> = store::owners(tx).await?.into_iter().filter(|owner| *owner != id).collect();
    let active = accounts::active_of(tx, &others).await?;
    if active.is_empty() { Err(OrganisationError::LastOwner) } else { Ok(()) }
}

pub async fn reactivate_person(ctx: &Ctx, app: &Platform, id: PersonId) -> Result<Member, OrganisationError> {
    let grant = ctx.grant::<PeopleEdit>()?;
    app.db
        .write("organisation.reactivate_person", async |tx| {
            let before = member(tx, &app.keys, id).await?;
            accounts::reactivate(tx, ctx, &grant, before.person.id).await?;
            member(tx, &app.keys, id).await
        })
        .await
}
