//! Whether every object is what its row says, and every stored thing has a row.

use std::{collections::HashSet, time::Duration as Wait};

use chrono::Utc;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use futures::StreamExt;
use serde::Serialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{
    ObjectStore, Storage, StorageError, answers,
    objects::{CLAIM_WITHIN, Facts, LEASE, facts},
    sealed::{self, ObjectKey},
    stores::{self, Place},
};
use crate::{
    base::{clock::Clock, ids::ObjectId},
    platform::db::{Db, DbError, schema::objects::dsl as t},
};

const PAGE: usize = 500;
/// Findings that are told one by one; the rest is counted.
const MOST: usize = 1000;
/// A store that does not answer is asked again before the whole run is given up.
const AGAIN_AFTER: Wait = Wait::from_secs(2);

/// What is wrong with one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// It has a row and is not in its store.
    Missing,
    /// It does not open, or is not what was stored.
    Damaged,
    /// Its owner's key was destroyed, and it is still there.
    NoKey,
    /// It is in a store, and nobody knows of it.
    Unknown,
}

#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    pub object: Option<ObjectId>,
    pub store: String,
    pub fault: Fault,
    pub finding: &'static str,
    /// What to do.
    pub advice: &'static str,
}

#[derive(Debug, Default, Serialize)]
pub struct Report {
    pub good: bool,
    /// That were read whole and compared.
    pub objects: u64,
    /// Of these, before they were sealed.
    pub bytes: u64,
    pub findings: Vec<Finding>,
    /// More findings than are listed.
    pub left_off: u64,
}

impl Fault {
    /// None: not the object's fault.
    pub fn of(error: &StorageError) -> Option<Self> {
        match error {
            StorageError::Missing(_) => Some(Self::Missing),
            StorageError::Damaged(_) => Some(Self::Damaged),
            StorageError::Db(DbError::Unreadable(_)) | StorageError::Crypto(_) => Some(Self::NoKey),
            _ => None,
        }
    }

    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Missing => {
                ("It is not in the store.", "Restore the store from a backup, or delete the picture it belongs to.")
            }
            Self::Damaged => (
                "It is not what was stored, or its store cannot read it: cut, extended or changed.",
                "Look after the store's disk. Restore this object from a backup, or delete the picture it belongs to.",
            ),
            Self::NoKey => (
                "It cannot be opened: its owner's key is gone.",
                "If the owner was deleted, this goes with the rest of their data; otherwise restore the keys.",
            ),
            Self::Unknown => (
                "It is in the store, and no row knows it.",
                "It may be left over from a restored backup of the database. Nobody can read it; it may be deleted from \
                 the bucket.",
            ),
        }
    }
}

impl Finding {
    pub fn new(object: Option<ObjectId>, fault: Fault, store: impl Into<String>) -> Self {
        let (finding, advice) = fault.words();
        Self { object, store: store.into(), fault, finding, advice }
    }
}

impl Report {
    fn add(&mut self, finding: Finding) {
        if self.findings.len() < MOST {
            self.findings.push(finding);
        } else {
            self.left_off += 1;
        }
    }
}

impl Storage {
    /// Reads an object whole from this store, opens every chunk, and compares length and hash with its row.
    pub(super) async fn compare(
        &self,
        db: &Db,
        id: ObjectId,
        facts: &Facts,
        store: &dyn ObjectStore,
    ) -> Result<(), StorageError> {
        let key = self.key(db, id, facts).await?;
        compare(store, id, facts, key).await
    }

    /// Whether a store that answers does not give this object to its end: a store that looks after its own files says so
    /// with the words for an outage.
    pub(super) async fn withheld(&self, db: &Db, id: ObjectId, facts: &Facts, store: &dyn ObjectStore) -> bool {
        let read = self.compare(db, id, facts, store).await;
        matches!(read, Err(StorageError::Withheld(..) | StorageError::Unreachable(_))) && answers(store).await.is_ok()
    }
}

async fn compare(store: &dyn ObjectStore, id: ObjectId, facts: &Facts, key: ObjectKey) -> Result<(), StorageError> {
    let mut plain = sealed::open(store.get(id, None).await?, key, facts.bytes);
    let (mut bytes, mut hash) = (0, Sha256::new());
    while let Some(part) = plain.next().await.transpose()? {
        bytes += part.len() as u64;
        hash.update(&part);
    }
    let same = bytes == facts.bytes && hash.finalize()[..] == facts.sha256[..];
    if same { Ok(()) } else { Err(StorageError::Damaged(id)) }
}

/// Looks at everything once, beside running servers: what they change meanwhile is no finding.
pub async fn verify(
    storage: &Storage,
    db: &Db,
    clock: &Clock,
    progress: &mut dyn FnMut(&Report),
) -> Result<Report, StorageError> {
    let places = stores::list(&mut *db.read().await?).await?;
    let mut report = Report::default();
    rows(storage, db, clock, &places, &mut report, progress).await?;
    for place in places.iter().filter(|place| place.in_use) {
        strangers(storage, db, clock, place, &mut report).await?;
    }
    report.good = report.findings.is_empty();
    Ok(report)
}

/// Every row's object.
async fn rows(
    storage: &Storage,
    db: &Db,
    clock: &Clock,
    places: &[Place],
    report: &mut Report,
    progress: &mut dyn FnMut(&Report),
) -> Result<(), StorageError> {
    let mut after = Uuid::nil();
    loop {
        let page: Vec<Uuid> = t::objects
            .filter(t::state.eq("stored"))
            .filter(t::id.gt(after))
            .order(t::id)
            .limit(PAGE as i64)
            .select(t::id)
            .load(&mut *db.read().await?)
            .await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = *last;
        for id in page.into_iter().map(ObjectId::from) {
            match patiently(async || look(storage, db, clock, id).await).await? {
                Look::Good(bytes) => {
                    report.objects += 1;
                    report.bytes += bytes;
                }
                Look::Gone => {}
                Look::Bad(fault, store) => {
                    let name = places.iter().find(|place| place.id == store).map_or("", Place::shown);
                    report.add(Finding::new(Some(id), fault, name));
                }
            }
            progress(report);
        }
    }
}

enum Look {
    Good(u64),
    /// Deleted meanwhile.
    Gone,
    Bad(Fault, stores::StoreId),
}

async fn look(storage: &Storage, db: &Db, clock: &Clock, id: ObjectId) -> Result<Look, StorageError> {
    loop {
        let Some(before) = known(db, clock, id).await? else { return Ok(Look::Gone) };
        let store = storage.stores().of(db, before.store_id).await?;
        let error = match storage.compare(db, id, &before, store.as_ref()).await {
            Ok(()) => return Ok(Look::Good(before.bytes)),
            Err(error) => error,
        };
        let fault = match Fault::of(&error) {
            Some(fault) => fault,
            None if storage.withheld(db, id, &before, store.as_ref()).await => Fault::Damaged,
            None => return Err(error),
        };
        match known(db, clock, id).await? {
            // It moved between the look at its row and the look into the store.
            Some(now) if now.store_id != before.store_id => {}
            Some(_) => return Ok(Look::Bad(fault, before.store_id)),
            None => return Ok(Look::Gone),
        }
    }
}

/// None: it is being deleted.
async fn known(db: &Db, clock: &Clock, id: ObjectId) -> Result<Option<Facts>, StorageError> {
    match facts(db, id).await {
        Ok(facts) if facts.keep_until.is_none_or(|until| until > clock.now()) => Ok(Some(facts)),
        Ok(_) | Err(StorageError::Missing(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Everything in a store that no row knows.
async fn strangers(
    storage: &Storage,
    db: &Db,
    clock: &Clock,
    place: &Place,
    report: &mut Report,
) -> Result<(), StorageError> {
    let store = storage.stores().of(db, place.id).await?;
    // An upload that has just begun, or is being swept, is nobody's fault.
    let young = clock.now() - (LEASE + CLAIM_WITHIN);
    let mut after = None;
    loop {
        let page = patiently(async || store.list(after, PAGE).await).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(*last);
        let known = rows_in(db, place.id, &page).await?;
        for id in page {
            if known.contains(&id) || made_at(id).is_none_or(|at| at > young) {
                continue;
            }
            // Deleted between the list and the look at the table: the bytes go before the row.
            let there = match store.head(id).await {
                Err(StorageError::Withheld(..)) => true,
                told => told?.is_some(),
            };
            if there {
                report.add(Finding::new(Some(id), Fault::Unknown, place.shown()));
            }
        }
    }
}

async fn rows_in(db: &Db, store: stores::StoreId, ids: &[ObjectId]) -> Result<HashSet<ObjectId>, StorageError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let here = t::store_id.eq(store).or(t::copy_store_id.eq(store).assume_not_null());
    let found: Vec<Uuid> =
        t::objects.filter(t::id.eq_any(ids)).filter(here).select(t::id).load(&mut *db.read().await?).await?;
    Ok(found.into_iter().map(ObjectId::from).collect())
}

/// When its row must have been made: ids carry their time.
fn made_at(id: ObjectId) -> Option<chrono::DateTime<Utc>> {
    let (seconds, nanos) = id.uuid().get_timestamp()?.to_unix();
    chrono::DateTime::from_timestamp(seconds.try_into().ok()?, nanos)
}

/// An outage of a few seconds does not end a look of hours.
async fn patiently<T>(ask: impl AsyncFn() -> Result<T, StorageError>) -> Result<T, StorageError> {
    for _ in 0..3 {
        match ask().await {
            Err(StorageError::Unreachable(_) | StorageError::Withheld(..)) => tokio::time::sleep(AGAIN_AFTER).await,
            done => return done,
        }
    }
    ask().await
}
