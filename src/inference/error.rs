//! What can be wrong with a model or a provider.

use super::price::NoPrice;
use crate::{
    base::{
        ctx::Denied,
        error::{Fault, FieldFault, Invalid, Kind, NotFound},
    },
    platform::{crypto::CryptoError, db::DbError, idempotency::OnceError},
};

#[derive(Debug, thiserror::Error)]
pub enum InferenceError {
    #[error("There is no model {0} here. GET /api/v1/models lists those that there are.")]
    UnknownModel(String),
    #[error("The model {0} has no price yet, so it cannot be used. An owner sets one under Providers and models.")]
    UnpricedModel(String),
    #[error(transparent)]
    NoPrice(#[from] NoPrice),
    #[error(transparent)]
    Invalid(#[from] Invalid),
    #[error(transparent)]
    NotFound(#[from] NotFound),
    #[error("This provider comes from the configuration file and is changed there.")]
    Managed,
    #[error("The catalog holds an entry that cannot be read.")]
    Damaged(#[source] serde_json::Error),
    #[error("A provider's key could not be sealed or opened.")]
    Crypto(#[from] CryptoError),
    #[error(transparent)]
    Once(#[from] OnceError),
    #[error(transparent)]
    Denied(#[from] Denied),
    #[error(transparent)]
    Db(#[from] DbError),
}

impl From<diesel::result::Error> for InferenceError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Db(error.into())
    }
}

impl Fault for InferenceError {
    fn kind(&self) -> Kind {
        match self {
            Self::UnknownModel(_) | Self::UnpricedModel(_) | Self::Invalid(_) | Self::NoPrice(_) => Kind::Invalid,
            Self::NotFound(_) => Kind::NotFound,
            Self::Managed => Kind::Conflict,
            Self::Damaged(_) | Self::Crypto(_) => Kind::Internal,
            Self::Once(error) => error.kind(),
            Self::Denied(error) => error.kind(),
            Self::Db(error) => error.kind(),
        }
    }
    fn code(&self) -> &'static str {
        match self {
            Self::UnknownModel(_) => "inference.unknown_model",
            Self::UnpricedModel(_) | Self::NoPrice(NoPrice::Unsaid) => "inference.unpriced_model",
            Self::Invalid(error) => error.code(),
            Self::NoPrice(NoPrice::TooLarge(_)) => "request.invalid",
            Self::NotFound(error) => error.code(),
            Self::Managed => "inference.managed_by_configuration",
            Self::Damaged(_) | Self::Crypto(_) => "server.internal",
            Self::Once(error) => error.code(),
            Self::Denied(error) => error.code(),
            Self::Db(error) => error.code(),
        }
    }
    fn fields(&self) -> Vec<FieldFault> {
        match self {
            Self::UnknownModel(_) => vec![FieldFault::new("model", "unknown", self.to_string())],
            Self::UnpricedModel(_) => vec![FieldFault::new("model", "unpriced", self.to_string())],
            Self::NoPrice(NoPrice::Unsaid) => vec![FieldFault::new("parameters", "unpriced", self.to_string())],
            Self::Invalid(error) => error.fields(),
            _ => Vec::new(),
        }
    }
    fn retry_after(&self) -> Option<u32> {
        match self {
            Self::Once(error) => error.retry_after(),
            Self::Db(error) => error.retry_after(),
            _ => None,
        }
    }
}
