//! What of the background work waits for somebody.

use crate::{base::finding::Severity, platform::db::questions::Question};

const LOOK: &str = "Look into the log of the servers with the role worker.";

const fn late(finding: &'static str, prefix: &'static str, what: &'static str, wrong: &'static str) -> Question {
    Question { finding, severity: Severity::Warning, wrong, prefix, what, advice: LOOK }
}

pub const QUESTIONS: &[Question] = &[
    late(
        "jobs.abandoned",
        "job",
        "Jobs that a server took and left, and that nobody took again within ten minutes",
        "select id from jobs where state = 'running' and lease_until < $1 - interval '10 minutes'",
    ),
    late(
        "jobs.waiting",
        "job",
        "Jobs that have been due for an hour",
        "select id from jobs where state = 'queued' and run_at < $1 - interval '1 hour'",
    ),
    late(
        "jobs.failed",
        "job",
        "Jobs of the last seven days that were given up",
        "select id from jobs where state = 'failed' and ended_at > $1 - interval '7 days'",
    ),
    late(
        "jobs.turn_failed",
        "",
        "Repeated work whose last turn failed",
        // A server that stops interrupts what runs; the next turn does it.
        "select name as id from schedule where last_error <> 'it was interrupted'",
    ),
    late(
        "jobs.turn_abandoned",
        "",
        "Repeated work that a server left in the middle, and that nobody took up for two hours",
        "select name as id from schedule where lease_until < $1 - interval '2 hours'",
    ),
];
