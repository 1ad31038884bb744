//! What breaks, and what is found and left afterwards: the checker and `renderkeep doctor`, every point where a kill
//! hurts, parts that are away, clocks that jump.

use std::io::Cursor;

use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use renderkeep::base::finding::Finding;
use serde_json::{Value, json};

use crate::support::app::Client;

mod checks;
mod doctor;
mod outages;
mod relay;
mod time;
mod walk;

/// A small picture to upload.
fn png() -> Vec<u8> {
    let pixels = RgbImage::from_fn(90, 60, |x, y| Rgb([(x * 2) as u8, (y * 4) as u8, 9]));
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::from(pixels).write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// A quick picture by this model of the demo painter.
fn wish(model: &str) -> Value {
    json!({"model": format!("demo/{model}"), "prompt": "a gradient", "size": "512x512", "seed": 7})
}

/// Asks for it and waits for its end.
async fn made(client: &Client, model: &str) -> Value {
    let accepted = client.post("/api/v1/generations", &wish(model)).await;
    assert_eq!(accepted.status, 202, "{:?}", accepted.body);
    client.wait(accepted.json()["id"].as_str().unwrap()).await
}

/// What somebody does in a day: pictures that come, fail, are cancelled and cost more than expected; an upload; something
/// deleted for good, something in the trash.
async fn journey(client: &Client, faults: bool) {
    for (model, state) in [("painter", "succeeded"), ("overbill", "succeeded"), ("fail", "failed")] {
        if model == "painter" || faults {
            assert_eq!(made(client, model).await["state"], state, "{model}");
        }
    }
    let uploaded = client.upload("lake.png", png()).await;
    assert_eq!(uploaded.status, 201, "{:?}", uploaded.body);
    let kept = client.upload("sea.png", png()).await.json();
    assert_eq!(client.delete(&format!("/api/v1/assets/{}", kept["id"].as_str().unwrap())).await.status, 204);
    let gone = made(client, "painter").await;
    let gone = format!("/api/v1/assets/{}", gone["outputs"][0]["asset"].as_str().unwrap());
    assert_eq!(client.delete(&gone).await.status, 204);
    assert_eq!(client.delete(&format!("{gone}?forever=true")).await.status, 204);
}

/// The codes, each once, in order.
fn codes(findings: &[Finding]) -> Vec<&'static str> {
    let mut codes: Vec<&'static str> = findings.iter().map(|finding| finding.code).collect();
    codes.sort_unstable();
    codes.dedup();
    codes
}
