//! Attesting the chain: a signing key of this installation, and checkpoints that go to where the database cannot reach.
//!
//! Whoever can write to the database past the application can also compute a chain anew. What they cannot do is sign, or
//! take back a line that a file, or the organisation's log server, has already.

use std::{path::PathBuf, time::Duration};

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use ring::signature::{Ed25519KeyPair, KeyPair};
use uuid::Uuid;

use super::{Checkpoint, chain, new_id, syslog};
use crate::{
    base::{ctx::Ctx, random},
    config::Audit,
    platform::{
        Platform,
        crypto::{CryptoError, Purpose},
        db::{
            Conn, DbError,
            schema::{audit_checkpoints::dsl as c, audit_signing_keys::dsl as k},
        },
        files,
        jobs::Reconciler,
    },
};

/// How often it looks whether a checkpoint is due.
const LOOK_EVERY: Duration = Duration::from_secs(15);

#[derive(Debug, thiserror::Error)]
pub enum AttestError {
    #[error(transparent)]
    Database(#[from] DbError),
    #[error("the audit log's signing key cannot be opened; check that secrets.root_key is the one it was made with")]
    Key(#[from] CryptoError),
    #[error("the audit log's signing key is damaged; restore the table audit_signing_keys from a backup")]
    Damaged,
    #[error("{0} cannot be written; check audit.checkpoint_file, its directory and its disk")]
    File(PathBuf, #[source] std::io::Error),
    #[error("{0} takes no message; check audit.syslog and that the log service runs")]
    Syslog(PathBuf, #[source] std::io::Error),
    #[error("the checkpoint cannot be written as JSON")]
    Json(#[from] serde_json::Error),
    #[error("writing the checkpoint was interrupted")]
    Interrupted(#[from] tokio::task::JoinError),
}

impl From<diesel::result::Error> for AttestError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Database(error.into())
    }
}

impl From<random::NoRandomness> for AttestError {
    fn from(error: random::NoRandomness) -> Self {
        Self::Key(error.into())
    }
}

/// Who signs: this installation, and what others check its signatures with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub server: Uuid,
    pub public_key: Vec<u8>,
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = crate::platform::db::schema::audit_signing_keys)]
struct Stored {
    server_id: Uuid,
    public_key: Vec<u8>,
    sealed_key: Vec<u8>,
    created_at: DateTime<Utc>,
}

/// Makes the signing key on the first start; servers that start together agree on one.
pub async fn prepare(app: &Platform, ctx: &Ctx) -> Result<(), AttestError> {
    let conn = &mut *app.db.read().await?;
    if identity(conn).await?.is_some() {
        return Ok(());
    }
    let (server_id, seed) = (new_id(ctx), random::bytes::<32>()?);
    let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| AttestError::Damaged)?;
    let stored = Stored {
        server_id,
        public_key: pair.public_key().as_ref().to_vec(),
        sealed_key: app.keys.seal(Purpose::AuditSigning, server_id.as_bytes(), &seed)?,
        created_at: ctx.clock.now(),
    };
    diesel::insert_into(k::audit_signing_keys).values(stored).on_conflict_do_nothing().execute(conn).await?;
    Ok(())
}

pub async fn identity(conn: &mut Conn) -> Result<Option<Identity>, DbError> {
    let stored: Option<Stored> = k::audit_signing_keys.select(Stored::as_select()).first(conn).await.optional()?;
    Ok(stored.map(|stored| Identity { server: stored.server_id, public_key: stored.public_key }))
}

pub fn reconcilers() -> Vec<Reconciler> {
    vec![Reconciler::new("audit.checkpoint", LOOK_EVERY, async |app: Platform, ctx: Ctx| {
        if is_due(&app, &ctx).await? {
            attest(&app, &ctx).await?;
        }
        Ok::<(), AttestError>(())
    })]
}

async fn is_due(app: &Platform, ctx: &Ctx) -> Result<bool, DbError> {
    let conn = &mut *app.db.read().await?;
    let Some((newest, _)) = chain::newest(conn).await? else { return Ok(false) };
    let Some(last) = last(conn).await? else { return Ok(true) };
    let settings = &app.config.audit;
    let waited = ctx.clock.now() - last.at >= chrono::Duration::minutes(settings.checkpoint_minutes.into());
    Ok(newest > last.seq && (waited || newest - last.seq >= settings.checkpoint_entries.into()))
}

/// Signs the end of the chain, writes that to every place that is set, and only then notes it in the database.
pub async fn attest(app: &Platform, ctx: &Ctx) -> Result<Option<Checkpoint>, AttestError> {
    let conn = &mut *app.db.read().await?;
    let Some((seq, hash)) = chain::newest(conn).await? else { return Ok(None) };
    let at = ctx.clock.now();
    let stored: Stored = k::audit_signing_keys.select(Stored::as_select()).first(conn).await?;
    let seed = app.keys.open(Purpose::AuditSigning, stored.server_id.as_bytes(), &stored.sealed_key)?;
    let pair = Ed25519KeyPair::from_seed_and_public_key(&seed, &stored.public_key);
    let pair = pair.map_err(|_| AttestError::Damaged)?;
    let checkpoint = Checkpoint::sign(&pair, stored.server_id, seq, &hash, at);
    publish(&app.config.audit, &checkpoint, at).await?;
    let row = (c::seq.eq(seq), c::hash.eq(hash), c::at.eq(at), c::signature.eq(checkpoint.signature_bytes()));
    diesel::insert_into(c::audit_checkpoints).values(row).on_conflict_do_nothing().execute(conn).await?;
    tracing::info!(sequence = seq, "the audit log was attested");
    Ok(Some(checkpoint))
}

async fn publish(settings: &Audit, checkpoint: &Checkpoint, at: DateTime<Utc>) -> Result<(), AttestError> {
    let line = checkpoint.line()?;
    if let Some(file) = settings.checkpoint_file.clone() {
        let line = line.clone();
        let written = tokio::task::spawn_blocking(move || {
            files::append_line(&file, line.as_bytes()).map_err(|error| AttestError::File(file, error))
        });
        written.await??;
    }
    if let Some(socket) = &settings.syslog {
        let sent = syslog::send(socket, at, &line).await;
        sent.map_err(|error| AttestError::Syslog(socket.clone(), error))?;
    }
    Ok(())
}

/// The newest checkpoint that was written.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = crate::platform::db::schema::audit_checkpoints)]
pub struct Attested {
    pub seq: i64,
    pub at: DateTime<Utc>,
    pub hash: Vec<u8>,
    pub signature: Vec<u8>,
}

pub async fn last(conn: &mut Conn) -> Result<Option<Attested>, DbError> {
    let newest = c::audit_checkpoints.order(c::seq.desc()).select(Attested::as_select());
    Ok(newest.first(conn).await.optional()?)
}

/// Those that the database remembers, as they were signed.
pub(super) async fn remembered(conn: &mut Conn, by: &Identity) -> Result<Vec<Checkpoint>, DbError> {
    let all: Vec<Attested> = c::audit_checkpoints.order(c::seq).select(Attested::as_select()).load(conn).await?;
    Ok(all.into_iter().map(|one| Checkpoint::remembered(by, &one)).collect())
}
