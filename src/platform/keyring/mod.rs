//! Where keys come from: each thing that is sealed has a key of its owner's, and that hangs below the organisation's.
//!
//! ```text
//! root key           a file or systemd credential, never in the database
//!   organisation key   one, sealed by the root key; the purposes of `crypto` are derived from it
//!     owner keys         one per person, workspace and guest: sealed by the organisation key, then by an epoch key
//!       objects, texts     sealed by keys of their own, or by one derived from the owner's
//! ```
//!
//! A new root key seals one row anew; nothing else changes. Epoch keys are files outside the database and its backups;
//! they turn every week and die once no backup is left that needs them. Destroying an owner's key, which the erasure
//! file outlives a restore for, makes everything below it unreadable wherever it was copied to.

use std::{
    collections::{BTreeSet, HashMap},
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{
    audit::{self, Act},
    crash,
    crypto::{CryptoError, Keys, Purpose},
    db::{Conn, Db, DbError, Tx},
};
use crate::base::{clock::Clock, ctx::Ctx, data_map::Table, error::NotFound, random};

pub mod checks;
mod epochs;
mod erasures;
pub mod jobs;
mod owner;
mod root;
pub mod search;
mod status;
mod store;

pub use epochs::Epochs;
pub use owner::{OwnerKey, OwnerKind};
pub use root::{KeyId, RootKey};
pub use search::Words;
pub use status::{Status, status};

/// How long a node may go on with an owner's key that another node has destroyed.
const REMEMBERED: Duration = Duration::from_secs(10);
/// Owners' keys that are remembered at most.
const MOST_REMEMBERED: usize = 4096;

/// The keys of this installation. Cheap to clone.
#[derive(Clone)]
pub struct Keyring(Arc<Inner>);

struct Inner {
    keys: Keys,
    epochs: RwLock<Epochs>,
    remembered: Mutex<HashMap<Uuid, (Instant, Arc<OwnerKey>)>>,
}

#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    #[error(
        "This server's data is sealed with the root key {needed}, and secrets.root_key is {found}. Restore the root key \
         {needed}; nothing can be read without it."
    )]
    OtherRoot { needed: KeyId, found: String },
    #[error(
        "Data is sealed with epoch keys that are not in {directory}: {missing}. Restore that directory. A backup of the \
         database that is older than secrets.backup_days cannot be read any more; that is what it is for."
    )]
    NoEpoch { directory: String, missing: String },
    #[error("The root key is set neither as secrets.root_key nor as a file. Make one with: openssl rand -hex 32")]
    NoRoot,
    #[error("This database has no keys yet. Start the server once.")]
    NotBegun,
    #[error("{file} cannot be used: {problem}")]
    File { file: String, problem: String },
    #[error(transparent)]
    Crypto(#[from] CryptoError),
    #[error(transparent)]
    Db(#[from] DbError),
}

impl From<diesel::result::Error> for KeyringError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Db(error.into())
    }
}

impl From<random::NoRandomness> for KeyringError {
    fn from(error: random::NoRandomness) -> Self {
        Self::Crypto(error.into())
    }
}

impl Deref for Keyring {
    type Target = Keys;
    fn deref(&self) -> &Keys {
        &self.0.keys
    }
}

impl Keyring {
    /// Opens the organisation's key with one of `roots`, and makes it on the very first start. Refuses when a key is
    /// missing, and destroys again what was destroyed before a backup was restored.
    pub async fn open(db: &Db, clock: &Clock, roots: &[RootKey], epochs: Epochs) -> Result<Self, KeyringError> {
        let mut epochs = epochs;
        let now = clock.now();
        let key = db.write("keyring.open", async |tx| begin(tx, roots, &mut epochs, now).await).await?;
        Self::with(db, key, epochs).await
    }

    /// The same beside a running server: nothing is made.
    pub async fn open_existing(db: &Db, roots: &[RootKey], epochs: Epochs) -> Result<Self, KeyringError> {
        let row = store::organisation(&mut *db.read().await?).await?.ok_or(KeyringError::NotBegun)?;
        Self::with(db, root::open(&row, roots)?, epochs).await
    }

    async fn with(db: &Db, key: Zeroizing<[u8; 32]>, mut epochs: Epochs) -> Result<Self, KeyringError> {
        let mut conn = db.read().await?;
        for owner in epochs.erasures().read()? {
            store::destroy(&mut conn, owner).await?;
        }
        let used: BTreeSet<i32> = store::epochs_in_use(&mut conn).await?;
        // After what is used: a server that runs may have turned the epoch since the files were read.
        epochs.reload()?;
        epochs.must_have(&used)?;
        let remembered = Mutex::default();
        Ok(Self(Arc::new(Inner { keys: Keys::new(&key), epochs: RwLock::new(epochs), remembered })))
    }

    /// Makes the key of a new owner, in the transaction that makes the owner.
    pub async fn begin(
        &self,
        tx: &mut Tx,
        owner: Uuid,
        kind: OwnerKind,
        at: DateTime<Utc>,
    ) -> Result<OwnerKey, DbError> {
        let key = Zeroizing::new(random::bytes::<32>().map_err(CryptoError::from)?);
        let inner = self.seal(Purpose::OwnerKey, owner.as_bytes(), key.as_slice())?;
        let (epoch, sealed) = {
            let mut epochs = self.epochs_mut();
            // Another node may have turned the epoch, weeks ago: the one that is known here could be about to die.
            epochs.reload().map_err(DbError::unreadable)?;
            epochs.seal(owner, &inner)?
        };
        let new = store::OwnerRow { owner_id: owner, kind: kind.as_str().to_owned(), epoch, sealed_key: sealed };
        store::insert(tx, &new, at).await?;
        Ok(OwnerKey::new(owner, &key)?)
    }

    /// The key of an owner. `DbError::Unreadable` when it was destroyed.
    pub async fn of(&self, conn: &mut Conn, owner: Uuid) -> Result<Arc<OwnerKey>, DbError> {
        self.of_all(conn, [owner]).await?.get(owner)
    }

    /// The keys of several owners at once. Those that were destroyed are not among them.
    pub async fn of_all(&self, conn: &mut Conn, owners: impl IntoIterator<Item = Uuid>) -> Result<OwnerKeys, DbError> {
        let owners: BTreeSet<Uuid> = owners.into_iter().collect();
        let mut keys: HashMap<Uuid, Arc<OwnerKey>> =
            owners.iter().filter_map(|owner| Some((*owner, self.remembered(*owner)?))).collect();
        let others: Vec<Uuid> = owners.into_iter().filter(|owner| !keys.contains_key(owner)).collect();
        if !others.is_empty() {
            for row in store::find(conn, &others).await? {
                let key = Arc::new(self.opened(&row)?);
                self.remember(key.clone());
                keys.insert(row.owner_id, key);
            }
        }
        Ok(OwnerKeys(keys))
    }

    fn opened(&self, row: &store::OwnerRow) -> Result<OwnerKey, DbError> {
        let inner = self.without_epoch(row).map_err(DbError::unreadable)?;
        let key = Zeroizing::new(self.open_key(Purpose::OwnerKey, row.owner_id.as_bytes(), &inner)?);
        Ok(OwnerKey::new(row.owner_id, &key)?)
    }

    /// The owner's key as the organisation's key sealed it.
    fn without_epoch(&self, row: &store::OwnerRow) -> Result<Vec<u8>, KeyringError> {
        let open = |epochs: &Epochs| epochs.open_key(row.epoch, row.owner_id, &row.sealed_key);
        if let Some(inner) = open(&self.epochs()) {
            return Ok(inner?);
        }
        // Another node may have turned the epoch a moment ago.
        let mut epochs = self.epochs_mut();
        epochs.reload()?;
        epochs.must_have(&BTreeSet::from([row.epoch]))?;
        Ok(open(&epochs).ok_or(CryptoError::Unsealable)??)
    }

    /// What texts of the organisation are found by.
    pub fn words(&self, purpose: Purpose, texts: &[&str]) -> Result<Words, DbError> {
        Ok(search::words(&self.search(purpose)?, texts))
    }

    /// What `query` looks for among them; none when it has no word.
    pub fn query(&self, purpose: Purpose, query: &str) -> Result<Option<Words>, DbError> {
        Ok(search::query(&self.search(purpose)?, query))
    }

    /// Makes everything that this owner sealed unreadable for good, here and in every backup that is restored from now
    /// on. It is written outside the database first: from there on it is only finished, whatever happens.
    pub async fn destroy(&self, db: &Db, clock: &Clock, owner: Uuid) -> Result<(), KeyringError> {
        let destroyed = db.write("keyring.destroy", async |tx| {
            // The file is written anew when old lines are forgotten; this one must not get lost in between.
            store::lock(tx).await?;
            self.epochs().erasures().add(owner, clock.now())?;
            Ok::<_, KeyringError>(store::destroy(tx, owner).await?)
        });
        destroyed.await?;
        self.0.remembered.lock().unwrap_or_else(PoisonError::into_inner).remove(&owner);
        Ok(())
    }

    /// Seals the organisation's key with another root key; nothing else changes, and running servers go on. `false`: it
    /// is sealed with that one already.
    pub async fn rotate(db: &Db, ctx: &Ctx, roots: &[RootKey], to: &RootKey) -> Result<bool, KeyringError> {
        let (id, now) = (to.id()?, ctx.clock.now());
        db.write("keyring.rotate", async |tx| {
            store::lock(tx).await?;
            let row = store::organisation(tx).await?.ok_or(KeyringError::NotBegun)?;
            if row.root_key_id == id.as_str() {
                return Ok(false);
            }
            let key = root::open(&row, roots)?;
            store::reseal_organisation(tx, &id, &to.seal(&key)?, now).await?;
            let details = json!({ "from": row.root_key_id, "to": id.as_str() });
            audit::record(tx, ctx, Act::done("keys.rotate").details(details)).await?;
            crash::point("keyring.rotate");
            Ok(true)
        })
        .await
    }

    fn epochs(&self) -> impl Deref<Target = Epochs> + '_ {
        self.0.epochs.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn epochs_mut(&self) -> impl DerefMut<Target = Epochs> + '_ {
        self.0.epochs.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn remembered(&self, owner: Uuid) -> Option<Arc<OwnerKey>> {
        let remembered = self.0.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, key) = remembered.get(&owner)?;
        (at.elapsed() < REMEMBERED).then(|| key.clone())
    }

    fn remember(&self, key: Arc<OwnerKey>) {
        let mut remembered = self.0.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= MOST_REMEMBERED {
            remembered.clear();
        }
        remembered.insert(key.owner(), (Instant::now(), key));
    }
}

/// The organisation's key, made when there is none. Of several servers that start together one makes it.
async fn begin(
    tx: &mut Tx,
    roots: &[RootKey],
    epochs: &mut Epochs,
    now: DateTime<Utc>,
) -> Result<Zeroizing<[u8; 32]>, KeyringError> {
    store::lock(tx).await?;
    // Another server may have made the first one while this one waited.
    epochs.reload()?;
    let row = store::organisation(tx).await?;
    if epochs.is_empty() && store::epochs_in_use(tx).await?.is_empty() {
        epochs.turn(now)?;
    }
    if let Some(row) = row {
        return root::open(&row, roots);
    }
    let root = roots.first().ok_or(KeyringError::NoRoot)?;
    let key = Zeroizing::new(random::bytes::<32>()?);
    store::insert_organisation(tx, &root.id()?, &root.seal(&key)?, now).await?;
    Ok(key)
}

/// Keys of some owners.
#[derive(Clone, Default)]
pub struct OwnerKeys(HashMap<Uuid, Arc<OwnerKey>>);

impl OwnerKeys {
    pub fn get(&self, owner: Uuid) -> Result<Arc<OwnerKey>, DbError> {
        self.0.get(&owner).cloned().ok_or_else(|| DbError::unreadable(NotFound))
    }
}

pub const DATA_MAP: &[Table] = store::DATA_MAP;
