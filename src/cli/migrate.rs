//! `renderkeep migrate`: the database at this version. `up` and `serve` do the same when they start.

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use secrecy::ExposeSecret;

use super::{
    out,
    place::{AnyPlace, Place},
};
use crate::{app::lifecycle, platform::db::server};

#[derive(Debug, Args)]
pub(super) struct Migrate {
    #[command(flatten)]
    place: AnyPlace,
}

pub(super) async fn migrate(migrate: Migrate) -> anyhow::Result<ExitCode> {
    let place = Place::from(migrate.place);
    let config = place.load()?;
    // Whether it is there, and nothing more: until it is migrated the server's role may not even read.
    server::ask(config.database.url.expose_secret()).await.with_context(|| place.silent())?;
    let applied = lifecycle::migrate_database(&config.database).await;
    let applied = applied.context("The database could not be brought to this version. Check its log and try again.")?;
    out::say(&match applied {
        0 => "The database is at this version already.".to_owned(),
        1 => "One migration was applied.".to_owned(),
        many => format!("{many} migrations were applied."),
    });
    Ok(ExitCode::SUCCESS)
}
