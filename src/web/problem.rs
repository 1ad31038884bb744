//! Errors on the wire: one type for every handler, three looks.
//!
//! A handler fails with a `Problem`; what it looks like is decided once, by the address: problem+json (RFC 9457) for the
//! API, OpenAI's envelope under `/v1`, a page for people. The cause goes to the log and never to the caller.

use std::fmt;

use actix_web::{
    HttpResponse, HttpResponseBuilder, ResponseError,
    http::{StatusCode, header},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::base::{
    ctx::RequestId,
    error::{Fault, FieldFault, Kind, chain},
};

#[derive(Clone, Debug)]
pub struct Problem {
    pub kind: Kind,
    pub code: &'static str,
    pub detail: String,
    pub fields: Vec<FieldFault>,
    pub extension: Option<(&'static str, serde_json::Value)>,
    pub retry_after: Option<u32>,
    /// A header that belongs to this kind of problem: `Allow`, `Content-Range`.
    pub header: Option<(header::HeaderName, header::HeaderValue)>,
    /// For the log.
    pub cause: Option<String>,
}

impl<F: Fault> From<F> for Problem {
    fn from(fault: F) -> Self {
        Self {
            kind: fault.kind(),
            code: fault.code(),
            detail: fault.to_string(),
            fields: fault.fields(),
            extension: fault.extension(),
            retry_after: fault.retry_after(),
            header: None,
            cause: std::error::Error::source(&fault).map(chain),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.code, self.detail)
    }
}

impl Problem {
    pub fn new(kind: Kind, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            kind,
            code,
            detail: detail.into(),
            fields: Vec::new(),
            extension: None,
            retry_after: None,
            header: None,
            cause: None,
        }
    }

    pub fn status(&self) -> StatusCode {
        status(self.kind)
    }

    pub fn title(&self) -> &'static str {
        title(self.kind)
    }

    /// The RFC 9457 document.
    pub fn document(&self, request: &RequestId) -> ProblemDocument {
        ProblemDocument {
            kind: format!("about:blank#{}", self.code),
            title: self.title().to_owned(),
            status: self.status().as_u16(),
            detail: self.detail.clone(),
            code: self.code.to_owned(),
            request_id: request.to_string(),
            fields: self.fields.clone(),
            extension: self.extension.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
        }
    }
}

/// `application/problem+json`.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProblemDocument {
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    pub status: u16,
    /// One sentence: what happened and what to do.
    pub detail: String,
    /// Stable word for programs.
    pub code: String,
    pub request_id: String,
    pub fields: Vec<FieldFault>,
    #[serde(flatten)]
    pub extension: serde_json::Map<String, serde_json::Value>,
}

pub fn status(kind: Kind) -> StatusCode {
    match kind {
        Kind::Malformed => StatusCode::BAD_REQUEST,
        Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
        Kind::PaymentRequired => StatusCode::PAYMENT_REQUIRED,
        Kind::Forbidden => StatusCode::FORBIDDEN,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        Kind::Conflict => StatusCode::CONFLICT,
        Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Kind::UriTooLong => StatusCode::URI_TOO_LONG,
        Kind::UnsupportedMedia => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Kind::RangeNotSatisfiable => StatusCode::RANGE_NOT_SATISFIABLE,
        Kind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
        Kind::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        Kind::Upstream => StatusCode::BAD_GATEWAY,
        Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    }
}

fn title(kind: Kind) -> &'static str {
    match kind {
        Kind::Malformed => "The request could not be read",
        Kind::Unauthenticated => "Sign in first",
        Kind::PaymentRequired => "The spending cap is reached",
        Kind::Forbidden => "Not allowed",
        Kind::NotFound => "Nothing here",
        Kind::MethodNotAllowed => "This address does not take that method",
        Kind::Conflict => "Not possible in this state",
        Kind::TooLarge => "Too large",
        Kind::UriTooLong => "The address is too long",
        Kind::UnsupportedMedia => "This type of content is not taken here",
        Kind::RangeNotSatisfiable => "The range lies outside the content",
        Kind::Invalid => "Something in the request is not right",
        Kind::RateLimited => "Too many requests",
        Kind::Internal => "Something went wrong here",
        Kind::Upstream => "The provider failed",
        Kind::Unavailable => "Not available at the moment",
    }
}

/// The bare answer carries the problem itself; `web::door` gives it its look, because only there the address and the
/// request's id are known.
impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status()
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponseBuilder::new(self.status()).finish();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from(seconds));
        }
        if let Some((name, value)) = &self.header {
            response.headers_mut().insert(name.clone(), value.clone());
        }
        response.extensions_mut().insert(self.clone());
        response
    }
}
