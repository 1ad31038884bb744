//! Requests that a client may send again by itself, for a while.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::{
    base::ids::GenerationId,
    platform::db::{
        Conn, DbError, Tx,
        schema::recent_requests::{self, dsl as t},
    },
    studio::model::Fingerprint,
};

pub async fn remember(
    tx: &mut Tx,
    fingerprint: &Fingerprint,
    generation: GenerationId,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    diesel::insert_into(recent_requests::table)
        .values((
            t::credential_id.eq(fingerprint.credential),
            t::body_hash.eq(fingerprint.body.as_slice()),
            t::person_id.eq(fingerprint.person),
            t::generation_id.eq(generation),
            t::at.eq(now),
        ))
        .on_conflict((t::credential_id, t::body_hash))
        .do_update()
        .set((t::generation_id.eq(generation), t::at.eq(now)))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

pub async fn find(
    conn: &mut Conn,
    fingerprint: &Fingerprint,
    since: DateTime<Utc>,
) -> Result<Option<GenerationId>, DbError> {
    let found: Option<Uuid> = recent_requests::table
        .find((fingerprint.credential, fingerprint.body.as_slice()))
        .filter(t::at.ge(since).and(t::person_id.eq(fingerprint.person)))
        .select(t::generation_id)
        .first(conn)
        .await
        .optional()?;
    Ok(found.map(Into::into))
}

pub async fn forget(conn: &mut Conn, before: DateTime<Utc>) -> Result<usize, DbError> {
    Ok(diesel::delete(recent_requests::table.filter(t::at.lt(before))).execute(conn).await?)
}
