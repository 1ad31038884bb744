//! The end of a move: the store that was left is emptied, when somebody asks for it.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde_json::json;
use uuid::Uuid;

use super::{LEASE, MOST_FINDINGS, PAGE};
use crate::{
    base::{ctx::Ctx, ids::ObjectId},
    platform::{
        audit::{self, Act},
        crash,
        db::{Db, schema::objects::dsl as t},
        storage::{
            Storage, StorageError, StoreId,
            objects::facts,
            sealed, stores,
            verify::{Fault, Finding},
        },
    },
};

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
pub(super) async fn empty_one(
    storage: &Storage,
    db: &Db,
    ctx: &Ctx,
    id: ObjectId,
    store: StoreId,
) -> Result<bool, StorageError> {
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
