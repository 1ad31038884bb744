//! One call: row, connection, bytes counted both ways, row.

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, USER_AGENT};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{
    Outlet,
    address::{Reach, Refusal},
    body::Body,
    destinations::{self, Destination, Origin},
    error::EgressError,
    ledger::{self, End, Outcome},
    resolve::{Judged, Lookup, Unresolvable},
    way::Way,
};
use crate::{
    base::ids::EgressCallId,
    platform::{
        crash,
        db::{DbError, in_transaction},
        signals::{Listener, Signal},
    },
};

#[expect(clippy::disallowed_types, reason = "the home of the HTTP client")]
pub(super) type Http = reqwest::Client;

/// Look-up, connection and handshake.
const CONNECT: Duration = Duration::from_secs(10);
/// Of an answer.
const HEADERS: usize = 100;
/// Between two attempts to ask the database.
const AGAIN: Duration = Duration::from_millis(500);
/// Between two pieces of an answer that has begun.
const IDLE: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Post,
}

/// What to ask.
pub struct Call {
    pub method: Method,
    pub url: Url,
    /// Sent as `Authorization: Bearer`.
    pub bearer: Option<SecretString>,
    pub body: Body,
    /// For the whole call.
    pub limit: Duration,
    /// Largest answer that is taken.
    pub most: usize,
    pub cancel: CancellationToken,
}

/// A whole answer, whatever its status.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub content_type: Option<String>,
    pub retry_after: Option<String>,
    /// The receiver's name for this request, for its support.
    pub request_id: Option<String>,
    pub body: Bytes,
    pub took: Duration,
}

/// The client for one reach.
pub(super) fn build(way: &Way, reach: Reach, lookup: Arc<dyn Lookup>) -> reqwest::Result<Http> {
    // Refused when another part was first; then there is a provider, which is all that is needed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    way.applied(reach, Http::builder())
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .http1_only()
        // A connection that idled may be closed at the other end just when the next call is written; nobody could say
        // whether that call arrived.
        .pool_max_idle_per_host(0)
        .connect_timeout(CONNECT)
        // With the parser's buffer for each this bounds the head of an answer to about 400 kB.
        .http1_max_headers(HEADERS)
        .dns_resolver(Judged { lookup, reach: way.looks_up(reach) })
        .build()
}

/// What has passed so far.
#[derive(Default)]
struct Tally {
    head: AtomicU64,
    out: Arc<AtomicU64>,
    back: AtomicU64,
}

impl From<Method> for reqwest::Method {
    fn from(method: Method) -> Self {
        match method {
            Method::Get => Self::GET,
            Method::Post => Self::POST,
        }
    }
}

impl Outlet {
    /// Writes the call down, makes it, and writes down how it ended.
    pub async fn send(&self, call: Call) -> Result<Reply, EgressError> {
        debug_assert!(!in_transaction(), "a call out of the process inside a transaction");
        let inner = &self.egress.0;
        let started = Instant::now();
        // Before the row is read, so that no switch is missed in between.
        let signals = inner.signals.subscribe();
        let (id, destination) = self.write_down(&call).await?;
        crash::point(crash::ON_THE_WAY_OUT);
        let tally = Tally::default();
        let result = match self.permit(&destination, &call) {
            Ok(()) => self.make(&destination, call, &tally, signals).await,
            Err(refused) => Err(refused),
        };
        let took = started.elapsed();
        let end = end(&result, &tally, took);
        let closed = async { ledger::close(&mut *inner.db.read().await?, id, &end).await };
        if let Err(error) = closed.await {
            // The row stays open and the sweep closes it; the answer may have been paid for and must not be lost here.
            tracing::warn!(call = %id, error = &error as &dyn Error, "how a call ended could not be written down");
        }
        result.map(|reply| Reply { took, ..reply })
    }

    async fn write_down(&self, call: &Call) -> Result<(EgressCallId, Destination), EgressError> {
        let inner = &self.egress.0;
        let head = headers(call).map_or(0, |headers| head_length(call.method, &call.url, &headers));
        let most = head + call.body.length();
        inner
            .db
            .write("egress.open", async |tx| {
                let found = destinations::find(tx, self.destination).await?;
                let Some(destination) = found else { return Ok(None) };
                let id = ledger::open(tx, &inner.clock, destination.id, &self.about, most, call.limit).await?;
                Ok::<_, DbError>(Some((id, destination)))
            })
            .await?
            .ok_or(EgressError::Unknown)
    }

    /// Everything that can be judged before a name is looked up.
    fn permit(&self, destination: &Destination, call: &Call) -> Result<(), EgressError> {
        if destination.disabled_at.is_some() {
            return Err(EgressError::SwitchedOff);
        }
        if destination.purpose != self.about.purpose.of_destination() {
            return Err(EgressError::Purpose);
        }
        if Origin::of(&call.url).as_ref() != Some(&destination.origin) {
            return Err(EgressError::Elsewhere);
        }
        let allowed = |word: &str| destination.categories.iter().any(|category| category == word);
        if let Some(category) = self.about.categories.iter().find(|category| !allowed(category.as_str())) {
            return Err(EgressError::Data(*category));
        }
        // An address that is written out is connected to without being looked up.
        Ok(super::judge(&call.url, destination.local)?)
    }

    async fn make(
        &self,
        destination: &Destination,
        call: Call,
        tally: &Tally,
        signals: Listener,
    ) -> Result<Reply, EgressError> {
        let deadline = Instant::now() + call.limit;
        let cancel = call.cancel.clone();
        let exchange = async {
            let client = self.egress.client(destination.reach())?;
            exchange(&client, call, tally).await
        };
        tokio::select! {
            biased;
            () = cancel.cancelled() => Err(EgressError::Cancelled),
            () = self.withdrawn(signals) => Err(EgressError::Withdrawn),
            result = timeout_at(deadline, exchange) => result.unwrap_or(Err(EgressError::TimedOut)),
        }
    }

    /// Returns once the destination was switched off.
    async fn withdrawn(&self, mut signals: Listener) {
        let changed = Signal::Destination(self.destination.uuid());
        loop {
            signals.until(&changed).await;
            if self.is_off().await {
                return;
            }
        }
    }

    /// Asks until the database answers.
    async fn is_off(&self) -> bool {
        let look = async || destinations::find(&mut *self.egress.0.db.read().await?, self.destination).await;
        loop {
            match look().await {
                Ok(found) => return found.is_none_or(|destination| destination.disabled_at.is_some()),
                Err(error) => tracing::warn!(error = &error as &dyn Error, "a destination cannot be looked up"),
            }
            sleep(AGAIN).await;
        }
    }
}

async fn exchange(client: &Http, call: Call, tally: &Tally) -> Result<Reply, EgressError> {
    let most = call.most;
    let request = prepare(call, tally).map_err(EgressError::Unprepared)?;
    let mut response = client.execute(request).await.map_err(|error| failure(&error))?;
    let status = response.status().as_u16();
    let text = |name: &str| Some(response.headers().get(name)?.to_str().ok()?.to_owned());
    let (content_type, retry_after, request_id) = (text("content-type"), text("retry-after"), text("x-request-id"));
    let mut body = BytesMut::new();
    loop {
        let piece =
            timeout(IDLE, response.chunk()).await.map_err(|_| EgressError::BrokenOff { status: Some(status) })?;
        let Some(piece) = piece.map_err(|_| EgressError::BrokenOff { status: Some(status) })? else { break };
        tally.back.fetch_add(piece.len() as u64, Ordering::Relaxed);
        if body.len() + piece.len() > most {
            return Err(EgressError::TooLarge { status });
        }
        body.extend_from_slice(&piece);
    }
    Ok(Reply { status, content_type, retry_after, request_id, body: body.freeze(), took: Duration::ZERO })
}

fn prepare(call: Call, tally: &Tally) -> Result<reqwest::Request, Box<dyn Error + Send + Sync>> {
    let headers = headers(&call)?;
    tally.head.store(head_length(call.method, &call.url, &headers), Ordering::Relaxed);
    let mut request = reqwest::Request::new(call.method.into(), call.url);
    *request.headers_mut() = headers;
    if call.method == Method::Post {
        *request.body_mut() = Some(call.body.counted(tally.out.clone()));
    }
    Ok(request)
}

/// All of them, so that the client adds none and what leaves can be counted.
fn headers(call: &Call) -> Result<HeaderMap, Box<dyn Error + Send + Sync>> {
    let mut headers = HeaderMap::new();
    let origin = Origin::of(&call.url).ok_or(Refusal::Nothing)?;
    let host = match call.url.port() {
        Some(port) => format!("{}:{port}", origin.host),
        None => origin.host,
    };
    headers.insert(HOST, host.parse()?);
    headers.insert(USER_AGENT, HeaderValue::from_static("renderkeep"));
    headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    if let Some(bearer) = &call.bearer {
        let mut value: HeaderValue = format!("Bearer {}", bearer.expose_secret()).parse()?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    if call.method == Method::Post {
        headers.insert(CONTENT_LENGTH, call.body.length().into());
        if let Some(content_type) = &call.body.content_type {
            headers.insert(CONTENT_TYPE, content_type.parse()?);
        }
    }
    Ok(headers)
}

/// Request line and headers, as HTTP/1.1 writes them.
fn head_length(method: Method, url: &Url, headers: &HeaderMap) -> u64 {
    let method = reqwest::Method::from(method);
    let target = url.path().len() + url.query().map_or(0, |query| query.len() + 1);
    let line = method.as_str().len() + 1 + target + " HTTP/1.1\r\n".len();
    let lines: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len()).sum();
    (line + lines + "\r\n".len()) as u64
}

/// Before a connection stands, nothing was sent; afterwards nobody knows.
fn failure(error: &reqwest::Error) -> EgressError {
    if let Some(refusal) = cause::<Refusal>(error) {
        return EgressError::Address(*refusal);
    }
    if cause::<Unresolvable>(error).is_some() {
        return EgressError::Unresolvable;
    }
    match (error.is_connect(), error.is_timeout()) {
        (true, true) => EgressError::Unconnected,
        (true, false) => EgressError::Unreachable,
        _ => EgressError::BrokenOff { status: None },
    }
}

fn cause<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let cause = error.source()?;
    cause.downcast_ref().or_else(|| self::cause(cause))
}

fn end(result: &Result<Reply, EgressError>, tally: &Tally, took: Duration) -> End {
    let (outcome, status) = match result {
        Ok(reply) => (Outcome::Answered, Some(reply.status)),
        Err(EgressError::BrokenOff { status }) => (Outcome::Failed, *status),
        Err(EgressError::TooLarge { status }) => (Outcome::Failed, Some(*status)),
        Err(EgressError::TimedOut | EgressError::Unconnected) => (Outcome::TimedOut, None),
        Err(EgressError::Cancelled | EgressError::Withdrawn) => (Outcome::Cancelled, None),
        Err(EgressError::Unresolvable | EgressError::Unreachable | EgressError::Unprepared(_) | EgressError::Db(_)) => {
            (Outcome::Failed, None)
        }
        Err(
            EgressError::Unknown
            | EgressError::SwitchedOff
            | EgressError::Elsewhere
            | EgressError::Purpose
            | EgressError::Data(_)
            | EgressError::Address(_),
        ) => (Outcome::Refused, None),
    };
    let sent = result.as_ref().err().is_none_or(|error| !error.surely_not_sent());
    let head = if sent { tally.head.load(Ordering::Relaxed) } else { 0 };
    End {
        outcome,
        reason: result.as_ref().err().map(EgressError::reason),
        status,
        bytes_out: head + tally.out.load(Ordering::Relaxed),
        bytes_in: tally.back.load(Ordering::Relaxed),
        duration_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
    }
}
