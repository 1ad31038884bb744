//! Start and stop, in order: database, store, catalog, background work, listener; and backwards.

use std::{net::TcpListener, path::PathBuf, sync::Arc, time::Duration};

use actix_web::dev::Server;
use anyhow::Context;
use secrecy::ExposeSecret;
use tokio::task::LocalSet;
use tokio_util::sync::CancellationToken;

use super::{
    rooms, server,
    tls::{self, Certificates},
};
use crate::{
    base::{clock::Clock, ctx::Ctx},
    config::{Config, Database},
    inference,
    organisation::{self, model::FirstPassword},
    platform::{
        Platform,
        audit::attest,
        db::{Db, migrate, roles},
        egress::{Egress, Way},
        jobs,
        keyring::{Epochs, Keyring, RootKey},
        pictures::{Pictures, Setup},
        signals::Signals,
        storage::{Storage, Stores, minio::Minio},
        telemetry::Notices,
    },
    studio,
};

/// How long a running generation may go on after a stop was asked for; what is not done then is taken up at the next
/// start.
const GRACE: Duration = Duration::from_secs(15);

/// Which parts of the server this process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roles {
    pub web: bool,
    pub worker: bool,
}

impl Roles {
    pub const ALL: Self = Self { web: true, worker: true };
}

/// Opens everything that the server stands on: the database with this version's schema, its keys, the store with its
/// bucket.
pub async fn open(config: Config, notices: Notices) -> anyhow::Result<Platform> {
    // First what refuses settings that must not be used: nothing has been changed yet.
    let (roots, way) = (roots(&config)?, way(&config)?);
    let (db, store) = handles(&config, config.storage.directory.clone())?;
    let held = Pictures::new(Setup::new(&config.sandbox)).check().await?;
    tracing::info!(landlock = held.landlock, seccomp = held.seccomp, "decoders of pictures are confined");
    migrate_database(&config.database).await.context(
        "The database could not be brought to this version. Check that PostgreSQL runs, that database.url is right, and \
          that database.owner_url or else database.url signs in as the role that owns the tables.",
    )?;
    if let Some(finding) = roles::excess(config.database.url.expose_secret()).await? {
        tracing::warn!(
            finding,
            "the database does not protect the audit log from this server; see `renderkeep doctor`"
        );
    }
    let keys = Keyring::open(&db, &Clock::system(), &roots, Epochs::open(&config.secrets.epoch_keys)?).await?;
    let silent = "The store did not answer. Check that it runs and that storage.endpoint, storage.bucket and its keys are right.";
    let platform = assemble(config, db, keys, way, notices);
    if !store.exists().await.context(silent)? {
        platform.storage.stores().refuse_lost(&platform.db, &platform.config.storage).await?;
        store.prepare().await.context(silent)?;
    }
    platform.storage.stores().register(&platform.db, &platform.config.storage, store.as_ref()).await?;
    Ok(platform)
}

/// The same beside a running server: nothing is changed, and the store is not asked.
pub async fn open_beside(config: Config) -> anyhow::Result<Platform> {
    let (way, (db, _)) = (way(&config)?, handles(&config, None)?);
    let epochs = Epochs::open(&config.secrets.epoch_keys)?;
    let keys = Keyring::open_existing(&db, &roots(&config)?, epochs).await?;
    Ok(assemble(config, db, keys, way, Notices::default()))
}

/// Brings the schema to this version and gives the application its rights. Returns how many migrations were applied.
pub async fn migrate_database(database: &Database) -> Result<usize, migrate::MigrateError> {
    let url = database.url.expose_secret();
    let owner = database.owner_url.as_ref().map_or(url, ExposeSecret::expose_secret);
    // A server that may not migrate can start all the same where there is nothing to migrate.
    let applied = if migrate::pending(owner).await? > 0 { migrate::run(owner).await? } else { 0 };
    if owner != url {
        roles::grant(owner, url).await?;
    }
    if applied > 0 {
        tracing::info!(applied, "migrations were applied");
    }
    Ok(applied)
}

/// The way to the database and the store. Nothing is asked yet; whoever puts nothing needs no directory.
pub fn handles(config: &Config, directory: Option<PathBuf>) -> anyhow::Result<(Db, Arc<Minio>)> {
    let store = Minio::new(&config.storage, directory)
        .context("The store's settings cannot be used. Check storage.endpoint and its keys.")?;
    Ok((Db::new(config.database.url.expose_secret(), config.connections_of_each())?, Arc::new(store)))
}

fn way(config: &Config) -> anyhow::Result<Way> {
    Way::of(&config.egress).context("The settings of the way out cannot be used")
}

fn assemble(config: Config, db: Db, keys: Keyring, way: Way, notices: Notices) -> Platform {
    let clock = Clock::system();
    let signals = Signals::default();
    Platform {
        egress: Egress::new(db.clone(), clock.clone(), signals.clone(), way),
        pictures: Pictures::new(Setup::new(&config.sandbox)),
        clock,
        storage: Storage::new(Stores::new(keys.clone(), config.storage.clone()), keys.clone()),
        keys,
        db,
        signals,
        notices,
        config: Arc::new(config),
    }
}

/// The root keys that may open the organisation's key: the one that is set, and its successor while it changes.
pub fn roots(config: &Config) -> anyhow::Result<Vec<RootKey>> {
    let secrets = &config.secrets;
    let all = [("root_key", &secrets.root_key), ("next_root_key", &secrets.next_root_key)];
    let set = all.into_iter().filter_map(|(name, key)| Some((name, key.as_ref()?)));
    set.map(|(name, key)| RootKey::parse(key).map_err(|fault| anyhow::anyhow!("secrets.{name} {fault}"))).collect()
}

/// The organisation and its first owner on the first start, and the catalog on every start. Returns the one-time
/// password as long as the first owner has not chosen one.
pub async fn prepare(platform: &Platform) -> anyhow::Result<Option<FirstPassword>> {
    let first = organisation::ops::bootstrap(platform).await?;
    let ctx = Ctx::system("audit", platform.clock.clone());
    attest::prepare(platform, &ctx).await.context("The audit log's signing key could not be made")?;
    let ctx = Ctx::system("catalog", platform.clock.clone());
    inference::ops::sync(&ctx, platform).await.context("The catalog could not be brought up to date")?;
    Ok(first)
}

/// For a server that is alone on its database: goes on at once with what a killed run had begun.
pub async fn take_over(platform: &Platform) -> anyhow::Result<()> {
    studio::pipeline::take_over(platform).await.context("What the last run had begun could not be taken up")
}

/// Runs until `stop`, then stops in order: no new requests, running ones to their end, background work, wake-ups.
pub async fn run(
    platform: Platform,
    roles: Roles,
    listener: TcpListener,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let background = CancellationToken::new();
    let worker = if roles.worker { Some(start_worker(&platform, background.clone())?) } else { None };
    let listening = CancellationToken::new();
    let signals = platform.signals.clone();
    let url = platform.db.url().to_owned();
    let wakeups = tokio::task::spawn({
        let listening = listening.clone();
        async move { signals.listen(&url, listening).await }
    });
    let served = serve(&platform, roles, listener, &stop).await;
    background.cancel();
    if let Some(worker) = worker {
        let ended = tokio::task::spawn_blocking(move || worker.join()).await?;
        if ended.is_err() {
            tracing::error!("background work ended in a panic; what it had leased is taken up at the next start");
        }
    }
    listening.cancel();
    wakeups.await?;
    served
}

async fn serve(
    platform: &Platform,
    roles: Roles,
    listener: TcpListener,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    if !roles.web {
        drop(listener);
        stop.cancelled().await;
        return Ok(());
    }
    let certificates = Certificates::load(&platform.config.tls)?;
    let redirect = redirect(&platform.config, listener.local_addr()?.port())?;
    let server = server::serve(platform.clone(), listener, certificates.clone())?;
    let following = async {
        match certificates {
            Some(certificates) => certificates.follow(stop.clone()).await,
            None => stop.cancelled().await,
        }
    };
    let redirecting = async {
        match redirect {
            Some(redirect) => until(redirect, stop).await,
            None => Ok(()),
        }
    };
    let serving = async {
        let served = until(server, stop).await;
        // It may have ended by itself; then there is nothing to follow any more.
        stop.cancel();
        served
    };
    let ((), redirected, served) = tokio::join!(following, redirecting, serving);
    served.and(redirected)
}

/// The plain-HTTP listener beside the one with TLS, if one is set.
fn redirect(config: &Config, port: u16) -> anyhow::Result<Option<Server>> {
    let Some(address) = config.tls.redirect else { return Ok(None) };
    let listener = TcpListener::bind(address).with_context(|| {
        format!("{address} cannot be listened on. Stop the program that uses it, or change tls.redirect.")
    })?;
    let public = config.server.public_url.as_deref().and_then(|url| url::Url::parse(url).ok());
    let target = tls::redirect::Target {
        host: public.as_ref().and_then(|url| url.host_str().map(str::to_owned)),
        port: public.as_ref().map_or(Some(port), url::Url::port_or_known_default).unwrap_or(port),
    };
    Ok(Some(tls::redirect::serve(listener, target)?))
}

/// Runs `server` until `stop`, and then to the end of what it had begun.
async fn until(server: Server, stop: &CancellationToken) -> anyhow::Result<()> {
    let handle = server.handle();
    tokio::pin!(server);
    tokio::select! {
        end = &mut server => return end.context("The web server stopped by itself"),
        () = stop.cancelled() => {}
    }
    let ((), end) = tokio::join!(handle.stop(true), server);
    end.context("The web server did not stop as it should")
}

/// Background work on a thread of its own: its futures stay on it, and long ones do not slow down answers.
fn start_worker(platform: &Platform, stop: CancellationToken) -> anyhow::Result<std::thread::JoinHandle<()>> {
    let platform = platform.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let work = move || {
        let local = LocalSet::new();
        runtime.block_on(local.run_until(async {
            let generations = studio::pipeline::run(platform.clone(), stop.clone(), GRACE);
            let others = jobs::run(platform.clone(), rooms::jobs(), rooms::reconcilers(), stop.clone());
            tokio::join!(generations, others);
        }));
    };
    Ok(std::thread::Builder::new().name("worker".to_owned()).spawn(work)?)
}
