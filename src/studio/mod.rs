//! What people make: generations, from the accepted request to the stored pictures.
//!
//! Owns the tables `generations`, `generation_references`, `generation_outputs`, `generation_progress`, `attempts`,
//! `event_streams` and `generation_events`, the generation API, the event stream, the doors for openai's official client,
//! and the pages Studio and Activity. The pipeline (`pipeline`) carries a generation through its steps; every step is a
//! row before it is an act, so that a crash between any two leaves work that can be taken up again.

pub mod checks;
pub mod compat;
pub mod error;
pub mod events;
pub mod http;
pub mod jobs;
pub mod model;
pub mod ops;
pub mod pages;
pub mod pipeline;
mod store;
pub mod view;

pub use store::DATA_MAP;
