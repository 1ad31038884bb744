//! The chain: what of an entry is hashed, in which form, and how one entry hangs on the one before it.
//!
//! The database computes a link when a transaction commits; this file has the same formula for whoever checks it. A
//! change to either is a change to docs/audit.md and makes every log unverifiable that was begun before.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use data_encoding::HEXLOWER;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Act, Note, actor, new_id};
use crate::{
    base::{ctx::Ctx, random},
    platform::{
        crypto::digest,
        db::{
            Conn, DbError,
            schema::{audit_chain::dsl as c, audit_entries, audit_entries::dsl as e},
        },
    },
};

pub(super) type Hash = [u8; 32];

/// What the first entry hangs on.
pub(super) const BEGINNING: Hash = [0; 32];

#[derive(Clone, Debug, PartialEq, Queryable, Selectable, Insertable)]
#[diesel(table_name = audit_entries)]
pub struct Entry {
    pub id: Uuid,
    pub at: DateTime<Utc>,
    pub actor_kind: String,
    pub actor_id: Option<Uuid>,
    pub action: String,
    pub object_kind: Option<String>,
    pub object_id: Option<Uuid>,
    pub outcome: String,
    pub details: Value,
    pub request_id: String,
    pub reason: Option<String>,
    pub network: Option<String>,
    pub note_salt: Option<Vec<u8>>,
    pub note_digest: Option<Vec<u8>>,
    pub digest: Vec<u8>,
}

impl Entry {
    pub(super) fn new(ctx: &Ctx, act: Act) -> Result<Self, random::NoRandomness> {
        let (actor_kind, actor_id) = actor(ctx, &act);
        let noted = act.note.reason.is_some() || act.note.network.is_some();
        let salt = if noted { Some(random::bytes::<16>()?.to_vec()) } else { None };
        let mut entry = Self {
            id: new_id(ctx),
            at: ctx.clock.now(),
            actor_kind: actor_kind.to_owned(),
            actor_id,
            action: act.action.to_owned(),
            object_kind: act.object.map(|(kind, _)| kind.to_owned()),
            object_id: act.object.map(|(_, id)| id),
            outcome: act.outcome.as_str().to_owned(),
            details: whole(act.details),
            request_id: ctx.request.as_str().to_owned(),
            note_digest: salt.as_deref().map(|salt| digest_of_note(salt, &act.note).to_vec()),
            note_salt: salt,
            reason: act.note.reason,
            network: act.note.network,
            digest: Vec::new(),
        };
        entry.digest = entry.expected_digest().to_vec();
        Ok(entry)
    }

    /// What its digest must be.
    pub(super) fn expected_digest(&self) -> Hash {
        digest(canonical(&self.hashed()).as_bytes())
    }

    /// Everything that the chain holds fast: ids and what changed, and of the note its hash alone.
    fn hashed(&self) -> Value {
        json!({
            "id": self.id,
            "at": self.at.to_rfc3339_opts(SecondsFormat::Micros, true),
            "actor_kind": self.actor_kind,
            "actor_id": self.actor_id,
            "action": self.action,
            "object_kind": self.object_kind,
            "object_id": self.object_id,
            "outcome": self.outcome,
            "details": self.details,
            "request_id": self.request_id,
            "note": self.note_digest.as_deref().map(|hash| HEXLOWER.encode(hash)),
        })
    }

    /// What its note's digest must be; none when the note is gone or never was.
    pub(super) fn expected_note_digest(&self) -> Option<Hash> {
        let note = Note { reason: self.reason.clone(), network: self.network.clone() };
        self.note_salt.as_deref().map(|salt| digest_of_note(salt, &note))
    }
}

/// Salted, so that nobody finds an erased note by trying likely ones.
fn digest_of_note(salt: &[u8], note: &Note) -> Hash {
    let text = canonical(&json!({ "reason": note.reason, "network": note.network }));
    digest(&[salt, text.as_bytes()].concat())
}

/// The hash at `seq`: of the one before it, the place, and the entry.
pub(super) fn link(before: &[u8], seq: i64, digest_of_entry: &[u8]) -> Hash {
    digest(&[before, &seq.to_be_bytes(), digest_of_entry].concat())
}

/// JSON with one spelling only: RFC 8785, for values without fractions.
pub(super) fn canonical(value: &Value) -> String {
    match value {
        Value::Array(values) => format!("[{}]", values.iter().map(canonical).collect::<Vec<_>>().join(",")),
        Value::Object(fields) => {
            let sorted: BTreeMap<&String, &Value> = fields.iter().collect();
            let text = |name: &String| Value::String(name.clone()).to_string();
            let fields = sorted.into_iter().map(|(name, value)| format!("{}:{}", text(name), canonical(value)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
    }
}

/// Numbers with a fraction become text: programs differ in how they spell them, and the database may too.
fn whole(value: Value) -> Value {
    match value {
        Value::Number(number) if number.is_f64() => Value::String(number.to_string()),
        Value::Array(values) => values.into_iter().map(whole).collect(),
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, whole(value))).collect(),
        other => other,
    }
}

/// A place in the chain with the entry that stands there.
#[derive(Clone, Debug, Queryable)]
pub struct Linked {
    pub seq: i64,
    pub entry_id: Uuid,
    pub hash: Vec<u8>,
    /// None: the entry was deleted.
    pub entry: Option<Entry>,
}

/// Up to `limit` places after `after`, in order.
pub async fn links(conn: &mut Conn, after: i64, limit: i64) -> Result<Vec<Linked>, DbError> {
    let places = c::audit_chain.left_join(e::audit_entries.on(e::id.eq(c::entry_id)));
    let next = places.filter(c::seq.gt(after)).order(c::seq).limit(limit);
    Ok(next.select((c::seq, c::entry_id, c::hash, Option::<Entry>::as_select())).load(conn).await?)
}

/// The last place and its hash.
pub async fn newest(conn: &mut Conn) -> Result<Option<(i64, Vec<u8>)>, DbError> {
    let last = c::audit_chain.order(c::seq.desc()).select((c::seq, c::hash));
    Ok(last.first(conn).await.optional()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_json_has_one_spelling() {
        let value = json!({ "b": [1, null, true], "a": { "é": "\"\n\u{1}", "A": -7 } });
        assert_eq!(canonical(&value), r#"{"a":{"A":-7,"é":"\"\n\u0001"},"b":[1,null,true]}"#);
    }

    #[test]
    fn fractions_become_text() {
        assert_eq!(whole(json!({ "a": [0.5, 1, u64::MAX] })), json!({ "a": ["0.5", 1, u64::MAX] }));
    }

    /// The worked example of docs/audit.md: whoever writes a checker of their own begins with it.
    #[test]
    fn the_documented_example_is_right() {
        let mut entry = Entry {
            id: Uuid::from_u128(1),
            at: DateTime::from_timestamp(1_795_176_000, 123_456_000).unwrap(),
            actor_kind: "system".to_owned(),
            actor_id: None,
            action: "caps.set".to_owned(),
            object_kind: Some("cap".to_owned()),
            object_id: Some(Uuid::from_u128(2)),
            outcome: "done".to_owned(),
            details: json!({ "limit_micros": 40_000 }),
            request_id: "req_1".to_owned(),
            reason: Some("agreed".to_owned()),
            network: None,
            note_salt: Some(vec![0; 16]),
            note_digest: None,
            digest: Vec::new(),
        };
        entry.note_digest = entry.expected_note_digest().map(Vec::from);
        let digest = entry.expected_digest();
        let page = include_str!("../../../docs/audit.md");
        for part in [
            canonical(&entry.hashed()),
            HEXLOWER.encode(&digest),
            HEXLOWER.encode(&link(&BEGINNING, 1, &digest)),
            HEXLOWER.encode(entry.note_digest.as_deref().unwrap()),
        ] {
            assert!(page.contains(&part), "docs/audit.md lacks {part}");
        }
    }
}
