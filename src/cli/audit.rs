//! `renderkeep audit`: whether the log is whole, and the log for other programs.

use std::{
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    pin::pin,
    process::ExitCode,
};

use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};
use data_encoding::HEXLOWER_PERMISSIVE;
use futures::TryStreamExt;
use serde::Serialize;

use super::{out, place::Place};
use crate::platform::audit::{
    Checkpoint, attest, export, read_checkpoints,
    verify::{self, Report},
};

#[derive(Debug, Subcommand)]
pub(super) enum Audit {
    /// Check the whole log; the first bad entry is named, and the exit status is 1.
    Verify(Verify),
    /// Print the whole log.
    Export(Export),
    /// Print the public key that signs the checkpoints.
    Key(Key),
}

#[derive(Debug, Args)]
pub(super) struct Verify {
    #[command(flatten)]
    place: Place,
    /// For programs.
    #[arg(long)]
    json: bool,
    /// Checkpoints to compare with; the file of audit.checkpoint_file when not given.
    #[arg(long, value_name = "FILE")]
    checkpoints: Option<PathBuf>,
    /// The public key that must have signed them, as `audit key` printed it; the database's when not given.
    #[arg(long, value_name = "HEX", value_parser = public_key)]
    key: Option<PublicKey>,
}

#[derive(Debug, Args)]
pub(super) struct Export {
    #[command(flatten)]
    place: Place,
    #[arg(long, value_enum)]
    format: Format,
}

#[derive(Debug, Args)]
pub(super) struct Key {
    #[command(flatten)]
    place: Place,
    /// For programs.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Jsonl,
    Csv,
}

#[derive(Clone, Debug)]
struct PublicKey(Vec<u8>);

fn public_key(text: &str) -> Result<PublicKey, String> {
    let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok().filter(|bytes| bytes.len() == 32);
    bytes.map(PublicKey).ok_or_else(|| "a public key is 64 hexadecimal digits".to_owned())
}

pub(super) async fn run(audit: Audit) -> anyhow::Result<ExitCode> {
    match audit {
        Audit::Verify(verify) => self::verify(verify).await,
        Audit::Export(export) => self::export(export).await,
        Audit::Key(key) => self::key(key).await,
    }
}

#[derive(Serialize)]
struct Verdict {
    #[serde(flatten)]
    report: Report,
    /// The file that was compared with.
    checkpoint_file: Option<PathBuf>,
    /// Lines of it that are no checkpoints.
    unreadable_lines: usize,
}

async fn verify(verify: Verify) -> anyhow::Result<ExitCode> {
    let (_, platform) = verify.place.open().await?;
    let usual = platform.config.audit.checkpoint_file.clone().filter(|file| file.exists());
    let file = verify.checkpoints.or(usual);
    let (given, unreadable_lines) = file.as_deref().map_or_else(|| Ok(Default::default()), checkpoints)?;
    let conn = &mut *platform.db.read().await?;
    let report = verify::verify(conn, given, verify.key.map(|key| key.0)).await?;
    let good = report.good;
    let verdict = Verdict { report, checkpoint_file: file, unreadable_lines };
    out::say(&if verify.json { serde_json::to_string_pretty(&verdict)? } else { for_people(&verdict) });
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn checkpoints(file: &Path) -> anyhow::Result<(Vec<Checkpoint>, usize)> {
    let read = read_checkpoints(file);
    read.with_context(|| format!("{} cannot be read. Check its name and its permissions.", file.display()))
}

fn for_people(verdict: &Verdict) -> String {
    let report = &verdict.report;
    let mut lines = Vec::new();
    match &report.fault {
        None => lines.push(format!("good  {} entries, and every one is as it was written.", report.entries)),
        Some(fault) => {
            let place = fault.sequence.map_or("outside the chain".to_owned(), |sequence| format!("at {sequence}"));
            let id = fault.id.map_or(String::new(), |id| format!(" ({id})"));
            lines.push(format!("BAD   {place}{id}: {}", fault.finding));
            lines.push(format!("      {} entries before that are as they were written.", report.entries));
        }
    }
    lines.push(match (&verdict.checkpoint_file, report.attested) {
        (_, None) => "      No checkpoint vouches for them.".to_owned(),
        (Some(file), Some(attested)) => format!(
            "      Attested up to {attested}, by {} checkpoints in {} and in the database.",
            report.checkpoints,
            file.display()
        ),
        (None, Some(attested)) => format!(
            "      Attested up to {attested}, by checkpoints in the database alone: set audit.checkpoint_file, or name \
             a file with --checkpoints."
        ),
    });
    if report.erased_notes > 0 {
        lines.push(format!(
            "      {} lost their reason or network to an erasure that is recorded.",
            report.erased_notes
        ));
    }
    if verdict.unreadable_lines > 0 {
        lines.push(match verdict.unreadable_lines {
            1 => "      1 line of the file is no checkpoint.".to_owned(),
            many => format!("      {many} lines of the file are no checkpoints."),
        });
    }
    lines.join("\n")
}

async fn export(export: Export) -> anyhow::Result<ExitCode> {
    let (ctx, platform) = export.place.open().await?;
    let format = match export.format {
        Format::Jsonl => export::Format::Jsonl,
        Format::Csv => export::Format::Csv,
    };
    export::note(&ctx, &platform.db, format).await?;
    let mut all = pin!(export::all(platform.db, format));
    let mut out = BufWriter::new(io::stdout().lock());
    let cannot = "The log could not be written to standard output. Check its disk and try again.";
    while let Some(part) = all.try_next().await? {
        out.write_all(&part).context(cannot)?;
    }
    out.flush().context(cannot)?;
    Ok(ExitCode::SUCCESS)
}

async fn key(key: Key) -> anyhow::Result<ExitCode> {
    let (_, platform) = key.place.open().await?;
    let identity = attest::identity(&mut *platform.db.read().await?).await?;
    let identity = identity.context("There is no signing key yet. Start the server once, and try again.")?;
    let public = HEXLOWER_PERMISSIVE.encode(&identity.public_key);
    let json = serde_json::json!({ "server": identity.server, "key": public });
    out::say(&if key.json { serde_json::to_string_pretty(&json)? } else { public });
    Ok(ExitCode::SUCCESS)
}
