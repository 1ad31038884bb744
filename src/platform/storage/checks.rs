//! Whether the store holds what the table `objects` says, and nothing else.
//!
//! Both are walked side by side in the order of their ids, a page at a time, so that memory stays the same however many
//! there are. The server goes on meanwhile: what differs is looked at a second time before it counts.

use std::collections::BTreeSet;

use chrono::{DateTime, Duration, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::{
    Storage, StorageError,
    stores::{self, StoreId},
};
use crate::{
    base::{
        clock::MOST_AHEAD,
        finding::{Finding, REPORT, Severity, Tally},
        ids::ObjectId,
    },
    platform::db::{
        Conn, Db, DbError,
        questions::{Question, Sealed},
        schema::objects::dsl as t,
    },
};

const AT_ONCE: usize = 1000;
/// What is younger and has no row may have lost it a moment ago, and its bytes may still be on their way.
const YOUNG: Duration = Duration::minutes(15);

const RESTORE: &str =
    "Restore the store from a backup of the same time as the database, or delete what lost its picture.";

pub const QUESTIONS: &[Question] = &[Question {
    finding: "storage.sweep_late",
    severity: Severity::Warning,
    wrong: "select id from objects where keep_until < $1 - interval '1 hour'",
    prefix: "obj",
    what: "Objects that should have been deleted an hour ago",
    advice: "See whether the store answers, and look into the log of the servers with the role worker.",
}];

pub const SEALED: &[Sealed] = &[Sealed {
    what: "Stored objects",
    owners: "select distinct owner_id as id from objects where owner_id > $1 order by 1 limit 1000",
}];

/// Compares the table with each store that is in use. Ends with an error when one of them is away.
pub async fn compare(storage: &Storage, db: &Db, now: DateTime<Utc>) -> Result<Vec<Finding>, StorageError> {
    let mut found = Found::default();
    let places = stores::list(&mut *db.read().await?).await?;
    for place in places.iter().filter(|place| place.in_use) {
        found.compare(storage, db, now, place.id).await?;
    }
    let Found { missing, stray } = found;
    let advice = "They take space and nothing else. Look whether the database was restored from an older backup.";
    let findings = [
        missing.problem("storage.object_missing", "Objects that should be in the store and are not", RESTORE),
        stray.problem("storage.object_unknown", "Objects in the store that the database does not know", advice),
    ];
    Ok(findings.into_iter().flatten().collect())
}

#[derive(Default)]
struct Found {
    missing: Tally,
    stray: Tally,
}

impl Found {
    async fn compare(
        &mut self,
        storage: &Storage,
        db: &Db,
        now: DateTime<Utc>,
        place: StoreId,
    ) -> Result<(), StorageError> {
        let Self { missing, stray } = self;
        let store = storage.stores().of(db, place).await?;
        let mut after = ObjectId::from(Uuid::nil());
        loop {
            let names = store.list(Some(after), AT_ONCE).await?;
            let rows = rows_after(&mut *db.read().await?, place, after).await?;
            // Beyond the end of a full page nothing is known yet.
            let ends = [&names, &rows].into_iter().filter(|page| page.len() == AT_ONCE).filter_map(|page| page.last());
            let end = ends.min().copied();
            let within = |page: &[ObjectId]| -> BTreeSet<ObjectId> {
                page.iter().filter(|id| end.is_none_or(|end| **id <= end)).copied().collect()
            };
            let (names, rows) = (within(&names), within(&rows));
            // In this order: what is given up meanwhile loses its bytes after that was written.
            for id in rows.difference(&names) {
                if store.head(*id).await?.is_none() && is_kept(db, place, *id).await? {
                    missing.add(id);
                }
            }
            for id in names.difference(&rows).filter(|id| !is_young(**id, now)) {
                if !has_row(db, place, *id).await? && store.head(*id).await?.is_some() {
                    stray.add(id);
                }
            }
            match end {
                Some(end) => after = end,
                None => return Ok(()),
            }
        }
    }
}

/// Objects are named by when they were made. In the future: before the clock went back.
fn is_young(id: ObjectId, now: DateTime<Utc>) -> bool {
    let made = id.uuid().get_timestamp().and_then(|made| {
        let (seconds, nanos) = made.to_unix();
        DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanos)
    });
    made.is_some_and(|made| now - YOUNG < made && made <= now + MOST_AHEAD)
}

async fn rows_after(conn: &mut Conn, place: StoreId, after: ObjectId) -> Result<Vec<ObjectId>, DbError> {
    let next = t::objects
        .filter(t::id.gt(after.uuid()))
        .filter(lies_in(place))
        .order(t::id)
        .limit(i64::try_from(AT_ONCE).unwrap_or(i64::MAX));
    Ok(next.select(t::id).load::<Uuid>(conn).await?.into_iter().map(ObjectId::from).collect())
}

/// Whole, or as a copy that is being made or was left.
#[diesel::dsl::auto_type]
fn lies_in(place: StoreId) -> _ {
    t::store_id.eq(place).or(t::copy_store_id.eq(place).assume_not_null())
}

/// Complete, in use, and not given up.
#[diesel::dsl::auto_type]
fn kept() -> _ {
    let stored: &'static str = "stored";
    t::objects.filter(t::state.eq(stored)).filter(t::keep_until.is_null())
}

/// Whether it should be whole in this store: a copy need not be, and what moved meanwhile is looked for elsewhere.
async fn is_kept(db: &Db, place: StoreId, id: ObjectId) -> Result<bool, DbError> {
    let found = kept().filter(t::id.eq(id.uuid()).and(t::store_id.eq(place))).select(t::id);
    Ok(found.first::<Uuid>(&mut *db.read().await?).await.optional()?.is_some())
}

async fn has_row(db: &Db, place: StoreId, id: ObjectId) -> Result<bool, DbError> {
    let found = t::objects.find(id.uuid()).filter(lies_in(place)).select(t::id);
    Ok(found.first::<Uuid>(&mut *db.read().await?).await.optional()?.is_some())
}

/// Objects that somebody claimed, after `after` in the order of their ids.
pub async fn kept_after(conn: &mut Conn, after: ObjectId, limit: i64) -> Result<Vec<ObjectId>, DbError> {
    let next = kept().filter(t::id.gt(after.uuid())).order(t::id).limit(limit).select(t::id);
    Ok(next.load::<Uuid>(conn).await?.into_iter().map(ObjectId::from).collect())
}

/// Those of these objects that will be deleted, or are not there at all.
pub async fn not_kept(conn: &mut Conn, ids: &[ObjectId]) -> Result<Vec<ObjectId>, DbError> {
    let wanted: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let found = kept().filter(t::id.eq_any(wanted)).select(t::id).load::<Uuid>(conn).await?;
    let found: BTreeSet<Uuid> = found.into_iter().collect();
    Ok(ids.iter().filter(|id| !found.contains(&id.uuid())).copied().collect())
}

/// What nobody uses, of those that somebody claimed.
pub fn unused(count: Tally) -> Option<Finding> {
    count.problem("storage.object_unused", "Objects that are kept and that nothing uses", REPORT)
}
