//! What administrators see of the ledger and do with its destinations: through the API, on the page, as a table.

use renderkeep::organisation;
use serde_json::{Value, json};

use super::*;
use crate::{
    access::browser::Browser,
    doubles::openai,
    support::app::{Client, TestApp},
};

const EGRESS: &str = "/api/v1/admin/egress";
const DESTINATIONS: &str = "/api/v1/admin/egress/destinations";

/// A provider in the house with one model, on.
async fn provider(owner: &Client, base_url: &str, upstream: &str) {
    let new = json!({"slug": "house", "title": "House", "base_url": base_url, "local": true, "enabled": true});
    let made = owner.post("/api/v1/admin/providers", &new).await;
    assert_eq!(made.status, 201, "{:?}", made.body);
    let model = json!({
        "provider": made.json()["id"], "id": "house/painter", "title": "Painter", "upstream_name": upstream,
        "sizes": ["64x32"], "tasks": ["text-to-image"], "max_count": 1, "enabled": true,
        "price_card": [{"unit": "image", "micros": 40_000}],
    });
    let made = owner.post("/api/v1/admin/models", &model).await;
    assert_eq!(made.status, 201, "{:?}", made.body);
}

async fn destination(owner: &Client) -> Value {
    owner.get(DESTINATIONS).await.json()["items"][0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn switched_off_a_running_generation_ends_and_switched_on_it_works_again() {
    let app = TestApp::start().await;
    let owner = app.owner().await;
    let double = openai::start(&[]);
    provider(&owner, &double.base_url(), "hang").await;
    let place = destination(&owner).await;
    assert_eq!(
        (&place["purpose"], &place["local"], &place["enabled"]),
        (&json!("inference"), &json!(true), &json!(true))
    );
    let asked = owner.post("/api/v1/generations", &json!({"model": "house/painter", "prompt": "a teapot"})).await;
    assert_eq!(asked.status, 202, "{:?}", asked.body);
    let id = asked.json()["id"].as_str().unwrap().to_owned();
    let seen = async || {
        let seen = reqwest::get(format!("http://127.0.0.1:{}/seen", double.port)).await.unwrap();
        seen.json::<Vec<Value>>().await.unwrap().len()
    };
    while seen().await == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let path = format!("{DESTINATIONS}/{}", place["id"].as_str().unwrap());
    let off = owner.patch(&path, &json!({"enabled": false})).await;
    assert_eq!((off.status, &off.json()["enabled"]), (200, &json!(false)));
    let ended = tokio::time::timeout(Duration::from_secs(8), owner.wait(&id)).await.expect("it ends at once");
    assert_eq!(
        (&ended["state"], &ended["error"]["code"]),
        (&json!("failed"), &json!("provider.not_allowed")),
        "{ended}"
    );
    let call = owner.get(&format!("{EGRESS}?generation={id}")).await.json()["items"][0].clone();
    assert_eq!((&call["outcome"], &call["reason"]), (&json!("cancelled"), &json!("switched off during the call")));

    let asked = owner.post("/api/v1/generations", &json!({"model": "house/painter", "prompt": "a teapot"})).await;
    let ended = owner.wait(asked.json()["id"].as_str().unwrap()).await;
    assert_eq!((&ended["state"], seen().await), (&json!("failed"), 1), "nothing was sent: {ended}");

    // On again, by the page.
    let browser = Browser::settled(&app, &app.owner.0, &app.owner.1).await;
    let page = browser.get("/admin/egress").await;
    assert!(page.says("Switched off") || page.says("Switch on"), "{}", page.text());
    let form = format!("/admin/egress/destinations/{}", place["id"].as_str().unwrap());
    assert_eq!(browser.post(&form, &[("on", "true")]).await.location(), Some("/admin/egress"));
    assert_eq!(destination(&owner).await["enabled"], true);
    let acts = owner.get("/api/v1/admin/audit").await.json()["items"].clone();
    let acts: Vec<_> = acts.as_array().unwrap().iter().filter_map(|act| act["action"].as_str()).collect();
    for wanted in ["egress.allow", "egress.switch_off", "egress.switch_on"] {
        assert_eq!(acts.iter().filter(|act| **act == wanted).count(), 1, "{wanted} in {acts:?}");
    }
}

/// Calls by hand, one a minute, the newest at the start of this hour; every third to the second destination and by nobody.
async fn calls(app: &TestApp, count: i32) {
    let client = postgres::connect(&app.database_url()).await;
    let sql = format!(
        "insert into egress_destinations (id, purpose, scheme, host, port, categories, local, allowed_at)
         select gen_random_uuid(), 'inference', 'https', host, 443, '{{prompt}}', false, now()
         from unnest(array['api.example', '=cmd.example']) host;
         insert into egress_calls (id, at, destination_id, purpose, person_id, categories, bytes_out, bytes_in, status,
             outcome, reason, duration_ms, deadline)
         select ('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
             date_trunc('hour', now()) - n * interval '1 minute',
             (select id from egress_destinations where (host = '=cmd.example') = (n % 3 = 0)),
             case when n % 3 = 0 then 'test' else 'generation' end,
             case when n % 3 = 0 then null else (select id from people limit 1) end,
             '{{prompt}}', 100, 200, 200, 'answered', null, 5, now()
         from generate_series(1, {count}) n"
    );
    client.batch_execute(&sql).await.unwrap();
}

fn table(body: &[u8]) -> Vec<csv::StringRecord> {
    csv::Reader::from_reader(body).records().map(|row| row.unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_holds_every_call_that_fits_and_no_formula() {
    let app = TestApp::start().await;
    let owner = app.owner().await;
    calls(&app, 1201).await;
    let formula = "=HYPERLINK(\"http://x\";\"me\")";
    let (keys, db) = (&app.platform.keys, &app.platform.db);
    let person = organisation::ops::first_owner(&app.platform).await.unwrap().unwrap().id.uuid();
    let key = keys.of(&mut db.read().await.unwrap(), person).await.unwrap();
    let sealed = key.seal("people.name", person, formula.as_bytes()).unwrap();
    let client = postgres::connect(&app.database_url()).await;
    client.execute("update people set name = $1", &[&sealed]).await.unwrap();
    let got = owner.get(&format!("{EGRESS}/export")).await;
    assert_eq!((got.status, got.headers["content-type"].to_str().unwrap()), (200, "text/csv; charset=utf-8"));
    assert!(got.headers["content-disposition"].to_str().unwrap().starts_with("attachment; filename=\"egress-20"));
    assert!(!got.headers.contains_key("content-length"), "it is streamed");
    let rows = table(&got.body);
    assert_eq!(rows.len(), 1201, "more than two pages of the database");
    let ids: std::collections::BTreeSet<_> = rows.iter().map(|row| row[0].to_owned()).collect();
    assert_eq!(ids.len(), 1201, "none twice");
    let cells = rows.iter().flat_map(|row| row.iter().map(str::to_owned));
    assert!(!cells.clone().any(|cell| cell.starts_with(['=', '+', '-', '@'])));
    assert!(cells.clone().any(|cell| cell == "'=cmd.example"));
    assert!(cells.clone().any(|cell| cell == "'=HYPERLINK(\"http://x\";\"me\")"));

    let tests = table(&owner.get(&format!("{EGRESS}/export?purpose=test")).await.body);
    assert_eq!(tests.len(), 400);
    let acts = owner.get("/api/v1/admin/audit?action=egress.export").await.json();
    assert_eq!(acts["items"].as_array().unwrap().len(), 2);
    assert_eq!(acts["items"][0]["details"]["purpose"], "test");

    let browser = Browser::settled(&app, &app.owner.0, &app.owner.1).await;
    let page = browser.get("/admin/egress/table?purpose=test").await;
    assert_eq!((page.status, table(&page.body).len()), (200, 400));
    assert_eq!(browser.get("/admin/egress/table?purpose=mail").await.status, 422);
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_and_sums_agree() {
    let app = TestApp::start().await;
    let owner = app.owner().await;
    calls(&app, 30).await;
    let get =
        async |query: &str| owner.get(&format!("{EGRESS}{query}")).await.json()["items"].as_array().unwrap().clone();
    assert_eq!(get("?purpose=test").await.len(), 10);
    assert_eq!(get("?purpose=generation&limit=200").await.len(), 20);
    let newest = get("?limit=1").await[0]["at"].as_str().unwrap().to_owned();
    assert_eq!(get(&format!("?since={newest}")).await.len(), 30, "ids and times run against each other here");
    let oldest: chrono::DateTime<chrono::Utc> = newest.parse().unwrap();
    let until = (oldest + chrono::Duration::minutes(10)).format("%Y-%m-%dT%H:%M:%SZ");
    assert_eq!(get(&format!("?until={until}")).await.len(), 10, "before, not at");
    for query in
        ["?until=yesterday", "?purpose=mail", "/days?until=1", "/export?since=1", "/days?limit=5", "/export?cursor=x"]
    {
        assert_eq!(owner.get(&format!("{EGRESS}{query}")).await.status, 422, "{query}");
    }
    let days = get("/days").await;
    let sum = |name: &str| days.iter().map(|day| day[name].as_i64().unwrap()).sum::<i64>();
    assert_eq!((sum("calls"), sum("bytes_out"), sum("bytes_in")), (30, 3000, 6000));
    assert!(days.len() == 2 || days.len() == 4, "each day and destination once: {days:?}");
    let tests = get("/days?purpose=test").await;
    assert_eq!(tests.iter().map(|day| day["calls"].as_i64().unwrap()).sum::<i64>(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_shows_what_its_address_asks_for() {
    let app = TestApp::start().await;
    calls(&app, 30).await;
    let owner = Browser::settled(&app, &app.owner.0, &app.owner.1).await;
    let page = owner.get("/admin/egress").await;
    for words in ["3.0 kB left the house", "67 % of the bytes went to api.example", "The same as numbers", "Switch off"]
    {
        assert!(page.says(words), "{words}: {}", page.text());
    }
    assert!(page.says("href=\"/admin/egress/table\""));
    let tests = owner.get("/admin/egress?purpose=test&from=2020-01-01").await;
    for words in
        ["1.0 kB left the house in this time", "All of it went to =cmd.example", "For: Test", "From: 2020-01-01"]
    {
        assert!(tests.says(words), "{words}: {}", tests.text());
    }
    assert!(
        tests.says("/admin/egress/table?purpose=test&amp;from=2020-01-01")
            || tests.says("table?purpose=test&#38;from=")
    );
    assert!(owner.get("/admin/egress?until=2020-01-01").await.says("No call fits"));
    assert_eq!(owner.get("/admin/egress?from=2026-13-01").await.status, 422);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_switched_off_stays_off_when_the_server_starts_again() {
    let mut config = support::config();
    config.inference.providers = vec![renderkeep::config::ConfiguredProvider {
        slug: "house".to_owned(),
        title: "House".to_owned(),
        base_url: "http://127.0.0.1:1/v1".to_owned(),
        api_key: None,
        local: true,
        models: Vec::new(),
    }];
    let app = TestApp::start_with(config).await;
    let owner = app.owner().await;
    let place = destination(&owner).await;
    let path = format!("{DESTINATIONS}/{}", place["id"].as_str().unwrap());
    assert_eq!(owner.patch(&path, &json!({"enabled": false})).await.status, 200);
    let ctx = Ctx::system("test", app.platform.clock.clone());
    renderkeep::inference::ops::sync(&ctx, &app.platform).await.unwrap();
    assert_eq!(destination(&owner).await["enabled"], false);
    assert_eq!(owner.patch(&path, &json!({"enabled": true})).await.json()["enabled"], true);
}
