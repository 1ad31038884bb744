//! Brings the database to this version's schema. Several servers may start together: one migrates, the others wait.

use std::collections::BTreeSet;

use diesel::{
    migration::{Migration, MigrationSource},
    pg::Pg,
    sql_types::{BigInt, Text},
};
use diesel_async::{AsyncConnection, AsyncMigrationHarness, AsyncPgConnection, RunQueryDsl};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use crate::platform::crash;

pub const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

/// Any number that nobody else uses as an advisory lock.
pub(super) const LOCK: i64 = 0x7265_6e64_6572;

#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    #[error("the database cannot be reached")]
    Connect(#[from] diesel::ConnectionError),
    #[error("the database refused the migration lock")]
    Lock(#[from] diesel::result::Error),
    #[error("a migration failed; the database is as it was before that migration")]
    Run(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the migration was interrupted")]
    Interrupted(#[from] tokio::task::JoinError),
}

/// Applies what is missing; returns how many were applied.
pub async fn run(url: &str) -> Result<usize, MigrateError> {
    let mut conn = AsyncPgConnection::establish(url).await?;
    diesel::sql_query("select pg_advisory_lock($1)").bind::<BigInt, _>(LOCK).execute(&mut conn).await?;
    // The harness blocks its thread, which a single-threaded runtime has none to spare for. The lock ends with the
    // connection.
    tokio::task::spawn_blocking(move || {
        let mut harness = AsyncMigrationHarness::new(conn);
        let pending = harness.pending_migrations(MIGRATIONS).map_err(MigrateError::Run)?;
        for migration in &pending {
            harness.run_migration(migration).map_err(MigrateError::Run)?;
            crash::point("migrate.applied");
        }
        Ok(pending.len())
    })
    .await?
}

/// How a database differs from this version's schema, in migrations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Not applied yet.
    pub missing: usize,
    /// Applied by a newer version, which this one does not know.
    pub unknown: usize,
}

/// How many migrations are missing. Changes nothing, so any role may ask that can read.
pub async fn pending(url: &str) -> Result<usize, MigrateError> {
    Ok(difference(url).await?.missing)
}

/// Compares the database with this version. Changes nothing.
pub async fn difference(url: &str) -> Result<Difference, MigrateError> {
    let mut conn = AsyncPgConnection::establish(url).await?;
    let begun = diesel::sql_query("select 1 from pg_tables where schemaname = 'public' and tablename = $1");
    let begun = begun.bind::<Text, _>("__diesel_schema_migrations").execute(&mut conn).await? > 0;
    let applied: Vec<Applied> = match begun {
        true => diesel::sql_query("select version from __diesel_schema_migrations").load(&mut conn).await?,
        false => Vec::new(),
    };
    let known: Vec<Box<dyn Migration<Pg>>> = MIGRATIONS.migrations().map_err(MigrateError::Run)?;
    let known: BTreeSet<String> = known.iter().map(|known| known.name().version().to_string()).collect();
    let applied: BTreeSet<String> = applied.into_iter().map(|applied| applied.version).collect();
    Ok(Difference { missing: known.difference(&applied).count(), unknown: applied.difference(&known).count() })
}

#[derive(diesel::QueryableByName)]
struct Applied {
    #[diesel(sql_type = Text)]
    version: String,
}

/// Whether a server answers there.
pub async fn answers(url: &str) -> bool {
    AsyncPgConnection::establish(url).await.is_ok()
}

/// Makes the database `name` unless it is there. `server` is the address of any other database of the same server;
/// the names are ours, never a caller's.
pub async fn ensure_database(server: &str, name: &'static str, owner: &'static str) -> Result<(), MigrateError> {
    let mut conn = AsyncPgConnection::establish(server).await?;
    let known = diesel::sql_query("select 1 from pg_database where datname = $1").bind::<Text, _>(name);
    if known.execute(&mut conn).await? == 0 {
        diesel::sql_query(format!("create database {name} owner {owner}")).execute(&mut conn).await?;
    }
    Ok(())
}
