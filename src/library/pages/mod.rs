//! The library pages: what their templates show.

pub mod views;
