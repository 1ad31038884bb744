//! A generation as the API writes it. Here and not with the handlers, because events keep it and kept answers repeat it.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::model::{Generation, State};
use crate::{
    base::{
        ids::{AssetId, GenerationId, PersonId, WorkspaceId},
        money::{Micros, Money},
    },
    inference::model::ReferenceRole,
};

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct GenerationView {
    pub id: GenerationId,
    pub state: State,
    pub model: String,
    pub provider: String,
    pub prompt: String,
    pub size: String,
    pub count: u32,
    pub seed: Option<u32>,
    pub references: Vec<ReferenceView>,
    #[schema(value_type = Object)]
    pub parameters: Map<String, Value>,
    pub workspace: WorkspaceId,
    pub person: PersonId,
    pub progress: ProgressView,
    pub price: PriceView,
    pub outputs: Vec<OutputView>,
    pub error: Option<ErrorView>,
    pub attempts: u32,
    pub retry_of: Option<GenerationId>,
    pub created_at: String,
    pub started_at: Option<String>,
    pub ended_at: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ReferenceView {
    pub asset: AssetId,
    pub role: ReferenceRole,
    pub strength: Option<f32>,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ProgressView {
    /// In words.
    pub step: String,
    /// 0 to 1, when the provider tells it.
    pub fraction: Option<f64>,
    /// Place in the queue, while queued.
    pub place: Option<u32>,
    /// Address of a small picture of what there is so far.
    pub preview: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PriceView {
    /// The most that it can cost, set aside.
    pub held: Money,
    pub actual: Option<Money>,
    /// What the provider billed above the hold.
    pub overage: Option<Money>,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct OutputView {
    pub asset: AssetId,
    /// With count 1 it repeats this output.
    pub seed: Option<u32>,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ErrorView {
    pub code: String,
    pub message: String,
    pub charged: Money,
    pub retryable: bool,
}

/// RFC 3339 in UTC with milliseconds.
pub fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

impl From<&Generation> for GenerationView {
    fn from(generation: &Generation) -> Self {
        Self {
            id: generation.id,
            state: generation.state,
            model: generation.model.clone(),
            provider: generation.provider.clone(),
            prompt: generation.prompt.clone(),
            size: generation.size.to_string(),
            count: generation.count,
            seed: generation.seed,
            references: generation
                .references
                .iter()
                .map(|reference| ReferenceView {
                    asset: reference.asset,
                    role: reference.role,
                    strength: reference.strength,
                })
                .collect(),
            parameters: generation.parameters.clone(),
            workspace: generation.workspace,
            person: generation.person,
            progress: progress(generation),
            price: PriceView {
                held: generation.money(generation.held),
                actual: generation.actual.map(|micros| generation.money(micros)),
                overage: generation
                    .overage
                    .filter(|micros| *micros > Micros::ZERO)
                    .map(|micros| generation.money(micros)),
            },
            outputs: generation
                .outputs
                .iter()
                .map(|output| OutputView { asset: output.asset, seed: output.seed })
                .collect(),
            error: generation.error.as_ref().map(|fault| ErrorView {
                code: fault.code.clone(),
                message: fault.message.clone(),
                charged: generation.money(generation.actual.unwrap_or_default()),
                retryable: fault.retryable,
            }),
            attempts: generation.attempts,
            retry_of: generation.retry_of,
            created_at: time(generation.created_at),
            started_at: generation.started_at.map(time),
            ended_at: generation.ended_at.map(time),
        }
    }
}

fn progress(generation: &Generation) -> ProgressView {
    let live = generation.state.working();
    let told = &generation.progress;
    let preview = (live && told.preview_version > 0)
        .then(|| format!("/api/v1/generations/{}/preview?version={}", generation.id, told.preview_version));
    ProgressView {
        step: told.step.clone().filter(|_| live).unwrap_or_else(|| generation.state.as_str().to_owned()),
        fraction: match generation.state {
            State::Succeeded => Some(1.0),
            _ if live => told.fraction,
            _ => None,
        },
        place: generation.place,
        preview,
    }
}

/// The part of a view that changes, for the event log: without what the person wrote.
pub fn snapshot(view: &GenerationView) -> Result<Value, serde_json::Error> {
    let mut value = serde_json::to_value(view)?;
    if let Value::Object(map) = &mut value {
        for content in ["prompt", "references", "parameters"] {
            map.remove(content);
        }
    }
    Ok(value)
}

/// The view that a snapshot was taken of; what never changes comes from the generation.
pub fn restored(snapshot: Value, generation: &Generation) -> Result<GenerationView, serde_json::Error> {
    let mut value = serde_json::to_value(GenerationView::from(generation))?;
    if let (Value::Object(now), Value::Object(then)) = (&mut value, snapshot) {
        now.extend(then);
    }
    serde_json::from_value(value)
}
