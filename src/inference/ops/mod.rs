//! Use cases of the catalog.

mod base_url;
mod models;
mod probe;
mod providers;
mod sync;

pub use models::{
    ModelChange, NewModel, NewPrice, add_model, all_models, change_model, remove_model, usual_parameters,
};
pub use probe::{KeyVerdict, Probe, probe};
pub use providers::{
    NewProvider, ProviderChange, ProviderView, add_provider, change_provider, find_provider, list_providers, open_key,
    remove_provider,
};
pub use sync::sync;

use super::{error::InferenceError, model::Offer, price::PriceCard, store};
use crate::{
    base::{
        access::{Grant, ModelsRead},
        ctx::Ctx,
        ids::{PriceCardId, ProviderId},
    },
    platform::{Platform, db::Conn, egress::destinations},
};

/// What a person may choose from: what is switched on and has a price.
pub async fn models(_ctx: &Ctx, app: &Platform, _grant: &Grant<ModelsRead>) -> Result<Vec<Offer>, InferenceError> {
    let all = store::all(&mut *app.db.read().await?).await?;
    let usable = |offer: &Offer| offer.model.enabled && offer.provider.enabled && offer.price.is_some();
    Ok(all.into_iter().filter(usable).collect())
}

/// The model with this id or alias, ready to be used: known, switched on and priced.
pub async fn offer(conn: &mut Conn, name: &str) -> Result<Offer, InferenceError> {
    let offer = store::usable(conn, name).await?.ok_or_else(|| InferenceError::UnknownModel(name.to_owned()))?;
    if offer.price.is_none() {
        return Err(InferenceError::UnpricedModel(offer.model.id));
    }
    Ok(offer)
}

/// The provider that work was accepted for, whatever the catalog says now.
pub async fn provider(conn: &mut Conn, id: ProviderId) -> Result<super::model::ProviderInfo, InferenceError> {
    store::provider(conn, id.uuid()).await?.ok_or_else(|| crate::base::error::NotFound.into())
}

/// Whether the provider is a machine of the house, which bills nothing.
pub async fn is_of_the_house(conn: &mut Conn, id: ProviderId) -> Result<bool, InferenceError> {
    let provider = provider(conn, id).await?;
    Ok(match provider.destination {
        Some(destination) => destinations::find(conn, destination).await?.is_some_and(|known| known.local),
        None => true,
    })
}

/// The price that work was accepted under.
pub async fn price(conn: &mut Conn, id: PriceCardId) -> Result<Option<PriceCard>, InferenceError> {
    store::price(conn, id.uuid()).await
}

/// What the provider calls the model, also when it was switched off since the work was accepted.
pub async fn upstream_name(app: &Platform, id: &str) -> Result<String, InferenceError> {
    let name = store::upstream_name(&mut *app.db.read().await?, id).await?;
    name.ok_or_else(|| InferenceError::UnknownModel(id.to_owned()))
}
