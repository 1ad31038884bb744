//! Sample pages of the egress ledger in every state.

use chrono::NaiveDate;

use super::{
    egress_chart::{DayChart, DaySum},
    egress_views::*,
};
use crate::web::{
    format::{Chip, Pager},
    frame::{Place, samples::frame},
    parts::{AdminPlace, Choice, samples::when},
};

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

fn destination(name: &str, on: bool, local: bool, sent: &str) -> DestinationRow {
    DestinationRow {
        id: "dst_01jd8z5yq3e0rrv0g7x5n2m4kc".into(),
        name: name.into(),
        encrypted: !local,
        local,
        purpose: "Inference".into(),
        categories: "Prompt, parameters, references".into(),
        allowed_by: if local { "The configuration" } else { "Mara Lindqvist" }.into(),
        allowed_at: when("3 Nov"),
        calls: "2,904".into(),
        sent: sent.into(),
        received: "9.8 GB".into(),
        on,
        href: format!("/admin/egress?destination={name}"),
    }
}

fn chart() -> Option<DayChart> {
    let day = |number| NaiveDate::from_ymd_opt(2026, 11, number).unwrap();
    let sum = |number: u32, destination: &str, sent: u64| DaySum {
        day: day(number),
        destination: destination.into(),
        calls: 9,
        sent,
        received: sent * 4,
    };
    let days: Vec<_> = (1..=20).map(day).collect();
    let sums = (1..=20).flat_map(|number| {
        let much = u64::from(number % 7) * 31_000_000;
        [sum(number, "api.openai.com", much), sum(number, "10.4.0.31", much / 2 + 9_000_000)]
    });
    DayChart::new(&days, &sums.collect::<Vec<_>>())
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
        chart: chart(),
        destinations: vec![
            destination("api.openai.com", true, false, "2.6 GB"),
            destination("10.4.0.31", true, true, "1.2 GB"),
            destination("images.example.net", false, false, "0 bytes"),
        ],
        may_switch: true,
        export: "/admin/egress/table".into(),
        from: String::new(),
        until: String::new(),
        purposes: choices("Any purpose", &["Generation", "Test"]),
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
        chart: None,
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
        chart: None,
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
