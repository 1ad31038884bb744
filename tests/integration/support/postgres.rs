//! One real Postgres for the whole test run, and a database of its own for every test.
//!
//! The server belongs to a guard process that waits on a pipe from this one: when the tests end, however they end, the
//! pipe closes, and the guard stops the server and removes its directory.
#![expect(clippy::disallowed_methods, reason = "tests bring their own Postgres")]

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use nix::unistd::geteuid;
use renderkeep::platform::db::{Db, migrate, roles};
use tokio::sync::OnceCell;
use tokio_postgres::NoTls;

/// The user `nobody`: Postgres refuses to run as root.
const NOBODY: u32 = 65534;

const SUPERUSER: &str = "renderkeep";
const OWNER: &str = "renderkeep_owner";
const APPLICATION: &str = "renderkeep_app";

/// Starts the server, says so, and stops it when the tests are gone.
const GUARD: &str = r#"
    set -e
    initdb -D "$1/data" -U renderkeep --auth=trust --no-sync --locale=C.UTF-8 >"$1/log" 2>&1
    dir=$1
    shift
    postgres -D "$dir/data" -c listen_addresses= -c unix_socket_directories="$dir" -c max_connections=400 \
        "$@" >>"$dir/log" 2>&1 &
    server=$!
    until pg_isready -q -h "$dir"; do kill -0 $server; sleep 0.02; done
    echo ready
    read -r _ || true
    kill -QUIT $server
    wait $server || true
    rm -rf "$dir"
"#;

/// A database of a test lives for seconds.
const FORGETFUL: [&str; 8] =
    ["-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off", "-c", "shared_buffers=64MB"];

/// Set before the first database: the server keeps what it was told to keep, as one with default settings does.
pub static DURABLE: AtomicBool = AtomicBool::new(false);

struct Server {
    dir: PathBuf,
    /// Its standard input is the pipe whose end stops the server.
    _guard: Child,
}

/// A database that exists as long as this value.
pub struct Database {
    pub db: Db,
    name: String,
}

impl Database {
    /// With every migration applied.
    pub async fn migrated() -> Self {
        static TEMPLATE: OnceCell<()> = OnceCell::const_new();
        TEMPLATE
            .get_or_init(async || {
                // As `up` does, so that a right which the application lacks is missed by whatever test needs it.
                roles::ensure(&url("postgres"), &[OWNER, APPLICATION]).await.expect("the roles");
                execute("postgres", &format!("create database template_renderkeep owner {OWNER}")).await;
                let owner = url_as(OWNER, "template_renderkeep");
                let application = url_as(APPLICATION, "template_renderkeep");
                migrate::run(&owner).await.expect("the migrations apply");
                roles::grant(&owner, &application).await.expect("the application has its rights");
            })
            .await;
        Self::from_template("template_renderkeep").await
    }

    /// Without a table.
    pub async fn empty() -> Self {
        Self::from_template("template0").await
    }

    async fn from_template(template: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        execute("postgres", &format!("create database {name} template {template}")).await;
        // An empty one has nothing yet that the application could have rights to.
        let role = if template == "template0" { SUPERUSER } else { APPLICATION };
        let db = Db::new(&url_as(role, &name), 8).expect("a pool");
        Self { db, name }
    }

    /// As a superuser, who may also do what nobody should: for what a test does behind the server's back.
    pub fn url(&self) -> String {
        url(&self.name)
    }

    /// As the server itself.
    pub fn application_url(&self) -> String {
        url_as(APPLICATION, &self.name)
    }

    /// As the role that owns the tables.
    pub fn owner_url(&self) -> String {
        url_as(OWNER, &self.name)
    }

    /// What `pg_dump` says of the schema, without what differs from run to run.
    pub fn schema_dump(&self) -> String {
        let text = self.run("pg_dump", &["--schema-only", "--exclude-table=__diesel_schema_migrations"]);
        text.lines().filter(|line| !line.contains("restrict ")).map(|line| format!("{line}\n")).collect()
    }

    /// Every row, as `pg_dump` writes it.
    pub fn data_dump(&self) -> String {
        self.run("pg_dump", &["--data-only"])
    }

    /// What `psql` prints when it runs this file.
    pub fn psql(&self, file: &Path) -> String {
        self.run("psql", &["-X", "-q", "-f", &file.to_string_lossy()])
    }

    fn run(&self, program: &str, arguments: &[&str]) -> String {
        let mut command = Command::new(programs().join(program));
        let output = command.args(arguments).args(["--dbname", &self.url()]).output().expect("it starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let statement = format!("drop database if exists {} with (force)", self.name);
        // A thread of its own: the test's runtime may be the one that is ending.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(execute("postgres", &statement));
        });
        let _ = dropped.join();
    }
}

/// A connection without pool and without Diesel.
pub async fn connect(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("a connection");
    // Ends with the client, at the latest with the test's runtime.
    tokio::spawn(connection);
    client
}

async fn execute(database: &str, statement: &str) {
    connect(&url(database)).await.batch_execute(statement).await.expect(statement);
}

fn url(database: &str) -> String {
    url_as(SUPERUSER, database)
}

fn url_as(role: &str, database: &str) -> String {
    format!("postgres://{role}@{}/{database}", server().dir.to_string_lossy().replace('/', "%2F"))
}

fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(start)
}

fn start() -> Server {
    let dir = tempfile::Builder::new().prefix("renderkeep-test-").tempdir().expect("a directory").keep();
    let path = format!("{}:/usr/bin:/bin", programs().display());
    let mut command = Command::new("/bin/sh");
    command.args(["-c", GUARD, "guard"]).arg(&dir);
    if !DURABLE.load(Ordering::Relaxed) {
        command.args(FORGETFUL);
    }
    command.env("PATH", path).current_dir(&dir).process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    if geteuid().is_root() {
        chown(&dir, Some(NOBODY), Some(NOBODY)).expect("chown");
        command.uid(NOBODY).gid(NOBODY);
    }
    let mut guard = command.spawn().expect("the guard starts");
    let mut said = String::new();
    BufReader::new(guard.stdout.take().expect("a pipe")).read_line(&mut said).expect("the guard speaks");
    assert_eq!(said.trim(), "ready", "{}", fs::read_to_string(dir.join("log")).unwrap_or_default());
    Server { dir, _guard: guard }
}

/// The newest PostgreSQL of Debian's packages.
pub fn programs() -> PathBuf {
    let installed = fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL is installed");
    let version = |path: &Path| path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok());
    let newest = installed.flatten().map(|entry| entry.path()).max_by_key(|path| version(path));
    newest.expect("PostgreSQL is installed").join("bin")
}
