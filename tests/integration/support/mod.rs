//! What integration tests stand on: a real Postgres, a store in memory, a clock that can be moved.

use std::sync::Arc;

use renderkeep::{
    base::{clock::Clock, money::Currency},
    config::{self, Config},
    platform::{
        Platform,
        crypto::Keys,
        egress::Egress,
        signals::Signals,
        storage::{Storage, memory::Memory},
        telemetry::Notices,
    },
};

pub mod app;
pub mod minio;
pub mod postgres;

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
    let platform = Platform {
        config: Arc::new(config),
        clock: clock.clone(),
        keys: Arc::new(Keys::new(&ROOT_KEY)),
        db: database.db.clone(),
        storage: Storage::new(Arc::new(Memory::default())),
        egress: Egress::new(database.db.clone(), clock),
        signals: Signals::default(),
        notices: Notices::default(),
    };
    TestPlatform { platform, database }
}

const ROOT_KEY: [u8; 32] = [7; 32];

/// What a test server is set to; tests change single fields.
pub fn config() -> Config {
    Config {
        server: config::Server {
            host: "127.0.0.1".to_owned(),
            port: 0,
            public_url: None,
            workers: 1,
            trusted_proxies: Vec::new(),
        },
        database: config::Database { url: "".into(), connections: 8 },
        storage: config::Storage {
            endpoint: String::new(),
            region: "us-east-1".to_owned(),
            bucket: "renderkeep".to_owned(),
            access_key: "".into(),
            secret_key: "".into(),
        },
        organisation: config::Organisation {
            name: "Example".to_owned(),
            currency: "EUR".parse::<Currency>().expect("a currency"),
            owner_mail: "owner@example.org".to_owned(),
            owner_name: "Owner".to_owned(),
        },
        inference: config::Inference {
            demo: true,
            demo_faults: true,
            per_person: 4,
            at_once: 4,
            timeout_seconds: 30,
            providers: Vec::new(),
        },
        sessions: config::Sessions { idle_minutes: 60, absolute_hours: 24 },
        secrets: config::Secrets { root_key: "07".repeat(32).into() },
        telemetry: config::Telemetry { log: "info".to_owned(), format: config::LogFormat::Pretty, metrics: None },
        supervisor: config::Supervisor { postgres_bin: None, minio: None },
    }
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
