//! The library: every picture of a workspace, uploads and renders alike.
//!
//! Owns the tables `assets` and `asset_thumbnails`, the routes below `/api/v1/assets` and `/library`, and the picture
//! itself: what formats are taken, how large they may be, the small pictures that stand for them. An asset is seen by the
//! person who made it. It is deleted in two steps: to the trash, from which it comes back, and for good.

pub mod error;
pub mod http;
pub mod jobs;
pub mod model;
pub mod ops;
pub mod pages;
pub mod picture;
mod store;

pub use store::DATA_MAP;
