//! The checker finds nothing wrong with what the server did, not even while it works, and finds each thing that was
//! really broken, and only that.

use std::collections::BTreeSet;

use renderkeep::{
    app::{inspection::inspect, rooms},
    base::ids::ObjectId,
    library,
    platform::{Platform, storage::stream_of},
};
use tokio_postgres::Client as Postgres;

use super::{codes, journey, made};
use crate::support::{app::TestApp, postgres::connect};

/// Behind it a journey and a night: nothing is young any more, and what was given up is swept.
async fn lived() -> (TestApp, Platform) {
    let mut app = TestApp::start().await;
    journey(&app.owner().await, true).await;
    tokio::task::block_in_place(|| app.halt());
    let platform = app.platform.clone();
    platform.clock.advance(chrono::Duration::minutes(20));
    let ctx = renderkeep::base::ctx::Ctx::system("test", platform.clock.clone());
    library::jobs::sweep(&platform, &ctx).await.unwrap();
    (app, platform)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_does_is_in_order_while_it_does_it() {
    let app = TestApp::start().await;
    let owner = app.owner().await;
    let work = async {
        for _ in 0..3 {
            let all = (0..4).map(|_| made(&owner, "painter"));
            tokio::join!(futures::future::join_all(all), journey(&owner, true));
        }
    };
    let mut looks = 0;
    let looking = async {
        loop {
            let found = inspect(&app.platform, Vec::new()).await;
            assert!(found.is_empty(), "work under way is no finding: {found:?}");
            looks += 1;
        }
    };
    tokio::select! {
        () = work => {}
        () = looking => {}
    }
    assert!(looks > 10, "only {looks} looks");
}

/// Copies every table, so that each breakage begins with what was in order.
const KEEP: &str = r"
create schema kept;
do $$ declare one record; begin
    for one in select tablename as name from pg_tables where schemaname = 'public' loop
        execute format('create table kept.%I as table public.%I', one.name, one.name);
    end loop;
end $$";

/// As the superuser without triggers and foreign keys, which stop most of what is tried here.
const RESTORE: &str = r"
set session_replication_role = replica;
do $$ declare one record; begin
    for one in select tablename as name from pg_tables where schemaname = 'kept' loop
        execute format('truncate public.%I cascade', one.name);
    end loop;
    for one in select tablename as name from pg_tables where schemaname = 'kept' loop
        execute format('insert into public.%I table kept.%I', one.name, one.name);
    end loop;
end $$;";

/// What is broken, how, and what else that breaks.
const BREAKAGES: &[(&str, &str, &[&str])] = &[
    ("ledger.uneven", "update ledger_postings set amount_micros = amount_micros - 1 where amount_micros < 0", &[]),
    (
        "ledger.empty_transaction",
        "insert into ledger_transactions (id, hold_id, kind, currency, created_at)
         select gen_random_uuid(), id, 'overage', currency, now() from holds
         where state = 'posted' and actual_micros = amount_micros limit 1",
        &[],
    ),
    (
        "ledger.charged_unposted",
        "update holds set state = 'pending', actual_micros = null, resolved_at = null where state = 'posted'",
        &["ledger.window_drifts", "studio.hold_open"],
    ),
    (
        "ledger.charge_differs",
        "update holds set actual_micros = actual_micros - 1 where actual_micros <= amount_micros",
        &["studio.hold_differs"],
    ),
    (
        "ledger.overage_differs",
        "update ledger_transactions set kind = 'overage' where hold_id in
         (select id from holds where actual_micros = amount_micros)",
        &[],
    ),
    (
        "ledger.refund_above_charge",
        "update ledger_postings set amount_micros = - amount_micros",
        &["ledger.charge_differs", "ledger.overage_differs", "ledger.window_drifts"],
    ),
    ("ledger.currency_differs", "update ledger_transactions set currency = 'USD'", &[]),
    (
        "ledger.window_negative",
        "alter table cap_windows drop constraint cap_windows_spent_micros_check;
         update cap_windows set spent_micros = -1 where scope = 'person' and period = 'day'",
        &["ledger.window_drifts"],
    ),
    ("ledger.window_drifts", "update cap_windows set held_micros = held_micros + 1 where period = 'total'", &[]),
    ("studio.hold_missing", "delete from holds where state = 'voided'", &[]),
    (
        "studio.hold_open",
        "update holds set state = 'pending', resolved_at = null where state = 'voided'",
        &["ledger.window_drifts"],
    ),
    ("studio.hold_differs", "update generations set held_micros = held_micros + 1 where state = 'succeeded'", &[]),
    (
        "studio.hold_idle",
        "insert into holds select gen_random_uuid(), gen_random_uuid(), organisation_id, workspace_id, person_id,
         provider_id, price_card_id, currency, amount_micros, state, actual_micros, made_on, created_at, resolved_at
         from holds where state = 'voided'",
        &[],
    ),
    ("studio.attempt_open", "update attempts set ended_at = null where state = 'answered'", &[]),
    (
        "studio.attempt_missing",
        "update generations set state = 'running', ended_at = null, actual_micros = null, lease_owner = id,
         lease_until = now() + interval '1 hour' where state = 'failed'",
        &["studio.event_differs", "studio.hold_differs"],
    ),
    (
        "studio.result_left",
        "update generation_outputs set object_id = (select object_id from assets limit 1)
         where asset_id is not null",
        &[],
    ),
    ("studio.events_gap", "delete from generation_events where number = 2", &[]),
    ("studio.events_end", "update event_streams set last_number = last_number + 1", &[]),
    ("studio.events_missing", "delete from generation_events", &[]),
    (
        "studio.event_differs",
        "update generation_events set snapshot = (select snapshot from generation_events where number = 1)
         where number = (select max(number) from generation_events)",
        &[],
    ),
    (
        "queue.abandoned",
        "update generations set state = 'running', ended_at = null, actual_micros = null, lease_owner = id,
         lease_until = now() where state = 'failed'",
        &["studio.attempt_missing", "studio.event_differs", "studio.hold_differs"],
    ),
    (
        "queue.waiting",
        "update generations set state = 'queued', ended_at = null, actual_micros = null where state = 'failed'",
        &["studio.event_differs", "studio.hold_differs"],
    ),
    (
        "queue.unknown",
        "update generations set state = 'unknown', ended_at = null, actual_micros = null where state = 'failed'",
        &["studio.event_differs", "studio.hold_differs"],
    ),
    (
        "jobs.abandoned",
        "insert into jobs (id, queue, payload, state, run_at, lease_owner, lease_until, request_id, created_at)
         values (gen_random_uuid(), 'x', '{}', 'running', now(), gen_random_uuid(), now(), 'req_x', now())",
        &[],
    ),
    (
        "jobs.waiting",
        "insert into jobs (id, queue, payload, run_at, request_id, created_at)
         values (gen_random_uuid(), 'x', '{}', now() - interval '1 hour', 'req_x', now())",
        &[],
    ),
    (
        "jobs.failed",
        "insert into jobs (id, queue, payload, state, run_at, ended_at, request_id, created_at)
         values (gen_random_uuid(), 'x', '{}', 'failed', now(), now(), 'req_x', now())",
        &[],
    ),
    ("jobs.turn_failed", "update schedule set last_error = 'no route' where name = 'storage.sweep'", &[]),
    (
        "jobs.turn_abandoned",
        "update schedule set lease_owner = gen_random_uuid(), lease_until = now() - interval '2 hours'
         where name = 'storage.sweep'",
        &[],
    ),
    (
        "storage.sweep_late",
        "insert into objects (id, owner_id, sealed_key, store_id, created_at, keep_until)
         select gen_random_uuid(), owner_id, sealed_key, store_id, now(), now() - interval '1 hour' from objects limit 1",
        &[],
    ),
    ("library.object_given_up", "update objects set keep_until = now() + interval '1 hour'", &[]),
    (
        "egress.call_open",
        "insert into egress_destinations (id, purpose, scheme, host, port, categories, allowed_at)
         values (gen_random_uuid(), 'inference', 'https', 'x.example', 443, '{}', now());
         insert into egress_calls (id, at, destination_id, purpose, categories, deadline)
         select gen_random_uuid(), now(), id, 'test', '{}', now() from egress_destinations",
        &[],
    ),
    (
        "clock.went_back",
        "update audit_entries set at = at + interval '1 hour'
         where id = (select max(id::text)::uuid from audit_entries)",
        &["audit.broken"],
    ),
    ("audit.broken", "update audit_entries set outcome = 'failed' where action = 'assets.trash'", &[]),
    ("keys.owner_missing", "delete from owner_keys where kind = 'workspace'", &[]),
    ("inspection.incomplete", "revoke select on cap_windows from renderkeep_app", &[]),
];

/// Those that are broken in the store, below.
const IN_THE_STORE: [&str; 3] = ["storage.object_missing", "storage.object_unknown", "storage.object_unused"];

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_broken_is_found_and_nothing_else() {
    let (app, platform) = lived().await;
    assert_eq!(inspect(&platform, Vec::new()).await, [], "a journey leaves everything in order");
    let client = connect(&app.database_url()).await;
    client.batch_execute(KEEP).await.unwrap();
    let mut wrong = Vec::new();
    for (code, breakage, beside) in BREAKAGES {
        client.batch_execute(&format!("{RESTORE} {breakage}")).await.expect(code);
        let expected: BTreeSet<&str> = beside.iter().copied().chain([*code]).collect();
        let found = inspect(&platform, Vec::new()).await;
        if codes(&found).into_iter().collect::<BTreeSet<_>>() != expected {
            wrong.push(format!("{code}: {found:?}"));
        }
        assert!(found.iter().all(|finding| finding.advice.is_some()), "{found:?}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    client.batch_execute(&format!("{RESTORE} grant select on cap_windows to renderkeep_app")).await.unwrap();
    in_the_store(&platform, &client).await;

    let tried: BTreeSet<&str> = BREAKAGES.iter().map(|(code, ..)| *code).chain(IN_THE_STORE).collect();
    let asked = rooms::questions().into_iter().flatten().map(|question| question.finding);
    let untried: Vec<&str> = asked.filter(|code| !tried.contains(code)).collect();
    assert!(untried.is_empty(), "nothing here breaks what these look for: {untried:?}");
}

async fn in_the_store(platform: &Platform, client: &Postgres) {
    let store = platform.storage.stores().of(&platform.db, 1).await.unwrap();
    assert_eq!(inspect(platform, Vec::new()).await, []);
    let first: uuid::Uuid = client.query_one("select object_id from assets limit 1", &[]).await.unwrap().get(0);
    let first = ObjectId::from(first);
    let bytes = store.get(first, None).await.unwrap();
    store.delete(first).await.unwrap();
    let found = inspect(platform, Vec::new()).await;
    assert_eq!(codes(&found), ["storage.object_missing"], "{found:?}");
    assert!(found[0].found.contains(&first.to_string()), "{found:?}");
    store.put(first, bytes, None).await.unwrap();

    let stranger = ObjectId::new(&platform.clock);
    store.put(stranger, stream_of("?"), None).await.unwrap();
    platform.clock.advance(chrono::Duration::minutes(16));
    assert_eq!(codes(&inspect(platform, Vec::new()).await), ["storage.object_unknown"]);
    let row = "insert into objects (id, state, owner_id, sealed_key, store_id, bytes, sha256, created_at)
         select $1, 'stored', owner_id, sealed_key, store_id, 1, sha256, now() from objects limit 1";
    client.execute(row, &[&stranger.uuid()]).await.unwrap();
    assert_eq!(codes(&inspect(platform, Vec::new()).await), ["storage.object_unused"]);
}

/// More objects than one look at the table and the store brings.
#[tokio::test(flavor = "multi_thread")]
async fn one_of_thousands_is_found_in_both_ways() {
    let (app, platform) = lived().await;
    let client = connect(&app.database_url()).await;
    let store = platform.storage.stores().of(&platform.db, 1).await.unwrap();
    let ids: Vec<ObjectId> = (0..2500).map(|_| ObjectId::new(&platform.clock)).collect();
    platform.clock.advance(chrono::Duration::minutes(16));
    for (place, id) in ids.iter().enumerate() {
        if place != 1700 {
            store.put(*id, stream_of("?"), None).await.unwrap();
        }
        if place != 1200 {
            let row = "insert into objects (id, state, owner_id, sealed_key, store_id, bytes, sha256, created_at)
                select $1, 'stored', owner_id, sealed_key, store_id, 1, sha256, now() from objects limit 1";
            client.execute(row, &[&id.uuid()]).await.unwrap();
        }
    }
    let found = inspect(&platform, Vec::new()).await;
    assert_eq!(codes(&found), ["storage.object_missing", "storage.object_unknown", "storage.object_unused"]);
    let says = |code: &str, place: usize| {
        let finding = found.iter().find(|finding| finding.code == code).unwrap();
        assert!(finding.found.ends_with(&format!(": 1, for example {}.", ids[place])), "{finding:?}");
    };
    says("storage.object_missing", 1700);
    says("storage.object_unknown", 1200);
    let unused = found.iter().find(|finding| finding.code == "storage.object_unused").unwrap();
    assert!(unused.found.contains(": 2499,"), "{unused:?}");
}
