//! Requests that are accepted in one transaction: each gets its own outcome, and none of them another's.

use futures::future::join_all;
use serde_json::{Value, json};

use super::{cap, quick, standing};
use crate::support::{
    app::{Client, Reply, TestApp},
    postgres::connect,
};

async fn ask(client: &Client, bodies: &[Value]) -> Vec<Reply> {
    join_all(bodies.iter().map(|body| client.post("/api/v1/generations", body))).await
}

fn statuses(replies: &[Reply]) -> Vec<u16> {
    replies.iter().map(|reply| reply.status).collect()
}

/// Nothing begins, so that what was accepted stays as it is.
const PAUSED: &str = "create function wait() returns trigger language plpgsql as $$ begin return null; end $$;
    create trigger wait before update on generations for each row execute function wait()";

#[tokio::test]
async fn each_of_many_at_once_is_accepted_once_and_told_in_order() {
    let app = TestApp::start().await;
    let client = connect(&app.database_url()).await;
    client.batch_execute(PAUSED).await.unwrap();
    let owner = app.owner().await;
    cap(&owner, "organisation", "month", 30 * 20_000).await;
    let bodies: Vec<Value> = (0..40).map(|number| quick(&format!("number {number}"))).collect();
    let replies = ask(&owner, &bodies).await;
    let (accepted, refused): (Vec<_>, Vec<_>) = bodies.iter().zip(&replies).partition(|(_, reply)| reply.status == 202);
    assert_eq!((accepted.len(), refused.len()), (30, 10));
    assert!(refused.iter().all(|(_, reply)| reply.code() == "ledger.cap_reached"));
    for (body, reply) in &accepted {
        assert_eq!(reply.json()["prompt"], body["prompt"], "everybody gets their own answer");
    }
    assert_eq!(standing(&owner).await, (0, 600_000, 0));
    let row = client
        .query_one("select count(*), count(distinct number), min(number), max(number) from generation_events", &[])
        .await
        .unwrap();
    let told: [i64; 4] = [row.get(0), row.get(1), row.get(2), row.get(3)];
    assert_eq!(told, [30, 30, 1, 30]);
    let together: i64 =
        client.query_one("select count(distinct xmin::text) from generations", &[]).await.unwrap().get(0);
    assert!(together < 30, "no two of thirty shared a transaction");
}

#[tokio::test]
async fn one_that_the_database_refuses_takes_no_other_with_it() {
    let app = TestApp::start().await;
    let owner = app.owner().await;
    let client = connect(&app.database_url()).await;
    let poison = "create function poison() returns trigger language plpgsql as $$ begin
            if new.count = 3 then raise exception 'poisoned'; end if; return new; end $$;
        create trigger poison before insert on generations for each row execute function poison()";
    client.batch_execute(poison).await.unwrap();
    let body = |count: u32| json!({"model": "demo/painter", "prompt": "a gradient", "size": "512x512", "count": count});
    let bodies: Vec<Value> = (0..12).map(|number| body(if number == 5 { 3 } else { 1 })).collect();
    let replies = ask(&owner, &bodies).await;
    let expected: Vec<u16> = (0..12).map(|number| if number == 5 { 500 } else { 202 }).collect();
    assert_eq!(statuses(&replies), expected);
    let (rows, holds): (i64, i64) = {
        let row = client.query_one("select (select count(*) from generations), (select count(*) from holds)", &[]);
        let row = row.await.unwrap();
        (row.get(0), row.get(1))
    };
    assert_eq!((rows, holds), (11, 11), "and nothing is left of it");
}

#[tokio::test]
async fn a_commit_that_fails_leaves_nothing_and_the_next_go_on() {
    let app = TestApp::start().await;
    let owner = app.owner().await;
    cap(&owner, "organisation", "month", 1_000_000).await;
    let client = connect(&app.database_url()).await;
    let failing = "create function fail() returns trigger language plpgsql as $$ begin
            raise exception 'the commit fails' using errcode = 'admin_shutdown'; end $$;
        create constraint trigger fail after insert on generations deferrable initially deferred
            for each row execute function fail()";
    client.batch_execute(failing).await.unwrap();
    let bodies: Vec<Value> = (0..8).map(|number| quick(&format!("number {number}"))).collect();
    let keyed = |number: usize, body: &Value| {
        let request = owner.request("POST", "/api/v1/generations").header("Idempotency-Key", format!("key-{number}"));
        owner.send(request.json(body))
    };
    let replies = join_all(bodies.iter().enumerate().map(|(number, body)| keyed(number, body))).await;
    assert_eq!(statuses(&replies), [503; 8]);
    assert!(replies.iter().all(|reply| reply.headers.contains_key("retry-after")));
    assert_eq!(standing(&owner).await, (0, 0, 1_000_000));
    client.batch_execute("drop trigger fail on generations").await.unwrap();
    let replies = join_all(bodies.iter().enumerate().map(|(number, body)| keyed(number, body))).await;
    assert_eq!(statuses(&replies), [202; 8], "the same keys work");
    assert!(replies.iter().all(|reply| !reply.headers.contains_key("idempotent-replayed")));
}

#[tokio::test]
async fn a_key_that_somebody_else_holds_makes_nobody_else_wait_for_it() {
    let app = TestApp::start().await;
    let owner = app.owner().await;
    let keyed = |key: &'static str, body: Value| {
        let request = owner.request("POST", "/api/v1/generations").header("Idempotency-Key", key);
        owner.send(request.json(&body))
    };
    let first = keyed("held", quick("first")).await;
    assert_eq!(first.status, 202);
    // Another server is in the middle of the request with this key.
    let mut client = connect(&app.database_url()).await;
    let other = client.transaction().await.unwrap();
    other.execute("delete from idempotency_keys", &[]).await.unwrap();
    other
        .execute(
            "insert into idempotency_keys (person_id, route, key_hash, body_hash, status, answer, created_at)
             select person_id, 'POST /api/v1/generations', sha256('stuck'), sha256('stuck'), 0, '', now() from generations",
            &[],
        )
        .await
        .unwrap();
    let stuck = keyed("stuck", quick("stuck"));
    tokio::pin!(stuck);
    let free: Vec<Value> = (0..5).map(|_| quick("free")).collect();
    let others = ask(&owner, &free);
    tokio::pin!(others);
    let replies = tokio::select! {
        reply = &mut stuck => panic!("it did not wait: {}", reply.status),
        replies = &mut others => replies,
    };
    assert_eq!(statuses(&replies), [202; 5]);
    other.rollback().await.unwrap();
    assert_eq!(stuck.await.status, 202);
}

#[tokio::test]
async fn who_sends_the_same_key_twice_at_once_with_other_words_is_told() {
    let app = TestApp::start().await;
    let owner = app.owner().await;
    let keyed = |prompt: String| {
        let request = owner.request("POST", "/api/v1/generations").header("Idempotency-Key", "one");
        owner.send(request.json(&quick(&prompt)))
    };
    let replies = join_all((0..6).map(|number| keyed(format!("number {}", number % 2)))).await;
    let ids: Vec<String> =
        replies.iter().filter(|reply| reply.status == 202).map(|reply| reply.json()["id"].to_string()).collect();
    assert_eq!(ids.len(), 3, "{:?}", statuses(&replies));
    assert!(ids.iter().all(|id| *id == ids[0]));
    assert!(replies.iter().all(|reply| reply.status == 202 || reply.code() == "request.idempotency_mismatch"));
}
