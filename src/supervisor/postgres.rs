//! The private Postgres cluster below the data directory: reached over a socket only, by this user only.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use nix::sys::signal::Signal;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{
    Kept, Refusal,
    child::{Running, Spec, Watch},
    directory::{DATABASE, DATABASE_APPLICATION, DATABASE_OWNER, DATABASE_SUPERUSER},
    on_path,
};
use crate::{
    config::Config,
    platform::db::{migrate, roles},
};

const OLDEST: u32 = 15;
/// Where Debian's packages put each major version.
const PACKAGED: &str = "/usr/lib/postgresql";

/// For a small machine that does other work too. Nothing here trades durability away.
const SETTINGS: [&str; 17] = [
    "listen_addresses=",
    "unix_socket_permissions=0700",
    "max_connections=64",
    "shared_buffers=128MB",
    "effective_cache_size=512MB",
    "work_mem=8MB",
    "maintenance_work_mem=64MB",
    "max_wal_size=1GB",
    "wal_compression=on",
    "random_page_cost=1.1",
    "autovacuum_max_workers=2",
    "max_worker_processes=4",
    "max_parallel_workers=2",
    // After a crash one call flushes the whole disk, instead of one per file of the cluster.
    "recovery_init_sync_method=syncfs",
    "logging_collector=off",
    "log_min_messages=warning",
    // Statements may hold what people wrote.
    "log_min_error_statement=panic",
];

pub(super) struct Plan {
    spec: Spec,
    programs: PathBuf,
    data: PathBuf,
    server_url: String,
}

pub(super) fn plan(kept: &Kept, config: &Config) -> Result<Plan, Refusal> {
    let data = kept.path().join("postgres");
    let programs = programs(&data, config.supervisor.postgres_bin.as_deref())?;
    let mut arguments: Vec<OsString> = vec!["-D".into(), data.clone().into()];
    let mut sockets = OsString::from("unix_socket_directories=");
    sockets.push(kept.run());
    for setting in SETTINGS.into_iter().map(OsString::from).chain([sockets]) {
        arguments.extend(["-c".into(), setting]);
    }
    let spec = Spec {
        part: "postgres",
        title: "The database",
        program: programs.join("postgres"),
        arguments,
        environment: Vec::new(),
        directory: kept.path().to_owned(),
        log: kept.log("postgres"),
        stop: Signal::SIGINT,
        end: Signal::SIGQUIT,
        patience: Duration::from_secs(20),
        // After a power cut it first reads its log again.
        start_within: Duration::from_secs(300),
    };
    Ok(Plan { spec, programs, data, server_url: kept.database_url(DATABASE_SUPERUSER, "postgres") })
}

impl Plan {
    pub async fn start(&self, watch: &Watch, stop: &CancellationToken) -> Result<Running<'_>, Refusal> {
        if !self.data.join("PG_VERSION").exists() {
            self.make_cluster(stop).await?;
        }
        self.settle().await?;
        let running = self.spec.start(async || self.answers().await, watch, stop).await?;
        if let Err(error) = self.make_database().await {
            running.end().await;
            return Err(Refusal::new(format!("The database could not be made: {error}. Look into its log.")));
        }
        Ok(running)
    }

    async fn make_database(&self) -> Result<(), migrate::MigrateError> {
        roles::ensure(&self.server_url, &[DATABASE_OWNER, DATABASE_APPLICATION]).await?;
        migrate::ensure_database(&self.server_url, DATABASE, DATABASE_OWNER).await
    }

    pub async fn answers(&self) -> bool {
        migrate::answers(&self.server_url).await
    }

    /// Made beside its place and moved there when complete, so that an interrupted first start leaves nothing half done.
    async fn make_cluster(&self, stop: &CancellationToken) -> Result<(), Refusal> {
        let new = self.data.with_extension("new");
        let io = |error: std::io::Error| Refusal::io("cannot be made", &new, &error);
        if new.exists() {
            fs::remove_dir_all(&new).map_err(io)?;
        }
        let arguments = ["--auth-local=trust", "--auth-host=reject", "--locale=C.UTF-8", "--data-checksums"];
        let spec = Spec {
            program: self.programs.join("initdb"),
            arguments: [OsString::from("-D"), new.clone().into(), "-U".into(), DATABASE_SUPERUSER.into()]
                .into_iter()
                .chain(arguments.map(OsString::from))
                .collect(),
            environment: Vec::new(),
            directory: self.spec.directory.clone(),
            log: self.spec.log.clone(),
            stop: Signal::SIGTERM,
            end: Signal::SIGKILL,
            ..self.spec
        };
        spec.run(stop).await?;
        fs::rename(&new, &self.data).map_err(io)?;
        fs::File::open(&self.spec.directory).and_then(|directory| directory.sync_all()).map_err(io)
    }

    /// A server of this directory may still be ending, for instance after its parent was killed. Only one may run, which
    /// it checks itself; this waits for the other, and removes the mark of one that is long gone when its number now
    /// belongs to another program.
    async fn settle(&self) -> Result<(), Refusal> {
        let mark = self.data.join("postmaster.pid");
        for _ in 0..200 {
            let Ok(text) = fs::read_to_string(&mark) else { return Ok(()) };
            let pid = text.lines().next().unwrap_or_default().trim();
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            if name.trim() != "postgres" {
                return fs::remove_file(&mark).map_err(|error| Refusal::io("cannot be removed", &mark, &error));
            }
            sleep(Duration::from_millis(50)).await;
        }
        Err(Refusal::new(format!(
            "A Postgres server is already running in {}. Stop it with pg_ctl stop, then start again.",
            self.data.display()
        )))
    }
}

/// The directory of programs that fit the cluster, or the newest when there is none yet.
fn programs(data: &Path, configured: Option<&Path>) -> Result<PathBuf, Refusal> {
    let cluster = cluster_version(data)?;
    let candidates: Vec<(u32, PathBuf)> = match configured {
        Some(directory) => vec![(program_version(directory)?, directory.to_owned())],
        None => installed(),
    };
    let Some(newest) = candidates.iter().max_by_key(|(version, _)| *version) else {
        return Err(Refusal::new(format!(
            "PostgreSQL {OLDEST} or newer was not found. Install Debian's package postgresql-{OLDEST}, or name the \
             directory of its programs in RENDERKEEP__SUPERVISOR__POSTGRES_BIN."
        )));
    };
    let fitting = match cluster {
        Some(version) => candidates.iter().find(|(candidate, _)| *candidate == version),
        None => Some(newest).filter(|(version, _)| *version >= OLDEST),
    };
    fitting.map(|(_, directory)| directory.clone()).ok_or_else(|| match cluster {
        Some(version) => Refusal::new(format!(
            "The database in {} was made by PostgreSQL {version}, and only PostgreSQL {} is installed. Install \
             postgresql-{version}, or name its programs in RENDERKEEP__SUPERVISOR__POSTGRES_BIN.",
            data.display(),
            newest.0
        )),
        None => Refusal::new(format!("PostgreSQL {} is too old. Install postgresql-{OLDEST} or newer.", newest.0)),
    })
}

/// The major version of an existing cluster; a directory that is something else is left alone.
fn cluster_version(data: &Path) -> Result<Option<u32>, Refusal> {
    let damaged = |what: &str| {
        Refusal::new(format!(
            "{} is damaged: {what}. Restore the data directory from a backup, or start with an empty one.",
            data.display()
        ))
    };
    if !data.exists() {
        return Ok(None);
    }
    let text = fs::read_to_string(data.join("PG_VERSION")).map_err(|_| damaged("its file PG_VERSION is missing"))?;
    text.trim().parse().map(Some).map_err(|_| damaged("its file PG_VERSION holds no version"))
}

fn installed() -> Vec<(u32, PathBuf)> {
    let packaged = fs::read_dir(PACKAGED).into_iter().flatten().flatten().filter_map(|entry| {
        let version = entry.file_name().to_str()?.parse().ok()?;
        let directory = entry.path().join("bin");
        directory.join("postgres").is_file().then_some((version, directory))
    });
    let on_path = on_path("initdb").and_then(|program| Some(program.parent()?.to_owned()));
    let on_path = on_path.and_then(|directory| Some((program_version(&directory).ok()?, directory)));
    // The last of equal versions is taken: a package rather than whatever is on the path.
    on_path.into_iter().chain(packaged).collect()
}

/// What `postgres --version` says: `postgres (PostgreSQL) 15.18 (Debian 15.18-1)`.
#[expect(clippy::disallowed_methods, reason = "part of the supervisor")]
fn program_version(directory: &Path) -> Result<u32, Refusal> {
    let program = directory.join("postgres");
    let said = std::process::Command::new(&program).arg("--version").output();
    let said = said.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let number = said.split_whitespace().find_map(|word| word.split(['.', 'b', 'r', 'd']).next()?.parse().ok());
    number.ok_or_else(|| {
        Refusal::new(format!(
            "{} does not run as a PostgreSQL server. Check supervisor.postgres_bin.",
            program.display()
        ))
    })
}
