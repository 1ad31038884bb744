//! Bad input: a clear error, nothing stored, nothing spent.

use serde_json::{Value, json};

use super::{cap, quick, standing};
use crate::support::app::TestApp;

/// The request with one field changed.
fn with(field: &str, value: Value) -> Value {
    let mut body = quick("a gradient");
    body[field] = value;
    body
}

#[tokio::test]
async fn bad_requests_name_their_field_and_leave_nothing() {
    let app = TestApp::start().await;
    let owner = app.owner().await;
    cap(&owner, "organisation", "month", 1_000_000).await;
    let cases = [
        (with("prompt", json!("")), "request.invalid", "prompt"),
        (with("prompt", json!("a\u{0}b")), "request.invalid", "prompt"),
        (with("prompt", json!("x".repeat(32_001))), "request.invalid", "prompt"),
        (with("count", json!(0)), "request.invalid", "count"),
        (with("count", json!(-1)), "request.invalid", "count"),
        (with("count", json!(1_000_000_000)), "request.invalid", "count"),
        (with("count", json!("two")), "request.invalid", "count"),
        (with("size", json!("513x512")), "request.invalid", "size"),
        (with("size", json!("big")), "request.invalid", "size"),
        (with("seed", json!(4_294_967_296i64)), "request.invalid", "seed"),
        (with("seed", json!(-1)), "request.invalid", "seed"),
        (with("model", json!("demo/nobody")), "inference.unknown_model", "model"),
        (with("parameters", json!({"quality": "best"})), "request.invalid", "parameters.quality"),
        (with("parameters", json!({"steps": 3})), "request.invalid", "parameters.steps"),
        (with("colour", json!("red")), "request.invalid", "colour"),
        (with("references", json!([{"asset": "ast_nothing"}])), "request.invalid", "references[0].asset"),
        (
            with("references", json!([{"asset": "ast_01jd0t6ck9f8ktr0v2m7d1e2qa"}])),
            "request.invalid",
            "references[0].asset",
        ),
        (with("workspace", json!("wsp_01jd0t6ck9f8ktr0v2m7d1e2qa")), "request.invalid", "workspace"),
    ];
    for (body, code, field) in cases {
        let reply = owner.post("/api/v1/generations", &body).await;
        assert_eq!((reply.status, reply.code().as_str()), (422, code), "{field}: {:?}", reply.body);
        let names: Vec<_> =
            reply.json()["fields"].as_array().unwrap().iter().map(|fault| fault["name"].clone()).collect();
        assert!(names.contains(&json!(field)), "{field} is not in {names:?}");
    }
    assert_eq!(owner.get("/api/v1/generations").await.json()["items"], json!([]));
    assert_eq!(standing(&owner).await, (0, 0, 1_000_000));
}

#[tokio::test]
async fn bodies_that_cannot_be_read_say_why() {
    let app = TestApp::start().await;
    let owner = app.owner().await;
    let post = |kind: &'static str, body: Vec<u8>| {
        owner.send(owner.request("POST", "/api/v1/generations").header("content-type", kind).body(body))
    };
    let json = "application/json";
    let cases = [
        (json, b"{".to_vec(), 400, "request.malformed"),
        (json, br#"{"model": "a", "model": "b", "prompt": "x"}"#.to_vec(), 400, "request.malformed"),
        (json, br#"{"model": "a", "prompt": "x", "count": NaN}"#.to_vec(), 400, "request.malformed"),
        (json, b"{\"model\": \"\xff\"}".to_vec(), 400, "request.malformed"),
        ("text/plain", b"{}".to_vec(), 415, "request.unsupported_media"),
        (
            json,
            [b"{\"prompt\": \"".to_vec(), vec![b'x'; 1024 * 1024], b"\"}".to_vec()].concat(),
            413,
            "request.too_large",
        ),
    ];
    for (kind, body, status, code) in cases {
        let reply = post(kind, body).await;
        assert_eq!((reply.status, reply.code().as_str()), (status, code), "{:?}", reply.body);
    }
}

#[tokio::test]
async fn a_reached_cap_says_what_is_left_and_when_it_refills() {
    let app = TestApp::start().await;
    let owner = app.owner().await;
    let member = app.member("member@example.org").await;
    cap(&owner, "person", "day", 10_000).await;
    let reply = member.post("/api/v1/generations", &quick("a gradient")).await;
    assert_eq!((reply.status, reply.code().as_str()), (402, "ledger.cap_reached"), "{:?}", reply.body);
    let cap = &reply.json()["cap"];
    assert_eq!((cap["scope"].as_str(), cap["period"].as_str()), (Some("person"), Some("day")));
    assert_eq!(cap["left"]["micros"], 10_000);
    assert!(cap["refills_at"].is_string());
    assert_eq!(member.get("/api/v1/generations").await.json()["items"], json!([]));
}

#[tokio::test]
async fn queries_are_strict() {
    let app = TestApp::start().await;
    let owner = app.owner().await;
    for query in
        ["limit=0", "limit=201", "limit=x", "colour=red", "limit=1&limit=2", "cursor=zzz", "state=done", "person=7"]
    {
        let reply = owner.get(&format!("/api/v1/generations?{query}")).await;
        assert_eq!((reply.status, reply.code().as_str()), (422, "request.invalid"), "{query}: {:?}", reply.body);
    }
    let long = owner.get(&format!("/api/v1/generations?model={}", "x".repeat(256))).await;
    assert_eq!((long.status, &long.json()["fields"][0]["name"]), (422, &"model".into()));
    for path in ["/api/v1/generations/ast_01jd0t6ck9f8ktr0v2m7d1e2qa", "/api/v1/generations/7", "/api/v1/nothing"] {
        assert_eq!(owner.get(path).await.code(), "not_found", "{path}");
    }
    let wrong = owner.send(owner.request("PATCH", "/api/v1/generations")).await;
    assert_eq!((wrong.status, wrong.code().as_str()), (405, "request.method_not_allowed"));
    assert_eq!(wrong.headers["allow"], "POST, GET");
}
