//! The pages of accounts, organisation and console as a browser meets them.

use renderkeep::base::access::Role;

use super::browser::{Browser, Seen, form};
use crate::support::app::TestApp;

const PASSWORD: &str = "quiet harbour lamp 7";

#[tokio::test]
async fn signing_in_leads_through_a_new_password_to_where_one_wanted_to_go() {
    let app = TestApp::start().await;
    let nobody = Browser::new(&app);
    let sent = nobody.get("/settings").await;
    assert_eq!(sent.location(), Some("/sign-in?next=%2Fsettings"));
    let page = nobody.get("/sign-in?next=%2Fsettings").await;
    assert!(page.says(r#"name="next" value="/settings""#), "{}", page.text());
    let fields = [("mail", app.owner.0.as_str()), ("password", app.owner.1.as_str()), ("next", "/settings")];
    let request = nobody.request("POST", "/sign-in").header("sec-fetch-site", "same-origin");
    let entered = Seen::of(form(request, &fields)).await;
    assert_eq!(entered.location(), Some("/password?next=%2Fsettings"));
    assert!(!entered.says(&entered.session().unwrap()), "the cookie's value is in no body");
    let owner = Browser::entered(&app, &app.owner.0, &app.owner.1).await;
    assert_eq!(owner.get("/settings").await.location(), Some("/password"));
    let wrong =
        owner.post("/password", &[("new_password", "password1234"), ("again", "password123"), ("next", "")]).await;
    assert_eq!(wrong.status, 422);
    assert!(wrong.says("Not the same as above"));
    let common = owner.post("/password", &[("new_password", "password1234"), ("again", "password1234")]).await;
    assert!(common.says("on the list of common ones"), "{}", common.text());
    let before = owner.cookie().unwrap().to_owned();
    let chosen =
        owner.post("/password", &[("new_password", PASSWORD), ("again", PASSWORD), ("next", "/settings")]).await;
    assert_eq!(chosen.location(), Some("/settings"));
    assert_eq!(owner.with_cookie(Some(&before)).get("/api/v1/me").await.status, 401, "the old session is over");
    assert_eq!(owner.with_cookie(chosen.session().as_deref()).get("/settings").await.status, 200);
}

#[tokio::test]
async fn a_wrong_password_an_unknown_mail_and_too_many_tries_say_so_on_the_page() {
    let app = TestApp::start().await;
    let mut nobody = Browser::new(&app);
    let wrong = nobody.sign_in(&app.owner.0, "wrong").await;
    let unknown = nobody.sign_in("nobody@example.org", "wrong").await;
    assert_eq!((wrong.status, unknown.status), (401, 401));
    assert_eq!(wrong.text().replace(&app.owner.0, ""), unknown.text().replace("nobody@example.org", ""));
    assert!(wrong.session().is_none() && !wrong.says(r#"value="wrong""#));
    for _ in 0..4 {
        nobody.sign_in(&app.owner.0, "wrong").await;
    }
    let paused = nobody.sign_in(&app.owner.0, &app.owner.1).await;
    assert_eq!(paused.status, 429);
    assert!(paused.headers.contains_key("retry-after") && paused.says("A short pause"));
}

#[tokio::test]
async fn asvs_v7_4_1_signing_out_ends_the_session_on_the_server() {
    let app = TestApp::start().await;
    let owner = Browser::settled(&app, &app.owner.0, &app.owner.1).await;
    assert_eq!(owner.get("/sign-in").await.location(), Some("/studio"), "who is in needs no sign-in");
    let left = owner.post("/sign-out", &[]).await;
    assert_eq!(left.location(), Some("/sign-in?left=true"));
    assert!(left.headers.contains_key("clear-site-data"));
    assert!(left.headers.get("set-cookie").unwrap().to_str().unwrap().contains("Max-Age=0"));
    assert_eq!(owner.get("/api/v1/me").await.status, 401);
    assert!(owner.get("/sign-in").await.says("session has ended"));
    assert!(owner.with_cookie(None).get("/sign-in?left=true").await.says("signed out"));
}

#[tokio::test]
async fn settings_change_name_theme_password_and_sessions() {
    let app = TestApp::start().await;
    let owner = Browser::settled(&app, &app.owner.0, &app.owner.1).await;
    assert_eq!(owner.post("/settings/profile", &[("name", "Mara L.")]).await.status, 303);
    assert!(owner.get("/settings").await.says("Mara L."));
    assert_eq!(owner.post("/settings/profile", &[("name", " ")]).await.status, 422);
    let dark = owner.post("/settings/theme", &[("theme", "dark"), ("next", "//evil.example")]).await;
    assert_eq!(dark.location(), Some("/studio"));
    dark.check("/settings/theme");
    let mut other = Browser::new(&app);
    other.sign_in(&app.owner.0, PASSWORD).await;
    assert_eq!(other.get("/api/v1/me").await.status, 200);
    assert_eq!(owner.post("/settings/sessions/revoke-others", &[]).await.status, 303);
    assert_eq!(other.get("/api/v1/me").await.status, 401);
    let wrong = [("current_password", "wrong"), ("new_password", "another lamp 1234"), ("again", "another lamp 1234")];
    let refused = owner.post("/settings/password", &wrong).await;
    assert!(refused.status == 422 && refused.says("not your present password"));
    let right = [("current_password", PASSWORD), ("new_password", "another lamp 1234"), ("again", "another lamp 1234")];
    let changed = owner.post("/settings/password", &right).await;
    assert!(changed.status == 303 && changed.session().is_some());
}

#[tokio::test]
async fn a_token_made_on_the_page_is_shown_once_and_works() {
    let app = TestApp::start().await;
    let owner = Browser::settled(&app, &app.owner.0, &app.owner.1).await;
    let none = owner.post("/settings/tokens", &[("name", "x"), ("expires_days", "90")]).await;
    assert!(none.status == 422 && none.says("at least one scope"));
    let fields = [("name", "Script"), ("scope", "read"), ("scope", "write"), ("expires_days", "30")];
    let made = owner.post("/settings/tokens", &fields).await;
    let text = made.text();
    // The whole start of the field: a form token may hold these three letters too.
    let token = format!("rk_{}", &text.split(r#" value="rk_"#).nth(1).unwrap()[..43]);
    assert_eq!(Browser::with_token(&app, &token).get("/api/v1/me").await.status, 200);
    let page = owner.get("/settings/tokens").await;
    assert!(page.says("Script") && !page.says(&token));
    let id = page.text().split("/settings/tokens/tok_").nth(1).unwrap()[..26].to_owned();
    assert_eq!(owner.post(&format!("/settings/tokens/tok_{id}/revoke"), &[]).await.status, 303);
    assert_eq!(Browser::with_token(&app, &token).get("/api/v1/me").await.status, 401);
}

#[tokio::test]
async fn people_are_added_and_switched_off_on_their_page() {
    let app = TestApp::start().await;
    let owner = Browser::settled(&app, &app.owner.0, &app.owner.1).await;
    assert!(owner.get("/admin/people?ask=add").await.says("Add the person"));
    let fields = [("name", "Ida Lund"), ("mail", "ida@example.org"), ("role", "member")];
    let made = owner.post("/admin/people", &fields).await;
    assert!(made.status == 200 && made.says("One-time password"), "{}", made.text());
    let again = owner.post("/admin/people", &fields).await;
    assert!(again.status == 422 && again.says("has this mail address already"));
    let listed = owner.get("/admin/people?q=ida").await;
    assert!(listed.says("Ida Lund") && !listed.says("One-time password"));
    let id = listed.text().split("open=per_").nth(1).unwrap()[..26].to_owned();
    let sheet = owner.get(&format!("/admin/people?open=per_{id}&ask=deactivate")).await;
    assert!(sheet.says("Deactivate Ida Lund"), "{}", sheet.text());
    let new = owner.post(&format!("/admin/people/per_{id}/one-time-password"), &[]).await;
    assert!(new.says("Ida Lund can sign in"));
    assert_eq!(owner.post(&format!("/admin/people/per_{id}/end-sessions"), &[]).await.status, 303);
    let off = owner.post(&format!("/admin/people/per_{id}/deactivate"), &[("reason", "left")]).await;
    assert_eq!(off.status, 303);
    assert!(owner.get("/admin/people?state=deactivated").await.says("Ida Lund"));
    let log = owner.get("/admin/audit?action=people.deactivate").await;
    assert!(log.says("Person deactivated") && log.says("Ida Lund") && log.says("left"), "{}", log.text());
    let open = log.text().split("open=aud_").nth(1).unwrap()[..26].to_owned();
    assert!(owner.get(&format!("/admin/audit?open=aud_{open}")).await.says("people.deactivate"));
    assert_eq!(owner.post(&format!("/admin/people/per_{id}/reactivate"), &[]).await.status, 303);
    let oneself = owner.id_of_person().await;
    assert_eq!(owner.post(&format!("/admin/people/{oneself}/deactivate"), &[]).await.status, 409);
    assert!(owner.get("/admin").await.says("Parts of this server"));
}

#[tokio::test]
async fn an_unknown_outcome_is_settled_on_its_page_once() {
    let mut config = crate::support::config();
    config.inference.timeout_seconds = 1;
    let app = TestApp::start_with(config).await;
    let owner = Browser::settled(&app, &app.owner.0, &app.owner.1).await;
    let program = app.owner().await;
    let body = serde_json::json!({ "model": "demo/silent", "prompt": "a gradient", "size": "512x512" });
    let lost = async || program.post("/api/v1/generations", &body).await.json()["id"].as_str().unwrap().to_owned();
    let (billed, free, dear) = (lost().await, lost().await, lost().await);
    assert_eq!(program.wait(&dear).await["state"], "unknown");
    assert_eq!(program.wait(&billed).await["state"], "unknown");
    assert_eq!(program.wait(&free).await["state"], "unknown");
    assert!(owner.get("/admin").await.says("3 generations without a known outcome"));
    let dialog = owner.get(&format!("/admin/unknown?settle={billed}")).await;
    assert!(dialog.says("Demo: never answers") && dialog.says("Settle this generation"), "{}", dialog.text());
    assert!(!dialog.says("required checked"), "what cannot be undone is not chosen for anybody");

    let settle = async |id: &str, billing: &str, amount: &str, reason: &str| {
        let fields = [("billing", billing), ("amount", amount), ("reason", reason)];
        owner.post(&format!("/admin/unknown/{id}"), &fields).await
    };
    for (amount, reason) in [("", "invoice"), ("a little", "invoice"), ("-0.01", "invoice"), ("0.01", " ")] {
        let refused = settle(&billed, "billed", amount, reason).await;
        assert!(
            refused.status == 422 && refused.says("Settle this generation"),
            "{amount}, {reason}: {}",
            refused.status
        );
    }
    let unsaid = owner.post(&format!("/admin/unknown/{billed}"), &[("amount", ""), ("reason", "invoice")]).await;
    assert!(unsaid.status == 422 && unsaid.says("Say whether the provider billed it."), "{}", unsaid.text());
    let huge = settle(&billed, "billed", "9999999999999", "invoice").await;
    assert!(huge.status == 422 && huge.says("The most is 1,000,000."), "{}", huge.text());
    let again = owner.get(&format!("/admin/unknown/{billed}")).await;
    assert_eq!((again.status, again.location()), (303, Some(format!("/admin/unknown?settle={billed}").as_str())));
    // More than was set aside is asked about once.
    let above = settle(&billed, "billed", "5000", "invoice 7").await;
    assert!(above.status == 422 && above.says("€5,000.00 is more than the €0.02"), "{}", above.text());
    let other = [("billing", "billed"), ("amount", "50000"), ("reason", "invoice 7"), ("sure", "5000")];
    assert_eq!(owner.post(&format!("/admin/unknown/{billed}"), &other).await.status, 422, "meant was another amount");
    let sure = [("billing", "billed"), ("amount", "0.03"), ("reason", "invoice 8"), ("sure", "0.03")];
    assert_eq!(owner.post(&format!("/admin/unknown/{dear}"), &sure).await.location(), Some("/admin/unknown"));
    assert_eq!(settle(&billed, "billed", "0,005", "invoice 7").await.location(), Some("/admin/unknown"));
    // What was typed before is not read when nothing was billed.
    assert_eq!(settle(&free, "nothing", "0.02", "they said so").await.location(), Some("/admin/unknown"));
    let charged = async |id: &str| program.wait(id).await["price"]["actual"]["micros"].clone();
    assert_eq!((charged(&billed).await, charged(&free).await), (5_000.into(), 0.into()));
    assert_eq!(settle(&free, "billed", "0.02", "again").await.status, 409);
    assert_eq!(charged(&free).await, 0);
    assert!(owner.get("/admin/unknown").await.says("Nothing is unknown"));
    let log = owner.get("/admin/audit?action=generations.resolve").await;
    assert!(log.says("invoice 7") && log.says("they said so"), "{}", log.text());
}

#[tokio::test]
async fn the_api_of_people_tokens_and_audit_is_as_it_was_promised() {
    let app = TestApp::start().await;
    let owner = app.owner().await;
    let body = serde_json::json!({ "mail": "Ida@Example.org", "name": "Ida Lund", "role": "member" });
    let made = owner.post("/api/v1/admin/people", &body).await;
    assert_eq!(made.status, 201, "{:?}", made.body);
    let person = made.json();
    assert_eq!(person["mail"], "ida@example.org");
    assert_eq!(person["state"], "active");
    assert!(person["one_time_password"].as_str().unwrap().len() >= 16);
    let taken = owner.post("/api/v1/admin/people", &body).await;
    assert_eq!((taken.status, taken.json()["fields"][0]["code"].as_str()), (422, Some("taken")));
    let wrong = serde_json::json!({ "mail": "nonsense", "name": "" });
    assert_eq!(owner.post("/api/v1/admin/people", &wrong).await.json()["fields"].as_array().unwrap().len(), 2);
    let found = owner.get("/api/v1/admin/people?mail=ida@example.org").await.json();
    assert_eq!(found["items"].as_array().unwrap().len(), 1);
    assert!(found["items"][0].get("one_time_password").is_none());
    assert_eq!(owner.get("/api/v1/admin/people?state=nonsense").await.status, 422);
    let token = serde_json::json!({ "name": "Script", "scopes": ["read"], "expires_at": "2020-01-01T00:00:00Z" });
    assert_eq!(owner.post("/api/v1/tokens", &token).await.json()["fields"][0]["name"], "expires_at");
    let id = person["id"].as_str().unwrap();
    let log = owner.get(&format!("/api/v1/admin/audit?object={id}&action=people.add&outcome=done")).await.json();
    let entry = &log["items"][0];
    assert_eq!((entry["object"].as_str(), entry["outcome"].as_str()), (Some(id), Some("done")));
    assert!(
        entry["actor"].as_str().unwrap().starts_with("per_")
            && entry["request_id"].as_str().unwrap().starts_with("req_")
    );
    let founded = owner.get("/api/v1/admin/audit?actor=system").await.json();
    assert!(founded["items"].as_array().unwrap().iter().all(|entry| entry["actor"] == "system"));
    let member = app.client_of("ida@example.org", &renderkeep::base::access::Scope::ALL).await;
    assert_eq!(member.get("/api/v1/admin/audit").await.status, 403);
    let other = app.add("other@example.org", Role::Member).await;
    assert!(!other.is_empty());
}

#[tokio::test]
async fn the_same_key_makes_one_token_and_tells_it_again() {
    let app = TestApp::start().await;
    let owner = app.owner().await;
    let make = async |name: &str| {
        let body = serde_json::json!({ "name": name, "scopes": ["read"] });
        owner.send(owner.request("POST", "/api/v1/tokens").header("idempotency-key", "key-1").json(&body)).await
    };
    let (first, again) = (make("one").await, make("one").await);
    assert_eq!((first.status, again.status), (201, 201));
    assert_eq!(first.body, again.body);
    assert_eq!(again.headers.get("idempotent-replayed").unwrap(), "true");
    assert_eq!(make("two").await.code(), "request.idempotency_mismatch");
}
