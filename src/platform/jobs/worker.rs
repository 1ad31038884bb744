//! Works on queues and reconcilers until it is told to stop.

use std::{future::Future, panic::AssertUnwindSafe, rc::Rc, time::Duration};

use futures::FutureExt;
use tokio::{
    task::{JoinSet, LocalSet},
    time::sleep,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    Job, JobError, LEASE, Reconciler, Task,
    queue::{self, Claimed, End},
    schedule,
};
use crate::{
    base::{
        ctx::{Actor, Ctx, RequestId},
        error::chain,
        ids::JobId,
    },
    platform::{Platform, db::DbError, signals::Signal},
};

/// Wake-ups may be lost with a connection; this is how long that can delay work.
const POLL: Duration = Duration::from_secs(5);
/// What runs when the server stops gets this long to finish before it is given back.
const GRACE: Duration = Duration::from_secs(10);
const RENEW: Duration = Duration::from_secs(20);

/// Runs everything until `stop`, and returns when nothing of it runs any more.
pub async fn run(app: Platform, jobs: Vec<Box<dyn Job>>, reconcilers: Vec<Reconciler>, stop: CancellationToken) {
    let owner = JobId::new(&app.clock).uuid();
    let local = LocalSet::new();
    let mut loops = JoinSet::new();
    let queues: Vec<_> = jobs.iter().map(|job| job.queue()).collect();
    for job in jobs {
        loops.spawn_local_on(work(app.clone(), job.into(), owner, stop.clone()), &local);
    }
    for reconciler in reconcilers.into_iter().chain(housekeeping(queues)) {
        loops.spawn_local_on(repeat(app.clone(), reconciler, owner, stop.clone()), &local);
    }
    local.run_until(async { while loops.join_next().await.is_some() {} }).await;
}

fn housekeeping(queues: Vec<&'static str>) -> [Reconciler; 2] {
    let sweep = Reconciler::new("jobs.sweep", Duration::from_secs(15), async |app: Platform, ctx: Ctx| {
        let returned = queue::sweep(&mut *app.db.read().await?, ctx.clock.now()).await?;
        if returned > 0 {
            tracing::warn!(returned, "jobs of a server that went away were taken back");
        }
        Ok::<_, DbError>(())
    });
    let prune = Reconciler::new("jobs.prune", Duration::from_secs(3600), move |app: Platform, ctx: Ctx| {
        let queues = queues.clone();
        async move {
            queue::prune(&mut *app.db.read().await?, &queues, ctx.clock.now()).await?;
            Ok::<_, DbError>(())
        }
    });
    [sweep, prune]
}

async fn work(app: Platform, job: Rc<dyn Job>, owner: Uuid, stop: CancellationToken) {
    let (mut signals, work) = (app.signals.subscribe(), Signal::Work(job.queue().to_owned()));
    let mut running = JoinSet::new();
    while !stop.is_cancelled() {
        while running.len() < job.at_once() {
            match claim(&app, job.queue(), owner).await {
                Ok(Some(claimed)) => {
                    running.spawn_local(attempt(app.clone(), job.clone(), claimed, owner, stop.clone()));
                }
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(queue = job.queue(), error = chain(&error), "no job could be claimed");
                    break;
                }
            }
        }
        tokio::select! {
            () = stop.cancelled() => {}
            Some(_) = running.join_next() => {}
            () = signals.until(&work) => {}
            () = sleep(POLL) => {}
        }
    }
    while running.join_next().await.is_some() {}
}

async fn claim(app: &Platform, queue: &str, owner: Uuid) -> Result<Option<Claimed>, DbError> {
    queue::claim(&mut *app.db.read().await?, queue, owner, app.clock.now()).await
}

async fn attempt(app: Platform, job: Rc<dyn Job>, claimed: Claimed, owner: Uuid, stop: CancellationToken) {
    let number = u32::try_from(claimed.attempts).unwrap_or(u32::MAX);
    let task = Task { id: claimed.id, payload: claimed.payload, attempt: number, stop: stop.clone() };
    let ctx = Ctx::new(Actor::System(job.queue()), RequestId::new(claimed.request_id), app.clock.clone());
    let lease = keep(&app, async |conn, now| queue::renew(conn, task.id, owner, now).await);
    let end = match supervised(job.run(&app, &ctx, &task), lease, &stop).await {
        Some(Ok(())) => End::Done,
        Some(Err(error)) => {
            tracing::warn!(queue = job.queue(), job = %task.id, number, error = chain(&*error), "a job failed");
            let again_at = job.retry_after(number, &error).map(|after| app.clock.now() + after);
            End::Failed { error: chain(&*error), again_at }
        }
        None => End::GivenBack,
    };
    let word = match &end {
        End::Done => "done",
        End::Failed { again_at: Some(_), .. } => "again",
        End::Failed { .. } => "failed",
        End::GivenBack => "given_back",
    };
    metrics::counter!("renderkeep_jobs_total", "queue" => job.queue(), "end" => word).increment(1);
    let ended = async { queue::end(&mut *app.db.read().await?, task.id, owner, app.clock.now(), &end).await };
    if let Err(error) = ended.await {
        // Its lease runs out, and it runs again: jobs are idempotent.
        tracing::warn!(queue = job.queue(), job = %task.id, error = chain(&error), "the end of a job was not noted");
    }
}

/// The work's own result; none when its lease was lost or the server's patience with it has ended.
async fn supervised(
    work: impl Future<Output = Result<(), JobError>>,
    lease_lost: impl Future<Output = ()>,
    stop: &CancellationToken,
) -> Option<Result<(), JobError>> {
    let out_of_patience = async {
        stop.cancelled().await;
        sleep(GRACE).await;
    };
    tokio::select! {
        result = AssertUnwindSafe(work).catch_unwind() => {
            Some(result.unwrap_or_else(|_| Err("it panicked; the log says where".into())))
        }
        () = lease_lost => None,
        () = out_of_patience => None,
    }
}

/// Renews a lease until it is lost, by somebody else's claim or because the database stays away for too long.
async fn keep(
    app: &Platform,
    renew: impl AsyncFn(&mut crate::platform::db::Conn, chrono::DateTime<chrono::Utc>) -> Result<bool, DbError>,
) {
    let mut until = app.clock.now() + LEASE;
    loop {
        sleep(RENEW).await;
        let now = app.clock.now();
        let renewed = async { renew(&mut *app.db.read().await?, now).await };
        match renewed.await {
            Ok(true) => until = now + LEASE,
            Ok(false) => return,
            Err(_) if app.clock.now() < until => {}
            Err(_) => return,
        }
    }
}

async fn repeat(app: Platform, reconciler: Reconciler, owner: Uuid, stop: CancellationToken) {
    let (mut signals, call) = (app.signals.subscribe(), Signal::Work(reconciler.name.to_owned()));
    let mut called = false;
    while !stop.is_cancelled() {
        if let Err(error) = turn(&app, &reconciler, owner, called, &stop).await {
            tracing::warn!(name = reconciler.name, error = chain(&error), "a reconciler got no turn");
        }
        called = tokio::select! {
            () = stop.cancelled() => false,
            () = signals.until(&call) => true,
            () = sleep(reconciler.every) => false,
        };
    }
}

/// One run, if it is due or was called for, and nobody else is at it.
async fn turn(
    app: &Platform,
    reconciler: &Reconciler,
    owner: Uuid,
    called: bool,
    stop: &CancellationToken,
) -> Result<(), DbError> {
    let (name, now) = (reconciler.name, app.clock.now());
    // A little early counts as on time: timers of several servers drift against each other.
    let due = if called { now } else { now - reconciler.every * 9 / 10 };
    if !schedule::take(&mut *app.db.read().await?, name, owner, now, due).await? {
        return Ok(());
    }
    let lease = keep(app, async |conn, now| schedule::renew(conn, name, owner, now).await);
    let error = match supervised(reconciler.act(app), lease, stop).await {
        Some(Ok(())) => None,
        Some(Err(error)) => Some(chain(&*error)),
        None => Some("it was interrupted".to_owned()),
    };
    if let Some(error) = &error {
        tracing::warn!(name, error, "a reconciler failed and will try again");
    }
    let end = if error.is_none() { "done" } else { "failed" };
    metrics::counter!("renderkeep_reconciler_runs_total", "name" => name, "end" => end).increment(1);
    schedule::end(&mut *app.db.read().await?, name, owner, app.clock.now(), error.as_deref()).await
}
