//! The egress page: what left, to where, and for whom, with people's names.

use std::collections::HashMap;

use actix_web::{HttpResponse, web};
use chrono::{DateTime, Utc};
use serde::Deserialize;

use self::look::{FAILED, Look, SPANS, STATUSES};
use super::choices;
use crate::{
    accounts::ops as accounts,
    base::{
        access::{EgressEdit, EgressRead},
        ids::{DestinationId, PersonId},
    },
    console::pages::{
        egress_chart::{DayChart, DaySum},
        egress_views::{CallRow, CallStatus, DestinationRow, EgressPage, EgressTotals, GenerationLink},
    },
    platform::egress::{
        Destination, Purpose, destinations,
        ledger::{self, Day, Entry, Filter, Outcome, Share},
    },
    web::{
        extract::{Form, Query, path_id},
        format::{self, Chip, Pager, When},
        frame::{Flash, Place, Tone},
        guard::Guard,
        page::{self, PageFrame},
        parts::{AdminPlace, Choice},
        problem::Problem,
    },
};

mod export;
mod look;

pub use export::{egress_table, export_egress};
pub use look::EGRESS;

pub const EXPORT: &str = "/admin/egress/table";

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
    let days = ledger::days(&app.db, &grant, &filter).await?;
    let places = destinations::list(&app.db, &grant).await?;
    let mut people = ledger::callers(&app.db, &grant).await?;
    people.extend(entries.items.iter().filter_map(|entry| entry.person));
    people.extend(places.iter().filter_map(|place| place.allowed_by));
    let names = accounts::named(&mut *app.db.read().await?, &app.keys, &people).await?.into_iter().collect();
    let desk = Desk { look: &look, names, places, now };
    page::ok(&EgressPage {
        frame: frame.titled("Egress", Place::Admin),
        here: AdminPlace::Egress,
        heading: heading(&look, &desk.outside(&shares), now),
        totals: totals(&look, &shares, now),
        chart: desk.chart(&filter, &days),
        destinations: desk.rows(&shares),
        may_switch: guard.ctx.check::<EgressEdit>().is_ok(),
        export: look.export(),
        from: look.from.clone(),
        until: look.until.clone(),
        by_destination: desk.destinations(),
        purposes: desk.purposes(),
        people: desk.people(),
        statuses: choices("Any outcome", STATUSES.iter().map(|(value, label, _)| (*value, *label)), &look.status),
        since: choices("Any time", SPANS, look.span()),
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
    match (shares.is_empty(), look.span()) {
        (true, _) => "Nothing has left the house".to_owned(),
        (_, "") if !look.from.is_empty() || !look.until.is_empty() => format!("{out} left the house in this time"),
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
        period: match look.span() {
            "today" => "Today".to_owned(),
            "7d" => "The last 7 days".to_owned(),
            "month" => now.format("1 to %-d %B").to_string(),
            _ => match (look.from.as_str(), look.until.as_str()) {
                ("", "") => "Kept for one year".to_owned(),
                ("", until) => format!("Until {until}"),
                (from, "") => format!("From {from}"),
                (from, until) => format!("{from} to {until}"),
            },
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

    fn purposes(&self) -> Vec<Choice> {
        let all: Vec<_> = Purpose::ALL.map(|purpose| (purpose.as_str(), capital(purpose.as_str()))).into();
        choices("Any purpose", all.iter().map(|(value, label)| (*value, label.as_str())), &self.look.purpose)
    }

    fn chart(&self, filter: &Filter, days: &[Day]) -> Option<DayChart> {
        let drawn = look::drawn(filter, days.iter().map(|sum| sum.day).min(), self.now);
        let whole = |number: i64| u64::try_from(number).unwrap_or(0);
        let sum = |sum: &Day| DaySum {
            day: sum.day,
            destination: self.place(sum.destination),
            calls: whole(sum.calls),
            sent: whole(sum.bytes_out),
            received: whole(sum.bytes_in),
        };
        DayChart::new(&drawn, &days.iter().rev().map(sum).collect::<Vec<_>>())
    }

    /// Every destination with what went there, as far as the filters let it through.
    fn rows(&self, shares: &[Share]) -> Vec<DestinationRow> {
        self.places.iter().map(|place| self.destination(place, shares)).collect()
    }

    fn destination(&self, place: &Destination, shares: &[Share]) -> DestinationRow {
        let own: Vec<Share> = shares.iter().filter(|share| share.destination == place.id).cloned().collect();
        DestinationRow {
            id: place.id.to_string(),
            name: place.name(),
            encrypted: place.origin.scheme == "https",
            local: place.local,
            purpose: capital(&place.purpose),
            categories: capital(&place.categories.join(", ")),
            allowed_by: place.allowed_by.map_or_else(|| "The configuration".to_owned(), |id| self.name(id)),
            allowed_at: When::new(place.allowed_at, self.now),
            calls: format::count(sum(&own, |share| share.calls)),
            sent: format::bytes(sum(&own, |share| share.bytes_out)),
            received: format::bytes(sum(&own, |share| share.bytes_in)),
            on: place.disabled_at.is_none(),
            href: self.look.with("destination", &place.id.to_string()),
        }
    }

    /// The active filters.
    fn chips(&self) -> Vec<Chip> {
        let look = self.look;
        let label = |all: Vec<Choice>| all.into_iter().find(|choice| choice.chosen).map(|choice| choice.label);
        let filters: [(&str, &str, &str, Option<String>); 7] = [
            ("destination", "To", &look.destination, label(self.destinations())),
            ("purpose", "For", &look.purpose, label(self.purposes())),
            ("person", "Who", &look.person, label(self.people())),
            (
                "status",
                "Outcome",
                &look.status,
                label(choices("", STATUSES.iter().map(|one| (one.0, one.1)), &look.status)),
            ),
            ("since", "Since", look.span(), label(choices("", SPANS, look.span()))),
            ("from", "From", &look.from, None),
            ("until", "Until", &look.until, None),
        ];
        let chip = |(name, about, value, label): (&str, &str, &str, Option<String>)| {
            let label = format!("{about}: {}", label.unwrap_or_else(|| value.to_owned()));
            (!value.is_empty()).then(|| Chip { label, href: look.with(name, ""), on: true, removes: true })
        };
        filters.into_iter().filter_map(chip).collect()
    }

    /// Those of places that are not in the house.
    fn outside(&self, shares: &[Share]) -> Vec<Share> {
        let local = |share: &&Share| self.places.iter().any(|place| place.id == share.destination && place.local);
        shares.iter().filter(|share| !local(share)).cloned().collect()
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
            sent: match entry.outcome {
                Outcome::Open | Outcome::Lost => format!("Up to {}", size(entry.bytes_out)),
                _ => size(entry.bytes_out),
            },
            received: size(entry.bytes_in),
            status: status(entry),
            duration: entry
                .duration_ms
                .and_then(|ms| u64::try_from(ms).ok())
                .map_or_else(|| "–".to_owned(), format::milliseconds),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Switch {
    /// `true` or `false`: what it becomes.
    on: String,
}

pub async fn switch(
    guard: Guard<EgressEdit>,
    id: web::Path<String>,
    form: Form<Switch>,
) -> Result<HttpResponse, Problem> {
    let on = form.0.on == "true";
    let found = destinations::set_enabled(&guard.app.db, &guard.ctx, &guard.grant()?, path_id(&id)?, on).await?;
    let name = destinations::known(found)?.name();
    let told = match on {
        true => format!("{name} is on. Calls may go there again."),
        false => format!("{name} is off. Nothing goes there any more, and calls under way were broken off."),
    };
    Ok(page::told(EGRESS, &Flash::new(Tone::Ok, told)))
}

fn status(entry: &Entry) -> CallStatus {
    let reason = entry.reason.clone().unwrap_or_default();
    match (entry.outcome, entry.status.and_then(|status| u16::try_from(status).ok())) {
        (Outcome::Open, _) => CallStatus::Open,
        (Outcome::Refused, _) => CallStatus::Refused(reason),
        (Outcome::Cancelled, _) => CallStatus::Stopped(reason),
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
