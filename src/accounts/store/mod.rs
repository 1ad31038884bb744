//! The only files that name this room's tables.

pub mod failures;
pub mod people;
pub mod sessions;
pub mod tokens;

use crate::{
    base::data_map::{Category, Column, Retention, Table},
    platform::db::questions::Sealed,
};

pub const SEALED: &[Sealed] = &[
    Sealed { what: "People", owners: "select id from people where id > $1 order by 1 limit 1000" },
    Sealed {
        what: "API tokens",
        owners: "select distinct person_id as id from api_tokens where person_id > $1 order by 1 limit 1000",
    },
];

/// Days after which what is over (ended sessions, revoked tokens) is forgotten.
pub const ENDED_KEPT: u32 = 30;

pub const DATA_MAP: &[Table] = &[
    Table {
        name: "people",
        columns: &[
            Column::personal("id", Category::Reference),
            Column::personal("mail", Category::Identity).sealed(),
            Column::withheld("mail_hash", Category::Identity),
            Column::personal("name", Category::Identity).sealed(),
            Column::withheld("words", Category::Identity),
            Column::withheld("password_hash", Category::Credential),
            Column::personal("must_change_password", Category::Credential),
            Column::personal("one_time_until", Category::Credential),
            Column::personal("password_changed_at", Category::Activity),
            Column::personal("deactivated_at", Category::Activity),
            Column::personal("created_at", Category::Activity),
        ],
    },
    Table {
        name: "sessions",
        columns: &[
            Column::personal("id", Category::Reference),
            Column::personal("person_id", Category::Reference),
            Column::withheld("token_hash", Category::Credential),
            Column::personal("network", Category::Activity),
            Column::personal("user_agent", Category::Activity),
            Column::personal("created_at", Category::Activity),
            Column::personal("last_seen_at", Category::Activity),
            Column::personal("expires_at", Category::Activity),
            Column::personal("revoked_at", Category::Activity),
        ],
    },
    Table {
        name: "api_tokens",
        columns: &[
            Column::personal("id", Category::Reference),
            Column::personal("person_id", Category::Reference),
            Column::personal("name", Category::Content).sealed(),
            Column::personal("scopes", Category::Credential),
            Column::withheld("hint", Category::Credential),
            Column::withheld("token_hash", Category::Credential),
            Column::personal("created_at", Category::Activity),
            Column::personal("expires_at", Category::Activity),
            Column::personal("last_used_at", Category::Activity),
            Column::personal("revoked_at", Category::Activity),
        ],
    },
    // Keyed hashes of what was typed and from where: a day later nobody can tell any more.
    Table {
        name: "sign_in_failures",
        columns: &[
            Column::operational("id", Retention::Days(1)),
            Column::operational("account_hash", Retention::Days(1)),
            Column::operational("network_hash", Retention::Days(1)),
            Column::operational("at", Retention::Days(1)),
        ],
    },
];
