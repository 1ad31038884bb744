//! What the ledger refuses, and why.

use crate::{
    base::{
        ctx::Denied,
        error::{Fault, FieldFault, Invalid, Kind, NotFound},
        money::Overflow,
    },
    ledger::model::{ReachedCap, UnknownWord},
    organisation::OrganisationError,
    platform::{db::DbError, idempotency::OnceError},
};

#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    #[error("{0} Nothing was started and nothing was charged.")]
    CapReached(Box<ReachedCap>),
    #[error("The amount is too large to be counted. Nothing was changed.")]
    TooLarge(#[from] Overflow),
    #[error("An amount below zero cannot be set aside or charged. Nothing was changed.")]
    Negative,
    #[error("Nothing was set aside for this generation.")]
    NoHold,
    #[error("What was set aside for this generation has been given back already. Nothing was changed.")]
    AlreadyReleased,
    #[error("This generation has been charged already. Nothing was changed.")]
    AlreadySettled,
    #[error("The ledger holds a word that this version does not know.")]
    Unreadable(#[from] UnknownWord),
    #[error(transparent)]
    Invalid(#[from] Invalid),
    #[error(transparent)]
    NotFound(#[from] NotFound),
    #[error(transparent)]
    Denied(#[from] Denied),
    #[error(transparent)]
    Organisation(#[from] OrganisationError),
    #[error(transparent)]
    Once(#[from] OnceError),
    #[error(transparent)]
    Db(#[from] DbError),
}

impl From<diesel::result::Error> for LedgerError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Db(error.into())
    }
}

impl Fault for LedgerError {
    fn kind(&self) -> Kind {
        match self {
            Self::CapReached(_) => Kind::PaymentRequired,
            Self::TooLarge(_) | Self::Negative => Kind::Invalid,
            Self::AlreadyReleased | Self::AlreadySettled => Kind::Conflict,
            Self::NoHold | Self::Unreadable(_) => Kind::Internal,
            Self::Invalid(error) => error.kind(),
            Self::NotFound(error) => error.kind(),
            Self::Denied(error) => error.kind(),
            Self::Organisation(error) => error.kind(),
            Self::Once(error) => error.kind(),
            Self::Db(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::CapReached(_) => "ledger.cap_reached",
            Self::TooLarge(_) => "ledger.amount_too_large",
            Self::Negative => "ledger.amount_negative",
            Self::AlreadyReleased => "ledger.already_released",
            Self::AlreadySettled => "ledger.already_settled",
            Self::NoHold | Self::Unreadable(_) => "server.internal",
            Self::Invalid(error) => error.code(),
            Self::NotFound(error) => error.code(),
            Self::Denied(error) => error.code(),
            Self::Organisation(error) => error.code(),
            Self::Once(error) => error.code(),
            Self::Db(error) => error.code(),
        }
    }

    fn fields(&self) -> Vec<FieldFault> {
        match self {
            Self::Invalid(error) => error.fields(),
            _ => Vec::new(),
        }
    }

    fn extension(&self) -> Option<(&'static str, serde_json::Value)> {
        match self {
            Self::CapReached(cap) => serde_json::to_value(cap).ok().map(|cap| ("cap", cap)),
            _ => None,
        }
    }

    fn retry_after(&self) -> Option<u32> {
        match self {
            Self::Organisation(error) => error.retry_after(),
            Self::Once(error) => error.retry_after(),
            Self::Db(error) => error.retry_after(),
            _ => None,
        }
    }
}
