//! Models of the catalog and their prices, as administrators set them up.

use serde_json::{Value, json};

use crate::{
    base::{
        access::{Grant, ProvidersEdit, ProvidersRead},
        ctx::Ctx,
        error::{Invalid, NotFound},
        ids::ProviderId,
        money::Money,
    },
    inference::{
        error::InferenceError,
        model::{Description, Model, Offer, ProviderKind},
        price::{self, Component},
        store::{self, PriceValues},
    },
    platform::{
        Platform,
        audit::{self, Act},
        db::Tx,
        idempotency::{Answer, Once},
    },
};

/// What a model costs.
#[derive(Clone, Debug)]
pub enum NewPrice {
    PerImage(Money),
    Components(Vec<Component>),
    /// No price: the model cannot be used.
    None,
}

#[derive(Debug)]
pub struct NewModel {
    pub provider: ProviderId,
    pub described: Description,
    pub price: NewPrice,
    pub enabled: bool,
}

#[derive(Debug, Default)]
pub struct ModelChange {
    /// The whole description, changed or not.
    pub described: Option<Description>,
    pub price: Option<NewPrice>,
    pub enabled: Option<bool>,
}

/// Every model, also those that are switched off or have no price.
pub async fn all_models(app: &Platform, _grant: &Grant<ProvidersRead>) -> Result<Vec<Offer>, InferenceError> {
    store::all(&mut *app.db.read().await?).await
}

pub async fn add_model(
    ctx: &Ctx,
    app: &Platform,
    grant: &Grant<ProvidersEdit>,
    new: NewModel,
    once: &Once,
    answer: impl FnOnce(&Offer) -> Answer,
) -> Result<Answer, InferenceError> {
    new.described.check()?;
    let price = components(app, &new.price)?;
    app.db
        .write("inference.add_model", async |tx| {
            if let Some(kept) = once.claim(tx, &app.keys, ctx, grant.person()).await? {
                return Ok(kept);
            }
            store::lock(tx).await?;
            let unknown = || Invalid::field("provider", "unknown", "There is no provider of this id.");
            let provider = store::current_provider(tx, new.provider.uuid()).await?.ok_or_else(unknown)?;
            if provider.managed || provider.kind == ProviderKind::Demo {
                return Err(InferenceError::Managed);
            }
            let id = &new.described.id;
            if store::model(tx, id).await?.is_some() {
                return Err(Invalid::field("id", "taken", "Another model has this id.").into());
            }
            check_free(tx, provider.id, &new.described).await?;
            store::put_model(tx, provider.id, &new.described, 0, ctx.clock.now()).await?;
            store::switch_model(tx, id, new.enabled, ctx.clock.now()).await?;
            set_price(tx, ctx, app, id, price.as_deref()).await?;
            let details = json!({ "model": id, "enabled": new.enabled });
            audit::record(tx, ctx, Act::done("models.add").on("provider", provider.id).details(details)).await?;
            let first = answer(&store::model(tx, id).await?.ok_or(NotFound)?);
            once.keep(tx, &app.keys, grant.person(), &first).await?;
            Ok(first)
        })
        .await
}

pub async fn change_model(
    ctx: &Ctx,
    app: &Platform,
    _grant: &Grant<ProvidersEdit>,
    id: &str,
    change: impl AsyncFnOnce(&Model) -> Result<ModelChange, Invalid>,
) -> Result<Offer, InferenceError> {
    app.db
        .write("inference.change_model", async |tx| {
            store::lock(tx).await?;
            let before = store::model(tx, id).await?.ok_or(NotFound)?;
            let change = change(&before.model).await?;
            if let Some(described) = &change.described {
                describe(tx, ctx, &before, described).await?;
            }
            match &change.price {
                Some(_) if before.provider.managed && configured_price(app, &before.model.id) => {
                    return Err(InferenceError::Managed);
                }
                Some(price) => set_price(tx, ctx, app, id, components(app, price)?.as_deref()).await?,
                // It depends on the model's parameters, so it is looked at again when these change.
                None if change.described.is_some() => {
                    let kept = before.price.as_ref().map(|card| card.components.as_slice());
                    set_price(tx, ctx, app, id, kept).await?;
                }
                None => {}
            }
            if let Some(on) = change.enabled
                && store::switch_model(tx, id, on, ctx.clock.now()).await?
            {
                let action = if on { "models.switch_on" } else { "models.switch_off" };
                record(tx, ctx, &before, action).await?;
            }
            Ok(store::model(tx, id).await?.ok_or(NotFound)?)
        })
        .await
}

async fn describe(tx: &mut Tx, ctx: &Ctx, before: &Offer, described: &Description) -> Result<(), InferenceError> {
    if before.provider.managed {
        return Err(InferenceError::Managed);
    }
    described.check()?;
    check_free(tx, before.provider.id, described).await?;
    store::put_model(tx, before.provider.id, described, 0, ctx.clock.now()).await?;
    record(tx, ctx, before, "models.change").await
}

/// Takes a model out of the catalog; what it made keeps naming it.
pub async fn remove_model(
    ctx: &Ctx,
    app: &Platform,
    _grant: &Grant<ProvidersEdit>,
    id: &str,
) -> Result<(), InferenceError> {
    app.db
        .write("inference.remove_model", async |tx| {
            store::lock(tx).await?;
            let before = store::model(tx, id).await?.ok_or(NotFound)?;
            if before.provider.managed {
                return Err(InferenceError::Managed);
            }
            store::remove_model(tx, id, ctx.clock.now()).await?;
            record(tx, ctx, &before, "models.remove").await
        })
        .await
}

async fn record(tx: &mut Tx, ctx: &Ctx, offer: &Offer, action: &'static str) -> Result<(), InferenceError> {
    let details = json!({ "model": offer.model.id });
    audit::record(tx, ctx, Act::done(action).on("provider", offer.provider.id).details(details)).await?;
    Ok(())
}

/// Whether the names of this model are nobody else's.
pub(super) async fn check_free(
    tx: &mut Tx,
    provider: ProviderId,
    described: &Description,
) -> Result<(), InferenceError> {
    let taken = |name, other: &str| Invalid::field(name, "taken", format!("The model {other} has this name already."));
    if let Some(other) = store::model(tx, &described.id).await?.filter(|other| other.provider.id != provider) {
        return Err(taken("id", &other.model.id).into());
    }
    let names: Vec<String> = described.aliases.iter().chain([&described.id]).cloned().collect();
    match store::named(tx, &described.id, &names).await? {
        Some(other) => Err(taken("aliases", &other).into()),
        None => Ok(()),
    }
}

fn components(app: &Platform, price: &NewPrice) -> Result<Option<Vec<Component>>, Invalid> {
    let wrong = |message: &str| Invalid::field("price", "out_of_range", message);
    let components = match price {
        NewPrice::None => return Ok(None),
        NewPrice::PerImage(money) if money.currency != app.config.organisation.currency => {
            return Err(wrong("Prices are in the organisation's currency."));
        }
        NewPrice::PerImage(money) => vec![Component::per_image(money.micros.0)],
        NewPrice::Components(components) => components.clone(),
    };
    if components.is_empty() || components.len() > 32 {
        return Err(wrong("A price has 1 to 32 components."));
    }
    // A million units of the currency for one picture is a slip of the pen.
    if components.iter().any(|component| !(0..=1_000_000_000_000).contains(&component.micros)) {
        return Err(wrong("An amount is 0 to 1,000,000."));
    }
    Ok(Some(components))
}

async fn set_price(
    tx: &mut Tx,
    ctx: &Ctx,
    app: &Platform,
    model: &str,
    components: Option<&[Component]>,
) -> Result<(), InferenceError> {
    let offer = store::model(tx, model).await?.ok_or(NotFound)?;
    let by = ctx.acting().ok().map(|acting| acting.person);
    let currency = app.config.organisation.currency;
    let changed = match components {
        Some(components) => {
            let defaults = price::defaults(components, &offer.model.parameters)?;
            store::set_price(tx, &ctx.clock, model, PriceValues { currency, components, defaults, by }).await?
        }
        None => store::end_price(tx, model, ctx.clock.now()).await?,
    };
    if changed {
        let details = json!({ "model": model, "components": components, "currency": currency });
        let act = Act::done("models.price").on("provider", offer.provider.id).details(details);
        audit::record(tx, ctx, act).await?;
    }
    Ok(())
}

/// Whether the price comes from the configuration, which sets it again at every start.
fn configured_price(app: &Platform, id: &str) -> bool {
    let Some((slug, name)) = id.split_once('/') else { return false };
    let providers = &app.config.inference.providers;
    let model =
        providers.iter().filter(|one| one.slug == slug).flat_map(|one| &one.models).find(|one| one.name == name);
    // The painter's price is built in.
    model.is_none_or(|model| model.price_micros_per_image.is_some())
}

/// The parameters of a model about which nobody said more: what its kind of server usually understands.
pub fn usual_parameters(local: bool) -> Value {
    let properties = if local {
        json!({
            "negative_prompt": { "type": "string", "title": "Not in the picture", "maxLength": 32000 },
            "num_inference_steps": { "type": "integer", "title": "Steps", "minimum": 1, "maximum": 200 },
            "guidance_scale": { "type": "number", "title": "Guidance", "minimum": 0, "maximum": 30 }
        })
    } else {
        json!({
            "quality": { "type": "string", "title": "Quality", "enum": ["auto", "low", "medium", "high"] },
            "background": { "type": "string", "title": "Background", "enum": ["auto", "opaque", "transparent"] },
            "output_format": { "type": "string", "title": "Format", "enum": ["png", "jpeg", "webp"] },
            "output_compression": { "type": "integer", "title": "Compression", "minimum": 0, "maximum": 100 },
            "moderation": { "type": "string", "title": "Moderation", "enum": ["auto", "low"] }
        })
    };
    json!({ "type": "object", "additionalProperties": false, "properties": properties })
}
