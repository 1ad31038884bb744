//! The table of jobs: enqueue, claim, renew, end, sweep. Every change of a running job names its lease's owner, so that
//! a worker that lost its lease can change nothing any more.

use chrono::{DateTime, Duration, Utc};
use diesel::{
    prelude::*,
    sql_types::{Integer, Jsonb, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;
use serde_json::Value;
use uuid::Uuid;

use super::LEASE;
use crate::{
    base::{clock::MOST_AHEAD, ctx::Ctx, ids::JobId},
    platform::{
        db::{Conn, DbError, Tx, schema::jobs::dsl as t},
        signals::{Signal, Signals},
    },
};

/// History is kept this long.
const KEPT: Duration = Duration::days(30);
/// Work for a queue that no version knows any more is given up after this time.
const ORPHANED: Duration = Duration::days(7);
/// A job under which the server died so often is the likely cause.
const MOST_LOST: i32 = 10;

/// Work to be done after the commit.
#[derive(Debug)]
pub struct NewJob {
    pub queue: &'static str,
    /// While a job of this queue with the same key waits or runs, no other is added.
    pub key: Option<String>,
    /// Ids and numbers; never content.
    pub payload: Value,
    /// Not before; none: at once.
    pub run_at: Option<DateTime<Utc>>,
}

/// Adds a job in the transaction of the act that needs it. None: one with its key is there already.
pub async fn enqueue(tx: &mut Tx, ctx: &Ctx, new: NewJob) -> Result<Option<JobId>, DbError> {
    let id = JobId::new(&ctx.clock);
    let now = ctx.clock.now();
    let added = diesel::insert_into(t::jobs)
        .values((
            t::id.eq(id),
            t::queue.eq(new.queue),
            t::dedupe_key.eq(new.key),
            t::payload.eq(new.payload),
            t::run_at.eq(new.run_at.unwrap_or(now)),
            t::request_id.eq(ctx.request.as_str()),
            t::created_at.eq(now),
        ))
        .on_conflict_do_nothing()
        .execute(&mut **tx)
        .await?;
    if added == 0 {
        return Ok(None);
    }
    Signals::send(tx, &Signal::Work(new.queue.to_owned())).await?;
    Ok(Some(id))
}

#[derive(Debug, QueryableByName)]
pub(super) struct Claimed {
    #[diesel(sql_type = SqlUuid)]
    pub id: JobId,
    #[diesel(sql_type = Jsonb)]
    pub payload: Value,
    #[diesel(sql_type = Integer)]
    pub attempts: i32,
    #[diesel(sql_type = Text)]
    pub request_id: String,
}

/// Takes the job that has waited longest. One brief statement: the job runs outside of it, under its lease.
pub(super) async fn claim(
    conn: &mut Conn,
    queue: &str,
    owner: Uuid,
    now: DateTime<Utc>,
) -> Result<Option<Claimed>, DbError> {
    Ok(diesel::sql_query(
        "update jobs set state = 'running', attempts = attempts + 1, lease_owner = $2, lease_until = $3
         where id = (select id from jobs where queue = $1 and state = 'queued' and run_at <= $4
             order by run_at, id limit 1 for update skip locked)
         returning id, payload, attempts, request_id",
    )
    .bind::<Text, _>(queue)
    .bind::<SqlUuid, _>(owner)
    .bind::<Timestamptz, _>(now + LEASE)
    .bind::<Timestamptz, _>(now)
    .get_result(conn)
    .await
    .optional()?)
}

/// Rows that this worker still holds.
#[diesel::dsl::auto_type]
fn held(id: JobId, owner: Uuid) -> _ {
    let running: &'static str = "running";
    let id: Uuid = id.uuid();
    t::jobs.filter(t::id.eq(id)).filter(t::state.eq(running)).filter(t::lease_owner.eq(owner))
}

/// False: somebody else has it by now.
pub(super) async fn renew(conn: &mut Conn, id: JobId, owner: Uuid, now: DateTime<Utc>) -> Result<bool, DbError> {
    Ok(diesel::update(held(id, owner)).set(t::lease_until.eq(now + LEASE)).execute(conn).await? == 1)
}

/// How an attempt ended.
#[derive(Debug)]
pub(super) enum End {
    Done,
    Failed {
        error: String,
        again_at: Option<DateTime<Utc>>,
    },
    /// Interrupted by this server's stop: not an attempt.
    GivenBack,
}

pub(super) async fn end(
    conn: &mut Conn,
    id: JobId,
    owner: Uuid,
    now: DateTime<Utc>,
    end: &End,
) -> Result<bool, DbError> {
    let (state, ended_at, run_at) = match end {
        End::Done => ("done", Some(now), None),
        End::Failed { again_at: None, .. } => ("failed", Some(now), None),
        End::Failed { again_at, .. } => ("queued", None, *again_at),
        End::GivenBack => ("queued", None, Some(now)),
    };
    let error = match end {
        End::Failed { error, .. } => Some(error.as_str()),
        End::Done | End::GivenBack => None,
    };
    let uncounted = i32::from(matches!(end, End::GivenBack));
    let changed = diesel::update(held(id, owner))
        .set((
            t::state.eq(state),
            t::ended_at.eq(ended_at),
            run_at.map(|at| t::run_at.eq(at)),
            t::attempts.eq(t::attempts - uncounted),
            error.map(|error| t::last_error.eq(error)),
            t::lease_owner.eq(None::<Uuid>),
            t::lease_until.eq(None::<DateTime<Utc>>),
        ))
        .execute(conn)
        .await?;
    Ok(changed == 1)
}

/// Gives work whose lease has expired to whoever asks next; returns how many there were.
pub(super) async fn sweep(conn: &mut Conn, now: DateTime<Utc>) -> Result<usize, DbError> {
    // A lease beyond what clocks differ by was given before a clock went back.
    let over = || t::lease_until.lt(now).or(t::lease_until.gt(now + LEASE + MOST_AHEAD));
    let expired = || t::jobs.filter(t::state.eq("running")).filter(over());
    let unleased = || (t::lease_owner.eq(None::<Uuid>), t::lease_until.eq(None::<DateTime<Utc>>));
    let given_up = diesel::update(expired().filter(t::attempts.ge(MOST_LOST)))
        .set((
            t::state.eq("failed"),
            t::ended_at.eq(now),
            t::last_error.eq("the server went away each time this ran"),
            unleased(),
        ))
        .execute(conn)
        .await?;
    let returned =
        diesel::update(expired()).set((t::state.eq("queued"), t::run_at.eq(now), unleased())).execute(conn).await?;
    Ok(given_up + returned)
}

/// Forgets old history, and gives up work that has no worker in this version; returns how many rows went.
pub(super) async fn prune(conn: &mut Conn, queues: &[&str], now: DateTime<Utc>) -> Result<usize, DbError> {
    let retired =
        t::jobs.filter(t::state.eq("queued")).filter(t::run_at.lt(now - ORPHANED)).filter(t::queue.ne_all(queues));
    diesel::update(retired)
        .set((t::state.eq("failed"), t::ended_at.eq(now), t::last_error.eq("nothing works on this queue any more")))
        .execute(conn)
        .await?;
    Ok(diesel::delete(t::jobs.filter(t::ended_at.lt(now - KEPT))).execute(conn).await?)
}
