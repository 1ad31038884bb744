//! The Studio and Activity pages: what their templates show.

pub mod activity_views;
#[cfg(test)]
pub mod samples;
pub mod views;
