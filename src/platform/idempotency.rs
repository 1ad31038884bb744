//! `Idempotency-Key`: the same key and body get the first answer again, and the work is done once.
//!
//! The key is claimed inside the transaction of the act, so answer and act commit together. A second request with the
//! key waits in Postgres for the first to commit or to undo: no flag can be left behind by a crash. Only answers of acts
//! that were done are kept; they are sealed, because an answer may hold a prompt or a token.

use chrono::Duration;
use diesel::prelude::*;
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use serde::{Deserialize, Serialize};

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

    /// Claims the key for this transaction, or brings the answer of the request that had it first.
    pub async fn claim(
        &self,
        tx: &mut Tx,
        keys: &Keys,
        ctx: &Ctx,
        person: PersonId,
    ) -> Result<Option<Answer>, OnceError> {
        let Some(key) = &self.0 else { return Ok(None) };
        tx.batch_execute("set local lock_timeout = '30s'; set local statement_timeout = '35s'").await?;
        let claimed = diesel::insert_into(t::idempotency_keys)
            .values((
                t::person_id.eq(person.uuid()),
                t::route.eq(&key.route),
                t::key_hash.eq(key.key_hash.as_slice()),
                t::body_hash.eq(key.body_hash.as_slice()),
                t::status.eq(0),
                t::answer.eq([].as_slice()),
                t::created_at.eq(ctx.clock.now()),
            ))
            .on_conflict_do_nothing()
            .execute(&mut **tx)
            .await?;
        if claimed == 1 { Ok(None) } else { kept(tx, keys, key, person).await.map(Some) }
    }

    /// Keeps the answer with the act that it answers.
    pub async fn keep(&self, tx: &mut Tx, keys: &Keys, person: PersonId, answer: &Answer) -> Result<(), OnceError> {
        let Some(key) = &self.0 else { return Ok(()) };
        let sealed = keys.seal(Purpose::KeptAnswer, &key.key_hash, &serde_json::to_vec(answer)?)?;
        diesel::update(t::idempotency_keys.find((person.uuid(), &key.route, key.key_hash.as_slice())))
            .set((t::status.eq(i32::from(answer.status)), t::answer.eq(sealed)))
            .execute(&mut **tx)
            .await?;
        Ok(())
    }
}

async fn kept(tx: &mut Tx, keys: &Keys, key: &Key, person: PersonId) -> Result<Answer, OnceError> {
    let (body_hash, sealed): (Vec<u8>, Vec<u8>) = t::idempotency_keys
        .find((person.uuid(), &key.route, key.key_hash.as_slice()))
        .select((t::body_hash, t::answer))
        .first(&mut **tx)
        .await?;
    if body_hash != key.body_hash {
        return Err(OnceError::Mismatch);
    }
    let plain = keys.open(Purpose::KeptAnswer, &key.key_hash, &sealed)?;
    let answer: Answer = serde_json::from_slice(&plain)?;
    Ok(Answer { replayed: true, ..answer })
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
