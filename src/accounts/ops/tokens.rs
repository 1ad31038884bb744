//! Personal API tokens: made, listed, revoked.

use serde_json::json;

use crate::{
    accounts::{
        error::AccountsError,
        model::{MadeToken, Mail, NewToken, Token},
        store::{people, tokens},
    },
    base::{
        access::{TokensEdit, TokensRead},
        ctx::{Actor, Ctx, Denied},
        error::{FieldFault, Invalid},
        ids::{PersonId, TokenId},
        paging::{Page, PageRequest},
        random,
    },
    platform::{
        Platform,
        audit::{self, Act},
        db::Tx,
        idempotency::{Answer, Once},
        keyring::Keyring,
        signals::{Signal, Signals},
    },
};

/// How every token begins, so that scanners for leaked secrets can find one.
pub const PREFIX: &str = "rk_";

pub async fn own_tokens(ctx: &Ctx, app: &Platform, page: &PageRequest) -> Result<Page<Token>, AccountsError> {
    let grant = ctx.grant::<TokensRead>()?;
    Ok(tokens::own(&mut *app.db.read().await?, &app.keys, &grant, page).await?)
}

/// A token of the caller's own, with no scope that the caller has not.
pub async fn make_token(
    ctx: &Ctx,
    app: &Platform,
    new: NewToken,
    once: &Once,
    answer: impl FnOnce(&MadeToken) -> Answer,
) -> Result<Answer, AccountsError> {
    let person = ctx.grant::<TokensEdit>()?.person();
    let new = checked(ctx, new)?;
    let scopes = &ctx.acting()?.scopes;
    if !new.scopes.iter().all(|scope| scopes.contains(scope)) {
        return Err(Denied::ScopeLacks.into());
    }
    app.db
        .write("accounts.make_token", async |tx| {
            if let Some(kept) = once.claim(tx, &app.keys, ctx, person).await? {
                return Ok(kept);
            }
            let first = answer(&make(tx, ctx, &app.keys, person, &new).await?);
            once.keep(tx, &app.keys, person, &first).await?;
            Ok(first)
        })
        .await
}

/// A token for the person with this mail, made on the machine itself by whoever runs the server.
pub async fn create_token(ctx: &Ctx, app: &Platform, mail: &Mail, new: NewToken) -> Result<MadeToken, AccountsError> {
    if !matches!(ctx.actor, Actor::System(_)) {
        return Err(Denied::RoleLacks.into());
    }
    let new = checked(ctx, new)?;
    app.db
        .write("accounts.create_token", async |tx| {
            let found = people::secret_by_mail(tx, &app.keys, mail.as_str()).await?;
            let active = found.filter(|secret| secret.deactivated_at.is_none());
            let secret = active.ok_or_else(|| {
                Invalid::field("mail", "unknown", "There is no active account with this mail address.")
            })?;
            make(tx, ctx, &app.keys, secret.id, &new).await
        })
        .await
}

fn checked(ctx: &Ctx, mut new: NewToken) -> Result<NewToken, Invalid> {
    let mut faults = Vec::new();
    new.scopes.sort();
    new.scopes.dedup();
    if new.scopes.is_empty() {
        faults.push(FieldFault::new("scopes", "required", "Choose at least one scope."));
    }
    if new.expires_at.is_some_and(|at| at <= ctx.clock.now()) {
        faults.push(FieldFault::new("expires_at", "out_of_range", "A token expires in the future, or never."));
    }
    if faults.is_empty() { Ok(new) } else { Err(Invalid(faults)) }
}

async fn make(
    tx: &mut Tx,
    ctx: &Ctx,
    keys: &Keyring,
    person: PersonId,
    new: &NewToken,
) -> Result<MadeToken, AccountsError> {
    let token = format!("{PREFIX}{}", random::token()?);
    let id = TokenId::new(&ctx.clock);
    tokens::insert(tx, keys, person, id, new, &token, ctx.clock.now()).await?;
    let details = json!({ "person": person, "scopes": new.scopes, "expires_at": new.expires_at });
    audit::record(tx, ctx, Act::done("tokens.create").on("token", id).details(details)).await?;
    let name = new.name.as_str().to_owned();
    Ok(MadeToken { id, name, scopes: new.scopes.clone(), expires_at: new.expires_at, token })
}

pub async fn revoke_token(ctx: &Ctx, app: &Platform, id: TokenId) -> Result<(), AccountsError> {
    let grant = ctx.grant::<TokensEdit>()?;
    app.db
        .write("accounts.revoke_token", async |tx| {
            if !tokens::revoke(tx, &grant, id, ctx.clock.now()).await? {
                return Err(crate::base::error::NotFound.into());
            }
            audit::record(tx, ctx, Act::done("tokens.revoke").on("token", id)).await?;
            Ok(Signals::send(tx, &Signal::Access(grant.person().uuid())).await?)
        })
        .await
}
