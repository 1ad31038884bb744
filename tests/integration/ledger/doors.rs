//! Caps through the API and the page, as programs and owners meet them.

use serde_json::{Value, json};

use crate::support::app::{Client, Reply, TestApp};

const CAPS: &str = "/api/v1/admin/caps";

fn cap(scope: &str, subject: Value, period: &str, micros: i64) -> Value {
    json!({"scope": scope, "subject": subject, "period": period, "limit": {"micros": micros, "currency": "EUR"}})
}

async fn set(client: &Client, body: &Value) -> Reply {
    client.put(CAPS, body).await
}

#[tokio::test]
async fn a_cap_is_set_listed_seen_in_me_and_deleted() {
    let app = TestApp::start().await;
    let owner = app.owner().await;
    let me = owner.get("/api/v1/me").await.json();
    let person = me["person"]["id"].clone();
    let made = set(&owner, &cap("person", person.clone(), "day", 5_000_000)).await;
    assert_eq!(made.status, 200, "{:?}", made.body);
    let made = made.json();
    assert!(made["id"].as_str().unwrap().starts_with("cap_"));
    assert_eq!(made["limit"], json!({"micros": 5_000_000, "currency": "EUR"}));
    assert_eq!((&made["subject"], &made["left"]), (&person, &made["limit"]));
    let again = set(&owner, &cap("person", person.clone(), "day", 7_000_000)).await.json();
    assert_eq!(again["id"], made["id"]);
    set(&owner, &cap("organisation", Value::Null, "total", 9_000_000)).await;
    let each = set(&owner, &cap("person", Value::Null, "month", 8_000_000)).await.json();
    assert_eq!((&each["subject"], &each["spent"]), (&Value::Null, &Value::Null));

    let me = owner.get("/api/v1/me").await.json();
    let mut seen: Vec<_> = me["caps"].as_array().unwrap().iter().map(|cap| cap["period"].as_str().unwrap()).collect();
    seen.sort_unstable();
    assert_eq!(seen, ["day", "month", "total"]);
    for cap in me["caps"].as_array().unwrap() {
        let micros = |name: &str| cap[name]["micros"].as_i64().unwrap();
        assert_eq!(micros("limit"), micros("spent") + micros("held") + micros("left"), "{cap}");
        assert!(cap.get("left_after").is_none());
        assert_eq!(cap["refills_at"].is_null(), cap["period"] == "total");
    }

    let first = owner.get(&format!("{CAPS}?limit=2")).await.json();
    let next = first["next_cursor"].as_str().unwrap();
    let second = owner.get(&format!("{CAPS}?limit=2&cursor={next}")).await.json();
    assert_eq!((first["items"].as_array().unwrap().len(), second["items"].as_array().unwrap().len()), (2, 1));
    let own = owner.get(&format!("{CAPS}?subject={}", person.as_str().unwrap())).await.json();
    assert_eq!(own["items"].as_array().unwrap().len(), 1);

    let address = format!("{CAPS}/{}", made["id"].as_str().unwrap());
    assert_eq!(owner.delete(&address).await.status, 204);
    let gone = owner.delete(&address).await;
    assert_eq!((gone.status, gone.code().as_str()), (404, "not_found"));
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_by_field() {
    let app = TestApp::start().await;
    let owner = app.owner().await;
    let mut dollars = cap("person", Value::Null, "day", 5);
    dollars["limit"]["currency"] = json!("USD");
    let mut extra = cap("person", Value::Null, "day", 5);
    extra["colour"] = json!("red");
    let stranger = "per_01h455vb4pex5vsknk084sn02q";
    let cases = [
        (dollars, "limit.currency"),
        (extra, "colour"),
        (cap("person", Value::Null, "day", -1), "limit.micros"),
        (cap("person", json!(stranger), "day", 5), "subject"),
        (cap("workspace", Value::Null, "day", 5), "subject"),
        (cap("workspace", json!(stranger), "day", 5), "subject"),
        (cap("galaxy", Value::Null, "day", 5), "scope"),
        (cap("person", Value::Null, "fortnight", 5), "period"),
        (json!({"scope": "person", "period": "day"}), "limit"),
        (json!({"scope": "person", "period": "day", "limit": {"micros": 0.5, "currency": "EUR"}}), "limit.micros"),
    ];
    for (body, field) in cases {
        let refused = set(&owner, &body).await;
        assert_eq!((refused.status, refused.code().as_str()), (422, "request.invalid"), "{body}");
        assert_eq!(refused.json()["fields"][0]["name"], field, "{body}");
    }
    for query in ["scope=galaxy", "subject=gen_01h455vb4pex5vsknk084sn02q", "limit=0", "cursor=x", "colour=red"] {
        assert_eq!(owner.get(&format!("{CAPS}?{query}")).await.status, 422, "{query}");
    }
    assert_eq!(owner.delete(&format!("{CAPS}/nonsense")).await.status, 404);
    assert_eq!(owner.get(CAPS).await.json()["items"], json!([]));
}

#[tokio::test]
async fn a_member_sees_their_caps_and_sets_none() {
    let app = TestApp::start().await;
    let owner = app.owner().await;
    let member = app.member("ida@example.org").await;
    set(&owner, &cap("person", Value::Null, "day", 5)).await;
    let refused = set(&member, &cap("person", Value::Null, "day", 500)).await;
    assert_eq!((refused.status, refused.code().as_str()), (403, "auth.forbidden"));
    assert_eq!(member.get(CAPS).await.status, 403);
    assert_eq!(member.get("/admin/caps").await.status, 403);
    assert_eq!(app.anybody().get(CAPS).await.status, 401);
    assert_eq!(member.get("/api/v1/me").await.json()["caps"][0]["limit"]["micros"], 5);
}

async fn form(client: &Client, path: &str, body: &str) -> Reply {
    let request = client.request("POST", path).header("content-type", "application/x-www-form-urlencoded");
    client.send(request.body(body.to_owned())).await
}

fn text(reply: &Reply) -> String {
    String::from_utf8(reply.body.to_vec()).unwrap()
}

#[tokio::test]
async fn an_owner_sets_changes_and_deletes_caps_on_the_page() {
    let app = TestApp::start().await;
    let owner = app.owner().await;
    let empty = owner.get("/admin/caps").await;
    assert_eq!(empty.status, 200);
    assert!(text(&empty).contains("Nothing is capped"));
    // The client follows the redirect to the page that shows what was set.
    let saved = form(&owner, "/admin/caps", "scope=organisation&subject=&day=&month=3000&total=").await;
    assert_eq!(saved.status, 200, "{}", text(&saved));
    assert!(text(&saved).contains("€3,000.00"));
    let person = owner.get("/api/v1/me").await.json()["person"]["id"].as_str().unwrap().to_owned();
    form(&owner, "/admin/caps", &format!("scope=person&subject={person}&day=20&month=120.50&total=")).await;
    let caps = owner.get(&format!("{CAPS}?subject={person}")).await.json()["items"].clone();
    assert_eq!(caps.as_array().unwrap().len(), 2);

    let wrong = form(&owner, "/admin/caps", &format!("scope=person&subject={person}&day=twenty&month=&total=")).await;
    assert_eq!(wrong.status, 422);
    assert!(text(&wrong).contains("Write an amount such as 20 or 20.50.") && text(&wrong).contains("twenty"));
    assert_eq!(owner.get(&format!("{CAPS}?subject={person}")).await.json()["items"], caps, "nothing was changed");
    let unsaid = form(&owner, "/admin/caps", "scope=person&day=1&month=&total=").await;
    assert_eq!(unsaid.status, 422, "a form without a subject does not set the default");

    // An emptied field deletes its cap, the question deletes the other.
    form(&owner, "/admin/caps", &format!("scope=person&subject={person}&day=&month=120.50&total=")).await;
    let deleted = owner.get("/api/v1/admin/audit?action=caps.delete").await.json()["items"][0]["id"].clone();
    let entry = text(&owner.get(&format!("/admin/audit?open={}", deleted.as_str().unwrap())).await);
    assert!(entry.contains("Limit before</small><span>€20.00"), "{entry}");
    let month = owner.get(&format!("{CAPS}?subject={person}")).await.json()["items"][0]["id"].clone();
    let month = month.as_str().unwrap();
    let asked = owner.get(&format!("/admin/caps?open={person}&ask=delete&cap={month}")).await;
    assert!(text(&asked).contains("€120.50 a month"), "{}", text(&asked));
    assert_eq!(form(&owner, &format!("/admin/caps/{month}/delete"), "").await.status, 200);
    assert_eq!(owner.get(&format!("{CAPS}?subject={person}")).await.json()["items"], json!([]));

    for there in ["?open=default", "?open=organisation", &format!("?open={person}"), "?ask=new"] {
        assert_eq!(owner.get(&format!("/admin/caps{there}")).await.status, 200, "{there}");
    }
    for not_there in ["?open=per_01h455vb4pex5vsknk084sn02q", "?open=x", "?ask=delete", "?ask=delete&cap=cap_x"] {
        assert_eq!(owner.get(&format!("/admin/caps{not_there}")).await.status, 404, "{not_there}");
    }
}
