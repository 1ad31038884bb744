//! The only place that names the catalog's tables. Reading is here, changing in `write`.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde_json::Value;
use uuid::Uuid;

use super::{
    error::InferenceError,
    model::{Model, Offer, ProviderInfo, ProviderKind, Task, Upstream},
    price::PriceCard,
};
use crate::platform::db::{
    Conn,
    schema::{models, price_cards, providers},
};

mod data_map;
mod write;

pub use data_map::DATA_MAP;
pub use write::*;

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
    upstream: Value,
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
    created_at: DateTime<Utc>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = price_cards)]
struct PriceRow {
    id: Uuid,
    currency: String,
    components: Value,
    defaults: Value,
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
            // Written by `write` alone; a server that is older than the row ignores what it does not know.
            upstream: serde_json::from_value(row.upstream).unwrap_or_else(|_| Upstream::default()),
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
            created_at: row.created_at,
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
            defaults: serde_json::from_value(row.defaults).map_err(damaged)?,
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
    let rows: Vec<Joined> = joined!()
        .filter(models::removed_at.is_null())
        .order((providers::kind.ne("demo"), providers::created_at, models::position, models::id))
        .load(conn)
        .await?;
    rows.into_iter().map(offer_of).collect()
}

/// The model with this id or alias that can be used.
pub async fn usable(conn: &mut Conn, name: &str) -> Result<Option<Offer>, InferenceError> {
    let row: Option<Joined> = joined!()
        .filter(models::enabled.and(providers::enabled).and(models::removed_at.is_null()))
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

/// How a provider's server wants to be asked for the model that it calls `name`, and whether it takes seeds.
pub async fn upstream(conn: &mut Conn, provider: Uuid, name: &str) -> Result<(bool, Upstream), InferenceError> {
    let row: Option<(bool, Value)> = models::table
        .filter(models::provider_id.eq(provider).and(models::upstream_name.eq(name)))
        .order((models::removed_at.is_not_null(), models::position))
        .select((models::seeds, models::upstream))
        .first(conn)
        .await
        .optional()?;
    let (seeds, upstream) = row.unwrap_or_default();
    Ok((seeds, serde_json::from_value(upstream).unwrap_or_default()))
}

/// The model with this id, switched on or not.
pub async fn model(conn: &mut Conn, id: &str) -> Result<Option<Offer>, InferenceError> {
    let row: Option<Joined> =
        joined!().filter(models::id.eq(id).and(models::removed_at.is_null())).first(conn).await.optional()?;
    row.map(offer_of).transpose()
}

/// Every provider that was not removed, the built-in one first.
pub async fn providers(conn: &mut Conn) -> Result<Vec<ProviderInfo>, InferenceError> {
    let rows: Vec<ProviderRow> = providers::table
        .filter(providers::removed_at.is_null())
        .order((providers::kind.ne("demo"), providers::created_at, providers::id))
        .select(ProviderRow::as_select())
        .load(conn)
        .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// A provider that was not removed.
pub async fn current_provider(conn: &mut Conn, id: Uuid) -> Result<Option<ProviderInfo>, InferenceError> {
    let row: Option<ProviderRow> = providers::table
        .find(id)
        .filter(providers::removed_at.is_null())
        .select(ProviderRow::as_select())
        .first(conn)
        .await
        .optional()?;
    Ok(row.map(Into::into))
}

pub async fn provider_by_slug(conn: &mut Conn, slug: &str) -> Result<Option<ProviderInfo>, InferenceError> {
    let row: Option<ProviderRow> = providers::table
        .filter(providers::slug.eq(slug).and(providers::removed_at.is_null()))
        .select(ProviderRow::as_select())
        .first(conn)
        .await
        .optional()?;
    Ok(row.map(Into::into))
}

/// Whether a provider that was not removed is reached at this destination.
pub async fn destination_in_use(conn: &mut Conn, destination: Uuid) -> Result<bool, InferenceError> {
    let using = providers::table.filter(providers::destination_id.eq(destination).and(providers::removed_at.is_null()));
    Ok(diesel::select(diesel::dsl::exists(using)).get_result(conn).await?)
}

/// Another model that already answers to one of these names.
pub async fn named(conn: &mut Conn, id: &str, names: &[String]) -> Result<Option<String>, InferenceError> {
    Ok(models::table
        .filter(models::id.ne(id).and(models::removed_at.is_null()))
        .filter(models::id.eq_any(names).or(models::aliases.overlaps_with(names)))
        .select(models::id)
        .first(conn)
        .await
        .optional()?)
}

/// The price that was in force at `at`, for work that was accepted then.
pub async fn price(conn: &mut Conn, id: Uuid) -> Result<Option<PriceCard>, InferenceError> {
    let row: Option<PriceRow> =
        price_cards::table.find(id).select(PriceRow::as_select()).first(conn).await.optional()?;
    row.map(PriceCard::try_from).transpose()
}
