//! Weekly: a new epoch, everything sealed under it, and the death of epochs that no backup needs any more.

use std::time::Duration as Wait;

use chrono::Duration;
use serde_json::json;

use super::{Keyring, KeyringError, store};
use crate::{
    base::ctx::Ctx,
    platform::{
        Platform,
        audit::{self, Act},
        crash,
        db::Db,
        jobs::Reconciler,
    },
};

/// How long an epoch seals.
pub const EPOCH_DAYS: i64 = 7;
/// Owners' keys of one transaction.
const AT_ONCE: i64 = 200;

pub fn reconcilers() -> Vec<Reconciler> {
    let turn = async |app: Platform, ctx: Ctx| {
        let backups = Duration::days(i64::from(app.config.secrets.backup_days));
        turn(&app.keys, &app.db, &ctx, false, backups).await
    };
    vec![Reconciler::new("keyring.epochs", Wait::from_secs(3600), turn)]
}

/// Begins a new epoch when the newest is a week old, or `now`, and finishes what an earlier turn left undone.
pub async fn turn(keys: &Keyring, db: &Db, ctx: &Ctx, now: bool, backups: Duration) -> Result<(), KeyringError> {
    let newest = db.write("keyring.turn", async |tx| {
        store::lock(tx).await?;
        let newest = {
            let mut epochs = keys.epochs_mut();
            epochs.reload()?;
            let due = |at| now || at + Duration::days(EPOCH_DAYS) <= ctx.clock.now();
            match epochs.newest() {
                Some((newest, at)) if !due(at) => return Ok(newest),
                _ => epochs.turn(ctx.clock.now())?,
            }
        };
        audit::record(tx, ctx, Act::done("keys.begin_epoch").details(json!({ "epoch": newest }))).await?;
        Ok::<_, KeyringError>(newest)
    });
    let newest = newest.await?;
    crash::point("keyring.turned");
    while reseal_some(keys, db, newest).await? {
        crash::point("keyring.resealed");
    }
    let before = ctx.clock.now() - backups;
    let forgotten = db.write("keyring.forget", async |tx| {
        store::lock(tx).await?;
        let used = store::epochs_in_use(tx).await?;
        keys.epochs().erasures().forget(before)?;
        let dead = keys.epochs_mut().forget(&used, before)?;
        if !dead.is_empty() {
            audit::record(tx, ctx, Act::done("keys.end_epochs").details(json!({ "epochs": dead }))).await?;
        }
        Ok::<_, KeyringError>(dead)
    });
    let dead = forgotten.await?;
    if !dead.is_empty() {
        tracing::info!(epochs = ?dead, "epoch keys died: no backup that is kept needs them");
    }
    Ok(())
}

/// Seals some keys under the newest epoch. `false`: there was none left.
async fn reseal_some(keys: &Keyring, db: &Db, newest: i32) -> Result<bool, KeyringError> {
    db.write("keyring.reseal", async |tx| {
        let rows = store::lock_older(tx, newest, AT_ONCE).await?;
        for row in &rows {
            let inner = keys.without_epoch(row)?;
            let (epoch, sealed) = keys.epochs().seal(row.owner_id, &inner)?;
            store::reseal(tx, row.owner_id, epoch, &sealed).await?;
        }
        Ok::<_, KeyringError>(!rows.is_empty())
    })
    .await
}
