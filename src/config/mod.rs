//! What an administrator may set: defaults < file < environment < flags. Read once, at start.

use serde::Deserialize;

mod check;
mod example;
mod load;
mod sections;

pub use check::{TASKS, check};
pub use example::{example, show};
pub use load::{Sources, bundled, load, port};
pub use sections::{
    Audit, Bundled, ConfiguredModel, ConfiguredProvider, Database, Egress, Inference, LogFormat, NextStorage,
    Organisation, Sandbox, SandboxLayer, Secrets, Server, Sessions, Storage, Supervisor, Telemetry, Tls,
};

/// Everything that was set, checked.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub server: Server,
    pub tls: Tls,
    pub database: Database,
    pub storage: Storage,
    pub next_storage: NextStorage,
    pub organisation: Organisation,
    pub inference: Inference,
    pub egress: Egress,
    pub sandbox: Sandbox,
    pub sessions: Sessions,
    pub secrets: Secrets,
    pub audit: Audit,
    pub telemetry: Telemetry,
    pub supervisor: Supervisor,
}

impl Config {
    /// How many of its connections to the database each worker has, and the background.
    pub fn connections_of_each(&self) -> usize {
        self.database.connections / self.server.workers.saturating_add(1)
    }
}

/// Everything that is wrong with the configuration, one sentence each, each with its key.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct Faults(pub Vec<String>);

impl Faults {
    fn one(sentence: impl Into<String>) -> Self {
        Self(vec![sentence.into()])
    }

    /// `value`, unless something was found.
    fn none_or<T>(found: Vec<String>, value: T) -> Result<T, Self> {
        if found.is_empty() { Ok(value) } else { Err(Self(found)) }
    }
}
