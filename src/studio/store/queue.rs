//! The whole queue at a glance, without a look at anybody's work.

use chrono::{DateTime, Utc};
use diesel::{
    dsl::{count_star, min},
    prelude::*,
};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::{
    base::{
        access::{GenerationsResolve, Grant, HealthRead},
        ids::{GenerationId, PersonId},
        money::Micros,
        paging::{Page, PageRequest},
    },
    platform::db::{
        Conn, DbError,
        schema::generations::{self, dsl as g},
    },
};

/// How much of everybody's work runs, waits, and needs a decision.
#[derive(Clone, Debug, Default)]
pub struct Queue {
    pub running: i64,
    pub waiting: i64,
    /// Generations whose outcome the provider never told.
    pub unknown: i64,
    /// When the one that waits longest was accepted.
    pub oldest: Option<DateTime<Utc>>,
}

pub async fn queue(conn: &mut Conn, _grant: &Grant<HealthRead>) -> Result<Queue, DbError> {
    let rows: Vec<(String, i64, Option<DateTime<Utc>>)> = g::generations
        .filter(g::ended_at.is_null())
        .group_by(g::state)
        .select((g::state, count_star(), min(g::created_at)))
        .load(conn)
        .await?;
    let mut queue = Queue::default();
    for (state, count, oldest) in rows {
        match state.as_str() {
            "queued" => (queue.waiting, queue.oldest) = (count, oldest),
            "unknown" => queue.unknown = count,
            _ => queue.running += count,
        }
    }
    Ok(queue)
}

/// A generation whose outcome nobody knows, without what was to be made.
#[derive(Clone, Debug)]
pub struct Lost {
    pub id: GenerationId,
    pub person: PersonId,
    pub model: String,
    pub provider: String,
    pub count: u32,
    pub held: Micros,
    /// When it was sent.
    pub sent_at: DateTime<Utc>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = generations)]
struct LostRow {
    id: Uuid,
    person_id: Uuid,
    model_id: String,
    provider: String,
    count: i32,
    held_micros: i64,
    created_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
}

impl From<LostRow> for Lost {
    fn from(row: LostRow) -> Self {
        Self {
            id: row.id.into(),
            person: row.person_id.into(),
            model: row.model_id,
            provider: row.provider,
            count: u32::try_from(row.count).unwrap_or(1),
            held: Micros(row.held_micros),
            sent_at: row.started_at.unwrap_or(row.created_at),
        }
    }
}

/// Everybody's generations whose outcome nobody knows, newest first.
pub async fn lost(
    conn: &mut Conn,
    _grant: &Grant<GenerationsResolve>,
    page: &PageRequest,
) -> Result<Page<Lost>, DbError> {
    let mut query = g::generations.filter(g::state.eq("unknown")).order(g::id.desc()).limit(page.fetch()).into_boxed();
    if let Some(before) = page.before {
        query = query.filter(g::id.lt(before));
    }
    let rows: Vec<LostRow> = query.select(LostRow::as_select()).load(conn).await?;
    let page = Page::from_fetched(rows, page, |row| row.id);
    Ok(page.map(Lost::from))
}

/// One of them.
pub async fn find_lost(
    conn: &mut Conn,
    _grant: &Grant<GenerationsResolve>,
    id: GenerationId,
) -> Result<Option<Lost>, DbError> {
    let found = g::generations.filter(g::id.eq(id.uuid()).and(g::state.eq("unknown"))).select(LostRow::as_select());
    Ok(found.first::<LostRow>(conn).await.optional()?.map(Lost::from))
}
