//! The only file that names the catalog's tables.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde_json::Value;
use uuid::Uuid;

use super::{
    error::InferenceError,
    model::{Model, Offer, ProviderInfo, ProviderKind, Task},
    price::PriceCard,
};
use crate::{
    base::data_map::{Category, Column, OnDeletion, Retention, Table, Whose},
    platform::db::{
        Conn,
        schema::{models, price_cards, providers},
    },
};

#[derive(Queryable, Selectable)]
#[diesel(table_name = models)]
struct ModelRow {
    id: String,
    provider_id: Uuid,
    upstream_name: String,
    title: String,
    tasks: Vec<String>,
    sizes: Vec<String>,
    max_count: i32,
    max_references: i32,
    seeds: bool,
    parameters: Value,
    aliases: Vec<String>,
    enabled: bool,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = providers)]
struct ProviderRow {
    id: Uuid,
    slug: String,
    kind: String,
    title: String,
    base_url: Option<String>,
    api_key: Option<Vec<u8>>,
    destination_id: Option<Uuid>,
    managed: bool,
    enabled: bool,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = price_cards)]
struct PriceRow {
    id: Uuid,
    currency: String,
    components: Value,
}

impl From<ModelRow> for Model {
    fn from(row: ModelRow) -> Self {
        let known = |text: &String| Task::ALL.into_iter().find(|task| task.as_str() == text);
        Self {
            id: row.id,
            provider: row.provider_id.into(),
            upstream_name: row.upstream_name,
            title: row.title,
            tasks: row.tasks.iter().filter_map(known).collect(),
            sizes: row.sizes.iter().filter_map(|text| text.parse().ok()).collect(),
            max_count: u32::try_from(row.max_count).unwrap_or(1),
            max_references: u32::try_from(row.max_references).unwrap_or(0),
            seeds: row.seeds,
            parameters: row.parameters,
            aliases: row.aliases,
            enabled: row.enabled,
        }
    }
}

impl From<ProviderRow> for ProviderInfo {
    fn from(row: ProviderRow) -> Self {
        let kind = if row.kind == ProviderKind::Demo.as_str() { ProviderKind::Demo } else { ProviderKind::OpenAi };
        Self {
            id: row.id.into(),
            slug: row.slug,
            kind,
            title: row.title,
            base_url: row.base_url,
            api_key: row.api_key,
            destination: row.destination_id.map(Into::into),
            managed: row.managed,
            enabled: row.enabled,
        }
    }
}

impl TryFrom<PriceRow> for PriceCard {
    type Error = InferenceError;

    fn try_from(row: PriceRow) -> Result<Self, InferenceError> {
        let damaged = |error| InferenceError::Damaged(error);
        Ok(Self {
            id: row.id.into(),
            currency: row.currency.parse().map_err(serde::de::Error::custom).map_err(damaged)?,
            components: serde_json::from_value(row.components).map_err(damaged)?,
        })
    }
}

type Joined = (ModelRow, ProviderRow, Option<PriceRow>);

fn offer_of((model, provider, price): Joined) -> Result<Offer, InferenceError> {
    Ok(Offer { model: model.into(), provider: provider.into(), price: price.map(PriceCard::try_from).transpose()? })
}

macro_rules! joined {
    () => {
        models::table
            .inner_join(providers::table)
            .left_join(price_cards::table.on(price_cards::model_id.eq(models::id).and(price_cards::valid_to.is_null())))
            .select((ModelRow::as_select(), ProviderRow::as_select(), Option::<PriceRow>::as_select()))
    };
}

/// Every model of the catalog, also those that are switched off, in the order of its list.
pub async fn all(conn: &mut Conn) -> Result<Vec<Offer>, InferenceError> {
    let rows: Vec<Joined> = joined!().order((models::position, models::id)).load(conn).await?;
    rows.into_iter().map(offer_of).collect()
}

/// The model with this id or alias that can be used.
pub async fn usable(conn: &mut Conn, name: &str) -> Result<Option<Offer>, InferenceError> {
    let row: Option<Joined> = joined!()
        .filter(models::enabled.and(providers::enabled))
        .filter(models::id.eq(name).or(models::aliases.contains(vec![name])))
        .order((models::id.ne(name), models::position))
        .first(conn)
        .await
        .optional()?;
    row.map(offer_of).transpose()
}

pub async fn provider(conn: &mut Conn, id: Uuid) -> Result<Option<ProviderInfo>, InferenceError> {
    let row: Option<ProviderRow> =
        providers::table.find(id).select(ProviderRow::as_select()).first(conn).await.optional()?;
    Ok(row.map(Into::into))
}

pub async fn upstream_name(conn: &mut Conn, id: &str) -> Result<Option<String>, InferenceError> {
    Ok(models::table.find(id).select(models::upstream_name).first(conn).await.optional()?)
}

/// The price that was in force at `at`, for work that was accepted then.
pub async fn price(conn: &mut Conn, id: Uuid) -> Result<Option<PriceCard>, InferenceError> {
    let row: Option<PriceRow> =
        price_cards::table.find(id).select(PriceRow::as_select()).first(conn).await.optional()?;
    row.map(PriceCard::try_from).transpose()
}

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
            setting("position"),
            setting("enabled"),
            setting("created_at"),
            setting("updated_at"),
        ],
    },
    Table {
        name: "price_cards",
        columns: &[
            setting("id"),
            setting("model_id"),
            setting("currency"),
            setting("components"),
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
