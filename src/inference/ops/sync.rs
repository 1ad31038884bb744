//! The catalog at start: the built-in painter and what the configuration names.
//!
//! Done again at every start, by any number of servers: it only changes what differs. What an administrator switched off
//! stays off. What the configuration names no longer is taken out of the catalog; what was made with it keeps its rows.

use secrecy::{ExposeSecret, SecretString};

use super::{base_url::BaseUrl, providers::set_key};
use crate::{
    base::{
        ctx::Ctx,
        error::Invalid,
        ids::{DestinationId, ProviderId},
    },
    config::{ConfiguredModel, ConfiguredProvider},
    inference::{
        error::InferenceError,
        model::{Description, ProviderKind, Task, Upstream},
        price::{self, Component},
        providers::demo::catalog as demo,
        store::{self, PriceValues, ProviderValues},
    },
    platform::{
        Platform,
        audit::{self, Act},
        db::Tx,
        egress::destinations,
    },
};

/// Makes the catalog's managed part match the configuration.
pub async fn sync(ctx: &Ctx, app: &Platform) -> Result<(), InferenceError> {
    app.db
        .write("inference.sync", async |tx| {
            store::lock(tx).await?;
            let mut kept = Vec::new();
            if app.config.inference.demo {
                kept.push(sync_demo(tx, ctx, app).await?);
            }
            for configured in &app.config.inference.providers {
                kept.push(sync_configured(tx, ctx, app, configured).await?);
            }
            let all = store::providers(tx).await?;
            for gone in all.iter().filter(|one| one.managed && !kept.contains(&one.id)) {
                super::providers::take_out(tx, ctx, gone).await?;
            }
            Ok(())
        })
        .await
}

async fn sync_demo(tx: &mut Tx, ctx: &Ctx, app: &Platform) -> Result<ProviderId, InferenceError> {
    let values = ProviderValues {
        slug: demo::SLUG,
        kind: ProviderKind::Demo,
        title: demo::TITLE,
        base_url: None,
        destination: None,
        managed: true,
    };
    let id = put(tx, ctx, &values).await?;
    let models = demo::models(app.config.inference.demo_faults);
    let priced: Vec<_> = models.into_iter().map(|model| (model, Some(demo::price()))).collect();
    put_models(tx, ctx, app, id, &priced).await?;
    Ok(id)
}

async fn sync_configured(
    tx: &mut Tx,
    ctx: &Ctx,
    app: &Platform,
    configured: &ConfiguredProvider,
) -> Result<ProviderId, InferenceError> {
    let url = BaseUrl::parse(&configured.base_url, configured.local)?;
    let destination = match kept_destination(tx, configured, &url).await? {
        Some(same) => same,
        None => destinations::allow(tx, ctx, &url.origin, configured.local).await?,
    };
    let values = ProviderValues {
        slug: &configured.slug,
        kind: ProviderKind::OpenAi,
        title: &configured.title,
        base_url: Some(&url.text),
        destination: Some(destination),
        managed: true,
    };
    let id = put(tx, ctx, &values).await?;
    sync_key(tx, ctx, app, id, configured.api_key.as_ref()).await?;
    let models = configured.models.iter().map(|model| described(configured, model));
    put_models(tx, ctx, app, id, &models.collect::<Result<Vec<_>, _>>()?).await?;
    Ok(id)
}

/// Where this provider already is. It is not allowed anew, so that a destination that was switched off stays off.
async fn kept_destination(
    tx: &mut Tx,
    configured: &ConfiguredProvider,
    url: &BaseUrl,
) -> Result<Option<DestinationId>, InferenceError> {
    let provider = store::provider_by_slug(tx, &configured.slug).await?;
    let Some(id) = provider.and_then(|provider| provider.destination) else { return Ok(None) };
    let known = destinations::find(tx, id).await?;
    let same = known.filter(|known| known.origin == url.origin && known.local == configured.local);
    Ok(same.map(|known| known.id))
}

async fn put(tx: &mut Tx, ctx: &Ctx, values: &ProviderValues<'_>) -> Result<ProviderId, InferenceError> {
    let now = ctx.clock.now();
    if let Some(known) = store::provider_by_slug(tx, values.slug).await? {
        store::update_provider(tx, known.id, values, now).await?;
        return Ok(known.id);
    }
    let id = ProviderId::new(&ctx.clock);
    store::insert_provider(tx, id, values, true, now).await?;
    audit::record(tx, ctx, Act::done("providers.add").on("provider", id)).await?;
    Ok(id)
}

/// Seals the key only when it is another one, so that starting changes nothing.
async fn sync_key(
    tx: &mut Tx,
    ctx: &Ctx,
    app: &Platform,
    id: ProviderId,
    key: Option<&SecretString>,
) -> Result<(), InferenceError> {
    let provider = store::provider(tx, id.uuid()).await?;
    let known = provider.and_then(|provider| super::providers::open_key(&app.keys, &provider).ok().flatten());
    let text = |key: &SecretString| key.expose_secret().to_owned();
    if known.as_ref().map(text) != key.map(text) {
        set_key(tx, ctx, &app.keys, id, key).await?;
    }
    Ok(())
}

async fn put_models(
    tx: &mut Tx,
    ctx: &Ctx,
    app: &Platform,
    provider: ProviderId,
    models: &[(Description, Option<Vec<Component>>)],
) -> Result<(), InferenceError> {
    let now = ctx.clock.now();
    for ((model, price), position) in models.iter().zip(0..) {
        super::models::check_free(tx, provider, model).await?;
        store::put_model(tx, provider, model, position, now).await?;
        if let Some(components) = price {
            let currency = app.config.organisation.currency;
            let defaults = price::defaults(components, &model.parameters)?;
            let price = PriceValues { currency, components, defaults, by: None };
            store::set_price(tx, &ctx.clock, &model.id, price).await?;
        }
    }
    let kept: Vec<String> = models.iter().map(|(model, _)| model.id.clone()).collect();
    store::remove_models_except(tx, provider, &kept, now).await
}

fn described(
    provider: &ConfiguredProvider,
    model: &ConfiguredModel,
) -> Result<(Description, Option<Vec<Component>>), InferenceError> {
    let slug = &provider.slug;
    let task = |text: &String| Task::ALL.into_iter().find(|task| task.as_str() == text);
    let unknown = |name: &str, text: &String| {
        Invalid::field(name, "unknown", format!("{slug}: {text} is not one of the known words."))
    };
    let description = Description {
        id: format!("{slug}/{}", model.name),
        upstream_name: model.upstream_name.clone(),
        title: model.title.clone(),
        tasks: model
            .tasks
            .iter()
            .map(|text| task(text).ok_or_else(|| unknown("tasks", text)))
            .collect::<Result<_, _>>()?,
        sizes: model
            .sizes
            .iter()
            .map(|text| text.parse().map_err(|_| unknown("sizes", text)))
            .collect::<Result<_, _>>()?,
        max_count: model.max_count,
        max_references: model.max_references,
        seeds: model.seeds,
        parameters: super::models::usual_parameters(provider.local),
        aliases: model.aliases.clone(),
        upstream: Upstream::default(),
    };
    description.check()?;
    Ok((description, model.price_micros_per_image.map(|micros| vec![Component::per_image(micros)])))
}
