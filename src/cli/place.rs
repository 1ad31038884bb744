//! Which installation a command is about: one that `up` runs below a directory, or one that is configured.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use secrecy::ExposeSecret;

use crate::{
    app::lifecycle,
    base::ctx::Ctx,
    config::{Config, Sources, load},
    platform::{Platform, db::migrate},
    supervisor::{Kept, is_in_use},
};

/// Where the packages put the configuration.
const USUAL_FILE: &str = "/etc/renderkeep/config.toml";

/// For commands that have no other idea of an installation: one of the two must be named.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct Place {
    /// The directory of a running `renderkeep up`.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The configuration file of `renderkeep serve`.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// The same for commands that take the usual file and the environment when nothing is named.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(super) struct AnyPlace {
    /// The directory of a running `renderkeep up`.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The configuration file of `renderkeep serve`; /etc/renderkeep/config.toml when there is one.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl From<AnyPlace> for Place {
    fn from(place: AnyPlace) -> Self {
        Self { data: place.data, config: place.config }
    }
}

impl Place {
    pub fn sources(&self) -> anyhow::Result<Sources> {
        match &self.data {
            Some(data) => {
                let kept = Kept::read(data)?;
                Ok(kept.flags(of_process(own_file(kept.path())))?)
            }
            None => Ok(of_process(file_or_usual(self.config.clone()))),
        }
    }

    pub fn load(&self) -> anyhow::Result<Config> {
        Ok(load(&self.sources()?)?)
    }

    /// Whether there is an installation to speak of: something named, the usual file, or variables of ours.
    pub fn is_known(&self) -> bool {
        self.data.is_some() || !Sources::of_process(file_or_usual(self.config.clone())).is_empty()
    }

    /// The directory of `up`, if it is about one.
    pub fn data(&self) -> Option<&Path> {
        self.data.as_deref()
    }

    /// How a command is told about this installation.
    pub fn argument(&self) -> String {
        match (&self.data, &self.config) {
            (Some(data), _) => format!("--data {}", data.display()),
            (None, Some(file)) => format!("--config {}", file.display()),
            (None, None) => format!("--config {USUAL_FILE}"),
        }
    }

    /// The file with the settings, if there is one.
    pub fn file(&self) -> Option<PathBuf> {
        match &self.data {
            Some(data) => own_file(data),
            None => file_or_usual(self.config.clone()),
        }
    }

    /// For an act beside the running server, which alone changes the schema.
    pub async fn open(&self) -> anyhow::Result<(Ctx, Platform)> {
        let config = self.load()?;
        let missing = migrate::pending(config.database.url.expose_secret()).await.with_context(|| self.silent())?;
        anyhow::ensure!(missing == 0, "The database is not at this version. {}", self.how_to_migrate());
        let platform = lifecycle::open_beside(config).await?;
        Ok((Ctx::system("command line", platform.clock.clone()), platform))
    }

    /// What to do where the database or the store gives no answer.
    pub fn silent(&self) -> String {
        match &self.data {
            Some(data) if is_in_use(data) => format!(
                "The server below {data} runs, and this part of it does not answer. Look into {data}/logs; if it stays \
                 like this, stop the server and start it again.",
                data = data.display()
            ),
            Some(data) => format!(
                "The server below {data} is not running. Start it with: renderkeep up --data {data}, and try again.",
                data = data.display()
            ),
            None => "The database cannot be reached. Check that it runs and that database.url is right.".to_owned(),
        }
    }

    pub fn how_to_migrate(&self) -> &'static str {
        match self.data {
            Some(_) => "Stop `renderkeep up` and start it again with this version.",
            None => "Run: renderkeep migrate.",
        }
    }
}

/// The file, the environment, and RUST_LOG, which every Rust program understands.
pub(super) fn of_process(file: Option<PathBuf>) -> Sources {
    let sources = Sources::of_process(file);
    match std::env::var_os("RUST_LOG").and_then(|text| text.into_string().ok()).filter(|text| !text.is_empty()) {
        Some(filter) => sources.flag("telemetry.log", filter),
        None => sources,
    }
}

/// Settings of an evaluation can be put into a file in its directory.
pub(super) fn own_file(data: &Path) -> Option<PathBuf> {
    Some(data.join("config.toml")).filter(|file| file.exists())
}

/// The file that was named, or the usual one if it is there.
pub(super) fn file_or_usual(named: Option<PathBuf>) -> Option<PathBuf> {
    named.or_else(|| Some(PathBuf::from(USUAL_FILE)).filter(|file| file.exists()))
}
