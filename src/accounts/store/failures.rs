//! The table `sign_in_failures`: tries that did not fit, under keyed hashes.

use chrono::{DateTime, Utc};
use diesel::{prelude::*, sql_types::BigInt};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::{
    base::clock::MOST_AHEAD,
    platform::db::{Conn, DbError, Tx, schema::sign_in_failures::dsl as t},
};

/// Whose try this is and where it comes from.
#[derive(Clone, Debug)]
pub struct Source {
    pub account: [u8; 32],
    pub network: [u8; 32],
}

/// Failures since some moment, newest first.
#[derive(Clone, Debug, Default)]
pub struct Recent {
    /// Of this account from this network.
    pub pair: Vec<DateTime<Utc>>,
    /// Of this account from anywhere.
    pub account: Vec<DateTime<Utc>>,
    /// From this network for any account.
    pub network: Vec<DateTime<Utc>>,
}

/// Lets one try of a network and of an account be counted after the other.
pub async fn lock(tx: &mut Tx, source: &Source) -> Result<(), DbError> {
    for hash in [&source.network, &source.account] {
        let number = hash.first_chunk::<8>().map_or(0, |bytes| i64::from_be_bytes(*bytes));
        diesel::sql_query("select pg_advisory_xact_lock($1)").bind::<BigInt, _>(number).execute(&mut **tx).await?;
    }
    Ok(())
}

/// At most `most` of each since `since`. What lies in the future was counted before a clock went back.
pub async fn recent(
    conn: &mut Conn,
    source: &Source,
    since: DateTime<Utc>,
    now: DateTime<Utc>,
    most: i64,
) -> Result<Recent, DbError> {
    let (account, network) = (source.account.as_slice(), source.network.as_slice());
    let counted = t::sign_in_failures.filter(t::at.gt(since)).filter(t::at.le(now + MOST_AHEAD));
    let late = counted.order(t::at.desc()).limit(most).select(t::at);
    let pair = late.filter(t::account_hash.eq(account)).filter(t::network_hash.eq(network)).load(conn).await?;
    let by_account = late.filter(t::account_hash.eq(account)).load(conn).await?;
    let by_network = late.filter(t::network_hash.eq(network)).load(conn).await?;
    Ok(Recent { pair, account: by_account, network: by_network })
}

pub async fn insert(tx: &mut Tx, id: Uuid, source: &Source, at: DateTime<Utc>) -> Result<(), DbError> {
    diesel::insert_into(t::sign_in_failures)
        .values((
            t::id.eq(id),
            t::account_hash.eq(source.account.as_slice()),
            t::network_hash.eq(source.network.as_slice()),
            t::at.eq(at),
        ))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

pub async fn remove(conn: &mut Conn, id: Uuid) -> Result<(), DbError> {
    diesel::delete(t::sign_in_failures.find(id)).execute(conn).await?;
    Ok(())
}

/// A success ends the account's trouble from this network.
pub async fn clear(tx: &mut Tx, source: &Source) -> Result<(), DbError> {
    let pair = t::sign_in_failures
        .filter(t::account_hash.eq(source.account.as_slice()))
        .filter(t::network_hash.eq(source.network.as_slice()));
    diesel::delete(pair).execute(&mut **tx).await?;
    Ok(())
}

pub async fn forget(conn: &mut Conn, before: DateTime<Utc>) -> Result<usize, DbError> {
    Ok(diesel::delete(t::sign_in_failures.filter(t::at.lt(before))).execute(conn).await?)
}
