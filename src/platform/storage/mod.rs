//! Stored objects: bytes under generated names, with a row for each before it exists.
//!
//! `ObjectStore` is what a store can do, `minio` and `memory` are two of them, and `Storage` is what rooms use: it keeps
//! the table `objects` and seals each object before the store sees it. There may be several stores: each row says where
//! its bytes lie, `stores` knows how each is reached, `moving` moves objects, `verify` looks whether all is there.

use std::{ops::Range, pin::Pin};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{Stream, StreamExt};
use uuid::Uuid;

use super::crypto::CryptoError;
use crate::base::{
    error::{Fault, Kind},
    ids::ObjectId,
};

pub mod checks;
pub mod durable;
pub mod memory;
pub mod minio;
pub mod moving;
mod objects;
pub mod sealed;
mod stores;
pub mod verify;

pub use objects::{DATA_MAP, Object, Storage, Stored};
pub use stores::{Place, StoreId, Stores, StoresError, list, name_of};

pub type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes, StorageError>> + Send>>;

#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    #[error("The store cannot be reached at the moment. Nothing was changed; try again in a few seconds.")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error(
        "The store refuses requests because its clock and this server's are too far apart. Set the time of both machines \
         right, best with NTP, and try again."
    )]
    Clock,
    #[error(
        "The store has no room left. Nothing was changed. Somebody who runs this server has to make room on its disk; \
         `renderkeep doctor` says how much there is."
    )]
    Full(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error(
        "The store answers, and does not give the stored object {0}. Try again in a few seconds; if it stays like this, its \
         files are damaged, and `renderkeep storage verify` names them all."
    )]
    Withheld(ObjectId, #[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("The stored object {0} is missing.")]
    Missing(ObjectId),
    #[error("The stored object {0} is not what was stored: it was cut, extended or changed.")]
    Damaged(ObjectId),
    #[error("The upload broke off before its end. Nothing was stored.")]
    Interrupted(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("The upload is larger than {0} bytes. Nothing was stored.")]
    TooLarge(u64),
    #[error("The keys of this server could not be used.")]
    Crypto(#[from] CryptoError),
    #[error(transparent)]
    Db(#[from] super::db::DbError),
}

impl StorageError {
    /// The source gave fewer or more bytes than it had declared.
    fn wrong_length() -> Self {
        Self::Interrupted("the length differs from what was declared".into())
    }
}

impl From<diesel::result::Error> for StorageError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Db(error.into())
    }
}

impl Fault for StorageError {
    fn kind(&self) -> Kind {
        match self {
            Self::Unreachable(_) | Self::Full(_) | Self::Withheld(..) | Self::Clock => Kind::Unavailable,
            Self::Interrupted(_) => Kind::Malformed,
            Self::TooLarge(_) => Kind::TooLarge,
            Self::Missing(_) | Self::Damaged(_) | Self::Crypto(_) => Kind::Internal,
            Self::Db(error) => error.kind(),
        }
    }
    fn code(&self) -> &'static str {
        match self.kind() {
            Kind::Unavailable => "service.unavailable",
            Kind::Malformed => "request.malformed",
            Kind::TooLarge => "request.too_large",
            _ => "server.internal",
        }
    }
    fn retry_after(&self) -> Option<u32> {
        (self.kind() == Kind::Unavailable).then_some(5)
    }
}

/// What a store must be able to do. Every implementation passes the same contract tests.
///
/// There are no conditional requests: a name is generated for one put and never written again with other bytes, so there
/// is nothing that a condition could protect. Who may read, write or delete is decided by the object's row.
#[async_trait(?Send)]
pub trait ObjectStore: Send + Sync {
    /// Stores the whole stream, of known or unknown length, or nothing. Returns the number of bytes stored, which
    /// survive a power cut from then on.
    async fn put(&self, id: ObjectId, bytes: ByteStream, length: Option<u64>) -> Result<u64, StorageError>;
    /// Streams the object, or exactly the part of it that was asked for: a part that the object does not have is
    /// `Damaged`, at the latest at the end of the stream.
    async fn get(&self, id: ObjectId, range: Option<Range<u64>>) -> Result<ByteStream, StorageError>;
    /// Its length, or none when it is not there.
    async fn head(&self, id: ObjectId) -> Result<Option<u64>, StorageError>;
    /// Deleting what is not there succeeds.
    async fn delete(&self, id: ObjectId) -> Result<(), StorageError>;
    /// Ids in ascending order, after `after`, at most `limit`.
    async fn list(&self, after: Option<ObjectId>, limit: usize) -> Result<Vec<ObjectId>, StorageError>;
}

/// Whether it answers: asked for an object that is never there, because an answer is an answer.
pub async fn answers(store: &dyn ObjectStore) -> Result<(), StorageError> {
    store.head(Uuid::nil().into()).await.map(drop)
}

/// Bytes that are in memory already, as a stream.
pub fn stream_of(bytes: impl Into<Bytes>) -> ByteStream {
    let bytes = bytes.into();
    Box::pin(futures::stream::iter((!bytes.is_empty()).then_some(Ok(bytes))))
}

/// All of a stream, which must not be longer than `limit`.
pub async fn collect(mut stream: ByteStream, limit: u64) -> Result<Bytes, StorageError> {
    let mut all = bytes::BytesMut::new();
    while let Some(part) = stream.next().await {
        let part = part?;
        if all.len() as u64 + part.len() as u64 > limit {
            return Err(StorageError::TooLarge(limit));
        }
        all.extend_from_slice(&part);
    }
    Ok(all.freeze())
}

/// Passes `stream` on and fails as soon as it is longer than `limit`.
pub fn bounded(stream: ByteStream, limit: u64) -> ByteStream {
    let mut left = limit;
    Box::pin(stream.map(move |part| {
        let part = part?;
        left = left.checked_sub(part.len() as u64).ok_or(StorageError::TooLarge(limit))?;
        Ok(part)
    }))
}
