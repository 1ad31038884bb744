//! People as the organisation's owners manage them. Roles are the room organisation's; it calls these.

use chrono::{DateTime, Duration, Utc};
use serde_json::json;

use super::proof::idle;
use crate::{
    accounts::{
        error::AccountsError,
        model::{Mail, Name, PeopleFilter, Person, Session},
        passwords,
        store::{people, sessions, tokens},
    },
    base::{
        access::{Grant, PeopleEdit, PeopleRead, ProfileEdit},
        ctx::Ctx,
        error::{FieldFault, Invalid, NotFound},
        ids::PersonId,
        paging::{Page, PageRequest},
        random,
    },
    platform::{
        Platform,
        audit::{self, Act},
        db::{Conn, DbError, Tx},
        keyring::Keyring,
        signals::{Signal, Signals},
    },
};

/// Days in which a one-time password has to be used; after that an owner gives another.
const ONE_TIME_DAYS: i64 = 7;

fn one_time_until(ctx: &Ctx) -> DateTime<Utc> {
    ctx.clock.now() + Duration::days(ONE_TIME_DAYS)
}

/// A password that somebody is handed and must replace. Hashed before the transaction that stores it: hashing is slow.
#[derive(Clone)]
pub struct OneTime {
    pub password: String,
    hash: String,
}

impl OneTime {
    pub async fn of(password: String) -> Result<Self, AccountsError> {
        let hash = passwords::hash(&password).await?;
        Ok(Self { password, hash })
    }
}

pub async fn one_time_password() -> Result<OneTime, AccountsError> {
    OneTime::of(random::readable_password()?).await
}

/// A new person, who cannot do anything until the organisation gives them a role.
pub async fn add(
    tx: &mut Tx,
    ctx: &Ctx,
    keys: &Keyring,
    mail: &Mail,
    name: &Name,
    one_time: &OneTime,
) -> Result<Person, AccountsError> {
    let (id, at) = (PersonId::new(&ctx.clock), ctx.clock.now());
    let new = people::New { id, mail, name, password_hash: &one_time.hash, one_time_until: one_time_until(ctx), at };
    if !people::insert(tx, keys, new).await? {
        return Err(Invalid(vec![taken()]).into());
    }
    Ok(people::find(tx, keys, id).await?.ok_or(NotFound)?)
}

fn taken() -> FieldFault {
    FieldFault::new("mail", "taken", "Somebody has this mail address already.")
}

/// The one-time password of somebody who has not used theirs, handed out again: the first owner's at every start.
pub async fn store_one_time(tx: &mut Tx, ctx: &Ctx, person: PersonId, one_time: &OneTime) -> Result<(), AccountsError> {
    Ok(people::renew_one_time(tx, person, &one_time.hash, one_time_until(ctx)).await?)
}

/// A new one-time password for somebody who forgot theirs: the old one and all sessions end. API tokens go on.
pub async fn give_one_time_password(ctx: &Ctx, app: &Platform, person: PersonId) -> Result<OneTime, AccountsError> {
    ctx.grant::<PeopleEdit>()?;
    let one_time = one_time_password().await?;
    app.db
        .write("accounts.give_one_time_password", async |tx| {
            let now = ctx.clock.now();
            people::lock(tx, person).await?.filter(|secret| secret.deactivated_at.is_none()).ok_or(NotFound)?;
            people::set_password(tx, person, &one_time.hash, Some(one_time_until(ctx)), now).await?;
            let ended = sessions::revoke_all(tx, person, None, now).await?;
            let act = Act::done("people.one_time_password").on("person", person);
            audit::record(tx, ctx, act.details(json!({ "sessions": ended }))).await?;
            Ok(Signals::send(tx, &Signal::Access(person.uuid())).await?)
        })
        .await
        .map(|()| one_time)
}

pub async fn list(
    conn: &mut Conn,
    keys: &Keyring,
    _grant: &Grant<PeopleRead>,
    filter: &PeopleFilter,
    page: &PageRequest,
) -> Result<Page<Person>, DbError> {
    people::list(conn, keys, filter, page).await
}

pub async fn find(conn: &mut Conn, keys: &Keyring, id: PersonId) -> Result<Option<Person>, DbError> {
    people::find(conn, keys, id).await
}

/// Active and deactivated.
pub async fn counts(conn: &mut Conn, _grant: &Grant<PeopleRead>) -> Result<(i64, i64), DbError> {
    people::count(conn).await
}

/// Those of `ids` whose account is not switched off.
pub async fn active_of(conn: &mut Conn, ids: &[PersonId]) -> Result<Vec<PersonId>, DbError> {
    people::active_of(conn, ids).await
}

/// Names for pages that show what people did.
pub async fn named(conn: &mut Conn, keys: &Keyring, ids: &[PersonId]) -> Result<Vec<(PersonId, String)>, DbError> {
    people::named(conn, keys, ids).await
}

pub async fn sessions_of(
    ctx: &Ctx,
    app: &Platform,
    _grant: &Grant<PeopleRead>,
    person: PersonId,
) -> Result<Vec<Session>, DbError> {
    sessions::of(&mut *app.db.read().await?, person, ctx.clock.now(), idle(&app.config)).await
}

/// How many live tokens a person has.
pub async fn tokens_of(
    ctx: &Ctx,
    app: &Platform,
    _grant: &Grant<PeopleRead>,
    person: PersonId,
) -> Result<i64, DbError> {
    tokens::count_of(&mut *app.db.read().await?, person, ctx.clock.now()).await
}

/// Switches an account off: sessions and tokens end with it. `false`: it was off already.
pub async fn deactivate(
    tx: &mut Tx,
    ctx: &Ctx,
    _grant: &Grant<PeopleEdit>,
    person: PersonId,
    reason: Option<&str>,
) -> Result<bool, AccountsError> {
    let now = ctx.clock.now();
    if !people::set_deactivated(tx, person, Some(now)).await? {
        return Ok(false);
    }
    let sessions = sessions::revoke_all(tx, person, None, now).await?;
    let tokens = tokens::revoke_all(tx, person, now).await?;
    let act = Act::done("people.deactivate").on("person", person);
    let act = act.details(json!({ "sessions": sessions, "tokens": tokens }));
    let act = match reason {
        Some(reason) => act.because(reason),
        None => act,
    };
    audit::record(tx, ctx, act).await?;
    Signals::send(tx, &Signal::Access(person.uuid())).await?;
    Ok(true)
}

/// Lets somebody sign in again. What ended does not come back.
pub async fn reactivate(
    tx: &mut Tx,
    ctx: &Ctx,
    _grant: &Grant<PeopleEdit>,
    person: PersonId,
) -> Result<bool, AccountsError> {
    let changed = people::set_deactivated(tx, person, None).await?;
    if changed {
        audit::record(tx, ctx, Act::done("people.reactivate").on("person", person)).await?;
    }
    Ok(changed)
}

/// Ends all sessions of somebody else; returns how many.
pub async fn end_sessions_of(ctx: &Ctx, app: &Platform, person: PersonId) -> Result<usize, AccountsError> {
    ctx.grant::<PeopleEdit>()?;
    app.db
        .write("accounts.end_sessions_of", async |tx| {
            people::lock(tx, person).await?.ok_or(NotFound)?;
            let ended = sessions::revoke_all(tx, person, None, ctx.clock.now()).await?;
            let act = Act::done("people.end_sessions").on("person", person);
            audit::record(tx, ctx, act.details(json!({ "sessions": ended }))).await?;
            Signals::send(tx, &Signal::Access(person.uuid())).await?;
            Ok(ended)
        })
        .await
}

/// Changes the own name.
pub async fn rename(ctx: &Ctx, app: &Platform, name: &Name) -> Result<(), AccountsError> {
    let person = ctx.grant::<ProfileEdit>()?.person();
    app.db
        .write("accounts.rename", async |tx| {
            people::rename(tx, &app.keys, person, name).await?;
            let act = Act::done("accounts.rename").on("person", person);
            Ok(audit::record(tx, ctx, act.details(json!({ "fields": ["name"] }))).await?)
        })
        .await
}
