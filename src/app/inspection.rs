//! Whether everything that is kept fits together: the books, generations and their events, objects and their rows, the
//! audit log, keys and what they seal.
//!
//! Reads only, beside a server that runs. What belongs together is read in one snapshot; the store, which has none, is
//! looked at twice before something counts. A part that cannot be asked is a finding, and the others are looked at all the
//! same.

use std::collections::HashSet;

use uuid::Uuid;

use super::rooms;
use crate::{
    base::{
        error::chain,
        finding::{Finding, REPORT, Tally},
        ids::ObjectId,
    },
    ledger, library,
    platform::{
        Platform,
        audit::{Checkpoint, verify},
        db::{Conn, DbError, questions},
        keyring, storage,
    },
    studio,
};

const AT_ONCE: i64 = 1000;

/// Everything that is wrong; nothing when all is in order. `checkpoints` are those of the audit log that were kept outside
/// the database.
pub async fn inspect(app: &Platform, checkpoints: Vec<Checkpoint>) -> Vec<Finding> {
    let now = app.clock.now();
    let parts = [
        incomplete("the books", app.db.snapshot(async |conn| books(conn).await).await),
        incomplete("the tables", app.db.snapshot(async |conn| tables(conn, app).await).await),
        incomplete("objects", app.db.snapshot(async |conn| uses(conn).await).await),
        incomplete("the audit log", app.db.snapshot(async |conn| audit_log(conn, checkpoints).await).await),
        incomplete("the store", storage::checks::compare(&app.storage, &app.db, now).await),
    ];
    parts.concat()
}

fn incomplete<E: std::error::Error + 'static>(part: &str, found: Result<Vec<Finding>, E>) -> Vec<Finding> {
    found.unwrap_or_else(|error| {
        let advice = "Mend what is named above or in the log of the database and of the store, and look again.";
        vec![Finding::problem(
            "inspection.incomplete",
            format!("{part} could not be looked at: {}", chain(&error)),
            advice,
        )]
    })
}

async fn books(conn: &mut Conn) -> Result<Vec<Finding>, DbError> {
    let mut drifted = Tally::default();
    for window in ledger::ops::verify(conn).await? {
        drifted.add(format_args!("{} {} {} from {}", window.scope, window.subject_id, window.period, window.starts_on));
    }
    let what = "Windows of caps that count something else than their holds and postings add up to";
    let mut findings: Vec<Finding> = drifted.problem("ledger.window_drifts", what, REPORT).into_iter().collect();
    findings.extend(studio::checks::against_ledger(conn).await?);
    Ok(findings)
}

async fn tables(conn: &mut Conn, app: &Platform) -> Result<Vec<Finding>, DbError> {
    let now = app.clock.now();
    let mut findings = Vec::new();
    for questions in rooms::questions() {
        findings.extend(questions::ask(conn, now, questions).await?);
    }
    findings.extend(studio::checks::last_events(conn, &app.keys, now).await?);
    for sealed in rooms::sealed() {
        findings.extend(keyring::checks::owners(conn, sealed).await?);
    }
    Ok(findings)
}

/// Whether what is used is kept, and what is kept is used.
async fn uses(conn: &mut Conn) -> Result<Vec<Finding>, DbError> {
    let mut findings = library::checks::objects(conn).await?;
    let mut unused = Tally::default();
    let mut after = ObjectId::from(Uuid::nil());
    loop {
        let kept = storage::checks::kept_after(conn, after, AT_ONCE).await?;
        let Some(last) = kept.last() else { break };
        after = *last;
        let mut used: HashSet<ObjectId> = library::checks::objects_in_use(conn, &kept).await?.into_iter().collect();
        used.extend(studio::checks::objects_in_use(conn, &kept).await?);
        kept.iter().filter(|id| !used.contains(id)).for_each(|id| unused.add(id));
    }
    findings.extend(storage::checks::unused(unused));
    Ok(findings)
}

async fn audit_log(conn: &mut Conn, checkpoints: Vec<Checkpoint>) -> Result<Vec<Finding>, DbError> {
    let report = verify::verify(conn, checkpoints, None).await?;
    let finding = report.fault.map(|fault| {
        let place = fault.sequence.map_or("outside the chain".to_owned(), |sequence| format!("at {sequence}"));
        let advice = "Somebody changed the log. `renderkeep audit verify` says more, docs/audit.md what follows.";
        Finding::problem(
            "audit.broken",
            format!("The audit log is not as it was written, {place}: {}", fault.finding),
            advice,
        )
    });
    Ok(finding.into_iter().collect())
}
