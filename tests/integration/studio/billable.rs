//! Whatever makes a picture goes through the caps, on every way in.

use renderkeep::app::rooms;
use reqwest::multipart::{Form, Part};
use serde_json::json;

use super::{cap, quick};
use crate::{
    library::png,
    support::{
        app::{Client, Reply, TestApp},
        postgres::connect,
    },
};

/// Routes of the studio that cost something, each with the request that would.
const BILLABLE: [&str; 6] = [
    "/api/v1/generations",
    "/api/v1/generations/{id}/retry",
    "/studio/generations",
    "/studio/generations/{id}/retry",
    "/v1/images/generations",
    "/v1/images/edits",
];

/// Those that cost nothing.
const FREE: [&str; 3] = ["/api/v1/generations/{id}/cancel", "/api/v1/quotes", "/studio/generations/{id}/cancel"];

/// Asks on that way for a picture; `again` is a generation that may be tried again.
async fn ask(owner: &Client, path: &str, again: &str) -> Reply {
    let post = |path: &str| owner.request("POST", path);
    let filled = || Form::new().text("model", "demo/painter").text("prompt", "a gradient").text("size", "512x512");
    let request = match path {
        "/api/v1/generations" | "/v1/images/generations" => post(path).json(&quick("a gradient")),
        "/studio/generations" => post(path).multipart(filled()),
        "/v1/images/edits" => post(path).multipart(filled().part("image", Part::bytes(png()).file_name("a.png"))),
        retry => post(&retry.replace("{id}", again)),
    };
    owner.send(request.header("Accept", "application/json")).await
}

#[tokio::test]
async fn every_way_to_a_picture_stops_at_a_cap() {
    let mut makers: Vec<&str> =
        rooms::routes().iter().filter(|route| route.permission == "studio.edit").map(|route| route.path).collect();
    let mut known = [&BILLABLE[..], &FREE].concat();
    makers.sort_unstable();
    known.sort_unstable();
    assert_eq!(makers, known, "say of each new route whether it can cost something");

    let app = TestApp::start().await;
    let owner = app.owner().await;
    // One that was stopped may be tried again.
    let client = connect(&app.database_url()).await;
    let body = json!({"model": "demo/slow", "prompt": "a gradient", "size": "512x512"});
    let stopped = owner.post("/api/v1/generations", &body).await.json();
    let again = stopped["id"].as_str().unwrap();
    owner.post(&format!("/api/v1/generations/{again}/cancel"), &json!({})).await;
    assert_eq!(owner.wait(again).await["state"], "cancelled");
    // What it cost may have been spent before it stopped; from here on there is nothing left.
    cap(&owner, "organisation", "total", 0).await;
    let counted =
        "select (select count(*) from generations), (select count(*) from holds), (select count(*) from attempts),
        (select count(*) from egress_calls), (select count(*) from assets)";
    let count = async || {
        let row = client.query_one(counted, &[]).await.unwrap();
        (0..5).map(|column| row.get(column)).collect::<Vec<i64>>()
    };
    let before = count().await;
    for path in BILLABLE {
        let reply = ask(&owner, path, again).await;
        // Pages show the refusal above the form; OpenAI's clients know 429 as a quota that is used up.
        let expected: &[u16] = match path {
            page if page.starts_with("/studio") => &[402, 422],
            compatible if compatible.starts_with("/v1") => &[429],
            _ => &[402],
        };
        assert!(expected.contains(&reply.status), "{path}: {}", reply.status);
        assert!(String::from_utf8_lossy(&reply.body).contains("spending cap"), "{path}");
        assert_eq!(count().await, before, "{path}");
    }
    // The same requests are fulfilled as soon as there is room: it was the cap that refused them.
    cap(&owner, "organisation", "total", 10_000_000).await;
    for path in BILLABLE {
        let reply = ask(&owner, path, again).await;
        assert!([200, 202].contains(&reply.status), "{path}: {}", reply.status);
    }
    assert_eq!(count().await[0], before[0] + 6);
}

#[tokio::test]
async fn every_model_that_is_offered_sets_something_aside_in_every_size() {
    let app = TestApp::start().await;
    let owner = app.owner().await;
    let models = owner.get("/api/v1/models").await.json()["items"].as_array().unwrap().clone();
    assert!(models.len() > 1);
    for model in models {
        for size in model["sizes"].as_array().unwrap() {
            let body = json!({"model": model["id"], "prompt": "a", "size": size, "count": 1});
            let quote = owner.post("/api/v1/quotes", &body).await.json();
            assert!(quote["price"]["micros"].as_i64().unwrap() > 0, "{} {size}: {quote}", model["id"]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_hangs_up_at_whatever_moment_leaves_no_open_hold() {
    let app = TestApp::start().await;
    let owner = app.owner().await;
    for number in 0..24u64 {
        let path = if number % 2 == 0 { "/v1/images/generations" } else { "/api/v1/generations" };
        let asked = owner.request("POST", path).json(&quick(&format!("number {number}"))).send();
        let patience = std::time::Duration::from_millis(number * number / 2);
        drop(tokio::time::timeout(patience, asked).await);
    }
    let client = connect(&app.database_url()).await;
    let open = "select count(*) filter (where state = 'pending'), count(*),
        (select count(*) from generations where ended_at is not null) from holds";
    for _ in 0..600 {
        let row = client.query_one(open, &[]).await.unwrap();
        let [pending, holds, ended]: [i64; 3] = [row.get(0), row.get(1), row.get(2)];
        // Requests that were hung up on may still be on their way in.
        if pending == 0 && holds > 0 && holds == ended {
            let drift = renderkeep::ledger::ops::verify(&mut app.platform.db.read().await.unwrap()).await.unwrap();
            return assert_eq!(drift, []);
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("holds stayed open for a minute");
}
