//! The egress ledger: a row for every call, committed before its first byte, completed when it ends. No bodies.

use chrono::{DateTime, Duration, NaiveDate, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::destinations::{self, Category, Destination, Row as DestinationRow};
use crate::{
    base::{
        access::{EgressRead, Grant},
        clock::Clock,
        ids::{DestinationId, EgressCallId, GenerationId, PersonId},
        paging::{Page, PageRequest},
    },
    platform::db::{
        Conn, Db, DbError, Tx,
        schema::{egress_calls as calls, egress_destinations},
    },
};

/// What a call is for, and for whom.
#[derive(Clone, Debug)]
pub struct About {
    pub purpose: Purpose,
    pub categories: Vec<Category>,
    pub person: Option<PersonId>,
    pub generation: Option<GenerationId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    Generation,
    /// An administrator tries whether a provider answers.
    Test,
}

impl Purpose {
    pub const ALL: [Self; 2] = [Self::Generation, Self::Test];

    /// What a destination must be allowed for.
    pub(super) fn of_destination(self) -> &'static str {
        match self {
            Self::Generation | Self::Test => destinations::INFERENCE,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Generation => "generation",
            Self::Test => "test",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Under way.
    Open,
    /// An answer came, whatever it said.
    Answered,
    /// It was not let out.
    Refused,
    /// No connection, or a connection that broke.
    Failed,
    TimedOut,
    /// Broken off here: the person did not want it any more, or the destination was switched off.
    Cancelled,
    /// The server died in the middle of it.
    Lost,
}

impl Outcome {
    pub const ALL: [Self; 7] =
        [Self::Open, Self::Answered, Self::Refused, Self::Failed, Self::TimedOut, Self::Cancelled, Self::Lost];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Answered => "answered",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Cancelled => "cancelled",
            Self::Lost => "lost",
        }
    }
}

/// How a call ended.
#[derive(Clone, Debug)]
pub(super) struct End {
    pub outcome: Outcome,
    pub reason: Option<String>,
    pub status: Option<u16>,
    pub bytes_out: u64,
    pub bytes_in: u64,
    pub duration_ms: u64,
}

pub(super) async fn open(
    tx: &mut Tx,
    clock: &Clock,
    destination: DestinationId,
    about: &About,
    most: u64,
    limit: std::time::Duration,
) -> Result<EgressCallId, DbError> {
    let id = EgressCallId::new(clock);
    let now = clock.now();
    let limit = Duration::from_std(limit).unwrap_or(Duration::days(1));
    diesel::insert_into(calls::table)
        .values((
            calls::id.eq(id.uuid()),
            calls::at.eq(now),
            calls::destination_id.eq(destination.uuid()),
            calls::purpose.eq(about.purpose.as_str()),
            calls::person_id.eq(about.person.map(|id| id.uuid())),
            calls::generation_id.eq(about.generation.map(|id| id.uuid())),
            calls::categories.eq(about.categories.iter().map(|category| category.as_str()).collect::<Vec<_>>()),
            // Unless its end is written down, all of it may have left.
            calls::bytes_out.eq(i64::try_from(most).unwrap_or(i64::MAX)),
            calls::deadline.eq(now + limit),
        ))
        .execute(&mut **tx)
        .await?;
    Ok(id)
}

pub(super) async fn close(conn: &mut Conn, id: EgressCallId, end: &End) -> Result<(), DbError> {
    let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    diesel::update(calls::table.find(id.uuid()))
        .set((
            calls::outcome.eq(end.outcome.as_str()),
            calls::reason.eq(&end.reason),
            calls::status.eq(end.status.map(i32::from)),
            calls::bytes_out.eq(count(end.bytes_out)),
            calls::bytes_in.eq(count(end.bytes_in)),
            calls::duration_ms.eq(count(end.duration_ms)),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Closes the rows of servers that died in the middle of a call; returns how many.
pub async fn sweep(db: &Db, clock: &Clock) -> Result<usize, DbError> {
    let over = clock.now() - Duration::minutes(1);
    let open = calls::table.filter(calls::outcome.eq("open").and(calls::deadline.lt(over)));
    Ok(diesel::update(open)
        .set((calls::outcome.eq(Outcome::Lost.as_str()), calls::reason.eq("this server stopped in the middle of it")))
        .execute(&mut *db.read().await?)
        .await?)
}

/// Deletes rows that are older than a year; returns how many.
pub async fn forget_old(db: &Db, clock: &Clock) -> Result<usize, DbError> {
    let old = calls::table.filter(calls::at.lt(clock.now() - Duration::days(365)));
    Ok(diesel::delete(old).execute(&mut *db.read().await?).await?)
}

/// One call with where it went.
#[derive(Clone, Debug)]
pub struct Entry {
    pub id: EgressCallId,
    pub at: DateTime<Utc>,
    pub destination: Destination,
    pub purpose: String,
    pub person: Option<PersonId>,
    pub generation: Option<GenerationId>,
    pub categories: Vec<String>,
    /// While it is open, and when its end is not known: the most that can have left.
    pub bytes_out: i64,
    pub bytes_in: i64,
    pub status: Option<i32>,
    pub outcome: Outcome,
    pub reason: Option<String>,
    pub duration_ms: Option<i64>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = calls)]
struct CallRow {
    id: Uuid,
    at: DateTime<Utc>,
    purpose: String,
    person_id: Option<Uuid>,
    generation_id: Option<Uuid>,
    categories: Vec<String>,
    bytes_out: i64,
    bytes_in: i64,
    status: Option<i32>,
    outcome: String,
    reason: Option<String>,
    duration_ms: Option<i64>,
}

impl From<(CallRow, DestinationRow)> for Entry {
    fn from((call, destination): (CallRow, DestinationRow)) -> Self {
        let outcome = Outcome::ALL.into_iter().find(|outcome| outcome.as_str() == call.outcome);
        Self {
            id: call.id.into(),
            at: call.at,
            destination: destination.into(),
            purpose: call.purpose,
            person: call.person_id.map(Into::into),
            generation: call.generation_id.map(Into::into),
            categories: call.categories,
            bytes_out: call.bytes_out,
            bytes_in: call.bytes_in,
            status: call.status,
            outcome: outcome.unwrap_or(Outcome::Lost),
            reason: call.reason,
            duration_ms: call.duration_ms,
        }
    }
}

/// What to look for; everything given must hold.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub destination: Option<DestinationId>,
    pub purpose: Option<Purpose>,
    pub person: Option<PersonId>,
    pub generation: Option<GenerationId>,
    /// Any of these; none: whatever came of it.
    pub outcomes: Vec<Outcome>,
    pub status: Option<u16>,
    pub since: Option<DateTime<Utc>>,
    /// Before this.
    pub until: Option<DateTime<Utc>>,
}

macro_rules! filtered {
    ($query:expr, $filter:expr) => {{
        let mut query = $query.into_boxed();
        if let Some(id) = $filter.destination {
            query = query.filter(calls::destination_id.eq(id.uuid()));
        }
        if let Some(purpose) = $filter.purpose {
            query = query.filter(calls::purpose.eq(purpose.as_str()));
        }
        if let Some(id) = $filter.person {
            query = query.filter(calls::person_id.eq(id.uuid()));
        }
        if let Some(id) = $filter.generation {
            query = query.filter(calls::generation_id.eq(id.uuid()));
        }
        if !$filter.outcomes.is_empty() {
            let words: Vec<&str> = $filter.outcomes.iter().map(|outcome| outcome.as_str()).collect();
            query = query.filter(calls::outcome.eq_any(words));
        }
        if let Some(status) = $filter.status {
            query = query.filter(calls::status.eq(i32::from(status)));
        }
        if let Some(since) = $filter.since {
            query = query.filter(calls::at.ge(since));
        }
        if let Some(until) = $filter.until {
            query = query.filter(calls::at.lt(until));
        }
        query
    }};
}

/// Newest first.
pub async fn list(
    db: &Db,
    _grant: &Grant<EgressRead>,
    filter: &Filter,
    page: &PageRequest,
) -> Result<Page<Entry>, DbError> {
    let joined = calls::table
        .inner_join(egress_destinations::table)
        .order(calls::id.desc())
        .limit(page.fetch())
        .select((CallRow::as_select(), DestinationRow::as_select()));
    let mut query = filtered!(joined, filter);
    if let Some(before) = page.before {
        query = query.filter(calls::id.lt(before));
    }
    let rows: Vec<(CallRow, DestinationRow)> = query.load(&mut *db.read().await?).await?;
    Ok(Page::from_fetched(rows.into_iter().map(Entry::from).collect(), page, |entry| entry.id.uuid()))
}

/// Everybody for whom a call was made, at most two hundred.
pub async fn callers(db: &Db, _grant: &Grant<EgressRead>) -> Result<Vec<PersonId>, DbError> {
    let ids: Vec<Option<Uuid>> = calls::table
        .filter(calls::person_id.is_not_null())
        .select(calls::person_id)
        .distinct()
        .limit(200)
        .load(&mut *db.read().await?)
        .await?;
    Ok(ids.into_iter().flatten().map(PersonId::from).collect())
}

/// Sums over everything that a filter lets through.
#[derive(Clone, Debug)]
pub struct Share {
    pub destination: DestinationId,
    pub outcome: String,
    pub calls: i64,
    pub bytes_out: i64,
    pub bytes_in: i64,
}

/// One share for each destination and outcome.
pub async fn shares(db: &Db, _grant: &Grant<EgressRead>, filter: &Filter) -> Result<Vec<Share>, DbError> {
    use diesel::{dsl::count_star, sql_types::BigInt};
    // A sum of 64-bit integers is a numeric in Postgres; what a machine can send fits in 64 bits.
    let whole = |name| diesel::dsl::sql::<BigInt>(name);
    let grouped = calls::table.group_by((calls::destination_id, calls::outcome)).select((
        calls::destination_id,
        calls::outcome,
        count_star(),
        whole("sum(bytes_out)::bigint"),
        whole("sum(bytes_in)::bigint"),
    ));
    let rows: Vec<(Uuid, String, i64, i64, i64)> = filtered!(grouped, filter).load(&mut *db.read().await?).await?;
    Ok(rows
        .into_iter()
        .map(|(destination, outcome, calls, bytes_out, bytes_in)| Share {
            destination: destination.into(),
            outcome,
            calls,
            bytes_out,
            bytes_in,
        })
        .collect())
}

/// The sum of a day's calls to one destination.
#[derive(Clone, Debug)]
pub struct Day {
    pub day: NaiveDate,
    pub destination: DestinationId,
    pub calls: i64,
    pub bytes_out: i64,
    pub bytes_in: i64,
}

/// Newest first, at most five thousand: three months of fifty destinations.
pub async fn days(db: &Db, _grant: &Grant<EgressRead>, filter: &Filter) -> Result<Vec<Day>, DbError> {
    use diesel::{
        dsl::sql,
        sql_types::{BigInt, Date, Uuid as Id},
    };
    // By the first two columns; connections speak UTC.
    let grouped = calls::table.group_by(sql::<Date>("1, 2")).select((
        sql::<Date>("at::date"),
        sql::<Id>("destination_id"),
        sql::<BigInt>("count(*)"),
        sql::<BigInt>("sum(bytes_out)::bigint"),
        sql::<BigInt>("sum(bytes_in)::bigint"),
    ));
    let newest = filtered!(grouped, filter).order(sql::<Date>("1 desc, 2")).limit(5000);
    let rows: Vec<(NaiveDate, Uuid, i64, i64, i64)> = newest.load(&mut *db.read().await?).await?;
    let day = |(day, destination, calls, bytes_out, bytes_in): (NaiveDate, Uuid, i64, i64, i64)| Day {
        day,
        destination: destination.into(),
        calls,
        bytes_out,
        bytes_in,
    };
    Ok(rows.into_iter().map(day).collect())
}
