//! The event log: each person's state changes, numbered without gaps.

use chrono::{DateTime, Utc};
use diesel::{prelude::*, sql_types::Timestamptz};
use diesel_async::RunQueryDsl;
use serde_json::Value;

use crate::{
    base::ids::{GenerationId, PersonId},
    platform::{
        db::{
            Conn, DbError, Tx,
            schema::{event_streams, generation_events},
        },
        keyring::{Keyring, OwnerKey},
    },
};

/// One state change as it was.
pub struct Event {
    pub number: i64,
    pub generation: GenerationId,
    pub snapshot: Value,
}

/// What snapshots are sealed as.
pub(super) const SNAPSHOT: &str = "generation_events.snapshot";

/// Appends to the person's log. Taking the next number locks the log until the transaction ends, so numbers appear in
/// order and a reader never sees a gap that is filled later.
pub async fn append(
    tx: &mut Tx,
    key: &OwnerKey,
    person: PersonId,
    generation: GenerationId,
    snapshot: &Value,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let snapshot = serde_json::to_vec(snapshot).map_err(DbError::unreadable)?;
    let snapshot = key.seal(SNAPSHOT, generation.uuid(), &snapshot)?;
    use event_streams as s;
    let number: i64 = diesel::insert_into(s::table)
        .values((s::person_id.eq(person), s::last_number.eq(1i64)))
        .on_conflict(s::person_id)
        .do_update()
        .set(s::last_number.eq(s::last_number + 1))
        .returning(s::last_number)
        .get_result(&mut **tx)
        .await?;
    use generation_events as e;
    diesel::insert_into(e::table)
        .values((
            e::person_id.eq(person),
            e::number.eq(number),
            e::generation_id.eq(generation),
            e::snapshot.eq(snapshot),
            e::at.eq(now),
        ))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// The number of the person's newest event.
pub async fn last_number(conn: &mut Conn, person: PersonId) -> Result<i64, DbError> {
    Ok(event_streams::table.find(person).select(event_streams::last_number).first(conn).await.optional()?.unwrap_or(0))
}

/// Events after `number`, oldest first. None when some of them were forgotten already, or never were.
pub async fn after(
    conn: &mut Conn,
    keys: &Keyring,
    person: PersonId,
    number: i64,
    limit: i64,
) -> Result<Option<Vec<Event>>, DbError> {
    use generation_events as e;
    let last = last_number(conn, person).await?;
    if number > last {
        return Ok(None);
    }
    let rows: Vec<(i64, GenerationId, Vec<u8>)> = e::table
        .filter(e::person_id.eq(person).and(e::number.gt(number)))
        .order(e::number)
        .limit(limit)
        .select((e::number, e::generation_id, e::snapshot))
        .load(conn)
        .await?;
    let key = keys.of(conn, person.uuid()).await?;
    let open = |(number, generation, sealed): (i64, GenerationId, Vec<u8>)| {
        let snapshot = key.open(SNAPSHOT, generation.uuid(), &sealed)?;
        Ok(Event { number, generation, snapshot: serde_json::from_slice(&snapshot).map_err(DbError::unreadable)? })
    };
    let events = rows.into_iter().map(open).collect::<Result<Vec<_>, DbError>>()?;
    let complete = match events.as_slice().first() {
        Some(first) => first.number == number + 1,
        None => number == last,
    };
    Ok(complete.then_some(events))
}

/// Forgets each person's events up to the newest that is older than `before`; returns how many. By number and not by time,
/// because a clock that went back must not leave a gap: readers would miss what was in it.
pub async fn forget(conn: &mut Conn, before: DateTime<Utc>) -> Result<usize, DbError> {
    Ok(diesel::sql_query(
        "delete from generation_events told using
             (select person_id, max(number) as number from generation_events where at < $1 group by 1) due
         where told.person_id = due.person_id and told.number <= due.number",
    )
    .bind::<Timestamptz, _>(before)
    .execute(conn)
    .await?)
}
