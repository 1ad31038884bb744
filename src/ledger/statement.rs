//! What was charged in a month, entry by entry, and what the caps have counted for it: the two always agree.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Months, NaiveDate, Utc};
use serde::Deserialize;

use crate::base::{
    ids::{GenerationId, HoldId, PersonId, ProviderId, WorkspaceId},
    money::Money,
};

/// A month of UTC, as `2026-11`. Work belongs to the month in which it was accepted, as it does for the caps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Month(NaiveDate);

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a month is written as 2026-11")]
pub struct NotAMonth;

impl Month {
    pub fn of(day: NaiveDate) -> Self {
        Self(super::model::Period::Month.start(day))
    }

    pub fn first_day(self) -> NaiveDate {
        self.0
    }

    /// The first day after it.
    pub fn end(self) -> NaiveDate {
        self.0.checked_add_months(Months::new(1)).unwrap_or(NaiveDate::MAX)
    }
}

impl FromStr for Month {
    type Err = NotAMonth;

    fn from_str(text: &str) -> Result<Self, NotAMonth> {
        let first = || NaiveDate::parse_from_str(&format!("{text}-01"), "%Y-%m-%d").ok();
        // Chrono also reads what is written in other ways.
        first().map(Self).filter(|month| month.to_string() == text).ok_or(NotAMonth)
    }
}

impl TryFrom<String> for Month {
    type Error = NotAMonth;

    fn try_from(text: String) -> Result<Self, NotAMonth> {
        text.parse()
    }
}

impl fmt::Display for Month {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.0.format("%Y-%m"))
    }
}

/// One generation that was charged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub hold: HoldId,
    pub generation: GenerationId,
    pub person: PersonId,
    pub workspace: WorkspaceId,
    pub provider: ProviderId,
    /// When it was accepted, and its price set aside.
    pub accepted_at: DateTime<Utc>,
    pub charged_at: DateTime<Utc>,
    pub held: Money,
    /// What was posted, overage included.
    pub charged: Money,
    /// The part of it above what was set aside.
    pub overage: Money,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_written_in_one_way() {
        let month: Month = "2026-12".parse().unwrap();
        assert_eq!(
            (month.first_day().to_string(), month.end().to_string()),
            ("2026-12-01".into(), "2027-01-01".into())
        );
        assert_eq!(Month::of("2026-12-31".parse().unwrap()), month);
        for wrong in ["", "2026", "2026-13", "2026-1", "2026-12-01", "+2026-12", " 2026-12", "12-2026", "2026-00"] {
            assert_eq!(wrong.parse::<Month>(), Err(NotAMonth), "{wrong}");
        }
    }
}
