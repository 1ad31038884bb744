//! The audit log: what was done, by whom, to what. A row commits with the act that it describes, or neither does.
//!
//! Rows name people and things by id and say what changed in words and numbers; they hold no personal content.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde_json::Value;
use uuid::Uuid;

use super::db::{DbError, Tx, schema::audit_entries::dsl as t};
use crate::base::{
    access::{AuditRead, Grant},
    ctx::{Actor, Ctx},
    data_map::{Category, Column, OnDeletion, Retention, Table, Whose},
    ids::{AuditId, PersonId},
    paging::{Page, PageRequest},
};

/// An act to be recorded.
#[derive(Debug)]
pub struct Act {
    /// Who did it, where the act itself makes them known: a sign-in begins with nobody.
    pub actor: Option<PersonId>,
    /// Room and verb: `people.add`, `caps.set`.
    pub action: &'static str,
    pub object: Option<(&'static str, Uuid)>,
    pub outcome: Outcome,
    pub reason: Option<String>,
    pub details: Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    Refused,
    Failed,
}

impl Outcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

impl Act {
    pub fn done(action: &'static str) -> Self {
        Self {
            actor: None,
            action,
            object: None,
            outcome: Outcome::Done,
            reason: None,
            details: Value::Object(Default::default()),
        }
    }

    pub fn by(mut self, person: PersonId) -> Self {
        self.actor = Some(person);
        self
    }

    pub fn on(mut self, kind: &'static str, id: impl Into<Uuid>) -> Self {
        self.object = Some((kind, id.into()));
        self
    }

    pub fn outcome(mut self, outcome: Outcome) -> Self {
        self.outcome = outcome;
        self
    }

    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// Ids, numbers and names of fields; never content.
    pub fn details(mut self, details: Value) -> Self {
        self.details = details;
        self
    }
}

/// Writes the row in the transaction of the act.
pub async fn record(tx: &mut Tx, ctx: &Ctx, act: Act) -> Result<(), DbError> {
    let (kind, actor) = match (act.actor, &ctx.actor) {
        (Some(person), _) => ("person", Some(person.uuid())),
        (None, Actor::Nobody) => ("nobody", None),
        (None, Actor::System(_)) => ("system", None),
        (None, Actor::Person(acting)) => ("person", Some(acting.person.uuid())),
    };
    diesel::insert_into(t::audit_entries)
        .values((
            t::id.eq(AuditId::new(&ctx.clock).uuid()),
            t::at.eq(ctx.clock.now()),
            t::actor_kind.eq(kind),
            t::actor_id.eq(actor),
            t::action.eq(act.action),
            t::object_kind.eq(act.object.map(|(kind, _)| kind)),
            t::object_id.eq(act.object.map(|(_, id)| id)),
            t::outcome.eq(act.outcome.as_str()),
            t::reason.eq(act.reason),
            t::details.eq(act.details),
            t::request_id.eq(ctx.request.as_str()),
        ))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = super::db::schema::audit_entries)]
pub struct Entry {
    pub id: Uuid,
    pub at: DateTime<Utc>,
    pub actor_kind: String,
    pub actor_id: Option<Uuid>,
    pub action: String,
    pub object_kind: Option<String>,
    pub object_id: Option<Uuid>,
    pub outcome: String,
    pub reason: Option<String>,
    pub details: Value,
    pub request_id: String,
}

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
    db: &super::db::Db,
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

pub async fn find(db: &super::db::Db, _grant: &Grant<AuditRead>, id: AuditId) -> Result<Option<Entry>, DbError> {
    let found = t::audit_entries.find(id.uuid()).select(Entry::as_select());
    Ok(found.first(&mut *db.read().await?).await.optional()?)
}

/// Every action that was ever recorded, in order of the alphabet.
pub async fn actions(db: &super::db::Db, _grant: &Grant<AuditRead>) -> Result<Vec<String>, DbError> {
    let all = t::audit_entries.select(t::action).distinct().order(t::action).limit(200);
    Ok(all.load(&mut *db.read().await?).await?)
}

/// Everybody who ever did something recorded.
pub async fn actors(db: &super::db::Db, _grant: &Grant<AuditRead>) -> Result<Vec<Uuid>, DbError> {
    let known = t::audit_entries.filter(t::actor_id.is_not_null());
    let all = known.select(t::actor_id.assume_not_null()).distinct().limit(200);
    Ok(all.load(&mut *db.read().await?).await?)
}

const KEPT: OnDeletion = OnDeletion::Keep("proves who did what; names people by id only");

const fn entry(name: &'static str) -> Column {
    Column::new(name, Category::Activity, Whose::Organisation, false, KEPT, Retention::Years(7))
}

pub const DATA_MAP: &[Table] = &[Table {
    name: "audit_entries",
    columns: &[
        entry("id"),
        entry("at"),
        entry("actor_kind"),
        entry("actor_id"),
        entry("action"),
        entry("object_kind"),
        entry("object_id"),
        entry("outcome"),
        entry("reason"),
        entry("details"),
        entry("request_id"),
    ],
}];
