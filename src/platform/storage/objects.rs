//! What rooms use: objects with a row in `objects` from before their first byte until after their last.
//!
//! A row is a lease. While bytes arrive it is renewed; when they are stored, a room has a few minutes to claim the object
//! in the transaction that makes use of it; an object that is given up is due at once. `sweep` deletes the bytes and then
//! the row of whatever is due, so that neither a crash nor a failed request leaves anything behind.
//!
//! The row also says in which store the bytes are, and where a copy is while objects move (`moving`).

use std::{
    future::poll_fn,
    ops::Range,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration as Wait,
};

use chrono::{DateTime, Duration, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use futures::{StreamExt, future::maybe_done};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{
    ByteStream, StorageError, StoreId, Stores,
    sealed::{self, ObjectKey},
};
use crate::{
    base::{
        clock::Clock,
        data_map::{Category, Column, Retention, Table},
        ids::ObjectId,
        random,
    },
    platform::{
        crash,
        crypto::CryptoError,
        db::{
            Db, Tx,
            schema::{objects::dsl as t, stores::dsl as stores},
        },
        keyring::Keyring,
    },
};

/// How long a row outlives the last sign of the upload that it belongs to.
pub(super) const LEASE: Duration = Duration::minutes(2);
const RENEWAL: Wait = Wait::from_secs(30);
/// How long a stored object waits for a room to claim it.
pub(super) const CLAIM_WITHIN: Duration = Duration::minutes(10);
/// Objects of one round of the sweep.
const SWEPT_AT_ONCE: i64 = 200;

/// Cheap to clone.
#[derive(Clone)]
pub struct Storage {
    stores: Stores,
    keys: Keyring,
}

/// An object that is completely stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    pub id: ObjectId,
    pub bytes: u64,
    pub sha256: [u8; 32],
}

/// An object, or a part of one, on its way out.
pub struct Object {
    /// Length of the whole object.
    pub bytes: u64,
    pub stream: ByteStream,
}

/// What a store says when it is asked for an object.
type Answer = Result<ByteStream, StorageError>;

impl Storage {
    pub fn new(stores: Stores, keys: Keyring) -> Self {
        Self { stores, keys }
    }

    /// The stores below.
    pub fn stores(&self) -> &Stores {
        &self.stores
    }

    /// Stores the stream, of known or unknown length, for `owner`. Unless a room claims the object it is swept.
    pub async fn put(
        &self,
        db: &Db,
        clock: &Clock,
        owner: Uuid,
        bytes: ByteStream,
        length: Option<u64>,
    ) -> Result<Stored, StorageError> {
        let id = ObjectId::new(clock);
        let key: [u8; 32] = random::bytes().map_err(CryptoError::from)?;
        let sealed_key = self.keys.of(&mut *db.read().await?, owner).await?.seal_key(id.uuid(), &key)?;
        let store = open_row(db, clock, id, owner, &sealed_key).await?;
        crash::point("storage.opened");
        let key = ObjectKey::new(&key, owner, id)?;
        let stored = self.fill(db, clock, id, store, sealing(bytes, key, length)).await;
        match &stored {
            // A store that did not answer would only make the caller wait once more. The lease ends soon.
            Ok(_) | Err(StorageError::Unreachable(_)) => {}
            Err(_) => self.remove(db, id).await,
        }
        stored
    }

    async fn fill(
        &self,
        db: &Db,
        clock: &Clock,
        id: ObjectId,
        store: StoreId,
        sealing: Sealing,
    ) -> Result<Stored, StorageError> {
        let store = self.stores.of(db, store).await?;
        let put = store.put(id, sealing.stream, sealing.length);
        let in_store = tokio::select! {
            bytes = put => bytes?,
            lost = keep_row(db, clock, id) => return Err(lost),
        };
        crash::point("storage.put");
        let Tally { bytes, hash } = std::mem::take(&mut *sealing.tally.lock().unwrap_or_else(PoisonError::into_inner));
        if in_store != sealed::sealed_length(bytes) {
            return Err(StorageError::Damaged(id));
        }
        close_row(db, clock, &Stored { id, bytes, sha256: hash.finalize().into() }).await
    }

    /// Deletes an object that nobody has claimed. What cannot be deleted now is left to the sweep.
    pub async fn discard(&self, db: &Db, ids: &[ObjectId]) {
        for id in ids {
            self.remove(db, *id).await;
        }
    }

    async fn remove(&self, db: &Db, id: ObjectId) {
        let removed = async {
            let unclaimed = t::objects.find(id.uuid()).filter(t::keep_until.is_not_null());
            // Pending again, so that nobody can claim it any more.
            let given_up: Option<Due> = diesel::update(unclaimed.filter(t::copying_until.is_null()))
                .set(t::state.eq("pending"))
                .returning(Due::as_select())
                .get_result(&mut *db.read().await?)
                .await
                .optional()?;
            match given_up {
                Some(due) => self.delete(db, due).await,
                None => Ok(()),
            }
        };
        if let Err(error) = removed.await {
            tracing::warn!(object = %id, error = %crate::base::error::chain(&error), "left to the sweep");
        }
    }

    /// Bytes wherever they are, then the row.
    async fn delete(&self, db: &Db, due: Due) -> Result<(), StorageError> {
        let id = ObjectId::from(due.id);
        crash::point("storage.retracted");
        for store in [Some(due.store_id), due.copy_store_id].into_iter().flatten() {
            self.stores.of(db, store).await?.delete(id).await?;
        }
        crash::point("storage.removed");
        forget_row(db, id).await
    }

    /// Streams an object or a part of it. What was changed in the store ends in an error, and none of it is passed on.
    pub async fn get(&self, db: &Db, id: ObjectId, range: Option<Range<u64>>) -> Result<Object, StorageError> {
        let (before, whole) = match &range {
            Some(_) => (facts(db, id).await?, None),
            None => self.ask(db, id).await?,
        };
        match self.read(db, id, &before, range.clone(), whole).await {
            // It may have moved, and been deleted where it was, between the look at its row and the look into the store.
            Err(StorageError::Missing(_)) => match facts(db, id).await? {
                now if now.store_id != before.store_id => self.read(db, id, &now, range, None).await,
                _ => Err(StorageError::Missing(id)),
            },
            read => read,
        }
    }

    /// Looks at the row, and asks meanwhile for the whole object in the store where it probably is. Elsewhere nobody waits
    /// for that store's answer.
    async fn ask(&self, db: &Db, id: ObjectId) -> Result<(Facts, Option<Answer>), StorageError> {
        let Some((likely, store)) = self.stores.likely() else {
            let facts = facts(db, id).await?;
            self.stores.was_in(facts.store_id);
            return Ok((facts, None));
        };
        let (mut looking, mut asking) = (pin!(facts(db, id)), pin!(maybe_done(store.get(id, None))));
        let facts = poll_fn(|context| {
            let _ = asking.as_mut().poll(context);
            looking.as_mut().poll(context)
        });
        let facts = facts.await?;
        if facts.store_id != likely {
            self.stores.was_in(facts.store_id);
            return Ok((facts, None));
        }
        asking.as_mut().await;
        Ok((facts, asking.take_output()))
    }

    /// `whole` is what the store of the row said, if it was asked already.
    async fn read(
        &self,
        db: &Db,
        id: ObjectId,
        facts: &Facts,
        range: Option<Range<u64>>,
        whole: Option<Answer>,
    ) -> Result<Object, StorageError> {
        let (bytes, key) = (facts.bytes, self.key(db, id, facts).await?);
        let get = async |part| self.stores.of(db, facts.store_id).await?.get(id, part).await;
        let stream = match (range, whole) {
            (Some(range), _) if range.start > range.end || range.end > bytes => return Err(StorageError::Damaged(id)),
            (Some(range), _) => {
                let part = sealed::sealed_range(bytes, &range);
                sealed::open_range(get(Some(part)).await?, key, bytes, range)
            }
            (None, Some(answer)) => sealed::open(answer?, key, bytes),
            (None, None) => sealed::open(get(None).await?, key, bytes),
        };
        Ok(Object { bytes, stream })
    }

    pub(super) async fn key(&self, db: &Db, id: ObjectId, facts: &Facts) -> Result<ObjectKey, StorageError> {
        let owner = self.keys.of(&mut *db.read().await?, facts.owner).await?;
        let key = owner.open_key(id.uuid(), &facts.sealed_key).map_err(|_| StorageError::Damaged(id))?;
        ObjectKey::new(&key, facts.owner, id)
    }

    /// Keeps the object for good, in the transaction that starts to use it.
    pub async fn claim(tx: &mut Tx, clock: &Clock, id: ObjectId) -> Result<(), StorageError> {
        let waiting = t::objects.find(id.uuid()).filter(t::state.eq("stored")).filter(t::keep_until.gt(clock.now()));
        let claimed = diesel::update(waiting).set(t::keep_until.eq(None::<DateTime<Utc>>)).execute(&mut **tx).await?;
        if claimed == 1 { Ok(()) } else { Err(StorageError::Missing(id)) }
    }

    /// Gives the object up, in the transaction that stops using it. The next sweep deletes it.
    pub async fn doom(tx: &mut Tx, clock: &Clock, id: ObjectId) -> Result<(), StorageError> {
        diesel::update(t::objects.find(id.uuid())).set(t::keep_until.eq(clock.now())).execute(&mut **tx).await?;
        Ok(())
    }

    /// Deletes what is due: given up, never claimed, or left over by an upload that died. Returns how many.
    pub async fn sweep(&self, db: &Db, clock: &Clock) -> Result<usize, StorageError> {
        let mut swept = 0;
        loop {
            let due = retract_due(db, clock).await?;
            if due.is_empty() {
                return Ok(swept);
            }
            swept += due.len();
            for one in due {
                self.delete(db, one).await?;
            }
        }
    }
}

/// Returns the store that takes new objects now.
async fn open_row(
    db: &Db,
    clock: &Clock,
    id: ObjectId,
    owner: Uuid,
    sealed_key: &[u8],
) -> Result<StoreId, StorageError> {
    let now = clock.now();
    let current = stores::stores.filter(stores::current).select(stores::id).single_value().assume_not_null();
    let store = diesel::insert_into(t::objects)
        .values((
            t::id.eq(id.uuid()),
            t::owner_id.eq(owner),
            t::sealed_key.eq(sealed_key),
            t::created_at.eq(now),
            t::keep_until.eq(now + LEASE),
            t::store_id.eq(current),
        ))
        .returning(t::store_id)
        .get_result(&mut *db.read().await?)
        .await?;
    Ok(store)
}

/// Renews the row's lease for as long as it is polled; ends only when the row is lost.
async fn keep_row(db: &Db, clock: &Clock, id: ObjectId) -> StorageError {
    loop {
        tokio::time::sleep(RENEWAL).await;
        let renewed = async {
            let pending =
                t::objects.find(id.uuid()).filter(t::state.eq("pending")).filter(t::keep_until.gt(clock.now()));
            let rows = diesel::update(pending)
                .set(t::keep_until.eq(clock.now() + LEASE))
                .execute(&mut *db.read().await?)
                .await?;
            if rows == 1 { Ok(()) } else { Err(StorageError::Missing(id)) }
        };
        if let Err(error) = renewed.await {
            return error;
        }
    }
}

/// The row must still be ours: one that was swept meanwhile stays gone.
async fn close_row(db: &Db, clock: &Clock, stored: &Stored) -> Result<Stored, StorageError> {
    let now = clock.now();
    let bytes = i64::try_from(stored.bytes).map_err(|_| StorageError::Damaged(stored.id))?;
    let pending = t::objects.find(stored.id.uuid()).filter(t::state.eq("pending")).filter(t::keep_until.gt(now));
    let closed = diesel::update(pending)
        .set((
            t::state.eq("stored"),
            t::bytes.eq(bytes),
            t::sha256.eq(stored.sha256.as_slice()),
            t::keep_until.eq(now + CLAIM_WITHIN),
        ))
        .execute(&mut *db.read().await?)
        .await?;
    if closed == 1 { Ok(*stored) } else { Err(StorageError::Missing(stored.id)) }
}

/// An object to be deleted, and where its bytes may be.
#[derive(Queryable, Selectable)]
#[diesel(table_name = crate::platform::db::schema::objects)]
struct Due {
    id: Uuid,
    store_id: StoreId,
    copy_store_id: Option<StoreId>,
}

/// Takes due objects out of reach, so that none can be claimed while its bytes are being deleted. One that is being copied
/// waits until the copy has its place.
async fn retract_due(db: &Db, clock: &Clock) -> Result<Vec<Due>, StorageError> {
    let mut conn = db.read().await?;
    let uncopied = || t::copying_until.is_null().or(t::copying_until.le(clock.now()).assume_not_null());
    let due: Vec<Uuid> = t::objects
        .filter(t::keep_until.le(clock.now()))
        .filter(uncopied())
        .order(t::keep_until)
        .limit(SWEPT_AT_ONCE)
        .select(t::id)
        .load(&mut *conn)
        .await?;
    let still_due = t::objects.filter(t::id.eq_any(&due)).filter(t::keep_until.le(clock.now())).filter(uncopied());
    let retracted = diesel::update(still_due).set(t::state.eq("pending")).returning(Due::as_select());
    Ok(retracted.get_results(&mut *conn).await?)
}

async fn forget_row(db: &Db, id: ObjectId) -> Result<(), StorageError> {
    let gone = t::objects.find(id.uuid()).filter(t::state.eq("pending"));
    diesel::delete(gone).execute(&mut *db.read().await?).await?;
    Ok(())
}

/// What the row of a stored object says.
pub(super) struct Facts {
    pub bytes: u64,
    pub sha256: Vec<u8>,
    pub owner: Uuid,
    pub sealed_key: Vec<u8>,
    pub store_id: StoreId,
    pub copy_store_id: Option<StoreId>,
    pub keep_until: Option<DateTime<Utc>>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = crate::platform::db::schema::objects)]
struct FactsRow {
    bytes: Option<i64>,
    sha256: Option<Vec<u8>>,
    owner_id: Uuid,
    sealed_key: Vec<u8>,
    store_id: StoreId,
    copy_store_id: Option<StoreId>,
    keep_until: Option<DateTime<Utc>>,
}

pub(super) async fn facts(db: &Db, id: ObjectId) -> Result<Facts, StorageError> {
    let row: Option<FactsRow> = t::objects
        .find(id.uuid())
        .filter(t::state.eq("stored"))
        .select(FactsRow::as_select())
        .first(&mut *db.read().await?)
        .await
        .optional()?;
    let row = row.ok_or(StorageError::Missing(id))?;
    let bytes = row.bytes.and_then(|bytes| u64::try_from(bytes).ok()).ok_or(StorageError::Damaged(id))?;
    Ok(Facts {
        bytes,
        sha256: row.sha256.unwrap_or_default(),
        owner: row.owner_id,
        sealed_key: row.sealed_key,
        store_id: row.store_id,
        copy_store_id: row.copy_store_id,
        keep_until: row.keep_until,
    })
}

/// An object on its way into the store.
struct Sealing {
    stream: ByteStream,
    length: Option<u64>,
    tally: Arc<Mutex<Tally>>,
}

/// What has gone by before it was sealed.
#[derive(Default)]
struct Tally {
    bytes: u64,
    hash: Sha256,
}

fn sealing(plain: ByteStream, key: ObjectKey, length: Option<u64>) -> Sealing {
    let tally = Arc::new(Mutex::new(Tally::default()));
    let counter = tally.clone();
    let counted = plain.inspect(move |part| {
        if let Ok(part) = part {
            let mut tally = counter.lock().unwrap_or_else(PoisonError::into_inner);
            tally.bytes += part.len() as u64;
            tally.hash.update(part);
        }
    });
    Sealing { stream: sealed::seal(Box::pin(counted), key), length: length.map(sealed::sealed_length), tally }
}

const STORES: Retention = Retention::Forever("objects are found by it");

pub const DATA_MAP: &[Table] = &[
    Table {
        name: "stores",
        columns: &[
            Column::operational("id", STORES),
            Column::operational("name", STORES),
            Column::operational("settings", STORES).sealed(),
            Column::operational("current", STORES),
            Column::operational("in_use", STORES),
        ],
    },
    Table {
        name: "objects",
        columns: &[
            Column::withheld("id", Category::Reference),
            Column::operational("state", Retention::WithOwner),
            Column::withheld("owner_id", Category::Reference),
            Column::withheld("sealed_key", Category::Credential).sealed(),
            Column::withheld("bytes", Category::Content),
            Column::withheld("sha256", Category::Content),
            Column::withheld("created_at", Category::Activity),
            Column::operational("keep_until", Retention::WithOwner),
            Column::operational("store_id", Retention::WithOwner),
            Column::operational("copy_store_id", Retention::WithOwner),
            Column::operational("copying_until", Retention::WithOwner),
        ],
    },
];
