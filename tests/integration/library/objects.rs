//! Rows and bytes of stored objects, whatever happens between the two.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use chrono::Duration;
use futures::{StreamExt, TryStreamExt};
use renderkeep::{
    base::ids::{ObjectId, PersonId, WorkspaceId},
    platform::{
        Platform,
        storage::{
            ByteStream, ObjectStore, Storage, StorageError, Stores, bounded, collect, memory::Memory, sealed::CHUNK,
            stream_of,
        },
    },
};
use uuid::Uuid;

use super::left;
use crate::support::{TestPlatform, give_keys, platform};

async fn put(test: &TestPlatform, text: &'static str) -> ObjectId {
    let app = &test.platform;
    let owner = owner(app).await;
    app.storage.put(&app.db, &app.clock, owner, stream_of(text), None).await.unwrap().id
}

/// A person with a key.
async fn owner(app: &Platform) -> Uuid {
    let person = PersonId::new(&app.clock);
    give_keys(app, person, WorkspaceId::new(&app.clock)).await;
    person.uuid()
}

async fn claim(test: &TestPlatform, id: ObjectId) -> Result<(), StorageError> {
    let app = &test.platform;
    app.db.write("test.claim", async |tx| Storage::claim(tx, &app.clock, id).await).await
}

async fn doom(test: &TestPlatform, id: ObjectId) {
    let app = &test.platform;
    let doomed = app.db.write("test.doom", async |tx| Storage::doom(tx, &app.clock, id).await);
    doomed.await.unwrap();
}

async fn sweep(test: &TestPlatform) -> usize {
    let app = &test.platform;
    app.storage.sweep(&app.db, &app.clock).await.unwrap()
}

async fn read(test: &TestPlatform, id: ObjectId) -> Result<Bytes, StorageError> {
    let app = &test.platform;
    collect(app.storage.get(&app.db, id, None).await?.stream, 1000).await
}

#[tokio::test]
async fn a_claimed_object_stays_and_a_forgotten_one_goes() {
    let test = platform().await;
    let (claimed, forgotten) = (put(&test, "claimed").await, put(&test, "forgotten").await);
    claim(&test, claimed).await.unwrap();
    assert_eq!(sweep(&test).await, 0, "there is time to claim");
    test.platform.clock.advance(Duration::minutes(11));
    assert!(matches!(claim(&test, forgotten).await, Err(StorageError::Missing(_))));
    assert_eq!(sweep(&test).await, 1);
    assert_eq!(read(&test, claimed).await.unwrap(), "claimed");
    assert!(matches!(read(&test, forgotten).await, Err(StorageError::Missing(_))));
    assert_eq!(left(&test).await, (1, 1));
}

#[tokio::test]
async fn a_given_up_object_goes_with_the_next_sweep() {
    let test = platform().await;
    let id = put(&test, "x").await;
    claim(&test, id).await.unwrap();
    doom(&test, id).await;
    assert!(claim(&test, id).await.is_err());
    assert_eq!(sweep(&test).await, 1);
    assert_eq!(left(&test).await, (0, 0));
}

#[tokio::test]
async fn discarding_spares_what_is_in_use() {
    let test = platform().await;
    let (used, unused) = (put(&test, "used").await, put(&test, "unused").await);
    claim(&test, used).await.unwrap();
    test.platform.storage.discard(&test.platform.db, &[used, unused]).await;
    assert_eq!(read(&test, used).await.unwrap(), "used");
    assert_eq!(left(&test).await, (1, 1));
}

#[tokio::test]
async fn a_failed_put_leaves_nothing() {
    let test = platform().await;
    let app = &test.platform;
    let owner = owner(app).await;
    let broken = || futures::stream::iter([Err(StorageError::Interrupted("cut".into()))]);
    for stream in [Box::pin(stream_of("x").chain(broken())), bounded(stream_of("12345"), 4)] {
        assert!(app.storage.put(&app.db, &app.clock, owner, stream, None).await.is_err());
    }
    assert!(app.storage.put(&app.db, &app.clock, owner, stream_of("12345"), Some(6)).await.is_err());
    assert_eq!(left(&test).await, (0, 0));
}

#[tokio::test]
async fn an_upload_that_died_is_swept_and_a_living_one_is_not() {
    let test = platform().await;
    let app = &test.platform;
    let owner = owner(app).await;
    // As a server leaves it that was killed in the middle.
    let endless = Box::pin(stream_of("x").chain(futures::stream::pending()));
    let dropped = app.storage.put(&app.db, &app.clock, owner, endless, None);
    let _ = tokio::time::timeout(std::time::Duration::from_millis(300), dropped).await;
    assert_eq!(left(&test).await.0, 1);
    assert_eq!(sweep(&test).await, 0);
    app.clock.advance(Duration::minutes(3));
    assert_eq!(sweep(&test).await, 1);
    assert_eq!(left(&test).await, (0, 0));
}

#[tokio::test]
async fn what_was_changed_in_the_store_is_damaged() {
    let test = platform().await;
    let store = test.store.as_ref();
    let (id, other) = (put(&test, "mild").await, put(&test, "mild").await);
    let held = async |id| collect(store.get(id, None).await.unwrap(), 1000).await.unwrap();
    let (sealed, of_another) = (held(id).await, held(other).await);
    let flipped = (0..sealed.len()).map(|at| {
        let mut bytes = sealed.to_vec();
        bytes[at] ^= 1;
        bytes
    });
    let cut = sealed[..sealed.len() - 1].to_vec();
    let longer = [&sealed[..], b"!"].concat();
    for changed in flipped.chain([cut, longer, of_another.to_vec(), b"mild".to_vec(), Vec::new()]) {
        store.put(id, stream_of(changed.clone()), None).await.unwrap();
        assert!(matches!(read(&test, id).await, Err(StorageError::Damaged(_))), "{changed:?}");
    }
    store.put(id, stream_of(sealed), None).await.unwrap();
    assert_eq!(read(&test, id).await.unwrap(), "mild");
    let id = put(&test, "mild").await;
    store.delete(id).await.unwrap();
    assert!(matches!(read(&test, id).await, Err(StorageError::Missing(_))));
}

/// Counts what leaves the store, and may keep silent about what came in.
#[derive(Default)]
struct Odd {
    inner: Memory,
    left: Arc<AtomicU64>,
    mute: bool,
}

#[async_trait(?Send)]
impl ObjectStore for Odd {
    async fn put(&self, id: ObjectId, bytes: ByteStream, length: Option<u64>) -> Result<u64, StorageError> {
        let stored = self.inner.put(id, bytes, length).await?;
        if self.mute { Err(StorageError::Unreachable("no answer".into())) } else { Ok(stored) }
    }
    async fn get(&self, id: ObjectId, range: Option<Range<u64>>) -> Result<ByteStream, StorageError> {
        let count = self.left.clone();
        let bytes = self.inner.get(id, range).await?;
        Ok(Box::pin(bytes.inspect_ok(move |part| _ = count.fetch_add(part.len() as u64, Ordering::SeqCst))))
    }
    async fn head(&self, id: ObjectId) -> Result<Option<u64>, StorageError> {
        self.inner.head(id).await
    }
    async fn delete(&self, id: ObjectId) -> Result<(), StorageError> {
        self.inner.delete(id).await
    }
    async fn list(&self, after: Option<ObjectId>, limit: usize) -> Result<Vec<ObjectId>, StorageError> {
        self.inner.list(after, limit).await
    }
}

/// To ask it to delete would only make the caller wait once more.
#[tokio::test]
async fn what_a_store_took_in_without_a_word_goes_with_the_sweep() {
    let test = platform().await;
    let app = &test.platform;
    let mute = Arc::new(Odd { mute: true, ..Odd::default() });
    let storage = Storage::new(Stores::first(app.keys.clone(), mute.clone()), app.keys.clone());
    let put = storage.put(&app.db, &app.clock, owner(app).await, stream_of("x"), None).await;
    assert!(matches!(put, Err(StorageError::Unreachable(_))), "{put:?}");
    let kept = async || mute.list(None, 10).await.unwrap().len();
    assert_eq!((storage.sweep(&app.db, &app.clock).await.unwrap(), kept().await), (0, 1));
    app.clock.advance(Duration::minutes(3));
    assert_eq!((storage.sweep(&app.db, &app.clock).await.unwrap(), kept().await), (1, 0));
}

#[tokio::test]
async fn a_range_costs_two_chunks_more_than_itself_at_most() {
    const TAG: u64 = 16;
    let test = platform().await;
    let app = &test.platform;
    let counting = Odd::default();
    let left = counting.left.clone();
    let storage = Storage::new(Stores::first(app.keys.clone(), Arc::new(counting)), app.keys.clone());
    let (chunk, length) = (CHUNK as u64, 40 * 1024 * 1024 + 17);
    let plain: Bytes = (0..length as usize).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let whole = stream_of(plain.clone());
    let id = storage.put(&app.db, &app.clock, owner(app).await, whole, Some(length)).await.unwrap().id;
    for range in [
        0..1,
        chunk - 1..chunk + 1,
        chunk..2 * chunk,
        7 * chunk + 5..9 * chunk + 6,
        length / 2..length / 2 + 5_000_000,
        length - 1..length,
        length - 17..length,
    ] {
        left.store(0, Ordering::SeqCst);
        let read = storage.get(&app.db, id, Some(range.clone())).await.unwrap().stream;
        let read = collect(read, length).await.unwrap();
        assert!(read == plain[range.start as usize..range.end as usize], "{range:?}");
        let (wanted, left) = (range.end - range.start, left.load(Ordering::SeqCst));
        let chunks = wanted.div_ceil(chunk) + 1;
        assert!(left <= wanted + 2 * chunk + chunks * TAG, "{range:?} cost {left} bytes");
    }
}

#[tokio::test]
async fn the_store_holds_nothing_readable_and_the_database_no_open_key() {
    let test = platform().await;
    let id = put(&test, "a lighthouse above a calm sea").await;
    let held = collect(test.store.get(id, None).await.unwrap(), 1000).await.unwrap();
    let readable = |bytes: &[u8]| bytes.windows(10).any(|part| part == b"lighthouse");
    assert!(!readable(&held) && held.starts_with(b"RKSEAL"));

    // A key that was sealed for one object opens no other.
    let other = put(&test, "another").await;
    let client = crate::support::postgres::connect(&test.database.url()).await;
    let swap = "update objects set sealed_key = (select sealed_key from objects where id = $1) where id = $2";
    client.execute(swap, &[&other.uuid(), &id.uuid()]).await.unwrap();
    assert!(matches!(read(&test, id).await, Err(StorageError::Damaged(_))));
}
