//! Rows and bytes of stored objects, whatever happens between the two.

use chrono::Duration;
use futures::StreamExt;
use renderkeep::{
    base::ids::{ObjectId, PersonId, WorkspaceId},
    platform::{
        Platform,
        storage::{ObjectStore, Storage, StorageError, bounded, collect, stream_of},
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

async fn read(test: &TestPlatform, id: ObjectId) -> Result<bytes::Bytes, StorageError> {
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
