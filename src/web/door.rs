//! The outermost step of every request: names it, times it, gives errors their look, protects the answer.

use actix_web::{
    Error, HttpMessage, HttpResponse,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        StatusCode,
        header::{CONTENT_TYPE, HeaderName, HeaderValue},
    },
    middleware::Next,
};
use tracing::Instrument;

use super::{headers, look, problem::Problem};
use crate::{
    base::{
        clock::Clock,
        ctx::RequestId,
        error::Kind,
        ids::{Id, Kind as IdKind},
    },
    web::page,
};

/// The longest address that is read.
const LONGEST_ADDRESS: usize = 8 * 1024;
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

enum RequestKind {}
impl IdKind for RequestKind {
    const PREFIX: &'static str = "req";
}

pub async fn door(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let clock = Clock::system();
    let id = RequestId::new(Id::<RequestKind>::new(&clock).to_string());
    request.extensions_mut().insert(id.clone());
    let look = look::of(request.path());
    let method = request.method().clone();
    let started = std::time::Instant::now();
    // The path may carry ids; it never carries names, prompts or tokens.
    let span = tracing::info_span!("request", id = %id, method = %method, path = %request.path());
    let mut response = answer(request, next).instrument(span.clone()).await?;
    if let Some(problem) = problem_of(&response) {
        let body = span.in_scope(|| {
            log(&problem);
            look::render(look, &problem, &id, response.request())
        });
        response = dressed(response, body);
    }
    finish(&mut response, &id);
    let pattern = response.request().match_pattern().unwrap_or_else(|| "unknown".to_owned());
    let status = response.status().as_u16();
    let took = started.elapsed();
    span.in_scope(|| tracing::info!(status, milliseconds = took.as_millis(), "answered"));
    metrics::histogram!("renderkeep_request_seconds", "method" => method.to_string(), "route" => pattern,
        "status" => status.to_string())
    .record(took.as_secs_f64());
    Ok(response)
}

async fn answer(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    if request.uri().to_string().len() > LONGEST_ADDRESS {
        let problem = Problem::new(Kind::UriTooLong, "request.uri_too_long", "The address is longer than 8 KiB.");
        return Ok(request.error_response(problem).map_into_boxed_body());
    }
    next.call(request).await.map(ServiceResponse::map_into_boxed_body)
}

/// The problem a handler failed with, or the one that a bare error of the framework stands for.
fn problem_of(response: &ServiceResponse<BoxBody>) -> Option<Problem> {
    let known = response.response().extensions().get::<Problem>().cloned();
    known.or_else(|| {
        let status = response.status();
        let bare = (status.is_client_error() || status.is_server_error()) && !has_own_look(response);
        bare.then(|| of_status(status))
    })
}

/// Answers that were written whole by somebody who knew how errors look.
fn has_own_look(response: &ServiceResponse<BoxBody>) -> bool {
    response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .is_some_and(|kind| kind.contains("json") || kind.contains("html"))
}

fn of_status(status: StatusCode) -> Problem {
    match status {
        StatusCode::NOT_FOUND => crate::base::error::NotFound.into(),
        StatusCode::METHOD_NOT_ALLOWED => Problem::new(
            Kind::MethodNotAllowed,
            "request.method_not_allowed",
            "This address does not take that method.",
        ),
        StatusCode::PAYLOAD_TOO_LARGE => super::extract::too_large("The body is too large."),
        other if other.is_client_error() => {
            Problem::new(Kind::Malformed, "request.malformed", "The request could not be read.")
        }
        _ => Problem::new(
            Kind::Internal,
            "server.internal",
            "Something went wrong here. It was logged under the request number; nothing was half done.",
        ),
    }
}

fn log(problem: &Problem) {
    let cause = problem.cause.as_deref().unwrap_or_default();
    match problem.kind {
        Kind::Internal => tracing::error!(code = problem.code, detail = problem.detail, cause, "failed"),
        Kind::Unavailable | Kind::Upstream => {
            tracing::warn!(code = problem.code, detail = problem.detail, cause, "not available");
        }
        _ => tracing::debug!(code = problem.code, cause, "refused"),
    }
}

/// The same status and headers with another body.
fn dressed(response: ServiceResponse<BoxBody>, mut body: HttpResponse) -> ServiceResponse<BoxBody> {
    for (name, value) in response.headers() {
        if !body.headers().contains_key(name) {
            body.headers_mut().insert(name.clone(), value.clone());
        }
    }
    response.into_response(body)
}

fn finish(response: &mut ServiceResponse<BoxBody>, id: &RequestId) {
    let page = page::is_page(response.headers());
    if let Ok(value) = HeaderValue::from_str(id.as_str()) {
        response.headers_mut().insert(X_REQUEST_ID, value);
    }
    let host = response.request().connection_info().host().to_owned();
    headers::protect(response.headers_mut(), &host, page);
}
