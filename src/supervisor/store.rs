//! The bundled store: MinIO or versitygw on loopback, with credentials that exist only below the data directory.
//!
//! Which of them runs is kept below the directory. While objects move from one to the other both run: each is followed
//! by itself, from when the directory wants it to when it does not.

use std::{
    ffi::OsString,
    io::ErrorKind,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    time::Duration,
};

use nix::sys::signal::Signal;
use secrecy::ExposeSecret;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{
    Kept, Refusal, Stores,
    child::{Running, Spec, Watch},
    on_path,
};
use crate::{
    config::{self, Bundled, Supervisor},
    platform::storage::minio::Minio,
};

/// They need about 140 and 60 MB; above this their garbage collectors work harder instead of growing.
const MEMORY: &str = "256MiB";
/// How often it looks which stores the directory wants.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Between two tries to start a store that a move asks for.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

pub(super) struct Plan {
    pub kind: Bundled,
    spec: Spec,
    port: u16,
    storage: config::Storage,
}

pub(super) fn plan(kept: &Kept, kind: Bundled, settings: &Supervisor) -> Result<Plan, Refusal> {
    let storage = kept.storage(kind)?;
    let port = kept.port(kind)?;
    let spec = Spec {
        part: kind.as_str(),
        title: "The store",
        program: program(kind, settings)?,
        arguments: arguments(kept, kind, port),
        environment: environment(kept, kind),
        directory: kept.path().to_owned(),
        log: kept.log(kind.as_str()),
        stop: Signal::SIGTERM,
        end: Signal::SIGKILL,
        patience: Duration::from_secs(10),
        start_within: Duration::from_secs(60),
    };
    Ok(Plan { kind, spec, port, storage })
}

fn arguments(kept: &Kept, kind: Bundled, port: u16) -> Vec<OsString> {
    let address = format!("127.0.0.1:{port}").into();
    let data = kept.store(kind).into();
    match kind {
        Bundled::Minio => {
            let no_certificates = kept.run().join("no-certificates").into();
            vec![
                "server".into(),
                "--quiet".into(),
                "--address".into(),
                address,
                "--certs-dir".into(),
                no_certificates,
                data,
            ]
        }
        // Files that nobody else can read, and no ACLs to look up: there is one client.
        Bundled::Versitygw => vec![
            "--quiet".into(),
            "--keep-alive".into(),
            "--disable-acl".into(),
            "--port".into(),
            address,
            "posix".into(),
            "--dir-perms".into(),
            "0700".into(),
            "--file-perms".into(),
            "0600".into(),
            data,
        ],
    }
}

fn environment(kept: &Kept, kind: Bundled) -> Vec<(&'static str, OsString)> {
    let access = OsString::from(kept.access_key.expose_secret());
    let secret = OsString::from(kept.secret_key.expose_secret());
    let own = match kind {
        Bundled::Minio => vec![
            ("MINIO_ROOT_USER", access),
            ("MINIO_ROOT_PASSWORD", secret),
            ("MINIO_BROWSER", "off".into()),
            // It asks nobody for a newer version.
            ("MINIO_UPDATE", "off".into()),
        ],
        Bundled::Versitygw => vec![("ROOT_ACCESS_KEY", access), ("ROOT_SECRET_KEY", secret)],
    };
    own.into_iter().chain([("GOMEMLIMIT", MEMORY.into()), ("HOME", kept.run().into())]).collect()
}

impl Plan {
    pub async fn start(&self, watch: &Watch, stop: &CancellationToken) -> Result<Running<'_>, Refusal> {
        self.settle().await?;
        self.spec.start(async || self.answers().await, watch, stop).await
    }

    /// The client tries for more than a second before it gives up, so the port is asked first.
    #[expect(clippy::disallowed_types, reason = "asks a child, on loopback")]
    async fn answers(&self) -> bool {
        if tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await.is_err() {
            return false;
        }
        match Minio::new(&self.storage, None) {
            Ok(store) => store.exists().await.is_ok(),
            Err(_) => false,
        }
    }

    /// The server of a start that was killed may still hold the port for a moment.
    async fn settle(&self) -> Result<(), Refusal> {
        for _ in 0..60 {
            if TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)).is_ok() {
                return Ok(());
            }
            sleep(Duration::from_millis(50)).await;
        }
        Err(Refusal::new(format!(
            "Port {} on 127.0.0.1, which the store of this directory uses, is in use by another program. Stop that \
             program, or remove ports.json from the data directory so that other ports are chosen.",
            self.port
        )))
    }

    /// Watches it as long as the directory wants it, and until `stop`.
    async fn keep(&self, running: Running<'_>, data: &Path, watch: &Watch, stop: &CancellationToken) {
        let ended = CancellationToken::new();
        let unwanted = async {
            tokio::select! {
                () = until(data, self.kind, false) => {}
                () = stop.cancelled() => {}
            }
            ended.cancel();
        };
        tokio::join!(running.keep(async || self.answers().await, watch, &ended), unwanted);
        watch.ended(self.spec.part);
        if !stop.is_cancelled() {
            self.clear(data).await;
        }
    }

    /// MinIO puts what was deleted aside and removes it later, and now it does not run any more.
    async fn clear(&self, data: &Path) {
        let aside = data.join(self.spec.part).join(".minio.sys/tmp");
        match tokio::fs::remove_dir_all(&aside).await {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                tracing::warn!(directory = %aside.display(), %error, "what was deleted in the old store could not be removed");
            }
            _ => {}
        }
    }
}

/// Follows what the directory wants of one store until `stop`; `first` is the one that runs already.
pub(super) async fn follow(
    kind: Bundled,
    first: Option<(&Plan, Running<'_>)>,
    data: &Path,
    settings: &Supervisor,
    watch: &Watch,
    stop: &CancellationToken,
) {
    if let Some((plan, running)) = first {
        plan.keep(running, data, watch, stop).await;
    }
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = until(data, kind, true) => {}
        }
        let started = async {
            let plan = plan(&Kept::read(data)?, kind, settings)?;
            let running = plan.start(watch, stop).await?;
            plan.keep(running, data, watch, stop).await;
            Ok::<_, Refusal>(())
        };
        if let Err(refusal) = started.await {
            tracing::error!(part = kind.as_str(), %refusal, "the store to which objects move cannot be started");
            tokio::select! {
                () = sleep(AGAIN_AFTER) => {}
                () = stop.cancelled() => return,
            }
        }
    }
}

/// Returns when the directory wants this store, or does not want it any more.
async fn until(data: &Path, kind: Bundled, wanted: bool) {
    loop {
        // A file that cannot be read now says nothing.
        if Stores::read(data).is_ok_and(|stores| stores.is_some_and(|stores| stores.wants(kind) == wanted)) {
            return;
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Where their programs may be before the settings are read, which only the ordinary user does.
pub(super) fn places() -> impl Iterator<Item = PathBuf> {
    Bundled::ALL.into_iter().flat_map(|kind| {
        let variable = match kind {
            Bundled::Minio => "RENDERKEEP__SUPERVISOR__MINIO",
            Bundled::Versitygw => "RENDERKEEP__SUPERVISOR__VERSITYGW",
        };
        std::env::var_os(variable).map(PathBuf::from).into_iter().chain(built_beside_us(kind))
    })
}

fn built_beside_us(kind: Bundled) -> Option<PathBuf> {
    let name = kind.as_str();
    Some(std::env::current_exe().ok()?.parent()?.parent()?.join(name).join(name))
}

/// As configured; else as `make` builds it beside our own program; else as the package installs it; else on the path.
pub fn program(kind: Bundled, settings: &Supervisor) -> Result<PathBuf, Refusal> {
    let name = kind.as_str();
    let configured = match kind {
        Bundled::Minio => &settings.minio,
        Bundled::Versitygw => &settings.versitygw,
    };
    if let Some(program) = configured {
        return Some(program.clone()).filter(|program| program.is_file()).ok_or_else(|| {
            Refusal::new(format!("supervisor.{name} names {}, which is not a file. Correct it.", program.display()))
        });
    }
    let packaged = Some(PathBuf::from("/usr/lib/renderkeep").join(name));
    let found =
        [built_beside_us(kind), packaged, on_path(name)].into_iter().flatten().find(|program| program.is_file());
    found.ok_or_else(|| {
        Refusal::new(format!(
            "The {} program was not found. Build it with `make install-{name}`, or name it in \
             RENDERKEEP__SUPERVISOR__{}.",
            kind.title(),
            name.to_uppercase()
        ))
    })
}
