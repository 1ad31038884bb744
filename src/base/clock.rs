//! The one source of the time of day, so that tests can move it.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Duration, NaiveDate, SubsecRound, Utc};

/// Times have microseconds, like the database's, so that what is written is what is read back.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Fixed(Arc<Mutex<DateTime<Utc>>>),
    Shifted(Arc<Mutex<Duration>>),
}

impl Clock {
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// Stands still at 2026-11-20T12:00:00Z until it is advanced.
    pub fn fixed() -> Self {
        let start = DateTime::from_timestamp(1_795_176_000, 0).unwrap_or_default();
        Self(Source::Fixed(Arc::new(Mutex::new(start))))
    }

    /// Runs like the system's clock and can be moved forward.
    pub fn shifted() -> Self {
        Self(Source::Shifted(Arc::new(Mutex::new(Duration::zero()))))
    }

    pub fn now(&self) -> DateTime<Utc> {
        let now = match &self.0 {
            Source::System => system_time(),
            Source::Fixed(at) => *at.lock().unwrap_or_else(PoisonError::into_inner),
            Source::Shifted(by) => system_time() + *by.lock().unwrap_or_else(PoisonError::into_inner),
        };
        now.trunc_subsecs(6)
    }

    pub fn today(&self) -> NaiveDate {
        self.now().date_naive()
    }

    /// Moves a test's clock; the system's clock ignores it.
    pub fn advance(&self, by: Duration) {
        match &self.0 {
            Source::System => {}
            Source::Fixed(at) => *at.lock().unwrap_or_else(PoisonError::into_inner) += by,
            Source::Shifted(sum) => {
                let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
                *sum += by;
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the home of the time of day")]
fn system_time() -> DateTime<Utc> {
    Utc::now()
}
