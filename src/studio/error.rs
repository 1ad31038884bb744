//! What can be wrong with a generation.

use crate::{
    base::{
        ctx::Denied,
        error::{Fault, FieldFault, Invalid, Kind, NotFound},
        money::Overflow,
        random::NoRandomness,
    },
    inference::error::InferenceError,
    ledger::error::LedgerError,
    library::error::LibraryError,
    platform::{db::DbError, idempotency::OnceError, storage::StorageError},
};

#[derive(Debug, thiserror::Error)]
pub enum StudioError {
    #[error("This generation has ended already. Nothing was changed.")]
    Ended,
    #[error("Only a generation that failed, was cancelled or expired can be tried again.")]
    NotRetryable,
    #[error("Only a generation whose outcome is unknown can be resolved.")]
    NotUnknown,
    #[error(transparent)]
    Denied(#[from] Denied),
    #[error(transparent)]
    NotFound(#[from] NotFound),
    #[error(transparent)]
    Invalid(#[from] Invalid),
    #[error("The price of this request is too large to be counted.")]
    Overflow(#[from] Overflow),
    #[error(transparent)]
    Inference(#[from] InferenceError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Library(#[from] LibraryError),
    #[error(transparent)]
    Once(#[from] OnceError),
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Random(#[from] NoRandomness),
    #[error("A stored snapshot cannot be read.")]
    Damaged(#[from] serde_json::Error),
    #[error(transparent)]
    Db(#[from] DbError),
}

impl From<diesel::result::Error> for StudioError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Db(error.into())
    }
}

impl StudioError {
    /// The error of the room that it came from.
    fn inner(&self) -> Option<&dyn Fault> {
        match self {
            Self::Denied(error) => Some(error),
            Self::NotFound(error) => Some(error),
            Self::Invalid(error) => Some(error),
            Self::Inference(error) => Some(error),
            Self::Ledger(error) => Some(error),
            Self::Library(error) => Some(error),
            Self::Once(error) => Some(error),
            Self::Storage(error) => Some(error),
            Self::Db(error) => Some(error),
            Self::Ended | Self::NotRetryable | Self::NotUnknown => None,
            Self::Overflow(_) | Self::Random(_) | Self::Damaged(_) => None,
        }
    }
}

impl Fault for StudioError {
    fn kind(&self) -> Kind {
        match self {
            Self::Ended | Self::NotRetryable | Self::NotUnknown => Kind::Conflict,
            Self::Overflow(_) => Kind::Invalid,
            other => other.inner().map_or(Kind::Internal, Fault::kind),
        }
    }
    fn code(&self) -> &'static str {
        match self {
            Self::Ended => "generation.ended",
            Self::NotRetryable => "generation.not_retryable",
            Self::NotUnknown => "generation.not_unknown",
            Self::Overflow(_) => "request.invalid",
            other => other.inner().map_or("server.internal", Fault::code),
        }
    }
    fn fields(&self) -> Vec<FieldFault> {
        self.inner().map(Fault::fields).unwrap_or_default()
    }
    fn extension(&self) -> Option<(&'static str, serde_json::Value)> {
        self.inner().and_then(Fault::extension)
    }
    fn retry_after(&self) -> Option<u32> {
        self.inner().and_then(Fault::retry_after)
    }
}
