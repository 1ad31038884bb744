//! What the catalog's tables hold, and about whom.

use crate::base::data_map::{Category, Column, OnDeletion, Retention, Table, Whose};

const fn setting(name: &'static str) -> Column {
    Column::operational(name, Retention::Forever("needed while the organisation uses the provider"))
}

pub const DATA_MAP: &[Table] = &[
    Table {
        name: "providers",
        columns: &[
            setting("id"),
            setting("slug"),
            setting("kind"),
            setting("title"),
            setting("base_url"),
            Column::new(
                "api_key",
                Category::Credential,
                Whose::Organisation,
                false,
                OnDeletion::Keep("the organisation's own key, sealed"),
                Retention::Forever("until it is replaced or the provider removed"),
            ),
            setting("destination_id"),
            setting("managed"),
            setting("enabled"),
            setting("created_at"),
            setting("updated_at"),
            setting("removed_at"),
        ],
    },
    Table {
        name: "models",
        columns: &[
            setting("id"),
            setting("provider_id"),
            setting("upstream_name"),
            setting("title"),
            setting("tasks"),
            setting("sizes"),
            setting("max_count"),
            setting("max_references"),
            setting("seeds"),
            setting("parameters"),
            setting("aliases"),
            setting("upstream"),
            setting("position"),
            setting("enabled"),
            setting("created_at"),
            setting("updated_at"),
            setting("removed_at"),
        ],
    },
    Table {
        name: "price_cards",
        columns: &[
            setting("id"),
            setting("model_id"),
            setting("currency"),
            setting("components"),
            setting("defaults"),
            setting("valid_from"),
            setting("valid_to"),
            Column::new(
                "created_by",
                Category::Reference,
                Whose::Person,
                true,
                OnDeletion::Anonymise,
                Retention::Years(7),
            ),
        ],
    },
];
