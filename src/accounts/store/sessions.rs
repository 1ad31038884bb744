//! The table `sessions`.

use chrono::{DateTime, Duration, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::people::{mail_of, name_of};
use crate::{
    accounts::model::{Origin, Proven, Session},
    base::{
        access::{Grant, Permission, ProfileRead, Scope},
        ctx::Credential,
        ids::{PersonId, SessionId},
    },
    platform::{
        db::{
            Conn, DbError, Tx,
            schema::{people, sessions},
        },
        keyring::Keyring,
    },
};

/// Rows are touched at most this often: reading must not become writing.
pub const TOUCHED_EVERY: Duration = Duration::minutes(1);

#[diesel::dsl::auto_type(no_type_alias)]
fn live(now: DateTime<Utc>, idle: Duration) -> _ {
    let seen_since: DateTime<Utc> = now - idle;
    sessions::revoked_at.is_null().and(sessions::expires_at.gt(now)).and(sessions::last_seen_at.gt(seen_since))
}

/// Whose live session this is, and when it was last seen.
pub async fn proven(
    conn: &mut Conn,
    keys: &Keyring,
    token_hash: &[u8],
    now: DateTime<Utc>,
    idle: Duration,
) -> Result<Option<(Proven, DateTime<Utc>)>, DbError> {
    type Row = (SessionId, DateTime<Utc>, PersonId, Vec<u8>, Vec<u8>, bool);
    let row: Option<Row> = sessions::table
        .inner_join(people::table)
        .filter(sessions::token_hash.eq(token_hash))
        .filter(live(now, idle))
        .filter(people::deactivated_at.is_null())
        .select((
            sessions::id,
            sessions::last_seen_at,
            people::id,
            people::name,
            people::mail,
            people::must_change_password,
        ))
        .first(conn)
        .await
        .optional()?;
    let Some((session, seen, person, name, mail, must_change_password)) = row else { return Ok(None) };
    let key = keys.of(conn, person.uuid()).await?;
    let (name, mail) = (name_of(&key, &name)?, mail_of(&key, &mail)?);
    let credential = Credential::Session(session);
    Ok(Some((Proven { person, name, mail, must_change_password, credential, scopes: Scope::ALL.to_vec() }, seen)))
}

/// Whether this session still stands.
pub async fn stands(conn: &mut Conn, id: SessionId, now: DateTime<Utc>, idle: Duration) -> Result<bool, DbError> {
    let found = sessions::table
        .inner_join(people::table)
        .filter(sessions::id.eq(id))
        .filter(live(now, idle))
        .filter(people::deactivated_at.is_null());
    Ok(diesel::select(diesel::dsl::exists(found)).get_result(conn).await?)
}

pub async fn touch(conn: &mut Conn, id: SessionId, now: DateTime<Utc>) -> Result<(), DbError> {
    diesel::update(sessions::table.find(id)).set(sessions::last_seen_at.eq(now)).execute(conn).await?;
    Ok(())
}

pub struct New<'a> {
    pub id: SessionId,
    pub person: PersonId,
    pub token_hash: &'a [u8],
    pub origin: &'a Origin,
    pub at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
}

pub async fn insert(tx: &mut Tx, new: New<'_>) -> Result<(), DbError> {
    diesel::insert_into(sessions::table)
        .values((
            sessions::id.eq(new.id),
            sessions::person_id.eq(new.person),
            sessions::token_hash.eq(new.token_hash),
            sessions::network.eq(new.origin.network()),
            sessions::user_agent.eq(new.origin.browser()),
            sessions::created_at.eq(new.at),
            sessions::last_seen_at.eq(new.at),
            sessions::expires_at.eq(new.expires_at),
        ))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// The caller's own live sessions, newest first.
pub async fn own(
    conn: &mut Conn,
    grant: &Grant<ProfileRead>,
    now: DateTime<Utc>,
    idle: Duration,
) -> Result<Vec<Session>, DbError> {
    of(conn, grant.person(), now, idle).await
}

pub async fn of(
    conn: &mut Conn,
    person: PersonId,
    now: DateTime<Utc>,
    idle: Duration,
) -> Result<Vec<Session>, DbError> {
    type Row = (SessionId, String, String, DateTime<Utc>, DateTime<Utc>);
    let rows: Vec<Row> = sessions::table
        .filter(sessions::person_id.eq(person))
        .filter(live(now, idle))
        .order(sessions::id.desc())
        .limit(200)
        .select((sessions::id, sessions::network, sessions::user_agent, sessions::created_at, sessions::last_seen_at))
        .load(conn)
        .await?;
    let session = |(id, network, user_agent, created_at, last_seen_at)| Session {
        id,
        network,
        user_agent,
        created_at,
        last_seen_at,
    };
    Ok(rows.into_iter().map(session).collect())
}

/// Ends one of the caller's own sessions; `false` when there is none of this id.
pub async fn revoke<P: Permission>(
    tx: &mut Tx,
    grant: &Grant<P>,
    id: SessionId,
    now: DateTime<Utc>,
) -> Result<bool, DbError> {
    let mine = sessions::table.find(id).filter(sessions::person_id.eq(grant.person()));
    let ended = diesel::update(mine.filter(sessions::revoked_at.is_null()))
        .set(sessions::revoked_at.eq(now))
        .execute(&mut **tx)
        .await?;
    Ok(ended == 1)
}

/// Ends the session that this cookie stands for, whoever sends it.
pub async fn revoke_by_cookie(tx: &mut Tx, token_hash: &[u8], now: DateTime<Utc>) -> Result<(), DbError> {
    diesel::update(sessions::table.filter(sessions::token_hash.eq(token_hash)).filter(sessions::revoked_at.is_null()))
        .set(sessions::revoked_at.eq(now))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Ends all sessions of a person but `keep`; returns how many.
pub async fn revoke_all(
    tx: &mut Tx,
    person: PersonId,
    keep: Option<SessionId>,
    now: DateTime<Utc>,
) -> Result<usize, DbError> {
    let mut all = diesel::update(sessions::table)
        .set(sessions::revoked_at.eq(now))
        .filter(sessions::person_id.eq(person))
        .filter(sessions::revoked_at.is_null())
        .into_boxed();
    if let Some(keep) = keep {
        all = all.filter(sessions::id.ne(keep));
    }
    Ok(all.execute(&mut **tx).await?)
}

/// Whether this person was ever signed in from this network.
pub async fn knows_network(conn: &mut Conn, person: PersonId, network: &str) -> Result<bool, DbError> {
    let seen = sessions::table.filter(sessions::person_id.eq(person)).filter(sessions::network.eq(network));
    Ok(diesel::select(diesel::dsl::exists(seen)).get_result(conn).await?)
}

/// Forgets sessions that have been over since `before`; returns how many.
pub async fn forget(conn: &mut Conn, before: DateTime<Utc>) -> Result<usize, DbError> {
    let over = sessions::expires_at.lt(before).or(sessions::revoked_at.lt(before).assume_not_null());
    Ok(diesel::delete(sessions::table.filter(over)).execute(conn).await?)
}
