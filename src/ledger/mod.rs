//! The ledger: what work may cost, what it did cost, and the caps that nothing gets past.
//!
//! Owns the tables `ledger_accounts`, `holds`, `ledger_transactions`, `ledger_postings`, `caps` and `cap_windows`. A hold
//! sets aside the most that a generation can cost, in the transaction that accepts it; settling turns it into postings
//! that sum to zero, releasing gives it back. Running sums per person, workspace and organisation and per day, month and
//! for ever are kept whether caps exist or not, so that a cap set later counts what was spent before.
#![deny(clippy::float_arithmetic)]

pub mod data_map;
pub mod error;
pub mod http;
pub mod model;
pub mod ops;
pub mod pages;
mod store;

pub use data_map::DATA_MAP;
pub use store::checks::QUESTIONS;
