//! The database: one pool, named transactions, migrations on start.
//!
//! Rooms' stores take `&mut Conn`; only this module opens a connection or a transaction.

use std::{
    future::Future,
    ops::{Deref, DerefMut},
    time::Duration,
};

use deadpool::managed::QueueMode;
use diesel_async::{
    AnsiTransactionManager, AsyncPgConnection, TransactionManager,
    pooled_connection::{
        AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod,
        deadpool::{Object, Pool, PoolError},
    },
};

use super::crypto::CryptoError;
use crate::base::{
    error::{Fault, Kind},
    random::NoRandomness,
};

pub mod migrate;
pub mod questions;
pub mod roles;
mod together;
#[rustfmt::skip]
pub mod schema;
pub mod server;

/// What a store's functions run on: a pooled connection, in a transaction or not.
pub type Conn = AsyncPgConnection;

/// Waiting longer than this for a free connection means that the database cannot keep up.
const PATIENCE: Duration = Duration::from_secs(5);

/// A server that does not answer a first, small question for so long hangs.
pub const SILENCE: Duration = Duration::from_secs(8);

tokio::task_local! {
    static IN_TRANSACTION: ();
}

/// Whether this task is inside `Db::write`. Calls out of the process hold locks and a connection for as long as somebody
/// else likes, so the ways out ask this and fail in tests.
pub fn in_transaction() -> bool {
    IN_TRANSACTION.try_with(|()| ()).is_ok()
}

#[derive(Clone)]
pub struct Db {
    pool: Pool<AsyncPgConnection>,
    url: String,
    queues: together::Queues,
}

#[derive(Debug, thiserror::Error)]
pub enum DbError {
    #[error("The database cannot be reached at the moment. Nothing was changed; try again in a few seconds.")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error(
        "More is asked of this server at the moment than it can do. Nothing was changed; try again in a few seconds."
    )]
    Busy,
    #[error("The database refused this. Nothing was changed.")]
    Query(#[source] diesel::result::Error),
    #[error("What is stored cannot be opened with this server's keys.")]
    Unreadable(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("The operating system gave no random bytes. Nothing was changed; try again.")]
    Random(#[from] NoRandomness),
}

impl DbError {
    /// It took a question in and did not answer.
    pub fn silent() -> Self {
        Self::Unreachable("the database did not answer in time".into())
    }

    pub fn unreadable(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unreadable(why.into())
    }
}

impl From<CryptoError> for DbError {
    fn from(error: CryptoError) -> Self {
        Self::unreadable(error)
    }
}

impl Fault for DbError {
    fn kind(&self) -> Kind {
        match self {
            Self::Unreachable(_) | Self::Busy => Kind::Unavailable,
            Self::Query(error) if is_outage(error) => Kind::Unavailable,
            Self::Query(_) | Self::Unreadable(_) | Self::Random(_) => Kind::Internal,
        }
    }
    fn code(&self) -> &'static str {
        match self.kind() {
            Kind::Unavailable => "service.unavailable",
            _ => "server.internal",
        }
    }
    fn retry_after(&self) -> Option<u32> {
        (self.kind() == Kind::Unavailable).then_some(5)
    }
}

impl From<diesel::result::Error> for DbError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Query(error)
    }
}

impl From<PoolError> for DbError {
    fn from(error: PoolError) -> Self {
        Self::Unreachable(Box::new(error))
    }
}

/// Lost connections, shutdowns and timeouts; anything else is our own mistake.
fn is_outage(error: &diesel::result::Error) -> bool {
    use diesel::result::{DatabaseErrorKind, Error};
    match error {
        Error::DatabaseError(DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand, _)
        | Error::BrokenTransactionManager => true,
        Error::DatabaseError(_, details) => {
            let message = details.message();
            [
                "terminating connection",
                "shutting down",
                "starting up",
                "too many clients",
                "recovery mode",
                "connection closed",
                "No space left",
                "statement timeout",
                "lock timeout",
            ]
            .iter()
            .any(|words| message.contains(words))
        }
        _ => false,
    }
}

impl Db {
    /// A pool on `url` (`postgres://user@host/name` or with `host=/socket/dir`). Connects when first used.
    pub fn new(url: &str, connections: usize) -> Result<Self, DbError> {
        let mut manager = ManagerConfig::default();
        // A broken connection shows at its first statement; asking before every use would cost a round trip each.
        manager.recycling_method = RecyclingMethod::Fast;
        manager.custom_setup = Box::new(|url| Box::pin(connect(url.to_owned())));
        let pool = Pool::builder(AsyncDieselConnectionManager::<AsyncPgConnection>::new_with_config(url, manager))
            .max_size(connections)
            // A connection that has run a statement before need not prepare it.
            .queue_mode(QueueMode::Lifo)
            .wait_timeout(Some(PATIENCE))
            .create_timeout(Some(PATIENCE))
            .runtime(deadpool::Runtime::Tokio1)
            .build()
            .map_err(|error| DbError::Unreachable(Box::new(error)))?;
        Ok(Self { pool, url: url.to_owned(), queues: together::Queues::default() })
    }

    /// The same database through as many connections of its own. What comes over a connection is read on the thread that
    /// opened it, and to be woken from there takes longer than a short question: so each worker has its own.
    pub fn apart(&self) -> Self {
        match Self::new(&self.url, self.pool.status().max_size) {
            Ok(apart) => Self { queues: self.queues.clone(), ..apart },
            // What could be made once can be made again; if not, shared ones do as well.
            Err(_) => self.clone(),
        }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// A connection outside any transaction, for reading.
    pub async fn read(&self) -> Result<Object<AsyncPgConnection>, DbError> {
        Ok(self.pool.get().await?)
    }

    /// Runs `look` on the database as it is at one moment: work that goes on meanwhile is seen whole or not at all.
    pub async fn snapshot<T, E, A>(&self, look: A) -> Result<T, E>
    where
        A: AsyncFnOnce(&mut Conn) -> Result<T, E>,
        E: From<DbError>,
    {
        let mut conn = self.pool.get().await.map_err(DbError::from)?;
        let begin = "begin transaction isolation level repeatable read, read only";
        AnsiTransactionManager::begin_transaction_sql(&mut *conn, begin).await.map_err(DbError::from)?;
        // A look at everything may take longer than a page.
        let patient = "set local statement_timeout = '10min'; set local idle_in_transaction_session_timeout = '10min'";
        diesel_async::SimpleAsyncConnection::batch_execute(&mut *conn, patient).await.map_err(DbError::from)?;
        let seen = look(&mut conn).await;
        if let Err(failure) = AnsiTransactionManager::rollback_transaction(&mut *conn).await {
            tracing::warn!(error = %failure, "a snapshot did not end, the connection is dropped");
        }
        seen
    }

    /// Runs `act` in one transaction: committed when it returns `Ok`, undone when it returns `Err` or is dropped.
    /// `name` says in logs and metrics which transaction it was. Calls out of the process do not belong inside.
    pub async fn write<T, E, A>(&self, name: &'static str, act: A) -> Result<T, E>
    where
        A: AsyncFnOnce(&mut Tx) -> Result<T, E>,
        E: From<DbError>,
    {
        let conn = self.pool.get().await.map_err(DbError::from)?;
        let mut tx = Tx { conn, name };
        // A server that hangs takes this in and never answers.
        tokio::time::timeout(SILENCE, AnsiTransactionManager::begin_transaction(&mut *tx.conn))
            .await
            .map_err(|_| DbError::silent())?
            .map_err(DbError::from)?;
        match IN_TRANSACTION.scope((), act(&mut tx)).await {
            Ok(value) => {
                AnsiTransactionManager::commit_transaction(&mut *tx.conn).await.map_err(DbError::from)?;
                metrics::counter!("renderkeep_transactions_total", "name" => name, "end" => "committed").increment(1);
                Ok(value)
            }
            Err(error) => {
                metrics::counter!("renderkeep_transactions_total", "name" => name, "end" => "undone").increment(1);
                if let Err(failure) = AnsiTransactionManager::rollback_transaction(&mut *tx.conn).await {
                    tracing::warn!(transaction = name, error = %failure, "rollback failed, the connection is dropped");
                }
                Err(error)
            }
        }
    }
}

/// A connection inside a transaction. A function that takes `&mut Tx` changes things that commit together.
pub struct Tx {
    conn: Object<AsyncPgConnection>,
    name: &'static str,
}

impl Tx {
    pub fn name(&self) -> &'static str {
        self.name
    }
}

impl Deref for Tx {
    type Target = Conn;
    fn deref(&self) -> &Conn {
        &self.conn
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut Conn {
        &mut self.conn
    }
}

fn connect(url: String) -> impl Future<Output = diesel::ConnectionResult<AsyncPgConnection>> + Send {
    use diesel_async::AsyncConnection;
    async move {
        let mut conn = AsyncPgConnection::establish(&url).await?;
        diesel_async::SimpleAsyncConnection::batch_execute(
            &mut conn,
            "set time zone 'UTC'; set statement_timeout = '20s'; set idle_in_transaction_session_timeout = '30s'",
        )
        .await
        .map_err(diesel::ConnectionError::CouldntSetupConfiguration)?;
        Ok(conn)
    }
}
