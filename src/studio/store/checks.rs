//! What must hold of generations, their attempts and their events, and what of them waits for somebody.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Duration, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde_json::Value;
use uuid::Uuid;

use super::log;
use crate::{
    base::{
        finding::{Finding, REPORT, Severity, Tally},
        ids::{GenerationId, HoldId, ObjectId},
    },
    ledger,
    platform::{
        db::{
            Conn, DbError,
            questions::{Question, Sealed},
            schema::{generation_events, generation_outputs, generations},
        },
        keyring::Keyring,
    },
};

/// Generations or holds of one look.
const AT_ONCE: i64 = 1000;

/// Events younger than this are kept; see `events::forget_old`.
macro_rules! lately {
    () => {
        "$1 - interval '24 hours'"
    };
}

pub const QUESTIONS: &[Question] = &[
    Question::never(
        "studio.attempt_open",
        "gen",
        "Generations with an open attempt that nobody can be working on",
        "select work.id from generations work where work.state not in ('submitting', 'running')
             and exists (select 1 from attempts where generation_id = work.id and ended_at is null)",
    ),
    Question::never(
        "studio.attempt_missing",
        "gen",
        "Generations at a provider without exactly one open attempt",
        "select work.id from generations work where work.state in ('submitting', 'running')
             and 1 <> (select count(*) from attempts where generation_id = work.id and ended_at is null)",
    ),
    Question::never(
        "studio.result_left",
        "gen",
        "Generations that have ended and still keep a raw result",
        "select work.id from generations work join generation_outputs raw on raw.generation_id = work.id
         where work.ended_at is not null and raw.object_id is not null",
    ),
    Question::never(
        "studio.events_gap",
        "per",
        "People whose log of events has gaps",
        "select person_id as id from (select person_id, number,
             lag(number) over (partition by person_id order by number) as before from generation_events) told
         where number <> before + 1",
    ),
    Question::never(
        "studio.events_end",
        "per",
        "People whose newest event is not the last that was numbered",
        "select stream.person_id as id from event_streams stream
         join (select person_id, max(number) as newest from generation_events group by 1) told using (person_id)
         where told.newest <> stream.last_number",
    ),
    Question::never(
        "studio.events_missing",
        "gen",
        "Generations of the last day with fewer events than steps",
        concat!(
            "select work.id from generations work where work.created_at between ",
            lately!(),
            " and $1 and (select count(*) from generation_events where generation_id = work.id) < 1 + work.attempts
             + case when work.state = 'succeeded' then 2
                 when work.state in ('storing', 'failed', 'cancelled', 'expired', 'unknown') then 1 else 0 end"
        ),
    ),
    Question {
        finding: "queue.abandoned",
        severity: Severity::Problem,
        wrong: "select id from generations where state in ('submitting', 'running', 'storing')
                    and coalesce(lease_until, created_at) < $1 - interval '10 minutes'",
        prefix: "gen",
        what: "Generations that were begun and that nobody has worked on for ten minutes",
        advice: "Start a server with the role worker, or look into the log of the one that runs.",
    },
    Question {
        finding: "queue.waiting",
        severity: Severity::Warning,
        wrong: "select id from generations where state = 'queued' and created_at < $1 - interval '10 minutes'",
        prefix: "gen",
        what: "Generations that have waited for more than ten minutes",
        advice: "See Admin, Overview: whether a server with the role worker runs, and whether inference.at_once and \
                 inference.per_person allow enough.",
    },
    Question {
        finding: "queue.unknown",
        severity: Severity::Warning,
        wrong: "select id from generations where state = 'unknown'",
        prefix: "gen",
        what: "Generations whose outcome nobody knows; their money stays set aside",
        advice: "Ask the provider whether it charged them, and settle them: Admin, Overview.",
    },
];

pub const SEALED: &[Sealed] = &[
    Sealed {
        what: "Generations",
        owners: "select distinct person_id as id from generations where person_id > $1 order by 1 limit 1000",
    },
    Sealed {
        what: "Generations of a workspace",
        owners: "select distinct workspace_id as id from generations where workspace_id > $1 order by 1 limit 1000",
    },
    Sealed {
        what: "Events",
        owners: "select distinct person_id as id from generation_events where person_id > $1 order by 1 limit 1000",
    },
];

#[derive(Queryable, Selectable)]
#[diesel(table_name = generations)]
struct Work {
    id: GenerationId,
    person_id: Uuid,
    currency: String,
    held_micros: i64,
    actual_micros: Option<i64>,
    overage_micros: Option<i64>,
}

impl Work {
    /// What the hold must be for this work.
    fn fits(&self, hold: &ledger::ops::Held) -> bool {
        let same = (hold.person_id.uuid(), hold.currency.as_str(), hold.amount_micros)
            == (self.person_id, self.currency.as_str(), self.held_micros);
        let overage = |actual: i64| actual.saturating_sub(self.held_micros).max(0);
        let charged = match (hold.state.as_str(), self.actual_micros) {
            ("pending", None) => true,
            ("voided", Some(actual)) => actual == 0,
            ("posted", Some(actual)) => {
                hold.actual_micros == Some(actual) && self.overage_micros.unwrap_or(0) == overage(actual)
            }
            _ => false,
        };
        same && charged
    }
}

/// Compares every generation with its hold, and every hold with its generation.
pub async fn against_ledger(conn: &mut Conn) -> Result<Vec<Finding>, DbError> {
    let (mut missing, mut open, mut differs, mut idle) = <(Tally, Tally, Tally, Tally)>::default();
    let mut after = GenerationId::from(Uuid::nil());
    loop {
        let next = generations::table.filter(generations::id.gt(after)).order(generations::id).limit(AT_ONCE);
        let all: Vec<Work> = next.select(Work::as_select()).load(conn).await?;
        let Some(last) = all.last() else { break };
        after = last.id;
        let ids: Vec<GenerationId> = all.iter().map(|work| work.id).collect();
        let holds = ledger::ops::held_for(conn, &ids).await?;
        let holds: HashMap<GenerationId, _> = holds.into_iter().map(|hold| (hold.generation_id, hold)).collect();
        for work in &all {
            match holds.get(&work.id) {
                None => missing.add(work.id),
                Some(hold) if hold.state == "pending" && work.actual_micros.is_some() => open.add(work.id),
                Some(hold) if !work.fits(hold) => differs.add(work.id),
                Some(_) => {}
            }
        }
    }
    let mut after = HoldId::from(Uuid::nil());
    loop {
        let holds = ledger::ops::held_after(conn, after, AT_ONCE).await?;
        let Some(last) = holds.last() else { break };
        after = last.id;
        let ids: Vec<GenerationId> = holds.iter().map(|hold| hold.generation_id).collect();
        let known = generations::table.filter(generations::id.eq_any(&ids)).select(generations::id);
        let known: HashSet<GenerationId> = known.load::<GenerationId>(conn).await?.into_iter().collect();
        holds.iter().filter(|hold| !known.contains(&hold.generation_id)).for_each(|hold| idle.add(hold.id));
    }
    let findings = [
        missing.problem("studio.hold_missing", "Generations without a hold", REPORT),
        open.problem("studio.hold_open", "Generations that have ended and whose hold is open", REPORT),
        differs.problem("studio.hold_differs", "Generations that say something else than their hold", REPORT),
        idle.problem("studio.hold_idle", "Holds without a generation", REPORT),
    ];
    Ok(findings.into_iter().flatten().collect())
}

/// Whether the last event of each generation of the last day says what the generation is.
pub async fn last_events(conn: &mut Conn, keys: &Keyring, now: DateTime<Utc>) -> Result<Vec<Finding>, DbError> {
    use generation_events as e;
    let since = now - Duration::hours(24);
    let mut differs = Tally::default();
    let mut after = GenerationId::from(Uuid::nil());
    loop {
        let lately = generations::table.filter(generations::created_at.ge(since).and(generations::id.gt(after)));
        let columns = (generations::id, generations::person_id, generations::state);
        let next = lately.order(generations::id).limit(AT_ONCE).select(columns);
        let all: Vec<(GenerationId, Uuid, String)> = next.load(conn).await?;
        let Some((last, ..)) = all.last() else { break };
        after = *last;
        let ids: Vec<GenerationId> = all.iter().map(|(id, ..)| *id).collect();
        let newest = e::table
            .filter(e::generation_id.eq_any(&ids))
            .distinct_on(e::generation_id)
            .order((e::generation_id, e::number.desc()))
            .select((e::generation_id, e::snapshot));
        let newest: HashMap<GenerationId, Vec<u8>> = newest.load(conn).await?.into_iter().collect();
        let owners = keys.of_all(conn, all.iter().map(|(_, person, _)| *person)).await?;
        for (id, person, state) in &all {
            // What has no event or no key is found by others.
            let (Some(sealed), Ok(key)) = (newest.get(id), owners.get(*person)) else { continue };
            let told = key.open(log::SNAPSHOT, id.uuid(), sealed).ok();
            let told: Option<Value> = told.and_then(|told| serde_json::from_slice(&told).ok());
            if told.is_none_or(|told| told.get("state").and_then(Value::as_str) != Some(state)) {
                differs.add(id);
            }
        }
    }
    let what = "Generations whose last event says something else than they do";
    Ok(differs.problem("studio.event_differs", what, REPORT).into_iter().collect())
}

/// Those of these objects that are raw results.
pub async fn objects_in_use(conn: &mut Conn, ids: &[ObjectId]) -> Result<Vec<ObjectId>, DbError> {
    use generation_outputs as o;
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let used = o::table.filter(o::object_id.eq_any(&ids)).select(o::object_id.assume_not_null());
    Ok(used.load::<Uuid>(conn).await?.into_iter().map(ObjectId::from).collect())
}
