//! How a call can end without an answer, and whether anything can have been done at the other end.

use super::{address::Refusal, destinations::Category};
use crate::platform::db::DbError;

#[derive(Debug, thiserror::Error)]
pub enum EgressError {
    #[error("This server was not allowed to connect there.")]
    Unknown,
    #[error("An owner switched this destination off, or removed its provider.")]
    SwitchedOff,
    #[error("The address is not on the server that was allowed.")]
    Elsewhere,
    #[error("This destination was allowed for another purpose.")]
    Purpose,
    #[error("This destination was not allowed to receive this kind of data.")]
    Data(Category),
    #[error("The address was refused: {0}.")]
    Address(#[from] Refusal),
    #[error("Its name could not be looked up.")]
    Unresolvable,
    #[error("No connection could be made.")]
    Unreachable,
    #[error("No connection could be made in time.")]
    Unconnected,
    #[error("It did not answer in time.")]
    TimedOut,
    #[error("The connection broke off before the answer was complete.")]
    BrokenOff { status: Option<u16> },
    #[error("The answer was larger than is taken.")]
    TooLarge { status: u16 },
    #[error("It was cancelled.")]
    Cancelled,
    #[error("An owner switched this destination off, or removed its provider, in the middle of the call.")]
    Withdrawn,
    #[error("The call could not be prepared.")]
    Unprepared(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error(transparent)]
    Db(#[from] DbError),
}

impl EgressError {
    /// The receiver has certainly not done anything: not one byte of the call reached it.
    pub fn surely_not_sent(&self) -> bool {
        !matches!(
            self,
            Self::TimedOut | Self::BrokenOff { .. } | Self::TooLarge { .. } | Self::Cancelled | Self::Withdrawn
        )
    }

    /// A few fixed words for the ledger.
    pub(super) fn reason(&self) -> String {
        match self {
            Self::Unknown => "not allowed".to_owned(),
            Self::SwitchedOff => "switched off".to_owned(),
            Self::Elsewhere => "another server".to_owned(),
            Self::Purpose => "another purpose".to_owned(),
            Self::Data(category) => format!("{} not allowed there", category.as_str()),
            Self::Address(refusal) => refusal.to_string(),
            Self::Unresolvable => "name not found".to_owned(),
            Self::Unreachable => "no connection".to_owned(),
            Self::Unconnected => "no connection in time".to_owned(),
            Self::TimedOut => "no answer in time".to_owned(),
            Self::BrokenOff { .. } => "connection lost".to_owned(),
            Self::TooLarge { .. } => "answer too large".to_owned(),
            Self::Cancelled => "cancelled".to_owned(),
            Self::Withdrawn => "switched off during the call".to_owned(),
            Self::Unprepared(_) => "could not be prepared".to_owned(),
            Self::Db(_) => "the database was away".to_owned(),
        }
    }
}
