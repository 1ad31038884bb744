//! What keeps the library tidy: the trash is emptied after its days, and objects that nothing uses are deleted.

use std::time::Duration;

use chrono::Duration as Days;

use super::{error::LibraryError, ops, store};
use crate::{
    base::ctx::Ctx,
    platform::{Platform, audit, audit::Act, crash, jobs::Reconciler, storage::StorageError},
};

/// How long the trash keeps what lies in it.
pub const TRASH_DAYS: i64 = 30;
const PURGED_AT_ONCE: i64 = 100;

pub fn reconcilers() -> Vec<Reconciler> {
    vec![
        Reconciler::new("library.purge", Duration::from_secs(3600), async |app, ctx| purge(&app, &ctx).await.map(drop)),
        Reconciler::new("storage.sweep", Duration::from_secs(60), async |app, ctx| sweep(&app, &ctx).await.map(drop)),
    ]
}

/// Deletes what has lain in the trash for its days. Returns how many.
pub async fn purge(app: &Platform, ctx: &Ctx) -> Result<usize, LibraryError> {
    let mut purged = 0;
    loop {
        let count = app.db.write("library.purge", async |tx| {
            let due =
                store::lock_trashed_before(tx, &app.keys, ctx.clock.now() - Days::days(TRASH_DAYS), PURGED_AT_ONCE)
                    .await?;
            for asset in &due {
                ops::erase(tx, ctx, asset).await?;
                audit::record(tx, ctx, Act::done("assets.purge").on("asset", asset.id)).await?;
                crash::point("library.purge");
            }
            Ok::<_, LibraryError>(due.len())
        });
        match count.await? {
            0 => return Ok(purged),
            count => purged += count,
        }
    }
}

/// Deletes the bytes of what was given up or left over. Returns how many objects.
pub async fn sweep(app: &Platform, ctx: &Ctx) -> Result<usize, StorageError> {
    app.storage.sweep(&app.db, &ctx.clock).await
}
