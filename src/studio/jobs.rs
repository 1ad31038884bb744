//! What the studio does in the background besides its pipeline.

use std::time::Duration;

use super::events;
use crate::platform::jobs::Reconciler;

pub fn reconcilers() -> Vec<Reconciler> {
    vec![Reconciler::new("studio.forget_events", Duration::from_secs(3600), |app, _ctx| async move {
        events::forget_old(&app).await.map(drop)
    })]
}
