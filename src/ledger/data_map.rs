//! What the ledger's columns hold and what a person's deletion does to them.

use crate::base::data_map::{Category, Column, OnDeletion, Retention, Table, Whose};

const BOOKS: OnDeletion = OnDeletion::Keep("commercial books are kept seven years; the amount names nobody");
const YEARS: Retention = Retention::Years(7);

/// Amounts and what they were for: kept, and the person's to see.
const fn booked(name: &'static str, category: Category) -> Column {
    Column::new(name, category, Whose::Person, true, BOOKS, YEARS)
}

/// The tie to a person, which goes with them.
const fn tie(name: &'static str) -> Column {
    Column::new(name, Category::Reference, Whose::Person, true, OnDeletion::Anonymise, YEARS)
}

const fn setting(name: &'static str) -> Column {
    Column::operational(name, Retention::Forever("until an owner changes it"))
}

pub const DATA_MAP: &[Table] = &[
    Table {
        name: "ledger_accounts",
        columns: &[
            booked("id", Category::Reference),
            booked("kind", Category::Money),
            tie("subject_id"),
            booked("created_at", Category::Activity),
        ],
    },
    Table {
        name: "holds",
        columns: &[
            booked("id", Category::Reference),
            booked("generation_id", Category::Reference),
            booked("organisation_id", Category::Reference),
            booked("workspace_id", Category::Reference),
            tie("person_id"),
            booked("provider_id", Category::Reference),
            booked("price_card_id", Category::Reference),
            booked("currency", Category::Money),
            booked("amount_micros", Category::Money),
            booked("state", Category::Money),
            booked("actual_micros", Category::Money),
            booked("made_on", Category::Activity),
            booked("created_at", Category::Activity),
            booked("resolved_at", Category::Activity),
        ],
    },
    Table {
        name: "ledger_transactions",
        columns: &[
            booked("id", Category::Reference),
            booked("hold_id", Category::Reference),
            booked("kind", Category::Money),
            booked("currency", Category::Money),
            booked("created_at", Category::Activity),
        ],
    },
    Table {
        name: "ledger_postings",
        columns: &[
            booked("transaction_id", Category::Reference),
            booked("account_id", Category::Reference),
            booked("amount_micros", Category::Money),
        ],
    },
    Table {
        name: "caps",
        columns: &[
            setting("id"),
            setting("scope"),
            Column::personal("subject_id", Category::Reference),
            setting("period"),
            Column::personal("limit_micros", Category::Money),
            setting("currency"),
            setting("created_at"),
            setting("updated_at"),
        ],
    },
    Table {
        name: "cap_windows",
        columns: &[
            setting("scope"),
            Column::personal("subject_id", Category::Reference),
            setting("period"),
            setting("starts_on"),
            Column::personal("held_micros", Category::Money),
            Column::personal("spent_micros", Category::Money),
            Column::personal("refilled_micros", Category::Money),
        ],
    },
    Table {
        name: "cap_warnings",
        columns: &[
            setting("scope"),
            Column::personal("subject_id", Category::Reference),
            setting("period"),
            setting("starts_on"),
            Column::personal("percent", Category::Money),
            Column::personal("limit_micros", Category::Money),
            Column::personal("at", Category::Activity),
        ],
    },
];
