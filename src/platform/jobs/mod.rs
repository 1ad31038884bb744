//! Background work, in two shapes.
//!
//! A *job* is a row that somebody enqueued in the transaction of an act: it is claimed with a lease that is renewed while
//! it runs, tried again as it decides itself, and its row stays for thirty days as history. Jobs run at least once, so
//! they are idempotent. A *reconciler* has no input: by timer or signal it makes the world match the tables, on one
//! server at a time. (A generation, the third kind of background work, is a row with steps of its own in its room.)
//!
//! Rooms hand over both; `run` works on them until it is told to stop, and then finishes what it can and gives the rest
//! back. Everything runs on one thread, so futures need not be `Send`.

use std::{error::Error, time::Duration};

use async_trait::async_trait;
use futures::future::LocalBoxFuture;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::{
    base::{
        ctx::Ctx,
        data_map::{Category, Column, OnDeletion, Retention, Table, Whose},
        ids::JobId,
    },
    platform::Platform,
};

mod checks;
mod queue;
mod schedule;
mod status;
mod worker;

pub use checks::QUESTIONS;
pub use queue::{NewJob, enqueue};
pub use status::{Entry, Filter, Turn, list, turns};
pub use worker::run;

/// Why work did not succeed. Its text is for operators and holds no content.
pub type JobError = Box<dyn Error + Send + Sync>;

/// How long a claim holds without being renewed. A server that died loses its work after this time.
pub const LEASE: chrono::Duration = chrono::Duration::seconds(60);

/// One kind of work.
#[async_trait(?Send)]
pub trait Job {
    /// Name of its queue; the same for good, because rows carry it.
    fn queue(&self) -> &'static str;

    /// How many of them run at the same time on one server.
    fn at_once(&self) -> usize {
        1
    }

    /// When to try again after the attempt with this number failed; none gives up.
    fn retry_after(&self, attempt: u32, _error: &JobError) -> Option<Duration> {
        (attempt < 6).then(|| Duration::from_secs(5 * 4_u64.pow(attempt)))
    }

    async fn run(&self, app: &Platform, ctx: &Ctx, task: &Task) -> Result<(), JobError>;
}

/// What one run of a job gets.
#[derive(Debug)]
pub struct Task {
    pub id: JobId,
    pub payload: Value,
    /// 1 for the first.
    pub attempt: u32,
    /// The server stops: finish soon, or be interrupted at the next await and run again elsewhere.
    pub stop: CancellationToken,
}

type Act = Box<dyn Fn(Platform, Ctx) -> LocalBoxFuture<'static, Result<(), JobError>>>;

/// Work without input, repeated for ever.
pub struct Reconciler {
    name: &'static str,
    every: Duration,
    act: Act,
}

impl Reconciler {
    /// Runs `every` so often, and whenever somebody sends `Signal::Work(name)`.
    pub fn new<F, W, E>(name: &'static str, every: Duration, act: F) -> Self
    where
        F: Fn(Platform, Ctx) -> W + 'static,
        W: Future<Output = Result<(), E>> + 'static,
        E: Into<JobError>,
    {
        let act: Act = Box::new(move |app, ctx| {
            let work = act(app, ctx);
            Box::pin(async move { work.await.map_err(Into::into) })
        });
        Self { name, every, act }
    }

    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Runs it here and now, whoever else runs it: for tests and for an operator's command.
    pub async fn act(&self, app: &Platform) -> Result<(), JobError> {
        (self.act)(app.clone(), Ctx::system(self.name, app.clock.clone())).await
    }
}

const KEEP: OnDeletion = OnDeletion::Keep("names people by id at most, and is gone after thirty days");

const fn history(name: &'static str) -> Column {
    Column::new(name, Category::Activity, Whose::Organisation, false, KEEP, Retention::Days(30))
}

const fn turn(name: &'static str) -> Column {
    Column::operational(name, Retention::Forever("one row per reconciler"))
}

pub const DATA_MAP: &[Table] = &[
    Table {
        name: "jobs",
        columns: &[
            history("id"),
            history("queue"),
            history("dedupe_key"),
            history("payload"),
            history("state"),
            history("run_at"),
            history("attempts"),
            history("lease_owner"),
            history("lease_until"),
            history("last_error"),
            history("request_id"),
            history("created_at"),
            history("ended_at"),
        ],
    },
    Table {
        name: "schedule",
        columns: &[
            turn("name"),
            turn("last_started_at"),
            turn("last_ended_at"),
            turn("last_error"),
            turn("lease_owner"),
            turn("lease_until"),
        ],
    },
];
