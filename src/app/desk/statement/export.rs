//! A statement as a table: a line for each generation that was charged.

use std::{collections::HashMap, rc::Rc};

use actix_web::HttpResponse;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::Deserialize;
use serde_json::json;
use utoipa::IntoParams;

use crate::{
    accounts::ops as accounts,
    base::{
        access::{StatementRead, StatementsRead},
        ids::PersonId,
        paging::{Page, PageRequest},
    },
    ledger::{
        ops::statement as ledger,
        statement::{Line, Month},
    },
    platform::{
        Platform,
        audit::{self, Act},
        db::DbError,
    },
    studio,
    web::{csv, extract::Query, guard::Guard, problem::Problem},
};

const HEAD: [&str; 13] = [
    "generation",
    "accepted_at",
    "charged_at",
    "person",
    "name",
    "workspace",
    "model",
    "provider",
    "provider_id",
    "currency",
    "held",
    "charged",
    "overage",
];

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct WhichOwn {
    /// As 2026-11, in UTC; without it, this month.
    #[param(value_type = Option<String>, pattern = r"^[0-9]{4}-[0-9]{2}$")]
    month: Option<Month>,
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct WhichStatement {
    /// As 2026-11, in UTC; without it, this month.
    #[param(value_type = Option<String>, pattern = r"^[0-9]{4}-[0-9]{2}$")]
    month: Option<Month>,
    person: Option<PersonId>,
}

pub async fn export_own(guard: Guard<StatementRead>, query: Query<WhichOwn>) -> Result<HttpResponse, Problem> {
    let month = query.value.month.unwrap_or_else(|| Month::of(guard.ctx.clock.today()));
    let (app, grant) = (guard.app.clone(), Rc::new(guard.grant()?));
    Ok(table(guard.app.clone(), month, move |page| {
        let (app, grant) = (app.clone(), grant.clone());
        async move { ledger::own_lines(&app, &grant, month, &page).await }
    }))
}

pub async fn export_all(guard: Guard<StatementsRead>, query: Query<WhichStatement>) -> Result<HttpResponse, Problem> {
    let (ctx, person) = (&guard.ctx, query.value.person);
    let month = query.value.month.unwrap_or_else(|| Month::of(ctx.clock.today()));
    let details = json!({ "month": month.to_string(), "person": person });
    guard
        .app
        .db
        .write("ledger.export", async |tx| audit::record(tx, ctx, Act::done("ledger.export").details(details)).await)
        .await?;
    let (app, grant) = (guard.app.clone(), Rc::new(guard.grant()?));
    Ok(table(guard.app.clone(), month, move |page| {
        let (app, grant) = (app.clone(), grant.clone());
        async move { ledger::all_lines(&app, &grant, month, person, &page).await }
    }))
}

fn table<F, G>(app: Platform, month: Month, lines: F) -> HttpResponse
where
    F: Fn(PageRequest) -> G + 'static,
    G: Future<Output = Result<Page<Line>, DbError>> + 'static,
{
    csv::download(&format!("statement-{month}"), HEAD, move |before| {
        let (app, lines) = (app.clone(), lines(PageRequest { limit: csv::AT_ONCE, before }));
        async move {
            let Page { items, next } = lines.await?;
            Ok::<_, DbError>((rows(&app, &items).await?, next))
        }
    })
}

async fn rows(app: &Platform, lines: &[Line]) -> Result<Vec<[String; HEAD.len()]>, DbError> {
    let conn = &mut app.db.read().await?;
    let mut people: Vec<PersonId> = lines.iter().map(|line| line.person).collect();
    people.sort_unstable();
    people.dedup();
    let names: HashMap<_, _> = accounts::named(conn, &app.keys, &people).await?.into_iter().collect();
    let generations: Vec<_> = lines.iter().map(|line| line.generation).collect();
    let made = studio::ops::made_by(conn, &generations).await?;
    let row = |line: &Line| {
        // What made it is forgotten with the generation; the books keep its id.
        let (model, provider) = made.get(&line.generation).cloned().unwrap_or_default();
        [
            line.generation.to_string(),
            time(line.accepted_at),
            time(line.charged_at),
            line.person.to_string(),
            names.get(&line.person).cloned().unwrap_or_default(),
            line.workspace.to_string(),
            model,
            provider,
            line.provider.to_string(),
            line.charged.currency.to_string(),
            line.held.micros.decimal(),
            line.charged.micros.decimal(),
            line.overage.micros.decimal(),
        ]
    };
    Ok(lines.iter().map(row).collect())
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}
