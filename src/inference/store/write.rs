//! Changes of the catalog.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::PriceRow;
use crate::{
    base::{
        clock::Clock,
        ids::{DestinationId, PersonId, PriceCardId, ProviderId},
        money::Currency,
    },
    inference::{
        error::InferenceError,
        model::{Description, ProviderKind, Size, Task},
        price::{Component, PriceCard},
    },
    platform::db::{
        Tx,
        schema::{models, price_cards, providers},
    },
};

/// Catalogs are put in order by one server at a time.
pub async fn lock(tx: &mut Tx) -> Result<(), InferenceError> {
    diesel::sql_query("select pg_advisory_xact_lock(hashtext('renderkeep catalog'))").execute(&mut **tx).await?;
    Ok(())
}

/// What a provider is, besides its id.
pub struct ProviderValues<'a> {
    pub slug: &'a str,
    pub kind: ProviderKind,
    pub title: &'a str,
    pub base_url: Option<&'a str>,
    pub destination: Option<DestinationId>,
    pub managed: bool,
}

pub async fn insert_provider(
    tx: &mut Tx,
    id: ProviderId,
    values: &ProviderValues<'_>,
    enabled: bool,
    now: DateTime<Utc>,
) -> Result<(), InferenceError> {
    diesel::insert_into(providers::table)
        .values((
            providers::id.eq(id.uuid()),
            providers::slug.eq(values.slug),
            providers::kind.eq(values.kind.as_str()),
            providers::title.eq(values.title),
            providers::base_url.eq(values.base_url),
            providers::destination_id.eq(values.destination.map(|id| id.uuid())),
            providers::managed.eq(values.managed),
            providers::enabled.eq(enabled),
            providers::created_at.eq(now),
            providers::updated_at.eq(now),
        ))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

pub async fn update_provider(
    tx: &mut Tx,
    id: ProviderId,
    values: &ProviderValues<'_>,
    now: DateTime<Utc>,
) -> Result<(), InferenceError> {
    diesel::update(providers::table.find(id.uuid()))
        .set((
            providers::title.eq(values.title),
            providers::base_url.eq(values.base_url),
            providers::destination_id.eq(values.destination.map(|id| id.uuid())),
            providers::managed.eq(values.managed),
            providers::updated_at.eq(now),
        ))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// The sealed key, or none.
pub async fn set_key(
    tx: &mut Tx,
    id: ProviderId,
    sealed: Option<Vec<u8>>,
    now: DateTime<Utc>,
) -> Result<(), InferenceError> {
    diesel::update(providers::table.find(id.uuid()))
        .set((providers::api_key.eq(sealed), providers::updated_at.eq(now)))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

pub async fn switch_provider(
    tx: &mut Tx,
    id: ProviderId,
    on: bool,
    now: DateTime<Utc>,
) -> Result<bool, InferenceError> {
    let changed = diesel::update(providers::table.find(id.uuid()).filter(providers::enabled.ne(on)))
        .set((providers::enabled.eq(on), providers::updated_at.eq(now)))
        .execute(&mut **tx)
        .await?;
    Ok(changed > 0)
}

/// Takes the provider and its models out of the catalog and destroys its key.
pub async fn remove_provider(tx: &mut Tx, id: ProviderId, now: DateTime<Utc>) -> Result<(), InferenceError> {
    diesel::update(providers::table.find(id.uuid()))
        .set((
            providers::api_key.eq(None::<Vec<u8>>),
            providers::enabled.eq(false),
            providers::removed_at.eq(now),
            providers::updated_at.eq(now),
        ))
        .execute(&mut **tx)
        .await?;
    remove_models_except(tx, id, &[], now).await
}

/// Takes the provider's other models out of the catalog.
pub async fn remove_models_except(
    tx: &mut Tx,
    provider: ProviderId,
    kept: &[String],
    now: DateTime<Utc>,
) -> Result<(), InferenceError> {
    let gone = models::table
        .filter(models::provider_id.eq(provider.uuid()).and(models::removed_at.is_null()))
        .filter(models::id.ne_all(kept));
    diesel::update(gone).set(models::removed_at.eq(now)).execute(&mut **tx).await?;
    Ok(())
}

pub async fn remove_model(tx: &mut Tx, id: &str, now: DateTime<Utc>) -> Result<(), InferenceError> {
    diesel::update(models::table.find(id)).set(models::removed_at.eq(now)).execute(&mut **tx).await?;
    Ok(())
}

/// Writes the model as described; one that was taken out before comes back under its id, switched on or off as said.
pub async fn put_model(
    tx: &mut Tx,
    provider: ProviderId,
    described: &Description,
    position: i32,
    now: DateTime<Utc>,
) -> Result<(), InferenceError> {
    let values = (
        models::provider_id.eq(provider.uuid()),
        models::upstream_name.eq(&described.upstream_name),
        models::title.eq(&described.title),
        models::tasks.eq(described.tasks.iter().map(|task| Task::as_str(*task)).collect::<Vec<_>>()),
        models::sizes.eq(described.sizes.iter().map(Size::to_string).collect::<Vec<_>>()),
        models::max_count.eq(i32::try_from(described.max_count).unwrap_or(i32::MAX)),
        models::max_references.eq(i32::try_from(described.max_references).unwrap_or(i32::MAX)),
        models::seeds.eq(described.seeds),
        models::parameters.eq(&described.parameters),
        models::aliases.eq(&described.aliases),
        models::upstream.eq(serde_json::to_value(described.upstream).map_err(InferenceError::Damaged)?),
        models::position.eq(position),
        models::updated_at.eq(now),
        models::removed_at.eq(None::<DateTime<Utc>>),
    );
    diesel::insert_into(models::table)
        .values((models::id.eq(&described.id), models::created_at.eq(now), values.clone()))
        .on_conflict(models::id)
        .do_update()
        .set(values)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

pub async fn switch_model(tx: &mut Tx, id: &str, on: bool, now: DateTime<Utc>) -> Result<bool, InferenceError> {
    let changed = diesel::update(models::table.find(id).filter(models::enabled.ne(on)))
        .set((models::enabled.eq(on), models::updated_at.eq(now)))
        .execute(&mut **tx)
        .await?;
    Ok(changed > 0)
}

/// A price as it is written down.
pub struct PriceValues<'a> {
    pub currency: Currency,
    pub components: &'a [Component],
    pub defaults: Map<String, Value>,
    /// None: the configuration.
    pub by: Option<PersonId>,
}

/// Replaces the price from now on; what was accepted before keeps its card. Says whether it was another one.
pub async fn set_price(
    tx: &mut Tx,
    clock: &Clock,
    model: &str,
    PriceValues { currency, components, defaults, by }: PriceValues<'_>,
) -> Result<bool, InferenceError> {
    let current = price_cards::table.filter(price_cards::model_id.eq(model).and(price_cards::valid_to.is_null()));
    let row: Option<PriceRow> = current.select(PriceRow::as_select()).first(&mut **tx).await.optional()?;
    if let Some(card) = row.map(PriceCard::try_from).transpose()?
        && card.currency == currency
        && card.components == components
        && card.defaults == defaults
    {
        return Ok(false);
    }
    let now = clock.now();
    diesel::update(current).set(price_cards::valid_to.eq(now)).execute(&mut **tx).await?;
    diesel::insert_into(price_cards::table)
        .values((
            price_cards::id.eq(PriceCardId::new(clock).uuid()),
            price_cards::model_id.eq(model),
            price_cards::currency.eq(currency.as_str()),
            price_cards::components.eq(serde_json::to_value(components).map_err(InferenceError::Damaged)?),
            price_cards::defaults.eq(Value::Object(defaults)),
            price_cards::valid_from.eq(now),
            price_cards::created_by.eq(by.map(Uuid::from)),
        ))
        .execute(&mut **tx)
        .await?;
    Ok(true)
}

/// Ends the price; the model cannot be used until it has another.
pub async fn end_price(tx: &mut Tx, model: &str, now: DateTime<Utc>) -> Result<bool, InferenceError> {
    let current = price_cards::table.filter(price_cards::model_id.eq(model).and(price_cards::valid_to.is_null()));
    Ok(diesel::update(current).set(price_cards::valid_to.eq(now)).execute(&mut **tx).await? > 0)
}
