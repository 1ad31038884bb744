//! What the egress ledger shows: every call that left, or wanted to.

use askama::Template;

use super::egress_chart::DayChart;
use crate::web::format::{Chip, Pager, When};
use crate::web::frame::Frame;
use crate::web::parts::{AdminPlace, Choice};

/// `GET /admin/egress`
#[derive(Template)]
#[template(path = "console/templates/egress.html")]
pub struct EgressPage {
    pub frame: Frame,
    pub here: AdminPlace,
    /// The message: "4.2 GB left the house in November", or "Nothing has left the house".
    pub heading: String,
    pub totals: EgressTotals,
    /// None while nothing was sent.
    pub chart: Option<DayChart>,
    /// Everything that this server may call.
    pub destinations: Vec<DestinationRow>,
    /// Whether who looks may switch them.
    pub may_switch: bool,
    /// The same calls as a table.
    pub export: String,
    /// Days that were named.
    pub from: String,
    pub until: String,
    pub purposes: Vec<Choice>,
    pub by_destination: Vec<Choice>,
    pub people: Vec<Choice>,
    pub statuses: Vec<Choice>,
    pub since: Vec<Choice>,
    /// The active filters; pressing one removes it.
    pub chips: Vec<Chip>,
    pub calls: Vec<CallRow>,
    pub pager: Pager,
}

/// Sums over all calls that the filters let through, not only over this page.
#[derive(Clone, Debug, Default)]
pub struct EgressTotals {
    /// "1 to 20 November"
    pub period: String,
    pub calls: String,
    /// "4.2 GB"
    pub sent: String,
    pub received: String,
    pub refused: u64,
    pub failed: u64,
}

/// One destination, and what went there as far as the filters let it through.
#[derive(Clone, Debug)]
pub struct DestinationRow {
    pub id: String,
    pub name: String,
    pub encrypted: bool,
    pub local: bool,
    /// "Inference"
    pub purpose: String,
    /// What it may receive: "Prompt, parameters, references"
    pub categories: String,
    /// A name, or "The configuration".
    pub allowed_by: String,
    pub allowed_at: When,
    pub calls: String,
    pub sent: String,
    pub received: String,
    pub on: bool,
    /// The list with only this destination.
    pub href: String,
}

/// One call.
#[derive(Clone, Debug)]
pub struct CallRow {
    pub at: When,
    pub destination: String,
    /// "Generation"
    pub purpose: String,
    pub person: Option<String>,
    /// Its id and where it is shown.
    pub generation: Option<GenerationLink>,
    /// "Prompt, parameters, references"
    pub categories: String,
    pub sent: String,
    pub received: String,
    pub status: CallStatus,
    /// "8.4 s", or "–"
    pub duration: String,
}

/// A generation as its short id; the content is not shown to owners.
#[derive(Clone, Debug)]
pub struct GenerationLink {
    pub id: String,
    /// "gen_…7x5n2m"
    pub short: String,
}

/// What became of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallStatus {
    /// The status of the answer.
    Answered(u16),
    /// Written down, and no answer yet.
    Open,
    /// Not let out, and why: "private address".
    Refused(String),
    /// Broken off here, and why: "switched off during the call".
    Stopped(String),
    /// No answer: "connection lost".
    Failed(String),
}

impl CallStatus {
    const fn kind(&self) -> &'static str {
        match self {
            Self::Answered(..400) => "plain",
            Self::Open => "line",
            Self::Refused(_) | Self::Stopped(_) => "warn",
            Self::Answered(_) | Self::Failed(_) => "bad",
        }
    }

    const fn icon(&self) -> &'static str {
        match self {
            Self::Answered(..400) => "ok",
            Self::Open => "clock",
            Self::Refused(_) | Self::Stopped(_) => "none",
            Self::Answered(_) | Self::Failed(_) => "bad",
        }
    }

    fn word(&self) -> String {
        match self {
            Self::Answered(status) => status.to_string(),
            Self::Open => "Open".into(),
            Self::Refused(why) => format!("Refused: {why}"),
            Self::Stopped(why) => format!("Stopped: {why}"),
            Self::Failed(why) => format!("Failed: {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_renders() {
        let words =
            ["4.2 GB left the house", "remove this filter", "No call fits", "The demo painter needs no network"];
        for ((name, page), word) in super::super::egress_samples::pages().into_iter().zip(words) {
            assert!(page.render().unwrap().contains(word), "{name}");
        }
    }

    #[test]
    fn an_exception_is_never_quiet() {
        let kinds = [
            CallStatus::Answered(204),
            CallStatus::Answered(400),
            CallStatus::Refused("x".into()),
            CallStatus::Stopped("x".into()),
            CallStatus::Failed("x".into()),
        ]
        .map(|status| status.kind());
        assert_eq!(kinds, ["plain", "bad", "warn", "warn", "bad"]);
    }
}
