//! Background work around calls to providers.

use std::time::Duration;

use crate::{
    base::ctx::Ctx,
    platform::{Platform, db::DbError, egress::ledger, jobs::Reconciler},
};

pub fn reconcilers() -> Vec<Reconciler> {
    let sweep = Reconciler::new("egress.sweep", Duration::from_secs(60), async |app: Platform, _: Ctx| {
        let lost = ledger::sweep(&app.db, &app.clock).await?;
        if lost > 0 {
            tracing::warn!(lost, "calls of a server that went away were closed");
        }
        Ok::<_, DbError>(())
    });
    let forget = Reconciler::new("egress.forget", Duration::from_secs(24 * 3600), async |app: Platform, _: Ctx| {
        ledger::forget_old(&app.db, &app.clock).await.map(|_| ())
    });
    vec![sweep, forget]
}
