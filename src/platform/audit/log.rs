//! The log as pages and the API look through it.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::{Entry, Outcome};
use crate::{
    base::{
        access::{AuditRead, Grant},
        ids::AuditId,
        paging::{Page, PageRequest},
    },
    platform::db::{Db, DbError, schema::audit_entries::dsl as t},
};

/// What to look for; everything given must hold.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub actor: Option<By>,
    pub action: Option<String>,
    pub object: Option<Uuid>,
    pub outcome: Option<Outcome>,
    pub since: Option<DateTime<Utc>>,
}

/// Whose acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Person(Uuid),
    System,
}

pub async fn list(
    db: &Db,
    _grant: &Grant<AuditRead>,
    filter: &Filter,
    page: &PageRequest,
) -> Result<Page<Entry>, DbError> {
    let mut query = t::audit_entries.order(t::id.desc()).limit(page.fetch()).select(Entry::as_select()).into_boxed();
    if let Some(before) = page.before {
        query = query.filter(t::id.lt(before));
    }
    match filter.actor {
        Some(By::Person(person)) => query = query.filter(t::actor_id.eq(person)),
        Some(By::System) => query = query.filter(t::actor_kind.eq("system")),
        None => {}
    }
    if let Some(action) = &filter.action {
        query = query.filter(t::action.eq(action));
    }
    if let Some(object) = filter.object {
        query = query.filter(t::object_id.eq(object));
    }
    if let Some(outcome) = filter.outcome {
        query = query.filter(t::outcome.eq(outcome.as_str()));
    }
    if let Some(since) = filter.since {
        query = query.filter(t::at.ge(since));
    }
    let rows = query.load(&mut *db.read().await?).await?;
    Ok(Page::from_fetched(rows, page, |row| row.id))
}

pub async fn find(db: &Db, _grant: &Grant<AuditRead>, id: AuditId) -> Result<Option<Entry>, DbError> {
    let found = t::audit_entries.find(id.uuid()).select(Entry::as_select());
    Ok(found.first(&mut *db.read().await?).await.optional()?)
}

/// Every action that was ever recorded, in order of the alphabet.
pub async fn actions(db: &Db, _grant: &Grant<AuditRead>) -> Result<Vec<String>, DbError> {
    let all = t::audit_entries.select(t::action).distinct().order(t::action).limit(200);
    Ok(all.load(&mut *db.read().await?).await?)
}

/// Everybody who ever did something recorded.
pub async fn actors(db: &Db, _grant: &Grant<AuditRead>) -> Result<Vec<Uuid>, DbError> {
    let known = t::audit_entries.filter(t::actor_id.is_not_null());
    let all = known.select(t::actor_id.assume_not_null()).distinct().limit(200);
    Ok(all.load(&mut *db.read().await?).await?)
}
