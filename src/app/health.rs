//! Health, the API's own description, and static files: what every part of the server together answers.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        StatusCode,
        header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, LOCATION, VARY},
    },
    web,
};
use diesel_async::SimpleAsyncConnection;
use serde::Serialize;
use utoipa::ToSchema;

use super::rooms;
use crate::{
    base::{access::Public, error::NotFound},
    platform::{
        db::Db,
        storage::StorageError,
        telemetry::health::{self, Report},
    },
    web::{
        document::{self, operation},
        guard::Guard,
        problem::Problem,
        route::{Route, get},
        statics,
    },
};

pub fn routes() -> Vec<Route> {
    vec![
        get("/healthz", healthz).documented(
            operation("health", "Whether the process lives").public().answers::<Alive>(StatusCode::OK, "It lives."),
        ),
        get("/readyz", readyz).documented(
            operation("health", "Whether everything that the server needs answers")
                .public()
                .answers::<Report>(StatusCode::OK, "Ready.")
                .answers::<Report>(StatusCode::SERVICE_UNAVAILABLE, "A part is down; the answer says which."),
        ),
        get("/api/openapi.json", openapi).documented(operation("health", "This document").public().answers_bytes(
            StatusCode::OK,
            "application/json",
            "OpenAPI 3.1.",
        )),
        get("/static/{hash}/{path:.*}", static_file),
        get("/favicon.ico", favicon),
    ]
}

#[derive(Serialize, ToSchema)]
struct Alive {
    status: &'static str,
}

async fn healthz(_guard: Guard<Public>) -> HttpResponse {
    HttpResponse::Ok().json(Alive { status: "alive" })
}

async fn readyz(guard: Guard<Public>) -> HttpResponse {
    let report = probe(&guard.app.db, guard.app.storage.stores().answer(&guard.app.db)).await;
    let status = if report.ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    HttpResponse::build(status).json(report)
}

async fn openapi(_guard: Guard<Public>) -> HttpResponse {
    HttpResponse::Ok().json(document::document(&rooms::routes()))
}

async fn static_file(
    _guard: Guard<Public>,
    path: web::Path<(String, String)>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let (hash, path) = path.into_inner();
    let file = statics::find(&hash, &path).ok_or(NotFound)?;
    let mut response = HttpResponse::Ok();
    response
        .content_type(file.media_type)
        .insert_header((CACHE_CONTROL, "public, max-age=31536000, immutable"))
        .insert_header((VARY, "Accept-Encoding"));
    let zipped = request.headers().get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    match statics::zipped(file).filter(|_| zipped.is_some_and(|value| value.contains("gzip"))) {
        Some(bytes) => Ok(response.insert_header((CONTENT_ENCODING, "gzip")).body(bytes)),
        None => Ok(response.body(file.bytes)),
    }
}

async fn favicon(_guard: Guard<Public>) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((LOCATION, statics::url("favicon.svg"))).finish()
}

/// Whether the parts that the server cannot do without answer.
pub async fn probe(db: &Db, store: impl Future<Output = Result<(), StorageError>>) -> Report {
    let database = async { Ok::<_, health::Cause>(db.read().await?.batch_execute("select 1").await?) };
    health::probe(database, async { Ok::<_, health::Cause>(store.await?) }).await
}
