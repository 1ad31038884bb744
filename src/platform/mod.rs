//! What every room stands on: the database, the store, background work, the audit log, the one way out, and the one
//! place where pictures of strangers are decoded.
//!
//! `Platform` is the bundle of handles that use cases receive beside their `Ctx`. It knows no room.

use std::sync::Arc;

use crate::{base::clock::Clock, config::Config};

pub mod audit;
pub mod crash;
pub mod crypto;
pub mod db;
pub mod egress;
pub mod files;
pub mod idempotency;
pub mod jobs;
pub mod keyring;
pub mod pictures;
pub mod signals;
pub mod storage;
pub mod telemetry;

/// Cheap to clone; one per server process.
#[derive(Clone)]
pub struct Platform {
    pub config: Arc<Config>,
    pub clock: Clock,
    pub keys: keyring::Keyring,
    pub db: db::Db,
    pub storage: storage::Storage,
    pub egress: egress::Egress,
    pub pictures: pictures::Pictures,
    pub signals: signals::Signals,
    /// Outages and warnings that every page shows, told by whoever watches the part.
    pub notices: telemetry::Notices,
}
