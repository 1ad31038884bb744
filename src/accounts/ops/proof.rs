//! Who is asking: from a cookie or a token to a person, in one query each.

use std::time::Duration as Wait;

use chrono::Duration;

use crate::{
    accounts::{
        model::Proven,
        store::{ENDED_KEPT, failures, sessions, tokens},
    },
    base::ctx::{Acting, Credential},
    config::Config,
    platform::{Platform, crypto::digest, db::DbError, signals::Signal},
};

/// How often a long answer makes sure that it may go on: a token may expire at any moment, and nobody signals that.
const CHECK: Wait = Wait::from_secs(1);

pub(super) fn idle(config: &Config) -> Duration {
    Duration::minutes(i64::from(config.sessions.idle_minutes))
}

/// Whose session this cookie is. Nobody's when it is unknown, ended, idle for too long, too old, or its person is
/// deactivated. Trouble with the database is an error and never "nobody".
pub async fn session(app: &Platform, cookie: &str) -> Result<Option<Proven>, DbError> {
    let (mut conn, now) = (app.db.read().await?, app.clock.now());
    let found = sessions::proven(&mut conn, &app.keys, &digest(cookie.as_bytes()), now, idle(&app.config)).await?;
    let Some((proven, seen)) = found else { return Ok(None) };
    if let Credential::Session(id) = proven.credential
        && now - seen >= sessions::TOUCHED_EVERY
    {
        sessions::touch(&mut conn, id, now).await?;
    }
    Ok(Some(proven))
}

/// Whose API token this is, by the same rules.
pub async fn token(app: &Platform, bearer: &str) -> Result<Option<Proven>, DbError> {
    let (mut conn, now) = (app.db.read().await?, app.clock.now());
    let found = tokens::proven(&mut conn, &app.keys, &digest(bearer.as_bytes()), now).await?;
    let Some((proven, used)) = found else { return Ok(None) };
    if let Credential::Token(id) = proven.credential
        && used.is_none_or(|used| now - used >= sessions::TOUCHED_EVERY)
    {
        tokens::touch(&mut conn, id, now).await?;
    }
    Ok(Some(proven))
}

/// Ends as soon as what somebody proved at the start of a long answer does not hold any more, or nobody can say: the
/// session or token was revoked or expired, or the person was switched off. At most a second late.
pub async fn lost(app: Platform, acting: Acting) {
    let (mut signals, changed) = (app.signals.subscribe(), Signal::Access(acting.person.uuid()));
    while holds(&app, acting.credential).await.unwrap_or(false) {
        let _ = tokio::time::timeout(CHECK, signals.until(&changed)).await;
    }
}

async fn holds(app: &Platform, credential: Credential) -> Result<bool, DbError> {
    let (mut conn, now) = (app.db.read().await?, app.clock.now());
    match credential {
        Credential::Session(id) => sessions::stands(&mut conn, id, now, idle(&app.config)).await,
        Credential::Token(id) => tokens::stands(&mut conn, id, now).await,
        Credential::Console => Ok(true),
    }
}

/// Forgets what is over: failures after a day, ended sessions and revoked tokens after a month.
pub async fn tidy(app: &Platform) -> Result<usize, DbError> {
    let now = app.clock.now();
    let ended = now - Duration::days(i64::from(ENDED_KEPT));
    let mut conn = app.db.read().await?;
    let failures = failures::forget(&mut conn, now - Duration::days(1)).await?;
    let sessions = sessions::forget(&mut conn, ended).await?;
    Ok(failures + sessions + tokens::forget(&mut conn, ended).await?)
}
