//! What every error can say about itself.
//!
//! Each room has its own `thiserror` enum; `Fault` adds what a caller needs: a kind (which decides the status), a stable
//! code (which programs match on), and the fields concerned. The display text is one calm sentence for people; the source
//! chain goes to the log only.

use std::error::Error;

use serde::Serialize;
use utoipa::ToSchema;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The bytes could not be read as what they claim to be.
    Malformed,
    Unauthenticated,
    PaymentRequired,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    Conflict,
    TooLarge,
    UriTooLong,
    UnsupportedMedia,
    RangeNotSatisfiable,
    /// Readable, and not acceptable.
    Invalid,
    RateLimited,
    Internal,
    /// A provider failed while the caller was waiting for it.
    Upstream,
    Unavailable,
}

/// One thing wrong with one field of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldFault {
    /// Path of the field: `references[0].asset`.
    pub name: String,
    /// Stable word: `required`, `unknown`, `too_long`, `out_of_range`, `not_offered`, ...
    pub code: String,
    pub message: String,
}

impl FieldFault {
    pub fn new(name: impl Into<String>, code: &str, message: impl Into<String>) -> Self {
        Self { name: name.into(), code: code.to_owned(), message: message.into() }
    }
}

pub trait Fault: Error + Send + Sync + 'static {
    fn kind(&self) -> Kind;
    /// Stable, documented in `docs/API.md`: `library.not_in_trash`.
    fn code(&self) -> &'static str;
    fn fields(&self) -> Vec<FieldFault> {
        Vec::new()
    }
    /// An extension member of the problem document, such as `cap`.
    fn extension(&self) -> Option<(&'static str, serde_json::Value)> {
        None
    }
    /// Seconds after which another try makes sense.
    fn retry_after(&self) -> Option<u32> {
        None
    }
}

/// A request whose fields are wrong. Shared by all rooms, because it says the same everywhere.
#[derive(Debug, thiserror::Error)]
#[error("{}", summary(.0))]
pub struct Invalid(pub Vec<FieldFault>);

fn summary(fields: &[FieldFault]) -> String {
    match fields {
        [one] => one.message.clone(),
        [first, ..] => format!("{} (and {} more)", first.message, fields.len() - 1),
        [] => "The request is not valid.".to_owned(),
    }
}

impl Invalid {
    pub fn field(name: impl Into<String>, code: &str, message: impl Into<String>) -> Self {
        Self(vec![FieldFault::new(name, code, message)])
    }
}

impl Fault for Invalid {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }
    fn code(&self) -> &'static str {
        "request.invalid"
    }
    fn fields(&self) -> Vec<FieldFault> {
        self.0.clone()
    }
}

/// There is nothing of that name, or nothing that the caller may know of.
#[derive(Debug, thiserror::Error)]
#[error("There is nothing here under this name.")]
pub struct NotFound;

impl Fault for NotFound {
    fn kind(&self) -> Kind {
        Kind::NotFound
    }
    fn code(&self) -> &'static str {
        "not_found"
    }
}

/// The whole chain of causes on one line, for the log.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
