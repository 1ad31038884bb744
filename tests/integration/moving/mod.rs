//! Objects on their way from one store to another, and whether all are there.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use async_trait::async_trait;
use bytes::Bytes;
use renderkeep::{
    base::{
        ctx::Ctx,
        ids::{ObjectId, PersonId, WorkspaceId},
    },
    platform::{
        Platform,
        storage::{
            ByteStream, ObjectStore, Storage, StorageError, StoreId, Stores, collect,
            memory::Memory,
            moving::{self, Move, Moved},
            stream_of,
        },
    },
};
use tokio::sync::Semaphore;

use crate::support::{TestPlatform, give_keys, platform, stores::settings};

mod races;
mod used;
mod verify;

/// A store in memory that counts what is put, can hold a put back, and can keep something else than it was given.
struct Odd {
    inner: Memory,
    puts: AtomicUsize,
    /// Of the next puts, how many keep other bytes.
    spoil: AtomicUsize,
    /// Puts wait for this.
    gate: Semaphore,
    /// Puts that have come.
    came: Semaphore,
    away: AtomicBool,
    gets: AtomicUsize,
    /// Gets wait for ever.
    hangs: AtomicBool,
}

impl Default for Odd {
    fn default() -> Self {
        Self {
            inner: Memory::default(),
            puts: AtomicUsize::new(0),
            spoil: AtomicUsize::new(0),
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
            came: Semaphore::new(0),
            away: AtomicBool::new(false),
            gets: AtomicUsize::new(0),
            hangs: AtomicBool::new(false),
        }
    }
}

#[async_trait(?Send)]
impl ObjectStore for Odd {
    async fn put(&self, id: ObjectId, bytes: ByteStream, length: Option<u64>) -> Result<u64, StorageError> {
        self.came.add_permits(1);
        self.gate.acquire().await.unwrap().forget();
        self.puts.fetch_add(1, Ordering::SeqCst);
        let spoil = self.spoil.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        if !spoil {
            return self.inner.put(id, bytes, length).await;
        }
        let mut other = collect(bytes, u64::MAX).await?.to_vec();
        let last = other.len() - 1;
        other[last] ^= 1;
        self.inner.put(id, stream_of(other), length).await
    }
    async fn get(&self, id: ObjectId, range: Option<std::ops::Range<u64>>) -> Result<ByteStream, StorageError> {
        self.gets.fetch_add(1, Ordering::SeqCst);
        if self.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        self.inner.get(id, range).await
    }
    async fn head(&self, id: ObjectId) -> Result<Option<u64>, StorageError> {
        if self.away.load(Ordering::SeqCst) {
            return Err(StorageError::Unreachable("away".into()));
        }
        self.inner.head(id).await
    }
    async fn delete(&self, id: ObjectId) -> Result<(), StorageError> {
        self.inner.delete(id).await
    }
    async fn list(&self, after: Option<ObjectId>, limit: usize) -> Result<Vec<ObjectId>, StorageError> {
        self.inner.list(after, limit).await
    }
}

/// A server with a store full of objects, and a second store.
struct House {
    test: TestPlatform,
    owner: PersonId,
    target: Arc<Odd>,
    to: StoreId,
}

impl House {
    async fn new() -> Self {
        let test = platform().await;
        let app = &test.platform;
        let owner = PersonId::new(&app.clock);
        give_keys(app, owner, WorkspaceId::new(&app.clock)).await;
        let to = app.storage.stores().add(&app.db, &settings("http://127.0.0.1:1", "second")).await.unwrap();
        let target = Arc::new(Odd::default());
        app.storage.stores().reach(to, target.clone());
        Self { test, owner, target, to }
    }

    fn app(&self) -> &Platform {
        &self.test.platform
    }

    fn ctx(&self) -> Ctx {
        Ctx::system("test", self.app().clock.clone())
    }

    /// A stored object that is in use.
    async fn put(&self, text: impl Into<Bytes>) -> ObjectId {
        let app = self.app();
        let stored = app.storage.put(&app.db, &app.clock, self.owner.uuid(), stream_of(text), None).await.unwrap();
        self.claim(stored.id).await;
        stored.id
    }

    async fn claim(&self, id: ObjectId) {
        let app = self.app();
        app.db.write("test.claim", async |tx| Storage::claim(tx, &app.clock, id).await).await.unwrap();
    }

    async fn doom(&self, id: ObjectId) {
        let app = self.app();
        app.db.write("test.doom", async |tx| Storage::doom(tx, &app.clock, id).await).await.unwrap();
    }

    async fn sweep(&self) -> usize {
        self.app().storage.sweep(&self.app().db, &self.app().clock).await.unwrap()
    }

    async fn read(&self, id: ObjectId) -> Result<Bytes, StorageError> {
        read(&self.app().storage, self.app(), id).await
    }

    /// As the command does it: what is there, the switch, the rest.
    async fn move_all(&self) -> Result<Moved, StorageError> {
        let (app, ctx) = (self.app(), self.ctx());
        let mut silent = |_| {};
        let mut moving = Move::to(&app.storage, &app.db, &ctx, self.to, &mut silent).await?;
        moving.pass().await?;
        moving.switch().await?;
        moving.finish().await
    }

    async fn pass(&self) -> Result<(), StorageError> {
        let (app, ctx) = (self.app(), self.ctx());
        Move::to(&app.storage, &app.db, &ctx, self.to, &mut |_| {}).await?.pass().await
    }

    async fn empty(&self) -> (u64, usize) {
        let (app, ctx) = (self.app(), self.ctx());
        let (emptied, findings) = moving::empty(&app.storage, &app.db, &ctx, 1, &mut |_| {}).await.unwrap();
        (emptied, findings.len())
    }

    /// How many objects each store holds.
    async fn held(&self) -> (usize, usize) {
        let count = async |store: &dyn ObjectStore| store.list(None, 1000).await.unwrap().len();
        (count(self.test.store.as_ref()).await, count(self.target.as_ref()).await)
    }
}

async fn read(storage: &Storage, app: &Platform, id: ObjectId) -> Result<Bytes, StorageError> {
    collect(storage.get(&app.db, id, None).await?.stream, u64::MAX).await
}

#[tokio::test]
async fn every_object_moves_and_the_old_store_is_emptied_only_when_asked() {
    let house = House::new().await;
    let mut ids = Vec::new();
    for text in ["a sea", "", "a hill"] {
        ids.push((house.put(text).await, text));
    }
    // Another server, which has heard of nothing.
    let keys = house.app().keys.clone();
    let stores = Stores::first(keys.clone(), house.test.store.clone());
    stores.reach(house.to, house.target.clone());
    let other = Storage::new(stores, keys);

    let moved = house.move_all().await.unwrap();
    assert_eq!((moved.objects, moved.bytes, moved.findings.len()), (3, 11, 0));
    for (id, text) in &ids {
        assert_eq!(house.read(*id).await.unwrap(), *text);
        assert_eq!(read(&other, house.app(), *id).await.unwrap(), *text);
    }
    let app = house.app();
    other.put(&app.db, &app.clock, house.owner.uuid(), stream_of("new"), None).await.unwrap();
    assert_eq!(house.held().await, (3, 4), "new objects go to the new store, on every server");

    assert_eq!(house.empty().await, (3, 0));
    assert_eq!(house.held().await, (0, 4));
    for (id, text) in &ids {
        assert_eq!(house.read(*id).await.unwrap(), *text);
    }
    let client = crate::support::postgres::connect(&house.test.database.url()).await;
    let acts = client.query("select action from audit_entries order by id", &[]).await.unwrap();
    assert_eq!(acts.iter().map(|row| row.get(0)).collect::<Vec<String>>(), ["storage.switch", "storage.empty"]);
    let used: bool = client.query_one("select in_use from stores where id = 1", &[]).await.unwrap().get(0);
    assert!(!used, "nobody needs the old store any more");
}

#[tokio::test]
async fn and_back_again() {
    let house = House::new().await;
    let id = house.put("there and back").await;
    house.move_all().await.unwrap();
    let (app, ctx) = (house.app(), house.ctx());
    let mut silent = |_| {};
    let mut back = Move::to(&app.storage, &app.db, &ctx, 1, &mut silent).await.unwrap();
    back.pass().await.unwrap();
    back.switch().await.unwrap();
    assert_eq!(back.finish().await.unwrap().objects, 1);
    assert_eq!(house.read(id).await.unwrap(), "there and back");
    assert_eq!(house.held().await, (1, 1));
}

#[tokio::test]
async fn a_store_is_asked_once_for_each_object() {
    let house = House::new().await;
    let id = house.put("there").await;
    house.move_all().await.unwrap();
    let before = house.target.gets.load(Ordering::SeqCst);
    for _ in 0..3 {
        assert_eq!(house.read(id).await.unwrap(), "there");
    }
    assert_eq!(house.target.gets.load(Ordering::SeqCst) - before, 3);
}

/// A server that starts after a move never reaches the store from before it.
#[tokio::test]
async fn where_objects_are_is_learned_after_a_restart() {
    let house = House::new().await;
    let id = house.put("there").await;
    house.move_all().await.unwrap();
    let app = house.app();
    let stores = Stores::new(app.keys.clone(), app.config.storage.clone());
    stores.reach(house.to, house.target.clone());
    let storage = Storage::new(stores, app.keys.clone());
    assert_eq!(read(&storage, app, id).await.unwrap(), "there");
    let before = house.target.gets.load(Ordering::SeqCst);
    assert!(read(&storage, app, ObjectId::new(&app.clock)).await.is_err());
    assert_eq!(house.target.gets.load(Ordering::SeqCst) - before, 1, "it was asked before a row was seen");
}

#[tokio::test]
async fn a_store_that_hangs_holds_up_only_what_is_in_it() {
    let house = House::new().await;
    let moved = house.put("moved").await;
    house.pass().await.unwrap();
    let stayed = house.put("stayed").await;
    // From now on the other store is the likely one.
    assert_eq!(house.read(moved).await.unwrap(), "moved");
    house.target.hangs.store(true, Ordering::SeqCst);
    assert_eq!(house.read(stayed).await.unwrap(), "stayed");
    house.target.hangs.store(false, Ordering::SeqCst);
    assert_eq!(house.read(moved).await.unwrap(), "moved");
}

#[tokio::test]
async fn what_has_moved_is_not_copied_again_after_a_crash() {
    let house = House::new().await;
    for number in 0..8 {
        house.put(format!("object {number}")).await;
    }
    // Five get through, the others are on their way when the process dies.
    house.target.gate.forget_permits(Semaphore::MAX_PERMITS);
    house.target.gate.add_permits(5);
    let cut = async {
        // Those, and as many as move at the same time.
        house.target.came.acquire_many(5 + 3).await.unwrap().forget();
    };
    tokio::select! {
        done = house.pass() => panic!("the gate is shut: {done:?}"),
        () = cut => {}
    }
    assert_eq!(house.target.puts.load(Ordering::SeqCst), 5);
    house.target.gate.add_permits(100);
    moving::take_over(&house.app().db).await.unwrap();
    let moved = house.move_all().await.unwrap();
    let puts = house.target.puts.load(Ordering::SeqCst);
    assert_eq!(puts as u64, 5 + moved.objects, "what was verified is not put again");
    assert!((3..=6).contains(&moved.objects), "{moved:?}");
    assert_eq!(house.held().await, (8, 8));
}

#[tokio::test]
async fn a_spoiled_copy_is_noticed_and_made_again() {
    let house = House::new().await;
    let id = house.put("a lighthouse").await;
    house.target.spoil.store(1, Ordering::SeqCst);
    assert_eq!(house.move_all().await.unwrap().objects, 1);
    assert_eq!(house.target.puts.load(Ordering::SeqCst), 2);
    assert_eq!(house.read(id).await.unwrap(), "a lighthouse");
}

#[tokio::test]
async fn a_store_that_spoils_everything_gets_nothing() {
    let house = House::new().await;
    let id = house.put("a lighthouse").await;
    house.target.spoil.store(100, Ordering::SeqCst);
    assert!(matches!(house.move_all().await, Err(StorageError::Unreachable(_))));
    assert_eq!(house.read(id).await.unwrap(), "a lighthouse");
    let client = crate::support::postgres::connect(&house.test.database.url()).await;
    let row =
        client.query_one("select store_id, (select id from stores where current) from objects", &[]).await.unwrap();
    assert_eq!((row.get::<_, i32>(0), row.get::<_, i32>(1)), (1, 1), "neither the object nor the server has moved");
}

#[tokio::test]
async fn a_damaged_original_stays_and_is_named() {
    let house = House::new().await;
    let (damaged, missing, good) = (house.put("mild").await, house.put("gone").await, house.put("good").await);
    house.test.store.put(damaged, stream_of(vec![0; 100]), None).await.unwrap();
    house.test.store.delete(missing).await.unwrap();
    let moved = house.move_all().await.unwrap();
    assert_eq!(moved.objects, 1);
    let mut named: Vec<_> = moved.findings.iter().map(|finding| finding.object.unwrap()).collect();
    named.sort();
    assert_eq!(named, [damaged, missing]);
    assert_eq!(house.read(good).await.unwrap(), "good");
    assert_eq!(moving::only_in(&house.app().db, 1).await.unwrap(), 2, "the old store is still needed");
}

#[tokio::test]
async fn a_copy_is_spared_when_the_object_itself_is_gone() {
    let house = House::new().await;
    let (lost, kept) = (house.put("lost").await, house.put("kept").await);
    house.move_all().await.unwrap();
    house.target.inner.delete(lost).await.unwrap();
    assert_eq!(house.empty().await, (1, 1));
    assert!(house.test.store.head(lost).await.unwrap().is_some());
    assert!(house.test.store.head(kept).await.unwrap().is_none());
}

#[tokio::test]
async fn health_asks_every_store_that_may_hold_objects() {
    let house = House::new().await;
    house.put("x").await;
    house.move_all().await.unwrap();
    let (app, answer) = (house.app(), async || house.app().storage.stores().answer(&house.app().db).await);
    assert!(answer().await.is_ok());
    house.target.away.store(true, Ordering::SeqCst);
    assert!(answer().await.is_err());
    // The one that was left counts no more once it is empty.
    house.target.away.store(false, Ordering::SeqCst);
    let old = Arc::new(Odd::default());
    old.away.store(true, Ordering::SeqCst);
    app.storage.stores().reach(1, old);
    assert!(answer().await.is_err());
    house.empty().await;
    assert!(answer().await.is_ok());
}
