//! Words that every floor shares: ids, time, money, secrets, errors, who may do what.
//!
//! Nothing here does I/O, knows HTTP or names a table.

pub mod access;
pub mod clock;
pub mod ctx;
pub mod data_map;
pub mod error;
pub mod finding;
pub mod ids;
pub mod money;
pub mod paging;
pub mod random;
