//! The event stream (Server-Sent Events, WHATWG HTML 9.2).

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, http::header::CACHE_CONTROL, web::Bytes};
use futures::{Stream, StreamExt, stream};
use tokio::time::timeout;

use crate::{
    accounts,
    base::{
        access::StudioRead,
        error::{Invalid, chain},
    },
    studio::events::{Event, Reader},
    web::{guard::Guard, problem::Problem},
};

/// A comment this often keeps proxies from closing the line.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// A browser that lost the line comes back after this long.
const COME_BACK: &str = "retry: 1000\n\n";

pub async fn events(guard: Guard<StudioRead>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let last = last_event(&request)?;
    let lost = accounts::ops::lost(guard.app.clone(), guard.ctx.acting()?.clone());
    let reader = Reader::open(&guard.app, guard.grant()?, last).await?;
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((CACHE_CONTROL, "no-store"))
        // Tells nginx not to collect.
        .insert_header(("x-accel-buffering", "no"))
        .streaming(written(reader).take_until(lost)))
}

fn last_event(request: &HttpRequest) -> Result<Option<i64>, Invalid> {
    let Some(value) = request.headers().get("last-event-id") else { return Ok(None) };
    let number = value.to_str().ok().and_then(|text| text.parse::<i64>().ok()).filter(|number| *number >= 0);
    number
        .map(Some)
        .ok_or_else(|| Invalid::field("Last-Event-ID", "malformed", "Last-Event-ID is a number that this stream sent."))
}

fn written(reader: Reader) -> impl Stream<Item = Result<Bytes, std::io::Error>> {
    let start = stream::iter([Ok(Bytes::from_static(COME_BACK.as_bytes()))]);
    let rest = stream::unfold(reader, |mut reader| async move {
        let text = piece(&mut reader).await?;
        Some((Ok(Bytes::from(text)), reader))
    });
    start.chain(rest)
}

/// The next piece to write; None ends the stream.
async fn piece(reader: &mut Reader) -> Option<String> {
    match timeout(HEARTBEAT, reader.next()).await {
        Ok(Ok(event)) => Some(text(&event)),
        Ok(Err(error)) => {
            // The browser comes back and goes on after its last event.
            tracing::debug!(error = chain(&error), "an event stream ends");
            None
        }
        Err(_) => Some(": still here\n\n".to_owned()),
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
