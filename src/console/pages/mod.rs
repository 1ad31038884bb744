//! Overview, egress ledger and audit: what the templates show.

pub mod egress_chart;
#[cfg(test)]
mod egress_samples;
pub mod egress_views;
pub mod views;
