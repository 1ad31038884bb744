//! Sign-in, password and settings: what their templates show.

pub mod settings_views;
pub mod views;
