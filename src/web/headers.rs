//! Headers that protect the browser, and the rule against requests forged by other sites.

use actix_web::{
    HttpRequest,
    http::{
        Method,
        header::{HeaderMap, HeaderName, HeaderValue, ORIGIN},
    },
};

use super::{look, problem::Problem};
use crate::{
    base::{
        ctx::{Actor, Credential, Ctx},
        error::Kind,
    },
    platform::{
        Platform,
        crypto::{Keys, Purpose},
    },
};

/// For pages: only our own files, nothing inline, no frames.
pub const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; \
     font-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'; object-src 'none'";
/// For everything that is data: even opened directly it can do nothing.
pub const DATA_POLICY: &str = "default-src 'none'; sandbox; frame-ancestors 'none'; base-uri 'none'";

/// On every answer, errors included. What a handler set itself stays.
pub fn protect(headers: &mut HeaderMap, host: &str, page: bool) {
    let policy = if page { PAGE_POLICY } else { DATA_POLICY };
    for (name, value) in [
        ("content-security-policy", policy),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
        ("strict-transport-security", "max-age=63072000; includeSubDomains"),
        ("cache-control", "no-store"),
    ] {
        let name = HeaderName::from_static(name);
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    // Browsers keep this for the host, whatever the port: other servers under development would be out of reach.
    if host == "localhost" || host.starts_with("localhost:") {
        headers.remove("strict-transport-security");
    }
}

/// A request that changes something and is authorised by a cookie must come from our own pages: Fetch Metadata, or where
/// a browser sends none, Origin; and the form token besides. Tokens in a header cannot be forged by another site.
pub fn refuse_cross_site(request: &HttpRequest, ctx: &Ctx, app: &Platform) -> Result<(), Problem> {
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    match session_of(ctx) {
        Some(session) => {
            refuse_foreign_origin(request)?;
            refuse_missing_token(request, &app.keys, &session)
        }
        // A sign-in has no session yet; a bearer token needs no such rule.
        None if matches!(ctx.actor, Actor::Nobody) => refuse_foreign_origin_if_any(request),
        None => Ok(()),
    }
}

fn session_of(ctx: &Ctx) -> Option<String> {
    match &ctx.actor {
        Actor::Person(acting) => match acting.credential {
            Credential::Session(id) => Some(id.to_string()),
            Credential::Token(_) | Credential::Console => None,
        },
        Actor::Nobody | Actor::System(_) => None,
    }
}

fn cross_site() -> Problem {
    Problem::new(
        Kind::Forbidden,
        "auth.cross_site",
        "This request did not come from this server's own pages, so nothing was done. Reload the page and try again.",
    )
}

fn text<'a>(request: &'a HttpRequest, name: &str) -> Option<&'a str> {
    request.headers().get(name)?.to_str().ok()
}

fn refuse_foreign_origin(request: &HttpRequest) -> Result<(), Problem> {
    match text(request, "sec-fetch-site") {
        Some("same-origin") => Ok(()),
        Some(_) => Err(cross_site()),
        None if own_origin(request) => Ok(()),
        None => Err(cross_site()),
    }
}

fn refuse_foreign_origin_if_any(request: &HttpRequest) -> Result<(), Problem> {
    let told = request.headers().contains_key("sec-fetch-site") || request.headers().contains_key(ORIGIN);
    if told { refuse_foreign_origin(request) } else { Ok(()) }
}

fn own_origin(request: &HttpRequest) -> bool {
    let host = request.connection_info().host().to_owned();
    text(request, "origin")
        .and_then(|origin| origin.split_once("://"))
        .is_some_and(|(_, origin_host)| origin_host.eq_ignore_ascii_case(&host))
}

/// The token may stand in a header (modules, htmx) or in the form itself, which `extract::Form` checks.
fn refuse_missing_token(request: &HttpRequest, keys: &Keys, session: &str) -> Result<(), Problem> {
    match text(request, "x-csrf-token") {
        Some(token) if form_token_matches(keys, session, token) => Ok(()),
        Some(_) => Err(cross_site()),
        // Only a page's own form carries the token in its body; the API takes none there.
        None if is_form(request) && look::of(request.path()) == look::Look::Page => Ok(()),
        None => Err(cross_site()),
    }
}

pub fn is_form(request: &HttpRequest) -> bool {
    text(request, "content-type").is_some_and(|kind| {
        kind.starts_with("application/x-www-form-urlencoded") || kind.starts_with("multipart/form-data")
    })
}

/// The token that forms of this session carry.
pub fn form_token(keys: &Keys, ctx: &Ctx) -> String {
    let session = session_of(ctx).unwrap_or_default();
    keys.mac_text(Purpose::Form, session.as_bytes()).unwrap_or_default()
}

/// For bodies whose token is a field of the form.
pub fn check_form_token(keys: &Keys, ctx: &Ctx, token: Option<&str>) -> Result<(), Problem> {
    let Some(session) = session_of(ctx) else { return Ok(()) };
    match token {
        Some(token) if form_token_matches(keys, &session, token) => Ok(()),
        _ => Err(cross_site()),
    }
}

fn form_token_matches(keys: &Keys, session: &str, token: &str) -> bool {
    data_encoding::BASE64URL_NOPAD
        .decode(token.as_bytes())
        .is_ok_and(|mac| keys.verify(Purpose::Form, session.as_bytes(), &mac))
}
