//! What an administrator may set: defaults < file < environment < flags. Read once, at start.

use secrecy::SecretString;

use crate::base::money::Currency;

/// Everything that was set, checked.
#[derive(Debug)]
pub struct Config {
    pub server: Server,
    pub database: Database,
    pub storage: Storage,
    pub organisation: Organisation,
    pub inference: Inference,
    pub sessions: Sessions,
    pub secrets: Secrets,
    pub telemetry: Telemetry,
    pub supervisor: Supervisor,
}

#[derive(Debug)]
pub struct Server {
    pub host: String,
    pub port: u16,
    /// The address that people type, when it differs from host and port: `https://render.example.org`.
    pub public_url: Option<String>,
    pub workers: usize,
    /// Addresses of reverse proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<std::net::IpAddr>,
}

#[derive(Debug)]
pub struct Database {
    pub url: SecretString,
    pub connections: usize,
}

#[derive(Debug)]
pub struct Storage {
    pub endpoint: String,
    pub region: String,
    pub bucket: String,
    pub access_key: SecretString,
    pub secret_key: SecretString,
}

#[derive(Debug)]
pub struct Organisation {
    pub name: String,
    pub currency: Currency,
    pub owner_mail: String,
    pub owner_name: String,
}

#[derive(Debug)]
pub struct Inference {
    /// The built-in painter.
    pub demo: bool,
    /// Its faulty models, for trying out what happens when a provider fails.
    pub demo_faults: bool,
    /// Generations of one person that run at the same time.
    pub per_person: usize,
    /// Generations that this server runs at the same time.
    pub at_once: usize,
    /// Seconds after which a provider that has not answered counts as lost.
    pub timeout_seconds: u64,
    pub providers: Vec<ConfiguredProvider>,
}

/// An OpenAI-compatible server set up in the file instead of on the page.
#[derive(Debug)]
pub struct ConfiguredProvider {
    pub slug: String,
    pub title: String,
    pub base_url: String,
    pub api_key: Option<SecretString>,
    /// It may be on a private or loopback address.
    pub local: bool,
    pub models: Vec<ConfiguredModel>,
}

#[derive(Debug)]
pub struct ConfiguredModel {
    /// The second part of the catalog id.
    pub name: String,
    pub upstream_name: String,
    pub title: String,
    pub tasks: Vec<String>,
    pub sizes: Vec<String>,
    pub max_count: u32,
    pub max_references: u32,
    pub seeds: bool,
    /// Millionths of the organisation's currency per picture; none: the model cannot be used until it has a price.
    pub price_micros_per_image: Option<i64>,
    pub aliases: Vec<String>,
}

#[derive(Debug)]
pub struct Sessions {
    pub idle_minutes: u32,
    pub absolute_hours: u32,
}

#[derive(Debug)]
pub struct Secrets {
    /// 32 random bytes as 64 hexadecimal digits. Whoever loses it loses every sealed value.
    pub root_key: SecretString,
}

#[derive(Debug)]
pub struct Telemetry {
    /// As `tracing-subscriber` reads it: `info`, `renderkeep=debug,info`.
    pub log: String,
    pub format: LogFormat,
    /// Where `/metrics` listens, if anywhere: `127.0.0.1:9464`.
    pub metrics: Option<std::net::SocketAddr>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Json,
    Pretty,
}

/// What `renderkeep up` starts beside itself.
#[derive(Debug)]
pub struct Supervisor {
    /// Directory of the PostgreSQL programs; found by itself when not set.
    pub postgres_bin: Option<std::path::PathBuf>,
    /// The MinIO program; found by itself when not set.
    pub minio: Option<std::path::PathBuf>,
}
