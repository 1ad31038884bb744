//! What the server's own role cannot do, whoever speaks through it.

use renderkeep::platform::db::roles;
use tokio_postgres::error::SqlState;

use super::with_entries;
use crate::support::postgres::connect;

#[tokio::test]
async fn the_application_can_add_to_the_log_and_change_nothing() {
    let test = with_entries(3).await;
    let client = connect(&test.database.application_url()).await;
    for statement in [
        "update audit_entries set action = 'x'",
        "update audit_entries set reason = null, network = null, note_salt = null",
        "delete from audit_entries",
        "truncate audit_entries",
        "alter table audit_entries disable trigger all",
        "drop trigger audit_chain_append on audit_entries",
        "alter table audit_entries add column more text",
        "drop table audit_entries",
        "insert into audit_chain (seq, entry_id, hash) values (99, gen_random_uuid(), sha256('x'))",
        "update audit_chain set seq = 99 where seq = 3",
        "delete from audit_chain",
        "truncate audit_chain",
        "update audit_checkpoints set at = now()",
        "delete from audit_checkpoints",
        "update audit_signing_keys set public_key = sha256('x')",
        "delete from audit_signing_keys",
        "update ledger_postings set amount_micros = 1",
        "delete from ledger_postings",
        "truncate ledger_postings",
        "update ledger_transactions set currency = 'USD'",
        "delete from ledger_transactions",
        "alter table ledger_postings disable trigger all",
        "create or replace function audit_chain_append() returns trigger language plpgsql as 'begin return null; end'",
        "drop function audit_append_only cascade",
        "set session_replication_role = replica",
        "set role renderkeep_owner",
        "create table public.mine (id int)",
        "update __diesel_schema_migrations set version = 'x'",
    ] {
        let refused = client.batch_execute(statement).await.expect_err(statement);
        let code = refused.code().cloned();
        assert_eq!(code, Some(SqlState::INSUFFICIENT_PRIVILEGE), "{statement}: {refused}");
    }
    // A grant by somebody who has nothing to give is no error in Postgres, and gives nothing.
    client.batch_execute("grant update on audit_entries to renderkeep_app").await.unwrap();
    assert_eq!(roles::excess(&test.database.application_url()).await.unwrap(), None);
    assert!(super::check(&test, Vec::new()).await.good);
}

#[tokio::test]
async fn the_owner_is_stopped_by_the_tables_themselves() {
    let test = with_entries(3).await;
    let client = connect(&test.database.owner_url()).await;
    for statement in [
        "update audit_entries set action = 'x'",
        "update audit_entries set note_salt = '\\x01', reason = 'x'",
        "delete from audit_entries",
        "truncate audit_entries",
        "update audit_chain set seq = seq + 10",
        "delete from audit_chain",
        "truncate audit_chain",
    ] {
        let refused = client.batch_execute(statement).await.expect_err(statement);
        assert_eq!(refused.code(), Some(&SqlState::RESTRICT_VIOLATION), "{statement}: {refused}");
    }
}

#[tokio::test]
async fn a_role_that_may_do_more_than_it_should_is_told() {
    let test = with_entries(1).await;
    assert_eq!(roles::excess(&test.database.application_url()).await.unwrap(), None);
    let superuser = roles::excess(&test.database.url()).await.unwrap().unwrap();
    assert!(superuser.contains("renderkeep, which is a superuser"), "{superuser}");
    let owner = roles::excess(&test.database.owner_url()).await.unwrap().unwrap();
    assert!(owner.contains("renderkeep_owner") && owner.contains("audit_entries"), "{owner}");
    // Added by hand; the next migration takes it away again.
    let client = connect(&test.database.owner_url()).await;
    client.batch_execute("grant delete on ledger_postings to renderkeep_app").await.unwrap();
    let more = roles::excess(&test.database.application_url()).await.unwrap().unwrap();
    assert!(more.ends_with("must only grow: ledger_postings."), "{more}");
    roles::grant(&test.database.owner_url(), &test.database.application_url()).await.unwrap();
    assert_eq!(roles::excess(&test.database.application_url()).await.unwrap(), None);
}
