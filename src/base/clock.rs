//! The one source of the time of day, so that tests can move it.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Duration, NaiveDate, SecondsFormat, SubsecRound, Utc};
use serde::{Serialize, Serializer};

/// No clock of one installation is further ahead of another. What says a later time than that was written before a clock
/// went back, and nobody waits for it.
pub const MOST_AHEAD: Duration = Duration::minutes(5);

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
    Utc::now() + ahead()
}

/// How far a debug build that was started with `RENDERKEEP_CLOCK_AHEAD` (seconds) lives in the future: so that tests move
/// the time of the real program too.
#[cfg(debug_assertions)]
fn ahead() -> Duration {
    static AHEAD: std::sync::LazyLock<Duration> = std::sync::LazyLock::new(|| {
        let seconds = std::env::var_os("RENDERKEEP_CLOCK_AHEAD").and_then(|text| text.to_str()?.parse().ok());
        Duration::seconds(seconds.unwrap_or(0))
    });
    *AHEAD
}

#[cfg(not(debug_assertions))]
fn ahead() -> Duration {
    Duration::zero()
}

/// A time as the API writes it: RFC 3339 in UTC with milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct At(pub DateTime<Utc>);

impl From<DateTime<Utc>> for At {
    fn from(time: DateTime<Utc>) -> Self {
        Self(time)
    }
}

impl std::fmt::Display for At {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.0.to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

impl Serialize for At {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(self)
    }
}

impl utoipa::PartialSchema for At {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        use utoipa::openapi::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .into()
    }
}
impl utoipa::ToSchema for At {
    fn name() -> std::borrow::Cow<'static, str> {
        "At".into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_with_milliseconds() {
        assert_eq!(At(Clock::fixed().now()).to_string(), "2026-11-20T12:00:00.000Z");
    }
}
