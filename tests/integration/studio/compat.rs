//! OpenAI's images API over our generations, on the wire; the official client itself is run by `tests/clients`.

use data_encoding::BASE64;
use serde_json::json;

use super::{cap, standing};
use crate::support::app::TestApp;

#[tokio::test]
async fn pictures_come_as_base64_or_address() {
    let app = TestApp::start().await;
    let owner = app.owner().await;
    let body = json!({"model": "demo/painter", "prompt": "a gradient", "size": "512x512", "seed": 3});
    let reply = owner.post("/v1/images/generations", &body).await;
    assert_eq!(reply.status, 200, "{:?}", reply.body);
    let picture = BASE64.decode(reply.json()["data"][0]["b64_json"].as_str().unwrap().as_bytes()).unwrap();
    assert!(picture.starts_with(b"\x89PNG"));

    let mut body = body;
    body["response_format"] = json!("url");
    let reply = owner.post("/v1/images/generations", &body).await;
    let address = reply.json()["data"][0]["url"].as_str().unwrap().to_owned();
    let fetched = app.anybody().http.get(&address).send().await.unwrap();
    assert_eq!(fetched.headers()["content-disposition"], "attachment");
    assert!(fetched.headers()["content-security-policy"].to_str().unwrap().contains("sandbox"));
    assert_eq!(fetched.bytes().await.unwrap().as_ref(), picture);
    let forged = address.replace("until=", "until=9");
    assert_eq!(app.anybody().http.get(&forged).send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn a_client_that_repeats_itself_joins_its_first_request() {
    let app = TestApp::start().await;
    let owner = app.owner().await;
    cap(&owner, "organisation", "month", 1_000_000).await;
    let send = |count: &'static str| {
        let body = json!({"model": "demo/painter", "prompt": "a gradient", "size": "512x512"});
        let request = owner.request("POST", "/v1/images/generations").header("x-stainless-retry-count", count);
        owner.send(request.json(&body))
    };
    let (first, again) = (send("0").await, send("1").await);
    assert_eq!((first.status, again.status), (200, 200));
    assert_eq!(standing(&owner).await.0, 20_000);
    assert_eq!(first.json()["data"], again.json()["data"]);
    send("0").await;
    assert_eq!(standing(&owner).await.0, 40_000);
}

#[tokio::test]
async fn errors_have_openais_shape() {
    let app = TestApp::start().await;
    let owner = app.owner().await;
    let post = |body: serde_json::Value| {
        let owner = owner.clone();
        async move { owner.post("/v1/images/generations", &body).await }
    };
    let unknown = post(json!({"model": "nobody", "prompt": "x"})).await;
    assert_eq!((unknown.status, unknown.json()["error"]["code"].as_str()), (404, Some("model_not_found")));
    let parameter = post(json!({"model": "demo/painter", "prompt": "x", "style": "vivid"})).await;
    assert_eq!(parameter.status, 400);
    assert!(parameter.json()["error"]["message"].as_str().unwrap().contains("style"), "{:?}", parameter.body);
    let failed = post(json!({"model": "demo/fail", "prompt": "x", "size": "512x512"})).await;
    assert_eq!((failed.status, failed.headers["x-should-retry"].to_str().unwrap()), (502, "false"));
    cap(&owner, "organisation", "month", 0).await;
    let broke = post(json!({"model": "demo/painter", "prompt": "x"})).await;
    assert_eq!((broke.status, broke.json()["error"]["code"].as_str()), (429, Some("insufficient_quota")));
    assert_eq!(broke.headers["x-should-retry"], "false");
    assert_eq!(app.anybody().get("/v1/models").await.status, 401);
    for id in ["demo/painter", "demo%2Fpainter"] {
        assert_eq!(owner.get(&format!("/v1/models/{id}")).await.json()["id"], "demo/painter");
    }
}
