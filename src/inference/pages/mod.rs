//! Providers and models: what the templates show.

pub mod views;
