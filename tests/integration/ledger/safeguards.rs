//! What the database itself refuses, whatever writes to it.

use renderkeep::ledger::model::{Period, Subject};
use tokio_postgres::{Client, error::SqlState};

use super::House;
use crate::support::postgres::connect;

async fn client(house: &House) -> Client {
    connect(&house.test.database.url()).await
}

async fn refused(client: &Client, sql: &str, state: &SqlState) {
    let error = client.batch_execute(sql).await.expect_err(sql);
    assert_eq!(error.code(), Some(state), "{sql}: {error:?}");
}

#[tokio::test]
async fn nothing_sets_aside_more_than_a_cap_leaves() {
    let house = House::new().await;
    house.cap_person(Period::Day, 100).await;
    house.held(60).await;
    let client = client(&house).await;
    let person = house.payer.person.uuid();
    let change =
        |change: &str| format!("update cap_windows set {change} where subject_id = '{person}' and period = 'day'");
    refused(&client, &change("held_micros = held_micros + 41"), &SqlState::CHECK_VIOLATION).await;
    let tomorrow = format!(
        "insert into cap_windows (scope, subject_id, period, starts_on, held_micros)
         values ('person', '{person}', 'day', current_date + 2, 101)"
    );
    refused(&client, &tomorrow, &SqlState::CHECK_VIOLATION).await;
    client.batch_execute(&change("held_micros = held_micros + 40")).await.unwrap();
    let billed = change("held_micros = held_micros - 100, spent_micros = 500");
    client.batch_execute(&billed).await.expect("what was billed is posted");
}

#[tokio::test]
async fn the_default_of_each_person_binds_the_database_too() {
    let house = House::new().await;
    house.cap(Subject::EachPerson, Period::Total, 10).await;
    house.held(10).await;
    let client = client(&house).await;
    let person = house.payer.person.uuid();
    let over = format!("update cap_windows set held_micros = 11 where subject_id = '{person}' and period = 'total'");
    refused(&client, &over, &SqlState::CHECK_VIOLATION).await;
    house.cap_person(Period::Total, 20).await;
    client.batch_execute(&over).await.expect("an own cap takes the default's place");
}

#[tokio::test]
async fn sums_never_fall_below_zero() {
    let house = House::new().await;
    house.held(10).await;
    let client = client(&house).await;
    refused(&client, "update cap_windows set held_micros = held_micros - 11", &SqlState::CHECK_VIOLATION).await;
    refused(&client, "update cap_windows set spent_micros = spent_micros - 1", &SqlState::CHECK_VIOLATION).await;
}

#[tokio::test]
async fn the_books_are_append_only() {
    let house = House::new().await;
    let generation = house.held(10).await;
    house.settle(generation, 25).await.unwrap();
    let books = house.books().await;
    let client = client(&house).await;
    for table in ["ledger_postings", "ledger_transactions"] {
        refused(&client, &format!("delete from {table}"), &SqlState::RESTRICT_VIOLATION).await;
        refused(&client, &format!("truncate {table} cascade"), &SqlState::RESTRICT_VIOLATION).await;
    }
    for sql in ["update ledger_postings set amount_micros = 1", "update ledger_transactions set kind = 'charge'"] {
        refused(&client, sql, &SqlState::RESTRICT_VIOLATION).await;
    }
    assert_eq!(house.books().await, books);
}

#[tokio::test]
async fn postings_that_do_not_sum_to_zero_do_not_commit() {
    let house = House::new().await;
    let charged = house.held(10).await;
    house.settle(charged, 10).await.unwrap();
    let client = client(&house).await;
    let entry = "with act as (insert into ledger_transactions (id, hold_id, kind, currency, created_at)
            select gen_random_uuid(), id, 'overage', 'EUR', now() from holds returning id)
        insert into ledger_postings select act.id, account.id, case account.kind when 'person' then 5 else -4 end
            from act, ledger_accounts account";
    refused(&client, entry, &SqlState::CHECK_VIOLATION).await;
    let lonely =
        entry.replace("from act, ledger_accounts account", "from act, ledger_accounts account where kind = 'person'");
    refused(&client, &lonely, &SqlState::CHECK_VIOLATION).await;
    client.batch_execute(&entry.replace("-4", "-5")).await.expect("one that does");
}

#[tokio::test]
async fn a_resolved_hold_stays_as_it_is_and_only_loses_its_person() {
    let house = House::new().await;
    let generation = house.held(10).await;
    let client = client(&house).await;
    refused(&client, "update holds set amount_micros = 9", &SqlState::CHECK_VIOLATION).await;
    house.settle(generation, 10).await.unwrap();
    for change in [
        "actual_micros = 9",
        "state = 'voided', actual_micros = null",
        "state = 'pending', actual_micros = null, resolved_at = null",
        "made_on = made_on + 1",
    ] {
        refused(&client, &format!("update holds set {change}"), &SqlState::CHECK_VIOLATION).await;
    }
    client.batch_execute("update holds set person_id = gen_random_uuid()").await.expect("a person's deletion");
}
