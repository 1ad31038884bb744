//! Moves objects from one store to another beside running servers, and empties the store that was left.
//!
//! Each object moves by itself, and its row says at every instant where its bytes are: first the row names the other store
//! as the place of a copy, then the bytes are copied, read back, opened and compared, and then one statement turns copy and
//! original around. Between any two steps the process may die; whoever comes next begins that one object again, and
//! objects that have moved are not looked at again. The original stays until `empty` is asked for.
//!
//! Nobody is in the way of anybody: readers follow the row, a deletion takes the copy along, and while the copy is being
//! written a lease in the row keeps the sweep from an object whose copy it could not see.

use std::{cell::Cell, collections::HashSet, sync::Arc, time::Duration as Wait};

use chrono::{DateTime, Duration, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use futures::{StreamExt, stream};
use serde_json::json;
use uuid::Uuid;

use super::{
    ObjectStore, Storage, StorageError, StoreId,
    objects::{Facts, facts},
    sealed, stores,
    verify::{Fault, Finding},
};
use crate::{
    base::{ctx::Ctx, ids::ObjectId},
    platform::{
        audit::{self, Act},
        crash,
        db::{Db, DbError, schema::objects::dsl as t},
    },
};

/// How long a copy outlives the last sign of whoever makes or deletes it.
const LEASE: Duration = Duration::minutes(2);
const RENEWAL: Wait = Wait::from_secs(30);
/// Objects of one look at the table, and how many move at the same time. Each needs some ten megabytes.
const PAGE: i64 = 200;
const AT_ONCE: usize = 3;
/// Between two looks for objects that are not ready to move yet.
const PAUSE: Wait = Wait::from_millis(500);
/// After so many findings a person should look first.
const MOST_FINDINGS: usize = 1000;

/// Of the lock that one mover holds. Any number that nothing else uses.
const LOCK: i64 = 0x5253_544f_5245;

/// As long as this lives nobody else moves or empties anything. The lock belongs to a connection, so it dies with the
/// process; what a dead one had begun is taken over.
pub struct Alone {
    _conn: Box<dyn std::any::Any + Send>,
}

impl Alone {
    pub async fn begin(db: &Db) -> Result<Option<Self>, StorageError> {
        let mut conn = db.read().await?;
        let taken: Taken = diesel::sql_query("select pg_try_advisory_lock($1) as taken")
            .bind::<diesel::sql_types::BigInt, _>(LOCK)
            .get_result(&mut *conn)
            .await?;
        if !taken.taken {
            return Ok(None);
        }
        take_over(db).await?;
        Ok(Some(Self { _conn: Box::new(conn) }))
    }
}

#[derive(QueryableByName)]
struct Taken {
    #[diesel(sql_type = diesel::sql_types::Bool)]
    taken: bool,
}

/// Ends the leases of a mover that is known to be dead. If it lives all the same, it finds that they are not its own.
pub async fn take_over(db: &Db) -> Result<(), StorageError> {
    diesel::update(t::objects.filter(t::copying_until.is_not_null()))
        .set(t::copying_until.eq(None::<DateTime<Utc>>))
        .execute(&mut *db.read().await?)
        .await?;
    Ok(())
}

/// How far a move is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    pub objects: u64,
    pub bytes: u64,
    /// Uploads that must end, or be claimed, before they can move.
    pub waiting: i64,
}

/// What one run did.
#[derive(Debug, Default)]
pub struct Moved {
    pub objects: u64,
    pub bytes: u64,
    /// What could not move, and lies where it lay.
    pub findings: Vec<Finding>,
}

pub struct Move<'a> {
    storage: &'a Storage,
    db: &'a Db,
    ctx: &'a Ctx,
    to: StoreId,
    target: Arc<dyn ObjectStore>,
    progress: &'a mut dyn FnMut(Progress),
    moved: Moved,
    failed: HashSet<ObjectId>,
}

enum Outcome {
    Moved(u64),
    /// Deleted meanwhile, or another copier has it.
    Skipped,
    Failed(Finding),
}

impl<'a> Move<'a> {
    pub async fn to(
        storage: &'a Storage,
        db: &'a Db,
        ctx: &'a Ctx,
        to: StoreId,
        progress: &'a mut dyn FnMut(Progress),
    ) -> Result<Self, StorageError> {
        let target = storage.stores().of(db, to).await?;
        Ok(Self { storage, db, ctx, to, target, progress, moved: Moved::default(), failed: HashSet::new() })
    }

    /// Moves what can be moved now, once round.
    pub async fn pass(&mut self) -> Result<(), StorageError> {
        let mut after = Uuid::nil();
        loop {
            let page = self.page(after).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = *last;
            let ids: Vec<ObjectId> =
                page.into_iter().map(ObjectId::from).filter(|id| !self.failed.contains(id)).collect();
            let one = Copier { storage: self.storage, db: self.db, ctx: self.ctx, to: self.to, target: &self.target };
            let mut outcomes = stream::iter(ids).map(|id| one.take(id)).buffer_unordered(AT_ONCE);
            while let Some((id, outcome)) = outcomes.next().await {
                match outcome? {
                    Outcome::Moved(bytes) => {
                        self.moved.objects += 1;
                        self.moved.bytes += bytes;
                    }
                    Outcome::Skipped => {}
                    Outcome::Failed(finding) => {
                        self.failed.insert(id);
                        self.moved.findings.push(finding);
                    }
                }
                let Moved { objects, bytes, .. } = self.moved;
                (self.progress)(Progress { objects, bytes, waiting: 0 });
            }
            if self.failed.len() >= MOST_FINDINGS {
                return Ok(());
            }
        }
    }

    /// Lets every server write to the new store from now on.
    pub async fn switch(&self) -> Result<(), DbError> {
        crash::point("storage.switch");
        let act = Act::done("storage.switch").details(json!({ "store": self.to }));
        self.db
            .write("storage.switch", async |tx| {
                stores::switch(tx, self.to).await?;
                audit::record(tx, self.ctx, act).await
            })
            .await?;
        crash::point("storage.switched");
        Ok(())
    }

    /// Moves the rest after the switch: what was put into the old store until then, once its uploads have ended.
    pub async fn finish(mut self) -> Result<Moved, StorageError> {
        loop {
            self.pass().await?;
            let waiting = self.elsewhere().await? - i64::try_from(self.failed.len()).unwrap_or(i64::MAX);
            if waiting <= 0 || self.failed.len() >= MOST_FINDINGS {
                return Ok(self.moved);
            }
            let Moved { objects, bytes, .. } = self.moved;
            (self.progress)(Progress { objects, bytes, waiting });
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// In use, and not where it should be.
    async fn page(&self, after: Uuid) -> Result<Vec<Uuid>, StorageError> {
        let found = t::objects
            .filter(t::store_id.ne(self.to))
            .filter(t::state.eq("stored"))
            .filter(t::keep_until.is_null())
            .filter(t::id.gt(after))
            .order(t::id)
            .limit(PAGE)
            .select(t::id);
        Ok(found.load(&mut *self.db.read().await?).await?)
    }

    /// What is not where it should be, without what the next sweep deletes.
    async fn elsewhere(&self) -> Result<i64, StorageError> {
        let stays = t::keep_until.is_null().or(t::keep_until.gt(self.ctx.clock.now()).assume_not_null());
        let count = t::objects.filter(t::store_id.ne(self.to)).filter(stays).count();
        Ok(count.get_result(&mut *self.db.read().await?).await?)
    }
}

/// Moves one object.
struct Copier<'a> {
    storage: &'a Storage,
    db: &'a Db,
    ctx: &'a Ctx,
    to: StoreId,
    target: &'a Arc<dyn ObjectStore>,
}

impl Copier<'_> {
    async fn take(&self, id: ObjectId) -> (ObjectId, Result<Outcome, StorageError>) {
        let taken = match self.copy(id).await {
            // Deleted while it was on its way.
            Err(StorageError::Missing(_)) if facts(self.db, id).await.is_err() => Ok(Outcome::Skipped),
            Err(error) => match Fault::of(&error) {
                Some(fault) => Ok(Outcome::Failed(Finding::new(Some(id), fault, "the store it is to leave"))),
                None => Err(error),
            },
            done => done,
        };
        (id, taken)
    }

    async fn copy(&self, id: ObjectId) -> Result<Outcome, StorageError> {
        let before = facts(self.db, id).await?;
        self.drop_other_copy(id, &before).await?;
        let Some(lease) = self.begin(id).await?.map(Cell::new) else { return Ok(Outcome::Skipped) };
        crash::point("storage.copying");
        let copied = tokio::select! {
            copied = self.copy_bytes(id, &before) => copied,
            lost = self.keep(id, &lease) => Err(lost),
        };
        let turned = match copied {
            Ok(()) => self.turn(id, before.store_id, lease.get()).await,
            Err(error) => Err(error),
        };
        if !matches!(turned, Ok(true)) {
            self.give_up(id, lease.get()).await?;
            return turned.map(|_| Outcome::Skipped);
        }
        crash::point("storage.moved");
        Ok(Outcome::Moved(before.bytes))
    }

    /// Bytes as they are, then read back and opened. What does not open there is copied a second time, unless it does not
    /// open where it comes from.
    async fn copy_bytes(&self, id: ObjectId, before: &Facts) -> Result<(), StorageError> {
        let source = self.storage.stores().of(self.db, before.store_id).await?;
        for again in [true, false] {
            let length = sealed::sealed_length(before.bytes);
            let put = self.target.put(id, source.get(id, None).await?, Some(length)).await;
            if let Err(StorageError::Interrupted(_)) = put {
                // The source has another length than its row says: it is damaged, if that was no accident.
                self.storage.compare(self.db, id, before, source.as_ref()).await?;
            }
            put?;
            crash::point("storage.copied");
            match self.storage.compare(self.db, id, before, self.target.as_ref()).await {
                Ok(()) => break,
                Err(error) if Fault::of(&error).is_none() => return Err(error),
                Err(error) => {
                    self.storage.compare(self.db, id, before, source.as_ref()).await?;
                    tracing::warn!(object = %id, again, "a copy differs from what was copied");
                    if !again {
                        return Err(StorageError::Unreachable(Box::new(error)));
                    }
                }
            }
        }
        crash::point("storage.compared");
        Ok(())
    }

    /// What an earlier move to somewhere else has left of it.
    async fn drop_other_copy(&self, id: ObjectId, before: &Facts) -> Result<(), StorageError> {
        match before.copy_store_id {
            Some(other) if other != self.to => empty_one(self.storage, self.db, self.ctx, id, other).await.map(drop),
            _ => Ok(()),
        }
    }

    /// The lease is the very time that stands in the row: whoever finds another there has lost it.
    async fn begin(&self, id: ObjectId) -> Result<Option<DateTime<Utc>>, StorageError> {
        let now = self.ctx.clock.now();
        let free = t::copying_until.is_null().or(t::copying_until.le(now).assume_not_null());
        let ready = t::objects.find(id.uuid()).filter(t::state.eq("stored")).filter(t::keep_until.is_null());
        let ready = ready.filter(t::store_id.ne(self.to)).filter(free);
        let ready = ready.filter(t::copy_store_id.is_null().or(t::copy_store_id.eq(self.to).assume_not_null()));
        let begun: Option<Option<DateTime<Utc>>> = diesel::update(ready)
            .set((t::copy_store_id.eq(self.to), t::copying_until.eq(now + LEASE)))
            .returning(t::copying_until)
            .get_result(&mut *self.db.read().await?)
            .await
            .optional()?;
        Ok(begun.flatten())
    }

    /// Renews the lease for as long as it is polled; ends only when the lease is lost.
    async fn keep(&self, id: ObjectId, lease: &Cell<DateTime<Utc>>) -> StorageError {
        loop {
            tokio::time::sleep(RENEWAL).await;
            let renewed = async {
                let until = self.ctx.clock.now() + LEASE;
                let mine = t::objects.find(id.uuid()).filter(t::copying_until.eq(lease.get()));
                let renewed: Option<Option<DateTime<Utc>>> = diesel::update(mine)
                    .set(t::copying_until.eq(until))
                    .returning(t::copying_until)
                    .get_result(&mut *self.db.read().await?)
                    .await
                    .optional()?;
                renewed.flatten().ok_or(StorageError::Missing(id))
            };
            match renewed.await {
                Ok(until) => lease.set(until),
                Err(error) => return error,
            }
        }
    }

    /// The copy is the object from now on, and the object the copy.
    async fn turn(&self, id: ObjectId, from: StoreId, lease: DateTime<Utc>) -> Result<bool, StorageError> {
        let mine = t::objects.find(id.uuid()).filter(t::store_id.eq(from)).filter(t::state.eq("stored"));
        let turned = diesel::update(mine.filter(t::copying_until.eq(lease)))
            .set((t::store_id.eq(self.to), t::copy_store_id.eq(from), t::copying_until.eq(None::<DateTime<Utc>>)))
            .execute(&mut *self.db.read().await?)
            .await?;
        Ok(turned == 1)
    }

    /// Gives the lease back. The copy stays noted in the row; of an object that was deleted meanwhile it goes too.
    async fn give_up(&self, id: ObjectId, lease: DateTime<Utc>) -> Result<(), StorageError> {
        let mine = t::objects.find(id.uuid()).filter(t::copying_until.eq(lease));
        diesel::update(mine)
            .set(t::copying_until.eq(None::<DateTime<Utc>>))
            .execute(&mut *self.db.read().await?)
            .await?;
        let row = t::objects.find(id.uuid()).filter(t::state.eq("stored")).count();
        let rows: i64 = row.get_result(&mut *self.db.read().await?).await?;
        if rows == 0 {
            self.target.delete(id).await?;
        }
        Ok(())
    }
}

/// How many objects have their only bytes in this store.
pub async fn only_in(db: &Db, store: StoreId) -> Result<i64, StorageError> {
    Ok(t::objects.filter(t::store_id.eq(store)).count().get_result(&mut *db.read().await?).await?)
}

/// How many copies a store holds.
pub async fn copies_in(db: &Db, store: StoreId) -> Result<i64, StorageError> {
    Ok(t::objects.filter(t::copy_store_id.eq(store)).count().get_result(&mut *db.read().await?).await?)
}

/// Deletes the copies in a store that holds nothing else, each only when the object is where its row says, with its whole
/// length. Returns how many, and those that must be looked at first.
pub async fn empty(
    storage: &Storage,
    db: &Db,
    ctx: &Ctx,
    store: StoreId,
    progress: &mut dyn FnMut(u64),
) -> Result<(u64, Vec<Finding>), StorageError> {
    let (mut after, mut emptied, mut findings) = (Uuid::nil(), 0, Vec::new());
    loop {
        let page: Vec<Uuid> = t::objects
            .filter(t::copy_store_id.eq(store))
            .filter(t::id.gt(after))
            .order(t::id)
            .limit(PAGE)
            .select(t::id)
            .load(&mut *db.read().await?)
            .await?;
        let Some(last) = page.last() else { break };
        after = *last;
        for id in page.into_iter().map(ObjectId::from) {
            match spared(storage, db, id).await? {
                Some(finding) => findings.push(finding),
                None => emptied += u64::from(empty_one(storage, db, ctx, id, store).await?),
            }
            progress(emptied);
        }
        if findings.len() >= MOST_FINDINGS {
            break;
        }
    }
    if findings.is_empty() && copies_in(db, store).await? == 0 {
        let act = Act::done("storage.empty").details(json!({ "store": store, "objects": emptied }));
        db.write("storage.empty", async |tx| {
            stores::retire(tx, store).await?;
            audit::record(tx, ctx, act).await
        })
        .await?;
    }
    Ok((emptied, findings))
}

/// Why this copy must stay: the object itself is not there.
async fn spared(storage: &Storage, db: &Db, id: ObjectId) -> Result<Option<Finding>, StorageError> {
    // On its way out; the sweep takes both.
    let Ok(facts) = facts(db, id).await else { return Ok(None) };
    let held = storage.stores().of(db, facts.store_id).await?.head(id).await?;
    let fault = match held {
        Some(length) if length == sealed::sealed_length(facts.bytes) => return Ok(None),
        Some(_) => Fault::Damaged,
        None => Fault::Missing,
    };
    Ok(Some(Finding::new(Some(id), fault, "the new store; its copy in the old one was spared")))
}

/// Deletes the copy under a lease, so that nobody turns it into the object meanwhile.
async fn empty_one(storage: &Storage, db: &Db, ctx: &Ctx, id: ObjectId, store: StoreId) -> Result<bool, StorageError> {
    let now = ctx.clock.now();
    let free = t::copying_until.is_null().or(t::copying_until.le(now).assume_not_null());
    let lease: Option<Option<DateTime<Utc>>> =
        diesel::update(t::objects.find(id.uuid()).filter(t::copy_store_id.eq(store)).filter(free))
            .set(t::copying_until.eq(now + LEASE))
            .returning(t::copying_until)
            .get_result(&mut *db.read().await?)
            .await
            .optional()?;
    let Some(lease) = lease.flatten() else { return Ok(false) };
    crash::point("storage.emptying");
    storage.stores().of(db, store).await?.delete(id).await?;
    crash::point("storage.emptied");
    diesel::update(t::objects.find(id.uuid()).filter(t::copying_until.eq(lease)))
        .set((t::copy_store_id.eq(None::<StoreId>), t::copying_until.eq(None::<DateTime<Utc>>)))
        .execute(&mut *db.read().await?)
        .await?;
    Ok(true)
}
