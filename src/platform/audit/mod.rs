//! The audit log: what was done, by whom, to what. A row commits with the act that it describes, or neither does.
//!
//! Rows name people and things by id and say what changed in words and whole numbers. What may say more (a reason that
//! somebody typed, the network of a sign-in) is a note beside them that can be erased. At commit the database puts every
//! entry at the end of a hash chain; the application can add entries and can change nothing. Signed checkpoints of the
//! chain go to where the database cannot reach. The encoding and what it proves: docs/audit.md.

use diesel::{dsl::insert_into, sql_types};
use diesel_async::RunQueryDsl;
use serde_json::Value;
use uuid::Uuid;

use super::db::{DbError, Tx, schema::audit_entries::dsl as t};
use crate::base::{
    ctx::{Actor, Ctx},
    ids::{AuditId, PersonId},
};

pub mod attest;
mod chain;
mod checkpoint;
mod checks;
mod data_map;
pub mod export;
mod log;
mod syslog;
pub mod verify;

pub use chain::{Entry, Linked, links, newest};
pub use checkpoint::{Checkpoint, read as read_checkpoints};
pub use checks::QUESTIONS;
pub use data_map::DATA_MAP;
pub use log::{By, Filter, actions, actors, find, list};

/// An act to be recorded.
#[derive(Debug)]
pub struct Act {
    /// Who did it, where the act itself makes them known: a sign-in begins with nobody.
    pub actor: Option<PersonId>,
    /// Room and verb: `people.add`, `caps.set`.
    pub action: &'static str,
    pub object: Option<(&'static str, Uuid)>,
    pub outcome: Outcome,
    pub details: Value,
    pub note: Note,
}

/// What an entry says beside ids, and what can therefore be erased.
#[derive(Clone, Debug, Default)]
pub struct Note {
    pub reason: Option<String>,
    pub network: Option<String>,
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
            details: Value::Object(Default::default()),
            note: Note::default(),
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
        self.note.reason = Some(reason.into());
        self
    }

    /// The network that a person came from.
    pub fn from_network(mut self, network: impl Into<String>) -> Self {
        self.note.network = Some(network.into());
        self
    }

    /// Ids, whole numbers and names of fields; never content.
    pub fn details(mut self, details: Value) -> Self {
        self.details = details;
        self
    }
}

/// Writes the row in the transaction of the act. The database puts it into the chain when that commits.
pub async fn record(tx: &mut Tx, ctx: &Ctx, act: Act) -> Result<(), DbError> {
    let entry = Entry::new(ctx, act)?;
    insert_into(t::audit_entries).values(entry).execute(&mut **tx).await?;
    Ok(())
}

/// Erases what entries by or about this person say beside ids, and records that. The chain stays whole: it has the hash
/// of what is gone. Returns how many entries lost their note.
pub async fn erase_notes(tx: &mut Tx, ctx: &Ctx, person: PersonId) -> Result<i64, DbError> {
    let erased = diesel::select(audit_erase_notes(person.uuid())).get_result(&mut **tx).await?;
    let details = serde_json::json!({ "entries": erased });
    record(tx, ctx, Act::done(ERASE).on("person", person).details(details)).await?;
    Ok(erased)
}

/// The act that accounts for notes which are gone.
const ERASE: &str = "audit.erase_notes";

#[diesel::declare_sql_function]
extern "SQL" {
    fn audit_erase_notes(person: sql_types::Uuid) -> sql_types::BigInt;
}

/// Who acted, as the log has it.
fn actor(ctx: &Ctx, act: &Act) -> (&'static str, Option<Uuid>) {
    match (act.actor, &ctx.actor) {
        (Some(person), _) => ("person", Some(person.uuid())),
        (None, Actor::Nobody) => ("nobody", None),
        (None, Actor::System(_)) => ("system", None),
        (None, Actor::Person(acting)) => ("person", Some(acting.person.uuid())),
    }
}

fn new_id(ctx: &Ctx) -> Uuid {
    AuditId::new(&ctx.clock).uuid()
}
