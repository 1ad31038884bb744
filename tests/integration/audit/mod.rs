//! The audit log: a chain that nobody can change unseen, and that the server itself cannot change at all.

use std::path::Path;

use diesel_async::{AsyncConnection, AsyncPgConnection, SimpleAsyncConnection};
use renderkeep::{
    base::{ctx::Ctx, ids::PersonId},
    platform::{
        audit::{self, Act, Checkpoint, attest, verify},
        db::DbError,
    },
};
use serde_json::json;

use crate::support::{self, TestPlatform};

mod attested;
mod export;
mod roles;
mod tampering;

async fn with_entries(count: usize) -> TestPlatform {
    let test = support::platform().await;
    fill(&test, count).await;
    test
}

/// Acts of every shape: by people and by the server, with and without a note, with and without an object.
async fn fill(test: &TestPlatform, count: usize) {
    for number in 0..count {
        write(test, number).await.unwrap();
    }
}

async fn write(test: &TestPlatform, number: usize) -> Result<(), DbError> {
    let app = &test.platform;
    let ctx = Ctx::system("test", app.clock.clone());
    let person = PersonId::from(uuid::Uuid::from_u128(number as u128 % 3 + 1));
    let act = Act::done("caps.set").details(json!({ "number": number, "nested": { "b": [1, null], "a": "é\"" } }));
    let act = match number % 4 {
        0 => act,
        1 => act.by(person).on("cap", uuid::Uuid::from_u128(number as u128)),
        2 => act.on("person", person).because("they left").from_network("10.4.2.0/24"),
        _ => act.by(person).outcome(audit::Outcome::Refused).because("=1+1"),
    };
    app.db.write("test.record", async |tx| audit::record(tx, &ctx, act).await).await
}

/// As a superuser, with what the database itself would refuse switched off.
async fn behind_the_back(test: &TestPlatform) -> AsyncPgConnection {
    let mut conn = AsyncPgConnection::establish(&test.database.url()).await.unwrap();
    conn.batch_execute("set session_replication_role = replica").await.unwrap();
    conn
}

async fn tamper(test: &TestPlatform, statements: &str) {
    behind_the_back(test).await.batch_execute(statements).await.unwrap();
}

async fn check(test: &TestPlatform, checkpoints: Vec<Checkpoint>) -> verify::Report {
    verify::verify(&mut test.platform.db.read().await.unwrap(), checkpoints, None).await.unwrap()
}

/// What was found: kind and place.
async fn found(test: &TestPlatform) -> Option<(verify::Kind, Option<i64>)> {
    check(test, Vec::new()).await.fault.map(|fault| (fault.kind, fault.sequence))
}

/// A server that writes its checkpoints to `file`.
async fn attesting(file: &Path) -> TestPlatform {
    let mut config = support::config();
    config.audit.checkpoint_file = Some(file.to_owned());
    let test = support::platform_with(config).await;
    let ctx = Ctx::system("test", test.platform.clock.clone());
    attest::prepare(&test.platform, &ctx).await.unwrap();
    test
}

#[tokio::test]
async fn entries_get_their_place_when_their_act_commits() {
    let test = with_entries(5).await;
    let app = &test.platform;
    let ctx = Ctx::system("test", app.clock.clone());
    // Undone: no gap.
    let undone: Result<(), DbError> = app
        .db
        .write("test.undone", async |tx| {
            audit::record(tx, &ctx, Act::done("caps.set")).await?;
            Err(diesel::result::Error::RollbackTransaction.into())
        })
        .await;
    assert!(undone.is_err());
    // Several in one transaction: in the order in which they were written.
    app.db
        .write("test.several", async |tx| {
            for action in ["caps.set", "caps.delete"] {
                audit::record(tx, &ctx, Act::done(action)).await?;
            }
            Ok::<(), DbError>(())
        })
        .await
        .unwrap();
    let links = audit::links(&mut app.db.read().await.unwrap(), 0, 100).await.unwrap();
    assert_eq!(links.iter().map(|link| link.seq).collect::<Vec<_>>(), (1..=7).collect::<Vec<_>>());
    let actions: Vec<String> = links.into_iter().skip(5).map(|link| link.entry.unwrap().action).collect();
    assert_eq!(actions, ["caps.set", "caps.delete"]);
    let report = check(&test, Vec::new()).await;
    assert!(report.good && report.entries == 7, "{report:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_writers_make_one_chain_without_gaps() {
    let test = support::platform().await;
    let writers = (0..16).map(|writer| {
        let app = test.platform.clone();
        async move {
            let ctx = Ctx::system("test", app.clock.clone());
            for number in 0..20 {
                let written: Result<(), DbError> = app
                    .db
                    .write("test.many", async |tx| {
                        for _ in 0..number % 3 + 1 {
                            audit::record(tx, &ctx, Act::done("caps.set").details(json!({ "by": writer }))).await?;
                        }
                        match number % 5 {
                            4 => Err(diesel::result::Error::RollbackTransaction.into()),
                            _ => Ok(()),
                        }
                    })
                    .await;
                assert_eq!(written.is_err(), number % 5 == 4, "{written:?}");
            }
        }
    });
    futures::future::join_all(writers).await;
    let each: usize = (0..20).filter(|number| number % 5 != 4).map(|number| number % 3 + 1).sum();
    let report = check(&test, Vec::new()).await;
    assert!(report.good, "{report:?}");
    assert_eq!(report.entries, 16 * i64::try_from(each).unwrap());
}

#[tokio::test]
async fn erasing_a_person_keeps_the_chain() {
    let test = with_entries(24).await;
    let app = &test.platform;
    let person = PersonId::from(uuid::Uuid::from_u128(1));
    let ctx = Ctx::system("test", app.clock.clone());
    let erased = app.db.write("test.erase", async |tx| audit::erase_notes(tx, &ctx, person).await).await.unwrap();
    assert!(erased > 0);
    let client = support::postgres::connect(&test.database.url()).await;
    let left = "select 1 from audit_entries where (actor_id = $1 or (object_kind = 'person' and object_id = $1))
        and (reason is not null or network is not null or note_salt is not null)";
    assert!(client.query(left, &[&person.uuid()]).await.unwrap().is_empty());
    let others = client.query("select 1 from audit_entries where reason is not null", &[]).await.unwrap();
    assert!(!others.is_empty(), "others keep theirs");
    let report = check(&test, Vec::new()).await;
    assert!(report.good, "{report:?}");
    assert_eq!(i64::try_from(report.erased_notes).unwrap(), erased);
}
