//! What can go wrong while somebody proves who they are.

use crate::{
    base::{
        ctx::Denied,
        error::{Fault, FieldFault, Invalid, Kind, NotFound},
        random::NoRandomness,
    },
    platform::{crypto::CryptoError, db::DbError, idempotency::OnceError},
};

#[derive(Debug, thiserror::Error)]
pub enum AccountsError {
    /// The same words for an unknown mail, a wrong password, a one-time password that is over and an account that is
    /// switched off.
    #[error("This mail and password do not match, the one-time password is over, or the account is switched off.")]
    DoNotMatch,
    #[error("Too many tries did not fit. Until the pause is over no password is checked, not even the right one.")]
    Throttled { seconds: u32 },
    #[error("Many people are signing in at this moment. Try again in a few seconds.")]
    Busy,
    #[error("The password could not be checked. Nothing was changed.")]
    Hashing(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("The system gave no random numbers, so nothing was made. Try again.")]
    Random(#[from] NoRandomness),
    #[error("The keys of this server could not be used.")]
    Crypto(#[from] CryptoError),
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

impl AccountsError {
    /// Faults of the floors below keep their own kind and code.
    fn inner(&self) -> Option<&dyn Fault> {
        match self {
            Self::Denied(fault) => Some(fault),
            Self::Invalid(fault) => Some(fault),
            Self::NotFound(fault) => Some(fault),
            Self::Once(fault) => Some(fault),
            Self::Db(fault) => Some(fault),
            _ => None,
        }
    }
}

impl Fault for AccountsError {
    fn kind(&self) -> Kind {
        match self {
            Self::DoNotMatch => Kind::Unauthenticated,
            Self::Throttled { .. } => Kind::RateLimited,
            Self::Busy => Kind::Unavailable,
            other => other.inner().map_or(Kind::Internal, Fault::kind),
        }
    }
    fn code(&self) -> &'static str {
        match self {
            Self::DoNotMatch => "auth.do_not_match",
            Self::Throttled { .. } => "request.rate_limited",
            Self::Busy => "service.unavailable",
            other => other.inner().map_or("server.internal", Fault::code),
        }
    }
    fn fields(&self) -> Vec<FieldFault> {
        self.inner().map(Fault::fields).unwrap_or_default()
    }
    fn retry_after(&self) -> Option<u32> {
        match self {
            Self::Throttled { seconds } => Some(*seconds),
            Self::Busy => Some(2),
            other => other.inner().and_then(Fault::retry_after),
        }
    }
}
