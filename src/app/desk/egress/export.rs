//! The ledger as a table: streamed page by page, so that a year of calls takes no more memory than a screen of them.

use std::{collections::HashMap, rc::Rc};

use actix_web::HttpResponse;
use chrono::SecondsFormat;
use serde_json::json;
use uuid::Uuid;

use super::look::Look;
use crate::{
    accounts::ops as accounts,
    base::{
        access::{EgressRead, Grant},
        ids::PersonId,
        paging::{Page, PageRequest},
    },
    console::http::egress::WhichCalls,
    platform::{
        Platform,
        audit::{self, Act},
        db::DbError,
        egress::ledger::{self, Entry, Filter},
    },
    web::{csv, extract::Query, guard::Guard, problem::Problem},
};

const HEAD: [&str; 15] = [
    "id",
    "at",
    "destination",
    "destination_id",
    "purpose",
    "person",
    "name",
    "generation",
    "categories",
    "bytes_out",
    "bytes_in",
    "status",
    "outcome",
    "reason",
    "duration_ms",
];

/// What the page shows.
pub async fn egress_table(guard: Guard<EgressRead>, query: Query<Look>) -> Result<HttpResponse, Problem> {
    let filter = query.value.filter(guard.ctx.clock.now())?;
    answer(&guard, filter).await
}

/// What the API lists.
pub async fn export_egress(guard: Guard<EgressRead>, query: Query<WhichCalls>) -> Result<HttpResponse, Problem> {
    answer(&guard, query.value.filter()?).await
}

async fn answer(guard: &Guard<EgressRead>, filter: Filter) -> Result<HttpResponse, Problem> {
    let ctx = &guard.ctx;
    let details = json!({
        "destination": filter.destination, "purpose": filter.purpose, "person": filter.person,
        "outcomes": filter.outcomes, "since": filter.since, "until": filter.until,
    });
    guard
        .app
        .db
        .write("egress.export", async |tx| audit::record(tx, ctx, Act::done("egress.export").details(details)).await)
        .await?;
    let export = Rc::new(Export { app: guard.app.clone(), grant: guard.grant()?, filter });
    let next = move |before| {
        let export = export.clone();
        async move { export.rows(before).await }
    };
    Ok(csv::download(&format!("egress-{}", ctx.clock.today()), HEAD, next))
}

struct Export {
    app: Platform,
    grant: Grant<EgressRead>,
    filter: Filter,
}

impl Export {
    async fn rows(&self, before: Option<Uuid>) -> Result<csv::Piece<{ HEAD.len() }>, DbError> {
        let page = PageRequest { limit: csv::AT_ONCE, before };
        let Page { items, next } = ledger::list(&self.app.db, &self.grant, &self.filter, &page).await?;
        let names = self.names(&items).await?;
        Ok((items.into_iter().map(|entry| row(entry, &names)).collect(), next))
    }

    async fn names(&self, entries: &[Entry]) -> Result<HashMap<PersonId, String>, DbError> {
        let mut people: Vec<PersonId> = entries.iter().filter_map(|entry| entry.person).collect();
        people.sort_unstable();
        people.dedup();
        Ok(accounts::named(&mut *self.app.db.read().await?, &self.app.keys, &people).await?.into_iter().collect())
    }
}

fn row(entry: Entry, names: &HashMap<PersonId, String>) -> [String; HEAD.len()] {
    fn text(value: Option<impl ToString>) -> String {
        value.map(|value| value.to_string()).unwrap_or_default()
    }
    [
        entry.id.to_string(),
        entry.at.to_rfc3339_opts(SecondsFormat::Millis, true),
        entry.destination.name(),
        entry.destination.id.to_string(),
        entry.purpose,
        text(entry.person),
        text(entry.person.and_then(|id| names.get(&id))),
        text(entry.generation),
        entry.categories.join(" "),
        entry.bytes_out.to_string(),
        entry.bytes_in.to_string(),
        text(entry.status),
        entry.outcome.as_str().to_owned(),
        text(entry.reason),
        text(entry.duration_ms),
    ]
}
