//! `renderkeep config`: checks the settings, shows them, and prints a file to begin with.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::{
    out,
    place::{AnyPlace, Place},
};
use crate::{
    app::tls::Certificates,
    config::{example, show},
};

#[derive(Debug, Subcommand)]
pub(super) enum Settings {
    /// Say whether the settings are complete and valid.
    Check(Which),
    /// Print a commented file to begin with.
    Example,
    /// Print what is in force, without secrets.
    Show(Which),
}

#[derive(Debug, Args)]
pub(super) struct Which {
    #[command(flatten)]
    place: AnyPlace,
}

pub(super) fn run(settings: Settings) -> anyhow::Result<ExitCode> {
    match settings {
        Settings::Check(which) => {
            let config = Place::from(which.place).load()?;
            Certificates::load(&config.tls)?;
            anyhow::ensure!(
                config.secrets.root_key.is_some(),
                "secrets.root_key is not set, and the server cannot start without it. Set it, or name its file. For a new \
                 installation make one with: openssl rand -hex 32."
            );
            out::say("The configuration is complete and valid.");
        }
        Settings::Example => out::say(&example()),
        Settings::Show(which) => out::say(&show(&Place::from(which.place).sources()?)?),
    }
    Ok(ExitCode::SUCCESS)
}
