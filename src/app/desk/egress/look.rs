//! What the page's address asks for.

use chrono::{DateTime, Datelike, Duration, NaiveDate, NaiveTime, Utc};
use serde::Deserialize;

use super::super::address;
use crate::{
    base::error::Invalid,
    platform::egress::{
        Purpose,
        ledger::{Filter, Outcome},
    },
};

pub const EGRESS: &str = "/admin/egress";
/// Days that are drawn at most, and at least.
const DRAWN: (i64, i64) = (90, 7);

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Look {
    pub destination: String,
    pub purpose: String,
    pub person: String,
    pub status: String,
    /// A usual span; days that are named outweigh it.
    pub since: String,
    pub from: String,
    pub until: String,
    pub cursor: Option<String>,
}

/// What the filter of outcomes offers: each may stand for several.
pub const STATUSES: [(&str, &str, &[Outcome]); 4] = [
    ("answered", "Answered", &[Outcome::Answered]),
    ("refused", "Refused", &[Outcome::Refused]),
    ("failed", "Failed", FAILED),
    ("open", "Open", &[Outcome::Open]),
];
pub const FAILED: &[Outcome] = &[Outcome::Failed, Outcome::TimedOut, Outcome::Cancelled, Outcome::Lost];

pub const SPANS: [(&str, &str); 3] = [("today", "Today"), ("7d", "7 days"), ("month", "This month")];

impl Look {
    pub fn filter(&self, now: DateTime<Utc>) -> Result<Filter, Invalid> {
        let unknown =
            |name: &str| Invalid::field(name, "unknown", format!("{name} is none of those that are offered."));
        let id = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let status = STATUSES.iter().find(|(value, ..)| *value == self.status);
        if status.is_none() && !self.status.is_empty() {
            return Err(unknown("status"));
        }
        let purpose = Purpose::ALL.into_iter().find(|purpose| purpose.as_str() == self.purpose);
        if purpose.is_none() && !self.purpose.is_empty() {
            return Err(unknown("purpose"));
        }
        let (from, until) = (day("from", &self.from)?, day("until", &self.until)?);
        if from.zip(until).is_some_and(|(from, until)| until < from) {
            return Err(Invalid::field("until", "out_of_range", "The last day is before the first."));
        }
        let span = since(&self.since, now).map_err(|()| unknown("since"))?;
        let since = if from.or(until).is_some() { from } else { span };
        Ok(Filter {
            destination: id(&self.destination).map(|id| id.parse().map_err(|_| unknown("destination"))).transpose()?,
            purpose,
            person: id(&self.person).map(|id| id.parse().map_err(|_| unknown("person"))).transpose()?,
            outcomes: status.map(|(_, _, outcomes)| outcomes.to_vec()).unwrap_or_default(),
            since: since.map(midnight),
            until: until.and_then(|day| day.succ_opt()).map(midnight),
            ..Filter::default()
        })
    }

    /// The span that counts.
    pub fn span(&self) -> &str {
        if self.from.is_empty() && self.until.is_empty() { &self.since } else { "" }
    }

    fn parameters(&self) -> [(&'static str, &str); 7] {
        [
            ("destination", &self.destination),
            ("purpose", &self.purpose),
            ("person", &self.person),
            ("status", &self.status),
            ("since", self.span()),
            ("from", &self.from),
            ("until", &self.until),
        ]
    }

    /// The address of the list with one filter changed.
    pub fn with(&self, name: &str, value: &str) -> String {
        let mut all = self.parameters().to_vec();
        match all.iter_mut().find(|(known, _)| *known == name) {
            Some((_, own)) => *own = value,
            None => all.push(("cursor", value)),
        }
        address(EGRESS, &all)
    }

    /// The address of the same calls as a table.
    pub fn export(&self) -> String {
        address(super::EXPORT, &self.parameters())
    }
}

fn midnight(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(NaiveTime::MIN).and_utc()
}

fn day(name: &str, text: &str) -> Result<Option<NaiveDate>, Invalid> {
    let wrong = |_| Invalid::field(name, "malformed", format!("{name} is a day such as 2026-11-20."));
    if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(wrong) }
}

fn since(text: &str, now: DateTime<Utc>) -> Result<Option<NaiveDate>, ()> {
    let today = now.date_naive();
    match text {
        "" => Ok(None),
        "today" => Ok(Some(today)),
        "7d" => Ok(Some(today - Duration::days(6))),
        "month" => Ok(Some(today.with_day(1).unwrap_or(today))),
        _ => Err(()),
    }
}

/// The days of the chart: those that were asked for, or from the first on which something left.
pub fn drawn(filter: &Filter, first: Option<NaiveDate>, now: DateTime<Utc>) -> Vec<NaiveDate> {
    let today = now.date_naive();
    let last = filter.until.map_or(today, |until| (until.date_naive() - Duration::days(1)).min(today));
    let first = filter.since.map(|since| since.date_naive()).or(first).unwrap_or(last);
    let (most, least) = DRAWN;
    let first = first.max(last - Duration::days(most - 1)).min(last - Duration::days(least - 1));
    first.iter_days().take_while(|day| *day <= last).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-11-20T13:00:00Z".parse().unwrap()
    }

    #[test]
    fn named_days_outweigh_a_span() {
        let look = Look { since: "7d".into(), until: "2026-11-03".into(), ..Look::default() };
        let filter = look.filter(now()).unwrap();
        assert_eq!((filter.since, filter.until), (None, Some("2026-11-04T00:00:00Z".parse().unwrap())));
        assert_eq!(look.with("person", "per_1"), "/admin/egress?person=per_1&until=2026-11-03");
        let span = Look { since: "7d".into(), ..Look::default() }.filter(now()).unwrap();
        assert_eq!(span.since, Some("2026-11-14T00:00:00Z".parse().unwrap()));
    }

    #[test]
    fn what_is_not_offered_is_refused() {
        let look = |change: fn(&mut Look)| {
            let mut look = Look::default();
            change(&mut look);
            look.filter(now()).is_err()
        };
        assert!(look(|look| look.purpose = "mail".into()));
        assert!(look(|look| look.status = "lost".into()));
        assert!(look(|look| look.since = "year".into()));
        assert!(look(|look| look.from = "20.11.2026".into()));
        assert!(look(|look| (look.from, look.until) = ("2026-11-02".into(), "2026-11-01".into())));
        assert!(!look(|look| look.purpose = "generation".into()));
    }

    #[test]
    fn a_week_at_least_and_three_months_at_most_are_drawn() {
        let of = |since: Option<&str>, first: Option<&str>| {
            let filter = Filter { since: since.map(|text| text.parse().unwrap()), ..Filter::default() };
            drawn(&filter, first.map(|text| text.parse().unwrap()), now()).len()
        };
        assert_eq!(of(None, None), 7);
        assert_eq!(of(Some("2026-11-20T00:00:00Z"), None), 7);
        assert_eq!(of(None, Some("2026-11-01")), 20);
        assert_eq!(of(None, Some("2025-11-01")), 90);
    }
}
