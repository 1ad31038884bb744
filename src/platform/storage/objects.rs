//! What rooms use: objects with a row in `objects` from before their first byte until after their last.
//!
//! A row is a lease. While bytes arrive it is renewed; when they are stored, a room has a few minutes to claim the object
//! in the transaction that makes use of it; an object that is given up is due at once. `sweep` deletes the bytes and then
//! the row of whatever is due, so that neither a crash nor a failed request leaves anything behind.

use std::{
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
    time::Duration as Wait,
};

use chrono::Duration;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use futures::StreamExt;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{ByteStream, ObjectStore, StorageError};
use crate::{
    base::{
        clock::Clock,
        data_map::{Category, Column, Retention, Table},
        ids::ObjectId,
    },
    platform::db::{Db, Tx, schema::objects::dsl as t},
};

/// How long a row outlives the last sign of the upload that it belongs to.
const LEASE: Duration = Duration::minutes(2);
const RENEWAL: Wait = Wait::from_secs(30);
/// How long a stored object waits for a room to claim it.
const CLAIM_WITHIN: Duration = Duration::minutes(10);
/// Objects of one round of the sweep.
const SWEPT_AT_ONCE: i64 = 200;

/// Cheap to clone.
#[derive(Clone)]
pub struct Storage {
    store: Arc<dyn ObjectStore>,
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

impl Storage {
    pub fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self { store }
    }

    /// The store below, for checks of its health.
    pub fn store(&self) -> &dyn ObjectStore {
        self.store.as_ref()
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
        open_row(db, clock, id, owner).await?;
        let stored = self.fill(db, clock, id, bytes, length).await;
        if stored.is_err() {
            self.remove(db, id).await;
        }
        stored
    }

    async fn fill(
        &self,
        db: &Db,
        clock: &Clock,
        id: ObjectId,
        bytes: ByteStream,
        length: Option<u64>,
    ) -> Result<Stored, StorageError> {
        let hash = Arc::new(Mutex::new(Sha256::new()));
        let put = self.store.put(id, hashed(bytes, hash.clone()), length);
        let bytes = tokio::select! {
            bytes = put => bytes?,
            lost = keep_row(db, clock, id) => return Err(lost),
        };
        let sha256 = hash.lock().unwrap_or_else(PoisonError::into_inner).finalize_reset().into();
        close_row(db, clock, &Stored { id, bytes, sha256 }).await
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
            let given_up =
                diesel::update(unclaimed).set(t::state.eq("pending")).execute(&mut *db.read().await?).await?;
            if given_up == 1 {
                self.store.delete(id).await?;
                forget_row(db, id).await?;
            }
            Ok::<_, StorageError>(())
        };
        if let Err(error) = removed.await {
            tracing::warn!(object = %id, error = %crate::base::error::chain(&error), "left to the sweep");
        }
    }

    /// Streams an object or a part of it. The whole is checked against its hash: what was changed in the store ends in
    /// an error instead of its last bytes' end.
    pub async fn get(&self, db: &Db, id: ObjectId, range: Option<Range<u64>>) -> Result<Object, StorageError> {
        let (bytes, sha256) = facts(db, id).await?;
        let part = match range {
            Some(range) if range.start > range.end || range.end > bytes => return Err(StorageError::Damaged(id)),
            Some(range) if range != (0..bytes) => range,
            _ => {
                let stream = verified(self.store.get(id, None).await?, id, bytes, sha256);
                return Ok(Object { bytes, stream });
            }
        };
        Ok(Object { bytes, stream: self.store.get(id, Some(part)).await? })
    }

    /// Keeps the object for good, in the transaction that starts to use it.
    pub async fn claim(tx: &mut Tx, clock: &Clock, id: ObjectId) -> Result<(), StorageError> {
        let waiting = t::objects.find(id.uuid()).filter(t::state.eq("stored")).filter(t::keep_until.gt(clock.now()));
        let claimed = diesel::update(waiting)
            .set(t::keep_until.eq(None::<chrono::DateTime<chrono::Utc>>))
            .execute(&mut **tx)
            .await?;
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
            for id in &due {
                self.store.delete(*id).await?;
                forget_row(db, *id).await?;
            }
            swept += due.len();
            if due.is_empty() {
                return Ok(swept);
            }
        }
    }
}

async fn open_row(db: &Db, clock: &Clock, id: ObjectId, owner: Uuid) -> Result<(), StorageError> {
    let now = clock.now();
    diesel::insert_into(t::objects)
        .values((t::id.eq(id.uuid()), t::owner_id.eq(owner), t::created_at.eq(now), t::keep_until.eq(now + LEASE)))
        .execute(&mut *db.read().await?)
        .await?;
    Ok(())
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

/// Takes due objects out of reach, so that none can be claimed while its bytes are being deleted.
async fn retract_due(db: &Db, clock: &Clock) -> Result<Vec<ObjectId>, StorageError> {
    let mut conn = db.read().await?;
    let due: Vec<Uuid> = t::objects
        .filter(t::keep_until.le(clock.now()))
        .order(t::keep_until)
        .limit(SWEPT_AT_ONCE)
        .select(t::id)
        .load(&mut *conn)
        .await?;
    let still_due = t::objects.filter(t::id.eq_any(&due)).filter(t::keep_until.le(clock.now()));
    let retracted: Vec<Uuid> =
        diesel::update(still_due).set(t::state.eq("pending")).returning(t::id).get_results(&mut *conn).await?;
    Ok(retracted.into_iter().map(ObjectId::from).collect())
}

async fn forget_row(db: &Db, id: ObjectId) -> Result<(), StorageError> {
    let gone = t::objects.find(id.uuid()).filter(t::state.eq("pending"));
    diesel::delete(gone).execute(&mut *db.read().await?).await?;
    Ok(())
}

async fn facts(db: &Db, id: ObjectId) -> Result<(u64, [u8; 32]), StorageError> {
    let row: Option<(Option<i64>, Option<Vec<u8>>)> = t::objects
        .find(id.uuid())
        .filter(t::state.eq("stored"))
        .select((t::bytes, t::sha256))
        .first(&mut *db.read().await?)
        .await
        .optional()?;
    let (bytes, sha256) = row.ok_or(StorageError::Missing(id))?;
    let bytes = bytes.and_then(|bytes| u64::try_from(bytes).ok());
    let sha256 = sha256.and_then(|sha256| sha256.try_into().ok());
    bytes.zip(sha256).ok_or(StorageError::Damaged(id))
}

fn hashed(stream: ByteStream, hash: Arc<Mutex<Sha256>>) -> ByteStream {
    Box::pin(stream.inspect(move |part| {
        if let Ok(part) = part {
            hash.lock().unwrap_or_else(PoisonError::into_inner).update(part);
        }
    }))
}

/// Passes the object on and ends with an error unless it was exactly what was stored.
fn verified(stream: ByteStream, id: ObjectId, bytes: u64, sha256: [u8; 32]) -> ByteStream {
    let start = (stream, Sha256::new(), 0u64);
    Box::pin(futures::stream::try_unfold(start, move |(mut stream, mut hash, mut seen)| async move {
        match stream.next().await.transpose()? {
            Some(part) => {
                hash.update(&part);
                seen += part.len() as u64;
                if seen > bytes { Err(StorageError::Damaged(id)) } else { Ok(Some((part, (stream, hash, seen)))) }
            }
            None if seen == bytes && hash.finalize().as_slice() == sha256 => Ok(None),
            None => Err(StorageError::Damaged(id)),
        }
    }))
}

pub const DATA_MAP: &[Table] = &[Table {
    name: "objects",
    columns: &[
        Column::withheld("id", Category::Reference),
        Column::operational("state", Retention::WithOwner),
        Column::withheld("owner_id", Category::Reference),
        Column::withheld("bytes", Category::Content),
        Column::withheld("sha256", Category::Content),
        Column::withheld("created_at", Category::Activity),
        Column::operational("keep_until", Retention::WithOwner),
    ],
}];
