//! What operators see of background work.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::{
    base::{
        access::{Grant, HealthRead},
        ids::JobId,
        paging::{Page, PageRequest},
    },
    platform::db::{
        Db, DbError,
        schema::{jobs, schedule},
    },
};

/// A job without its payload.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = jobs)]
pub struct Entry {
    pub id: JobId,
    pub queue: String,
    pub state: String,
    pub run_at: DateTime<Utc>,
    pub attempts: i32,
    pub last_error: Option<String>,
    pub request_id: String,
    pub created_at: DateTime<Utc>,
    pub ended_at: Option<DateTime<Utc>>,
}

/// What to look for; everything given must hold.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub queue: Option<String>,
    pub state: Option<String>,
}

/// Jobs that wait, run or ended in the last thirty days, newest first.
pub async fn list(
    db: &Db,
    _grant: &Grant<HealthRead>,
    filter: &Filter,
    page: &PageRequest,
) -> Result<Page<Entry>, DbError> {
    let mut query = jobs::table.order(jobs::id.desc()).limit(page.fetch()).select(Entry::as_select()).into_boxed();
    if let Some(before) = page.before {
        query = query.filter(jobs::id.lt(before));
    }
    if let Some(queue) = &filter.queue {
        query = query.filter(jobs::queue.eq(queue));
    }
    if let Some(state) = &filter.state {
        query = query.filter(jobs::state.eq(state));
    }
    let rows = query.load(&mut *db.read().await?).await?;
    Ok(Page::from_fetched(rows, page, |row: &Entry| row.id.uuid()))
}

/// When a reconciler last ran, and how that ended.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = schedule)]
pub struct Turn {
    pub name: String,
    pub last_started_at: DateTime<Utc>,
    pub last_ended_at: Option<DateTime<Utc>>,
    pub last_error: Option<String>,
}

pub async fn turns(db: &Db, _grant: &Grant<HealthRead>) -> Result<Vec<Turn>, DbError> {
    Ok(schedule::table.order(schedule::name).select(Turn::as_select()).load(&mut *db.read().await?).await?)
}
