//! Small view parts that lists and forms share: a field, a choice, a meter, the places of administration.

use super::format;

/// One text field: what was typed and what is wrong with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Field {
    pub value: String,
    pub error: Option<String>,
}

impl Field {
    /// A field as it is, without a fault.
    pub fn of(value: impl Into<String>) -> Self {
        Self { value: value.into(), error: None }
    }

    /// A field that comes back with its fault.
    pub fn wrong(value: impl Into<String>, error: impl Into<String>) -> Self {
        Self { value: value.into(), error: Some(error.into()) }
    }
}

/// An option of a select or one box of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    pub value: String,
    pub label: String,
    pub chosen: bool,
}

impl Choice {
    /// An option that is chosen when its value is the current one.
    pub fn new(value: impl Into<String>, label: impl Into<String>, current: &str) -> Self {
        let value = value.into();
        Self { chosen: value == current, value, label: label.into() }
    }
}

/// How much of a limit is used, with words for those who cannot see the bar.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meter {
    /// Spent and held in per mille of the limit; more than 1000 after an overage, without an end.
    pub per_mille: u64,
    /// "39 %", "10,001 %"
    pub share: String,
}

impl Meter {
    /// How much of `limit` is used. Of a limit of nothing everything is used.
    pub fn of(used: i128, limit: i128) -> Self {
        let per_mille = if limit == 0 { 1000 } else { used.max(0).saturating_mul(1000) / limit };
        let per_mille = u64::try_from(per_mille).unwrap_or(u64::MAX);
        Self { per_mille, share: format!("{} %", format::count(per_mille / 10)) }
    }

    /// Amber from 80 percent, red at 100, grey below.
    pub const fn class(&self) -> &'static str {
        match self.per_mille {
            1000.. => "bad",
            800..1000 => "warn",
            _ => "",
        }
    }

    /// The icon beside the words; none while all is well.
    pub const fn icon(&self) -> Option<&'static str> {
        match self.per_mille {
            1000.. => Some("bad"),
            800..1000 => Some("warn"),
            _ => None,
        }
    }

    /// Class of the words beside the bar.
    pub const fn words(&self) -> &'static str {
        match self.per_mille {
            0..800 => "dim",
            _ => self.class(),
        }
    }
}

/// A place in the rail of administration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminPlace {
    Overview,
    People,
    Providers,
    Caps,
    Egress,
    Audit,
}

/// One of five quiet colours for an avatar, always the same for the same id.
pub fn hue(id: &str) -> u8 {
    let sum: u32 = id.bytes().map(u32::from).sum();
    u8::try_from(sum % 5).unwrap_or_default() + 1
}

#[cfg(test)]
pub mod samples {
    use crate::web::format::When;

    /// A time of the sample day.
    pub fn when(text: &str) -> When {
        When {
            iso: "2026-11-20T13:40:03.218Z".into(),
            exact: "20 November 2026, 13:40:03 UTC".into(),
            text: text.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_meter_changes_its_tone_at_80_and_100_percent() {
        let tone = |per_mille| Meter { per_mille, share: String::new() }.class();
        assert_eq!(
            [tone(0), tone(799), tone(800), tone(999), tone(1000), tone(1200)],
            ["", "", "warn", "warn", "bad", "bad"]
        );
    }

    #[test]
    fn a_meter_says_how_far_over_its_limit_it_is() {
        let share = |used, limit| Meter::of(used, limit).share;
        assert_eq!([share(394, 1000), share(100_017, 1000), share(5, 0)], ["39 %", "10,001 %", "100 %"]);
        assert_eq!(Meter::of(-1, 1000).per_mille, 0, "a correction that gave more back than was spent");
        assert_eq!(Meter::of(i128::from(i64::MAX), 1).per_mille, u64::MAX);
    }

    #[test]
    fn hues_stay_within_the_five_and_do_not_change() {
        assert_eq!(hue("per_01"), hue("per_01"));
        assert!((0..200).all(|n| (1..=5).contains(&hue(&format!("per_{n}")))));
    }
}
