//! Whether this machine, the database and the store agree what time it is.
//!
//! Leases, sessions and signatures of requests hang on it.

use chrono::{DateTime, Duration, Utc};

use crate::base::finding::Finding;

/// Somebody should look.
const NOTABLE: Duration = Duration::seconds(2);
/// Leases of work are not much longer.
const HARMFUL: Duration = Duration::seconds(10);

/// A question that was asked and answered between two moments, and the time that the answer told.
pub(super) struct Asked {
    pub before: DateTime<Utc>,
    pub after: DateTime<Utc>,
    pub told: DateTime<Utc>,
    /// How coarse it tells.
    pub step: Duration,
}

impl Asked {
    /// By how much it differs for sure; above zero when it is ahead.
    fn ahead(&self) -> Duration {
        if self.told > self.after {
            self.told - self.after
        } else if self.told + self.step < self.before {
            self.told + self.step - self.before
        } else {
            Duration::zero()
        }
    }
}

pub(super) fn judged(code: &'static str, whose: &str, asked: &Asked) -> Finding {
    let ahead = asked.ahead();
    let found = match ahead.num_milliseconds() {
        0 => format!("{whose} has the same time as this machine."),
        ms if ms > 0 => format!("The clock of {whose} is {:.1} seconds ahead of this machine's.", seconds(ahead)),
        _ => format!("The clock of {whose} is {:.1} seconds behind this machine's.", -seconds(ahead)),
    };
    let advice = "Let every machine follow a time server.";
    match ahead.abs() {
        off if off > HARMFUL => Finding::problem(code, found, advice),
        off if off > NOTABLE => Finding::warning(code, found, advice),
        _ => Finding::ok(code, found),
    }
}

#[expect(clippy::cast_precision_loss, reason = "for people to read")]
fn seconds(duration: Duration) -> f64 {
    duration.num_milliseconds() as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{clock::Clock, finding::Severity};

    #[test]
    fn only_what_differs_for_sure_counts() {
        let before = Clock::fixed().now();
        let severity = |milliseconds| {
            let told = before + Duration::milliseconds(milliseconds);
            let after = before + Duration::milliseconds(500);
            judged("clock.database", "The database", &Asked { before, after, told, step: Duration::seconds(1) })
                .severity
        };
        assert_eq!([-2900, 0, 2400].map(severity), [Severity::Ok; 3]);
        assert_eq!([-3100, 2600].map(severity), [Severity::Warning; 2]);
        assert_eq!([-12_000, 11_000].map(severity), [Severity::Problem; 2]);
    }
}
