//! `renderkeep doctor`: a list of checks, each with what to do when it fails.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::ExitCode,
};

use chrono::{DateTime, Utc};
use clap::Args;
use nix::unistd::geteuid;
use secrecy::ExposeSecret;
use serde::Serialize;

use super::{
    out,
    place::{AnyPlace, Place},
    version::VERSION,
};
use crate::{
    app::{
        health::probe,
        lifecycle,
        tls::{Certificates, TlsError},
    },
    base::{clock::Clock, error::chain},
    config::{Bundled, Config, Sandbox},
    platform::{
        db::{migrate, roles},
        pictures::{PictureError, Pictures, Setup, wire::Held},
        storage,
        telemetry::{disk::Space, health},
    },
    web::format,
};

/// The oldest PostgreSQL that the schema is made for.
const OLDEST: u32 = 15;

#[derive(Debug, Args)]
pub(super) struct Doctor {
    #[command(flatten)]
    place: AnyPlace,
    /// For programs.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    version: &'static str,
    good: bool,
    checks: Vec<Check>,
}

#[derive(Debug, Serialize)]
struct Check {
    part: &'static str,
    good: bool,
    finding: String,
    /// What to do, when it is not good.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

pub(super) async fn doctor(doctor: Doctor) -> anyhow::Result<ExitCode> {
    let place = Place::from(doctor.place);
    let checks = match place.load() {
        Ok(config) => examine(&place, config).await,
        Err(error) => vec![bad(
            "configuration",
            format!("{error}"),
            "Correct what it names; `renderkeep config example` shows a complete file.",
        )],
    };
    let good = checks.iter().all(|check| check.good);
    let report = Report { version: VERSION, good, checks };
    out::say(&if doctor.json { serde_json::to_string_pretty(&report)? } else { for_people(&report) });
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn examine(place: &Place, config: Config) -> Vec<Check> {
    let mut checks = vec![good("configuration", "It is complete and valid.")];
    checks.extend(permissions(place, &config));
    checks.extend(place.data().or(config.storage.directory.as_deref()).map(disk));
    checks.push(decoders(&config.sandbox).await);
    let url = config.database.url.expose_secret().to_owned();
    checks.extend(certificate(&config));
    let attested = attested(&config);
    checks.extend(parts(place, config).await);
    checks.push(attested);
    // A database that is away has no version to speak of.
    if checks.iter().all(|check| check.part != "database" || check.good) {
        checks.push(postgres_version(&url).await);
        checks.push(schema(place, &url).await);
        checks.push(role(&url).await);
    }
    checks
}

/// Starts one and asks what confines it.
async fn decoders(sandbox: &Sandbox) -> Check {
    match Pictures::new(Setup::new(sandbox)).check().await {
        Ok(held) => good("decoders", &confined(held)),
        Err(PictureError::NotConfined(layer)) => {
            let error = PictureError::NotConfined(layer);
            bad("decoders", error.to_string(), "The server does not start until then.")
        }
        Err(error) => bad("decoders", chain(&error), "Start it as the user that the server runs as."),
    }
}

fn confined(held: Held) -> String {
    let landlock = match held.landlock {
        0 => "Landlock is missing, as sandbox.allow_missing allows".to_owned(),
        version => format!("Landlock {version}"),
    };
    let seccomp = if held.seccomp { "seccomp" } else { "seccomp is missing, as sandbox.allow_missing allows" };
    format!("Pictures are decoded apart: limits, {landlock}, {seccomp}.")
}

/// What `/readyz` asks.
async fn parts(place: &Place, config: Config) -> Vec<Check> {
    let title = config.storage.bundled.map_or("The store", Bundled::title);
    let (db, store) = match lifecycle::handles(&config, None) {
        Ok(handles) => handles,
        Err(error) => return vec![bad("configuration", error.to_string(), "Correct it and try again.")],
    };
    let report = probe(&db, storage::answers(store.as_ref())).await;
    report.parts.into_iter().map(|part| judged(place, part, title)).collect()
}

fn judged(place: &Place, part: health::Part, store: &str) -> Check {
    let Some(detail) = part.detail else {
        let name = if part.name == "store" { store } else { "It" };
        return good(part.name, &format!("{name} answers."));
    };
    let advice = match (place.data(), part.name) {
        (Some(_), _) => place.not_running(),
        (None, "database") => "Check that PostgreSQL runs and that database.url is right.".to_owned(),
        (None, _) => {
            "Check that the store runs and that storage.endpoint, storage.bucket and its keys are right.".to_owned()
        }
    };
    bad(part.name, detail, &advice)
}

async fn postgres_version(url: &str) -> Check {
    match migrate::server_version(url).await {
        Ok(version) if version / 10_000 >= OLDEST => good("postgres", &format!("PostgreSQL {}.", version / 10_000)),
        Ok(version) => bad(
            "postgres",
            format!("PostgreSQL {} is too old.", version / 10_000),
            &format!("Move the database to PostgreSQL {OLDEST} or newer."),
        ),
        Err(error) => bad("postgres", chain(&error), "Check the log of PostgreSQL."),
    }
}

async fn schema(place: &Place, url: &str) -> Check {
    match migrate::pending(url).await {
        Ok(0) => good("schema", "The database is at this version."),
        Ok(missing) => bad("schema", format!("{missing} migrations are missing."), place.how_to_migrate()),
        Err(error) => bad("schema", chain(&error), "Check the log of PostgreSQL."),
    }
}

/// Whether the certificate can be used, and for how long.
fn certificate(config: &Config) -> Option<Check> {
    let certificates = match Certificates::load(&config.tls) {
        Ok(certificates) => certificates?,
        Err(error) => return Some(unusable(&error)),
    };
    Some(match certificates.ends_at() {
        Ok(ends_at) => remaining(ends_at, Clock::system().now()),
        Err(error) => unusable(&error),
    })
}

/// The sentence has its own advice.
fn unusable(error: &TlsError) -> Check {
    Check { part: "tls", good: false, finding: error.to_string(), advice: None }
}

fn remaining(ends_at: DateTime<Utc>, now: DateTime<Utc>) -> Check {
    let (day, left) = (ends_at.date_naive(), (ends_at - now).num_days());
    let advice = "Renew it and replace tls.certificate and tls.key; the server reads them again by itself.";
    match left {
        _ if ends_at <= now => bad("tls", format!("The certificate ended on {day}."), advice),
        0..7 => bad("tls", format!("The certificate ends on {day}."), advice),
        _ => good("tls", &format!("The certificate fits its key and ends on {day}.")),
    }
}

/// What the server's role must not be able to do.
async fn role(url: &str) -> Check {
    match roles::excess(url).await {
        Ok(None) => good("role", "The server's role can add to the audit log and the ledger, and cannot change them."),
        Ok(Some(finding)) => bad(
            "role",
            finding,
            "Make a second role, name the one that owns the tables in database.owner_url and the other in database.url, \
             and run: renderkeep migrate.",
        ),
        Err(error) => bad("role", chain(&error), "Check the log of PostgreSQL."),
    }
}

/// Whether the audit log's checkpoints leave the database.
fn attested(config: &Config) -> Check {
    let audit = &config.audit;
    let places: Vec<String> =
        audit.checkpoint_file.iter().chain(&audit.syslog).map(|place| place.display().to_string()).collect();
    if places.is_empty() {
        return bad(
            "audit",
            "Checkpoints of the audit log stay in the database, which cannot vouch for itself.".to_owned(),
            "Set audit.checkpoint_file or audit.syslog.",
        );
    }
    good("audit", &format!("Checkpoints of the audit log go to {}.", places.join(" and ")))
}

/// Files with secrets are for their owner's eyes only.
fn permissions(place: &Place, config: &Config) -> Option<Check> {
    let in_data = ["secrets", "secrets/root_key", "secrets/store.json", "tls/ca.key", "config.toml"];
    let files: Vec<PathBuf> = match place.data() {
        Some(data) => in_data.iter().map(|name| data.join(name)).collect(),
        None => place.file().into_iter().collect(),
    };
    let files: Vec<PathBuf> = files.into_iter().chain(config.tls.key.clone()).collect();
    let files: Vec<PathBuf> = files.into_iter().filter(|file| file.exists()).collect();
    let open: Vec<String> = files.iter().filter(|file| is_open(file)).map(|file| file.display().to_string()).collect();
    match (files.is_empty(), open.is_empty()) {
        (true, _) => None,
        (false, true) => Some(good("permissions", "Files with secrets are readable by their owner and group only.")),
        (false, false) => Some(bad(
            "permissions",
            format!("Everybody on this machine can read {}.", open.join(", ")),
            &format!("Run: chmod o-rwx {}.", open.join(" ")),
        )),
    }
}

fn is_open(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|file| file.permissions().mode() & 0o007 != 0)
}

fn disk(directory: &Path) -> Check {
    let shown = directory.display();
    let Ok(space) = Space::of(directory) else {
        let advice = format!("Check that it exists and that the user with the number {} may enter it.", geteuid());
        return bad("disk", format!("{shown} cannot be looked at."), &advice);
    };
    let finding = format!("{} of {} are free at {shown}.", format::bytes(space.free), format::bytes(space.all));
    if space.is_scarce() { bad("disk", finding, "Free some space.") } else { good("disk", &finding) }
}

fn good(part: &'static str, finding: &str) -> Check {
    Check { part, good: true, finding: finding.to_owned(), advice: None }
}

fn bad(part: &'static str, finding: String, advice: &str) -> Check {
    Check { part, good: false, finding, advice: Some(advice.to_owned()) }
}

fn for_people(report: &Report) -> String {
    let lines = report.checks.iter().map(|check| {
        let mark = if check.good { "good" } else { "BAD " };
        let advice = check.advice.as_deref().map_or(String::new(), |advice| format!(" {advice}"));
        format!("{mark}  {:<14} {}{advice}", check.part, check.finding)
    });
    let lines: Vec<String> = lines.collect();
    format!("Renderkeep {}\n{}", report.version, lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_others_can_read_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("config.toml");
        fs::write(&file, "").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(!is_open(&file));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(is_open(&file));
    }

    #[test]
    fn a_certificate_that_ends_soon_is_found() {
        let now = Clock::fixed().now();
        let check = |days| remaining(now + chrono::Duration::days(days), now);
        assert!(check(8).good && !check(6).good && !check(-1).good);
        assert_eq!(check(-1).finding, "The certificate ended on 2026-11-19.");
        assert!(check(6).advice.is_some_and(|advice| advice.contains("Renew it")));
    }

    #[test]
    fn a_directory_that_is_not_there_has_advice() {
        let check = disk(Path::new("/no/such/place"));
        assert!(!check.good && check.advice.is_some(), "{check:?}");
    }
}
