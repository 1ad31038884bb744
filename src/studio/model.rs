//! A generation and its states.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::{
    base::{
        ids::{AssetId, GenerationId, PersonId, PriceCardId, ProviderId, WorkspaceId},
        money::{Currency, Micros, Money},
    },
    inference::model::{ReferenceRole, Request, Size},
};

/// Where a generation is on its way: `queued -> submitting -> running -> storing -> succeeded`, or one of the other ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Queued,
    Submitting,
    Running,
    Storing,
    Succeeded,
    Failed,
    Cancelled,
    Expired,
    /// Sent, and the answer was lost: it may have been made and billed. The hold stays until somebody resolves it.
    Unknown,
}

impl State {
    pub const ALL: [Self; 9] = [
        Self::Queued,
        Self::Submitting,
        Self::Running,
        Self::Storing,
        Self::Succeeded,
        Self::Failed,
        Self::Cancelled,
        Self::Expired,
        Self::Unknown,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Submitting => "submitting",
            Self::Running => "running",
            Self::Storing => "storing",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
            Self::Unknown => "unknown",
        }
    }

    pub fn ended(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled | Self::Expired)
    }

    /// Nothing more happens by itself: it ended, or somebody has to find out how.
    pub fn at_rest(self) -> bool {
        self.ended() || self == Self::Unknown
    }

    /// Somebody works on it, or should.
    pub fn working(self) -> bool {
        matches!(self, Self::Submitting | Self::Running | Self::Storing)
    }

    pub fn retryable(self) -> bool {
        matches!(self, Self::Failed | Self::Cancelled | Self::Expired)
    }

    /// The database holds only known words; an unknown one reads as the state that nobody acts on.
    pub fn parse(text: &str) -> Self {
        Self::ALL.into_iter().find(|state| state.as_str() == text).unwrap_or(Self::Unknown)
    }
}

/// What a person asked for, as it came in; checked against the model when it is accepted.
#[derive(Clone, Debug)]
pub struct NewGeneration {
    pub model: String,
    pub prompt: String,
    pub size: Option<Size>,
    pub count: u32,
    pub seed: Option<u32>,
    pub references: Vec<NewReference>,
    pub parameters: Map<String, Value>,
    pub workspace: Option<WorkspaceId>,
}

#[derive(Clone, Debug)]
pub struct NewReference {
    pub asset: AssetId,
    pub role: ReferenceRole,
    pub strength: Option<f32>,
}

impl NewGeneration {
    /// The part that decides what the model does and costs.
    pub fn request(&self) -> Request {
        Request {
            prompt: self.prompt.clone(),
            size: self.size,
            count: self.count,
            seed: self.seed,
            references: self.references.iter().map(|reference| reference.role).collect(),
            parameters: self.parameters.clone(),
        }
    }
}

/// A generation as it stands.
#[derive(Clone, Debug)]
pub struct Generation {
    pub id: GenerationId,
    pub workspace: WorkspaceId,
    pub person: PersonId,
    pub model: String,
    pub provider_id: ProviderId,
    pub provider: String,
    pub prompt: String,
    pub size: Size,
    pub count: u32,
    pub seed: Option<u32>,
    pub parameters: Map<String, Value>,
    pub references: Vec<NewReference>,
    pub state: State,
    pub price_card: PriceCardId,
    pub held: Micros,
    pub actual: Option<Micros>,
    pub overage: Option<Micros>,
    pub currency: Currency,
    pub error: Option<GenerationFault>,
    pub attempts: u32,
    pub retry_of: Option<GenerationId>,
    pub cancel_requested: bool,
    pub resubmittable: bool,
    pub outputs: Vec<Output>,
    pub progress: Progress,
    /// Place in the queue, while queued.
    pub place: Option<u32>,
    pub created_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub ended_at: Option<DateTime<Utc>>,
}

#[derive(Clone, Debug, Default)]
pub struct Progress {
    pub step: Option<String>,
    pub fraction: Option<f64>,
    /// 0: there is no preview.
    pub preview_version: i32,
}

#[derive(Clone, Copy, Debug)]
pub struct Output {
    pub asset: AssetId,
    pub seed: Option<u32>,
}

/// Why it did not succeed, or is not known to.
#[derive(Clone, Debug)]
pub struct GenerationFault {
    pub code: String,
    pub message: String,
    pub retryable: bool,
}

impl Generation {
    pub fn money(&self, micros: Micros) -> Money {
        Money::new(micros, self.currency)
    }

    pub fn request(&self) -> Request {
        Request {
            prompt: self.prompt.clone(),
            size: Some(self.size),
            count: self.count,
            seed: self.seed,
            references: self.references.iter().map(|reference| reference.role).collect(),
            parameters: self.parameters.clone(),
        }
    }

    /// The seed that it is made with: the chosen one, or one that belongs to the generation, so that a second try after a
    /// crash makes the same pictures.
    pub fn effective_seed(&self) -> u32 {
        self.seed.unwrap_or_else(|| u32::from_be_bytes(last_four(self.id)))
    }
}

fn last_four(id: GenerationId) -> [u8; 4] {
    let bytes = id.uuid().into_bytes();
    bytes.last_chunk::<4>().copied().unwrap_or_default()
}

/// Tells a repeated request of the same caller from a new one, where the caller sends no key.
#[derive(Clone, Debug)]
pub struct Fingerprint {
    pub person: PersonId,
    /// The token or session that sent it.
    pub credential: uuid::Uuid,
    /// Equal for bodies that mean the same.
    pub body: [u8; 32],
}
