//! What errors look like, chosen by the address that failed.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{page, problem::Problem};
use crate::base::{ctx::RequestId, error::Kind};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// RFC 9457, for the API and for machines.
    Document,
    /// OpenAI's envelope, for its official clients.
    Envelope,
    /// For people.
    Page,
}

pub fn of(path: &str) -> Look {
    let below = |base: &str| path.strip_prefix(base).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if below("/v1") {
        Look::Envelope
    } else if below("/api") || ["/healthz", "/readyz", "/metrics"].contains(&path) {
        Look::Document
    } else {
        Look::Page
    }
}

pub fn render(look: Look, problem: &Problem, id: &RequestId, request: &HttpRequest) -> HttpResponse {
    match look {
        Look::Document => document(problem, id),
        Look::Envelope => envelope(problem),
        Look::Page => page::problem(problem, id, request),
    }
}

pub fn document(problem: &Problem, id: &RequestId) -> HttpResponse {
    let mut response = HttpResponse::build(problem.status());
    if problem.kind == Kind::Unauthenticated {
        response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
    }
    let body = serde_json::to_string(&problem.document(id)).unwrap_or_default();
    response.insert_header((header::CONTENT_TYPE, "application/problem+json")).body(body)
}

/// OpenAI's error envelope. Its clients choose the exception by status and retry on 409, 429 and 5xx unless told not to.
fn envelope(problem: &Problem) -> HttpResponse {
    let (status, kind, code) = match (problem.kind, problem.code) {
        (Kind::PaymentRequired, _) => (StatusCode::TOO_MANY_REQUESTS, "insufficient_quota", "insufficient_quota"),
        (_, "inference.unknown_model") => (StatusCode::NOT_FOUND, "invalid_request_error", "model_not_found"),
        (Kind::Unauthenticated, _) => (StatusCode::UNAUTHORIZED, "invalid_request_error", "invalid_api_key"),
        (Kind::RateLimited, _) => (StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", "rate_limit_exceeded"),
        (Kind::Invalid, _) => (StatusCode::BAD_REQUEST, "invalid_request_error", problem.code),
        (Kind::Internal | Kind::Upstream | Kind::Unavailable, _) => (problem.status(), "server_error", problem.code),
        _ => (problem.status(), "invalid_request_error", problem.code),
    };
    let mut response = HttpResponse::build(status);
    // Nothing that costs may be sent again by a client's own retries; a server that is away may be asked again.
    if matches!(problem.kind, Kind::PaymentRequired | Kind::Upstream | Kind::Conflict) {
        response.insert_header(("x-should-retry", "false"));
    }
    let param = problem.fields.first().map(|field| field.name.clone());
    let error = EnvelopeError { message: problem.detail.clone(), kind, param, code };
    response.json(Envelope { error })
}

/// What openai's clients read when something went wrong.
#[derive(Serialize, ToSchema)]
#[schema(as = OpenaiError)]
pub struct Envelope {
    error: EnvelopeError,
}

#[derive(Serialize, ToSchema)]
#[schema(as = OpenaiErrorDetail)]
struct EnvelopeError {
    message: String,
    #[serde(rename = "type")]
    kind: &'static str,
    param: Option<String>,
    code: &'static str,
}
