//! Which stores there are, and how each is reached.
//!
//! A store has a row with its name, address and credentials, the latter sealed. Rows and not settings, because a move from
//! one store to another must be known to every running server at the same instant: an object's row names its store, and
//! whoever reads it finds the way there in this table. What a process is configured with wins over the row of that name.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicI32, Ordering},
    },
    time::Duration,
};

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    ObjectStore, StorageError, answers,
    minio::{Minio, SetupError},
};
use crate::{
    base::ids::ObjectId,
    config,
    platform::{
        crypto::{CryptoError, Purpose},
        db::{
            Conn, Db, DbError, Tx,
            schema::{objects::dsl as o, stores::dsl as t},
        },
        keyring::Keyring,
    },
};

/// The one that the migrations make; the first start names it.
pub(super) const FIRST: StoreId = 1;
/// A probe must not wait for the database: that is another part.
const SOON: Duration = Duration::from_millis(500);

pub type StoreId = i32;

/// Cheap to clone.
#[derive(Clone)]
pub struct Stores(Arc<Inner>);

struct Inner {
    keys: Keyring,
    /// How this process reaches the store of its own configuration.
    own: Option<config::Storage>,
    open: RwLock<HashMap<StoreId, Arc<dyn ObjectStore>>>,
    likely: AtomicI32,
}

/// A store as its row has it.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = crate::platform::db::schema::stores)]
pub struct Place {
    pub id: StoreId,
    pub name: Option<String>,
    pub current: bool,
    pub in_use: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum StoresError {
    #[error(
        "The objects of this database lie in {known}, and storage.endpoint and storage.bucket name {configured}, which \
         does not hold them. Set them back; `renderkeep storage copy` moves objects to another store."
    )]
    Another { known: String, configured: String },
    #[error(
        "The database knows {objects} objects in {name}, and that store has no bucket {bucket}: its directory is missing, \
         empty or not mounted. Restore or mount it and start again; nothing was changed. To go on without what is lost, \
         make the bucket by hand: `renderkeep doctor` then names what is missing."
    )]
    Lost { name: String, bucket: String, objects: i64 },
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Setup(#[from] SetupError),
}

impl From<DbError> for StoresError {
    fn from(error: DbError) -> Self {
        Self::Storage(error.into())
    }
}

impl From<diesel::result::Error> for StoresError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Storage(error.into())
    }
}

/// What is sealed.
#[derive(PartialEq, Serialize, Deserialize)]
struct Settings {
    endpoint: String,
    region: String,
    bucket: String,
    access_key: String,
    secret_key: String,
    directory: Option<PathBuf>,
}

impl Settings {
    fn of(storage: &config::Storage) -> Self {
        Self {
            endpoint: storage.endpoint.clone(),
            region: storage.region.clone(),
            bucket: storage.bucket.clone(),
            access_key: storage.access_key.expose_secret().to_owned(),
            secret_key: storage.secret_key.expose_secret().to_owned(),
            directory: storage.directory.clone(),
        }
    }

    fn storage(self) -> config::Storage {
        config::Storage {
            bundled: None,
            endpoint: self.endpoint,
            region: self.region,
            bucket: self.bucket,
            access_key: self.access_key.into(),
            secret_key: self.secret_key.into(),
            directory: self.directory,
        }
    }
}

impl Place {
    pub fn shown(&self) -> &str {
        self.name.as_deref().unwrap_or("a store without a name")
    }
}

impl Stores {
    pub fn new(keys: Keyring, own: config::Storage) -> Self {
        Self::with(keys, Some(own), HashMap::new())
    }

    /// The first store is this one; for tests.
    pub fn first(keys: Keyring, store: Arc<dyn ObjectStore>) -> Self {
        Self::with(keys, None, HashMap::from([(FIRST, store)]))
    }

    fn with(keys: Keyring, own: Option<config::Storage>, open: HashMap<StoreId, Arc<dyn ObjectStore>>) -> Self {
        Self(Arc::new(Inner { keys, own, open: RwLock::new(open), likely: AtomicI32::new(FIRST) }))
    }

    /// Reaches a store this way from now on; for tests.
    pub fn reach(&self, id: StoreId, store: Arc<dyn ObjectStore>) {
        self.0.open.write().unwrap_or_else(PoisonError::into_inner).insert(id, store);
    }

    /// The store of an object's row.
    pub async fn of(&self, db: &Db, id: StoreId) -> Result<Arc<dyn ObjectStore>, StorageError> {
        if let Some(store) = self.0.open.read().unwrap_or_else(PoisonError::into_inner).get(&id) {
            return Ok(store.clone());
        }
        let row: (Option<String>, Option<Vec<u8>>) =
            t::stores.find(id).select((t::name, t::settings)).first(&mut *db.read().await?).await?;
        let storage = self.settings(id, row)?;
        let directory = storage.directory.clone();
        let made = Minio::new(&storage, directory).map_err(|error| StorageError::Unreachable(Box::new(error)))?;
        self.reach(id, Arc::new(made));
        self.0.open.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned().ok_or_else(StorageError::no_store)
    }

    /// Where the object before was, and so nearly every next one.
    pub(super) fn likely(&self) -> Option<(StoreId, Arc<dyn ObjectStore>)> {
        let id = AtomicI32::load(&self.0.likely, Ordering::Relaxed);
        let open = self.0.open.read().unwrap_or_else(PoisonError::into_inner);
        Some((id, open.get(&id)?.clone()))
    }

    pub(super) fn was_in(&self, id: StoreId) {
        self.0.likely.store(id, Ordering::Relaxed);
    }

    fn settings(&self, id: StoreId, row: (Option<String>, Option<Vec<u8>>)) -> Result<config::Storage, StorageError> {
        let (name, sealed) = row;
        if let Some(own) = self.0.own.as_ref().filter(|own| name.is_none() || name == Some(name_of(own))) {
            return Ok(own.clone());
        }
        Ok(self.unseal(id, &sealed.ok_or_else(StorageError::no_store)?)?.storage())
    }

    fn unseal(&self, id: StoreId, sealed: &[u8]) -> Result<Settings, StorageError> {
        let plain = self.0.keys.open(Purpose::StoreSettings, &id.to_be_bytes(), sealed)?;
        serde_json::from_slice(&plain).map_err(|_| CryptoError::Unsealable.into())
    }

    fn seal(&self, id: StoreId, settings: &Settings) -> Result<Vec<u8>, StorageError> {
        let plain = serde_json::to_vec(settings).map_err(|_| CryptoError::Derive)?;
        Ok(self.0.keys.seal(Purpose::StoreSettings, &id.to_be_bytes(), &plain)?)
    }

    /// At a start: the configured store, which answers, gets its row, or the row follows a changed address or key. A store
    /// that does not hold what the database says is refused.
    pub async fn register(
        &self,
        db: &Db,
        storage: &config::Storage,
        store: &dyn ObjectStore,
    ) -> Result<(), StoresError> {
        let (name, rows) = (name_of(storage), list(&mut *db.read().await?).await?);
        let known = rows.iter().find(|row| row.name.as_ref() == Some(&name));
        let current = rows.iter().find(|row| row.current).ok_or_else(StorageError::no_store)?;
        let row = match known {
            Some(row) => row,
            None if holds(db, current, store).await? => current,
            None => return Err(StoresError::Another { known: current.shown().to_owned(), configured: name }),
        };
        if row.id != current.id {
            tracing::warn!(
                configured = name,
                current = current.shown(),
                "objects go to another store than the configured one since `renderkeep storage copy`; set storage.* to it"
            );
        }
        Ok(self.write(db, row.id, &name, storage).await?)
    }

    /// Before a bucket is made: a store that should hold objects had one.
    pub async fn refuse_lost(&self, db: &Db, storage: &config::Storage) -> Result<(), StoresError> {
        let name = name_of(storage);
        match objects_in(&mut *db.read().await?, &name).await? {
            0 => Ok(()),
            objects => Err(StoresError::Lost { name, bucket: storage.bucket.clone(), objects }),
        }
    }

    /// A store that objects are to move to gets a row, or keeps the one it has. Others see it only when an object's row
    /// names it.
    pub async fn add(&self, db: &Db, storage: &config::Storage) -> Result<StoreId, StorageError> {
        let (name, rows) = (name_of(storage), list(&mut *db.read().await?).await?);
        let next = rows.iter().map(|row| row.id).max().unwrap_or(FIRST) + 1;
        let id = rows.iter().find(|row| row.name.as_ref() == Some(&name)).map_or(next, |row| row.id);
        self.write(db, id, &name, storage).await?;
        Ok(id)
    }

    async fn write(&self, db: &Db, id: StoreId, name: &str, storage: &config::Storage) -> Result<(), StorageError> {
        let (settings, mut conn) = (Settings::of(storage), db.read().await?);
        let sealed: Option<Option<Vec<u8>>> =
            t::stores.find(id).filter(t::name.eq(name)).select(t::settings).first(&mut *conn).await.optional()?;
        let same = sealed.flatten().and_then(|sealed| self.unseal(id, &sealed).ok()).is_some_and(|old| old == settings);
        let values = (t::name.eq(name), t::settings.eq(self.seal(id, &settings)?));
        if !same {
            diesel::insert_into(t::stores)
                .values((t::id.eq(id), t::current.eq(false), t::in_use.eq(true), values.clone()))
                .on_conflict(t::id)
                .do_update()
                .set(values)
                .execute(&mut *conn)
                .await?;
        }
        diesel::update(t::stores.find(id)).set(t::in_use.eq(true)).execute(&mut *conn).await?;
        Ok(())
    }

    /// Whether every store that may hold objects answers.
    pub async fn answer(&self, db: &Db) -> Result<(), StorageError> {
        for store in Box::pin(self.in_use(db)).await? {
            answers(store.as_ref()).await?;
        }
        Ok(())
    }

    async fn in_use(&self, db: &Db) -> Result<Vec<Arc<dyn ObjectStore>>, StorageError> {
        let ids = async {
            let ids: Vec<StoreId> =
                t::stores.filter(t::in_use).select(t::id).load(&mut *db.read().await?).await.map_err(DbError::from)?;
            Ok::<_, DbError>(ids)
        };
        let Ok(Ok(ids)) = tokio::time::timeout(SOON, Box::pin(ids)).await else {
            let open = self.0.open.read().unwrap_or_else(PoisonError::into_inner);
            return Ok(open.values().cloned().collect());
        };
        let mut stores = Vec::new();
        for id in ids {
            stores.push(self.of(db, id).await?);
        }
        Ok(stores)
    }
}

impl StorageError {
    fn no_store() -> Self {
        Self::Unreachable("no store has this number, or its settings are missing".into())
    }
}

/// What a store is called: the bundled ones by what they are, because their ports may change.
pub fn name_of(storage: &config::Storage) -> String {
    match storage.bundled {
        Some(kind) => kind.to_string(),
        None => format!("{}/{}", storage.endpoint.trim_end_matches('/'), storage.bucket),
    }
}

/// How many stored objects are in the store of this name.
async fn objects_in(conn: &mut Conn, name: &str) -> Result<i64, DbError> {
    let held = o::objects.inner_join(t::stores.on(t::id.eq(o::store_id))).filter(t::name.eq(name));
    Ok(held.filter(o::state.eq("stored")).count().get_result(conn).await?)
}

/// Whether the store can be the current one under another address: it holds its newest object, or there is none.
async fn holds(db: &Db, current: &Place, store: &dyn ObjectStore) -> Result<bool, StorageError> {
    let newest: Option<Uuid> = o::objects
        .filter(o::store_id.eq(current.id))
        .filter(o::state.eq("stored"))
        .order(o::id.desc())
        .select(o::id)
        .first(&mut *db.read().await?)
        .await
        .optional()?;
    match newest {
        None => Ok(true),
        Some(id) => Ok(store.head(ObjectId::from(id)).await?.is_some()),
    }
}

pub async fn list(conn: &mut Conn) -> Result<Vec<Place>, DbError> {
    Ok(t::stores.order(t::id).select(Place::as_select()).load(conn).await?)
}

/// From its commit on every server puts new objects there.
pub(super) async fn switch(tx: &mut Tx, to: StoreId) -> Result<(), DbError> {
    diesel::update(t::stores.filter(t::current)).set(t::current.eq(false)).execute(&mut **tx).await?;
    diesel::update(t::stores.find(to)).set((t::current.eq(true), t::in_use.eq(true))).execute(&mut **tx).await?;
    Ok(())
}

/// Nothing of ours is in it any more.
pub(super) async fn retire(tx: &mut Tx, id: StoreId) -> Result<(), DbError> {
    diesel::update(t::stores.find(id).filter(t::current.eq(false))).set(t::in_use.eq(false)).execute(&mut **tx).await?;
    Ok(())
}
