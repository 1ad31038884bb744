//! People: what the templates show.

pub mod views;
