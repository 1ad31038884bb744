//! What integration tests stand on: a real Postgres, a store in memory, a clock that can be moved.

use std::sync::Arc;

use renderkeep::{
    base::{
        clock::Clock,
        ids::{PersonId, WorkspaceId},
    },
    config::{self, Config, Sources},
    platform::{
        Platform,
        db::DbError,
        egress::{Egress, Way},
        keyring::{Epochs, Keyring, OwnerKind, RootKey},
        pictures::{Pictures, Setup},
        signals::Signals,
        storage::{Storage, Stores, memory::Memory},
        telemetry::Notices,
    },
};

pub mod app;
pub mod postgres;
pub mod serve;
pub mod stores;
pub mod up;

/// The platform on a database of its own. Everything is gone when it is dropped.
pub struct TestPlatform {
    pub platform: Platform,
    pub database: postgres::Database,
    pub store: Arc<Memory>,
    /// Where its epoch keys are.
    pub epochs: tempfile::TempDir,
}

pub async fn platform() -> TestPlatform {
    platform_with(config()).await
}

pub async fn platform_with(config: Config) -> TestPlatform {
    let database = postgres::Database::migrated().await;
    let clock = Clock::shifted();
    let store = Arc::new(Memory::default());
    let epochs = tempfile::tempdir().expect("a directory");
    let (roots, files) = ([RootKey::new(&ROOT_KEY)], Epochs::open(epochs.path()).expect("epoch keys"));
    let keys = Keyring::open(&database.db, &clock, &roots, files).await.expect("keys");
    let (signals, way) = (Signals::default(), Way::of(&config.egress).unwrap());
    let platform = Platform {
        pictures: Pictures::new(decoders(&config)),
        config: Arc::new(config),
        clock: clock.clone(),
        storage: Storage::new(Stores::first(keys.clone(), store.clone()), keys.clone()),
        keys,
        db: database.db.clone(),
        egress: Egress::new(database.db.clone(), clock, signals.clone(), way),
        signals,
        notices: Notices::default(),
    };
    TestPlatform { platform, database, store, epochs }
}

/// Decoders are the built program: the one that runs here is the tests.
pub fn decoders(config: &Config) -> Setup {
    Setup { program: env!("CARGO_BIN_EXE_renderkeep").into(), ..Setup::new(&config.sandbox) }
}

/// What a person and a workspace get when they are made; for tests that make neither.
pub async fn give_keys(app: &Platform, person: PersonId, workspace: WorkspaceId) {
    let given = app.db.write("test.keys", async |tx| {
        app.keys.begin(tx, person.uuid(), OwnerKind::Person, app.clock.now()).await?;
        if app.keys.of(tx, workspace.uuid()).await.is_err() {
            app.keys.begin(tx, workspace.uuid(), OwnerKind::Workspace, app.clock.now()).await?;
        }
        Ok::<_, DbError>(())
    });
    given.await.expect("keys");
}

pub const ROOT_KEY: [u8; 32] = [7; 32];

/// What a test server is set to; tests change single fields.
pub fn config() -> Config {
    let sources = Sources::default()
        .flag("server.workers", "1")
        .flag("database.url", "postgres://tests-bring-their-own")
        .flag("storage.endpoint", "http://127.0.0.1:1")
        .flag("storage.access_key", "unused")
        .flag("storage.secret_key", "unused")
        .flag("organisation.name", "Example")
        .flag("inference.demo_faults", "true")
        .flag("inference.timeout_seconds", "30")
        .flag("secrets.root_key", "07".repeat(32))
        .flag("telemetry.format", "pretty");
    config::load(&sources).expect("the tests' configuration is valid")
}

#[tokio::test]
async fn every_platform_has_a_database_of_its_own() {
    let (one, two) = (platform().await, platform().await);
    let client = postgres::connect(&one.database.url()).await;
    client.batch_execute("insert into schedule (name, last_started_at) values ('mine', now())").await.unwrap();
    let rows = postgres::connect(&two.database.url()).await.query("select 1 from schedule", &[]).await.unwrap();
    assert!(rows.is_empty());
    assert!(one.platform.db.read().await.is_ok());
}
