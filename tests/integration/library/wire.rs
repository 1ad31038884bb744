//! What only shows on a real connection.

use image::ImageFormat;
use renderkeep::platform::storage::ObjectStore;

use super::picture;
use crate::support::app::TestApp;

#[tokio::test]
async fn an_upload_is_there_after_a_restart_of_the_server() {
    let mut app = TestApp::start().await;
    let bytes = picture(400, 300, ImageFormat::Jpeg);
    let made = app.owner().await.upload("lake.jpg", bytes.clone()).await;
    assert_eq!(made.status, 201, "{:?}", made.body);
    let id = made.json()["id"].as_str().unwrap().to_owned();
    app.restart();
    let owner = app.owner().await;
    let path = format!("/api/v1/assets/{id}/content");
    assert_eq!(owner.get(&path).await.body, bytes);
    let head = owner.send(owner.request("HEAD", &path)).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.headers["content-length"], bytes.len().to_string());
    let part = owner.send(owner.request("GET", &path).header("range", "bytes=100-199")).await;
    assert_eq!((part.status, &part.body[..]), (206, &bytes[100..200]));
    assert_eq!(part.headers["content-length"], "100");
    assert_eq!(owner.get(&format!("/api/v1/assets/{id}/thumbnail")).await.headers["content-type"], "image/jpeg");
}

#[tokio::test]
async fn who_sends_too_much_gets_to_see_why() {
    let app = TestApp::start().await;
    let owner = app.owner().await;
    let mut long = picture(20, 20, ImageFormat::Png);
    long.resize(66 * 1024 * 1024, 0);
    let whole = owner.request("POST", "/api/v1/assets").header("content-type", "image/png").body(long.clone());
    assert_eq!(owner.send(whole).await.code(), "request.too_large");
    let pieces: Vec<_> = long.chunks(100_000).map(|piece| Ok::<_, std::io::Error>(piece.to_vec())).collect();
    let chunked = reqwest::Body::wrap_stream(futures::stream::iter(pieces));
    let chunked = owner.request("POST", "/api/v1/assets").header("content-type", "image/png").body(chunked);
    assert_eq!(owner.send(chunked).await.code(), "request.too_large");
    assert_eq!(owner.upload("long.png", long).await.code(), "request.too_large");
    assert!(app.database.store.list(None, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_page_of_a_picture_says_what_is_known() {
    let app = TestApp::start().await;
    let owner = app.owner().await;
    let made = owner.upload("Lake at dawn.png", picture(90, 60, ImageFormat::Png)).await.json();
    let page = owner.get(&format!("/library/{}", made["id"].as_str().unwrap())).await;
    let text = String::from_utf8(page.body.to_vec()).unwrap();
    assert_eq!(page.status, 200, "{text}");
    assert!(text.contains("Lake at dawn.png") && text.contains("90 × 60 px") && text.contains("Uploaded"));
    // The picture is shown small and anew; the file itself is only for saving.
    let id = made["id"].as_str().unwrap();
    assert!(text.contains(&format!("<img src=\"/api/v1/assets/{id}/thumbnail?size=1440\"")), "{text}");
    assert!(text.contains(&format!("href=\"/api/v1/assets/{id}/content\" download=")));
    assert_eq!(app.member("jonas@example.org").await.get(page_of(&made).as_str()).await.status, 404);
}

fn page_of(asset: &serde_json::Value) -> String {
    format!("/library/{}", asset["id"].as_str().unwrap())
}
