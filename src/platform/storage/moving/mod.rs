//! Moves objects from one store to another beside running servers, and empties the store that was left.
//!
//! Each object moves by itself, and its row says at every instant where its bytes are: first the row names the other store
//! as the place of a copy, then the bytes are copied, read back, opened and compared, and then one statement turns copy and
//! original around. Between any two steps the process may die; whoever comes next begins that one object again, and
//! objects that have moved are not looked at again. The original stays until `empty` is asked for.
//!
//! Nobody is in the way of anybody: readers follow the row, a deletion takes the copy along, and while the copy is being
//! written a lease in the row keeps the sweep from an object whose copy it could not see.
use std::{collections::HashSet, sync::Arc, time::Duration as Wait};

use chrono::{DateTime, Duration, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use futures::{StreamExt, stream};
use serde_json::json;
use uuid::Uuid;

use self::copier::{Copier, Outcome};
use super::{ObjectStore, Storage, StorageError, StoreId, stores, verify::Finding};
use crate::{
    base::{ctx::Ctx, ids::ObjectId},
    platform::{
        audit::{self, Act},
        crash,
        db::{Db, DbError, schema::objects::dsl as t},
    },
};

mod copier;
mod emptying;

pub use emptying::{copies_in, empty, only_in};

/// How long a copy outlives the last sign of whoever makes or deletes it.
const LEASE: Duration = Duration::minutes(2);
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
