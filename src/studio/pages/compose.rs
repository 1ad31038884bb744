//! The composer: from the catalog and what was typed to the form, and from the form to a request.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::views::{Composer, Fields, ModelOption, Param, ParamKind, SizeChoice};
use crate::{
    base::error::FieldFault,
    inference::model::{Model, Offer, PROMPT_LIMIT, ProviderKind, Size, Task},
    studio::model::Generation,
};

/// What a form or an address says, everything as text; wrong values fall back when they are shown.
#[derive(Clone, Debug, Default)]
pub struct Typed {
    pub prompt: String,
    pub model: String,
    pub size: String,
    pub count: String,
    pub seed: String,
    pub parameters: BTreeMap<String, String>,
}

impl Typed {
    /// Takes one field of the form or the query; unknown ones are left alone.
    pub fn take(&mut self, name: &str, value: String) {
        match name {
            "prompt" => self.prompt = value,
            "model" => self.model = value,
            "size" => self.size = value,
            "count" => self.count = value,
            "seed" => self.seed = value,
            _ => {
                if let Some(parameter) = name.strip_prefix("parameter.") {
                    self.parameters.insert(parameter.to_owned(), value);
                }
            }
        }
    }

    /// What an earlier generation was made from, or one part of it.
    pub fn recall(generation: &Generation, part: &str) -> Self {
        let all = part == "all";
        let seed = generation.outputs.first().and_then(|output| output.seed).or(generation.seed);
        let mut typed = Self::default();
        if all || part == "prompt" {
            typed.prompt.clone_from(&generation.prompt);
        }
        if all || part == "size" {
            typed.size = generation.size.to_string();
        }
        if all || part == "seed" {
            typed.seed = seed.map(|seed| seed.to_string()).unwrap_or_default();
        }
        if all {
            typed.count = generation.count.to_string();
            typed.parameters = generation.parameters.iter().map(|(name, value)| (name.clone(), plain(value))).collect();
        }
        typed.model.clone_from(&generation.model);
        typed
    }

    /// The parameters as the model's schema types them; what is empty is not sent.
    pub fn parameters(&self, model: &Model) -> Map<String, Value> {
        let properties = properties(model);
        self.parameters
            .iter()
            .filter(|(name, text)| {
                !text.is_empty() && properties.is_some_and(|known| known.contains_key(name.as_str()))
            })
            .map(|(name, text)| {
                let schema = properties.and_then(|known| known.get(name.as_str()));
                (name.clone(), typed_value(schema, text))
            })
            .collect()
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn typed_value(schema: Option<&Value>, text: &str) -> Value {
    let kind = schema.and_then(|schema| schema.get("type")).and_then(Value::as_str).unwrap_or("string");
    let parsed = match kind {
        "integer" | "number" | "boolean" => serde_json::from_str(text).ok(),
        _ => None,
    };
    parsed.unwrap_or_else(|| Value::from(text))
}

fn properties(model: &Model) -> Option<&Map<String, Value>> {
    model.parameters.get("properties").and_then(Value::as_object)
}

/// The offer that the form is about: the chosen one, or the first of the list.
pub fn chosen<'a>(offers: &'a [Offer], model: &str) -> Option<&'a Offer> {
    let wanted = |offer: &&Offer| offer.model.id == model || offer.model.aliases.iter().any(|alias| alias == model);
    offers.iter().find(wanted).or_else(|| offers.first())
}

/// The form without references and money, which need more than the catalog. `in_house`: where the chosen model runs.
pub fn composer(offers: &[Offer], typed: &Typed, in_house: bool) -> Composer {
    let current = chosen(offers, &typed.model);
    Composer {
        prompt: typed.prompt.clone(),
        prompt_max: u32::try_from(PROMPT_LIMIT).unwrap_or(u32::MAX),
        models: offers
            .iter()
            .map(|offer| ModelOption {
                id: offer.model.id.clone(),
                label: label(offer),
                selected: current.is_some_and(|current| current.model.id == offer.model.id),
            })
            .collect(),
        fields: current.map(|offer| fields(offer, typed, in_house)).unwrap_or_default(),
        error: if offers.is_empty() {
            "No model can be used yet. An owner adds one.".to_owned()
        } else {
            String::new()
        },
        ..Composer::default()
    }
}

fn label(offer: &Offer) -> String {
    match offer.provider.kind {
        ProviderKind::Demo => format!("{} · built in", offer.model.title),
        ProviderKind::OpenAi => format!("{} · {}", offer.model.title, offer.provider.title),
    }
}

/// The part of the form that depends on the model.
pub fn fields(offer: &Offer, typed: &Typed, in_house: bool) -> Fields {
    let model = &offer.model;
    let size = typed.size.parse::<Size>().ok().filter(|size| model.sizes.contains(size));
    let size = size.unwrap_or_else(|| model.usual_size());
    let title = &offer.provider.title;
    Fields {
        leaves_house: !in_house,
        destination: match (offer.provider.kind, in_house) {
            (ProviderKind::Demo, _) => {
                "Stays on this server. The demo painter is no model: it paints from the words and the seed".to_owned()
            }
            (_, true) => format!("Stays in the house: prompt and references go to {title}"),
            (_, false) => format!("Leaves the house: prompt and references go to {title}"),
        },
        sizes: SizeChoice::all(model.sizes.iter().map(|one| (one.width, one.height)), |width, height| {
            (width, height) == (size.width, size.height)
        }),
        count: typed.count.parse().unwrap_or(1).clamp(1, model.max_count),
        max_count: model.max_count,
        seed: typed.seed.clone(),
        max_references: if model.can(Task::ImageToImage) { model.max_references } else { 0 },
        strength: offer.provider.kind == ProviderKind::Demo,
        params: properties(model)
            .into_iter()
            .flatten()
            .map(|(name, schema)| param(name, schema, typed.parameters.get(name).map_or("", String::as_str)))
            .collect(),
        ..Fields::default()
    }
}

fn param(name: &str, schema: &Value, typed: &str) -> Param {
    let text = |key: &str| schema.get(key).map(plain).unwrap_or_default();
    let title = text("title");
    Param {
        name: name.to_owned(),
        label: if title.is_empty() { spoken(name) } else { title },
        help: text("description"),
        error: String::new(),
        kind: kind(schema, if typed.is_empty() { text("default") } else { typed.to_owned() }),
    }
}

/// `output_format` as people say it.
fn spoken(name: &str) -> String {
    let words = name.replace('_', " ");
    let mut letters = words.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

fn kind(schema: &Value, value: String) -> ParamKind {
    let text = |key: &str| schema.get(key).map(plain).unwrap_or_default();
    if let Some(choices) = schema.get("enum").and_then(Value::as_array) {
        let choices = choices.iter().map(plain).map(|choice| (choice.clone(), choice == value)).collect();
        return ParamKind::Select(choices);
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("boolean") => ParamKind::Check(value == "true"),
        Some("integer") => ParamKind::Number { value, min: text("minimum"), max: text("maximum"), step: "1" },
        Some("number") => ParamKind::Number { value, min: text("minimum"), max: text("maximum"), step: "any" },
        _ => ParamKind::Text { value, max_length: text("maxLength") },
    }
}

/// Puts what was wrong beside its field; what has no field of its own stands above the form.
pub fn complain(composer: &mut Composer, faults: &[FieldFault], otherwise: &str) {
    let mut placed = false;
    for fault in faults {
        let message = fault.message.clone();
        let place = match fault.name.split(['.', '[']).next().unwrap_or_default() {
            "prompt" => &mut composer.prompt_error,
            "references" => &mut composer.reference_error,
            "size" => &mut composer.fields.size_error,
            "count" => &mut composer.fields.count_error,
            "seed" => &mut composer.fields.seed_error,
            "parameters" => {
                let wrong = fault.name.strip_prefix("parameters.").unwrap_or_default();
                match composer.fields.params.iter_mut().find(|param| param.name == wrong) {
                    Some(param) => &mut param.error,
                    None => continue,
                }
            }
            _ => continue,
        };
        *place = message;
        placed = true;
    }
    if !placed {
        composer.error = otherwise.to_owned();
    }
}
