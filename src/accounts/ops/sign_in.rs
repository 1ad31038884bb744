//! Sign-in with mail and password: the only way to a session besides changing the password in one.

use chrono::Duration;
use serde_json::json;
use uuid::Uuid;

use crate::{
    accounts::{
        error::AccountsError,
        model::{Mail, Origin, SignedIn},
        passwords::{self, Verdict},
        store::{
            failures::{self, Source},
            people::{self, Secret},
            sessions,
        },
        throttle,
    },
    base::{
        ctx::Ctx,
        ids::{PersonId, SessionId},
        random,
    },
    platform::{
        Platform,
        audit::{self, Act, Outcome},
        crypto::{Purpose, digest},
        db::Tx,
    },
};

/// Opens a session. `before` is the cookie that came along: its session ends, so that nobody can hand one over.
pub async fn sign_in(
    ctx: &Ctx,
    app: &Platform,
    mail: &str,
    password: &str,
    origin: &Origin,
    before: Option<&str>,
) -> Result<SignedIn, AccountsError> {
    let attempt = Attempt::begin(ctx, app, mail, origin).await?;
    let secret = attempt.fits(ctx, app, password).await?;
    let Some((secret, verdict)) = secret else { return Err(attempt.refuse(ctx, app, origin).await?) };
    let fresh = match verdict {
        Verdict::RightButOutdated => Some(passwords::hash(password).await?),
        _ => None,
    };
    let cookie = random::token()?;
    app.db
        .write("accounts.sign_in", async |tx| {
            still_same(tx, ctx, &secret).await?;
            failures::clear(tx, &attempt.source).await?;
            if let Some(hash) = &fresh {
                people::rehash(tx, secret.id, hash).await?;
            }
            if let Some(before) = before {
                sessions::revoke_by_cookie(tx, &digest(before.as_bytes()), ctx.clock.now()).await?;
            }
            let session = open(tx, ctx, app, secret.id, &cookie, origin).await?;
            let act = Act::done("accounts.sign_in").by(secret.id).on("session", session);
            audit::record(tx, ctx, act.from_network(origin.network())).await?;
            let must_change_password = secret.must_change_password;
            Ok(SignedIn { cookie: cookie.clone(), session, person: secret.id, must_change_password })
        })
        .await
}

/// Between the check and now somebody may have changed the password or switched the account off.
async fn still_same(tx: &mut Tx, ctx: &Ctx, secret: &Secret) -> Result<(), AccountsError> {
    match people::lock(tx, secret.id).await? {
        Some(now) if now.password_hash == secret.password_hash && now.opens(ctx.clock.now()) => Ok(()),
        _ => Err(AccountsError::DoNotMatch),
    }
}

/// The one place where a session is made.
pub(super) async fn open(
    tx: &mut Tx,
    ctx: &Ctx,
    app: &Platform,
    person: PersonId,
    cookie: &str,
    origin: &Origin,
) -> Result<SessionId, AccountsError> {
    let (id, at) = (SessionId::new(&ctx.clock), ctx.clock.now());
    let expires_at = at + Duration::hours(i64::from(app.config.sessions.absolute_hours));
    let new = sessions::New { id, person, token_hash: &digest(cookie.as_bytes()), origin, at, expires_at };
    sessions::insert(tx, new).await?;
    Ok(id)
}

/// One try of a password. It counts as failed before it is made: a hundred at once are a hundred failures, not one.
pub(super) struct Attempt {
    row: Uuid,
    source: Source,
    secret: Option<Secret>,
    /// Failures before this one.
    failures: usize,
}

impl Attempt {
    pub(super) async fn begin(ctx: &Ctx, app: &Platform, mail: &str, origin: &Origin) -> Result<Self, AccountsError> {
        // What is no mail address is nobody's, and takes the same way.
        let mail = mail.parse::<Mail>().map_or_else(|_| mail.trim().to_lowercase(), |mail| mail.to_string());
        let source = source(app, &mail, origin)?;
        let now = ctx.clock.now();
        app.db
            .write("accounts.attempt", async |tx| {
                failures::lock(tx, &source).await?;
                let secret = people::secret_by_mail(tx, &app.keys, &mail.replace('\0', "")).await?;
                let person = secret.as_ref().map_or(PersonId::from(Uuid::nil()), |secret| secret.id);
                let known = sessions::knows_network(tx, person, &origin.network()).await?;
                let recent = failures::recent(tx, &source, now - throttle::WINDOW, now, throttle::MOST_COUNTED).await?;
                if let Some(seconds) = throttle::pause(&recent, known, now) {
                    return Err(AccountsError::Throttled { seconds });
                }
                let row = SessionId::new(&ctx.clock).uuid();
                failures::insert(tx, row, &source, now).await?;
                Ok(Self { row, source: source.clone(), secret, failures: recent.pair.len() })
            })
            .await
    }

    /// The account, when the password is its own and opens it. The work is the same either way.
    pub(super) async fn fits(
        &self,
        ctx: &Ctx,
        app: &Platform,
        password: &str,
    ) -> Result<Option<(Secret, Verdict)>, AccountsError> {
        let stored = self.secret.as_ref().map(|secret| secret.password_hash.as_str());
        let verdict = match passwords::verify(password, stored).await {
            Ok(verdict) => verdict,
            // Nothing was tried, so nothing is counted.
            Err(error) => {
                failures::remove(&mut *app.db.read().await?, self.row).await?;
                return Err(error);
            }
        };
        let open = self.secret.clone().filter(|secret| secret.opens(ctx.clock.now()));
        Ok(open.filter(|_| verdict != Verdict::Wrong).map(|secret| (secret, verdict)))
    }

    /// Writes down that the password did not fit; the same for a known and an unknown mail.
    pub(super) async fn refuse(
        &self,
        ctx: &Ctx,
        app: &Platform,
        origin: &Origin,
    ) -> Result<AccountsError, AccountsError> {
        app.db
            .write("accounts.refuse", async |tx| {
                let act = Act::done("accounts.sign_in").outcome(Outcome::Refused).from_network(origin.network());
                let act = act.details(json!({ "tries": self.failures + 1 }));
                let act = match &self.secret {
                    Some(secret) => act.on("person", secret.id),
                    None => act,
                };
                let over = self.secret.as_ref().is_some_and(|secret| !secret.opens(ctx.clock.now()));
                let because = if over { "switched off, or too late" } else { "mail and password do not match" };
                audit::record(tx, ctx, act.because(because)).await?;
                Ok(AccountsError::DoNotMatch)
            })
            .await
    }

    pub(super) async fn succeeded(&self, tx: &mut Tx) -> Result<(), AccountsError> {
        Ok(failures::clear(tx, &self.source).await?)
    }
}

fn source(app: &Platform, mail: &str, origin: &Origin) -> Result<Source, AccountsError> {
    let hash = |kind: &str, what: &str| app.keys.mac(Purpose::Throttle, format!("{kind} {what}").as_bytes());
    Ok(Source { account: hash("account", mail)?, network: hash("network", &origin.source())? })
}
