//! What is left when the server stops in the middle, and goes on when it starts again.

use std::time::Duration;

use serde_json::json;

use super::{cap, standing};
use crate::support::app::TestApp;

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_in_the_middle_loses_and_doubles_nothing() {
    let mut app = TestApp::start().await;
    let mut owner = app.owner().await;
    cap(&owner, "organisation", "month", 1_000_000).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        let body = json!({"model": "demo/painter", "prompt": "a gradient", "size": "512x512", "count": 2});
        let accepted = owner.post("/api/v1/generations", &body).await;
        ids.push(accepted.json()["id"].as_str().unwrap().to_owned());
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    tokio::task::block_in_place(|| app.restart());
    owner.url.clone_from(&app.url);
    for id in &ids {
        let done = owner.wait(id).await;
        assert_eq!(done["state"], "succeeded", "{done}");
        assert_eq!(done["outputs"].as_array().unwrap().len(), 2);
    }
    assert_eq!(standing(&owner).await, (120_000, 0, 880_000));
}
