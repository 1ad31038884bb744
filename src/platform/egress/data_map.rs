//! What the egress tables hold, and about whom.

use crate::base::data_map::{Category, Column, OnDeletion, Retention, Table, Whose};

const PROOF: OnDeletion = OnDeletion::Keep("proves what left the house; says nothing about a person without its tie");

const fn fact(name: &'static str) -> Column {
    Column::new(name, Category::Activity, Whose::Organisation, true, PROOF, Retention::Years(1))
}

const fn tie(name: &'static str, exported: bool) -> Column {
    Column::new(name, Category::Reference, Whose::Person, exported, OnDeletion::Anonymise, Retention::Years(1))
}

const fn setting(name: &'static str) -> Column {
    Column::operational(name, Retention::Forever("says where data may go"))
}

pub const DATA_MAP: &[Table] = &[
    Table {
        name: "egress_destinations",
        columns: &[
            setting("id"),
            setting("purpose"),
            setting("scheme"),
            setting("host"),
            setting("port"),
            setting("categories"),
            setting("local"),
            Column::new(
                "allowed_by",
                Category::Reference,
                Whose::Person,
                false,
                OnDeletion::Anonymise,
                Retention::Forever("says who let data go there"),
            ),
            setting("allowed_at"),
            setting("disabled_at"),
        ],
    },
    Table {
        name: "egress_calls",
        columns: &[
            fact("id"),
            fact("at"),
            fact("destination_id"),
            fact("purpose"),
            tie("person_id", false),
            tie("generation_id", true),
            fact("categories"),
            fact("bytes_out"),
            fact("bytes_in"),
            fact("status"),
            fact("outcome"),
            fact("reason"),
            fact("duration_ms"),
            fact("deadline"),
        ],
    },
];
