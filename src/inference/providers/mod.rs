//! The adapters: one trait, one file or folder for each kind of provider.
//!
//! An adapter gets an egress handle that is bound to its destination, so that the egress ledger is written by the one way
//! out and not by the adapter. It speaks one request: what happens around it (holds, retries, storing) is the studio's.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use super::{
    error::InferenceError,
    model::{Model, ProviderInfo, ProviderKind, ReferenceRole, Size},
};
use crate::{
    base::{
        ctx::Ctx,
        ids::{GenerationId, PersonId},
        money::Micros,
    },
    platform::Platform,
};

pub mod demo;
pub mod openai;
mod whole;

/// One submission of a generation.
#[derive(Clone, Debug)]
pub struct Work {
    pub generation: GenerationId,
    pub person: PersonId,
    pub model: String,
    pub prompt: String,
    pub size: Size,
    pub count: u32,
    pub seed: u32,
    /// Whether the person chose the seed.
    pub send_seed: bool,
    pub parameters: Map<String, Value>,
    pub references: Vec<WorkReference>,
    /// What was set aside for it.
    pub held: Micros,
}

#[derive(Clone, Debug)]
pub struct WorkReference {
    pub role: ReferenceRole,
    /// 0 to 1; none: as the provider likes.
    pub strength: Option<f32>,
    pub media_type: String,
    pub name: String,
    pub bytes: Bytes,
}

/// How a provider tells what it is doing while it works, and learns that it may stop.
pub trait Watch: Send + Sync {
    /// The provider has taken the work on: a lost answer is no longer a lost submission.
    fn accepted(&self);
    fn progress(&self, progress: Progress);
    /// Ends when the person does not want it any more.
    fn cancel(&self) -> CancellationToken;
}

#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// In words: `Painting, step 3 of 8`.
    pub step: String,
    /// 0 to 1, only when the provider tells it.
    pub fraction: Option<f64>,
    /// A small JPEG of what there is so far.
    pub preview: Option<Bytes>,
}

#[derive(Clone, Debug)]
pub struct Answer {
    pub images: Vec<Image>,
    pub billed: Billed,
}

#[derive(Clone, Debug)]
pub struct Image {
    pub bytes: Bytes,
    pub seed: Option<u32>,
}

/// What the provider says that it bills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Billed {
    /// It says nothing: the price card counts what was delivered.
    AsPriced,
    Micros(Micros),
}

/// How a submission ended that brought no picture.
#[derive(Clone, Debug)]
pub struct Failure {
    pub ending: Ending,
    /// `provider.refused`, `provider.rate_limited`, `provider.failed`, `provider.unreadable`, ...
    pub code: &'static str,
    /// For people: what happened, without secrets and without the provider's raw words.
    pub message: String,
    /// What the provider billed nevertheless.
    pub billed: Micros,
    /// Whether the same request may succeed later.
    pub retryable: bool,
    /// Seconds the provider asked to wait.
    pub retry_after: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The provider surely did not do it.
    Failed,
    /// The person's wish to stop was honoured.
    Cancelled,
    /// It was sent and the answer was lost: it may have been done and billed.
    Unknown,
}

impl Failure {
    pub fn failed(code: &'static str, message: impl Into<String>, retryable: bool) -> Self {
        Self {
            ending: Ending::Failed,
            code,
            message: message.into(),
            billed: Micros::ZERO,
            retryable,
            retry_after: None,
        }
    }

    pub fn unknown(code: &'static str, message: impl Into<String>) -> Self {
        Self { ending: Ending::Unknown, ..Self::failed(code, message, false) }
    }

    pub fn cancelled() -> Self {
        Self { ending: Ending::Cancelled, ..Self::failed("generation.cancelled", "You cancelled it.", true) }
    }
}

/// Whether lost work may be sent again: only to who neither bills nor remembers what was not answered.
pub fn resubmittable(provider: &ProviderInfo, model: &Model) -> bool {
    // The model that never answers stands for a provider whose answer was lost, so it is treated like one.
    provider.kind == ProviderKind::Demo && model.upstream_name != "silent"
}

#[async_trait(?Send)]
pub trait Provider {
    /// Sends the work and waits for its end.
    async fn submit(&self, ctx: &Ctx, work: &Work, watch: Arc<dyn Watch>) -> Result<Answer, Failure>;
}

/// The adapter for this provider.
pub fn connect(app: &Platform, provider: &ProviderInfo) -> Result<Box<dyn Provider>, InferenceError> {
    let timeout = Duration::from_secs(app.config.inference.timeout_seconds.max(1));
    match provider.kind {
        ProviderKind::Demo => Ok(Box::new(demo::Demo { timeout, pictures: app.pictures.clone() })),
        ProviderKind::OpenAi => Ok(Box::new(openai::OpenAi::new(app, provider, timeout)?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Clock;

    /// Two teapots, without references.
    pub fn work() -> Work {
        let clock = Clock::fixed();
        Work {
            generation: GenerationId::new(&clock),
            person: PersonId::new(&clock),
            model: "m".to_owned(),
            prompt: "a teapot".to_owned(),
            size: Size { width: 512, height: 512 },
            count: 2,
            seed: 7,
            send_seed: true,
            parameters: Map::new(),
            references: Vec::new(),
            held: Micros(40_000),
        }
    }
}
