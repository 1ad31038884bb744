//! `renderkeep keys`: what the sealed data hangs on.

use std::process::ExitCode;

use anyhow::Context;
use chrono::{DateTime, Duration, Utc};
use clap::{Args, Subcommand};

use super::{out, place::Place};
use crate::{
    app::lifecycle,
    platform::{
        crash,
        keyring::{self, Epochs, Keyring, RootKey, Status, jobs},
    },
    supervisor::Kept,
};

#[derive(Debug, Subcommand)]
pub(super) enum Keys {
    /// Change the root key. Nothing but one row is sealed anew, and a running server goes on.
    Rotate(Rotate),
    /// How the keys stand.
    Status(Look),
}

#[derive(Debug, Args)]
pub(super) struct Rotate {
    #[command(flatten)]
    place: Place,
    /// Begin a new epoch instead, before its week is over.
    #[arg(long)]
    epoch: bool,
}

#[derive(Debug, Args)]
pub(super) struct Look {
    #[command(flatten)]
    place: Place,
    /// For programs.
    #[arg(long)]
    json: bool,
}

pub(super) async fn rotate(rotate: Rotate) -> anyhow::Result<ExitCode> {
    if rotate.epoch {
        return turn(&rotate.place).await;
    }
    let said = match rotate.place.data() {
        Some(data) => {
            let mut kept = Kept::read(data)?;
            // No new key is made unless the database answers.
            drop(rotate.place.open().await?);
            kept.begin_rotation()?;
            let id = reseal(&rotate.place).await?;
            crash::point("keyring.rotated");
            kept.end_rotation()?;
            format!(
                "The root key is {id} now. Put the file {}/secrets/root_key where you keep the old one.",
                data.display()
            )
        }
        None => {
            let id = reseal(&rotate.place).await?;
            format!(
                "The root key is {id} now. Set it as secrets.root_key, remove secrets.next_root_key, and keep it safe."
            )
        }
    };
    out::say(&said);
    Ok(ExitCode::SUCCESS)
}

/// Seals the organisation's key with secrets.next_root_key; returns that key's id.
async fn reseal(place: &Place) -> anyhow::Result<String> {
    let (ctx, platform) = place.open().await?;
    let Some(next) = &platform.config.secrets.next_root_key else {
        anyhow::bail!(
            "There is no key to change to. Make one with: openssl rand -hex 32, set it as secrets.next_root_key, and \
             try again."
        );
    };
    let next = RootKey::parse(next).map_err(|fault| anyhow::anyhow!("secrets.next_root_key {fault}"))?;
    let roots = lifecycle::roots(&platform.config)?;
    Keyring::rotate(&platform.db, &ctx, &roots, &next).await?;
    Ok(next.id()?.to_string())
}

async fn turn(place: &Place) -> anyhow::Result<ExitCode> {
    let (ctx, platform) = place.open().await?;
    let backups = Duration::days(i64::from(platform.config.secrets.backup_days));
    jobs::turn(&platform.keys, &platform.db, &ctx, true, backups).await?;
    out::say("A new epoch has begun, and every owner's key is sealed under it.");
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn status(look: Look) -> anyhow::Result<ExitCode> {
    // Asked before a key is needed: it tells which one is.
    let config = look.place.load()?;
    let (db, _) = lifecycle::handles(&config, None)?;
    let epochs = Epochs::open(&config.secrets.epoch_keys)?;
    let backups = Duration::days(i64::from(config.secrets.backup_days));
    let mut conn = db.read().await.with_context(|| look.place.silent())?;
    let status = keyring::status(&mut conn, &epochs, backups).await?;
    let roots = lifecycle::roots(&config)?;
    let ids = roots.iter().map(|root| Ok(root.id()?.to_string())).collect::<anyhow::Result<Vec<_>>>()?;
    let here = ids.contains(&status.root_key);
    if look.json {
        out::say(&serde_json::to_string_pretty(&serde_json::json!({ "root_key_is_set": here, "keys": status }))?);
    } else {
        out::say(&for_people(&status, here));
    }
    Ok(if here { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn for_people(status: &Status, here: bool) -> String {
    let day = |at: DateTime<Utc>| at.format("%-d %B %Y").to_string();
    let is_set = if here { "which is set" } else { "which is NOT set: the server cannot start" };
    let mut lines = vec![
        format!("Root key           {}, {is_set}", status.root_key),
        format!(
            "Organisation key   made {}, sealed by this root key since {}",
            day(status.organisation_key.created_at),
            day(status.organisation_key.sealed_at)
        ),
    ];
    for (kind, count) in &status.owners {
        lines.push(format!("Owners' keys       {count} of kind {kind}"));
    }
    for epoch in &status.epochs {
        let until = epoch.until.map(day).unwrap_or_default();
        let end = if epoch.newest { format!("seals until {until}") } else { format!("destroyed after {until}") };
        lines.push(format!("Epoch {:<12} made {}, {} keys, {end}", epoch.epoch, day(epoch.made_at), epoch.keys));
    }
    lines.push(format!("Destroyed          {} owners' keys, within the time that backups are kept", status.destroyed));
    lines.join("\n")
}
