//! What `renderkeep doctor` looks at in this room.

pub use super::store::checks::{QUESTIONS, SEALED, against_ledger, last_events, objects_in_use};
