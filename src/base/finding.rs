//! What a look at the installation finds: a stable code, how bad it is, what was found, and what to do.

use std::fmt::Display;

use serde::Serialize;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Ok,
    /// Somebody should look at it; nothing is lost yet.
    Warning,
    /// Something does not work, or is not as it must be.
    Problem,
}

/// Codes are listed in docs/doctor.md and do not change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub code: &'static str,
    pub severity: Severity,
    pub found: String,
    /// What to do, unless all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

/// For what cannot happen unless the program is wrong or somebody changed the data by hand.
pub const REPORT: &str = "The program does not do this: it has a fault, or somebody changed the data by hand. Keep a \
                          copy of the data as it is, and report it with the log of that time.";

impl Finding {
    pub fn ok(code: &'static str, found: impl Into<String>) -> Self {
        Self { code, severity: Severity::Ok, found: found.into(), advice: None }
    }

    pub fn warning(code: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { code, severity: Severity::Warning, found: found.into(), advice: Some(advice.into()) }
    }

    pub fn problem(code: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { code, severity: Severity::Problem, found: found.into(), advice: Some(advice.into()) }
    }
}

/// How many things of one kind are wrong, and one of them to begin with.
#[derive(Debug, Default)]
pub struct Tally {
    count: u64,
    first: Option<String>,
}

impl Tally {
    pub fn add(&mut self, thing: impl Display) {
        self.count += 1;
        self.first.get_or_insert_with(|| thing.to_string());
    }

    /// None when nothing was added. `what` is the beginning of a sentence: "Objects without bytes".
    pub fn problem(self, code: &'static str, what: &str, advice: &str) -> Option<Finding> {
        let first = self.first?;
        Some(Finding::problem(code, format!("{what}: {}, for example {first}.", self.count), advice))
    }
}
