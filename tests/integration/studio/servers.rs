//! Two server processes on one database and one store.

use std::{collections::HashSet, time::Duration};

use futures::future::join_all;
use renderkeep::{
    config::{self, Sources},
    ledger,
    platform::db::Db,
    supervisor::Kept,
};
use secrecy::ExposeSecret;
use serde_json::Value;

use super::{cap, quick, standing};
use crate::support::{app::Client, postgres::connect, up::Place};

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_share_caps_keys_work_and_events() {
    let place = Place::new();
    let mut up = place.up(&[]);
    let ready = place.ready(&mut up, |_| true);
    let token = place.token(ready["owner"]["mail"].as_str().unwrap());
    let first = Client::of(ready["url"].as_str().unwrap(), Some(token.clone()));
    let (_other, url) = place.serve_beside();
    let second = Client::of(&url, Some(token));
    for patience in (0..1200).rev() {
        if second.request("GET", "/healthz").send().await.is_ok() {
            break;
        }
        assert!(patience > 0, "the second server does not answer");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    // Room for 25; both are asked 25 times at the same time.
    cap(&first, "organisation", "total", 25 * 20_000).await;
    let body = quick("a gradient");
    let asked = (0..50).map(|number| if number % 2 == 0 { &first } else { &second });
    let replies = join_all(asked.map(|server| server.post("/api/v1/generations", &body))).await;
    let accepted: Vec<Value> = replies.iter().filter(|reply| reply.status == 202).map(|reply| reply.json()).collect();
    assert_eq!(accepted.len(), 25);
    assert!(replies.iter().all(|reply| reply.status == 202 || reply.code() == "ledger.cap_reached"));

    // The same key on both at once is one request.
    cap(&first, "organisation", "total", 60 * 20_000).await;
    for round in 0..10 {
        let keyed = |server: &Client| {
            let request =
                server.request("POST", "/api/v1/generations").header("Idempotency-Key", format!("key-{round}"));
            let (server, request) = (server.clone(), request.json(&body));
            async move { server.send(request).await }
        };
        let (one, two) = tokio::join!(keyed(&first), keyed(&second));
        assert_eq!((one.status, two.status), (202, 202), "{:?} {:?}", one.body, two.body);
        assert_eq!(one.json()["id"], two.json()["id"]);
    }
    for generation in &accepted {
        let done = second.wait(generation["id"].as_str().unwrap()).await;
        assert_eq!((done["state"].as_str(), done["attempts"].as_i64()), (Some("succeeded"), Some(1)), "{done}");
    }
    let made: HashSet<&str> = accepted.iter().map(|generation| generation["id"].as_str().unwrap()).collect();
    assert_eq!(made.len(), 25);
    let all = async || {
        let (spent, held, _) = standing(&first).await;
        (spent, held)
    };
    for _ in 0..600 {
        if all().await == (35 * 20_000, 0) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!((all().await, standing(&second).await.0), ((35 * 20_000, 0), 35 * 20_000));

    let kept = Kept::read(&place.path()).unwrap();
    let url = config::load(&kept.flags(Sources::default()).unwrap()).unwrap().database.url;
    let db = Db::new(url.expose_secret(), 2).unwrap();
    assert_eq!(ledger::ops::verify(&mut db.read().await.unwrap()).await.unwrap(), []);
    let client = connect(url.expose_secret()).await;
    let gaps = "select count(*) from (select person_id from generation_events group by person_id
        having count(*) <> max(number)) gaps";
    assert_eq!(client.query_one(gaps, &[]).await.unwrap().get::<_, i64>(0), 0, "events without gaps");
}
