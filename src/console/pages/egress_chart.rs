//! Bytes per day and destination as stacked bars: positions in percent, so that the drawing stretches and its text does
//! not. The same numbers stand in a table below.

use chrono::NaiveDate;

use crate::web::format;

/// Destinations with a colour of their own; the rest are one.
const COLOURS: usize = 5;
/// Part of the drawing's height that the highest grid line takes; the rest is air for its label.
const HEIGHT: f64 = 88.0;

/// What went to one destination on one day.
#[derive(Clone, Debug)]
pub struct DaySum {
    pub day: NaiveDate,
    pub destination: String,
    pub calls: u64,
    pub sent: u64,
    pub received: u64,
}

#[derive(Clone, Debug, Default)]
pub struct DayChart {
    /// "62 % of the bytes went to api.openai.com"
    pub heading: String,
    pub pieces: Vec<Piece>,
    /// Grid lines above zero: position from the top and amount.
    pub lines: Vec<(String, String)>,
    pub ticks: Vec<Tick>,
    /// Colour and destination.
    pub legend: Vec<(String, String)>,
    pub table: Vec<DayRow>,
    /// One sentence for those who do not see it.
    pub summary: String,
}

/// One destination's part of a day's bar.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    pub colour: String,
    pub x: String,
    pub y: String,
    pub width: String,
    pub height: String,
}

/// A label below the bars.
#[derive(Clone, Debug)]
pub struct Tick {
    pub x: String,
    pub label: String,
    /// Left out where it is narrow.
    pub wide: bool,
}

/// One line of the table.
#[derive(Clone, Debug)]
pub struct DayRow {
    pub day: String,
    pub destination: String,
    pub calls: String,
    pub sent: String,
    pub received: String,
}

impl DayChart {
    /// All of `days` get their place, also those on which nothing left. Nothing to draw: none.
    pub fn new(days: &[NaiveDate], sums: &[DaySum]) -> Option<Self> {
        let sums: Vec<&DaySum> = sums.iter().filter(|sum| days.contains(&sum.day)).collect();
        let ranked = ranked(&sums);
        let total: u64 = ranked.iter().map(|(_, sent)| sent).sum();
        let (first, most) = ranked.first().filter(|_| total > 0)?;
        let shown: Vec<&str> = ranked.iter().map(|(name, _)| name.as_str()).take(COLOURS).collect();
        let of_day = |day: NaiveDate| sums.iter().filter(move |sum| sum.day == day).map(|sum| sum.sent).sum::<u64>();
        let top = ceiling(days.iter().map(|day| of_day(*day)).max().unwrap_or(0));
        let slot = 100.0 / days.len().max(1) as f64;
        let share = |bytes: u64| bytes as f64 / top as f64 * HEIGHT;
        let mut pieces = Vec::new();
        for (at, day) in days.iter().enumerate() {
            let mut below = 0.0;
            for (number, sent) in stack(&sums, &shown, *day).into_iter().enumerate().filter(|(_, sent)| *sent > 0) {
                below += share(sent);
                pieces.push(Piece {
                    colour: format!("k{}", number + 1),
                    x: percent(slot * (at as f64 + 0.16)),
                    y: percent(100.0 - below),
                    width: percent(slot * 0.68),
                    height: percent(share(sent)),
                });
            }
        }
        let mut legend: Vec<_> =
            shown.iter().enumerate().map(|(at, name)| (format!("k{}", at + 1), (*name).to_owned())).collect();
        if ranked.len() > COLOURS {
            legend.push((format!("k{}", COLOURS + 1), "Others".to_owned()));
        }
        Some(Self {
            heading: heading(first, *most, total, ranked.len()),
            pieces,
            lines: [top / 2, top].map(|bytes| (percent(100.0 - share(bytes)), short(bytes))).into(),
            ticks: ticks(days, slot),
            legend,
            table: sums.iter().rev().map(|sum| row(sum)).collect(),
            summary: format!(
                "Bytes sent per day and destination: {} in {}",
                format::bytes(total),
                format::plural(days.len() as u64, "day")
            ),
        })
    }
}

/// There is little room beside a chart.
fn short(bytes: u64) -> String {
    format::bytes(bytes).replace(" bytes", " B")
}

/// Destinations with what they got, most first.
fn ranked(sums: &[&DaySum]) -> Vec<(String, u64)> {
    let mut all: Vec<(String, u64)> = Vec::new();
    for sum in sums {
        match all.iter_mut().find(|(name, _)| *name == sum.destination) {
            Some((_, sent)) => *sent = sent.saturating_add(sum.sent),
            None => all.push((sum.destination.clone(), sum.sent)),
        }
    }
    all.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
    all
}

/// The parts of a day's bar, from the ground up, the others last.
fn stack(sums: &[&DaySum], shown: &[&str], day: NaiveDate) -> Vec<u64> {
    let sent = |wanted: &dyn Fn(&str) -> bool| {
        let wanted = sums.iter().filter(|sum| sum.day == day && wanted(&sum.destination));
        wanted.map(|sum| sum.sent).sum()
    };
    let own = shown.iter().map(|name| sent(&|destination| destination == *name));
    own.chain([sent(&|destination| !shown.contains(&destination))]).collect()
}

fn heading(first: &str, most: u64, total: u64, destinations: usize) -> String {
    if destinations == 1 {
        return format!("All of it went to {first}");
    }
    let part = (most as f64 / total as f64 * 100.0).round();
    format!("{part:.0} % of the bytes went to {first}")
}

fn ticks(days: &[NaiveDate], slot: f64) -> Vec<Tick> {
    let step = days.len().div_ceil(10).max(1);
    let tick = |(at, day): (usize, &NaiveDate)| Tick {
        x: percent(slot * (at as f64 + 0.5)),
        label: day.format("%-d %b").to_string(),
        wide: !(at / step).is_multiple_of(3),
    };
    days.iter().enumerate().step_by(step).map(tick).collect()
}

fn row(sum: &DaySum) -> DayRow {
    DayRow {
        day: sum.day.format("%-d %B %Y").to_string(),
        destination: sum.destination.clone(),
        calls: format::count(sum.calls),
        sent: format::bytes(sum.sent),
        received: format::bytes(sum.received),
    }
}

fn percent(value: f64) -> String {
    format!("{value:.2}%")
}

/// The next 2, 4 or 10 times a power of ten: half of it is a round number too.
fn ceiling(bytes: u64) -> u64 {
    let powers = (2..19).map(|power| 10u64.pow(power));
    let steps = powers.flat_map(|power| [2, 4, 10].map(|factor| power.saturating_mul(factor)));
    steps.into_iter().find(|step| *step >= bytes).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(number: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 11, number).unwrap()
    }

    fn sum(number: u32, destination: &str, sent: u64) -> DaySum {
        DaySum { day: day(number), destination: destination.to_owned(), calls: 1, sent, received: 0 }
    }

    #[test]
    fn a_bar_is_a_stack_of_what_went_where() {
        let sums = [sum(1, "a", 100), sum(1, "b", 300), sum(3, "a", 1000), sum(9, "elsewhen", 9)];
        let chart = DayChart::new(&[day(1), day(2), day(3)], &sums).unwrap();
        assert_eq!(chart.heading, "79 % of the bytes went to a");
        let colours: Vec<_> = chart.pieces.iter().map(|piece| piece.colour.as_str()).collect();
        assert_eq!(colours, ["k1", "k2", "k1"], "the one that got most has the first colour");
        assert_eq!((chart.pieces[2].y.as_str(), chart.pieces[2].height.as_str()), ("12.00%", "88.00%"));
        assert_eq!(chart.pieces[1].y, "64.80%", "on top of the one below");
        assert_eq!((chart.table.len(), chart.ticks.len()), (3, 3), "what is not drawn is not in the table");
    }

    #[test]
    fn the_sixth_destination_is_among_the_others() {
        let sums: Vec<_> = (0..7).map(|at| sum(1, &format!("host-{at}"), 1000 - at)).collect();
        let chart = DayChart::new(&[day(1)], &sums).unwrap();
        assert_eq!(chart.legend.last().unwrap(), &("k6".to_owned(), "Others".to_owned()));
        assert_eq!((chart.legend.len(), chart.pieces.len()), (6, 6));
        assert!(DayChart::new(&[day(2)], &sums).is_none());
    }

    #[test]
    fn the_grid_ends_above_the_highest_bar() {
        for (bytes, top) in [(0, 200), (200, 200), (201, 400), (999, 1000), (1001, 2000), (u64::MAX, u64::MAX)] {
            assert_eq!(ceiling(bytes), top);
        }
    }
}
