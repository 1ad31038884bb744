//! The library: every picture of a workspace, uploads and renders alike.
//!
//! Owns the tables `assets` and `asset_thumbnails` and the routes below `/api/v1/assets` and `/library`. An asset is seen by
//! the person who made it. Its file is for saving; what pages show are small pictures that were made of it. It is deleted in
//! two steps: to the trash, from which it comes back, and for good.

pub mod checks;
pub mod error;
pub mod http;
pub mod jobs;
pub mod model;
pub mod ops;
pub mod pages;
mod store;

pub use store::DATA_MAP;
