//! What everybody may ask.

use crate::support::app::{Client, TestApp};

#[tokio::test]
async fn the_server_answers() {
    let app = TestApp::start().await;
    let anybody = app.anybody();
    assert_eq!(anybody.get("/healthz").await.status, 200);
    let ready = anybody.get("/readyz").await;
    assert_eq!(ready.status, 200, "{:?}", ready.body);
}

#[tokio::test]
async fn a_token_says_who_one_is_and_nobody_else_gets_in() {
    let app = TestApp::start().await;
    let me = app.owner().await.get("/api/v1/me").await;
    assert_eq!(me.status, 200, "{:?}", me.body);
    assert_eq!(me.json()["person"]["mail"], app.owner.0.as_str());
    let refused = app.anybody().get("/api/v1/me").await;
    assert_eq!((refused.status, refused.code().as_str()), (401, "auth.required"));
    assert!(refused.headers.contains_key("x-request-id"));
    let unknown = Client::of(&app.url, Some("rk_unknown".to_owned())).get("/api/v1/me").await;
    assert_eq!((unknown.status, unknown.code().as_str()), (401, "auth.required"));
    assert!(unknown.json()["detail"].as_str().unwrap().contains("token that was sent is not valid"));
}
