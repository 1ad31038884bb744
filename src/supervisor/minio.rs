//! The bundled store: MinIO on loopback, with credentials that exist only below the data directory.

use std::{
    ffi::OsString,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    time::Duration,
};

use nix::sys::signal::Signal;
use secrecy::ExposeSecret;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{
    Kept, Refusal,
    child::{Running, Spec, Watch},
    on_path,
};
use crate::{
    config::{self, Config},
    platform::storage::minio::Minio,
};

/// It needs about 140 MB; above this its garbage collector works harder instead of growing.
const MEMORY: &str = "256MiB";

pub(super) struct Plan {
    spec: Spec,
    port: u16,
    storage: config::Storage,
}

pub(super) fn plan(kept: &Kept, config: &Config) -> Result<Plan, Refusal> {
    let port = kept.ports.minio;
    let arguments = [
        "server".into(),
        "--quiet".into(),
        "--address".into(),
        format!("127.0.0.1:{port}").into(),
        "--certs-dir".into(),
        kept.run().join("no-certificates").into(),
        kept.store().into(),
    ];
    let secret = |secret: &secrecy::SecretString| OsString::from(secret.expose_secret());
    let environment = vec![
        ("MINIO_ROOT_USER", secret(&kept.access_key)),
        ("MINIO_ROOT_PASSWORD", secret(&kept.secret_key)),
        ("MINIO_BROWSER", "off".into()),
        // It asks nobody for a newer version.
        ("MINIO_UPDATE", "off".into()),
        ("GOMEMLIMIT", MEMORY.into()),
        ("HOME", kept.run().into()),
    ];
    let spec = Spec {
        part: "minio",
        title: "The store",
        program: program(config.supervisor.minio.as_deref())?,
        arguments: arguments.into(),
        environment,
        directory: kept.path().to_owned(),
        log: kept.log("minio"),
        stop: Signal::SIGTERM,
        end: Signal::SIGKILL,
        patience: Duration::from_secs(10),
        start_within: Duration::from_secs(60),
    };
    Ok(Plan { spec, port, storage: config.storage.clone() })
}

impl Plan {
    pub async fn start(&self, watch: &Watch, stop: &CancellationToken) -> Result<Running<'_>, Refusal> {
        self.settle().await?;
        self.spec.start(async || self.answers().await, watch, stop).await
    }

    /// The client tries for more than a second before it gives up, so the port is asked first.
    #[expect(clippy::disallowed_types, reason = "asks a child, on loopback")]
    pub async fn answers(&self) -> bool {
        if tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await.is_err() {
            return false;
        }
        match Minio::new(&self.storage, None) {
            Ok(store) => store.prepare().await.is_ok(),
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
}

/// Where its program may be before the settings are read, which only the ordinary user does.
pub(super) fn places() -> impl Iterator<Item = PathBuf> {
    let named = std::env::var_os("RENDERKEEP__SUPERVISOR__MINIO").map(PathBuf::from);
    named.into_iter().chain(built_beside_us())
}

fn built_beside_us() -> Option<PathBuf> {
    Some(std::env::current_exe().ok()?.parent()?.parent()?.join("minio/minio"))
}

/// As configured; else as `make` builds it beside our own program; else as the package installs it; else on the path.
fn program(configured: Option<&Path>) -> Result<PathBuf, Refusal> {
    if let Some(program) = configured {
        return Some(program.to_owned()).filter(|program| program.is_file()).ok_or_else(|| {
            Refusal::new(format!("supervisor.minio names {}, which is not a file. Correct it.", program.display()))
        });
    }
    let built = built_beside_us();
    let packaged = Some(PathBuf::from("/usr/lib/renderkeep/minio"));
    let found = [built, packaged, on_path("minio")].into_iter().flatten().find(|program| program.is_file());
    found.ok_or_else(|| {
        Refusal::new(
            "The MinIO program was not found. Build it with `make install-minio`, or name it in \
             RENDERKEEP__SUPERVISOR__MINIO.",
        )
    })
}
