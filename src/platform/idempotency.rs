//! `Idempotency-Key`: the same key and body get the first answer again, and the work is done once.
//!
//! The key is claimed inside the transaction of the act, so answer and act commit together. A second request with the
//! key waits in Postgres for the first to commit or to undo: no flag can be left behind by a crash. Only answers of acts
//! that were done are kept; they are sealed, because an answer may hold a prompt or a token.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Duration, Utc};
use diesel::{
    prelude::*,
    sql_types::{Array, Binary, Integer, Text, Uuid as SqlUuid},
};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    Platform,
    crypto::{CryptoError, Keys, Purpose, digest},
    db::{Conn, DbError, Tx, schema::idempotency_keys::dsl as t},
    jobs::Reconciler,
};
use crate::base::{
    ctx::Ctx,
    data_map::{Category, Column, Retention, Table},
    error::{Fault, Kind},
    ids::PersonId,
};

/// Kept at least this long.
pub const KEPT: Duration = Duration::hours(24);

/// How this request wants to be done once. Without a key every request is new.
#[derive(Clone, Debug)]
pub struct Once(Option<Key>);

#[derive(Clone, Debug)]
struct Key {
    route: String,
    key_hash: [u8; 32],
    body_hash: [u8; 32],
}

/// An answer that can be given again, byte for byte.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answer {
    pub status: u16,
    pub location: Option<String>,
    pub body: serde_json::Value,
    #[serde(skip)]
    pub replayed: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum OnceError {
    #[error("This Idempotency-Key was used with a different request. Nothing was done; use a new key.")]
    Mismatch,
    #[error("The first request with this Idempotency-Key is still running. Ask again in a moment.")]
    InProgress,
    #[error(transparent)]
    Db(#[from] DbError),
    #[error("The answer could not be kept.")]
    Crypto(#[from] CryptoError),
    #[error("The answer could not be kept.")]
    Encoding(#[from] serde_json::Error),
}

impl Fault for OnceError {
    fn kind(&self) -> Kind {
        match self {
            Self::Mismatch => Kind::Invalid,
            Self::InProgress => Kind::Conflict,
            Self::Db(error) => error.kind(),
            Self::Crypto(_) | Self::Encoding(_) => Kind::Internal,
        }
    }
    fn code(&self) -> &'static str {
        match self {
            Self::Mismatch => "request.idempotency_mismatch",
            Self::InProgress => "request.in_progress",
            Self::Db(error) => error.code(),
            Self::Crypto(_) | Self::Encoding(_) => "server.internal",
        }
    }
    fn retry_after(&self) -> Option<u32> {
        match self {
            Self::InProgress => Some(5),
            Self::Db(error) => error.retry_after(),
            _ => None,
        }
    }
}

impl From<diesel::result::Error> for OnceError {
    fn from(error: diesel::result::Error) -> Self {
        match &error {
            diesel::result::Error::DatabaseError(_, details) if details.message().contains("lock timeout") => {
                Self::InProgress
            }
            _ => Self::Db(error.into()),
        }
    }
}

impl Once {
    /// No key: nothing is claimed, nothing is kept.
    pub fn unkeyed() -> Self {
        Self(None)
    }

    /// `route` is method and path pattern; `body_hash` is equal for bodies that mean the same.
    pub fn keyed(route: String, key: &str, body_hash: [u8; 32]) -> Self {
        Self(Some(Key { route, key_hash: digest(key.as_bytes()), body_hash }))
    }

    /// The answer of an earlier request with this key, if that is done.
    pub async fn kept(&self, conn: &mut Conn, keys: &Keys, person: PersonId) -> Result<Option<Answer>, OnceError> {
        match &self.0 {
            Some(key) => kept(conn, keys, key, person).await,
            None => Ok(None),
        }
    }

    /// Claims the key for this transaction, or brings the answer of the request that had it first.
    pub async fn claim(
        &self,
        tx: &mut Tx,
        keys: &Keys,
        ctx: &Ctx,
        person: PersonId,
    ) -> Result<Option<Answer>, OnceError> {
        tx.batch_execute("set local lock_timeout = '30s'; set local statement_timeout = '35s'").await?;
        if claim_all(tx, ctx.clock.now(), &[(person, self)]).await?.contains(&true) {
            return Ok(None);
        }
        // Whoever had it first has committed by now.
        self.kept(tx, keys, person).await?.ok_or(OnceError::InProgress).map(Some)
    }

    /// Keeps the answer with the act that it answers.
    pub async fn keep(&self, tx: &mut Tx, keys: &Keys, person: PersonId, answer: &Answer) -> Result<(), OnceError> {
        keep_all(tx, keys, &[(person, self, answer)]).await
    }
}

/// Claims the keys of several requests for this transaction; whether each has what it needs. One that has not shares its
/// key with another request, of this call or of one that was before.
pub async fn claim_all(tx: &mut Tx, now: DateTime<Utc>, all: &[(PersonId, &Once)]) -> Result<Vec<bool>, OnceError> {
    // Everybody claims in the same order, so that two transactions never wait for each other.
    let mut wanted: BTreeMap<Named, &Key> = BTreeMap::new();
    for (named, key) in all.iter().filter_map(Once::named) {
        // The first of those that share a key claims it.
        wanted.entry(named).or_insert(key);
    }
    if wanted.is_empty() {
        return Ok(vec![true; all.len()]);
    }
    let row = |(named, key): (&Named, &&Key)| {
        (
            t::person_id.eq(named.0),
            t::route.eq(named.1.clone()),
            t::key_hash.eq(named.2.to_vec()),
            t::body_hash.eq(key.body_hash.to_vec()),
            t::status.eq(0),
            t::answer.eq(Vec::new()),
            t::created_at.eq(now),
        )
    };
    let claimed: Vec<(Uuid, String, Vec<u8>)> = diesel::insert_into(t::idempotency_keys)
        .values(wanted.iter().map(row).collect::<Vec<_>>())
        .on_conflict_do_nothing()
        .returning((t::person_id, t::route, t::key_hash))
        .get_results(&mut **tx)
        .await?;
    let mut claimed: HashSet<(Uuid, String, Vec<u8>)> = claimed.into_iter().collect();
    let mut take = |one: &(PersonId, &Once)| match Once::named(one) {
        Some(((person, route, key), _)) => claimed.remove(&(person, route, key.to_vec())),
        None => true,
    };
    Ok(all.iter().map(&mut take).collect())
}

/// Keeps answers with the acts that they answer.
pub async fn keep_all(tx: &mut Tx, keys: &Keys, all: &[(PersonId, &Once, &Answer)]) -> Result<(), OnceError> {
    let mut rows = Rows::default();
    let mut statuses = Vec::new();
    let mut answers = Vec::new();
    for (person, once, answer) in all {
        let Some((named, key)) = Once::named(&(*person, once)) else { continue };
        rows.push(named);
        statuses.push(i32::from(answer.status));
        answers.push(keys.seal(Purpose::KeptAnswer, &key.key_hash, &serde_json::to_vec(answer)?)?);
    }
    if statuses.is_empty() {
        return Ok(());
    }
    diesel::sql_query(
        "update idempotency_keys as kept set status = done.status, answer = done.answer
         from unnest($1, $2, $3, $4, $5) as done (person_id, route, key_hash, status, answer)
         where (kept.person_id, kept.route, kept.key_hash) = (done.person_id, done.route, done.key_hash)",
    )
    .bind::<Array<SqlUuid>, _>(rows.persons)
    .bind::<Array<Text>, _>(rows.routes)
    .bind::<Array<Binary>, _>(rows.keys)
    .bind::<Array<Integer>, _>(statuses)
    .bind::<Array<Binary>, _>(answers)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Gives back what this transaction claimed for requests that it refused after all.
pub async fn give_back(tx: &mut Tx, all: &[(PersonId, &Once)]) -> Result<(), OnceError> {
    let mut rows = Rows::default();
    all.iter().filter_map(Once::named).for_each(|(named, _)| rows.push(named));
    if rows.persons.is_empty() {
        return Ok(());
    }
    diesel::sql_query(
        "delete from idempotency_keys as kept using unnest($1, $2, $3) as refused (person_id, route, key_hash)
         where (kept.person_id, kept.route, kept.key_hash) = (refused.person_id, refused.route, refused.key_hash)",
    )
    .bind::<Array<SqlUuid>, _>(rows.persons)
    .bind::<Array<Text>, _>(rows.routes)
    .bind::<Array<Binary>, _>(rows.keys)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// What a key's row is found by.
type Named = (Uuid, String, [u8; 32]);

/// The same of several rows, for `unnest`.
#[derive(Default)]
struct Rows {
    persons: Vec<Uuid>,
    routes: Vec<String>,
    keys: Vec<Vec<u8>>,
}

impl Rows {
    fn push(&mut self, (person, route, key): Named) {
        self.persons.push(person);
        self.routes.push(route);
        self.keys.push(key.to_vec());
    }
}

impl Once {
    fn named<'a>((person, once): &(PersonId, &'a Self)) -> Option<(Named, &'a Key)> {
        let key = once.0.as_ref()?;
        Some(((person.uuid(), key.route.clone(), key.key_hash), key))
    }
}

async fn kept(conn: &mut Conn, keys: &Keys, key: &Key, person: PersonId) -> Result<Option<Answer>, OnceError> {
    let found: Option<(Vec<u8>, Vec<u8>)> = t::idempotency_keys
        .find((person.uuid(), &key.route, key.key_hash.as_slice()))
        .select((t::body_hash, t::answer))
        .first(conn)
        .await
        .optional()?;
    let Some((body_hash, sealed)) = found else { return Ok(None) };
    if body_hash != key.body_hash {
        return Err(OnceError::Mismatch);
    }
    let plain = keys.open(Purpose::KeptAnswer, &key.key_hash, &sealed)?;
    let answer: Answer = serde_json::from_slice(&plain)?;
    Ok(Some(Answer { replayed: true, ..answer }))
}

/// Forgets keys older than `KEPT`; returns how many.
pub async fn forget_old(conn: &mut Conn, ctx: &Ctx) -> Result<usize, DbError> {
    Ok(diesel::delete(t::idempotency_keys.filter(t::created_at.lt(ctx.clock.now() - KEPT))).execute(conn).await?)
}

pub fn reconcilers() -> Vec<Reconciler> {
    let hourly = std::time::Duration::from_secs(3600);
    let forget = Reconciler::new("idempotency.forget", hourly, async |app: Platform, ctx: Ctx| {
        forget_old(&mut *app.db.read().await?, &ctx).await.map(drop)
    });
    vec![forget]
}

pub const DATA_MAP: &[Table] = &[Table {
    name: "idempotency_keys",
    columns: &[
        Column::withheld("person_id", Category::Reference),
        Column::withheld("route", Category::Activity),
        Column::withheld("key_hash", Category::Activity),
        Column::withheld("body_hash", Category::Activity),
        Column::withheld("status", Category::Activity),
        Column::withheld("answer", Category::Content).sealed(),
        Column::operational("created_at", Retention::Days(1)),
    ],
}];
