//! Statements with the names of people, models and providers: pages, and tables for download.

mod export;

use std::collections::HashMap;

use actix_web::HttpResponse;
use chrono::NaiveDate;
use serde::Deserialize;

use super::address;
use crate::{
    accounts::ops as accounts,
    base::{
        access::{ModelsRead, StatementRead, StatementsRead},
        ids::PersonId,
        money::{Currency, Micros},
    },
    inference::ops as inference,
    ledger::{
        ops::statement::{self as ledger, Counted},
        pages::statement_views::{PersonSpent, StatementPage, StatementRow, StatementsPage},
        statement::{Line, Month},
    },
    platform::Platform,
    studio,
    web::{
        extract::Query,
        format::{self, Chip, Pager, When},
        frame::Place,
        guard::Guard,
        page::{self, PageFrame},
        parts::AdminPlace,
        problem::Problem,
    },
};

pub use export::{WhichOwn, WhichStatement, export_all, export_own};

pub const OWN: &str = "/activity/statement";
pub const ALL: &str = "/admin/statements";
pub const OWN_EXPORT: &str = "/api/v1/statement/export";
pub const ALL_EXPORT: &str = "/api/v1/admin/statement/export";

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Look {
    month: Option<Month>,
    cursor: Option<String>,
}

pub async fn statement_page(
    guard: Guard<StatementRead>,
    query: Query<Look>,
    frame: PageFrame,
) -> Result<HttpResponse, Problem> {
    let (app, grant, look) = (&guard.app, guard.grant()?, &query.value);
    let now = guard.ctx.clock.now();
    let month = look.month.unwrap_or_else(|| Month::of(now.date_naive()));
    let page = query.page(&app.keys, OWN, None, look.cursor.as_deref())?;
    let lines = ledger::own_lines(app, &grant, month, &page).await?;
    let counted = ledger::own_counted(app, &grant, month).await?;
    let older = query.list(&app.keys, OWN, lines.clone()).next_cursor;
    let mut made = made(app, &lines.items).await?;
    // A model that was removed since is named as programs name it.
    let offers = inference::models(&guard.ctx, app, &guard.ctx.grant::<ModelsRead>()?).await?;
    for (model, _) in made.values_mut() {
        if let Some(offer) = offers.iter().find(|offer| offer.model.id == *model) {
            model.clone_from(&offer.model.title);
        }
    }
    let money = money(app);
    let this = month.to_string();
    page::ok(&StatementPage {
        frame: frame.titled("Statement", Place::Activity),
        month: name(month.first_day()),
        heading: heading("You were charged", &counted, &money),
        note: note(&counted, &money),
        months: months(OWN, &counted, month),
        rows: lines.items.iter().map(|line| row(line, &made, When::new(line.accepted_at, now))).collect(),
        pager: Pager {
            range: String::new(),
            newer: look.cursor.as_ref().map(|_| address(OWN, &[("month", &this)])),
            older: older.map(|cursor| address(OWN, &[("month", &this), ("cursor", &cursor)])),
        },
        export: address(OWN_EXPORT, &[("month", &this)]),
    })
}

pub async fn statements_page(
    guard: Guard<StatementsRead>,
    query: Query<WhichMonth>,
    frame: PageFrame,
) -> Result<HttpResponse, Problem> {
    let (app, grant) = (&guard.app, guard.grant()?);
    let month = query.value.month.unwrap_or_else(|| Month::of(guard.ctx.clock.today()));
    let counted = ledger::all_counted(app, &grant, month).await?;
    let people = ledger::by_person(app, &grant, month).await?;
    let ids: Vec<PersonId> = people.iter().map(|(person, _)| *person).collect();
    let names: HashMap<_, _> =
        accounts::named(&mut *app.db.read().await?, &app.keys, &ids).await?.into_iter().collect();
    let money = money(app);
    let this = month.to_string();
    let person = |(person, sums): &(PersonId, crate::ledger::model::Sums)| PersonSpent {
        name: names.get(person).cloned().unwrap_or_else(|| person.to_string()),
        charged: money(sums.spent),
        held: money(sums.held),
        share: share(sums.spent, counted.sums.spent),
        export: address(ALL_EXPORT, &[("month", &this), ("person", &person.to_string())]),
    };
    page::ok(&StatementsPage {
        frame: frame.titled("Statements", Place::Admin),
        here: AdminPlace::Caps,
        month: name(month.first_day()),
        heading: heading("Everybody was charged", &counted, &money),
        note: note(&counted, &money),
        months: months(ALL, &counted, month),
        people: people.iter().map(person).collect(),
        export: address(ALL_EXPORT, &[("month", &this)]),
    })
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WhichMonth {
    month: Option<Month>,
}

fn money(app: &Platform) -> impl Fn(Micros) -> String + use<> {
    let currency: Currency = app.config.organisation.currency;
    move |micros| format::money(micros.0, currency.as_str())
}

/// "November 2026"
fn name(first: NaiveDate) -> String {
    first.format("%B %Y").to_string()
}

fn heading(whom: &str, counted: &Counted, money: impl Fn(Micros) -> String) -> String {
    if counted.sums.spent == Micros::ZERO {
        "Nothing was charged".to_owned()
    } else {
        format!("{whom} {}", money(counted.sums.spent))
    }
}

fn note(counted: &Counted, money: impl Fn(Micros) -> String) -> String {
    if counted.sums.held == Micros::ZERO {
        "Nothing more is set aside.".to_owned()
    } else {
        format!("{} more is set aside for work that has not ended.", money(counted.sums.held))
    }
}

fn months(path: &str, counted: &Counted, open: Month) -> Vec<Chip> {
    let chip = |month: &Month| Chip {
        label: name(month.first_day()),
        href: address(path, &[("month", &month.to_string())]),
        on: *month == open,
        removes: false,
    };
    counted.months.iter().map(chip).collect()
}

/// "12 %" of the whole.
fn share(part: Micros, whole: Micros) -> String {
    match i128::from(whole.0) {
        0 => "–".to_owned(),
        whole => format!("{} %", i128::from(part.0) * 100 / whole),
    }
}

/// Model and provider of each generation, as its own row names them.
type MadeBy = HashMap<crate::base::ids::GenerationId, (String, String)>;

async fn made(app: &Platform, lines: &[Line]) -> Result<MadeBy, Problem> {
    let generations: Vec<_> = lines.iter().map(|line| line.generation).collect();
    Ok(studio::ops::made_by(&mut *app.db.read().await?, &generations).await?)
}

fn row(line: &Line, made: &MadeBy, accepted: When) -> StatementRow {
    let show = |money: crate::base::money::Money| format::money(money.micros.0, money.currency.as_str());
    let (model, provider) = made.get(&line.generation).cloned().unwrap_or_else(|| {
        // What made it is forgotten with the generation; the books keep its id.
        (line.generation.to_string(), line.provider.to_string())
    });
    StatementRow {
        model,
        href: format!("/studio/generations/{}", line.generation),
        provider,
        accepted,
        held: show(line.held),
        charged: show(line.charged),
        overage: (line.overage.micros > Micros::ZERO)
            .then(|| format!("{} above what was set aside", show(line.overage))),
    }
}
