//! The database and the store, and what they keep.

use std::{future::Future, sync::Arc, time::Duration};

use anyhow::Context;
use chrono::Duration as Step;
use secrecy::ExposeSecret;

use super::clock::{self, Asked};
use crate::{
    app::{health::probe, inspection::inspect, lifecycle},
    base::{clock::Clock, error::chain, finding::Finding},
    cli::place::Place,
    config::{Bundled, Config},
    platform::{
        audit::{Checkpoint, read_checkpoints},
        db::{migrate, roles, server},
        keyring::KeyringError,
        storage::{self, minio::Minio},
    },
};

/// The oldest PostgreSQL that the schema is made for.
const OLDEST: i32 = 15;
/// For one question.
const PATIENCE: Duration = Duration::from_secs(10);

const LOOK: &str = "Check the log of PostgreSQL.";

pub(super) async fn look(place: &Place, config: Config) -> Vec<Finding> {
    let (db, store) = match lifecycle::handles(&config, None) {
        Ok(handles) => handles,
        Err(error) => {
            return vec![Finding::problem("configuration.unusable", error.to_string(), "Correct it and try again.")];
        }
    };
    let title = config.storage.bundled.map_or("The store", Bundled::title);
    let report = probe(&db, storage::answers(store.as_ref())).await;
    let up = |name: &str| report.parts.iter().all(|part| part.name != name || part.up);
    let mut findings: Vec<Finding> = Vec::new();
    for part in &report.parts {
        findings.push(match (&part.detail, part.name) {
            (None, "database") => Finding::ok("database.ok", "The database answers."),
            (None, _) => Finding::ok("store.ok", format!("{title} answers.")),
            (Some(detail), "database") => Finding::problem("database.down", detail, advice(place, part.name)),
            (Some(detail), _) => Finding::problem("store.down", detail, advice(place, part.name)),
        });
    }
    if up("store") {
        findings.extend(store_told(&store).await);
    }
    // A database that is away has no version to speak of.
    if up("database") {
        let url = config.database.url.expose_secret().to_owned();
        findings.extend(server_told(&url).await);
        findings.push(role(&url).await);
        let schema = schema(place, &url).await;
        let fits = schema.code == "schema.ok";
        findings.push(schema);
        if fits {
            findings.extend(kept(config).await);
        }
    }
    findings
}

fn advice(place: &Place, part: &str) -> String {
    match (place.data(), part) {
        (Some(_), _) => place.silent(),
        (None, "database") => "Check that PostgreSQL runs and that database.url is right.".to_owned(),
        (None, _) => {
            "Check that the store runs and that storage.endpoint, storage.bucket and its keys are right.".to_owned()
        }
    }
}

async fn in_time<T, E>(question: impl Future<Output = Result<T, E>>) -> anyhow::Result<T>
where
    E: Into<anyhow::Error>,
{
    let answer = tokio::time::timeout(PATIENCE, question).await.context("There was no answer in time.")?;
    answer.map_err(Into::into)
}

async fn server_told(url: &str) -> Vec<Finding> {
    let before = Clock::system().now();
    let told = match in_time(server::ask(url)).await {
        Ok(told) => told,
        Err(error) => return vec![Finding::problem("postgres.silent", format!("{error:#}"), LOOK)],
    };
    let asked = Asked { before, after: Clock::system().now(), told: told.time, step: Step::zero() };
    let version = told.major();
    vec![
        match version {
            OLDEST.. => Finding::ok("postgres.ok", format!("PostgreSQL {version}.")),
            _ => Finding::problem(
                "postgres.too_old",
                format!("PostgreSQL {version} is too old."),
                format!("Move the database to PostgreSQL {OLDEST} or newer."),
            ),
        },
        clock::judged("clock.database", "The database", &asked),
    ]
}

async fn store_told(store: &Arc<Minio>) -> Vec<Finding> {
    let before = Clock::system().now();
    let told = match in_time(store.told()).await {
        Ok(told) => told,
        Err(error) => {
            let advice = "Check storage.endpoint, storage.bucket and its keys, and the log of the store.";
            return vec![Finding::problem("store.refuses", format!("{error:#}"), advice)];
        }
    };
    let server = told.server.as_deref().unwrap_or("a program that does not tell its name");
    let mut findings = vec![match told.bucket {
        true => Finding::ok("store.bucket", format!("The bucket is there; the store is {server}.")),
        false => Finding::problem("store.no_bucket", "The bucket is not there.", "Start the server once; it makes it."),
    }];
    if let Some(time) = told.time {
        let asked = Asked { before, after: Clock::system().now(), told: time, step: Step::seconds(1) };
        findings.push(clock::judged("clock.store", "The store", &asked));
    }
    findings
}

async fn schema(place: &Place, url: &str) -> Finding {
    match in_time(migrate::difference(url)).await {
        Ok(migrate::Difference { missing: 0, unknown: 0 }) => {
            Finding::ok("schema.ok", "The database is at this version.")
        }
        Ok(migrate::Difference { missing: 0, unknown }) => Finding::problem(
            "schema.newer",
            format!("A newer version applied {unknown} migrations that this program does not know."),
            "Use that version, or restore the backup from before it was installed.",
        ),
        Ok(migrate::Difference { missing, .. }) => {
            Finding::problem("schema.older", format!("{missing} migrations are missing."), place.how_to_migrate())
        }
        Err(error) => Finding::problem("schema.unreadable", format!("{error:#}"), LOOK),
    }
}

/// What the server's role must not be able to do.
async fn role(url: &str) -> Finding {
    match in_time(roles::excess(url)).await {
        Ok(None) => {
            Finding::ok("role.ok", "The server's role can add to the audit log and the ledger, and cannot change them.")
        }
        Ok(Some(finding)) => Finding::problem(
            "role.excess",
            finding,
            "Make a second role, name the one that owns the tables in database.owner_url and the other in database.url, \
             and run: renderkeep migrate.",
        ),
        Err(error) => Finding::problem("role.unreadable", format!("{error:#}"), LOOK),
    }
}

/// The keys, and whether everything that is kept fits together.
async fn kept(config: Config) -> Vec<Finding> {
    let file = config.audit.checkpoint_file.clone().filter(|file| file.exists());
    let platform = match lifecycle::open_beside(config).await {
        Ok(platform) => platform,
        Err(error) => return vec![no_keys(&error)],
    };
    let mut findings = vec![Finding::ok("keys.ok", "The root key and every epoch key that is needed are here.")];
    let checkpoints = file.map_or(Ok(Vec::new()), |file| {
        read_checkpoints(&file).map(|(checkpoints, _)| checkpoints).map_err(|error| {
            let found = format!("{} cannot be read: {error}.", file.display());
            Finding::problem("audit.unreadable", found, "Let the user that the server runs as read it.")
        })
    });
    let checkpoints: Vec<Checkpoint> = checkpoints.unwrap_or_else(|finding| {
        findings.push(finding);
        Vec::new()
    });
    let wrong = inspect(&platform, checkpoints).await;
    if wrong.is_empty() {
        let fit = "The books, generations, events, objects, keys and the audit log fit together.";
        findings.push(Finding::ok("data.ok", fit));
    }
    findings.extend(wrong);
    findings
}

fn no_keys(error: &anyhow::Error) -> Finding {
    let code = match error.downcast_ref::<KeyringError>() {
        Some(KeyringError::OtherRoot { .. } | KeyringError::NoRoot) => "keys.other_root",
        Some(KeyringError::NoEpoch { .. }) => "keys.epoch_missing",
        Some(KeyringError::NotBegun) => "keys.not_begun",
        _ => "keys.unusable",
    };
    Finding { advice: None, ..Finding::problem(code, chain(error.as_ref()), "") }
}
