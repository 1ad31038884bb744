//! Pages that are made of several rooms: a picture with how it was made, people with what they spent, the audit log with
//! names, the overview.
//!
//! Each room says what it knows; only up here are they put together.

mod audit;
mod egress;
mod overview;
mod people;
mod picture;
mod providers;
mod statement;
mod unknown;
mod words;

use actix_web::http::StatusCode;

use crate::{
    console::http::egress::WhichCalls,
    web::{
        document::operation,
        format::address,
        parts::Choice,
        route::{Route, get, post},
    },
};

pub fn routes() -> Vec<Route> {
    vec![
        get("/library/{id}", picture::asset_page),
        get("/admin", overview::overview_page),
        get("/admin/people", people::people_page),
        post("/admin/people", people::add_person),
        post("/admin/people/{id}/one-time-password", people::give_one_time_password),
        get(unknown::UNKNOWN, unknown::unknown_page),
        get("/admin/unknown/{id}", unknown::settle_again),
        post("/admin/unknown/{id}", unknown::settle),
        get("/admin/audit", audit::audit_page),
        get("/admin/audit/export", audit::export_audit),
        get(egress::EGRESS, egress::egress_page),
        get(egress::EXPORT, egress::egress_table),
        post("/admin/egress/destinations/{id}", egress::switch),
        get("/api/v1/admin/egress/export", egress::export_egress).documented(
            operation("egress", "The same calls as a table, newest first; the export is audited")
                .query::<WhichCalls>()
                .answers_bytes(StatusCode::OK, "text/csv", "Every call that fits, below a head."),
        ),
        get(statement::OWN, statement::statement_page),
        get(statement::ALL, statement::statements_page),
        get(statement::OWN_EXPORT, statement::export_own).documented(
            operation("statements", "Own statement of a month as a table, with names, newest first")
                .query::<statement::WhichOwn>()
                .answers_bytes(StatusCode::OK, "text/csv", "Every charged generation, below a head."),
        ),
        get(statement::ALL_EXPORT, statement::export_all).documented(
            operation(
                "statements",
                "The statement of a month as a table, with names, newest first; the export is audited",
            )
            .query::<statement::WhichStatement>()
            .answers_bytes(StatusCode::OK, "text/csv", "Every charged generation, below a head."),
        ),
        get(providers::PROVIDERS, providers::providers_page),
        post(providers::PROVIDERS, providers::add_provider),
        post("/admin/providers/{id}", providers::change_provider),
        post("/admin/providers/{id}/switch", providers::switch_provider),
        post("/admin/providers/{id}/test", providers::test_provider),
        post("/admin/providers/{id}/delete", providers::remove_provider),
        post("/admin/providers/{id}/models", providers::put_model),
        post("/admin/providers/{id}/models/switch", providers::switch_model),
    ]
}

/// What a filter offers, anything first.
fn choices<'a>(any: &str, all: impl IntoIterator<Item = (&'a str, &'a str)>, chosen: &str) -> Vec<Choice> {
    let rest = all.into_iter().map(|(value, label)| Choice::new(value, label, chosen));
    std::iter::once(Choice::new("", any, chosen)).chain(rest).collect()
}
