//! What the studio's columns hold.

use crate::base::data_map::{Category, Column, OnDeletion, Retention, Table, Whose};

const fn own(name: &'static str, category: Category) -> Column {
    Column::personal(name, category)
}

const fn inner(name: &'static str) -> Column {
    Column::withheld(name, Category::Activity)
}

const fn money(name: &'static str) -> Column {
    Column::new(name, Category::Money, Whose::Person, true, OnDeletion::Erase, Retention::WithOwner)
}

pub const DATA_MAP: &[Table] = &[
    Table {
        name: "generations",
        columns: &[
            own("id", Category::Reference),
            own("workspace_id", Category::Reference),
            own("person_id", Category::Reference),
            own("model_id", Category::Activity),
            own("provider_id", Category::Activity),
            own("provider", Category::Activity),
            own("prompt", Category::Content).sealed(),
            Column::withheld("words", Category::Content),
            own("size", Category::Content),
            own("count", Category::Content),
            own("seed", Category::Content),
            own("parameters", Category::Content).sealed(),
            own("state", Category::Activity),
            money("price_card_id"),
            money("held_micros"),
            money("actual_micros"),
            money("overage_micros"),
            money("currency"),
            own("error_code", Category::Activity),
            own("error_message", Category::Activity).sealed(),
            own("error_retryable", Category::Activity),
            own("attempts", Category::Activity),
            own("retry_of", Category::Reference),
            own("cancel_requested_at", Category::Activity),
            inner("resubmittable"),
            inner("lease_owner"),
            inner("lease_until"),
            inner("not_before"),
            own("created_at", Category::Activity),
            own("started_at", Category::Activity),
            own("ended_at", Category::Activity),
        ],
    },
    Table {
        name: "generation_references",
        columns: &[
            own("generation_id", Category::Reference),
            own("position", Category::Content),
            own("asset_id", Category::Reference),
            own("role", Category::Content),
            own("strength", Category::Content),
        ],
    },
    Table {
        name: "generation_outputs",
        columns: &[
            own("generation_id", Category::Reference),
            own("position", Category::Content),
            inner("object_id"),
            own("asset_id", Category::Reference),
            own("seed", Category::Content),
        ],
    },
    Table {
        name: "generation_progress",
        columns: &[
            inner("generation_id"),
            inner("step"),
            inner("fraction"),
            inner("preview_version"),
            Column::withheld("preview", Category::Content).sealed(),
        ],
    },
    Table {
        name: "attempts",
        columns: &[
            own("id", Category::Reference),
            own("generation_id", Category::Reference),
            own("number", Category::Activity),
            own("state", Category::Activity),
            own("provider_request_id", Category::Activity),
            money("billed_micros"),
            own("created_at", Category::Activity),
            own("ended_at", Category::Activity),
        ],
    },
    Table {
        name: "recent_requests",
        columns: &[event("credential_id"), event("body_hash"), event("person_id"), event("generation_id"), event("at")],
    },
    Table { name: "event_streams", columns: &[inner("person_id"), inner("last_number")] },
    Table {
        name: "generation_events",
        columns: &[
            event("person_id"),
            event("number"),
            event("generation_id"),
            event("snapshot").sealed(),
            event("at"),
        ],
    },
];

/// A day of state changes, repeated from the generations themselves.
const fn event(name: &'static str) -> Column {
    Column::new(name, Category::Activity, Whose::Person, false, OnDeletion::Erase, Retention::Days(1))
}
