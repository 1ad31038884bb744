//! Background work on a real Postgres: claimed once, tried again, taken back from the dead, given back by the stopping.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use async_trait::async_trait;
use renderkeep::{
    base::{
        access::{HealthRead, Role, Scope},
        ctx::{Acting, Actor, Credential, Ctx, RequestId},
        ids::{JobId, OrganisationId, PersonId, WorkspaceId},
        paging::PageRequest,
    },
    platform::{
        Platform,
        db::DbError,
        jobs::{self, Filter, Job, JobError, NewJob, Reconciler, Task},
    },
};
use serde_json::json;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::support::{TestPlatform, platform, postgres::connect};

type Seen = Rc<RefCell<Vec<String>>>;
type Run = Box<dyn Body>;

/// What a test's job does with its payload.
#[async_trait(?Send)]
trait Body {
    async fn call(&self, task: &Task) -> Result<(), JobError>;
}

struct Echo {
    seen: Seen,
    at_once: usize,
    retry: Option<Duration>,
    run: Option<Run>,
}

impl Echo {
    fn new(seen: &Seen) -> Self {
        Self { seen: seen.clone(), at_once: 1, retry: None, run: None }
    }
}

#[async_trait(?Send)]
impl Job for Echo {
    fn queue(&self) -> &'static str {
        "echo"
    }
    fn at_once(&self) -> usize {
        self.at_once
    }
    fn retry_after(&self, attempt: u32, _: &JobError) -> Option<Duration> {
        self.retry.filter(|_| attempt < 3)
    }
    async fn run(&self, _: &Platform, ctx: &Ctx, task: &Task) -> Result<(), JobError> {
        self.seen.borrow_mut().push(format!("{} {} {}", task.payload, task.attempt, ctx.request));
        match &self.run {
            Some(run) => run.call(task).await,
            None => Ok(()),
        }
    }
}

struct Fails;
#[async_trait(?Send)]
impl Body for Fails {
    async fn call(&self, _: &Task) -> Result<(), JobError> {
        Err("the relay said no".into())
    }
}

struct Panics;
#[async_trait(?Send)]
impl Body for Panics {
    async fn call(&self, _: &Task) -> Result<(), JobError> {
        panic!("on purpose")
    }
}

struct WaitsForStop {
    finishes: bool,
}
#[async_trait(?Send)]
impl Body for WaitsForStop {
    async fn call(&self, task: &Task) -> Result<(), JobError> {
        task.stop.cancelled().await;
        if self.finishes { Ok(()) } else { std::future::pending().await }
    }
}

fn ctx(app: &Platform) -> Ctx {
    Ctx::new(Actor::System("test"), RequestId::new("req-1"), app.clock.clone())
}

async fn enqueue(app: &Platform, key: Option<&str>, payload: &str) -> Option<JobId> {
    let new = NewJob { queue: "echo", key: key.map(str::to_owned), payload: json!(payload), run_at: None };
    app.db.write("test.enqueue", async |tx| jobs::enqueue(tx, &ctx(app), new).await).await.unwrap()
}

/// State, attempts and last error of every job, oldest first.
async fn rows(test: &TestPlatform) -> Vec<(String, i32, Option<String>)> {
    let client = connect(&test.database.url()).await;
    let rows = client.query("select state, attempts, last_error from jobs order by id", &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
}

fn states(rows: &[(String, i32, Option<String>)]) -> Vec<&str> {
    rows.iter().map(|row| row.0.as_str()).collect()
}

/// Runs a worker, with wake-ups, until `enough` says so; then stops it and waits for its end.
async fn work_until(
    test: &TestPlatform,
    jobs: Vec<Box<dyn Job>>,
    reconcilers: Vec<Reconciler>,
    enough: impl AsyncFn() -> bool,
) {
    let stop = CancellationToken::new();
    let app = test.platform.clone();
    let url = test.database.url();
    let watch = async {
        while !enough().await {
            sleep(Duration::from_millis(10)).await;
        }
        stop.cancel();
    };
    let worker = jobs::run(app.clone(), jobs, reconcilers, stop.clone());
    let all = async { tokio::join!(worker, app.signals.listen(&url, stop.clone()), watch) };
    timeout(Duration::from_secs(30), all).await.expect("it ends");
}

async fn settled(test: &TestPlatform) -> bool {
    rows(test).await.iter().all(|row| row.0 == "done" || row.0 == "failed")
}

#[tokio::test]
async fn a_job_runs_once_after_its_transaction_and_leaves_its_history() {
    let test = platform().await;
    let seen = Seen::default();
    enqueue(&test.platform, None, "one").await.unwrap();
    let undone: Result<(), DbError> = test
        .platform
        .db
        .write("test.undone", async |tx| {
            let new = NewJob { queue: "echo", key: None, payload: json!("never"), run_at: None };
            jobs::enqueue(tx, &ctx(&test.platform), new).await?;
            Err(DbError::Query(diesel::result::Error::RollbackTransaction))
        })
        .await;
    assert!(undone.is_err());
    work_until(&test, vec![Box::new(Echo::new(&seen))], Vec::new(), async || settled(&test).await).await;
    assert_eq!(*seen.borrow(), [r#""one" 1 req-1"#]);
    assert_eq!(rows(&test).await, [("done".to_owned(), 1, None)]);
}

#[tokio::test]
async fn a_waiting_worker_is_woken_by_the_commit() {
    let test = platform().await;
    let seen = Seen::default();
    let began = Cell::new(None);
    let enough = async || {
        if began.get().is_none() {
            // Long after the worker's first look, long before its next.
            sleep(Duration::from_millis(300)).await;
            enqueue(&test.platform, None, "now").await.unwrap();
            began.set(Some(std::time::Instant::now()));
        }
        !seen.borrow().is_empty()
    };
    work_until(&test, vec![Box::new(Echo::new(&seen))], Vec::new(), enough).await;
    let took = began.get().unwrap().elapsed();
    assert!(took < Duration::from_secs(3), "woken, not polled: {took:?}");
}

#[tokio::test]
async fn a_key_that_waits_is_not_queued_again() {
    let test = platform().await;
    assert!(enqueue(&test.platform, Some("mail 7"), "a").await.is_some());
    assert!(enqueue(&test.platform, Some("mail 7"), "b").await.is_none());
    assert!(enqueue(&test.platform, Some("mail 8"), "c").await.is_some());
    let seen = Seen::default();
    work_until(&test, vec![Box::new(Echo::new(&seen))], Vec::new(), async || settled(&test).await).await;
    assert_eq!(seen.borrow().len(), 2);
    assert!(enqueue(&test.platform, Some("mail 7"), "d").await.is_some(), "once it is done it may come again");
}

#[tokio::test]
async fn two_servers_share_a_queue_and_no_job_runs_twice() {
    let test = platform().await;
    let seen = Seen::default();
    for number in 0..20 {
        enqueue(&test.platform, None, &number.to_string()).await.unwrap();
    }
    let server = || -> Vec<Box<dyn Job>> { vec![Box::new(Echo { at_once: 3, ..Echo::new(&seen) })] };
    futures::join!(
        work_until(&test, server(), Vec::new(), async || settled(&test).await),
        work_until(&test, server(), Vec::new(), async || settled(&test).await),
    );
    let mut payloads = seen.borrow().clone();
    payloads.sort();
    payloads.dedup();
    assert_eq!((payloads.len(), seen.borrow().len()), (20, 20));
}

#[tokio::test]
async fn a_failing_job_is_tried_again_as_it_says_and_then_given_up() {
    let test = platform().await;
    let seen = Seen::default();
    enqueue(&test.platform, None, "x").await.unwrap();
    let job = Echo { retry: Some(Duration::ZERO), run: Some(Box::new(Fails)), ..Echo::new(&seen) };
    work_until(&test, vec![Box::new(job)], Vec::new(), async || settled(&test).await).await;
    assert_eq!(rows(&test).await, [("failed".to_owned(), 3, Some("the relay said no".to_owned()))]);
    assert_eq!(seen.borrow().len(), 3);
}

#[tokio::test]
async fn a_job_waits_until_its_time_has_come() {
    let test = platform().await;
    let seen = Seen::default();
    enqueue(&test.platform, None, "x").await.unwrap();
    let job = || Echo { retry: Some(Duration::from_secs(600)), run: Some(Box::new(Fails)), ..Echo::new(&seen) };
    let failed = async |times| rows(&test).await.iter().all(|row| row.1 == times && row.0 == "queued");
    work_until(&test, vec![Box::new(job())], Vec::new(), async || failed(1).await).await;
    test.platform.clock.advance(chrono::Duration::seconds(601));
    work_until(&test, vec![Box::new(job())], Vec::new(), async || failed(2).await).await;
    assert_eq!(seen.borrow().len(), 2);
}

#[tokio::test]
async fn a_panic_ends_its_job_and_not_the_worker() {
    let test = platform().await;
    let seen = Seen::default();
    enqueue(&test.platform, None, "a").await.unwrap();
    enqueue(&test.platform, None, "b").await.unwrap();
    let job = Echo { run: Some(Box::new(Panics)), ..Echo::new(&seen) };
    work_until(&test, vec![Box::new(job)], Vec::new(), async || settled(&test).await).await;
    assert_eq!(states(&rows(&test).await), ["failed", "failed"]);
}

#[tokio::test]
async fn a_stopping_server_lets_work_finish() {
    let test = platform().await;
    let seen = Seen::default();
    enqueue(&test.platform, None, "x").await.unwrap();
    let job = Echo { run: Some(Box::new(WaitsForStop { finishes: true })), ..Echo::new(&seen) };
    work_until(&test, vec![Box::new(job)], Vec::new(), async || !seen.borrow().is_empty()).await;
    assert_eq!(rows(&test).await, [("done".to_owned(), 1, None)]);
}

#[tokio::test]
async fn a_stopping_server_gives_back_what_does_not_finish() {
    let test = platform().await;
    let seen = Seen::default();
    enqueue(&test.platform, None, "x").await.unwrap();
    let job = Echo { run: Some(Box::new(WaitsForStop { finishes: false })), ..Echo::new(&seen) };
    work_until(&test, vec![Box::new(job)], Vec::new(), async || !seen.borrow().is_empty()).await;
    assert_eq!(rows(&test).await, [("queued".to_owned(), 0, None)], "an interruption is not an attempt");
}

#[tokio::test]
async fn the_work_of_a_server_that_died_is_taken_back_when_its_lease_runs_out() {
    let test = platform().await;
    let client = connect(&test.database.url()).await;
    let seen = Seen::default();
    enqueue(&test.platform, None, "x").await.unwrap();
    let dead = "update jobs set state = 'running', attempts = $1, lease_owner = gen_random_uuid(), lease_until = $2";
    let now = test.platform.clock.now();
    client.execute(dead, &[&1_i32, &(now + jobs::LEASE)]).await.unwrap();
    let housekept = async || {
        let row =
            client.query_opt("select 1 from schedule where name = 'jobs.sweep' and last_ended_at is not null", &[]);
        row.await.unwrap().is_some()
    };
    work_until(&test, vec![Box::new(Echo::new(&seen))], Vec::new(), housekept).await;
    assert_eq!(states(&rows(&test).await), ["running"], "it may still live");
    test.platform.clock.advance(jobs::LEASE + chrono::Duration::seconds(1));
    work_until(&test, vec![Box::new(Echo::new(&seen))], Vec::new(), async || settled(&test).await).await;
    assert_eq!(*seen.borrow(), [r#""x" 2 req-1"#]);
    // What takes the server down each time is not tried for ever.
    client.batch_execute("update jobs set state = 'queued', ended_at = null").await.unwrap();
    client.execute(dead, &[&10_i32, &now]).await.unwrap();
    test.platform.clock.advance(jobs::LEASE);
    work_until(&test, vec![Box::new(Echo::new(&seen))], Vec::new(), async || settled(&test).await).await;
    assert_eq!(states(&rows(&test).await), ["failed"]);
}

#[tokio::test]
async fn history_is_kept_thirty_days_and_work_without_a_worker_is_given_up() {
    let test = platform().await;
    let client = connect(&test.database.url()).await;
    let seen = Seen::default();
    enqueue(&test.platform, None, "x").await.unwrap();
    work_until(&test, vec![Box::new(Echo::new(&seen))], Vec::new(), async || settled(&test).await).await;
    enqueue(&test.platform, None, "nobody").await.unwrap();
    let pruned = async || {
        let end: Option<chrono::DateTime<chrono::Utc>> = client
            .query_opt("select last_ended_at from schedule where name = 'jobs.prune'", &[])
            .await
            .unwrap()
            .and_then(|row| row.get(0));
        end.is_some_and(|end| end > test.platform.clock.now() - chrono::Duration::hours(1))
    };
    test.platform.clock.advance(chrono::Duration::days(8));
    work_until(&test, Vec::new(), Vec::new(), pruned).await;
    assert_eq!(states(&rows(&test).await), ["done", "failed"]);
    test.platform.clock.advance(chrono::Duration::days(23));
    work_until(&test, Vec::new(), Vec::new(), pruned).await;
    assert_eq!(states(&rows(&test).await), ["failed"]);
}

fn counting(runs: &Rc<Cell<u32>>, every: Duration) -> Reconciler {
    let runs = runs.clone();
    Reconciler::new("test.count", every, move |_, _| {
        let runs = runs.clone();
        async move {
            runs.set(runs.get() + 1);
            sleep(Duration::from_millis(50)).await;
            Ok::<_, DbError>(())
        }
    })
}

#[tokio::test]
async fn a_reconciler_runs_by_timer_on_one_server_and_by_signal_at_once() {
    let test = platform().await;
    let day = Duration::from_secs(24 * 3600);
    let (one, two) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let both = async || {
        one.get() + two.get() >= 1 && {
            sleep(Duration::from_millis(400)).await;
            true
        }
    };
    // Without wake-ups only the timer counts.
    let stop = CancellationToken::new();
    let servers = async {
        tokio::join!(
            jobs::run(test.platform.clone(), Vec::new(), vec![counting(&one, day)], stop.clone()),
            jobs::run(test.platform.clone(), Vec::new(), vec![counting(&two, day)], stop.clone()),
            async {
                while !both().await {
                    sleep(Duration::from_millis(10)).await;
                }
                stop.cancel();
            }
        )
    };
    timeout(Duration::from_secs(20), servers).await.unwrap();
    assert_eq!(one.get() + two.get(), 1, "one turn a day, whoever has it");
    let called = Rc::new(Cell::new(0));
    let enough = async || {
        let conn = &mut test.platform.db.read().await.unwrap();
        let signal = renderkeep::platform::signals::Signal::Work("test.count".to_owned());
        renderkeep::platform::signals::Signals::send(conn, &signal).await.unwrap();
        called.get() >= 2
    };
    work_until(&test, Vec::new(), vec![counting(&called, day)], enough).await;
}

#[tokio::test]
async fn a_reconciler_that_fails_says_so_and_goes_on() {
    let test = platform().await;
    let runs = Rc::new(Cell::new(0));
    let counted = runs.clone();
    let failing = Reconciler::new("test.fails", Duration::from_millis(20), move |_, _| {
        counted.set(counted.get() + 1);
        async { Err::<(), JobError>("the shelf is gone".into()) }
    });
    work_until(&test, Vec::new(), vec![failing], async || runs.get() >= 3).await;
    let turns = jobs::turns(&test.platform.db, &operator(&test).grant::<HealthRead>().unwrap()).await.unwrap();
    let turn = turns.iter().find(|turn| turn.name == "test.fails").unwrap();
    assert_eq!(turn.last_error.as_deref(), Some("the shelf is gone"));
    assert!(turn.last_ended_at >= Some(turn.last_started_at));
}

fn operator(test: &TestPlatform) -> Ctx {
    let clock = &test.platform.clock;
    let acting = Acting {
        person: PersonId::new(clock),
        name: "Owner".to_owned(),
        mail: "owner@example.org".to_owned(),
        organisation: OrganisationId::new(clock),
        workspace: WorkspaceId::new(clock),
        roles: vec![Role::Owner],
        scopes: Scope::ALL.to_vec(),
        credential: Credential::Console,
        must_change_password: false,
    };
    Ctx::new(Actor::Person(Box::new(acting)), RequestId::new("test"), clock.clone())
}

#[tokio::test]
async fn operators_see_what_waits_and_what_failed() {
    let test = platform().await;
    let seen = Seen::default();
    enqueue(&test.platform, None, "a").await.unwrap();
    let job = Echo { run: Some(Box::new(Fails)), ..Echo::new(&seen) };
    work_until(&test, vec![Box::new(job)], Vec::new(), async || settled(&test).await).await;
    enqueue(&test.platform, None, "b").await.unwrap();
    let grant = operator(&test).grant::<HealthRead>().unwrap();
    let list = async |filter: Filter| {
        let page = jobs::list(&test.platform.db, &grant, &filter, &PageRequest::first(10)).await.unwrap();
        page.items.into_iter().map(|entry| (entry.state, entry.attempts, entry.last_error)).collect::<Vec<_>>()
    };
    let failed = ("failed".to_owned(), 1, Some("the relay said no".to_owned()));
    assert_eq!(list(Filter::default()).await, [("queued".to_owned(), 0, None), failed.clone()]);
    assert_eq!(list(Filter { state: Some("failed".to_owned()), ..Filter::default() }).await, [failed]);
    assert_eq!(list(Filter { queue: Some("other".to_owned()), ..Filter::default() }).await, []);
}
