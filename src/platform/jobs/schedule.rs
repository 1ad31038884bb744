//! Whose turn it is: a reconciler runs on one server at a time, under a lease in its row.
//!
//! A lease and not an advisory lock, because such a lock would pin a connection for as long as the work takes, and would
//! outlive the work whenever that connection went back to the pool.

use chrono::{DateTime, Utc};
use diesel::{prelude::*, query_dsl::methods::FilterDsl};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::LEASE;
use crate::{
    base::clock::MOST_AHEAD,
    platform::db::{Conn, DbError, schema::schedule::dsl as t},
};

/// Takes the turn if nobody has it and the last one began at or before `due`. A turn in the future was taken before a clock
/// went back, and keeps nobody waiting.
pub(super) async fn take(
    conn: &mut Conn,
    name: &str,
    owner: Uuid,
    now: DateTime<Utc>,
    due: DateTime<Utc>,
) -> Result<bool, DbError> {
    let turn = (t::last_started_at.eq(now), t::lease_owner.eq(owner), t::lease_until.eq(now + LEASE));
    let upsert =
        diesel::insert_into(t::schedule).values((t::name.eq(name), turn)).on_conflict(t::name).do_update().set(turn);
    let over = t::lease_until.le(now).or(t::lease_until.gt(now + LEASE + MOST_AHEAD)).assume_not_null();
    let is_due = t::last_started_at.le(due).or(t::last_started_at.gt(now + MOST_AHEAD));
    let taken = FilterDsl::filter(upsert, t::lease_until.is_null().or(over).and(is_due)).execute(conn).await?;
    Ok(taken == 1)
}

/// False: the lease ran out and somebody else has the turn.
pub(super) async fn renew(conn: &mut Conn, name: &str, owner: Uuid, now: DateTime<Utc>) -> Result<bool, DbError> {
    let mine = QueryDsl::filter(t::schedule, t::name.eq(name).and(t::lease_owner.eq(owner)));
    Ok(diesel::update(mine).set(t::lease_until.eq(now + LEASE)).execute(conn).await? == 1)
}

/// Ends the turn; `error` is what the operator sees.
pub(super) async fn end(
    conn: &mut Conn,
    name: &str,
    owner: Uuid,
    now: DateTime<Utc>,
    error: Option<&str>,
) -> Result<(), DbError> {
    let mine = QueryDsl::filter(t::schedule, t::name.eq(name).and(t::lease_owner.eq(owner)));
    diesel::update(mine)
        .set((
            t::last_ended_at.eq(now),
            t::last_error.eq(error),
            t::lease_owner.eq(None::<Uuid>),
            t::lease_until.eq(None::<DateTime<Utc>>),
        ))
        .execute(conn)
        .await?;
    Ok(())
}
