//! Changing the own password.

use super::sign_in::{Attempt, open};
use crate::{
    accounts::{
        error::AccountsError,
        model::{Mail, Name, Origin, SignedIn},
        passwords::{self, Verdict},
        store::{
            people::{self, Secret},
            sessions,
        },
    },
    base::{
        access::OwnSession,
        ctx::{Acting, Credential, Ctx, Denied},
        error::{Invalid, NotFound},
        random,
    },
    platform::{
        Platform,
        audit::{self, Act},
        signals::{Signal, Signals},
    },
};

/// Takes a new password and ends every session; the one returned is new. The present password is asked for, except
/// right after a sign-in with a one-time password. API tokens go on: they were made by the same person.
pub async fn change_password(
    ctx: &Ctx,
    app: &Platform,
    current: Option<&str>,
    new: &str,
    origin: &Origin,
) -> Result<SignedIn, AccountsError> {
    let person = ctx.grant::<OwnSession>()?.person();
    if !matches!(ctx.acting()?.credential, Credential::Session(_)) {
        return Err(Denied::ScopeLacks.into());
    }
    let secret = people::secret(&mut *app.db.read().await?, person).await?.ok_or(NotFound)?;
    let attempt = if secret.must_change_password { None } else { Some(proved(ctx, app, current, origin).await?) };
    check_new(ctx.acting()?, &secret, new).await?;
    let hash = passwords::hash(new).await?;
    let cookie = random::token()?;
    app.db
        .write("accounts.change_password", async |tx| {
            let now = people::lock(tx, person).await?.ok_or(NotFound)?;
            if now.password_hash != secret.password_hash || now.deactivated_at.is_some() {
                return Err(AccountsError::DoNotMatch);
            }
            if let Some(attempt) = &attempt {
                attempt.succeeded(tx).await?;
            }
            people::set_password(tx, person, &hash, None, ctx.clock.now()).await?;
            sessions::revoke_all(tx, person, None, ctx.clock.now()).await?;
            let session = open(tx, ctx, app, person, &cookie, origin).await?;
            audit::record(tx, ctx, Act::done("accounts.change_password").on("person", person)).await?;
            Signals::send(tx, &Signal::Access(person.uuid())).await?;
            Ok(SignedIn { cookie: cookie.clone(), session, person, must_change_password: false })
        })
        .await
}

async fn proved(ctx: &Ctx, app: &Platform, current: Option<&str>, origin: &Origin) -> Result<Attempt, AccountsError> {
    let Some(current) = current else {
        return Err(Invalid::field("current", "required", "Write your present password.").into());
    };
    let attempt = Attempt::begin(ctx, app, &ctx.acting()?.mail, origin).await?;
    match attempt.fits(ctx, app, current).await? {
        Some((_, Verdict::Right | Verdict::RightButOutdated)) => Ok(attempt),
        _ => {
            attempt.refuse(ctx, app, origin).await?;
            Err(Invalid::field("current", "wrong", "This is not your present password.").into())
        }
    }
}

async fn check_new(acting: &Acting, secret: &Secret, new: &str) -> Result<(), AccountsError> {
    let stored_form = |fault| Invalid(vec![fault]);
    let mail: Mail = acting.mail.parse().map_err(stored_form)?;
    let name: Name = acting.name.parse().map_err(stored_form)?;
    passwords::acceptable(new, &mail, &name).map_err(|fault| Invalid(vec![fault]))?;
    if passwords::verify(new, Some(&secret.password_hash)).await? != Verdict::Wrong {
        return Err(Invalid::field("password", "same", "This is the password you have. Choose another.").into());
    }
    Ok(())
}
