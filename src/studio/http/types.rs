//! Requests of the generation API, as they come over the wire.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use crate::{
    base::{
        error::{FieldFault, Invalid},
        ids::{AssetId, PersonId, WorkspaceId},
        money::Money,
    },
    inference::model::ReferenceRole,
    ledger::model::CapState,
    studio::model::{NewGeneration, NewReference, State},
    web::extract,
};

/// The most references that any request may name; a model may take fewer.
const REFERENCES: usize = 16;

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GenerationRequest {
    /// Catalog id or alias.
    #[schema(min_length = 1, max_length = 255, example = "demo/painter")]
    pub model: String,
    #[schema(min_length = 1, max_length = 32000, example = "a clay teapot at sunset")]
    pub prompt: String,
    /// One of the model's sizes; its first when not given.
    #[schema(pattern = "^[1-9][0-9]{0,4}x[1-9][0-9]{0,4}$", max_length = 11, example = "1024x1024")]
    pub size: Option<String>,
    /// 1 when not given.
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 16)]
    pub count: Option<Value>,
    #[schema(value_type = Option<u32>, minimum = 0, maximum = 4294967295u32)]
    pub seed: Option<Value>,
    #[schema(max_items = 16)]
    pub references: Option<Vec<ReferenceRequest>>,
    /// The model's own, checked against its schema.
    #[schema(value_type = Option<Object>)]
    pub parameters: Option<Map<String, Value>>,
    /// The own workspace when not given.
    pub workspace: Option<String>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReferenceRequest {
    #[schema(value_type = AssetId)]
    pub asset: String,
    pub role: Option<ReferenceRole>,
    /// How strongly it counts.
    #[schema(minimum = 0, maximum = 1)]
    pub strength: Option<f32>,
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<u32>,
    #[param(max_length = 200)]
    pub cursor: Option<String>,
    pub state: Option<State>,
    #[param(max_length = 255)]
    pub model: Option<String>,
    pub person: Option<PersonId>,
    /// Words of the prompt, or how they begin; every one must be there.
    #[param(max_length = 255)]
    #[serde(default, deserialize_with = "extract::search")]
    pub search: Option<String>,
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct PreviewQuery {
    /// Makes every preview's address its own.
    #[param(minimum = 0, maximum = 4294967295u32)]
    #[expect(dead_code, reason = "there is only the newest preview")]
    pub version: Option<u32>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Quoted {
    pub price: Money,
    pub allowed: bool,
    pub caps: Vec<CapState>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Resolution {
    /// What the provider turned out to have charged; nothing gives the hold back.
    pub charged: Money,
    #[schema(min_length = 1, max_length = 2000)]
    pub reason: String,
}

impl ListQuery {
    /// The model whose generations are wanted.
    pub fn model(&self) -> Result<Option<String>, Invalid> {
        let wrong = || Invalid::field("model", "too_long", "No model has a name of more than 255 characters.");
        self.model.clone().map(|name| if name.chars().count() > 255 { Err(wrong()) } else { Ok(name) }).transpose()
    }
}

/// From the wire into the room's own words; everything wrong at once.
pub fn parse_request(request: GenerationRequest) -> Result<NewGeneration, Invalid> {
    let mut faults = Vec::new();
    let size = request.size.and_then(|text| {
        text.parse().map_err(|_| faults.push(FieldFault::new("size", "malformed", "A size reads like 1024x1024."))).ok()
    });
    let count = whole(request.count, 1, 16).unwrap_or_else(|| {
        faults.push(FieldFault::new(
            "count",
            "out_of_range",
            "count is a whole number from 1 to what the model makes at a time.",
        ));
        None
    });
    let seed = whole(request.seed, 0, u32::MAX).unwrap_or_else(|| {
        faults.push(FieldFault::new("seed", "out_of_range", "seed is a whole number from 0 to 4294967295."));
        None
    });
    let workspace: Option<WorkspaceId> = request.workspace.and_then(|text| {
        text.parse()
            .map_err(|_| faults.push(FieldFault::new("workspace", "unknown", "There is no such workspace of yours.")))
            .ok()
    });
    let references = references(request.references.unwrap_or_default(), &mut faults);
    if !faults.is_empty() {
        return Err(Invalid(faults));
    }
    Ok(NewGeneration {
        model: request.model,
        prompt: request.prompt,
        size,
        count: count.unwrap_or(1),
        seed,
        references,
        parameters: request.parameters.unwrap_or_default(),
        workspace,
    })
}

/// A whole number within bounds; outer None: it is none.
fn whole(value: Option<Value>, least: u32, most: u32) -> Option<Option<u32>> {
    match value {
        None | Some(Value::Null) => Some(None),
        Some(value) => {
            let number = u32::try_from(value.as_u64()?).ok()?;
            (least..=most).contains(&number).then_some(Some(number))
        }
    }
}

fn references(requests: Vec<ReferenceRequest>, faults: &mut Vec<FieldFault>) -> Vec<NewReference> {
    if requests.len() > REFERENCES {
        faults.push(FieldFault::new("references", "too_many", "There are at most 16 references."));
        return Vec::new();
    }
    let mut references = Vec::new();
    for (request, at) in requests.into_iter().zip(0..) {
        let name = |field: &str| format!("references[{at}].{field}");
        match request.asset.parse() {
            Ok(asset) => references.push(NewReference {
                asset,
                role: request.role.unwrap_or(ReferenceRole::Reference),
                strength: request.strength,
            }),
            Err(_) => faults.push(FieldFault::new(name("asset"), "unknown", "There is no such asset of yours.")),
        }
        if request.strength.is_some_and(|strength| !(0.0..=1.0).contains(&strength)) {
            faults.push(FieldFault::new(name("strength"), "out_of_range", "strength is 0 to 1."));
        }
    }
    references
}
