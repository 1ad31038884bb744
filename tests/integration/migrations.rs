//! The migrations, and what is derived from them: `schema.rs` and the data map.

use std::{collections::BTreeMap, fs, path::Path};

use diesel_async::{AsyncConnection, AsyncMigrationHarness, AsyncPgConnection};
use diesel_migrations::MigrationHarness;
use renderkeep::{
    app::rooms,
    base::data_map::{Category, Column, Table},
    platform::{audit, db::migrate},
};

use crate::support::postgres::{Database, connect};

#[tokio::test]
async fn up_down_up_ends_where_it_began() {
    let database = Database::empty().await;
    let empty = database.schema_dump();
    assert!(migrate::run(&database.url()).await.unwrap() > 0);
    let first = database.schema_dump();
    assert_ne!(first, empty);
    revert_all(&database.url()).await;
    assert_eq!(database.schema_dump(), empty, "down.sql leaves something behind");
    migrate::run(&database.url()).await.unwrap();
    assert_eq!(database.schema_dump(), first);
    assert_eq!(migrate::run(&database.url()).await.unwrap(), 0);
}

async fn revert_all(url: &str) {
    let conn = AsyncPgConnection::establish(url).await.unwrap();
    let reverted = tokio::task::spawn_blocking(move || {
        let mut harness = AsyncMigrationHarness::new(conn);
        harness.revert_all_migrations(migrate::MIGRATIONS).map(|reverted| reverted.len()).unwrap()
    });
    assert!(reverted.await.unwrap() > 0);
}

#[tokio::test]
async fn servers_that_start_together_migrate_once() {
    let database = Database::empty().await;
    let url = database.url();
    let applied = futures::future::join_all((0..4).map(|_| migrate::run(&url))).await;
    let applied: Vec<usize> = applied.into_iter().map(Result::unwrap).collect();
    assert_eq!(applied.iter().filter(|applied| **applied > 0).count(), 1, "{applied:?}");
}

#[tokio::test]
async fn schema_rs_is_the_live_schema() {
    let database = Database::migrated().await;
    let house = Path::new(env!("CARGO_MANIFEST_DIR"));
    let live = database.psql(&house.join("packaging/schema.sql"));
    let file = fs::read_to_string(house.join("src/platform/db/schema.rs")).unwrap();
    assert!(live == file, "src/platform/db/schema.rs is out of date: run `make schema`");
}

#[tokio::test]
async fn every_column_is_classified_exactly_once() {
    let database = Database::migrated().await;
    let map = rooms::data_map();
    let live = live_columns(&database).await;
    let faults = faults(&live, &map);
    assert!(faults.is_empty(), "{}\nState it in the DATA_MAP next to the table's store.", faults.join("\n"));
}

/// Texts that say what somebody made and not what they wrote: words of a fixed set.
const OF_A_FIXED_SET: [&str; 5] = [
    "asset_thumbnails.media_type",
    "assets.kind",
    "assets.media_type",
    "generation_references.role",
    "generations.size",
];

#[tokio::test]
async fn who_people_are_and_what_they_say_is_sealed() {
    let database = Database::migrated().await;
    let live = live_columns(&database).await;
    let open = open_texts(&live, &rooms::data_map());
    assert_eq!(open, OF_A_FIXED_SET, "seal it with its person's key, and say so in the DATA_MAP");
    for table in rooms::data_map() {
        for column in table.columns.iter().filter(|column| column.sealed) {
            assert_eq!(live[&format!("{}.{}", table.name, column.name)], "bytea", "{}.{}", table.name, column.name);
        }
    }
}

#[test]
fn an_open_name_is_found() {
    const NAMES: &[Column] =
        &[Column::personal("name", Category::Identity), Column::personal("mail", Category::Identity).sealed()];
    let table = Table { name: "guests", columns: NAMES };
    let live = ["name", "mail"].map(|column| (format!("guests.{column}"), "text".to_owned()));
    assert_eq!(open_texts(&live.into(), &[&table]), ["guests.name"]);
}

/// Columns about who somebody is, or of what they made, that hold text which can be read.
fn open_texts(live: &BTreeMap<String, String>, map: &[&Table]) -> Vec<String> {
    let columns = map.iter().flat_map(|table| table.columns.iter().map(|column| (table.name, column)));
    let personal = columns
        .filter(|(_, column)| !column.sealed && matches!(column.category, Category::Identity | Category::Content))
        .map(|(table, column)| format!("{table}.{}", column.name));
    let mut open: Vec<String> =
        personal.filter(|name| ["text", "_text", "varchar", "json", "jsonb"].contains(&live[name].as_str())).collect();
    open.sort();
    open
}

#[test]
fn an_unclassified_a_doubled_and_an_unknown_column_are_found() {
    let live = ["id", "new"].map(|column| (format!("audit_entries.{column}"), "uuid".to_owned())).into();
    let table = audit::DATA_MAP.first().unwrap();
    let faults = faults(&live, &[table, table]).join("\n");
    assert!(faults.contains("audit_entries.new is in no data map"), "{faults}");
    assert!(faults.contains("audit_entries.id is classified 2 times"), "{faults}");
    assert!(faults.contains("audit_entries.at is classified and does not exist"), "{faults}");
}

/// Every column of every live table, as `table.column`, with its type.
async fn live_columns(database: &Database) -> BTreeMap<String, String> {
    let rows = connect(&database.url())
        .await
        .query(
            "select table_name || '.' || column_name, udt_name::text from information_schema.columns
             where table_schema = 'public' and table_name <> '__diesel_schema_migrations'",
            &[],
        )
        .await
        .unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

fn faults(live: &BTreeMap<String, String>, map: &[&Table]) -> Vec<String> {
    let mut classified = BTreeMap::<String, usize>::new();
    for table in map {
        for column in table.columns {
            *classified.entry(format!("{}.{}", table.name, column.name)).or_default() += 1;
        }
    }
    let unclassified = live.keys().filter(|name| !classified.contains_key(*name));
    let unknown = classified.keys().filter(|name| !live.contains_key(*name));
    let doubled = classified.iter().filter(|(_, times)| **times > 1);
    unclassified
        .map(|name| format!("{name} is in no data map"))
        .chain(unknown.map(|name| format!("{name} is classified and does not exist")))
        .chain(doubled.map(|(name, times)| format!("{name} is classified {times} times")))
        .collect()
}
