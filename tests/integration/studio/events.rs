//! The event stream: every state change once, in order, also for who comes late.

use std::time::Duration;

use futures::StreamExt;
use serde_json::Value;

use super::quick;
use crate::support::app::{Client, TestApp};

/// Reads the stream until `enough`, at most for two minutes.
async fn read(client: &Client, last: Option<&str>, enough: impl Fn(&[Event]) -> bool) -> Vec<Event> {
    let request = client.request("GET", "/api/v1/events");
    let request = match last {
        Some(last) => request.header("Last-Event-ID", last),
        None => request,
    };
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut stream = response.bytes_stream();
    let mut text = String::new();
    let mut events = Vec::new();
    let reading = async {
        while !enough(&events) {
            let Some(piece) = stream.next().await else { break };
            text.push_str(std::str::from_utf8(&piece.unwrap()).unwrap());
            while let Some(end) = text.find("\n\n") {
                let block: String = text.drain(..end + 2).collect();
                events.extend(parse(&block));
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(120), reading).await.expect("enough events within two minutes");
    events
}

#[derive(Clone, Debug)]
struct Event {
    id: Option<String>,
    name: String,
    data: Value,
}

impl Event {
    fn state(&self) -> &str {
        self.data["state"].as_str().unwrap_or_default()
    }
}

fn parse(block: &str) -> Option<Event> {
    let line = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let data = line("data:")?;
    Some(Event {
        id: line("id:").map(str::to_owned),
        name: line("event:")?.to_owned(),
        data: serde_json::from_str(data).unwrap(),
    })
}

fn done(events: &[Event]) -> bool {
    events.iter().any(|event| event.state() == "succeeded")
}

#[tokio::test]
async fn a_generation_is_heard_from_the_first_step_to_the_last() {
    let app = TestApp::start().await;
    let owner = app.owner().await;
    let listener = tokio::spawn({
        let owner = owner.clone();
        async move { read(&owner, Some("0"), done).await }
    });
    owner.post("/api/v1/generations", &quick("a gradient")).await;
    let events = listener.await.unwrap();
    let states: Vec<_> = events.iter().filter(|event| event.id.is_some()).map(Event::state).collect();
    assert_eq!(states, ["queued", "submitting", "running", "storing", "succeeded"]);
    let ids: Vec<_> = events.iter().filter_map(|event| event.id.clone()).collect();
    assert_eq!(ids, ["1", "2", "3", "4", "5"]);
    assert!(events.iter().all(|event| event.name == "generation" && event.data["prompt"] == "a gradient"));

    // Who comes back hears what was missed, and only that.
    let rest = read(&owner, Some("3"), done).await;
    assert_eq!(rest.iter().map(Event::state).collect::<Vec<_>>(), ["storing", "succeeded"]);
    // A number that was never given cannot be gone on from.
    let reset = read(&owner, Some("99"), |events| !events.is_empty()).await;
    assert_eq!(reset[0].name, "reset");
}

#[tokio::test]
async fn others_hear_nothing_and_a_revoked_token_hears_the_end() {
    let app = TestApp::start().await;
    let owner = app.owner().await;
    let member = app.member("member@example.org").await;
    owner.post("/api/v1/generations", &quick("a gradient")).await;
    let heard =
        tokio::time::timeout(Duration::from_secs(3), read(&member, Some("0"), |events| !events.is_empty())).await;
    assert!(heard.is_err(), "{heard:?}");

    let tokens = owner.get("/api/v1/tokens").await.json();
    let id = tokens["items"][0]["id"].as_str().unwrap().to_owned();
    let response = owner.request("GET", "/api/v1/events").send().await.unwrap();
    assert_eq!(owner.delete(&format!("/api/v1/tokens/{id}")).await.status, 204);
    let end = async { response.bytes().await };
    tokio::time::timeout(Duration::from_secs(2), end).await.expect("the stream ends within a second").ok();
}
