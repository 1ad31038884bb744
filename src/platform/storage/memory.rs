//! A store in memory, for tests. It keeps the same promises as the real one, except to outlive the process.

use std::{
    collections::BTreeMap,
    ops::{Bound, Range},
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;

use super::{ByteStream, ObjectStore, StorageError, stream_of};
use crate::base::ids::ObjectId;

#[derive(Default)]
pub struct Memory {
    objects: Mutex<BTreeMap<ObjectId, Bytes>>,
}

impl Memory {
    fn with<T>(&self, act: impl FnOnce(&mut BTreeMap<ObjectId, Bytes>) -> T) -> T {
        act(&mut self.objects.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait(?Send)]
impl ObjectStore for Memory {
    async fn put(&self, id: ObjectId, mut bytes: ByteStream, length: Option<u64>) -> Result<u64, StorageError> {
        let mut all = BytesMut::new();
        while let Some(part) = bytes.next().await {
            all.extend_from_slice(&part?);
        }
        let stored = all.len() as u64;
        if length.is_some_and(|length| length != stored) {
            return Err(StorageError::wrong_length());
        }
        self.with(|objects| objects.insert(id, all.freeze()));
        Ok(stored)
    }

    async fn get(&self, id: ObjectId, range: Option<Range<u64>>) -> Result<ByteStream, StorageError> {
        let whole = self.with(|objects| objects.get(&id).cloned()).ok_or(StorageError::Missing(id))?;
        let Some(range) = range else { return Ok(stream_of(whole)) };
        let ends = (usize::try_from(range.start), usize::try_from(range.end));
        match ends {
            (Ok(start), Ok(end)) if start <= end && end <= whole.len() => Ok(stream_of(whole.slice(start..end))),
            _ => Err(StorageError::Damaged(id)),
        }
    }

    async fn head(&self, id: ObjectId) -> Result<Option<u64>, StorageError> {
        Ok(self.with(|objects| objects.get(&id).map(|bytes| bytes.len() as u64)))
    }

    async fn delete(&self, id: ObjectId) -> Result<(), StorageError> {
        self.with(|objects| objects.remove(&id));
        Ok(())
    }

    async fn list(&self, after: Option<ObjectId>, limit: usize) -> Result<Vec<ObjectId>, StorageError> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        Ok(self.with(|objects| objects.range((from, Bound::Unbounded)).take(limit).map(|(id, _)| *id).collect()))
    }
}
