//! The egress page: what left, to where, and for whom, with people's names.

use std::collections::HashMap;

use actix_web::HttpResponse;
use chrono::{DateTime, Datelike, Duration, NaiveTime, Utc};
use serde::Deserialize;

use super::{address, choices};
use crate::{
    accounts::ops as accounts,
    base::{
        access::EgressRead,
        error::Invalid,
        ids::{DestinationId, PersonId},
    },
    console::pages::egress_views::{CallRow, CallStatus, DestinationShare, EgressPage, EgressTotals, GenerationLink},
    platform::egress::{
        Destination, destinations,
        ledger::{self, Entry, Filter, Outcome, Share},
    },
    web::{
        extract::Query,
        format::{self, Chip, Pager, When},
        frame::Place,
        guard::Guard,
        page::{self, PageFrame},
        parts::{AdminPlace, Choice},
        problem::Problem,
    },
};

const EGRESS: &str = "/admin/egress";

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Look {
    destination: String,
    person: String,
    status: String,
    since: String,
    cursor: Option<String>,
}

/// What the filter of outcomes offers: each may stand for several.
const STATUSES: [(&str, &str, &[Outcome]); 4] = [
    ("answered", "Answered", &[Outcome::Answered]),
    ("refused", "Refused", &[Outcome::Refused]),
    ("failed", "Failed", FAILED),
    ("open", "Open", &[Outcome::Open]),
];
const FAILED: &[Outcome] = &[Outcome::Failed, Outcome::TimedOut, Outcome::Cancelled, Outcome::Lost];

const SPANS: [(&str, &str); 3] = [("today", "Today"), ("7d", "7 days"), ("month", "This month")];

impl Look {
    fn filter(&self, now: DateTime<Utc>) -> Result<Filter, Invalid> {
        let unknown =
            |name: &str| Invalid::field(name, "unknown", format!("{name} is none of those that are offered."));
        let id = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let status = STATUSES.iter().find(|(value, ..)| *value == self.status);
        if status.is_none() && !self.status.is_empty() {
            return Err(unknown("status"));
        }
        Ok(Filter {
            destination: id(&self.destination).map(|id| id.parse().map_err(|_| unknown("destination"))).transpose()?,
            person: id(&self.person).map(|id| id.parse().map_err(|_| unknown("person"))).transpose()?,
            outcomes: status.map(|(_, _, outcomes)| outcomes.to_vec()).unwrap_or_default(),
            since: since(&self.since, now).map_err(|()| unknown("since"))?,
            ..Filter::default()
        })
    }

    /// The address of the list with one filter changed.
    fn with(&self, name: &str, value: &str) -> String {
        let or = |field: &str, own: &str| if field == name { value.to_owned() } else { own.to_owned() };
        address(
            EGRESS,
            &[
                ("destination", &or("destination", &self.destination)),
                ("person", &or("person", &self.person)),
                ("status", &or("status", &self.status)),
                ("since", &or("since", &self.since)),
                ("cursor", &or("cursor", "")),
            ],
        )
    }
}

fn since(text: &str, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, ()> {
    let today = now.date_naive();
    let from = match text {
        "" => return Ok(None),
        "today" => today,
        "7d" => today - Duration::days(6),
        "month" => today.with_day(1).unwrap_or(today),
        _ => return Err(()),
    };
    Ok(Some(from.and_time(NaiveTime::MIN).and_utc()))
}

pub async fn egress_page(
    guard: Guard<EgressRead>,
    query: Query<Look>,
    frame: PageFrame,
) -> Result<HttpResponse, Problem> {
    let (app, grant) = (&guard.app, guard.grant()?);
    let look = query.value.clone();
    let now = guard.ctx.clock.now();
    let filter = look.filter(now)?;
    let page = query.page(&app.keys, EGRESS, None, look.cursor.as_deref())?;
    let entries = ledger::list(&app.db, &grant, &filter, &page).await?;
    let older = query.list(&app.keys, EGRESS, entries.clone()).next_cursor;
    let shares = ledger::shares(&app.db, &grant, &filter).await?;
    let mut people = ledger::callers(&app.db, &grant).await?;
    people.extend(entries.items.iter().filter_map(|entry| entry.person));
    let names = accounts::named(&mut *app.db.read().await?, &app.keys, &people).await?.into_iter().collect();
    let places = destinations::list(&app.db, &grant).await?;
    let desk = Desk { look: &look, names, places, now };
    page::ok(&EgressPage {
        frame: frame.titled("Egress", Place::Admin),
        here: AdminPlace::Egress,
        heading: heading(&look, &shares, now),
        totals: totals(&look, &shares, now),
        destinations: desk.shares(&shares),
        by_destination: desk.destinations(),
        people: desk.people(),
        statuses: choices("Any outcome", STATUSES.iter().map(|(value, label, _)| (*value, *label)), &look.status),
        since: choices("Any time", SPANS, &look.since),
        chips: desk.chips(),
        calls: entries.items.iter().map(|entry| desk.row(entry)).collect(),
        pager: Pager {
            range: String::new(),
            newer: look.cursor.as_ref().map(|_| look.with("cursor", "")),
            older: older.map(|cursor| look.with("cursor", &cursor)),
        },
    })
}

fn sum(shares: &[Share], of: impl Fn(&Share) -> i64) -> u64 {
    u64::try_from(shares.iter().map(of).fold(0i64, i64::saturating_add)).unwrap_or(0)
}

fn heading(look: &Look, shares: &[Share], now: DateTime<Utc>) -> String {
    let out = format::bytes(sum(shares, |share| share.bytes_out));
    match (shares.is_empty(), look.since.as_str()) {
        (true, _) => "Nothing has left the house".to_owned(),
        (_, "today") => format!("{out} left the house today"),
        (_, "7d") => format!("{out} left the house in 7 days"),
        (_, "month") => format!("{out} left the house in {}", now.format("%B")),
        _ => format!("{out} left the house"),
    }
}

fn totals(look: &Look, shares: &[Share], now: DateTime<Utc>) -> EgressTotals {
    let calls = |wanted: &[Outcome]| {
        sum(shares, |share| if wanted.iter().any(|one| one.as_str() == share.outcome) { share.calls } else { 0 })
    };
    EgressTotals {
        period: match look.since.as_str() {
            "today" => "Today".to_owned(),
            "7d" => "The last 7 days".to_owned(),
            "month" => now.format("1 to %-d %B").to_string(),
            _ => "Kept for one year".to_owned(),
        },
        calls: format::count(sum(shares, |share| share.calls)),
        sent: format::bytes(sum(shares, |share| share.bytes_out)),
        received: format::bytes(sum(shares, |share| share.bytes_in)),
        refused: calls(&[Outcome::Refused]),
        failed: calls(FAILED),
    }
}

/// What the parts of the page are made from.
struct Desk<'a> {
    look: &'a Look,
    names: HashMap<PersonId, String>,
    places: Vec<Destination>,
    now: DateTime<Utc>,
}

impl Desk<'_> {
    fn place(&self, id: DestinationId) -> String {
        self.places.iter().find(|place| place.id == id).map(Destination::name).unwrap_or_default()
    }

    fn name(&self, id: PersonId) -> String {
        self.names.get(&id).cloned().unwrap_or_else(|| "Somebody who left".to_owned())
    }

    fn destinations(&self) -> Vec<Choice> {
        let all: Vec<_> = self.places.iter().map(|place| (place.id.to_string(), place.name())).collect();
        choices("Anywhere", all.iter().map(|(id, name)| (id.as_str(), name.as_str())), &self.look.destination)
    }

    fn people(&self) -> Vec<Choice> {
        let mut all: Vec<_> = self.names.iter().map(|(id, name)| (id.to_string(), name.clone())).collect();
        all.sort_by(|one, other| one.1.cmp(&other.1));
        choices("Anybody", all.iter().map(|(id, name)| (id.as_str(), name.as_str())), &self.look.person)
    }

    /// A bar for each destination that something was sent to.
    fn shares(&self, shares: &[Share]) -> Vec<DestinationShare> {
        let mut sums: HashMap<DestinationId, (u64, u64)> = HashMap::new();
        for share in shares {
            let (bytes, calls) = sums.entry(share.destination).or_default();
            *bytes = bytes.saturating_add(u64::try_from(share.bytes_out).unwrap_or(0));
            *calls = calls.saturating_add(u64::try_from(share.calls).unwrap_or(0));
        }
        let most = sums.values().map(|(bytes, _)| *bytes).max().unwrap_or(0).max(1);
        let mut sums: Vec<_> = sums.into_iter().filter(|(_, (bytes, _))| *bytes > 0).collect();
        sums.sort_by_key(|(id, (bytes, _))| (u64::MAX - bytes, *id));
        let share = |(id, (bytes, calls)): (DestinationId, (u64, u64))| {
            let thousandths = bytes.saturating_mul(1000) / most;
            DestinationShare {
                name: self.place(id),
                amount: format!("{} in {}", format::bytes(bytes), format::plural(calls, "call")),
                percent: format!("{}.{}", thousandths / 10, thousandths % 10),
                href: self.look.with("destination", &id.to_string()),
            }
        };
        sums.into_iter().map(share).collect()
    }

    /// The active filters.
    fn chips(&self) -> Vec<Chip> {
        let look = self.look;
        let label = |all: Vec<Choice>| all.into_iter().find(|choice| choice.chosen).map(|choice| choice.label);
        let filters = [
            ("destination", "To", &look.destination, label(self.destinations())),
            ("person", "Who", &look.person, label(self.people())),
            (
                "status",
                "Outcome",
                &look.status,
                label(choices("", STATUSES.iter().map(|one| (one.0, one.1)), &look.status)),
            ),
            ("since", "Since", &look.since, label(choices("", SPANS, &look.since))),
        ];
        let chip = |(name, about, value, label): (&str, &str, &String, Option<String>)| {
            let label = format!("{about}: {}", label.unwrap_or_else(|| value.clone()));
            (!value.is_empty()).then(|| Chip { label, href: look.with(name, ""), on: true, removes: true })
        };
        filters.into_iter().filter_map(chip).collect()
    }

    fn row(&self, entry: &Entry) -> CallRow {
        let size = |number: i64| format::bytes(u64::try_from(number).unwrap_or(0));
        CallRow {
            at: When::new(entry.at, self.now),
            destination: entry.destination.name(),
            purpose: capital(&entry.purpose),
            person: entry.person.map(|id| self.name(id)),
            generation: entry.generation.map(|id| link(&id.to_string())),
            categories: if entry.categories.is_empty() {
                "None".to_owned()
            } else {
                capital(&entry.categories.join(", "))
            },
            sent: size(entry.bytes_out),
            received: size(entry.bytes_in),
            status: status(entry),
            duration: entry
                .duration_ms
                .and_then(|ms| u64::try_from(ms).ok())
                .map_or_else(|| "–".to_owned(), format::milliseconds),
        }
    }
}

fn status(entry: &Entry) -> CallStatus {
    let reason = entry.reason.clone().unwrap_or_default();
    match (entry.outcome, entry.status.and_then(|status| u16::try_from(status).ok())) {
        (Outcome::Open, _) => CallStatus::Open,
        (Outcome::Refused, _) => CallStatus::Refused(reason),
        (Outcome::Answered, Some(status)) => CallStatus::Answered(status),
        _ => CallStatus::Failed(reason),
    }
}

fn link(id: &str) -> GenerationLink {
    let short = format!("…{}", id.get(id.len().saturating_sub(8)..).unwrap_or_default());
    GenerationLink { id: id.to_owned(), short }
}

fn capital(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
