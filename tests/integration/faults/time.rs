//! Clocks that jump: nothing is lost, nothing is done twice, and nothing waits until a clock that went back has caught up.

use std::{cell::Cell, rc::Rc, time::Duration as Wait};

use chrono::Duration;
use futures::StreamExt;
use renderkeep::{
    app::inspection::inspect,
    base::{
        access::{Role, Scope},
        ctx::Ctx,
    },
    platform::{
        Platform,
        db::DbError,
        jobs::{self, Reconciler},
        keyring::{Epochs, jobs as keys, status},
    },
    studio,
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{codes, made, wish};
use crate::{
    access::browser::{Browser, form as form_of},
    support::{
        app::{Client, TestApp},
        platform,
        postgres::connect,
    },
};

/// But for what says that the clock went back, and what nobody had time to sweep when it went ahead.
async fn in_order(app: &Platform) {
    let found = inspect(app, Vec::new()).await;
    let jumped = |code: &&str| ["clock.went_back", "storage.sweep_late"].contains(code);
    assert!(codes(&found).iter().all(jumped), "{found:?}");
}

fn jump(app: &TestApp, by: Duration) {
    app.platform.clock.advance(by);
}

async fn ask(client: &Client, key: &str) -> Value {
    let request = client.request("POST", "/api/v1/generations").header("Idempotency-Key", key).json(&wish("painter"));
    let reply = client.send(request).await;
    assert_eq!(reply.status, 202, "{:?}", reply.body);
    reply.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn work_goes_on_whichever_way_the_clock_jumps() {
    let app = TestApp::start().await;
    let owner = app.owner().await;
    for by in [Duration::hours(5), -Duration::hours(10), Duration::days(2), -Duration::days(1)] {
        let before = ask(&owner, &format!("before{by}")).await;
        jump(&app, by);
        let after = ask(&owner, &format!("after{by}")).await;
        for asked in [before, after] {
            let done = owner.wait(asked["id"].as_str().unwrap()).await;
            assert_eq!(done["state"], "succeeded", "{by}: {done}");
        }
        in_order(&app.platform).await;
    }
    assert_eq!(listed(&owner).await.len(), 8, "each on one page and one page only");
}

/// Every generation, page by page.
async fn listed(client: &Client) -> Vec<String> {
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = client.get(&format!("/api/v1/generations?limit=3{cursor}")).await.json();
        ids.extend(page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    let all = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), all, "none twice");
    ids
}

/// Whoever died while the clock was ahead keeps nobody waiting.
#[tokio::test(flavor = "multi_thread")]
async fn leases_of_the_future_end_when_the_clock_went_back() {
    let mut app = TestApp::start().await;
    let mut owner = app.owner().await;
    tokio::task::block_in_place(|| app.halt());
    let ids = {
        tokio::task::block_in_place(|| app.restart());
        owner.url.clone_from(&app.url);
        let id = ask(&owner, "one").await["id"].as_str().unwrap().to_owned();
        owner.wait(&id).await;
        tokio::task::block_in_place(|| app.halt());
        id
    };
    // As a server leaves it that was killed in the middle, with its clock a day ahead.
    let torn = "set session_replication_role = replica;
        update generations set state = 'submitting', ended_at = null, actual_micros = null, overage_micros = null,
            lease_owner = id, lease_until = now() + interval '1 day', not_before = now() + interval '1 day';
        update holds set state = 'pending', actual_micros = null, resolved_at = null;
        delete from ledger_postings; delete from ledger_transactions;
        update cap_windows set held_micros = 20000, spent_micros = 0;
        update attempts set state = 'submitting', ended_at = null; delete from generation_outputs;
        update schedule set last_started_at = now() + interval '1 day', lease_owner = gen_random_uuid(),
            lease_until = now() + interval '1 day'";
    connect(&app.database_url()).await.batch_execute(torn).await.unwrap();
    tokio::task::block_in_place(|| app.restart());
    owner.url.clone_from(&app.url);
    let done = owner.wait(&ids).await;
    assert_eq!((&done["state"], &done["attempts"]), (&json!("succeeded"), &json!(2)), "{done}");
    let turned = async {
        let client = connect(&app.database_url()).await;
        let ahead = "select count(*) from schedule where last_started_at > now() + interval '1 hour'";
        while client.query_one(ahead, &[]).await.unwrap().get::<_, i64>(0) > 0 {
            tokio::time::sleep(Wait::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Wait::from_secs(60), turned).await.expect("repeated work takes its turn");
}

#[tokio::test]
async fn a_turn_is_neither_lost_nor_doubled() {
    let test = platform().await;
    let turns = Rc::new(Cell::new(0));
    let counted = turns.clone();
    let minutes = async |test: &Platform| {
        let turns = counted.clone();
        let count = Reconciler::new("test.turns", Wait::from_secs(3600), move |_: Platform, _: Ctx| {
            turns.set(turns.get() + 1);
            async { Ok::<_, DbError>(()) }
        });
        let stop = CancellationToken::new();
        let work = jobs::run(test.clone(), Vec::new(), vec![count], stop.clone());
        let rest = async {
            tokio::time::sleep(Wait::from_millis(400)).await;
            stop.cancel();
        };
        tokio::join!(work, rest);
    };
    minutes(&test.platform).await;
    minutes(&test.platform).await;
    assert_eq!(turns.get(), 1, "once an hour");
    test.platform.clock.advance(Duration::hours(30));
    minutes(&test.platform).await;
    assert_eq!(turns.get(), 2);
    test.platform.clock.advance(-Duration::hours(30));
    minutes(&test.platform).await;
    assert_eq!(turns.get(), 3, "not first in thirty hours");
    minutes(&test.platform).await;
    assert_eq!(turns.get(), 3, "and once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_answer_stays_one_answer() {
    let app = TestApp::start().await;
    let owner = app.owner().await;
    let first = ask(&owner, "one").await;
    for by in [-Duration::hours(5), Duration::hours(10), -Duration::hours(20)] {
        jump(&app, by);
        assert_eq!(ask(&owner, "one").await["id"], first["id"], "{by}");
    }
    owner.wait(first["id"].as_str().unwrap()).await;
    assert_eq!(listed(&owner).await.len(), 1);
    in_order(&app.platform).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_in_one_window_is_settled_in_the_same() {
    let app = TestApp::start().await;
    let owner = app.owner().await;
    for by in [Duration::days(1), -Duration::days(2), Duration::days(40), -Duration::days(40)] {
        let asked = ask(&owner, &format!("{by}")).await;
        jump(&app, by);
        assert_eq!(owner.wait(asked["id"].as_str().unwrap()).await["state"], "succeeded");
        in_order(&app.platform).await;
    }
    let spent = "select sum(spent_micros)::bigint, sum(held_micros)::bigint from cap_windows
        where scope = 'organisation' and period = ";
    let client = connect(&app.database_url()).await;
    for period in ["day", "month", "total"] {
        let row = client.query_one(&format!("{spent} '{period}'"), &[]).await.unwrap();
        assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (80_000, 0), "{period}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_and_tokens_end_once_and_nobody_is_locked_out_by_the_future() {
    let app = TestApp::start().await;
    let (mail, password) = app.owner.clone();
    let client = app.client_of(&mail, &Scope::ALL).await;
    let bea = app.add("bea@example.org", Role::Member).await;
    let bea = Browser::settled(&app, "bea@example.org", &bea).await;
    let sign_in = async |password: &str| {
        let form = [("mail", mail.as_str()), ("password", password), ("next", "")];
        let request = app.anybody().request("POST", "/sign-in").header("sec-fetch-site", "same-origin");
        let request = form_of(request, &form);
        let anybody = Client { http: no_redirects(), ..app.anybody() };
        let request = anybody.http.execute(request.build().unwrap());
        request.await.unwrap().status().as_u16()
    };
    jump(&app, Duration::hours(20));
    for _ in 0..12 {
        sign_in("not this one").await;
    }
    assert_eq!(sign_in(&password).await, 429, "guessed too often");
    jump(&app, -Duration::hours(20));
    assert_eq!(sign_in(&password).await, 303, "that was in a future that does not come");
    for by in [-Duration::days(3), Duration::days(3)] {
        jump(&app, by);
        assert_eq!(client.get("/api/v1/me").await.status, 200, "{by}");
        assert_eq!(bea.get("/studio").await.status, 200, "{by}");
    }
    jump(&app, Duration::hours(13));
    assert_eq!(bea.get("/studio").await.status, 303, "nobody was there for longer than the session lasts");
    jump(&app, -Duration::hours(13));
    assert_eq!(client.get("/api/v1/me").await.status, 200, "a token without an end has none");
}

#[expect(clippy::disallowed_types, reason = "a test calls the server as other programs do")]
fn no_redirects() -> reqwest::Client {
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

#[tokio::test]
async fn an_epoch_turns_once_a_week_whatever_the_clock_did() {
    let test = platform().await;
    let app = &test.platform;
    let backups = Duration::days(35);
    let epochs = async || {
        let ctx = Ctx::system("test", app.clock.clone());
        keys::turn(&app.keys, &app.db, &ctx, false, backups).await.unwrap();
        let mut conn = app.db.read().await.unwrap();
        status(&mut conn, &Epochs::open(test.epochs.path()).unwrap(), backups).await.unwrap().epochs.len()
    };
    assert_eq!(epochs().await, 1);
    app.clock.advance(-Duration::days(30));
    assert_eq!(epochs().await, 1, "none before its time");
    app.clock.advance(Duration::days(38));
    assert_eq!(epochs().await, 2);
    app.clock.advance(-Duration::days(8));
    assert_eq!(epochs().await, 2, "the one that is needed is not dead, and no other begins");
    app.clock.advance(Duration::days(8));
    assert_eq!(epochs().await, 2, "nor when the same time comes again");
}

/// Events of a clock that was ahead are forgotten with their elders, so that nobody reads past a gap.
#[tokio::test(flavor = "multi_thread")]
async fn events_are_forgotten_without_a_gap() {
    let app = TestApp::start().await;
    let owner = app.owner().await;
    jump(&app, Duration::hours(20));
    made(&owner, "painter").await;
    jump(&app, -Duration::hours(20));
    let seen = last_event(&app).await;
    made(&owner, "painter").await;
    let all = last_event(&app).await;
    assert!(all > seen && seen > 1);
    // The younger ones by number are the older ones by time.
    jump(&app, Duration::hours(26));
    studio::events::forget_old(&app.platform).await.unwrap();
    let client = connect(&app.database_url()).await;
    let left: i64 = client.query_one("select count(*) from generation_events", &[]).await.unwrap().get(0);
    assert_eq!(left, 0, "all of them: a log that begins in the middle is whole, one with a gap is not");
    let after = seen.to_string();
    let stream = owner.request("GET", "/api/v1/events").header("Last-Event-ID", after).send().await.unwrap();
    let mut stream = stream.bytes_stream();
    let mut told = String::new();
    while !told.contains("event:") {
        let piece = tokio::time::timeout(Wait::from_secs(20), stream.next()).await.unwrap().unwrap().unwrap();
        told.push_str(std::str::from_utf8(&piece).unwrap());
    }
    assert!(told.contains("event: reset"), "{told}");
}

async fn last_event(app: &TestApp) -> i64 {
    let client = connect(&app.database_url()).await;
    client.query_one("select max(last_number) from event_streams", &[]).await.unwrap().get(0)
}
