//! What the audit tables hold, and about whom.

use crate::base::data_map::{Category, Column, OnDeletion, Retention, Table, Whose};

const KEPT: OnDeletion = OnDeletion::Keep("proves who did what; names people by id only");

const fn entry(name: &'static str) -> Column {
    Column::new(name, Category::Activity, Whose::Organisation, false, KEPT, Retention::Years(7))
}

/// Goes with the person; the entry keeps its salted hash.
const fn note(name: &'static str) -> Column {
    Column::new(name, Category::Activity, Whose::Person, false, OnDeletion::Erase, Retention::Years(7))
}

const fn proof(name: &'static str) -> Column {
    Column::operational(name, Retention::Forever("proves that the log is whole"))
}

pub const DATA_MAP: &[Table] = &[
    Table {
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
            entry("details"),
            entry("request_id"),
            note("reason"),
            note("network"),
            note("note_salt"),
            entry("note_digest"),
            entry("digest"),
        ],
    },
    Table { name: "audit_chain", columns: &[proof("seq"), proof("entry_id"), proof("hash")] },
    Table {
        name: "audit_signing_keys",
        columns: &[proof("server_id"), proof("public_key"), proof("sealed_key"), proof("created_at")],
    },
    Table { name: "audit_checkpoints", columns: &[proof("seq"), proof("hash"), proof("at"), proof("signature")] },
];
