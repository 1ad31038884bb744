//! What can go wrong with a picture.

use crate::{
    base::{
        ctx::Denied,
        error::{Fault, FieldFault, Invalid, Kind, NotFound},
    },
    platform::{
        db::DbError,
        idempotency::OnceError,
        pictures::{PictureError, model::Refusal},
        storage::StorageError,
    },
};

#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    #[error("This is not a picture that can be used here. PNG, JPEG, WebP and GIF are.")]
    Unsupported,
    #[error("The picture cannot be read: it is damaged or not complete.")]
    Undecodable,
    #[error(
        "The picture has too many pixels. It may have 64 million in all, and 16,384 on each side. Make it smaller and \
         try again."
    )]
    TooManyPixels,
    #[error("The picture is larger than 64 MiB. Make it smaller and try again.")]
    TooLarge,
    #[error("Pictures cannot be read at the moment. Nothing was changed; try again in a few seconds.")]
    Unavailable(#[source] PictureError),
    #[error("Only what lies in the trash can be deleted for good. Move it there first.")]
    NotInTrash,
    #[error(transparent)]
    NotFound(#[from] NotFound),
    #[error(transparent)]
    Invalid(#[from] Invalid),
    #[error(transparent)]
    Denied(#[from] Denied),
    #[error(transparent)]
    Once(#[from] OnceError),
    #[error(transparent)]
    Storage(StorageError),
    #[error(transparent)]
    Db(#[from] DbError),
}

impl From<StorageError> for LibraryError {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::TooLarge(_) => Self::TooLarge,
            other => Self::Storage(other),
        }
    }
}

impl From<diesel::result::Error> for LibraryError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Db(error.into())
    }
}

impl From<PictureError> for LibraryError {
    fn from(error: PictureError) -> Self {
        match error {
            PictureError::Refused(Refusal::Unsupported) => Self::Unsupported,
            PictureError::Refused(Refusal::TooManyPixels) => Self::TooManyPixels,
            PictureError::Refused(Refusal::Undecodable) => Self::Undecodable,
            other => Self::Unavailable(other),
        }
    }
}

impl Fault for LibraryError {
    fn kind(&self) -> Kind {
        match self {
            Self::Unsupported | Self::Undecodable | Self::TooManyPixels => Kind::Invalid,
            Self::Unavailable(_) => Kind::Unavailable,
            Self::TooLarge => Kind::TooLarge,
            Self::NotInTrash => Kind::Conflict,
            Self::NotFound(fault) => fault.kind(),
            Self::Invalid(fault) => fault.kind(),
            Self::Denied(fault) => fault.kind(),
            Self::Once(fault) => fault.kind(),
            Self::Storage(fault) => fault.kind(),
            Self::Db(fault) => fault.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Unsupported => "image.unsupported",
            Self::Undecodable => "image.undecodable",
            Self::Unavailable(_) => "service.unavailable",
            Self::TooManyPixels => "image.too_many_pixels",
            Self::TooLarge => "request.too_large",
            Self::NotInTrash => "asset.not_in_trash",
            Self::NotFound(fault) => fault.code(),
            Self::Invalid(fault) => fault.code(),
            Self::Denied(fault) => fault.code(),
            Self::Once(fault) => fault.code(),
            Self::Storage(fault) => fault.code(),
            Self::Db(fault) => fault.code(),
        }
    }

    fn fields(&self) -> Vec<FieldFault> {
        match self {
            Self::Invalid(fault) => fault.fields(),
            _ => Vec::new(),
        }
    }

    fn retry_after(&self) -> Option<u32> {
        match self {
            Self::Unavailable(_) => Some(5),
            Self::Once(fault) => fault.retry_after(),
            Self::Storage(fault) => fault.retry_after(),
            Self::Db(fault) => fault.retry_after(),
            _ => None,
        }
    }
}
