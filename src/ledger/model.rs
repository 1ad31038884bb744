//! Holds, caps and the windows that caps look at. No SQL, no HTTP.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::base::{
    clock::At,
    ids::{CapId, GenerationId, OrganisationId, PersonId, PriceCardId, ProviderId, WorkspaceId},
    money::{Micros, Money, Overflow},
};

/// Whose spending is counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = CapScope)]
pub enum Scope {
    Organisation,
    Person,
    Workspace,
}

/// The stretch of time over which it is counted. Days and months are UTC's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = CapPeriod)]
pub enum Period {
    Day,
    Month,
    Total,
}

/// The word in the database is none that this version knows.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown word {0:?}")]
pub struct UnknownWord(pub String);

impl Scope {
    pub const ALL: [Self; 3] = [Self::Organisation, Self::Person, Self::Workspace];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Organisation => "organisation",
            Self::Person => "person",
            Self::Workspace => "workspace",
        }
    }
}

impl FromStr for Scope {
    type Err = UnknownWord;
    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text).ok_or_else(|| UnknownWord(text.to_owned()))
    }
}

impl Period {
    pub const ALL: [Self; 3] = [Self::Day, Self::Month, Self::Total];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Month => "month",
            Self::Total => "total",
        }
    }

    /// First day of the window that `day` lies in.
    pub fn start(self, day: NaiveDate) -> NaiveDate {
        match self {
            Self::Day => day,
            Self::Month => day.with_day(1).unwrap_or(day),
            // One window for ever; any fixed date names it.
            Self::Total => DateTime::UNIX_EPOCH.date_naive(),
        }
    }

    /// When the next window begins: the moment at which a cap leaves its whole limit again.
    pub fn refills_at(self, day: NaiveDate) -> Option<DateTime<Utc>> {
        let start = self.start(day);
        let next = match self {
            Self::Day => start.checked_add_days(Days::new(1)),
            Self::Month => start.checked_add_months(Months::new(1)),
            Self::Total => None,
        };
        next.map(|day| day.and_time(NaiveTime::MIN).and_utc())
    }
}

impl FromStr for Period {
    type Err = UnknownWord;
    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Self::ALL.into_iter().find(|period| period.as_str() == text).ok_or_else(|| UnknownWord(text.to_owned()))
    }
}

/// Whom a cap is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    Organisation(OrganisationId),
    Workspace(WorkspaceId),
    Person(PersonId),
    /// Each person who has no cap of their own for that period.
    EachPerson,
}

impl Subject {
    pub fn scope(self) -> Scope {
        match self {
            Self::Organisation(_) => Scope::Organisation,
            Self::Workspace(_) => Scope::Workspace,
            Self::Person(_) | Self::EachPerson => Scope::Person,
        }
    }

    pub fn uuid(self) -> Option<Uuid> {
        match self {
            Self::Organisation(id) => Some(id.uuid()),
            Self::Workspace(id) => Some(id.uuid()),
            Self::Person(id) => Some(id.uuid()),
            Self::EachPerson => None,
        }
    }

    pub(in crate::ledger) fn from_columns(scope: Scope, id: Option<Uuid>) -> Option<Self> {
        match (scope, id) {
            (Scope::Organisation, Some(id)) => Some(Self::Organisation(id.into())),
            (Scope::Workspace, Some(id)) => Some(Self::Workspace(id.into())),
            (Scope::Person, Some(id)) => Some(Self::Person(id.into())),
            (Scope::Person, None) => Some(Self::EachPerson),
            (Scope::Organisation | Scope::Workspace, None) => None,
        }
    }

    /// The typed id as the API writes it; none for the default of each person.
    pub fn id_text(self) -> Option<String> {
        match self {
            Self::Organisation(id) => Some(id.to_string()),
            Self::Workspace(id) => Some(id.to_string()),
            Self::Person(id) => Some(id.to_string()),
            Self::EachPerson => None,
        }
    }
}

/// The most that a subject may spend in a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cap {
    pub id: CapId,
    pub subject: Subject,
    pub period: Period,
    pub limit: Money,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// A cap to be set: the one of this subject and period, new or changed.
#[derive(Clone, Copy, Debug)]
pub struct NewCap {
    pub subject: Subject,
    pub period: Period,
    pub limit: Money,
}

/// Which caps to list; everything given must hold.
#[derive(Clone, Copy, Debug, Default)]
pub struct CapFilter {
    pub scope: Option<Scope>,
    pub subject: Option<Uuid>,
    pub period: Option<Period>,
}

/// One running sum: a subject, a period, and the day it began on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Window {
    pub scope: Scope,
    pub subject: Uuid,
    pub period: Period,
    pub starts_on: NaiveDate,
}

/// What a window has counted, or is to count more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    pub held: Micros,
    pub spent: Micros,
    /// Room that an owner added to this one window.
    pub refilled: Micros,
}

impl Sums {
    /// What a limit leaves; below zero after a provider billed more than was set aside.
    pub fn left(self, limit: Micros) -> Result<Micros, Overflow> {
        limit.plus(self.refilled)?.minus(self.spent)?.minus(self.held)
    }

    pub fn plus(self, more: Self) -> Result<Self, Overflow> {
        Ok(Self {
            held: self.held.plus(more.held)?,
            spent: self.spent.plus(more.spent)?,
            refilled: self.refilled.plus(more.refilled)?,
        })
    }
}

/// How much of a limit is used, in percent, when somebody is told.
const MARKS: [u8; 3] = [50, 80, 100];

/// A window was used to a mark of its limit for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Warning {
    pub window: Window,
    pub percent: u8,
    /// The limit then, with what had been added to it.
    pub limit: Micros,
    pub at: DateTime<Utc>,
}

/// Whose work it is: everybody whose caps it must fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payer {
    pub organisation: OrganisationId,
    pub workspace: WorkspaceId,
    pub person: PersonId,
}

impl Payer {
    /// Every window that work made on `day` counts in, in the order in which they are locked.
    pub fn windows(self, day: NaiveDate) -> Vec<Window> {
        let subjects = [
            (Scope::Organisation, self.organisation.uuid()),
            (Scope::Person, self.person.uuid()),
            (Scope::Workspace, self.workspace.uuid()),
        ];
        subjects
            .into_iter()
            .flat_map(|(scope, subject)| {
                Period::ALL.map(|period| Window { scope, subject, period, starts_on: period.start(day) })
            })
            .collect()
    }

    /// Which of `caps` its work must fit: the organisation's, the workspace's, and the person's own or, for a period
    /// without one, the default of each person.
    pub(in crate::ledger) fn caps_in_force(self, caps: &[Cap]) -> impl Iterator<Item = &Cap> {
        let own = move |cap: &Cap| cap.subject == Subject::Person(self.person);
        caps.iter().filter(move |cap| match cap.subject {
            Subject::Organisation(id) => id == self.organisation,
            Subject::Workspace(id) => id == self.workspace,
            Subject::Person(id) => id == self.person,
            Subject::EachPerson => !caps.iter().any(|other| own(other) && other.period == cap.period),
        })
    }
}

/// What is to be set aside, and for what.
#[derive(Clone, Copy, Debug)]
pub struct NewHold {
    pub generation: GenerationId,
    pub organisation: OrganisationId,
    pub workspace: WorkspaceId,
    pub person: PersonId,
    pub provider: ProviderId,
    pub price_card: Option<PriceCardId>,
    pub amount: Money,
}

impl NewHold {
    pub fn payer(&self) -> Payer {
        Payer { organisation: self.organisation, workspace: self.workspace, person: self.person }
    }
}

/// What became of a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    /// All that was posted, overage included.
    pub charged: Micros,
    /// The part of it above what was set aside.
    pub overage: Micros,
}

/// Where a cap stands: `limit = spent + held + left`. What was added to this window is part of its limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct CapState {
    pub id: CapId,
    pub scope: Scope,
    /// Whose cap it is; null: the default of each person without one.
    #[schema(max_length = 30)]
    pub subject: Option<String>,
    pub period: Period,
    pub limit: Money,
    pub spent: Money,
    pub held: Money,
    pub left: Money,
    /// The part of the limit that an owner added to this day or month alone, or for good to a total.
    pub refilled: Money,
    /// 50, 80 or 100: so many percent of the limit are spent or set aside.
    pub warning: Option<u8>,
    pub refills_at: Option<At>,
    /// What a quoted request would leave.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_after: Option<Money>,
}

impl CapState {
    pub fn new(cap: &Cap, sums: Sums, day: NaiveDate) -> Result<Self, Overflow> {
        let money = |micros| Money::new(micros, cap.limit.currency);
        let (limit, left) = (cap.limit.micros.plus(sums.refilled)?, sums.left(cap.limit.micros)?);
        Ok(Self {
            id: cap.id,
            scope: cap.subject.scope(),
            subject: cap.subject.id_text(),
            period: cap.period,
            limit: money(limit),
            spent: money(sums.spent),
            held: money(sums.held),
            left: money(left),
            refilled: money(sums.refilled),
            warning: mark(limit, limit.minus(left)?),
            refills_at: cap.period.refills_at(day).map(At),
            left_after: None,
        })
    }

    /// Work that costs nothing fits even a cap that was overrun.
    pub fn admits(&self, amount: Micros) -> bool {
        amount == Micros::ZERO || amount <= self.left.micros
    }

    pub(in crate::ledger) fn after(mut self, amount: Micros) -> Result<Self, Overflow> {
        let left = self.left.micros.minus(amount)?;
        self.left_after = Some(Money::new(left, self.limit.currency));
        Ok(self)
    }
}

/// The highest mark that `used` has reached. Of a limit of nothing everything is used.
fn mark(limit: Micros, used: Micros) -> Option<u8> {
    let reached = |mark: &u8| i128::from(used.0) * 100 >= i128::from(limit.0) * i128::from(*mark);
    MARKS.into_iter().rev().find(reached)
}

/// The marks of this cap that were not reached `before` and are now.
pub(in crate::ledger) fn passed(before: &CapState, now: &CapState) -> impl Iterator<Item = u8> {
    let (from, to) = (before.warning.unwrap_or(0), now.warning.unwrap_or(0));
    MARKS.into_iter().filter(move |mark| (from + 1..=to).contains(mark))
}

/// Whether a request would be admitted now, and what it would leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quote {
    pub allowed: bool,
    pub caps: Vec<CapState>,
}

/// The cap that refuses: what a program needs to know about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ReachedCap {
    pub scope: Scope,
    pub period: Period,
    pub limit: Money,
    pub left: Money,
    pub refills_at: Option<At>,
}

impl From<&CapState> for ReachedCap {
    fn from(state: &CapState) -> Self {
        Self {
            scope: state.scope,
            period: state.period,
            limit: state.limit,
            left: state.left,
            refills_at: state.refills_at,
        }
    }
}

/// The sentence that a refused person reads: what is left, of what, and when there is more.
impl fmt::Display for ReachedCap {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whose = match self.scope {
            Scope::Organisation => "The organisation's",
            Scope::Workspace => "This workspace's",
            Scope::Person => "Your",
        };
        let period = match self.period {
            Period::Day => " for today",
            Period::Month => " for this month",
            Period::Total => "",
        };
        let Money { micros, currency } = self.left;
        // After an overage a cap is below zero; what that leaves for anything new is nothing.
        let left = Money::new(micros.max(Micros::ZERO), currency);
        write!(out, "{whose} spending cap{period} is {}, of which {left} is left", self.limit)?;
        match self.refills_at {
            Some(At(at)) => write!(out, ". It refills on {} UTC.", at.format("%-d %B %Y at %H:%M")),
            None => write!(out, ". It does not refill by itself; an owner of the organisation can raise it."),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn marks_are_reached_at_exactly_their_percent() {
        let at = |used| mark(Micros(200), Micros(used));
        assert_eq!(
            [at(0), at(99), at(100), at(159), at(160), at(199), at(200), at(500)].map(|mark| mark.unwrap_or(0)),
            [0, 0, 50, 50, 80, 80, 100, 100]
        );
        assert_eq!(mark(Micros(0), Micros(0)), Some(100));
        assert_eq!(mark(Micros(i64::MAX), Micros(i64::MAX)), Some(100));
    }

    #[test]
    fn windows_begin_and_refill_with_utc_days_and_months() {
        let leap = day("2028-02-29");
        assert_eq!(Period::Day.start(leap), leap);
        assert_eq!(Period::Month.start(leap), day("2028-02-01"));
        assert_eq!(Period::Total.start(leap), Period::Total.start(day("1999-12-31")));
        assert_eq!(At(Period::Day.refills_at(leap).unwrap()).to_string(), "2028-03-01T00:00:00.000Z");
        let december = day("2026-12-31");
        assert_eq!(At(Period::Month.refills_at(december).unwrap()).to_string(), "2027-01-01T00:00:00.000Z");
        assert_eq!(Period::Total.refills_at(december), None);
    }

    #[test]
    fn windows_come_in_the_order_in_which_they_are_locked() {
        let id = |n| Uuid::from_u128(n);
        let payer = Payer { organisation: id(3).into(), workspace: id(1).into(), person: id(2).into() };
        let windows = payer.windows(day("2026-11-20"));
        assert_eq!(windows.len(), 9);
        assert!(windows.is_sorted());
    }

    #[test]
    fn a_refusal_says_what_is_left_and_when_it_refills() {
        let euros = |micros| Money::new(Micros(micros), "EUR".parse().unwrap());
        let mut cap = ReachedCap {
            scope: Scope::Person,
            period: Period::Day,
            limit: euros(20_000_000),
            left: euros(-1),
            refills_at: Period::Day.refills_at(day("2026-11-20")).map(At),
        };
        assert_eq!(
            cap.to_string(),
            "Your spending cap for today is €20.00, of which €0.00 is left. It refills on 21 November 2026 at 00:00 UTC."
        );
        cap.refills_at = None;
        assert!(cap.to_string().ends_with("an owner of the organisation can raise it."));
    }
}
