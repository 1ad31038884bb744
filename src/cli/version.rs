//! `renderkeep version`.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::out;

#[derive(Debug, Args)]
pub(super) struct Version {
    /// For programs.
    #[arg(long)]
    json: bool,
}

pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

pub(super) fn version(version: &Version) -> anyhow::Result<ExitCode> {
    out::say(&if version.json { json!({ "version": VERSION }).to_string() } else { format!("renderkeep {VERSION}") });
    Ok(ExitCode::SUCCESS)
}
