//! The egress ledger as the API shows it, and the switch of each destination.

use actix_web::{HttpResponse, http::StatusCode, web};
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    base::{
        access::{EgressEdit, EgressRead},
        clock::At,
        error::Invalid,
        ids::{DestinationId, DestinationKind, EgressCallId, GenerationId, PersonId},
        paging::List,
    },
    platform::egress::{
        Destination, destinations,
        ledger::{self, Day, Entry, Filter, Outcome, Purpose},
    },
    web::{
        document::operation,
        extract::{Body, Query, path_id},
        guard::Guard,
        problem::Problem,
        route::{Route, get, patch},
    },
};

const EGRESS: &str = "/api/v1/admin/egress";

pub fn routes() -> Vec<Route> {
    vec![
        get(EGRESS, list_egress).documented(
            operation("egress", "Every call that left, or wanted to, newest first")
                .query::<EgressQuery>()
                .lists::<EgressItem>("A page of calls."),
        ),
        get("/api/v1/admin/egress/days", list_days).documented(
            operation("egress", "What left on each day to each destination, newest first")
                .query::<WhichCalls>()
                .lists::<DayItem>("The newest 5,000 sums; there are no more pages."),
        ),
        get("/api/v1/admin/egress/destinations", list_destinations).documented(
            operation("egress", "Where this server may connect to")
                .query::<NoQuery>()
                .lists::<DestinationItem>("All of them."),
        ),
        patch("/api/v1/admin/egress/destinations/{id}", switch_destination).documented(
            operation("egress", "Switch a destination off or on; off breaks off the calls that are under way")
                .id::<DestinationKind>("id")
                .body::<Switch>()
                .answers::<DestinationItem>(StatusCode::OK, "As it is now."),
        ),
    ]
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct EgressQuery {
    destination: Option<DestinationId>,
    #[param(inline)]
    purpose: Option<Purpose>,
    person: Option<PersonId>,
    generation: Option<GenerationId>,
    outcome: Option<Outcome>,
    /// Status of the answer.
    #[param(minimum = 100, maximum = 999)]
    status: Option<u16>,
    /// Only calls from this time on, RFC 3339.
    #[param(max_length = 64, format = DateTime)]
    since: Option<String>,
    /// Only calls before this time, RFC 3339.
    #[param(max_length = 64, format = DateTime)]
    until: Option<String>,
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    #[param(max_length = 255)]
    cursor: Option<String>,
}

impl EgressQuery {
    fn filter(&self) -> Result<Filter, Invalid> {
        let Self { destination, purpose, person, generation, outcome, status, .. } = *self;
        let (since, until) = (self.since.clone(), self.until.clone());
        WhichCalls { destination, purpose, person, generation, outcome, status, since, until }.filter()
    }
}

/// The same calls where there are no pages: sums and tables.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct WhichCalls {
    destination: Option<DestinationId>,
    #[param(inline)]
    purpose: Option<Purpose>,
    person: Option<PersonId>,
    generation: Option<GenerationId>,
    outcome: Option<Outcome>,
    /// Status of the answer.
    #[param(minimum = 100, maximum = 999)]
    status: Option<u16>,
    /// Only calls from this time on, RFC 3339.
    #[param(max_length = 64, format = DateTime)]
    since: Option<String>,
    /// Only calls before this time, RFC 3339.
    #[param(max_length = 64, format = DateTime)]
    until: Option<String>,
}

impl WhichCalls {
    pub fn filter(&self) -> Result<Filter, Invalid> {
        Ok(Filter {
            destination: self.destination,
            purpose: self.purpose,
            person: self.person,
            generation: self.generation,
            outcomes: self.outcome.into_iter().collect(),
            status: self.status.map(status).transpose()?,
            since: self.since.as_deref().map(|text| time("since", text)).transpose()?,
            until: self.until.as_deref().map(|text| time("until", text)).transpose()?,
        })
    }
}

fn status(number: u16) -> Result<u16, Invalid> {
    let wrong = || Invalid::field("status", "out_of_range", "A status is a number from 100 to 999.");
    (100..=999).contains(&number).then_some(number).ok_or_else(wrong)
}

fn time(name: &str, text: &str) -> Result<DateTime<Utc>, Invalid> {
    let time = DateTime::parse_from_rfc3339(text);
    let time = time.map_err(|_| Invalid::field(name, "malformed", "A time reads like 2026-11-20T12:00:00Z."))?;
    Ok(time.to_utc())
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct NoQuery {}

#[derive(Debug, Serialize, ToSchema)]
pub struct EgressItem {
    id: EgressCallId,
    at: At,
    /// Host, and the port where it is not the usual one.
    #[schema(max_length = 300)]
    destination: String,
    destination_id: DestinationId,
    /// `generation` or `test`.
    #[schema(max_length = 16)]
    purpose: String,
    person: Option<PersonId>,
    generation: Option<GenerationId>,
    /// Kinds of data that were sent.
    categories: Vec<String>,
    /// Head and body of the request. Of a call that is `open` or `lost`: the most that can have left.
    bytes_out: i64,
    /// Body of the answer.
    bytes_in: i64,
    /// Of the answer; null without one.
    status: Option<i32>,
    outcome: Outcome,
    /// Why no answer came, in a few fixed words.
    #[schema(max_length = 200)]
    reason: Option<String>,
    duration_ms: Option<i64>,
}

impl From<Entry> for EgressItem {
    fn from(entry: Entry) -> Self {
        Self {
            id: entry.id,
            at: entry.at.into(),
            destination: entry.destination.name(),
            destination_id: entry.destination.id,
            purpose: entry.purpose,
            person: entry.person,
            generation: entry.generation,
            categories: entry.categories,
            bytes_out: entry.bytes_out,
            bytes_in: entry.bytes_in,
            status: entry.status,
            outcome: entry.outcome,
            reason: entry.reason,
            duration_ms: entry.duration_ms,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub struct DestinationItem {
    id: DestinationId,
    /// What it may be called for: `inference`.
    #[schema(max_length = 16)]
    purpose: String,
    #[schema(max_length = 5)]
    scheme: String,
    #[schema(max_length = 255)]
    host: String,
    port: u16,
    /// Kinds of data that it may receive.
    categories: Vec<String>,
    /// Whether it may be on a private address.
    local: bool,
    /// Null: the configuration.
    allowed_by: Option<PersonId>,
    allowed_at: At,
    enabled: bool,
}

impl From<Destination> for DestinationItem {
    fn from(known: Destination) -> Self {
        Self {
            id: known.id,
            purpose: known.purpose,
            scheme: known.origin.scheme,
            host: known.origin.host,
            port: known.origin.port,
            categories: known.categories,
            local: known.local,
            allowed_by: known.allowed_by,
            allowed_at: known.allowed_at.into(),
            enabled: known.disabled_at.is_none(),
        }
    }
}

/// The sum of a day's calls to one destination.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EgressDay)]
pub struct DayItem {
    /// In UTC.
    day: NaiveDate,
    destination_id: DestinationId,
    calls: i64,
    bytes_out: i64,
    bytes_in: i64,
}

impl From<Day> for DayItem {
    fn from(sum: Day) -> Self {
        let Day { day, destination, calls, bytes_out, bytes_in } = sum;
        Self { day, destination_id: destination, calls, bytes_out, bytes_in }
    }
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Switch {
    enabled: bool,
}

async fn list_egress(guard: Guard<EgressRead>, query: Query<EgressQuery>) -> Result<HttpResponse, Problem> {
    let page = query.page(&guard.app.keys, EGRESS, query.value.limit, query.value.cursor.as_deref())?;
    let entries = ledger::list(&guard.app.db, &guard.grant()?, &query.value.filter()?, &page).await?;
    Ok(HttpResponse::Ok().json(query.list(&guard.app.keys, EGRESS, entries.map(EgressItem::from))))
}

async fn list_days(guard: Guard<EgressRead>, query: Query<WhichCalls>) -> Result<HttpResponse, Problem> {
    let days = ledger::days(&guard.app.db, &guard.grant()?, &query.value.filter()?).await?;
    let items: Vec<DayItem> = days.into_iter().map(Into::into).collect();
    Ok(HttpResponse::Ok().json(List { items, next_cursor: None }))
}

async fn list_destinations(guard: Guard<EgressRead>, _query: Query<NoQuery>) -> Result<HttpResponse, Problem> {
    let all = destinations::list(&guard.app.db, &guard.grant()?).await?;
    let items: Vec<DestinationItem> = all.into_iter().map(Into::into).collect();
    Ok(HttpResponse::Ok().json(List { items, next_cursor: None }))
}

async fn switch_destination(
    guard: Guard<EgressEdit>,
    id: web::Path<String>,
    body: Body<Switch>,
) -> Result<HttpResponse, Problem> {
    let (id, on) = (path_id(&id)?, body.value.enabled);
    let found = destinations::set_enabled(&guard.app.db, &guard.ctx, &guard.grant()?, id, on).await?;
    Ok(HttpResponse::Ok().json(DestinationItem::from(destinations::known(found)?)))
}
