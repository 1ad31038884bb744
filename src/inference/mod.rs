//! Who computes, with which models, at which price.
//!
//! Owns the tables `providers`, `models` and `price_cards`, the catalog (`/api/v1/models`), the providers' pages and the
//! adapters that speak to them. A generation's life is the studio's; this room knows one request and one answer.

pub mod error;
pub mod http;
pub mod jobs;
pub mod model;
pub mod ops;
pub mod pages;
pub mod price;
pub mod providers;
mod store;

pub use error::InferenceError;
pub use store::DATA_MAP;
