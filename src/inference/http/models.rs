//! Models on the wire.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::providers::given;
use crate::{
    base::{error::Invalid, ids::ProviderId, money::Money},
    inference::{
        model::{Description, Model, Offer, Size, Task, Upstream},
        ops::{ModelChange, NewModel, NewPrice, usual_parameters},
        price::Component,
    },
};

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ModelView {
    #[schema(max_length = 255, example = "demo/painter")]
    pub id: String,
    /// Short name of who computes.
    #[schema(max_length = 63, example = "demo")]
    pub provider: String,
    #[schema(max_length = 255)]
    pub title: String,
    pub tasks: Vec<Task>,
    /// The first is used when a request names none.
    pub sizes: Vec<String>,
    pub max_count: u32,
    pub max_references: u32,
    /// Whether a seed repeats a picture.
    pub seeds: bool,
    /// JSON Schema of the model's own parameters.
    #[schema(value_type = Object)]
    pub parameters: Value,
    pub aliases: Vec<String>,
    /// Of one picture of the usual size; null: it cannot be used until it has a price.
    pub price: Option<Money>,
    /// The whole price: components are added.
    pub price_card: Option<Vec<Component>>,
}

impl From<&Offer> for ModelView {
    fn from(offer: &Offer) -> Self {
        let model = &offer.model;
        let single = |card: &crate::inference::price::PriceCard| card.single(model.usual_size()).ok();
        Self {
            id: model.id.clone(),
            provider: offer.provider.slug.clone(),
            title: model.title.clone(),
            tasks: model.tasks.clone(),
            sizes: model.sizes.iter().map(Size::to_string).collect(),
            max_count: model.max_count,
            max_references: model.max_references,
            seeds: model.seeds,
            parameters: model.parameters.clone(),
            aliases: model.aliases.clone(),
            price: offer.price.as_ref().and_then(single),
            price_card: offer.price.as_ref().map(|card| card.components.clone()),
        }
    }
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AdminModelView {
    #[serde(flatten)]
    pub model: ModelView,
    pub provider_id: ProviderId,
    /// What its server calls it.
    #[schema(max_length = 255)]
    pub upstream_name: String,
    pub upstream: Upstream,
    pub enabled: bool,
    /// Set up by the configuration file and changed there.
    pub managed: bool,
}

impl From<&Offer> for AdminModelView {
    fn from(offer: &Offer) -> Self {
        Self {
            model: offer.into(),
            provider_id: offer.provider.id,
            upstream_name: offer.model.upstream_name.clone(),
            upstream: offer.model.upstream,
            enabled: offer.model.enabled,
            managed: offer.provider.managed,
        }
    }
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelRequest {
    pub provider: ProviderId,
    #[schema(min_length = 3, max_length = 255, example = "openai/gpt-image-2")]
    id: String,
    /// The second part of the id when not given.
    #[schema(min_length = 1, max_length = 255)]
    upstream_name: Option<String>,
    /// The id when not given.
    #[schema(min_length = 1, max_length = 255)]
    title: Option<String>,
    /// `text-to-image` when not given.
    #[schema(min_items = 1, max_items = 3)]
    tasks: Option<Vec<Task>>,
    #[schema(min_items = 1, max_items = 64)]
    sizes: Vec<String>,
    /// 1 when not given.
    #[schema(minimum = 1, maximum = 16)]
    max_count: Option<u32>,
    /// 0 when not given.
    #[schema(minimum = 0, maximum = 16)]
    max_references: Option<u32>,
    /// False when not given.
    seeds: Option<bool>,
    /// JSON Schema; what servers of its kind usually take when not given.
    #[schema(value_type = Option<Object>)]
    parameters: Option<Value>,
    #[schema(max_items = 16)]
    aliases: Option<Vec<String>>,
    upstream: Option<Upstream>,
    /// Per picture. Without a price the model cannot be used.
    price: Option<Money>,
    /// Instead of `price`.
    #[schema(min_items = 1, max_items = 32)]
    price_card: Option<Vec<Component>>,
    /// True when not given.
    enabled: Option<bool>,
}

impl ModelRequest {
    pub fn parse(self, local: bool) -> Result<NewModel, Invalid> {
        let name = self.id.split_once('/').map_or(self.id.as_str(), |(_, name)| name).to_owned();
        let described = Description {
            upstream_name: self.upstream_name.unwrap_or(name),
            title: self.title.unwrap_or_else(|| self.id.clone()),
            id: self.id,
            tasks: self.tasks.unwrap_or_else(|| vec![Task::TextToImage]),
            sizes: sizes(&self.sizes)?,
            max_count: self.max_count.unwrap_or(1),
            max_references: self.max_references.unwrap_or(0),
            seeds: self.seeds.unwrap_or(false),
            parameters: self.parameters.unwrap_or_else(|| usual_parameters(local)),
            aliases: self.aliases.unwrap_or_default(),
            upstream: self.upstream.unwrap_or_default(),
        };
        let price = price(self.price.map(Some), self.price_card)?.unwrap_or(NewPrice::None);
        Ok(NewModel { provider: self.provider, described, price, enabled: self.enabled.unwrap_or(true) })
    }
}

/// What is not given stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelPatch {
    #[schema(min_length = 1, max_length = 255)]
    upstream_name: Option<String>,
    #[schema(min_length = 1, max_length = 255)]
    title: Option<String>,
    #[schema(min_items = 1, max_items = 3)]
    tasks: Option<Vec<Task>>,
    #[schema(min_items = 1, max_items = 64)]
    sizes: Option<Vec<String>>,
    #[schema(minimum = 1, maximum = 16)]
    max_count: Option<u32>,
    #[schema(minimum = 0, maximum = 16)]
    max_references: Option<u32>,
    seeds: Option<bool>,
    #[schema(value_type = Option<Object>)]
    parameters: Option<Value>,
    #[schema(max_items = 16)]
    aliases: Option<Vec<String>>,
    upstream: Option<Upstream>,
    /// Per picture, from now on. Null ends the price, and the model cannot be used.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Money>)]
    price: Option<Option<Money>>,
    /// Instead of `price`.
    #[schema(min_items = 1, max_items = 32)]
    price_card: Option<Vec<Component>>,
    enabled: Option<bool>,
}

impl ModelPatch {
    pub fn apply(self, model: &Model) -> Result<ModelChange, Invalid> {
        let before = model.description();
        let described = Description {
            id: before.id.clone(),
            upstream_name: self.upstream_name.unwrap_or_else(|| before.upstream_name.clone()),
            title: self.title.unwrap_or_else(|| before.title.clone()),
            tasks: self.tasks.unwrap_or_else(|| before.tasks.clone()),
            sizes: self.sizes.map_or_else(|| Ok(before.sizes.clone()), |texts| sizes(&texts))?,
            max_count: self.max_count.unwrap_or(before.max_count),
            max_references: self.max_references.unwrap_or(before.max_references),
            seeds: self.seeds.unwrap_or(before.seeds),
            parameters: self.parameters.unwrap_or_else(|| before.parameters.clone()),
            aliases: self.aliases.unwrap_or_else(|| before.aliases.clone()),
            upstream: self.upstream.unwrap_or(before.upstream),
        };
        Ok(ModelChange {
            described: (described != before).then_some(described),
            price: price(self.price, self.price_card)?,
            enabled: self.enabled,
        })
    }
}

fn sizes(texts: &[String]) -> Result<Vec<Size>, Invalid> {
    let parse = |(at, text): (usize, &String)| {
        let wrong = |_| Invalid::field(format!("sizes[{at}]"), "malformed", "A size reads like 1024x1024.");
        text.parse().map_err(wrong)
    };
    texts.iter().enumerate().map(parse).collect()
}

fn price(single: Option<Option<Money>>, card: Option<Vec<Component>>) -> Result<Option<NewPrice>, Invalid> {
    match (single, card) {
        (Some(_), Some(_)) => {
            Err(Invalid::field("price_card", "twice", "Give either a price per picture or a price card."))
        }
        (Some(Some(money)), None) => Ok(Some(NewPrice::PerImage(money))),
        (Some(None), None) => Ok(Some(NewPrice::None)),
        (None, Some(components)) => Ok(Some(NewPrice::Components(components))),
        (None, None) => Ok(None),
    }
}
