//! One object on its way to another store.

use std::{cell::Cell, sync::Arc, time::Duration as Wait};

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::{LEASE, emptying::empty_one};
use crate::{
    base::{ctx::Ctx, ids::ObjectId},
    platform::{
        crash,
        db::{Db, schema::objects::dsl as t},
        storage::{
            ObjectStore, Storage, StorageError, StoreId,
            objects::{Facts, facts},
            sealed,
            verify::{Fault, Finding},
        },
    },
};

const RENEWAL: Wait = Wait::from_secs(30);

pub(super) enum Outcome {
    Moved(u64),
    /// Deleted meanwhile, or another copier has it.
    Skipped,
    Failed(Finding),
}

/// Moves one object.
pub(super) struct Copier<'a> {
    pub storage: &'a Storage,
    pub db: &'a Db,
    pub ctx: &'a Ctx,
    pub to: StoreId,
    pub target: &'a Arc<dyn ObjectStore>,
}

impl Copier<'_> {
    pub async fn take(&self, id: ObjectId) -> (ObjectId, Result<Outcome, StorageError>) {
        let taken = match self.copy(id).await {
            // Deleted while it was on its way.
            Err(StorageError::Missing(_)) if facts(self.db, id).await.is_err() => Ok(Outcome::Skipped),
            Err(error) => match self.fault(id, &error).await {
                Some(fault) => Ok(Outcome::Failed(Finding::new(Some(id), fault, "the store it is to leave"))),
                None => Err(error),
            },
            done => done,
        };
        (id, taken)
    }

    /// Why this object cannot move. None: it is not the object, and nothing can.
    async fn fault(&self, id: ObjectId, error: &StorageError) -> Option<Fault> {
        if let Some(fault) = Fault::of(error) {
            return Some(fault);
        }
        let facts = facts(self.db, id).await.ok()?;
        let source = self.storage.stores().of(self.db, facts.store_id).await.ok()?;
        self.storage.withheld(self.db, id, &facts, source.as_ref()).await.then_some(Fault::Damaged)
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
