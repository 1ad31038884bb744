//! Who is asking: from a cookie or a token to a person, in one query each.

use chrono::Duration;

use crate::{
    accounts::{
        model::Proven,
        store::{ENDED_KEPT, failures, sessions, tokens},
    },
    base::{clock::Clock, ctx::Credential},
    config::Config,
    platform::{
        Platform,
        crypto::digest,
        db::{Conn, DbError},
    },
};

pub(super) fn idle(config: &Config) -> Duration {
    Duration::minutes(i64::from(config.sessions.idle_minutes))
}

/// Whose session this cookie is. Nobody's when it is unknown, ended, idle for too long, too old, or its person is
/// deactivated. Trouble with the database is an error and never "nobody".
pub async fn session(conn: &mut Conn, clock: &Clock, config: &Config, cookie: &str) -> Result<Option<Proven>, DbError> {
    let now = clock.now();
    let found = sessions::proven(conn, &digest(cookie.as_bytes()), now, idle(config)).await?;
    let Some((proven, seen)) = found else { return Ok(None) };
    if let Credential::Session(id) = proven.credential
        && now - seen >= sessions::TOUCHED_EVERY
    {
        sessions::touch(conn, id, now).await?;
    }
    Ok(Some(proven))
}

/// Whose API token this is, by the same rules.
pub async fn token(conn: &mut Conn, clock: &Clock, bearer: &str) -> Result<Option<Proven>, DbError> {
    let now = clock.now();
    let found = tokens::proven(conn, &digest(bearer.as_bytes()), now).await?;
    let Some((proven, used)) = found else { return Ok(None) };
    if let Credential::Token(id) = proven.credential
        && used.is_none_or(|used| now - used >= sessions::TOUCHED_EVERY)
    {
        tokens::touch(conn, id, now).await?;
    }
    Ok(Some(proven))
}

/// Whether what somebody proved at the start of a long answer still holds.
pub async fn stands(conn: &mut Conn, clock: &Clock, config: &Config, credential: Credential) -> Result<bool, DbError> {
    match credential {
        Credential::Session(id) => sessions::stands(conn, id, clock.now(), idle(config)).await,
        Credential::Token(id) => tokens::stands(conn, id, clock.now()).await,
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
