//! What the statement pages show.

use askama::Template;

use crate::web::{
    format::{Chip, Pager, When},
    frame::Frame,
    parts::AdminPlace,
};

/// `GET /activity/statement`
#[derive(Template)]
#[template(path = "ledger/templates/statement.html")]
pub struct StatementPage {
    pub frame: Frame,
    /// "November 2026"
    pub month: String,
    /// "You were charged €3.20"
    pub heading: String,
    /// "€0.04 more is set aside for work that runs or waits."
    pub note: String,
    pub months: Vec<Chip>,
    pub rows: Vec<StatementRow>,
    pub pager: Pager,
    /// Address of the table for download.
    pub export: String,
}

/// One generation that was charged.
#[derive(Clone, Debug)]
pub struct StatementRow {
    /// "Demo painter"
    pub model: String,
    pub href: String,
    pub provider: String,
    pub accepted: When,
    pub held: String,
    pub charged: String,
    /// "€0.01 above what was set aside"
    pub overage: Option<String>,
}

/// `GET /admin/statements`
#[derive(Template)]
#[template(path = "ledger/templates/statements.html")]
pub struct StatementsPage {
    pub frame: Frame,
    pub here: AdminPlace,
    pub month: String,
    pub heading: String,
    pub note: String,
    pub months: Vec<Chip>,
    pub people: Vec<PersonSpent>,
    pub export: String,
}

/// What one person was charged in the month.
#[derive(Clone, Debug)]
pub struct PersonSpent {
    pub name: String,
    pub charged: String,
    pub held: String,
    /// "12 %" of what everybody was charged.
    pub share: String,
    /// Address of the person's table for download.
    pub export: String,
}
