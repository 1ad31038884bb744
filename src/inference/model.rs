//! A model of the catalog, and a request to one, checked before anything is stored or spent.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use jsonschema::error::ValidationErrorKind;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::price::PriceCard;
use crate::base::{
    error::{FieldFault, Invalid},
    ids::{DestinationId, ProviderId},
};

/// Longest prompt, in characters.
pub const PROMPT_LIMIT: usize = 32_000;
/// Largest count that any model may offer.
pub const COUNT_LIMIT: u32 = 16;

/// Width and height in pixels: `1024x1024`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Size {
    pub width: u32,
    pub height: u32,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a size of the form 1024x1024")]
pub struct NotASize;

impl FromStr for Size {
    type Err = NotASize;

    fn from_str(text: &str) -> Result<Self, NotASize> {
        let (width, height) = text.split_once('x').ok_or(NotASize)?;
        let side = |text: &str| match text.parse::<u32>() {
            Ok(side) if (1..=16_384).contains(&side) && side.to_string() == text => Ok(side),
            _ => Err(NotASize),
        };
        Ok(Self { width: side(width)?, height: side(height)? })
    }
}

impl fmt::Display for Size {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}x{}", self.width, self.height)
    }
}

/// What a reference is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReferenceRole {
    Reference,
    Garment,
    Scene,
    /// White or transparent where the first reference is to be painted anew.
    Mask,
}

impl ReferenceRole {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reference => "reference",
            Self::Garment => "garment",
            Self::Scene => "scene",
            Self::Mask => "mask",
        }
    }
}

/// What a model can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum Task {
    #[serde(rename = "text-to-image")]
    TextToImage,
    #[serde(rename = "image-to-image")]
    ImageToImage,
    #[serde(rename = "inpaint")]
    Inpaint,
}

impl Task {
    pub const ALL: [Self; 3] = [Self::TextToImage, Self::ImageToImage, Self::Inpaint];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::TextToImage => "text-to-image",
            Self::ImageToImage => "image-to-image",
            Self::Inpaint => "inpaint",
        }
    }
}

/// An entry of the catalog.
#[derive(Clone, Debug)]
pub struct Model {
    /// `demo/painter`
    pub id: String,
    pub provider: ProviderId,
    pub upstream_name: String,
    pub title: String,
    pub tasks: Vec<Task>,
    /// The first is used when a request names none.
    pub sizes: Vec<Size>,
    pub max_count: u32,
    /// Pictures besides a mask.
    pub max_references: u32,
    pub seeds: bool,
    /// JSON Schema of the model's own parameters.
    pub parameters: Value,
    pub aliases: Vec<String>,
    pub upstream: Upstream,
    pub enabled: bool,
}

/// How a server differs from others that speak the same protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Upstream {
    /// Whether to ask for pictures inside the answer. None: everybody but OpenAI, whose models refuse the question.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_format: Option<bool>,
    /// The server reads the seed from a tag in the prompt, as stable-diffusion.cpp's does.
    pub seed_in_prompt: bool,
}

/// A model as the configuration or an administrator describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Description {
    pub id: String,
    pub upstream_name: String,
    pub title: String,
    pub tasks: Vec<Task>,
    pub sizes: Vec<Size>,
    pub max_count: u32,
    pub max_references: u32,
    pub seeds: bool,
    pub parameters: Value,
    pub aliases: Vec<String>,
    pub upstream: Upstream,
}

impl Description {
    /// Everything that is wrong with it.
    pub fn check(&self) -> Result<(), Invalid> {
        let mut faults = Vec::new();
        let mut wrong = |name: &str, code: &str, message: &str| faults.push(FieldFault::new(name, code, message));
        if !is_model_id(&self.id) {
            wrong("id", "malformed", "Lower-case letters, digits, dots, dashes and at most one slash, 3 to 255 long.");
        }
        if !(1..=255).contains(&self.title.len()) || self.title.trim().is_empty() {
            wrong("title", "out_of_range", "A title is 1 to 255 bytes long.");
        }
        if !(1..=255).contains(&self.upstream_name.len()) || self.upstream_name.contains('\0') {
            wrong("upstream_name", "out_of_range", "The server's name for the model is 1 to 255 bytes long.");
        }
        if self.tasks.is_empty() {
            wrong("tasks", "required", "Choose at least one task.");
        }
        if self.sizes.is_empty() || self.sizes.len() > 64 {
            wrong("sizes", "required", "Name 1 to 64 sizes.");
        }
        if !(1..=COUNT_LIMIT).contains(&self.max_count) {
            wrong("max_count", "out_of_range", "A request makes 1 to 16 pictures.");
        }
        if self.max_references > COUNT_LIMIT {
            wrong("max_references", "out_of_range", "A request takes 0 to 16 references.");
        }
        if self.aliases.len() > 16 || !self.aliases.iter().all(|alias| is_model_id(alias)) {
            wrong("aliases", "malformed", "At most 16 aliases, each written like an id.");
        }
        if !self.parameters.is_object() || jsonschema::validator_for(&self.parameters).is_err() {
            wrong("parameters", "malformed", "The parameters are described by a JSON Schema.");
        }
        if faults.is_empty() { Ok(()) } else { Err(Invalid(faults)) }
    }
}

fn is_model_id(text: &str) -> bool {
    let word = |part: &str| {
        part.starts_with(|letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit())
            && part.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b':'))
    };
    (3..=255).contains(&text.len()) && text.split('/').count() <= 2 && text.split('/').all(word)
}

/// Who computes.
#[derive(Clone, Debug)]
pub struct ProviderInfo {
    pub id: ProviderId,
    pub slug: String,
    pub kind: ProviderKind,
    pub title: String,
    pub base_url: Option<String>,
    /// Sealed.
    pub api_key: Option<Vec<u8>>,
    pub destination: Option<DestinationId>,
    pub managed: bool,
    pub enabled: bool,
    pub created_at: DateTime<Utc>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ProviderKind {
    /// Built in: paints, is no model, needs no network.
    Demo,
    /// Any server that speaks OpenAI's images API.
    OpenAi,
}

impl ProviderKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Demo => "demo",
            Self::OpenAi => "openai",
        }
    }
}

/// A model that can be used now: with its provider and its price.
#[derive(Clone, Debug)]
pub struct Offer {
    pub model: Model,
    pub provider: ProviderInfo,
    /// None: it cannot be used until somebody sets a price.
    pub price: Option<PriceCard>,
}

/// What a person asks of a model.
#[derive(Clone, Debug)]
pub struct Request {
    pub prompt: String,
    pub size: Option<Size>,
    pub count: u32,
    pub seed: Option<u32>,
    pub references: Vec<ReferenceRole>,
    pub parameters: Map<String, Value>,
}

impl Model {
    pub fn description(&self) -> Description {
        Description {
            id: self.id.clone(),
            upstream_name: self.upstream_name.clone(),
            title: self.title.clone(),
            tasks: self.tasks.clone(),
            sizes: self.sizes.clone(),
            max_count: self.max_count,
            max_references: self.max_references,
            seeds: self.seeds,
            parameters: self.parameters.clone(),
            aliases: self.aliases.clone(),
            upstream: self.upstream,
        }
    }

    pub fn can(&self, task: Task) -> bool {
        self.tasks.contains(&task)
    }

    /// The size that a request without one gets.
    pub fn usual_size(&self) -> Size {
        self.sizes.first().copied().unwrap_or(Size { width: 1024, height: 1024 })
    }

    /// Everything that is wrong with the request, not only the first thing.
    pub fn check(&self, request: &Request) -> Result<(), Invalid> {
        let mut faults = Vec::new();
        faults.extend(check_prompt(&request.prompt));
        faults.extend(self.check_size(request.size));
        faults.extend(self.check_count(request.count));
        if request.seed.is_some() && !self.seeds {
            faults.push(FieldFault::new("seed", "not_offered", format!("{} takes no seed.", self.title)));
        }
        faults.extend(self.check_references(&request.references));
        faults.extend(self.check_parameters(&request.parameters));
        if faults.is_empty() { Ok(()) } else { Err(Invalid(faults)) }
    }

    fn check_size(&self, size: Option<Size>) -> Option<FieldFault> {
        let size = size?;
        (!self.sizes.contains(&size)).then(|| {
            let offered = self.sizes.iter().map(Size::to_string).collect::<Vec<_>>().join(", ");
            FieldFault::new(
                "size",
                "not_offered",
                format!("{} does not offer {size}. It offers {offered}.", self.title),
            )
        })
    }

    fn check_count(&self, count: u32) -> Option<FieldFault> {
        (!(1..=self.max_count).contains(&count)).then(|| {
            FieldFault::new(
                "count",
                "out_of_range",
                format!("{} makes 1 to {} pictures at a time.", self.title, self.max_count),
            )
        })
    }

    fn check_references(&self, roles: &[ReferenceRole]) -> Vec<FieldFault> {
        let mut faults = Vec::new();
        let masks = roles.iter().filter(|role| **role == ReferenceRole::Mask).count();
        let pictures = roles.len() - masks;
        let most = usize::try_from(self.max_references).unwrap_or(usize::MAX);
        if pictures > most {
            let message = match most {
                0 => format!("{} takes no references.", self.title),
                most => format!("{} takes at most {most} references.", self.title),
            };
            faults.push(FieldFault::new("references", "too_many", message));
        }
        if masks > 0 && !self.can(Task::Inpaint) {
            faults.push(FieldFault::new("references", "not_offered", format!("{} takes no mask.", self.title)));
        } else if masks > 1 || (masks == 1 && pictures == 0) {
            faults.push(FieldFault::new(
                "references",
                "mask",
                "A mask needs a reference that it applies to, and there is one mask at most.",
            ));
        }
        faults
    }

    fn check_parameters(&self, parameters: &Map<String, Value>) -> Vec<FieldFault> {
        let schema = match jsonschema::validator_for(&self.parameters) {
            Ok(schema) => schema,
            Err(_) => {
                return vec![FieldFault::new("parameters", "unreadable", "This model's parameters cannot be checked.")];
            }
        };
        let value = Value::Object(parameters.clone());
        schema.iter_errors(&value).flat_map(|error| self.faults_of(&error)).collect()
    }

    /// A parameter that the model has not is a fault of that parameter, not of all of them.
    fn faults_of(&self, error: &jsonschema::ValidationError<'_>) -> Vec<FieldFault> {
        let place = format!("parameters{}", error.instance_path().to_string().replace('/', "."));
        match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected } => unexpected
                .iter()
                .map(|name| {
                    let message = format!("{} has no parameter called {name}.", self.title);
                    FieldFault::new(format!("{place}.{name}"), "unknown", message)
                })
                .collect(),
            _ => vec![FieldFault::new(place, "not_accepted", format!("{}: {error}.", self.title))],
        }
    }
}

fn check_prompt(prompt: &str) -> Option<FieldFault> {
    if prompt.trim().is_empty() {
        Some(FieldFault::new("prompt", "required", "Write what you would like to see."))
    } else if prompt.chars().count() > PROMPT_LIMIT {
        Some(FieldFault::new("prompt", "too_long", "A prompt has at most 32,000 characters."))
    } else if prompt.contains('\0') {
        Some(FieldFault::new("prompt", "malformed", "A prompt cannot hold the character NUL."))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_knows_the_same_tasks() {
        assert_eq!(Task::ALL.map(Task::as_str), crate::config::TASKS);
    }
}
