//! Requests of OpenAI's images API.

use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::{
    ToSchema,
    openapi::{
        RefOr,
        schema::{ObjectBuilder, Schema, Type},
    },
};

use crate::{
    base::{access::StudioEdit, error::Invalid},
    inference,
    studio::model::NewGeneration,
    web::{extract, guard::Guard, problem::Problem},
};

/// `POST /v1/images/generations`. `seed` is an extension.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageRequest {
    #[schema(min_length = 1, max_length = 32000)]
    pub prompt: String,
    /// A catalog id or alias; the first model when not given.
    #[schema(max_length = 255)]
    pub model: Option<String>,
    #[schema(minimum = 1, maximum = 16)]
    pub n: Option<u32>,
    /// `auto` or one of the model's sizes.
    #[schema(max_length = 11)]
    pub size: Option<String>,
    #[schema(max_length = 32)]
    pub quality: Option<String>,
    #[schema(max_length = 32)]
    pub background: Option<String>,
    #[schema(max_length = 32)]
    pub output_format: Option<String>,
    #[schema(minimum = 0, maximum = 100)]
    pub output_compression: Option<u32>,
    #[schema(max_length = 32)]
    pub moderation: Option<String>,
    #[schema(max_length = 32)]
    pub input_fidelity: Option<String>,
    #[schema(max_length = 32)]
    pub style: Option<String>,
    /// `b64_json` or `url`.
    pub response_format: Option<ResponseFormat>,
    #[serde(default)]
    pub stream: bool,
    #[schema(minimum = 0, maximum = 3)]
    pub partial_images: Option<u32>,
    #[schema(minimum = 0, maximum = 4294967295u32)]
    pub seed: Option<u32>,
    /// Whom OpenAI should hold responsible. Taken and not kept: the token says who it is.
    #[schema(max_length = 255)]
    #[serde(rename = "user")]
    _user: Option<String>,
    #[schema(max_length = 255)]
    #[serde(rename = "safety_identifier")]
    _safety_identifier: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResponseFormat {
    #[default]
    B64Json,
    Url,
}

/// The form of `POST /v1/images/edits`: an `ImageRequest` whose values are text, and files.
pub fn edit_form() -> RefOr<Schema> {
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let picture = || text().content_media_type("image/*");
    let mut form = ObjectBuilder::new().required("image").required("prompt");
    for file in ["image", "mask"] {
        form = form.property(file, picture());
    }
    for field in ["prompt", "model", "size", "quality", "background", "output_format", "response_format"] {
        form = form.property(field, text());
    }
    for number in NUMBERS {
        form = form.property(number, ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)));
    }
    form.into()
}

/// Fields that travel as text in a form.
const NUMBERS: [&str; 4] = ["n", "output_compression", "partial_images", "seed"];

pub fn required(name: &str) -> Invalid {
    Invalid::field(name, "required", format!("Missing required parameter: '{name}'."))
}

pub fn unknown(name: &str) -> Invalid {
    Invalid::field(name, "unknown", format!("Unknown parameter: '{name}'."))
}

/// A refusal names what the caller wrote, not what we made of it.
pub fn in_their_words(mut problem: Problem) -> Problem {
    for field in &mut problem.fields {
        let theirs = match field.name.as_str() {
            "count" => "n",
            name => name.strip_prefix("parameters.").unwrap_or(name),
        };
        field.name = theirs.to_owned();
    }
    problem
}

impl ImageRequest {
    pub fn from_json(fields: Map<String, Value>) -> Result<Self, Problem> {
        // The client sends what was not given as null or leaves it out; both mean the same.
        let given = fields.into_iter().filter(|(_, value)| !value.is_null()).collect();
        Ok(extract::typed(Value::Object(given))?)
    }

    pub fn from_form(fields: Map<String, Value>) -> Result<Self, Problem> {
        let typed = fields.into_iter().map(|(name, value)| {
            let text = value.as_str().unwrap_or_default();
            let value = match name.as_str() {
                number if NUMBERS.contains(&number) => text.parse::<u64>().map_or(value, Value::from),
                "stream" => Value::Bool(text == "true"),
                _ => value,
            };
            (name, value)
        });
        Self::from_json(typed.collect())
    }

    pub fn format(&self) -> ResponseFormat {
        self.response_format.unwrap_or_default()
    }

    /// The same request in our own words.
    pub async fn generation(&self, guard: &Guard<StudioEdit>) -> Result<NewGeneration, Problem> {
        let model = match &self.model {
            Some(model) => model.clone(),
            None => first_model(guard).await?,
        };
        let size = match self.size.as_deref() {
            None | Some("auto") => None,
            Some(text) => Some(text.parse().map_err(|_| {
                Invalid::field("size", "malformed", format!("Invalid size '{text}': a size reads like 1024x1024."))
            })?),
        };
        Ok(NewGeneration {
            model,
            prompt: self.prompt.clone(),
            size,
            count: self.n.unwrap_or(1),
            seed: self.seed,
            references: Vec::new(),
            parameters: self.parameters(),
            workspace: None,
        })
    }

    /// The model's own parameters; one that it has not is refused by its schema, by name.
    fn parameters(&self) -> Map<String, Value> {
        let texts = [
            ("quality", &self.quality),
            ("background", &self.background),
            ("output_format", &self.output_format),
            ("moderation", &self.moderation),
            ("input_fidelity", &self.input_fidelity),
            ("style", &self.style),
        ];
        let mut parameters: Map<String, Value> = texts
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), Value::from(value.as_deref()?))))
            .collect();
        if let Some(compression) = self.output_compression {
            parameters.insert("output_compression".to_owned(), Value::from(compression));
        }
        parameters
    }
}

async fn first_model(guard: &Guard<StudioEdit>) -> Result<String, Problem> {
    let offers = inference::ops::models(&guard.ctx, &guard.app, &guard.ctx.grant()?).await?;
    offers.into_iter().next().map(|offer| offer.model.id).ok_or_else(|| required("model").into())
}
