//! Background work of accounts: forgetting what is over.

use std::time::Duration;

use super::ops;
use crate::{
    base::ctx::Ctx,
    platform::{Platform, db::DbError, jobs::Reconciler},
};

pub fn reconcilers() -> Vec<Reconciler> {
    let hourly = Duration::from_secs(3600);
    vec![Reconciler::new("accounts.tidy", hourly, async |app: Platform, _: Ctx| {
        ops::tidy(&app).await?;
        Ok::<(), DbError>(())
    })]
}
