//! The Activity page: own generations, what they cost, what is left.

use actix_web::{HttpRequest, HttpResponse};
use chrono::{Datelike, NaiveDate};
use serde::Deserialize;

use super::{
    activity_views::{ActivityPage, Chart},
    cards::show,
    shelf,
};
use crate::{
    base::{
        access::StudioRead,
        money::{Micros, Money},
    },
    studio::{model::State, ops, store::Filter},
    web::{
        extract::{self, Query},
        format::{Chip, Pager, address},
        frame::{CapLine, Frame, Place},
        guard::Guard,
        page::{self, PageFrame},
        problem::Problem,
    },
};

const ROWS: u32 = 30;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActivityQuery {
    state: Option<State>,
    #[serde(default, deserialize_with = "extract::search")]
    search: Option<String>,
    cursor: Option<String>,
}

pub async fn show_activity(
    guard: Guard<StudioRead>,
    frame: PageFrame,
    request: HttpRequest,
    query: Query<ActivityQuery>,
) -> Result<HttpResponse, Problem> {
    let grant = guard.grant()?;
    let keys = &guard.app.keys;
    let page = query.page(keys, request.path(), Some(ROWS), query.value.cursor.as_deref())?;
    let filter = Filter { state: query.value.state, search: query.value.search.clone(), ..Filter::default() };
    let found = ops::list(&guard.app, &grant, &filter, &page).await?;
    let shelf = shelf(&guard, &found.items).await?;
    let rows = found.items.iter().map(|generation| shelf.row(generation)).collect();
    let list = query.list(keys, request.path(), found);
    let frame = frame.titled("Activity", Place::Activity);
    let caps = caps(&frame);
    let spent = spent(&guard).await?;
    page::ok(&ActivityPage {
        caps,
        frame,
        period: spent.period,
        heading: spent.heading,
        chart: spent.chart,
        filters: filters(&query.value),
        search: query.value.search.clone().unwrap_or_default(),
        state: query.value.state.map_or("", State::as_str),
        filtered: query.value.state.is_some() || query.value.search.is_some(),
        rows,
        pager: pager(&query.value, list.next_cursor),
    })
}

/// The same as in the chip of the frame.
fn caps(frame: &Frame) -> Vec<CapLine> {
    frame.money.as_ref().map(|money| money.caps.clone()).unwrap_or_default()
}

struct Spent {
    period: String,
    heading: String,
    chart: Chart,
}

/// This month so far, day by day.
async fn spent(guard: &Guard<StudioRead>) -> Result<Spent, Problem> {
    let grant = guard.grant()?;
    let today = guard.ctx.clock.today();
    let first = today.with_day(1).unwrap_or(today);
    let currency = guard.app.config.organisation.currency;
    let entries = ops::spent_since(&guard.app, &grant, first).await?;
    let days: Vec<(String, i64)> = first
        .iter_days()
        .take(days_of(first))
        .map(|day| {
            let sum = entries.iter().filter(|(on, _)| *on == day).map(|(_, micros)| micros.0).sum();
            (day.format("%-d %b").to_string(), sum)
        })
        .collect();
    let total = Money::new(Micros(days.iter().map(|(_, micros)| micros).sum()), currency);
    Ok(Spent { period: period(first, today), heading: heading(total), chart: Chart::daily(&days, currency.as_str()) })
}

fn heading(total: Money) -> String {
    if total.micros == Micros::ZERO {
        "Nothing spent this month".to_owned()
    } else {
        format!("You spent {} this month", show(total))
    }
}

fn period(first: NaiveDate, today: NaiveDate) -> String {
    match today.day() {
        1 => today.format("%-d %B %Y").to_string(),
        day => format!("1 to {day} {}", first.format("%B %Y")),
    }
}

fn days_of(first: NaiveDate) -> usize {
    let month = first.month();
    first.iter_days().take_while(|day| day.month() == month).count()
}

const ACTIVITY: &str = "/activity";

fn filters(asked: &ActivityQuery) -> Vec<Chip> {
    let search = asked.search.as_deref().unwrap_or_default();
    let chip = |label: &str, state: Option<State>| Chip {
        label: label.to_owned(),
        href: address(ACTIVITY, &[("state", state.map_or("", State::as_str)), ("search", search)]),
        on: asked.state == state,
        removes: false,
    };
    vec![
        chip("All", None),
        chip("Running", Some(State::Running)),
        chip("Waiting", Some(State::Queued)),
        chip("Done", Some(State::Succeeded)),
        chip("Failed", Some(State::Failed)),
        chip("Cancelled", Some(State::Cancelled)),
        chip("Not known", Some(State::Unknown)),
    ]
}

fn pager(asked: &ActivityQuery, next: Option<String>) -> Pager {
    let (state, search) = (asked.state.map_or("", State::as_str), asked.search.as_deref().unwrap_or_default());
    let at = |cursor: &str| address(ACTIVITY, &[("state", state), ("search", search), ("cursor", cursor)]);
    Pager { range: String::new(), newer: asked.cursor.is_some().then(|| at("")), older: next.map(|cursor| at(&cursor)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_has_its_days() {
        let day = |text: &str| text.parse::<NaiveDate>().unwrap();
        assert_eq!(days_of(day("2026-11-01")), 30);
        assert_eq!(days_of(day("2028-02-01")), 29);
        assert_eq!(period(day("2026-11-01"), day("2026-11-20")), "1 to 20 November 2026");
    }
}
