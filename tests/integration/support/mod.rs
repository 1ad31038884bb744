//! What integration tests stand on: a real Postgres, a store in memory, a clock that can be moved.

use std::sync::Arc;

use renderkeep::{
    base::clock::Clock,
    config::{self, Config, Sources},
    platform::{
        Platform,
        crypto::Keys,
        egress::Egress,
        pictures::{Pictures, Setup},
        signals::Signals,
        storage::{Storage, memory::Memory},
        telemetry::Notices,
    },
};

pub mod app;
pub mod minio;
pub mod postgres;
pub mod up;

/// The platform on a database of its own. Everything is gone when it is dropped.
pub struct TestPlatform {
    pub platform: Platform,
    pub database: postgres::Database,
}

pub async fn platform() -> TestPlatform {
    platform_with(config()).await
}

pub async fn platform_with(config: Config) -> TestPlatform {
    let database = postgres::Database::migrated().await;
    let clock = Clock::shifted();
    let keys = Arc::new(Keys::new(&ROOT_KEY));
    let platform = Platform {
        pictures: Pictures::new(decoders(&config)),
        config: Arc::new(config),
        clock: clock.clone(),
        storage: Storage::new(Arc::new(Memory::default()), keys.clone()),
        keys,
        db: database.db.clone(),
        egress: Egress::new(database.db.clone(), clock),
        signals: Signals::default(),
        notices: Notices::default(),
    };
    TestPlatform { platform, database }
}

/// Decoders are the built program: the one that runs here is the tests.
pub fn decoders(config: &Config) -> Setup {
    Setup { program: env!("CARGO_BIN_EXE_renderkeep").into(), ..Setup::new(&config.sandbox) }
}

const ROOT_KEY: [u8; 32] = [7; 32];

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
