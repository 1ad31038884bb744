//! Providers, models and the way out, as owners set them up through the API and everybody else may not.

use serde_json::{Value, json};

use crate::{
    doubles::openai,
    support::{
        app::{Client, Reply, TestApp},
        postgres,
    },
};

const PROVIDERS: &str = "/api/v1/admin/providers";
const MODELS: &str = "/api/v1/admin/models";
const DESTINATIONS: &str = "/api/v1/admin/egress/destinations";
const KEY: &str = "sk-hunter2";

fn provider(base_url: &str) -> Value {
    json!({"slug": "house", "title": "House", "base_url": base_url, "api_key": KEY, "local": true})
}

fn euros(micros: i64) -> Value {
    json!({"micros": micros, "currency": "EUR"})
}

/// A price that depends on the quality and the number of steps, both of which a request may leave out.
fn model(provider: &Value) -> Value {
    let when =
        |name: &str, value: Value, micros: i64| json!({"unit": "image", "micros": micros, "when": {name: value}});
    json!({
        "provider": provider, "id": "house/paints", "title": "Paints", "sizes": ["64x32"], "max_count": 4,
        "parameters": {"type": "object", "additionalProperties": false, "properties": {
            "quality": {"type": "string", "enum": ["low", "high", "best"], "default": "high"},
            "steps": {"type": "integer", "minimum": 1, "default": 30},
        }},
        "price_card": [
            when("quality", json!("low"), 1_000), when("quality", json!("high"), 50_000),
            when("steps", json!(30), 300), {"unit": "request", "micros": 7, "when": {"quality": "high"}},
        ],
    })
}

fn request() -> Value {
    json!({"model": "house/paints", "prompt": "a teapot", "count": 2})
}

async fn made(client: &Client, path: &str, body: &Value) -> Value {
    let reply = client.post(path, body).await;
    assert_eq!(reply.status, 201, "{:?}", reply.body);
    reply.json()
}

fn at(path: &str, item: &Value) -> String {
    format!("{path}/{}", item["id"].as_str().unwrap())
}

/// What was written down about this provider or destination, newest first.
async fn acts(owner: &Client, action: &str, object: &Value) -> Vec<Value> {
    let object = object.as_str().unwrap();
    let page = owner.get(&format!("/api/v1/admin/audit?action={action}&object={object}")).await.json();
    page["items"].as_array().unwrap().clone()
}

/// Refused as wrong, with this field.
fn refused(reply: &Reply, field: &str, code: &str) {
    let problem = reply.json();
    assert_eq!((reply.status, &problem["code"]), (422, &json!("request.invalid")), "{problem}");
    assert_eq!(
        (&problem["fields"][0]["name"], &problem["fields"][0]["code"]),
        (&json!(field), &json!(code)),
        "{problem}"
    );
}

#[tokio::test]
async fn a_provider_is_added_changed_and_removed_and_each_act_is_written_down() {
    let app = TestApp::start().await;
    let owner = app.owner().await;
    let me = owner.get("/api/v1/me").await.json()["person"]["id"].clone();
    let added = owner.post(PROVIDERS, &provider("http://10.0.0.1:8000/v1/")).await;
    let house = added.json();
    assert_eq!(added.headers["location"], at(PROVIDERS, &house).as_str());
    assert_eq!((&house["base_url"], &house["has_key"]), (&json!("http://10.0.0.1:8000/v1"), &json!(true)));
    assert_eq!((&house["kind"], &house["enabled"], &house["managed"]), (&json!("openai"), &json!(true), &json!(false)));
    assert_eq!(owner.get(&at(PROVIDERS, &house)).await.json(), house);

    let renamed = owner.patch(&at(PROVIDERS, &house), &json!({"title": "Workshop", "enabled": false})).await.json();
    assert_eq!((&renamed["title"], &renamed["enabled"]), (&json!("Workshop"), &json!(false)));
    assert_eq!(renamed["has_key"], true, "what is not given stays");
    let without = owner.patch(&at(PROVIDERS, &house), &json!({"api_key": null})).await.json();
    assert_eq!(without["has_key"], false);
    let slugs: Vec<_> =
        owner.get(PROVIDERS).await.json()["items"].as_array().unwrap().iter().map(|one| one["slug"].clone()).collect();
    assert_eq!(slugs, ["demo", "house"]);

    assert_eq!(owner.delete(&at(PROVIDERS, &house)).await.status, 204);
    assert_eq!(owner.get(&at(PROVIDERS, &house)).await.code(), "not_found");
    assert_eq!(owner.delete(&at(PROVIDERS, &house)).await.status, 404);
    let destinations = owner.get(DESTINATIONS).await.json();
    assert_eq!(destinations["items"][0]["enabled"], false, "nothing leaves any more to where no provider is");
    for (action, times) in
        [("providers.add", 1), ("providers.change", 2), ("providers.switch_off", 1), ("providers.remove", 1)]
    {
        let acts = acts(&owner, action, &house["id"]).await;
        assert_eq!((acts.len(), &acts[0]["actor"], &acts[0]["outcome"]), (times, &me, &json!("done")), "{action}");
    }
}

#[tokio::test]
async fn a_key_goes_in_and_never_comes_out() {
    let app = TestApp::start().await;
    let owner = app.owner().await;
    let double = openai::start(&["--key", KEY]);
    let once = || owner.request("POST", PROVIDERS).header("Idempotency-Key", "one").json(&provider(&double.base_url()));
    let (first, again) = (owner.send(once()).await, owner.send(once()).await);
    assert_eq!((first.status, again.headers.contains_key("idempotent-replayed")), (201, true));
    let house = first.json();
    let answers = [
        first,
        again,
        owner.get(PROVIDERS).await,
        owner.get(&at(PROVIDERS, &house)).await,
        owner.post(&format!("{}/test", at(PROVIDERS, &house)), &json!({})).await,
        owner.patch(&at(PROVIDERS, &house), &json!({"title": "Workshop"})).await,
        owner.patch(&at(PROVIDERS, &house), &json!({"api_key": format!("{KEY} {KEY}")})).await,
        owner.post(PROVIDERS, &json!({"title": KEY, "base_url": "https://x.example", "api_kye": KEY})).await,
        owner.get("/api/v1/admin/audit").await,
        owner.get("/api/v1/admin/egress").await,
    ];
    for reply in answers {
        assert!(!String::from_utf8_lossy(&reply.body).contains(KEY), "{:?}", reply.body);
    }
    assert!(!app.database.database.data_dump().contains(KEY), "it is sealed wherever it is kept");
}

#[tokio::test]
async fn a_provider_that_cannot_be_is_refused_by_field_and_leaves_nothing() {
    let app = TestApp::start().await;
    let owner = app.owner().await;
    let house = made(&owner, PROVIDERS, &provider("http://10.0.0.1:8000/v1")).await;
    let with = |field: &str, value: Value| {
        let mut body = provider("http://10.0.0.2:8000/v1");
        body["slug"] = json!("other");
        body[field] = value;
        body
    };
    let table = [
        (with("slug", json!("house")), "slug", "taken"),
        (with("slug", json!("Not a slug")), "slug", "malformed"),
        (with("title", json!("  ")), "title", "out_of_range"),
        (with("api_key", json!("two words")), "api_key", "malformed"),
        (with("base_url", json!("ftp://10.0.0.1")), "base_url", "malformed"),
        (with("base_url", json!("http://u:p@10.0.0.1/v1")), "base_url", "credentials"),
        (with("base_url", json!("http://169.254.169.254/v1")), "base_url", "address"),
        (with("local", json!(false)), "base_url", "not_local"),
        (with("colour", json!("red")), "colour", "unknown"),
    ];
    for (body, field, code) in table {
        refused(&owner.post(PROVIDERS, &body).await, field, code);
    }
    let moved = owner.patch(&at(PROVIDERS, &house), &json!({"base_url": "http://10.9.9.9/v1"})).await;
    refused(&moved, "api_key", "required");
    let found = owner.get(PROVIDERS).await.json();
    assert_eq!(found["items"].as_array().unwrap().len(), 2);
    assert_eq!(found["items"][1], house);
    assert_eq!(owner.get(DESTINATIONS).await.json()["items"].as_array().unwrap().len(), 1);
    let demo = at(PROVIDERS, &found["items"][0]);
    let managed = owner.patch(&demo, &json!({"title": "Mine"})).await;
    assert_eq!((managed.status, managed.code().as_str()), (409, "inference.managed_by_configuration"));
    assert_eq!(owner.delete(&demo).await.code(), "inference.managed_by_configuration");
    assert_eq!(owner.get(&format!("{PROVIDERS}/{}", "gen_01h455vb4pex5vsknk084sn02q")).await.status, 404);
}

#[tokio::test]
async fn a_model_that_cannot_be_is_refused_by_field_and_leaves_nothing() {
    let app = TestApp::start().await;
    let owner = app.owner().await;
    let house = made(&owner, PROVIDERS, &provider("http://10.0.0.1:8000/v1")).await["id"].clone();
    let with = |field: &str, value: Value| {
        let mut body = model(&house);
        body[field] = value;
        body
    };
    let per_image = |micros: i64, currency: &str| {
        let mut body = with("price", json!({"micros": micros, "currency": currency}));
        body.as_object_mut().unwrap().remove("price_card");
        body
    };
    let undecided = json!([{"unit": "image", "micros": 1, "when": {"style": "oil"}}]);
    let table = [
        (with("id", json!("House/Paints")), "id", "malformed"),
        (with("id", json!("demo/painter")), "id", "taken"),
        (with("aliases", json!(["demo/painter"])), "aliases", "taken"),
        (with("provider", json!("prv_01h455vb4pex5vsknk084sn02q")), "provider", "unknown"),
        (with("title", json!("")), "title", "out_of_range"),
        (with("sizes", json!(["64"])), "sizes[0]", "malformed"),
        (with("sizes", json!([])), "sizes", "required"),
        (with("tasks", json!([])), "tasks", "required"),
        (with("max_count", json!(17)), "max_count", "out_of_range"),
        (with("max_references", json!(17)), "max_references", "out_of_range"),
        (with("parameters", json!({"type": 7})), "parameters", "malformed"),
        (with("price", euros(1)), "price_card", "twice"),
        (with("price_card", undecided), "price_card[0].when.style", "undecided"),
        (with("price_card", json!([])), "price", "out_of_range"),
        (per_image(1, "USD"), "price", "out_of_range"),
        (per_image(-1, "EUR"), "price", "out_of_range"),
    ];
    for (body, field, code) in table {
        refused(&owner.post(MODELS, &body).await, field, code);
    }
    let models = owner.get(MODELS).await.json();
    assert!(models["items"].as_array().unwrap().iter().all(|one| one["provider"] == "demo"));
    let demo = owner.get(PROVIDERS).await.json()["items"][0]["id"].clone();
    let managed = owner.post(MODELS, &model(&demo)).await;
    assert_eq!((managed.status, managed.code().as_str()), (409, "inference.managed_by_configuration"));
    for (way, body) in [("PATCH", json!({"title": "Mine"})), ("PATCH", json!({"price": null})), ("DELETE", json!(null))]
    {
        let reply = owner.send(owner.request(way, &format!("{MODELS}/demo/painter")).json(&body)).await;
        assert_eq!(reply.code(), "inference.managed_by_configuration", "{way} {body}");
    }
    assert_eq!(owner.patch(&format!("{MODELS}/house/none"), &json!({})).await.code(), "not_found");
}

#[tokio::test]
async fn a_model_is_offered_as_long_as_it_is_on_and_has_a_price() {
    let app = TestApp::start().await;
    let (owner, member) = (app.owner().await, app.member("ida@example.org").await);
    let house = made(&owner, PROVIDERS, &provider("http://10.0.0.1:8000/v1")).await;
    made(&owner, MODELS, &model(&house["id"])).await;
    let address = format!("{MODELS}/house/paints");
    let quote = async || {
        let reply = member.post("/api/v1/quotes", &request()).await;
        if reply.status == 200 { reply.json()["price"]["micros"].to_string() } else { reply.code() }
    };
    assert_eq!(quote().await, (2 * 50_300 + 7).to_string());
    let changed = owner.patch(&address, &json!({"price": euros(9), "title": "Cheap"})).await.json();
    assert_eq!((&changed["title"], &changed["price"]), (&json!("Cheap"), &euros(9)));
    assert_eq!(quote().await, "18");
    for (change, answer) in [
        (json!({"enabled": false}), "inference.unknown_model"),
        (json!({"enabled": true, "price": null}), "inference.unpriced_model"),
        (json!({"price": euros(0)}), "0"),
    ] {
        assert_eq!(owner.patch(&address, &change).await.status, 200, "{change}");
        assert_eq!(quote().await, answer, "{change}");
        let listed = member.get("/api/v1/models").await.json().to_string().contains("house/paints");
        assert_eq!(listed, answer == "0", "only what can be used is listed: {change}");
    }
    owner.patch(&at(PROVIDERS, &house), &json!({"enabled": false})).await;
    assert_eq!(quote().await, "inference.unknown_model", "with its provider");
    owner.patch(&at(PROVIDERS, &house), &json!({"enabled": true})).await;
    assert_eq!(owner.delete(&address).await.status, 204);
    assert_eq!(quote().await, "inference.unknown_model");
    for (action, times) in
        [("models.add", 1), ("models.change", 1), ("models.price", 4), ("models.switch_off", 1), ("models.remove", 1)]
    {
        assert_eq!(acts(&owner, action, &house["id"]).await.len(), times, "{action}");
    }
}

#[tokio::test]
async fn what_is_left_out_is_priced_and_sent_as_the_model_says() {
    let app = TestApp::start().await;
    let owner = app.owner().await;
    let double = openai::start(&["--key", KEY]);
    let house = made(&owner, PROVIDERS, &provider(&double.base_url())).await;
    let shown = made(&owner, MODELS, &model(&house["id"])).await;
    assert_eq!(shown["price"], euros(50_307), "one picture with the defaults");
    let accepted = owner.post("/api/v1/generations", &request()).await.json();
    assert_eq!(accepted["price"]["held"], euros(2 * 50_300 + 7), "{accepted}");
    assert_eq!(accepted["parameters"], json!({}), "what was asked for is told as it was asked for");
    // Whatever the model's parameters become meanwhile, what was accepted is billed as it was.
    let cheaper = json!({"parameters": {"type": "object", "properties": {
        "quality": {"enum": ["low", "high", "best"], "default": "low"}, "steps": {"default": 30}}}});
    assert_eq!(owner.patch(&format!("{MODELS}/house/paints"), &cheaper).await.status, 200);
    let ended = owner.wait(accepted["id"].as_str().unwrap()).await;
    assert_eq!((&ended["state"], &ended["price"]["actual"]), (&json!("succeeded"), &euros(2 * 50_300 + 7)), "{ended}");
    let seen =
        reqwest::get(format!("http://127.0.0.1:{}/seen", double.port)).await.unwrap().json::<Value>().await.unwrap();
    let sent = seen.as_array().unwrap().iter().find(|one| one.to_string().contains("a teapot")).unwrap().to_string();
    assert!(sent.contains(r#""quality":"high""#) && sent.contains(r#""steps":30"#), "{sent}");

    let quote = async |parameters: Value| {
        let mut body = request();
        body["parameters"] = parameters;
        owner.post("/api/v1/quotes", &body).await
    };
    assert_eq!(quote(json!({})).await.json()["price"], euros(2 * 1_300), "the default is another now");
    assert_eq!(quote(json!({"quality": "high", "steps": 30.0})).await.json()["price"], euros(2 * 50_300 + 7));
    let unsaid = quote(json!({"quality": "best", "steps": 7})).await;
    assert_eq!((unsaid.status, unsaid.code().as_str()), (422, "inference.unpriced_model"));
    assert_eq!(unsaid.json()["fields"][0]["name"], "parameters");
    let undecided = json!({"parameters": {"type": "object", "properties": {"quality": {}, "steps": {"default": 30}}}});
    let lost = owner.patch(&format!("{MODELS}/house/paints"), &undecided).await;
    refused(&lost, "price_card[0].when.quality", "undecided");
}

#[tokio::test]
async fn an_answer_that_is_no_picture_keeps_its_hold_unless_it_came_from_the_house() {
    for (local, state, hold) in [(true, "failed", "voided"), (false, "unknown", "pending")] {
        let app = TestApp::start().await;
        let owner = app.owner().await;
        let double = openai::start(&["--key", KEY]);
        let house = made(&owner, PROVIDERS, &provider(&double.base_url())).await;
        let spoilt = json!({"provider": house["id"], "id": "house/held-spoilt", "title": "Spoilt", "sizes": ["64x32"],
            "price": euros(9)});
        made(&owner, MODELS, &spoilt).await;
        let asked = json!({"model": "house/held-spoilt", "prompt": "a teapot", "size": "64x32"});
        let accepted = owner.post("/api/v1/generations", &asked).await.json();
        let double = format!("http://127.0.0.1:{}", double.port);
        while !reqwest::get(format!("{double}/seen")).await.unwrap().text().await.unwrap().contains("a teapot") {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let client = postgres::connect(&app.database_url()).await;
        client.execute("update egress_destinations set local = $1", &[&local]).await.unwrap();
        reqwest::get(format!("{double}/release")).await.unwrap();
        let ended = owner.wait(accepted["id"].as_str().unwrap()).await;
        assert_eq!(
            (&ended["state"], &ended["error"]["code"]),
            (&json!(state), &json!("provider.unreadable")),
            "{ended}"
        );
        let kept: String = client.query_one("select state from holds", &[]).await.unwrap().get(0);
        assert_eq!(kept, hold, "{ended}");
    }
}

#[tokio::test]
async fn a_destination_that_is_switched_off_gets_nothing_and_nobody_pays() {
    let app = TestApp::start().await;
    let owner = app.owner().await;
    let double = openai::start(&["--key", KEY]);
    let house = made(&owner, PROVIDERS, &provider(&double.base_url())).await;
    made(&owner, MODELS, &model(&house["id"])).await;
    let destination = owner.get(DESTINATIONS).await.json()["items"][0].clone();
    assert_eq!((&destination["id"], &destination["enabled"]), (&house["destination"], &json!(true)));
    assert_eq!((&destination["port"], &destination["local"]), (&json!(double.port), &json!(true)));
    let address = at(DESTINATIONS, &destination);
    let off = owner.patch(&address, &json!({"enabled": false})).await;
    assert_eq!((off.status, &off.json()["enabled"]), (200, &json!(false)));

    let accepted = owner.post("/api/v1/generations", &request()).await.json();
    let ended = owner.wait(accepted["id"].as_str().unwrap()).await;
    assert_eq!((&ended["state"], &ended["error"]["charged"]), (&json!("failed"), &euros(0)), "{ended}");
    let calls = owner.get("/api/v1/admin/egress?outcome=refused").await.json();
    assert_eq!(calls["items"][0]["generation"], accepted["id"], "{calls}");
    assert!(owner.get("/api/v1/admin/egress?outcome=answered").await.json()["items"].as_array().unwrap().is_empty());

    refused(&owner.get("/api/v1/admin/egress?status=99").await, "status", "out_of_range");

    owner.patch(&address, &json!({"enabled": true})).await;
    let retried = made_again(&owner, &accepted).await;
    assert_eq!(retried["state"], "succeeded", "{retried}");
    for action in ["egress.switch_off", "egress.switch_on"] {
        assert_eq!(acts(&owner, action, &destination["id"]).await.len(), 1, "{action}");
    }
    for body in [json!({}), json!({"enabled": "no"}), json!({"enabled": true, "host": "x"})] {
        let reply = owner.patch(&address, &body).await;
        assert_eq!((reply.status, reply.code().as_str()), (422, "request.invalid"), "{body}");
    }
    let stranger = format!("{DESTINATIONS}/dst_01h455vb4pex5vsknk084sn02q");
    assert_eq!(owner.patch(&stranger, &json!({"enabled": true})).await.code(), "not_found");
}

async fn made_again(owner: &Client, failed: &Value) -> Value {
    let retried =
        owner.post(&format!("/api/v1/generations/{}/retry", failed["id"].as_str().unwrap()), &json!({})).await;
    owner.wait(retried.json()["id"].as_str().unwrap()).await
}

#[tokio::test]
async fn a_member_sets_up_nothing_and_sees_no_provider() {
    let app = TestApp::start().await;
    let (owner, member) = (app.owner().await, app.member("ida@example.org").await);
    let house = made(&owner, PROVIDERS, &provider("http://10.0.0.1:8000/v1")).await;
    made(&owner, MODELS, &model(&house["id"])).await;
    let destination = at(DESTINATIONS, &json!({"id": house["destination"]}));
    let (house, paints) = (at(PROVIDERS, &house), format!("{MODELS}/house/paints"));
    let before = postgres_rows(&app).await;
    for (method, path) in [
        ("GET", PROVIDERS),
        ("POST", PROVIDERS),
        ("GET", &house),
        ("PATCH", &house),
        ("DELETE", &house),
        ("POST", &format!("{house}/test")),
        ("GET", MODELS),
        ("POST", MODELS),
        ("PATCH", &paints),
        ("DELETE", &paints),
        ("GET", "/api/v1/admin/egress"),
        ("GET", DESTINATIONS),
        ("PATCH", &destination),
    ] {
        for (caller, status, code) in [(&member, 403, "auth.forbidden"), (&app.anybody(), 401, "auth.required")] {
            let body = json!({"title": "Mine", "enabled": false});
            let reply = caller.send(caller.request(method, path).json(&body)).await;
            assert_eq!((reply.status, reply.code().as_str()), (status, code), "{method} {path}");
        }
    }
    assert_eq!(postgres_rows(&app).await, before);
}

/// Everything that could have been changed.
async fn postgres_rows(app: &TestApp) -> Vec<String> {
    let client = postgres::connect(&app.database_url()).await;
    let sql = "select p::text from providers p union all select m::text from models m
        union all select d::text from egress_destinations d union all select c::text from price_cards c order by 1";
    client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}
