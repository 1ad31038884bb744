//! What operators see of the platform: the audit log and the egress ledger.
//!
//! Owns no tables and knows no room: whatever needs names from several rooms is put together in `app::desk`.

pub mod http;
pub mod pages;
