//! `renderkeep storage`: whether every object is there, and the way from one store to another.

use std::{collections::HashMap, process::ExitCode, time::Duration};

use anyhow::Context;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use url::Url;

use super::{
    out::{self, Line},
    place::Place,
};
use crate::{
    base::{
        ctx::Ctx,
        ids::{AssetId, ObjectId, PersonId},
    },
    config::{self, Bundled},
    library,
    platform::{
        Platform, crash,
        storage::{
            self, StoreId,
            minio::Minio,
            moving::{self, Alone, Move, Moved, Progress},
            verify::{self, Finding, Report},
        },
    },
    supervisor::{self, Kept},
    web::format,
};

/// How long `up` may take to start the store that objects are to move to.
const START_WITHIN: Duration = Duration::from_secs(60);
const STOPPED: &str = "The move stopped before its end. What has moved is there, the rest is where it was. Call this again, \
                       and it goes on.";

#[derive(Debug, Subcommand)]
pub(super) enum Storage {
    /// Read every object and compare it with its row; the exit status is 1 when something is wrong.
    Verify(Verify),
    /// Move every object to another store while the server runs. Cut short, it goes on where it was.
    Copy(Copy),
    /// Delete what a move has left in the old store.
    Empty(Empty),
}

#[derive(Debug, Args)]
pub(super) struct Verify {
    #[command(flatten)]
    place: Place,
    /// For programs.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Copy {
    #[command(flatten)]
    place: Place,
    /// With --data minio or versitygw; with --config the address of an S3 server and a bucket, such as
    /// `https://s3.example.org/pictures`, whose credentials are next_storage.access_key and next_storage.secret_key.
    #[arg(long, value_name = "STORE")]
    to: String,
}

#[derive(Debug, Args)]
pub(super) struct Empty {
    #[command(flatten)]
    place: Place,
}

pub(super) async fn run(storage: Storage) -> anyhow::Result<ExitCode> {
    match storage {
        Storage::Verify(verify) => self::verify(verify).await,
        Storage::Copy(copy) => self::copy(copy).await,
        Storage::Empty(empty) => self::empty(empty).await,
    }
}

async fn verify(verify: Verify) -> anyhow::Result<ExitCode> {
    let (ctx, platform) = verify.place.open().await?;
    let mut line = Line::new();
    let mut progress = |so_far: &Report| {
        let (objects, size, findings) = (so_far.objects, format::bytes(so_far.bytes), so_far.findings.len());
        line.show(|| format!("{objects} objects, {size}, {findings} findings"));
    };
    let report = verify::verify(&platform.storage, &platform.db, &ctx.clock, &mut progress).await?;
    drop(line);
    let pictures = pictures(&platform, &report.findings).await?;
    out::say(&if verify.json { for_programs(&report, &pictures)? } else { for_people(&report, &pictures) });
    Ok(if report.good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The picture that an object is a part of, and whose it is.
type Pictures = HashMap<ObjectId, (AssetId, PersonId)>;

async fn pictures(platform: &Platform, findings: &[Finding]) -> anyhow::Result<Pictures> {
    let objects: Vec<ObjectId> = findings.iter().filter_map(|finding| finding.object).collect();
    Ok(library::checks::assets_of(&mut *platform.db.read().await?, &objects).await?)
}

fn for_programs(report: &Report, pictures: &Pictures) -> anyhow::Result<String> {
    let mut report = serde_json::to_value(report)?;
    for finding in report.get_mut("findings").and_then(Value::as_array_mut).into_iter().flatten() {
        let object = finding.get("object").and_then(Value::as_str).and_then(|id| id.parse().ok());
        let (asset, person) = object.and_then(|id: ObjectId| pictures.get(&id).copied()).unzip();
        if let Some(fields) = finding.as_object_mut() {
            fields.insert("asset".to_owned(), json!(asset));
            fields.insert("person".to_owned(), json!(person));
        }
    }
    Ok(serde_json::to_string_pretty(&report)?)
}

fn for_people(report: &Report, pictures: &Pictures) -> String {
    let size = format::bytes(report.bytes);
    let bad = report.findings.len() as u64 + report.left_off;
    let mut lines = vec![match report.good {
        true => format!("good  {}, {size}, opened and found as stored.", counted(report.objects, "object", "objects")),
        false => format!(
            "BAD   {bad} of {}; the other {} ({size}) were opened and are as stored.",
            counted(report.objects + bad, "object", "objects"),
            report.objects
        ),
    }];
    lines.extend(told(&report.findings, pictures));
    if report.left_off > 0 {
        lines.push(format!("      {} more findings are not listed.", report.left_off));
    }
    lines.join("\n")
}

fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

fn told(findings: &[Finding], pictures: &Pictures) -> impl Iterator<Item = String> {
    findings.iter().map(|finding| {
        let object = finding.object.map_or_else(String::new, |id| id.to_string());
        let picture = finding.object.and_then(|id| pictures.get(&id));
        let part = picture.map_or_else(String::new, |(asset, person)| format!(" (of {asset} of {person})"));
        format!("BAD   {object}{part} in {}: {} {}", finding.store, finding.finding, finding.advice)
    })
}

async fn copy(copy: Copy) -> anyhow::Result<ExitCode> {
    let (ctx, platform) = copy.place.open().await?;
    let _alone = alone(&platform).await?;
    let mut kept = copy.place.data().map(Kept::read).transpose()?;
    let target = target(&platform, kept.as_mut(), &copy.to).await?;
    let to = platform.storage.stores().add(&platform.db, &target).await?;
    let mut line = Line::new();
    let mut progress = |so_far: Progress| {
        let waiting = match so_far.waiting {
            0 => String::new(),
            waiting => format!(", waiting for {waiting} uploads that began before the switch"),
        };
        line.show(|| format!("{} objects, {}{waiting}", so_far.objects, format::bytes(so_far.bytes)));
    };
    let mut moving = Move::to(&platform.storage, &platform.db, &ctx, to, &mut progress).await?;
    if current(&platform).await?.id != to {
        moving.pass().await.context(STOPPED)?;
        moving.switch().await?;
    }
    if let (Some(kept), Some(kind)) = (kept.as_mut(), target.bundled) {
        kept.choose(kind)?;
    }
    let moved = moving.finish().await.context(STOPPED)?;
    drop(line);
    out::say(&done(&platform, &copy.place, &storage::name_of(&target), &moved).await?);
    Ok(if moved.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn alone(platform: &Platform) -> anyhow::Result<Alone> {
    let alone = Alone::begin(&platform.db).await?;
    alone.context("Another `renderkeep storage copy` or `empty` is at work. Wait for its end, or stop it.")
}

/// The store that is named, which answers and has its bucket.
async fn target(platform: &Platform, kept: Option<&mut Kept>, to: &str) -> anyhow::Result<config::Storage> {
    let Some(kept) = kept else {
        let target = external(&platform.config.next_storage, to)?;
        let store = Minio::new(&target, target.directory.clone())?;
        store.prepare().await.with_context(|| format!("{to} does not answer, or refuses next_storage.access_key."))?;
        return Ok(target);
    };
    let kind: Bundled = to.parse().map_err(|_| {
        anyhow::anyhow!("`renderkeep up` can bring minio and versitygw, and {to} is neither. Name one of them.")
    })?;
    supervisor::store_program(kind, &platform.config.supervisor)?;
    let new = !kept.stores.wants(kind);
    kept.want(kind)?;
    crash::point("storage.wanted");
    let target = kept.storage(kind)?;
    let store = Minio::new(&target, None)?;
    let answering = async {
        while store.prepare().await.is_err() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    if tokio::time::timeout(START_WITHIN, answering).await.is_err() {
        // Otherwise the next start would want it too.
        if new {
            kept.forget_other()?;
        }
        anyhow::bail!(
            "{} was not started within a minute, and nothing was moved. Look into {} and into what `renderkeep up` says, \
             and try again.",
            kind.title(),
            kept.path().join("logs").join(kind.as_str()).with_extension("log").display()
        );
    }
    Ok(target)
}

fn external(next: &config::NextStorage, to: &str) -> anyhow::Result<config::Storage> {
    let wrong = || {
        anyhow::anyhow!(
            "{to} is not the address of a bucket. With --config name one such as https://s3.example.org/pictures."
        )
    };
    let url = Url::parse(to).map_err(|_| wrong())?;
    let bucket = url.path().trim_matches('/').to_owned();
    let plain =
        url.query().is_none() && url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
    let is_http = matches!(url.scheme(), "http" | "https") && url.has_host();
    anyhow::ensure!(is_http && plain && !bucket.is_empty() && !bucket.contains('/'), wrong());
    let missing = |key: &str| {
        format!(
            "next_storage.{key} is not set. Set it in the configuration file or the environment, as a secret or a file."
        )
    };
    Ok(config::Storage {
        bundled: None,
        endpoint: url.origin().ascii_serialization(),
        region: next.region.clone(),
        bucket,
        access_key: next.access_key.clone().with_context(|| missing("access_key"))?,
        secret_key: next.secret_key.clone().with_context(|| missing("secret_key"))?,
        directory: next.directory.clone(),
    })
}

async fn done(platform: &Platform, place: &Place, name: &str, moved: &Moved) -> anyhow::Result<String> {
    let (objects, size) = (counted(moved.objects, "object", "objects"), format::bytes(moved.bytes));
    let mut lines = vec![format!(
        "{objects}, {size}, moved to {name}, read back and compared. Every server reads and writes there now."
    )];
    lines.extend(told(&moved.findings, &pictures(platform, &moved.findings).await?));
    for (name, copies) in left(platform).await? {
        let copies = counted(u64::try_from(copies).unwrap_or(0), "copy", "copies");
        lines.push(format!(
            "{name} still holds {copies}. When you are content, delete them: renderkeep storage empty {}.",
            place.argument()
        ));
    }
    if place.data().is_none() {
        lines.push(format!(
            "Set storage.* to {name} in the configuration of every server; until then they know it from the database."
        ));
    }
    Ok(lines.join("\n"))
}

/// Stores that are not the current one and may hold something, and how many copies.
async fn left(platform: &Platform) -> anyhow::Result<Vec<(String, i64)>> {
    let mut left = Vec::new();
    for place in storage::list(&mut *platform.db.read().await?).await? {
        if place.in_use && !place.current {
            left.push((place.shown().to_owned(), moving::copies_in(&platform.db, place.id).await?));
        }
    }
    Ok(left)
}

async fn current(platform: &Platform) -> anyhow::Result<storage::Place> {
    let all = storage::list(&mut *platform.db.read().await?).await?;
    all.into_iter().find(|place| place.current).context("There is no store yet. Start the server once.")
}

async fn empty(empty: Empty) -> anyhow::Result<ExitCode> {
    let (ctx, platform) = empty.place.open().await?;
    let _alone = alone(&platform).await?;
    // What is due lies nowhere else any more.
    platform.storage.sweep(&platform.db, &ctx.clock).await?;
    let all = storage::list(&mut *platform.db.read().await?).await?;
    let old: Vec<_> = all.into_iter().filter(|place| place.in_use && !place.current).collect();
    let (mut lines, mut good) = (Vec::new(), true);
    for place in &old {
        let findings = empty_store(&ctx, &platform, &empty.place, place.id, place.shown(), &mut lines).await?;
        good &= findings.is_empty();
    }
    if old.is_empty() {
        lines.push("There is one store, and no copies elsewhere.".to_owned());
    }
    if let Some(data) = empty.place.data().filter(|_| good) {
        let mut kept = Kept::read(data)?;
        if let Some(kind) = current(&platform).await?.name.and_then(|name| name.parse().ok()) {
            kept.choose(kind)?;
            kept.forget_other()?;
        }
    }
    out::say(&lines.join("\n"));
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn empty_store(
    ctx: &Ctx,
    platform: &Platform,
    place: &Place,
    store: StoreId,
    name: &str,
    lines: &mut Vec<String>,
) -> anyhow::Result<Vec<Finding>> {
    let only = moving::only_in(&platform.db, store).await?;
    anyhow::ensure!(
        only == 0,
        "{only} objects lie in {name} and nowhere else. Move them first: renderkeep storage copy {} --to STORE.",
        place.argument()
    );
    let mut line = Line::new();
    let mut progress = |emptied| line.show(|| format!("{emptied} copies deleted from {name}"));
    let (emptied, findings) = moving::empty(&platform.storage, &platform.db, ctx, store, &mut progress).await?;
    drop(line);
    lines.push(format!("{} deleted from {name}.", counted(emptied, "copy", "copies")));
    lines.extend(told(&findings, &pictures(platform, &findings).await?));
    Ok(findings)
}
