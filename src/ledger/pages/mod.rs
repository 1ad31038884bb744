//! Spend caps: what the templates show.

pub mod views;
