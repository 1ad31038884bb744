//! What can go wrong with members and roles.

use crate::{
    accounts::AccountsError,
    base::{
        ctx::Denied,
        error::{Fault, FieldFault, Invalid, Kind, NotFound},
    },
    platform::{crypto::CryptoError, db::DbError, idempotency::OnceError},
};

#[derive(Debug, thiserror::Error)]
pub enum OrganisationError {
    #[error("This is the last owner. Add another owner first, so that the organisation keeps one.")]
    LastOwner,
    #[error("The organisation has not been founded yet. Start the server once.")]
    NotFounded,
    #[error("The keys of this server could not be used.")]
    Crypto(#[from] CryptoError),
    #[error(transparent)]
    Accounts(#[from] AccountsError),
    #[error(transparent)]
    Denied(#[from] Denied),
    #[error(transparent)]
    Invalid(#[from] Invalid),
    #[error(transparent)]
    NotFound(#[from] NotFound),
    #[error(transparent)]
    Once(#[from] OnceError),
    #[error(transparent)]
    Db(#[from] DbError),
}

impl OrganisationError {
    /// Faults of the floors below keep their own kind and code.
    fn inner(&self) -> Option<&dyn Fault> {
        match self {
            Self::Accounts(fault) => Some(fault),
            Self::Denied(fault) => Some(fault),
            Self::Invalid(fault) => Some(fault),
            Self::NotFound(fault) => Some(fault),
            Self::Once(fault) => Some(fault),
            Self::Db(fault) => Some(fault),
            Self::LastOwner | Self::NotFounded | Self::Crypto(_) => None,
        }
    }
}

impl Fault for OrganisationError {
    fn kind(&self) -> Kind {
        match self {
            Self::LastOwner => Kind::Conflict,
            Self::NotFounded => Kind::Unavailable,
            other => other.inner().map_or(Kind::Internal, Fault::kind),
        }
    }
    fn code(&self) -> &'static str {
        match self {
            Self::LastOwner => "organisation.last_owner",
            Self::NotFounded => "service.unavailable",
            other => other.inner().map_or("server.internal", Fault::code),
        }
    }
    fn fields(&self) -> Vec<FieldFault> {
        self.inner().map(Fault::fields).unwrap_or_default()
    }
    fn retry_after(&self) -> Option<u32> {
        match self {
            Self::NotFounded => Some(5),
            other => other.inner().and_then(Fault::retry_after),
        }
    }
}
