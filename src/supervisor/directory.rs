//! The data directory: one `up` at a time, and what is chosen once and kept in it.
//!
//! ```text
//! lock                  held while `up` runs
//! ports.json            chosen once
//! stores.json           which store holds the objects; chosen once, changed by `storage copy`
//! secrets/              root_key, store.json: mode 0600, made once; whoever loses them loses what they seal
//! keys/                 epoch keys and erasures: in no backup of postgres/
//! postgres/             the database
//! minio/ versitygw/     the objects, in the store that was chosen
//! audit/                signed checkpoints of the audit log; copy them to another machine
//! logs/                 what the children say
//! run/                  ready.json and sockets; nothing in it outlives a run
//! ```

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fs::{self, File, OpenOptions},
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use data_encoding::HEXLOWER;
use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};
use secrecy::SecretString;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::Refusal;
use crate::{
    base::random,
    config::{self, Bundled, Sources},
    platform::{files, telemetry::disk::Space},
};

pub(super) const DATABASE: &str = "renderkeep";
/// Made with the cluster; used to make what follows and for nothing else.
pub(super) const DATABASE_SUPERUSER: &str = "renderkeep";
/// Owns the tables and migrates.
pub(super) const DATABASE_OWNER: &str = "renderkeep_owner";
/// Serves.
pub(super) const DATABASE_APPLICATION: &str = "renderkeep_app";
const ROOT_KEY: &str = "secrets/root_key";
const NEXT_ROOT_KEY: &str = "secrets/next_root_key";
const BUCKET: &str = "renderkeep";
const STORES: &str = "stores.json";
const USUAL_PORT: u16 = 8080;
/// Below this much free disk nothing is started: Postgres and the store need room to begin, and fail badly without.
const NEEDED_MEGABYTES: u64 = 128;
/// The longest path of a socket that the kernel takes is 107 bytes, and Postgres adds `/.s.PGSQL.5432`.
const LONGEST_RUN: usize = 90;

/// A directory that nobody else uses while this value lives.
pub struct Directory {
    path: PathBuf,
    _lock: Flock<File>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ports {
    pub http: u16,
    #[serde(flatten)]
    pub stores: BTreeMap<Bundled, u16>,
}

/// Which bundled stores run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stores {
    /// The one that new objects go to, but for the moment in which that changes.
    pub chosen: Bundled,
    /// The other one, while it holds objects or is about to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub also: Option<Bundled>,
}

impl Stores {
    /// None in a directory that is new, or older than the choice.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, Refusal> {
        read(&path.join(STORES))
    }

    pub fn wants(self, kind: Bundled) -> bool {
        self.all().any(|wanted| wanted == kind)
    }

    pub fn all(self) -> impl Iterator<Item = Bundled> {
        [Some(self.chosen), self.also].into_iter().flatten()
    }
}

/// What was chosen on the first start.
pub struct Kept {
    path: PathBuf,
    pub ports: Ports,
    pub stores: Stores,
    pub(super) root_key: SecretString,
    /// While `keys rotate` changes from one to the other, or was cut short.
    next_root_key: Option<SecretString>,
    pub(super) access_key: SecretString,
    pub(super) secret_key: SecretString,
}

#[derive(Serialize, Deserialize)]
struct StoreKeys {
    access_key: String,
    secret_key: String,
}

impl Directory {
    /// Makes the directory when it is new, and takes it.
    pub fn open(path: &Path) -> Result<Self, Refusal> {
        let unusable = |error: std::io::Error| Refusal::io("cannot be used", path, &error);
        files::make_directory(path).map_err(unusable)?;
        let path = path.canonicalize().map_err(unusable)?;
        if path.join("run").as_os_str().len() > LONGEST_RUN {
            return Err(Refusal::new(format!(
                "The path {} is too long for a socket. Choose a data directory with a shorter path.",
                path.display()
            )));
        }
        let lock = take(&path)?;
        enough_space(&path, NEEDED_MEGABYTES)?;
        let directory = Self { path, _lock: lock };
        directory.prepare()?;
        Ok(directory)
    }

    fn prepare(&self) -> Result<(), Refusal> {
        for name in ["secrets", "keys", "logs", "run", "audit"] {
            let path = self.path.join(name);
            files::make_directory(&path).map_err(|error| Refusal::io("cannot be made", &path, &error))?;
        }
        // Left over when the last run was killed.
        super::ready::remove(&self.path.join("run"));
        Ok(())
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The address to answer at, taken now: `port` when it is set, else the kept one, else the usual one if it is free. 0 is
    /// the kept one or any.
    pub fn listen(&self, port: Option<u16>) -> Result<TcpListener, Refusal> {
        let kept = read::<Ports>(&self.path.join("ports.json"))?.map(|ports| ports.http);
        let bind = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
        match (port.filter(|port| *port != 0).or(kept), port) {
            (Some(port), _) => bind(port).map_err(|error| port_taken(port, &error)),
            (None, Some(_)) => free_port(),
            (None, None) => bind(USUAL_PORT).or_else(|_| free_port()),
        }
    }

    /// What is kept, chosen now where it is new: `store` is the one that is asked for, if any.
    pub fn keep(&self, http: u16, store: Option<Bundled>) -> Result<Kept, Refusal> {
        let stores = self.choose_store(store)?;
        let file = self.path.join("ports.json");
        let old = read::<Ports>(&file)?;
        let mut ports = Ports { http, stores: old.as_ref().map(|old| old.stores.clone()).unwrap_or_default() };
        self.refuse_lost(&ports, stores)?;
        for kind in stores.all() {
            make_store(&self.path, &mut ports, kind)?;
        }
        if old.as_ref() != Some(&ports) {
            write_json(&file, &ports)?;
        }
        self.make_secrets()?;
        Kept::read(&self.path)
    }

    /// A store that was made is not made anew beside the database: whoever mounts or moves the old one back must find its
    /// place free.
    fn refuse_lost(&self, ports: &Ports, stores: Stores) -> Result<(), Refusal> {
        let founded = self.path.join("postgres").exists();
        let lost = |kind: &Bundled| ports.stores.contains_key(kind) && !self.path.join(kind.as_str()).exists();
        match stores.all().find(lost).filter(|_| founded) {
            None => Ok(()),
            Some(kind) => Err(Refusal::new(format!(
                "The objects of {} lie in {kind}, and that store has no bucket {BUCKET}: its directory `{kind}` is \
                 missing. Restore or mount it and start again; nothing was changed. To go on without what is lost, make \
                 it by hand with a directory {BUCKET} in it: `renderkeep doctor` then names what is missing.",
                self.path.display()
            ))),
        }
    }

    fn choose_store(&self, asked: Option<Bundled>) -> Result<Stores, Refusal> {
        let stores = match Stores::read(&self.path)? {
            Some(stores) => stores,
            None => {
                // A directory from before there was a choice.
                let old = self.path.join("minio").exists().then_some(Bundled::Minio);
                let stores = Stores { chosen: old.or(asked).unwrap_or(Bundled::Minio), also: None };
                write_json(&self.path.join(STORES), &stores)?;
                stores
            }
        };
        match asked {
            Some(asked) if asked != stores.chosen => Err(Refusal::new(format!(
                "The objects of {data} lie in {}, and --store or storage.bundled asks for {asked}. Start it without \
                 that, and move them while it runs: renderkeep storage copy --data {data} --to {asked}.",
                stores.chosen,
                data = self.path.display()
            ))),
            _ => Ok(stores),
        }
    }

    /// Never made anew beside existing data: what was sealed with the old key would be lost.
    fn make_secrets(&self) -> Result<(), Refusal> {
        let (root, store) = (self.path.join(ROOT_KEY), self.path.join("secrets/store.json"));
        let founded = self.path.join("postgres").exists();
        // A first start gets there only after its database.
        let held = Bundled::ALL.map(|kind| self.path.join(kind.as_str()).join(BUCKET));
        if !founded && let Some(bucket) = held.iter().find(|bucket| bucket.exists()) {
            return Err(Refusal::new(format!(
                "{} has pictures ({}) and no database: its directory `postgres` is missing. Restore it from a backup, or \
                 mount it; a new database would know none of them.",
                self.path.display(),
                bucket.display()
            )));
        }
        if root.exists() && store.exists() {
            return Ok(());
        }
        if founded {
            return Err(Refusal::new(format!(
                "{} has data and no complete secrets. Restore its directory `secrets` from a backup.",
                self.path.display()
            )));
        }
        let random = |_| Refusal::new("The operating system gave no random bytes. Start again.");
        write_private(&root, HEXLOWER.encode(&random::bytes::<32>().map_err(random)?).as_bytes())?;
        let access_key = format!("renderkeep-{}", HEXLOWER.encode(&random::bytes::<4>().map_err(random)?));
        write_json(&store, &StoreKeys { access_key, secret_key: random::token().map_err(random)? })
    }
}

impl Kept {
    /// Of a directory that `up` has prepared, also while it runs.
    pub fn read(path: &Path) -> Result<Self, Refusal> {
        let not_ours = || {
            Refusal::new(format!(
                "{} holds no installation. Start one with: renderkeep up --data {}.",
                path.display(),
                path.display()
            ))
        };
        let path = path.canonicalize().map_err(|_| not_ours())?;
        let ports = read(&path.join("ports.json"))?.ok_or_else(not_ours)?;
        let stores = Stores::read(&path)?.ok_or_else(not_ours)?;
        let keys: StoreKeys = read(&path.join("secrets/store.json"))?.ok_or_else(not_ours)?;
        let file = path.join(ROOT_KEY);
        let root_key = fs::read_to_string(&file).map_err(|error| Refusal::io("cannot be read", &file, &error))?;
        let next_root_key = fs::read_to_string(path.join(NEXT_ROOT_KEY)).ok().map(|key| key.trim().into());
        Ok(Self {
            path,
            ports,
            stores,
            root_key: root_key.trim().into(),
            next_root_key,
            access_key: keys.access_key.into(),
            secret_key: keys.secret_key.into(),
        })
    }

    /// The settings that follow from the directory; they override all others.
    pub fn flags(&self, sources: Sources) -> Result<Sources, Refusal> {
        use secrecy::ExposeSecret;
        let storage = self.storage(self.stores.chosen)?;
        let sources = match &self.next_root_key {
            Some(next) => sources.flag("secrets.next_root_key", next.expose_secret()),
            None => sources,
        };
        Ok(sources
            .flag("server.host", "127.0.0.1")
            .flag("server.port", self.ports.http.to_string())
            .flag("database.url", self.database_url(DATABASE_APPLICATION, DATABASE))
            .flag("database.owner_url", self.database_url(DATABASE_OWNER, DATABASE))
            .flag("storage.bundled", self.stores.chosen.as_str())
            .flag("storage.endpoint", storage.endpoint)
            .flag("storage.region", storage.region)
            .flag("storage.bucket", storage.bucket)
            .flag("storage.access_key", storage.access_key.expose_secret())
            .flag("storage.secret_key", storage.secret_key.expose_secret())
            .flag("storage.directory", self.store(self.stores.chosen).to_string_lossy())
            .flag("secrets.root_key", self.root_key.expose_secret())
            .flag("secrets.epoch_keys", self.path.join("keys").to_string_lossy())
            .preset("audit.checkpoint_file", self.path.join("audit/checkpoints.jsonl").to_string_lossy()))
    }

    /// How one of the bundled stores is reached.
    pub fn storage(&self, kind: Bundled) -> Result<config::Storage, Refusal> {
        Ok(config::Storage {
            bundled: Some(kind),
            endpoint: format!("http://127.0.0.1:{}", self.port(kind)?),
            region: "us-east-1".to_owned(),
            bucket: BUCKET.to_owned(),
            access_key: self.access_key.clone(),
            secret_key: self.secret_key.clone(),
            directory: Some(self.store(kind)),
        })
    }

    pub(super) fn port(&self, kind: Bundled) -> Result<u16, Refusal> {
        self.ports.stores.get(&kind).copied().ok_or_else(|| {
            let file = self.path.join("ports.json");
            Refusal::new(format!("{} names no port for {kind}. Remove it, and others are chosen.", file.display()))
        })
    }

    /// Makes the root key that is to follow, unless an earlier change of it was cut short.
    pub fn begin_rotation(&mut self) -> Result<(), Refusal> {
        if self.next_root_key.is_none() {
            let random = |_| Refusal::new("The operating system gave no random bytes. Try again.");
            let key = HEXLOWER.encode(&random::bytes::<32>().map_err(random)?);
            let next = self.path.join(NEXT_ROOT_KEY);
            write_private(&next, key.as_bytes())?;
            self.next_root_key = Some(key.into());
        }
        Ok(())
    }

    /// Puts the following root key in the place of the one before.
    pub fn end_rotation(&self) -> Result<(), Refusal> {
        let root = self.path.join(ROOT_KEY);
        files::replace(&root, &self.path.join(NEXT_ROOT_KEY))
            .map_err(|error| Refusal::io("cannot be written", &root, &error))
    }

    /// Lets `up` run this store too, from now on and at every start.
    pub fn want(&mut self, kind: Bundled) -> Result<(), Refusal> {
        if self.stores.wants(kind) {
            return Ok(());
        }
        let mut ports = self.ports.clone();
        make_store(&self.path, &mut ports, kind)?;
        write_json(&self.path.join("ports.json"), &ports)?;
        self.ports = ports;
        self.set_stores(Stores { also: Some(kind), ..self.stores })
    }

    /// New objects go to this store; the other one runs as long as it is not empty.
    pub fn choose(&mut self, kind: Bundled) -> Result<(), Refusal> {
        let also = self.stores.all().find(|other| *other != kind);
        self.set_stores(Stores { chosen: kind, also })
    }

    /// The other store holds nothing any more: `up` stops it.
    pub fn forget_other(&mut self) -> Result<(), Refusal> {
        self.set_stores(Stores { also: None, ..self.stores })
    }

    fn set_stores(&mut self, stores: Stores) -> Result<(), Refusal> {
        if stores != self.stores {
            write_json(&self.path.join(STORES), &stores)?;
            self.stores = stores;
        }
        Ok(())
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn run(&self) -> PathBuf {
        self.path.join("run")
    }

    /// Where a bundled store keeps its data.
    pub fn store(&self, kind: Bundled) -> PathBuf {
        self.path.join(kind.as_str())
    }

    pub(super) fn log(&self, part: &str) -> PathBuf {
        self.path.join("logs").join(part).with_extension("log")
    }

    pub(super) fn database_url(&self, role: &str, name: &str) -> String {
        let run = self.run();
        let socket: String = url::form_urlencoded::byte_serialize(run.as_os_str().as_encoded_bytes()).collect();
        format!("postgres://{role}@{}/{name}", socket.replace('+', "%20"))
    }
}

/// A directory and a port for a store, chosen once.
fn make_store(path: &Path, ports: &mut Ports, kind: Bundled) -> Result<(), Refusal> {
    let directory = path.join(kind.as_str());
    files::make_directory(&directory)
        .and_then(|()| files::give_to_owner_of(path, &directory))
        .map_err(|error| Refusal::io("cannot be made", &directory, &error))?;
    if let Entry::Vacant(port) = ports.stores.entry(kind) {
        port.insert(free_port()?.local_addr().map_err(|error| port_taken(0, &error))?.port());
    }
    Ok(())
}

/// Whether an `up` runs on this directory, or seems to.
pub fn is_in_use(path: &Path) -> bool {
    let Ok(lock) = OpenOptions::new().write(true).open(path.join("lock")) else { return false };
    matches!(Flock::lock(lock, FlockArg::LockExclusiveNonblock), Err((_, Errno::EWOULDBLOCK)))
}

fn take(path: &Path) -> Result<Flock<File>, Refusal> {
    let file = path.join("lock");
    let open = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&file);
    let open = open.map_err(|error| Refusal::io("cannot be written", &file, &error))?;
    Flock::lock(open, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| match errno {
        Errno::EWOULDBLOCK => Refusal::new(format!(
            "{} is in use by another `renderkeep up`. Stop that one first, or choose another directory.",
            path.display()
        )),
        errno => Refusal::new(format!("{} cannot be locked: {errno}. Put it on a local disk.", path.display())),
    })
}

fn enough_space(path: &Path, needed: u64) -> Result<(), Refusal> {
    let space = Space::of(path).map_err(|error| Refusal::io("cannot be used", path, &error))?;
    let free = space.free / 1_000_000;
    if free >= needed {
        return Ok(());
    }
    Err(Refusal::new(format!(
        "The disk of {} has {free} MB left, and {needed} MB are needed to start. Free some space and start again.",
        path.display()
    )))
}

fn port_taken(port: u16, error: &std::io::Error) -> Refusal {
    Refusal::new(match error.kind() {
        std::io::ErrorKind::AddrInUse => format!(
            "Port {port} on 127.0.0.1 is in use by another program. Stop that program, or choose another port with \
             --port."
        ),
        _ => format!("Port {port} on 127.0.0.1 cannot be used: {error}. Choose another port with --port."),
    })
}

/// A port that stays ours: below the ports that Linux gives to outgoing connections (from 32,768), or one of those could
/// have it while we are down.
fn free_port() -> Result<TcpListener, Refusal> {
    let none_free = || Refusal::new("No port between 20000 and 32767 on 127.0.0.1 is free. Stop what uses them all.");
    let free = |_| {
        let port = 20_000 + u16::from_le_bytes(random::bytes().ok()?) % 12_768;
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()
    };
    (0..100).find_map(free).ok_or_else(none_free)
}

fn read<T: DeserializeOwned>(file: &Path) -> Result<Option<T>, Refusal> {
    match fs::read(file) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|_| {
            Refusal::new(format!("{} is damaged. Restore the data directory from a backup.", file.display()))
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Refusal::io("cannot be read", file, &error)),
    }
}

pub(super) fn write_json(file: &Path, value: &impl Serialize) -> Result<(), Refusal> {
    let text = serde_json::to_vec_pretty(value);
    let text = text.map_err(|error| Refusal::new(format!("{} cannot be written: {error}.", file.display())))?;
    write_private(file, &text)
}

fn write_private(file: &Path, bytes: &[u8]) -> Result<(), Refusal> {
    files::write(file, bytes).map_err(|error| Refusal::io("cannot be written", file, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_chosen_stays() {
        let dir = tempfile::tempdir().unwrap();
        let first = Directory::open(dir.path()).unwrap().keep(4321, None).unwrap();
        let again = Directory::open(dir.path()).unwrap().keep(4321, None).unwrap();
        assert_eq!(first.ports, again.ports);
        assert_eq!(first.database_url("x", "y"), again.database_url("x", "y"));
        use secrecy::ExposeSecret;
        assert_eq!(first.root_key.expose_secret(), again.root_key.expose_secret());
    }

    #[test]
    fn another_store_than_the_chosen_is_refused_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let directory = Directory::open(dir.path()).unwrap();
        let kept = directory.keep(4321, Some(Bundled::Versitygw)).unwrap();
        assert_eq!(kept.stores, Stores { chosen: Bundled::Versitygw, also: None });
        assert!(dir.path().join("versitygw").exists() && !dir.path().join("minio").exists());
        assert_eq!(directory.keep(4321, None).unwrap().stores, kept.stores);
        let refusal = directory.keep(4321, Some(Bundled::Minio)).err().unwrap().to_string();
        assert!(refusal.contains("renderkeep storage copy --data") && refusal.contains("--to minio"), "{refusal}");

        // While objects move both run; then the new one is the choice, and at last the only one.
        let mut kept = kept;
        let stores = |chosen, also| Stores { chosen, also };
        kept.want(Bundled::Minio).unwrap();
        kept.want(Bundled::Minio).unwrap();
        assert_eq!(directory.keep(4321, None).unwrap().stores, stores(Bundled::Versitygw, Some(Bundled::Minio)));
        kept.choose(Bundled::Minio).unwrap();
        assert_eq!(
            directory.keep(4321, Some(Bundled::Minio)).unwrap().stores,
            stores(Bundled::Minio, Some(Bundled::Versitygw))
        );
        kept.forget_other().unwrap();
        assert_eq!(Kept::read(dir.path()).unwrap().stores, stores(Bundled::Minio, None));
    }

    #[test]
    fn a_directory_from_before_the_choice_stays_with_minio() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("minio")).unwrap();
        let directory = Directory::open(dir.path()).unwrap();
        assert!(directory.keep(4321, Some(Bundled::Versitygw)).is_err());
        assert_eq!(directory.keep(4321, None).unwrap().stores.chosen, Bundled::Minio);
    }

    #[test]
    fn lost_secrets_are_not_made_anew_beside_data() {
        let dir = tempfile::tempdir().unwrap();
        let directory = Directory::open(dir.path()).unwrap();
        directory.keep(4321, None).unwrap();
        fs::create_dir(dir.path().join("postgres")).unwrap();
        fs::remove_file(dir.path().join("secrets/root_key")).unwrap();
        let refusal = directory.keep(4321, None).err().unwrap().to_string();
        assert!(refusal.contains("Restore its directory `secrets`"), "{refusal}");
    }

    #[test]
    fn a_lost_store_is_not_made_anew_beside_a_database() {
        let dir = tempfile::tempdir().unwrap();
        let directory = Directory::open(dir.path()).unwrap();
        directory.keep(4321, None).unwrap();
        fs::remove_dir(dir.path().join("minio")).unwrap();
        directory.keep(4321, None).unwrap();
        fs::create_dir(dir.path().join("postgres")).unwrap();
        directory.keep(4321, None).unwrap();
        fs::remove_dir(dir.path().join("minio")).unwrap();
        let refusal = directory.keep(4321, None).err().unwrap().to_string();
        assert!(refusal.contains("its directory `minio` is missing"), "{refusal}");
        assert!(!dir.path().join("minio").exists());
    }

    #[test]
    fn a_full_disk_is_said_before_anything_starts() {
        let refusal = enough_space(Path::new("/"), u64::MAX).unwrap_err().to_string();
        assert!(refusal.contains("MB left") && refusal.contains("Free some space"), "{refusal}");
    }

    #[test]
    fn a_path_too_long_for_a_socket_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let refusal = Directory::open(&dir.path().join("a".repeat(100))).err().unwrap().to_string();
        assert!(refusal.contains("shorter path"), "{refusal}");
    }
}
