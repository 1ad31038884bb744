//! What the Activity page shows: own generations, what they cost, what is left.

use askama::Template;

use super::views::State;
use crate::web::format::{self, Chip, Pager, When};
use crate::web::frame::{CapLine, Frame};

/// `GET /activity`, with `?state=` and `?cursor=`.
#[derive(Template)]
#[template(path = "studio/templates/activity.html")]
pub struct ActivityPage {
    pub frame: Frame,
    /// "1 to 20 November 2026"
    pub period: String,
    /// The message of the chart: "You spent €57.60 this month"
    pub heading: String,
    pub chart: Chart,
    /// The same caps as in the money chip.
    pub caps: Vec<CapLine>,
    pub filters: Vec<Chip>,
    /// What is searched for.
    pub search: String,
    /// The outcome that the search stays within; empty for all.
    pub state: &'static str,
    pub filtered: bool,
    pub rows: Vec<Row>,
    pub pager: Pager,
}

/// One generation as a table row.
#[derive(Clone, Debug)]
pub struct Row {
    /// `gen_...`
    pub id: String,
    /// First output, or empty.
    pub asset: String,
    pub prompt: String,
    /// "4 pictures"
    pub made: String,
    pub model: String,
    pub state: State,
    pub when: When,
    /// "€0.16", or "€0.16 held" while it runs.
    pub cost: String,
}

/// Spend per day as bars: positions in percent, so that the drawing stretches and its text does not.
#[derive(Clone, Debug, Default)]
pub struct Chart {
    pub bars: Vec<Bar>,
    /// Grid lines above zero: position from the top and amount.
    pub lines: Vec<(String, String)>,
    pub ticks: Vec<Tick>,
    /// Day and amount, for the table below; days without spend left out.
    pub table: Vec<(String, String)>,
    /// One sentence for those who do not see it.
    pub summary: String,
}

/// One day's bar.
#[derive(Clone, Debug)]
pub struct Bar {
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

impl Chart {
    /// A chart of days in order: label and micros. All days of the period belong in it, zeros too.
    pub fn daily(days: &[(String, i64)], currency: &str) -> Self {
        let top = ceiling(days.iter().map(|(_, micros)| *micros).max().unwrap_or(0));
        let slot = 100.0 / days.len().max(1) as f64;
        let share = |micros: i64| micros.max(0) as f64 / top as f64 * HEIGHT;
        let bars = days.iter().enumerate().filter(|(_, (_, micros))| *micros > 0).map(|(at, (_, micros))| Bar {
            x: percent(slot * (at as f64 + 0.16)),
            y: percent(100.0 - share(*micros)),
            width: percent(slot * 0.68),
            height: percent(share(*micros)),
        });
        let step = days.len().div_ceil(10).max(1);
        let ticks = days.iter().enumerate().step_by(step).map(|(at, (label, _))| Tick {
            x: percent(slot * (at as f64 + 0.5)),
            label: label.clone(),
            wide: !(at / step).is_multiple_of(3),
        });
        Self {
            bars: bars.collect(),
            lines: [top / 2, top]
                .into_iter()
                .map(|micros| (percent(100.0 - share(micros)), short(micros, currency)))
                .collect(),
            ticks: ticks.collect(),
            table: days
                .iter()
                .filter(|(_, micros)| *micros != 0)
                .map(|(label, micros)| (label.clone(), format::money(*micros, currency)))
                .collect(),
            summary: summary(days, currency),
        }
    }
}

/// Part of the drawing's height that the highest grid line takes; the rest is air for its label.
const HEIGHT: f64 = 88.0;

fn percent(value: f64) -> String {
    format!("{value:.2}%")
}

// The next 2, 4 or 10 times a power of ten: half of it is a round number too.
fn ceiling(micros: i64) -> i64 {
    let mut power: i64 = 10_000;
    loop {
        for top in [2, 4, 10].map(|factor| power.saturating_mul(factor)) {
            if top >= micros {
                return top;
            }
        }
        power = power.saturating_mul(10);
    }
}

/// An amount beside the grid, where there is little room: "€500.00", "€5 k", "€20 M".
fn short(micros: i64, currency: &str) -> String {
    let units = [(1_000_000_000_000, " tn"), (1_000_000_000, " bn"), (1_000_000, " M"), (1_000, " k")];
    match units.into_iter().find(|(by, _)| micros / by >= 1_000_000) {
        Some((by, unit)) => {
            let hundredths = micros / by / 10_000 * 10_000;
            format!("{}{unit}", format::money(hundredths, currency).trim_end_matches(".00"))
        }
        None => format::money(micros, currency),
    }
}

fn summary(days: &[(String, i64)], currency: &str) -> String {
    let total: i64 = days.iter().fold(0, |sum, (_, micros)| sum.saturating_add(*micros));
    match days.iter().max_by_key(|(_, micros)| *micros).filter(|(_, micros)| *micros > 0) {
        Some((label, micros)) => format!(
            "Spend per day: {} in all, most on {label} with {}",
            format::money(total, currency),
            format::money(*micros, currency)
        ),
        None => "Spend per day: nothing spent".into(),
    }
}

#[cfg(test)]
pub mod samples {
    use super::*;
    use crate::web::frame::Place;
    use crate::web::frame::samples::{caps, frame};

    /// A month with every kind of outcome.
    pub fn activity() -> ActivityPage {
        let spend = [110, 390, 205, 440, 790, 10, 30, 425, 140, 105, 505, 680, 5, 40, 60, 350, 410, 700, 390, 251];
        let days: Vec<_> =
            (0..30).map(|at| (format!("{} Nov", at + 1), spend.get(at).copied().unwrap_or(0) * 10_000)).collect();
        let chip = |label: &str, href: &str, on| Chip { label: label.into(), href: href.into(), on, removes: false };
        ActivityPage {
            frame: frame("Activity", Place::Activity),
            period: "1 to 20 November 2026".into(),
            heading: "You spent €60.36 this month".into(),
            chart: Chart::daily(&days, "EUR"),
            caps: caps(),
            filters: vec![
                chip("All", "/activity", true),
                chip("Running", "/activity?state=running", false),
                chip("Done", "/activity?state=succeeded", false),
                chip("Failed", "/activity?state=failed", false),
                chip("Cancelled", "/activity?state=cancelled", false),
                chip("Not known", "/activity?state=unknown", false),
            ],
            search: String::new(),
            state: "",
            filtered: false,
            rows: rows(),
            pager: Pager { range: "1 to 7 of 214".into(), newer: None, older: Some("/activity?cursor=bmV4dA".into()) },
        }
    }

    fn rows() -> Vec<Row> {
        let row = |id: usize, asset: &str, prompt: &str, state, text: &str, cost: &str| Row {
            id: format!("gen_{id}"),
            asset: if asset.is_empty() { String::new() } else { format!("ast_{asset}") },
            prompt: prompt.into(),
            made: "4 pictures".into(),
            model: "Demo painter".into(),
            state,
            when: When {
                iso: "2026-11-20T14:02:00.000Z".into(),
                exact: "20 November 2026, 14:02:00 UTC".into(),
                text: text.into(),
            },
            cost: cost.into(),
        };
        vec![
            row(
                1,
                "",
                "Vase and bowl in a dark, moody studio, product photo",
                State::Running,
                "just now",
                "€0.16 held",
            ),
            row(
                2,
                "bottle-clay",
                "Ceramic bottle on a round plinth, warm window light, product photo",
                State::Succeeded,
                "12 min ago",
                "€0.16",
            ),
            row(3, "", "Wool tartan scarf on a bench, soft evening light", State::Failed, "26 min ago", "€0.00"),
            row(
                4,
                "lake-dawn",
                "Mountain lake at dawn, low mist, first light on the peaks, wide landscape",
                State::Succeeded,
                "1 h ago",
                "€0.16",
            ),
            row(5, "", "Sailboat at noon, calm sea", State::Unknown, "2 h ago", "€0.04 held"),
            row(6, "arches", "Architecture with arches and stairs", State::Cancelled, "4 h ago", "€0.00"),
            row(7, "paper-blue", "Cut-paper layers, topographic, ocean blue", State::Succeeded, "yesterday", "€0.16"),
        ]
    }

    /// The first day.
    pub fn empty() -> ActivityPage {
        let days: Vec<_> = (0..30).map(|at| (format!("{} Nov", at + 1), 0)).collect();
        ActivityPage {
            heading: "Nothing spent this month".into(),
            chart: Chart::daily(&days, "EUR"),
            rows: Vec::new(),
            pager: Pager::default(),
            ..activity()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grid_ends_on_a_round_amount() {
        assert_eq!(ceiling(0), 20_000);
        assert_eq!(ceiling(7_900_000), 10_000_000);
        assert_eq!(ceiling(10_000_001), 20_000_000);
        assert_eq!(ceiling(i64::MAX), i64::MAX);
    }

    #[test]
    fn amounts_beside_the_grid_stay_short() {
        let shown = [50_000, 500_000_000, 5_000_000_000, 20_000_000_000_000, i64::MAX / 2].map(|at| short(at, "EUR"));
        assert_eq!(shown, ["€0.05", "€500.00", "€5 k", "€20 M", "€4.61 tn"]);
    }

    #[test]
    fn bars_stay_inside_the_drawing() {
        let days: Vec<_> =
            [0, 5, 400_000_000, -3].iter().enumerate().map(|(at, micros)| (at.to_string(), *micros)).collect();
        let chart = Chart::daily(&days, "EUR");
        assert_eq!(chart.bars.len(), 2);
        assert_eq!(chart.bars[1].y, "12.00%");
        assert_eq!(chart.table.len(), 3);
        assert!(Chart::daily(&[], "EUR").bars.is_empty());
    }

    #[test]
    fn every_page_renders() {
        let html = samples::activity().render().unwrap();
        assert!(html.contains("€60.36") && html.contains("<rect") && !html.contains(" style="));
        assert!(samples::empty().render().unwrap().contains("Open the Studio"));
    }
}
