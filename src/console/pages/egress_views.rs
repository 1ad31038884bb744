//! What the egress ledger shows: every call that left, or wanted to.

use askama::Template;

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
    /// Where the bytes went, most first.
    pub destinations: Vec<DestinationShare>,
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

/// One bar of the chart.
#[derive(Clone, Debug)]
pub struct DestinationShare {
    pub name: String,
    /// "2.6 GB in 2,904 calls"
    pub amount: String,
    /// Width against the largest, in percent: "45.2".
    pub percent: String,
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

/// A generation as its short id; the content is not shown to administrators.
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
    /// No answer: "connection lost".
    Failed(String),
}

impl CallStatus {
    const fn kind(&self) -> &'static str {
        match self {
            Self::Answered(..400) => "plain",
            Self::Open => "line",
            Self::Refused(_) => "warn",
            Self::Answered(_) | Self::Failed(_) => "bad",
        }
    }

    const fn icon(&self) -> &'static str {
        match self {
            Self::Answered(..400) => "ok",
            Self::Open => "clock",
            Self::Refused(_) => "none",
            Self::Answered(_) | Self::Failed(_) => "bad",
        }
    }

    fn word(&self) -> String {
        match self {
            Self::Answered(status) => status.to_string(),
            Self::Open => "Open".into(),
            Self::Refused(why) => format!("Refused: {why}"),
            Self::Failed(why) => format!("Failed: {why}"),
        }
    }
}

/// Sample pages in every state.
#[cfg(test)]
pub mod samples {
    use super::*;
    use crate::web::frame::{Place, samples::frame};
    use crate::web::parts::samples::when;

    fn call(
        at: &str,
        destination: &str,
        person: Option<&str>,
        sent: &str,
        received: &str,
        status: CallStatus,
        duration: &str,
    ) -> CallRow {
        CallRow {
            at: when(at),
            destination: destination.into(),
            purpose: if person.is_some() { "Generation" } else { "Test" }.into(),
            person: person.map(Into::into),
            generation: person
                .map(|_| GenerationLink { id: "gen_01jd8z5yq3e0rrv0g7x5n2m4kc".into(), short: "…x5n2m4kc".into() }),
            categories: if person.is_some() { "Prompt, parameters, references" } else { "None" }.into(),
            sent: sent.into(),
            received: received.into(),
            status,
            duration: duration.into(),
        }
    }

    fn share(name: &str, amount: &str, percent: &str) -> DestinationShare {
        DestinationShare {
            name: name.into(),
            amount: amount.into(),
            percent: percent.into(),
            href: format!("/admin/egress?destination={name}"),
        }
    }

    fn choices(first: &str, rest: &[&str]) -> Vec<Choice> {
        std::iter::once(Choice::new("", first, ""))
            .chain(rest.iter().map(|label| Choice::new(*label, *label, "")))
            .collect()
    }

    fn page() -> EgressPage {
        let out = |status| CallStatus::Answered(status);
        EgressPage {
            frame: frame("Egress", Place::Admin),
            here: AdminPlace::Egress,
            heading: "4.2 GB left the house in November".into(),
            totals: EgressTotals {
                period: "1 to 20 November".into(),
                calls: "3,295".into(),
                sent: "4.2 GB".into(),
                received: "13 GB".into(),
                refused: 1,
                failed: 15,
            },
            destinations: vec![
                share("api.openai.com", "2.6 GB in 2,904 calls", "100.0"),
                share("10.4.0.31", "1.2 GB in 388 calls", "45.2"),
                share("images.example.net", "412 kB in 3 calls", "0.6"),
            ],
            by_destination: choices("Anywhere", &["api.openai.com", "10.4.0.31", "images.example.net"]),
            people: choices("Anybody", &["Mara Lindqvist", "Tomás Ferreira"]),
            statuses: choices("Any outcome", &["Answered", "Refused", "Failed", "Open"]),
            since: choices("Any time", &["Today", "7 days", "This month"]),
            chips: vec![],
            calls: vec![
                call("just now", "api.openai.com", Some("Mara Lindqvist"), "1.2 MB", "0 bytes", CallStatus::Open, "–"),
                call("4 min ago", "api.openai.com", Some("Tomás Ferreira"), "2.4 kB", "3.1 MB", out(200), "14 s"),
                call(
                    "12 min ago",
                    "10.4.0.31",
                    Some("Mara Lindqvist"),
                    "912 bytes",
                    "0 bytes",
                    CallStatus::Failed("connection lost".into()),
                    "60 s",
                ),
                call("20 min ago", "api.openai.com", Some("Aisha Rahman"), "2.1 kB", "412 bytes", out(429), "0.3 s"),
                call(
                    "1 h ago",
                    "images.example.net",
                    None,
                    "310 bytes",
                    "0 bytes",
                    CallStatus::Refused("private address".into()),
                    "–",
                ),
                call("2 h ago", "api.openai.com", None, "310 bytes", "6.2 kB", out(200), "0.4 s"),
            ],
            pager: Pager {
                range: "1 to 6 of 3,295 calls".into(),
                newer: Some("/admin/egress".into()),
                older: Some("/admin/egress?cursor=b2xk".into()),
            },
        }
    }

    /// The ledger, filtered, with nothing found, with nothing at all.
    pub fn pages() -> Vec<(&'static str, EgressPage)> {
        let chip = |label: &str| Chip { label: label.into(), href: "/admin/egress".into(), on: true, removes: true };
        let filtered = EgressPage { chips: vec![chip("To: api.openai.com"), chip("Since: 7 days")], ..page() };
        let not_found = EgressPage {
            chips: vec![chip("Who: Elif Demir")],
            calls: vec![],
            destinations: vec![],
            pager: Pager::default(),
            ..page()
        };
        let none = EgressPage {
            heading: "Nothing has left the house".into(),
            totals: EgressTotals {
                period: "Since the first day".into(),
                calls: "0".into(),
                sent: "0 bytes".into(),
                received: "0 bytes".into(),
                refused: 0,
                failed: 0,
            },
            chips: vec![],
            calls: vec![],
            destinations: vec![],
            pager: Pager::default(),
            ..page()
        };
        vec![
            ("admin-egress", page()),
            ("admin-egress-filtered", filtered),
            ("admin-egress-not-found", not_found),
            ("admin-egress-none", none),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_renders() {
        let words =
            ["4.2 GB left the house", "remove this filter", "No call fits", "The demo painter needs no network"];
        for ((name, page), word) in samples::pages().into_iter().zip(words) {
            assert!(page.render().unwrap().contains(word), "{name}");
        }
    }

    #[test]
    fn an_exception_is_never_quiet() {
        let kinds = [
            CallStatus::Answered(204),
            CallStatus::Answered(400),
            CallStatus::Refused("x".into()),
            CallStatus::Failed("x".into()),
        ]
        .map(|status| status.kind());
        assert_eq!(kinds, ["plain", "bad", "warn", "bad"]);
    }
}
