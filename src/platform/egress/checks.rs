//! What of the calls out waits for somebody.

use crate::{base::finding::Severity, platform::db::questions::Question};

pub const QUESTIONS: &[Question] = &[Question {
    finding: "egress.call_open",
    severity: Severity::Warning,
    wrong: "select id from egress_calls where outcome = 'open' and deadline < $1 - interval '10 minutes'",
    prefix: "egr",
    what: "Calls that ended ten minutes ago at the latest and whose end nobody wrote down",
    advice: "Start a server with the role worker, or look into the log of the one that runs.",
}];
