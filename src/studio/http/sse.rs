//! The event stream (Server-Sent Events, WHATWG HTML 9.2).

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, http::header::CACHE_CONTROL, web::Bytes};
use futures::{Stream, stream};
use tokio::time::{Instant, sleep};

use crate::{
    accounts,
    base::{
        access::StudioRead,
        ctx::{Credential, Ctx},
        error::{Invalid, chain},
    },
    platform::{Platform, signals::Signal},
    studio::events::{Event, Reader},
    web::{guard::Guard, problem::Problem},
};

/// A comment this often keeps proxies from closing the line.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How often a quiet stream makes sure that it may go on.
const CHECK: Duration = Duration::from_secs(1);
/// A browser that lost the line comes back after this long.
const COME_BACK: &str = "retry: 1000\n\n";

pub async fn events(guard: Guard<StudioRead>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let last = last_event(&request)?;
    let credential = guard.ctx.acting()?.credential;
    let reader = Reader::open(&guard.app, guard.grant()?, last).await?;
    let line = Line { access: guard.app.signals.subscribe(), app: guard.app, ctx: guard.ctx, credential, reader };
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((CACHE_CONTROL, "no-store"))
        // Tells nginx not to collect.
        .insert_header(("x-accel-buffering", "no"))
        .streaming(written(line)))
}

fn last_event(request: &HttpRequest) -> Result<Option<i64>, Invalid> {
    let Some(value) = request.headers().get("last-event-id") else { return Ok(None) };
    let number = value.to_str().ok().and_then(|text| text.parse::<i64>().ok()).filter(|number| *number >= 0);
    number
        .map(Some)
        .ok_or_else(|| Invalid::field("Last-Event-ID", "malformed", "Last-Event-ID is a number that this stream sent."))
}

struct Line {
    app: Platform,
    ctx: Ctx,
    credential: Credential,
    reader: Reader,
    access: tokio::sync::broadcast::Receiver<Signal>,
}

fn written(line: Line) -> impl Stream<Item = Result<Bytes, std::io::Error>> {
    let start = stream::iter([Ok(Bytes::from_static(COME_BACK.as_bytes()))]);
    let rest = stream::unfold(Some(line), |line| async move {
        let mut line = line?;
        let text = line.next().await?;
        Some((Ok(Bytes::from(text)), Some(line)))
    });
    futures::StreamExt::chain(start, rest)
}

impl Line {
    /// The next piece to write; None ends the stream.
    async fn next(&mut self) -> Option<String> {
        let me = self.ctx.acting().ok()?.person.uuid();
        let quiet_since = Instant::now();
        loop {
            tokio::select! {
                event = self.reader.next() => return match event {
                    Ok(event) => Some(text(&event)),
                    Err(error) => {
                        // The browser comes back and goes on after its last event.
                        tracing::debug!(error = chain(&error), "an event stream ends");
                        None
                    }
                },
                signal = self.access.recv() => match signal {
                    Ok(Signal::Access(person)) if person == me => self.check().await?,
                    Err(tokio::sync::broadcast::error::RecvError::Closed) => return None,
                    _ => {}
                },
                // A token may expire at any moment, and nobody signals that.
                () = sleep(CHECK) => {
                    self.check().await?;
                    if quiet_since.elapsed() >= HEARTBEAT {
                        return Some(": still here\n\n".to_owned());
                    }
                }
            }
        }
    }

    /// Ends the stream when the session or token that opened it does not stand any more.
    async fn check(&self) -> Option<()> {
        let mut conn = self.app.db.read().await.ok()?;
        let stands = accounts::ops::stands(&mut conn, &self.app.clock, &self.app.config, self.credential).await;
        stands.unwrap_or(false).then_some(())
    }
}

fn text(event: &Event) -> String {
    match event {
        Event::Change(number, view) => {
            let data = serde_json::to_string(view).unwrap_or_default();
            format!("id: {number}\nevent: generation\ndata: {data}\n\n")
        }
        Event::Progress(view) => {
            let data = serde_json::to_string(view).unwrap_or_default();
            format!("event: generation\ndata: {data}\n\n")
        }
        Event::Reset(number) => format!("id: {number}\nevent: reset\ndata: {{}}\n\n"),
    }
}
