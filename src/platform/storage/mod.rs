//! Stored objects: bytes under generated names, with a row for each before it exists.
//!
//! `ObjectStore` is what a store can do, `minio` and `memory` are two of them, and `Storage` is what rooms use: it keeps
//! the table `objects`, checks lengths and hashes, and is the place where objects are sealed.

use std::{ops::Range, pin::Pin, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use futures::Stream;

use crate::base::{
    error::{Fault, Kind},
    ids::ObjectId,
};

pub type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes, StorageError>> + Send>>;

#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    #[error("The store cannot be reached at the moment. Nothing was changed; try again in a few seconds.")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("A stored object is missing.")]
    Missing(ObjectId),
    #[error("A stored object is not what was stored: it was cut, extended or changed.")]
    Damaged(ObjectId),
    #[error("The upload broke off before its end. Nothing was stored.")]
    Interrupted(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error(transparent)]
    Db(#[from] super::db::DbError),
}

impl Fault for StorageError {
    fn kind(&self) -> Kind {
        match self {
            Self::Unreachable(_) => Kind::Unavailable,
            Self::Interrupted(_) => Kind::Malformed,
            Self::Missing(_) | Self::Damaged(_) => Kind::Internal,
            Self::Db(error) => error.kind(),
        }
    }
    fn code(&self) -> &'static str {
        match self.kind() {
            Kind::Unavailable => "service.unavailable",
            Kind::Malformed => "request.malformed",
            _ => "server.internal",
        }
    }
    fn retry_after(&self) -> Option<u32> {
        (self.kind() == Kind::Unavailable).then_some(5)
    }
}

/// What a store must be able to do. Every implementation passes the same contract tests.
#[async_trait]
pub trait ObjectStore: Send + Sync {
    /// Stores the whole stream, of known or unknown length, or nothing. Returns the number of bytes stored.
    async fn put(&self, id: ObjectId, bytes: ByteStream, length: Option<u64>) -> Result<u64, StorageError>;
    /// Streams the object, or one part of it.
    async fn get(&self, id: ObjectId, range: Option<Range<u64>>) -> Result<ByteStream, StorageError>;
    /// Its length, or none when it is not there.
    async fn head(&self, id: ObjectId) -> Result<Option<u64>, StorageError>;
    /// Deleting what is not there succeeds.
    async fn delete(&self, id: ObjectId) -> Result<(), StorageError>;
    /// Ids in ascending order, after `after`, at most `limit`.
    async fn list(&self, after: Option<ObjectId>, limit: usize) -> Result<Vec<ObjectId>, StorageError>;
}

#[derive(Clone)]
pub struct Storage {
    store: Arc<dyn ObjectStore>,
}
