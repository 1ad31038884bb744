//! Generations through the public API: what is accepted, what is refused, what is charged, what is heard of it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::app::{Client, TestApp};

mod billable;
mod compat;
pub mod crash;
mod events;
mod refused;
mod servers;
mod together;

/// A small quick picture.
pub fn quick(prompt: &str) -> Value {
    json!({"model": "demo/painter", "prompt": prompt, "size": "512x512", "seed": 7})
}

/// Sets a cap of the whole organisation, in millionths of a euro.
pub async fn cap(owner: &Client, scope: &str, period: &str, micros: i64) {
    let body = json!({"scope": scope, "subject": null, "period": period,
        "limit": {"micros": micros, "currency": "EUR"}});
    let set = owner.put("/api/v1/admin/caps", &body).await;
    assert_eq!(set.status, 200, "{:?}", set.body);
}

/// What the caller's only cap says: spent, held, left.
pub async fn standing(client: &Client) -> (i64, i64, i64) {
    let me = client.get("/api/v1/me").await.json();
    let amount = |name: &str| me["caps"][0][name]["micros"].as_i64().unwrap();
    (amount("spent"), amount("held"), amount("left"))
}

#[tokio::test]
async fn a_picture_is_made_paid_and_kept() {
    let app = TestApp::start().await;
    let owner = app.owner().await;
    cap(&owner, "organisation", "month", 1_000_000).await;
    let accepted = owner
        .post(
            "/api/v1/generations",
            &json!({
                "model": "demo/painter", "prompt": "a gradient in teal", "size": "512x512", "count": 2, "seed": 7
            }),
        )
        .await;
    assert_eq!(accepted.status, 202, "{:?}", accepted.body);
    let generation = accepted.json();
    let id = generation["id"].as_str().unwrap();
    assert_eq!(accepted.headers["location"], format!("/api/v1/generations/{id}").as_str());
    assert_eq!(generation["state"], "queued");
    assert_eq!(generation["price"]["held"], json!({"micros": 40_000, "currency": "EUR"}));

    let done = owner.wait(id).await;
    assert_eq!(done["state"], "succeeded", "{done}");
    assert_eq!(done["price"]["actual"]["micros"], 40_000);
    assert_eq!(done["attempts"], 1);
    assert_eq!(done["outputs"].as_array().unwrap().len(), 2);
    assert_eq!(standing(&owner).await, (40_000, 0, 960_000));

    let asset = done["outputs"][0]["asset"].as_str().unwrap();
    let kept = owner.get(&format!("/api/v1/assets/{asset}")).await.json();
    assert_eq!((kept["kind"].as_str(), kept["width"].as_u64()), (Some("render"), Some(512)));
    assert_eq!(kept["generation"], id);
    let picture = owner.get(&format!("/api/v1/assets/{asset}/content")).await;
    assert_eq!(picture.headers["content-type"], "image/png");
    assert_eq!(picture.body.len() as u64, kept["bytes"].as_u64().unwrap());
}

#[tokio::test]
async fn a_preview_that_is_gone_is_no_mistake_of_who_asks() {
    let app = TestApp::start().await;
    let owner = app.owner().await;
    let made = make(&owner, &quick("a gradient in teal")).await;
    let preview = |id: &str| format!("/api/v1/generations/{id}/preview");
    assert_eq!(owner.get(&preview(made["id"].as_str().unwrap())).await.status, 204);
    assert_eq!(owner.get(&preview("gen_01m7ygj5f0ec4r6az7jgy7480m")).await.status, 404);
}

#[tokio::test]
async fn an_output_is_repeated_by_its_seed() {
    let app = TestApp::start().await;
    let owner = app.owner().await;
    let two = json!({"model": "demo/painter", "prompt": "a gradient", "size": "512x512", "count": 2});
    let first = make(&owner, &two).await;
    let seed = &first["outputs"][1]["seed"];
    let again = make(
        &owner,
        &json!({
            "model": "demo/painter", "prompt": "a gradient", "size": "512x512", "seed": seed
        }),
    )
    .await;
    assert_eq!(sha(&owner, &first["outputs"][1]).await, sha(&owner, &again["outputs"][0]).await);
}

async fn make(client: &Client, body: &Value) -> Value {
    let accepted = client.post("/api/v1/generations", body).await;
    assert_eq!(accepted.status, 202, "{:?}", accepted.body);
    let done = client.wait(accepted.json()["id"].as_str().unwrap()).await;
    assert_eq!(done["state"], "succeeded", "{done}");
    done
}

async fn sha(client: &Client, output: &Value) -> String {
    let asset = output["asset"].as_str().unwrap();
    client.get(&format!("/api/v1/assets/{asset}")).await.json()["sha256"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_same_key_gets_the_same_answer_and_one_hold() {
    let app = TestApp::start().await;
    let owner = app.owner().await;
    cap(&owner, "organisation", "total", 1_000_000).await;
    let send = |body: Value| {
        let request = owner.request("POST", "/api/v1/generations").header("Idempotency-Key", "one").json(&body);
        owner.send(request)
    };
    let (one, two) = tokio::join!(send(quick("a gradient")), send(quick("a gradient")));
    assert_eq!((one.status, two.status), (202, 202), "{:?} {:?}", one.body, two.body);
    assert_eq!(one.json()["id"], two.json()["id"]);
    let replayed = [&one, &two].iter().filter(|reply| reply.headers.contains_key("idempotent-replayed")).count();
    assert_eq!(replayed, 1);
    let other = send(quick("something else")).await;
    assert_eq!((other.status, other.code().as_str()), (422, "request.idempotency_mismatch"));
    owner.wait(one.json()["id"].as_str().unwrap()).await;
    assert_eq!(standing(&owner).await, (20_000, 0, 980_000));
}

#[tokio::test]
async fn the_last_credit_is_spent_once() {
    let app = TestApp::start().await;
    let owner = app.owner().await;
    for round in 1..=50i64 {
        // Room for exactly one more picture than was made so far.
        cap(&owner, "organisation", "total", round * 20_000).await;
        let body = quick("a gradient");
        let (one, two) =
            tokio::join!(owner.post("/api/v1/generations", &body), owner.post("/api/v1/generations", &body));
        let mut statuses = [one.status, two.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [202, 402], "round {round}: {:?} {:?}", one.body, two.body);
        let refused = if one.status == 402 { &one } else { &two };
        assert_eq!(refused.code(), "ledger.cap_reached");
        assert_eq!(refused.json()["cap"]["left"]["micros"], 0);
        // Held or spent, the credit is gone; nothing needs to be painted for that.
        let (spent, held, left) = standing(&owner).await;
        assert_eq!((spent + held, left), (round * 20_000, 0));
    }
}

#[tokio::test]
async fn a_quote_stores_nothing_and_says_what_would_be_left() {
    let app = TestApp::start().await;
    let owner = app.owner().await;
    cap(&owner, "organisation", "day", 30_000).await;
    let quote = owner.post("/api/v1/quotes", &quick("a gradient")).await.json();
    assert_eq!((quote["price"]["micros"].as_i64(), quote["allowed"].as_bool()), (Some(20_000), Some(true)));
    assert_eq!(quote["caps"][0]["left_after"]["micros"], 10_000);
    let dear = json!({"model": "demo/painter", "prompt": "x", "count": 2});
    assert_eq!(owner.post("/api/v1/quotes", &dear).await.json()["allowed"], false);
    assert_eq!(owner.get("/api/v1/generations").await.json()["items"], json!([]));
    assert_eq!(standing(&owner).await, (0, 0, 30_000));
}

#[tokio::test]
async fn what_a_provider_bills_above_the_hold_is_posted_and_flagged() {
    let app = TestApp::start().await;
    let owner = app.owner().await;
    cap(&owner, "organisation", "month", 30_000).await;
    let accepted = owner
        .post(
            "/api/v1/generations",
            &json!({
                "model": "demo/overbill", "prompt": "a gradient", "size": "512x512"
            }),
        )
        .await
        .json();
    let done = owner.wait(accepted["id"].as_str().unwrap()).await;
    assert_eq!(done["state"], "succeeded", "{done}");
    assert_eq!(done["price"]["actual"]["micros"], 40_000);
    assert_eq!(done["price"]["overage"]["micros"], 20_000);
    assert_eq!(standing(&owner).await, (40_000, 0, -10_000));
    let audit = owner.get("/api/v1/admin/audit?action=ledger.overage").await.json();
    assert_eq!(audit["items"].as_array().unwrap().len(), 1, "{audit}");
}

#[tokio::test]
async fn a_failure_costs_nothing_and_can_be_tried_again() {
    let app = TestApp::start().await;
    let owner = app.owner().await;
    cap(&owner, "organisation", "month", 1_000_000).await;
    for model in ["demo/fail", "demo/fail-late"] {
        let accepted = owner
            .post(
                "/api/v1/generations",
                &json!({
                    "model": model, "prompt": "a gradient", "size": "512x512"
                }),
            )
            .await
            .json();
        let id = accepted["id"].as_str().unwrap();
        let done = owner.wait(id).await;
        assert_eq!(done["state"], "failed", "{done}");
        assert_eq!(done["error"]["charged"]["micros"], 0);
        assert!(!done["error"]["message"].as_str().unwrap().is_empty());
        let retried = owner.post(&format!("/api/v1/generations/{id}/retry"), &Value::Null).await;
        assert_eq!(retried.status, 202, "{:?}", retried.body);
        assert_eq!(retried.json()["retry_of"], id);
        owner.wait(retried.json()["id"].as_str().unwrap()).await;
    }
    assert_eq!(standing(&owner).await, (0, 0, 1_000_000));
}

#[tokio::test]
async fn cancelling_gives_everything_back() {
    let app = TestApp::start().await;
    let owner = app.owner().await;
    cap(&owner, "organisation", "month", 1_000_000).await;
    let accepted = owner
        .post(
            "/api/v1/generations",
            &json!({
                "model": "demo/slow", "prompt": "a gradient", "size": "512x512"
            }),
        )
        .await
        .json();
    let id = accepted["id"].as_str().unwrap();
    // Into the middle of the work.
    for _ in 0..100 {
        if owner.get(&format!("/api/v1/generations/{id}")).await.json()["state"] == "running" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(owner.post(&format!("/api/v1/generations/{id}/cancel"), &Value::Null).await.status, 200);
    let done = owner.wait(id).await;
    assert_eq!(done["state"], "cancelled", "{done}");
    assert_eq!(standing(&owner).await, (0, 0, 1_000_000));
    let late = owner.post(&format!("/api/v1/generations/{id}/cancel"), &Value::Null).await;
    assert_eq!((late.status, late.code().as_str()), (409, "generation.ended"));
}

#[tokio::test]
async fn no_answer_in_time_is_unknown_until_somebody_resolves_it() {
    let mut config = crate::support::config();
    config.inference.timeout_seconds = 1;
    let app = TestApp::start_with(config).await;
    let owner = app.owner().await;
    cap(&owner, "organisation", "month", 1_000_000).await;
    let accepted = owner
        .post(
            "/api/v1/generations",
            &json!({
                "model": "demo/silent", "prompt": "a gradient", "size": "512x512"
            }),
        )
        .await
        .json();
    let id = accepted["id"].as_str().unwrap();
    let done = owner.wait(id).await;
    assert_eq!(done["state"], "unknown", "{done}");
    assert_eq!(standing(&owner).await, (0, 20_000, 980_000));
    let unsaid = json!({"charged": {"micros": 5_000, "currency": "EUR"}, "reason": " "});
    let refused = owner.post(&format!("/api/v1/admin/generations/{id}/resolve"), &unsaid).await;
    assert_eq!((refused.status, refused.code().as_str()), (422, "request.invalid"));
    let slip = json!({"charged": {"micros": 1_000_000_000_001_i64, "currency": "EUR"}, "reason": "a slip"});
    let refused = owner.post(&format!("/api/v1/admin/generations/{id}/resolve"), &slip).await;
    assert_eq!((refused.status, &refused.json()["fields"][0]["code"]), (422, &json!("out_of_range")));
    let body = json!({"charged": {"micros": 5_000, "currency": "EUR"}, "reason": "the provider's invoice says so"});
    let resolved = owner.post(&format!("/api/v1/admin/generations/{id}/resolve"), &body).await;
    assert_eq!(resolved.status, 200, "{:?}", resolved.body);
    assert_eq!(resolved.json()["price"]["actual"]["micros"], 5_000);
    assert_eq!(standing(&owner).await, (5_000, 0, 995_000));
}

#[tokio::test]
async fn nobody_sees_what_others_make() {
    let app = TestApp::start().await;
    let owner = app.owner().await;
    let member = app.member("member@example.org").await;
    let made = make(&owner, &quick("a gradient")).await;
    let id = made["id"].as_str().unwrap();
    let asset = made["outputs"][0]["asset"].as_str().unwrap();
    for path in [
        format!("/api/v1/generations/{id}"),
        format!("/api/v1/assets/{asset}"),
        format!("/api/v1/assets/{asset}/content"),
    ] {
        let reply = member.get(&path).await;
        assert_eq!((reply.status, reply.code().as_str()), (404, "not_found"), "{path}");
    }
    assert_eq!(member.get("/api/v1/generations").await.json()["items"], json!([]));
    assert_eq!(member.post(&format!("/api/v1/generations/{id}/cancel"), &Value::Null).await.status, 404);
}

#[tokio::test]
async fn a_list_goes_on_where_its_cursor_says() {
    let app = TestApp::start().await;
    let owner = app.owner().await;
    for _ in 0..3 {
        owner.post("/api/v1/generations", &quick("a gradient")).await;
    }
    let first = owner.get("/api/v1/generations?limit=2").await.json();
    assert_eq!(first["items"].as_array().unwrap().len(), 2);
    let cursor = first["next_cursor"].as_str().unwrap();
    let rest = owner.get(&format!("/api/v1/generations?limit=2&cursor={cursor}")).await.json();
    assert_eq!(rest["items"].as_array().unwrap().len(), 1);
    assert_eq!(rest["next_cursor"], Value::Null);
    let foreign = owner.get(&format!("/api/v1/generations?state=queued&cursor={cursor}")).await;
    assert_eq!((foreign.status, foreign.code().as_str()), (422, "request.invalid"));
}
