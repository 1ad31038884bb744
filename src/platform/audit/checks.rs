//! What the log can tell besides that it is whole.

use crate::{base::finding::Severity, platform::db::questions::Question};

pub const QUESTIONS: &[Question] = &[Question {
    finding: "clock.went_back",
    severity: Severity::Problem,
    wrong: "select id from (select id, at from audit_entries order by id desc limit 1) newest
                where at > $1 + interval '10 seconds'",
    prefix: "aud",
    what: "Entries at the end of the audit log that were written later than now",
    advice: "The clock of this machine was ahead, or is behind now. Let it follow a time server.",
}];
