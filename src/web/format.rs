//! How numbers, money and times are written for people. Pages get finished strings from here, so
//! that the same amount never looks different in two places.

use chrono::{DateTime, Datelike, Utc};

use crate::base::money::{Currency, Micros, Money, grouped};

/// A moment: for machines, exact for people, and as people say it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct When {
    /// RFC 3339 with milliseconds.
    pub iso: String,
    /// "20 November 2026, 14:02:11 UTC"
    pub exact: String,
    /// "12 min ago"
    pub text: String,
}

impl When {
    /// Words for `at` as seen from `now`.
    pub fn new(at: DateTime<Utc>, now: DateTime<Utc>) -> Self {
        Self {
            iso: at.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
            exact: at.format("%-d %B %Y, %H:%M:%S UTC").to_string(),
            text: ago(at, now),
        }
    }
}

fn ago(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let seconds = (now - at).num_seconds();
    match seconds {
        ..60 => "just now".into(),
        60..3600 => format!("{} min ago", seconds / 60),
        3600..86_400 => format!("{} h ago", seconds / 3600),
        86_400..172_800 => "yesterday".into(),
        _ if at.year() == now.year() => at.format("%-d %b").to_string(),
        _ => at.format("%-d %b %Y").to_string(),
    }
}

/// "Today", "Yesterday", "18 November" or "18 November 2025": the heading over a day's pictures.
pub fn day(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let days = (now.date_naive() - at.date_naive()).num_days();
    match days {
        ..=0 => "Today".into(),
        1 => "Yesterday".into(),
        _ if at.year() == now.year() => at.format("%-d %B").to_string(),
        _ => at.format("%-d %B %Y").to_string(),
    }
}

/// `Money` as it shows itself, for places that hold its parts.
pub fn money(micros: i64, currency: &str) -> String {
    Money::new(Micros(micros), currency.parse().unwrap_or(Currency::NONE)).to_string()
}

/// "4,218"
pub fn count(number: u64) -> String {
    grouped(&number.to_string())
}

/// A page's address with other parameters: what is empty is left out.
pub fn address(path: &str, parameters: &[(&str, &str)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in parameters.iter().filter(|(_, value)| !value.is_empty()) {
        query.append_pair(name, value);
    }
    let query = query.finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

/// "1 picture", "4 pictures"
pub fn plural(number: u64, one: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{} {one}{s}", count(number))
}

/// "2.4 MB", in thousands as disks and providers count.
pub fn bytes(number: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    for (size, unit) in UNITS {
        if number >= size {
            let tenths = number / (size / 10);
            return if tenths < 100 {
                format!("{}.{} {unit}", tenths / 10, tenths % 10)
            } else {
                format!("{} {unit}", tenths / 10)
            };
        }
    }
    format!("{number} bytes")
}

/// "38 s", "1 min 12 s", "2 h 5 min"
pub fn duration(seconds: u64) -> String {
    match seconds {
        ..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// "850 ms", "4.2 s", "1 min 5 s"
pub fn milliseconds(taken: u64) -> String {
    match taken {
        ..1000 => format!("{taken} ms"),
        1000..60_000 => format!("{}.{} s", taken / 1000, taken % 1000 / 100),
        _ => duration(taken / 1000),
    }
}

/// "1024 × 768 px"
pub fn pixels(width: u32, height: u32) -> String {
    format!("{width} × {height} px")
}

/// The ratios that the stylesheet knows by name, as width to height in thousandths.
const RATIOS: [(u32, &str); 17] = [
    (333, "1:3"),
    (429, "9:21"),
    (500, "1:2"),
    (562, "9:16"),
    (600, "3:5"),
    (667, "2:3"),
    (750, "3:4"),
    (800, "4:5"),
    (1000, "1:1"),
    (1250, "5:4"),
    (1333, "4:3"),
    (1500, "3:2"),
    (1667, "5:3"),
    (1778, "16:9"),
    (2000, "2:1"),
    (2333, "21:9"),
    (3000, "3:1"),
];

/// The named ratio nearest to a picture. A strict policy allows no inline style, so a tile picks one
/// of these by `data-ar`; the picture covers its tile, at most a few percent are cut.
pub fn ratio(width: u32, height: u32) -> &'static str {
    let exact = f64::from(width.max(1)) / f64::from(height.max(1));
    let distance = |thousandths: u32| (exact.ln() - (f64::from(thousandths) / 1000.0).ln()).abs();
    RATIOS.iter().min_by(|(a, _), (b, _)| distance(*a).total_cmp(&distance(*b))).map_or("1:1", |(_, name)| name)
}

/// Cursor paging below a list.
#[derive(Clone, Debug, Default)]
pub struct Pager {
    /// "1 to 50 of 214", or empty.
    pub range: String,
    pub newer: Option<String>,
    pub older: Option<String>,
}

/// A filter that lives in the address.
#[derive(Clone, Debug)]
pub struct Chip {
    pub label: String,
    /// Where pressing it leads: with the filter, or without it when it is on.
    pub href: String,
    pub on: bool,
    /// Whether pressing the active chip takes the filter away (else it stays, as in "All").
    pub removes: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeZone;

    #[test]
    fn times_are_said_as_people_say_them() {
        let now = Utc.with_ymd_and_hms(2026, 11, 20, 14, 14, 0).unwrap();
        let at = |h, m| Utc.with_ymd_and_hms(2026, 11, 20, h, m, 0).unwrap();
        assert_eq!(When::new(at(14, 2), now).text, "12 min ago");
        assert_eq!(When::new(at(11, 0), now).text, "3 h ago");
        assert_eq!(When::new(at(14, 20), now).text, "just now");
        assert_eq!(When::new(at(14, 2), now).exact, "20 November 2026, 14:02:00 UTC");
        assert_eq!(When::new(Utc.with_ymd_and_hms(2025, 3, 1, 0, 0, 0).unwrap(), now).text, "1 Mar 2025");
    }

    #[test]
    fn sizes_and_durations_carry_units() {
        assert_eq!(bytes(999), "999 bytes");
        assert_eq!(bytes(2_400_000), "2.4 MB");
        assert_eq!(bytes(38_600_000_000), "38 GB");
        assert_eq!(duration(72), "1 min 12 s");
        assert_eq!(plural(1, "picture"), "1 picture");
        assert_eq!(plural(4218, "picture"), "4,218 pictures");
    }

    #[test]
    fn a_picture_gets_the_nearest_named_ratio() {
        assert_eq!(ratio(1024, 1024), "1:1");
        assert_eq!(ratio(1536, 1024), "3:2");
        assert_eq!(ratio(820, 1024), "4:5");
        assert_eq!(ratio(0, 0), "1:1");
        assert_eq!(ratio(60_000, 1), "3:1");
    }
}
