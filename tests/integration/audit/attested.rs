//! Checkpoints: what a chain alone cannot show.

use std::fs;

use renderkeep::{
    app::rooms,
    base::ctx::Ctx,
    platform::audit::{attest, read_checkpoints, verify, verify::Kind},
};

use super::{Checkpoint, TestPlatform, attesting, check, fill, tamper};

async fn attest_now(test: &TestPlatform) -> Checkpoint {
    let ctx = Ctx::system("test", test.platform.clock.clone());
    attest::attest(&test.platform, &ctx).await.unwrap().expect("a log that has entries")
}

/// Only what the file has, as if the database's own copies were gone too.
async fn compared(test: &TestPlatform, file: &std::path::Path) -> Option<(Kind, Option<i64>)> {
    tamper(test, "delete from audit_checkpoints").await;
    let (checkpoints, unreadable) = read_checkpoints(file).unwrap();
    assert_eq!(unreadable, 0);
    check(test, checkpoints).await.fault.map(|fault| (fault.kind, fault.sequence))
}

const CUT: &str = "delete from audit_entries where id in (select entry_id from audit_chain where seq > 6);
    delete from audit_chain where seq > 6";

#[tokio::test]
async fn entries_cut_off_the_end_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("checkpoints.jsonl");
    let test = attesting(&file).await;
    fill(&test, 4).await;
    attest_now(&test).await;
    fill(&test, 5).await;
    attest_now(&test).await;
    fill(&test, 1).await;
    let report = check(&test, read_checkpoints(&file).unwrap().0).await;
    assert!(report.good, "{report:?}");
    assert_eq!((report.entries, report.attested), (10, Some(9)));
    tamper(&test, CUT).await;
    assert_eq!(check(&test, Vec::new()).await.fault.unwrap().kind, Kind::Missing, "the database remembers");
    assert_eq!(compared(&test, &file).await, Some((Kind::Missing, Some(7))));
    assert!(check(&test, Vec::new()).await.good, "without any checkpoint nothing is left to see");
}

#[tokio::test]
async fn a_chain_that_was_computed_anew_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("checkpoints.jsonl");
    let test = attesting(&file).await;
    fill(&test, 4).await;
    attest_now(&test).await;
    fill(&test, 5).await;
    attest_now(&test).await;
    tamper(&test, CUT).await;
    // Whoever owns the database lets it make a new and perfect end.
    fill(&test, 20).await;
    assert_eq!(compared(&test, &file).await, Some((Kind::Rewritten, Some(5))));
}

#[tokio::test]
async fn a_checkpoint_with_a_wrong_signature_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("checkpoints.jsonl");
    let test = attesting(&file).await;
    fill(&test, 4).await;
    let good = attest_now(&test).await;
    let forged = Checkpoint { at: good.at.replace("20", "19"), ..good.clone() };
    let report = check(&test, vec![forged]).await;
    let fault = report.fault.unwrap();
    assert_eq!((fault.kind, fault.sequence), (Kind::BadSignature, Some(4)));
    // Ahead of the log, so that its signature alone can give it away.
    let ahead = Checkpoint { sequence: 99, ..good.clone() };
    assert_eq!(check(&test, vec![ahead]).await.fault.unwrap().kind, Kind::BadSignature);
    // Another key that whoever owns the database might have put there.
    let pinned = Some(vec![1; 32]);
    let report = verify::verify(&mut test.platform.db.read().await.unwrap(), vec![good], pinned).await.unwrap();
    assert_eq!(report.fault.unwrap().kind, Kind::BadSignature);
}

#[tokio::test]
async fn checkpoints_come_after_so_many_entries_or_minutes() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("checkpoints.jsonl");
    let mut config = crate::support::config();
    config.audit.checkpoint_file = Some(file.clone());
    config.audit.checkpoint_entries = 3;
    let test = crate::support::platform_with(config).await;
    let app = &test.platform;
    attest::prepare(app, &Ctx::system("test", app.clock.clone())).await.unwrap();
    let reconciler = rooms::reconcilers().into_iter().find(|one| one.name() == "audit.checkpoint").unwrap();
    let attested = async || {
        reconciler.act(app).await.unwrap();
        let lines = fs::read_to_string(&file).unwrap_or_default();
        lines.lines().map(|line| serde_json::from_str::<Checkpoint>(line).unwrap().sequence).collect::<Vec<_>>()
    };
    assert!(attested().await.is_empty(), "nothing happened yet");
    fill(&test, 1).await;
    assert_eq!(attested().await, [1], "the first entry is attested at once");
    fill(&test, 2).await;
    assert_eq!(attested().await, [1]);
    fill(&test, 1).await;
    assert_eq!(attested().await, [1, 4], "three entries");
    fill(&test, 1).await;
    app.clock.advance(chrono::Duration::minutes(5));
    assert_eq!(attested().await, [1, 4, 5], "five minutes");
    app.clock.advance(chrono::Duration::minutes(5));
    assert_eq!(attested().await, [1, 4, 5], "nothing new, nothing to attest");
}

#[tokio::test]
async fn syslog_gets_them_and_a_file_that_cannot_be_written_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let socket = tokio::net::UnixDatagram::bind(dir.path().join("log")).unwrap();
    let mut config = crate::support::config();
    config.audit.syslog = Some(dir.path().join("log"));
    let test = crate::support::platform_with(config).await;
    let ctx = Ctx::system("test", test.platform.clock.clone());
    attest::prepare(&test.platform, &ctx).await.unwrap();
    fill(&test, 2).await;
    let written = attest_now(&test).await;
    let mut message = vec![0; 4096];
    let length = socket.recv(&mut message).await.unwrap();
    let message = String::from_utf8(message[..length].to_vec()).unwrap();
    let (head, json) = message.split_once(" - {").unwrap();
    let words: Vec<&str> = head.split(' ').collect();
    assert_eq!((words[0], words[2], words[3], words[5]), ("<109>1", "-", "renderkeep", "audit-checkpoint"));
    assert_eq!(serde_json::from_str::<Checkpoint>(&format!("{{{json}")).unwrap(), written);

    let test = attesting(&dir.path().join("missing/checkpoints.jsonl")).await;
    fill(&test, 1).await;
    let ctx = Ctx::system("test", test.platform.clock.clone());
    let error = attest::attest(&test.platform, &ctx).await.unwrap_err().to_string();
    assert!(error.contains("checkpoints.jsonl cannot be written; check audit.checkpoint_file"), "{error}");
    let last = attest::last(&mut test.platform.db.read().await.unwrap()).await.unwrap();
    assert!(last.is_none(), "what was not written counts for nothing");
}
