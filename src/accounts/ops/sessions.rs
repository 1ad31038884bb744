//! The own sessions: see them, end them.

use super::proof::idle;
use crate::{
    accounts::{error::AccountsError, model::Session, store::sessions},
    base::{
        access::{OwnSession, ProfileEdit, ProfileRead},
        ctx::{Credential, Ctx},
        error::NotFound,
        ids::SessionId,
    },
    platform::{
        Platform,
        audit::{self, Act},
        signals::{Signal, Signals},
    },
};

pub async fn own_sessions(ctx: &Ctx, app: &Platform) -> Result<Vec<Session>, AccountsError> {
    let grant = ctx.grant::<ProfileRead>()?;
    Ok(sessions::own(&mut *app.db.read().await?, &grant, ctx.clock.now(), idle(&app.config)).await?)
}

/// Ends the session that this request came with. A token has none to end.
pub async fn sign_out(ctx: &Ctx, app: &Platform) -> Result<(), AccountsError> {
    let grant = ctx.grant::<OwnSession>()?;
    let Credential::Session(id) = ctx.acting()?.credential else { return Ok(()) };
    app.db
        .write("accounts.sign_out", async |tx| {
            sessions::revoke(tx, &grant, id, ctx.clock.now()).await?;
            audit::record(tx, ctx, Act::done("accounts.sign_out").on("session", id)).await?;
            Ok(Signals::send(tx, &Signal::Access(grant.person().uuid())).await?)
        })
        .await
}

pub async fn end_session(ctx: &Ctx, app: &Platform, id: SessionId) -> Result<(), AccountsError> {
    let grant = ctx.grant::<ProfileEdit>()?;
    app.db
        .write("accounts.end_session", async |tx| {
            if !sessions::revoke(tx, &grant, id, ctx.clock.now()).await? {
                return Err(NotFound.into());
            }
            audit::record(tx, ctx, Act::done("accounts.end_session").on("session", id)).await?;
            Ok(Signals::send(tx, &Signal::Access(grant.person().uuid())).await?)
        })
        .await
}

/// Ends every session but the one of this request; returns how many.
pub async fn end_other_sessions(ctx: &Ctx, app: &Platform) -> Result<usize, AccountsError> {
    let person = ctx.grant::<ProfileEdit>()?.person();
    let keep = match ctx.acting()?.credential {
        Credential::Session(id) => Some(id),
        Credential::Token(_) | Credential::Console => None,
    };
    app.db
        .write("accounts.end_other_sessions", async |tx| {
            let ended = sessions::revoke_all(tx, person, keep, ctx.clock.now()).await?;
            let act = Act::done("accounts.end_sessions").on("person", person);
            audit::record(tx, ctx, act.details(serde_json::json!({ "sessions": ended }))).await?;
            Signals::send(tx, &Signal::Access(person.uuid())).await?;
            Ok(ended)
        })
        .await
}
