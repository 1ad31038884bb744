//! The tables `organisation_keys` and `owner_keys`.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::KeyId;
use crate::{
    base::data_map::{Category, Column, Retention, Table},
    platform::db::{
        Conn, DbError, Tx,
        schema::{organisation_keys, owner_keys},
    },
};

#[derive(Queryable, Selectable)]
#[diesel(table_name = organisation_keys)]
pub struct OrganisationRow {
    pub root_key_id: String,
    pub sealed_key: Vec<u8>,
    pub created_at: DateTime<Utc>,
    pub sealed_at: DateTime<Utc>,
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = owner_keys)]
pub struct OwnerRow {
    pub owner_id: Uuid,
    pub kind: String,
    pub epoch: i32,
    pub sealed_key: Vec<u8>,
}

/// Of several servers one at a time makes keys or turns an epoch.
pub async fn lock(tx: &mut Tx) -> Result<(), DbError> {
    diesel::sql_query("lock table organisation_keys in share row exclusive mode").execute(&mut **tx).await?;
    Ok(())
}

pub async fn organisation(conn: &mut Conn) -> Result<Option<OrganisationRow>, DbError> {
    Ok(organisation_keys::table.select(OrganisationRow::as_select()).first(conn).await.optional()?)
}

pub async fn insert_organisation(
    tx: &mut Tx,
    root: &KeyId,
    sealed_key: &[u8],
    at: DateTime<Utc>,
) -> Result<(), DbError> {
    diesel::insert_into(organisation_keys::table)
        .values((
            organisation_keys::root_key_id.eq(root.as_str()),
            organisation_keys::sealed_key.eq(sealed_key),
            organisation_keys::created_at.eq(at),
            organisation_keys::sealed_at.eq(at),
        ))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

pub async fn reseal_organisation(
    tx: &mut Tx,
    root: &KeyId,
    sealed_key: &[u8],
    at: DateTime<Utc>,
) -> Result<(), DbError> {
    diesel::update(organisation_keys::table)
        .set((
            organisation_keys::root_key_id.eq(root.as_str()),
            organisation_keys::sealed_key.eq(sealed_key),
            organisation_keys::sealed_at.eq(at),
        ))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

pub async fn insert(tx: &mut Tx, row: &OwnerRow, at: DateTime<Utc>) -> Result<(), DbError> {
    diesel::insert_into(owner_keys::table).values((row, owner_keys::created_at.eq(at))).execute(&mut **tx).await?;
    Ok(())
}

pub async fn find(conn: &mut Conn, owners: &[Uuid]) -> Result<Vec<OwnerRow>, DbError> {
    let rows = owner_keys::table.filter(owner_keys::owner_id.eq_any(owners)).select(OwnerRow::as_select());
    Ok(rows.load(conn).await?)
}

/// Some that are sealed under an epoch before `newest`; nobody else seals them meanwhile.
pub async fn lock_older(tx: &mut Tx, newest: i32, count: i64) -> Result<Vec<OwnerRow>, DbError> {
    let rows = owner_keys::table.filter(owner_keys::epoch.lt(newest)).order(owner_keys::epoch).limit(count);
    Ok(rows.select(OwnerRow::as_select()).for_update().skip_locked().load(&mut **tx).await?)
}

pub async fn reseal(tx: &mut Tx, owner: Uuid, epoch: i32, sealed_key: &[u8]) -> Result<(), DbError> {
    diesel::update(owner_keys::table.find(owner))
        .set((owner_keys::epoch.eq(epoch), owner_keys::sealed_key.eq(sealed_key)))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

pub async fn destroy(conn: &mut Conn, owner: Uuid) -> Result<(), DbError> {
    diesel::delete(owner_keys::table.find(owner)).execute(conn).await?;
    Ok(())
}

pub async fn epochs_in_use(conn: &mut Conn) -> Result<BTreeSet<i32>, DbError> {
    let used: Vec<i32> = owner_keys::table.select(owner_keys::epoch).distinct().load(conn).await?;
    Ok(used.into_iter().collect())
}

/// How many keys each kind of owner has under each epoch.
pub async fn counts(conn: &mut Conn) -> Result<Vec<(String, i32, i64)>, DbError> {
    Ok(owner_keys::table
        .group_by((owner_keys::kind, owner_keys::epoch))
        .order((owner_keys::kind, owner_keys::epoch))
        .select((owner_keys::kind, owner_keys::epoch, diesel::dsl::count_star()))
        .load(conn)
        .await?)
}

const ORGANISATIONS: Retention = Retention::Forever("without it nothing could be read");

pub const DATA_MAP: &[Table] = &[
    Table {
        name: "organisation_keys",
        columns: &[
            Column::operational("singleton", ORGANISATIONS),
            Column::operational("root_key_id", ORGANISATIONS),
            Column::operational("sealed_key", ORGANISATIONS).sealed(),
            Column::operational("created_at", ORGANISATIONS),
            Column::operational("sealed_at", ORGANISATIONS),
        ],
    },
    Table {
        name: "owner_keys",
        columns: &[
            Column::withheld("owner_id", Category::Reference),
            Column::withheld("kind", Category::Reference),
            Column::operational("epoch", Retention::WithOwner),
            Column::withheld("sealed_key", Category::Credential).sealed(),
            Column::withheld("created_at", Category::Activity),
        ],
    },
];
