//! The built program as `renderkeep serve`, with a database of the tests' Postgres and a bucket of their MinIO: it can be
//! killed while these go on.
#![expect(clippy::disallowed_methods, reason = "the program is tested from outside")]

use std::{
    fs,
    net::TcpListener,
    os::unix::{fs::PermissionsExt, process::ExitStatusExt},
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use renderkeep::{
    app::lifecycle,
    base::{clock::Clock, ctx::Ctx},
    config::{self, Sources},
    platform::Platform,
};
use tempfile::TempDir;

use super::{
    app::Client,
    postgres::{Database, connect},
    stores::{self, Program},
};

/// Generous: the machine may be busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// Settings, keys, a database and a bucket of its own.
pub struct Installation {
    pub database: Database,
    dir: TempDir,
}

/// Killed when a test fails before it was stopped.
pub struct Serving {
    pub child: Child,
    pub url: String,
}

impl Installation {
    /// With an empty database, and with the tests' MinIO unless `settings` name another store below `[storage]`, where
    /// they begin.
    pub async fn new(settings: &str) -> Self {
        // Makes the roles.
        drop(Database::migrated().await);
        let database = Database::empty().await;
        let name = database.url().rsplit('/').next().unwrap().to_owned();
        let give = format!("alter database {name} owner to renderkeep_owner");
        connect(&database.url()).await.batch_execute(&give).await.unwrap();
        let dir = tempfile::Builder::new().prefix("renderkeep-serve-").tempdir().unwrap();
        let bucket = stores::Server::bucket();
        let endpoint = match settings.contains("endpoint = ") {
            true => String::new(),
            false => format!("endpoint = {:?}", stores::shared(Program::Minio).await.endpoint()),
        };
        let text = format!(
            r#"
            [database]
            url = "{}"
            owner_url = "{}"
            connections = 12
            [secrets]
            root_key = "{}"
            epoch_keys = "{}"
            [server]
            workers = 1
            [telemetry]
            format = "pretty"
            log = "warn"
            [storage]
            {endpoint}
            bucket = "{bucket}"
            access_key = "{}"
            secret_key = "{}"
            {settings}
            "#,
            database.application_url(),
            database.owner_url(),
            "07".repeat(32),
            dir.path().join("keys").display(),
            stores::ACCESS,
            stores::SECRET,
        );
        let file = dir.path().join("config.toml");
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        Self { database, dir }
    }

    pub fn file(&self) -> PathBuf {
        self.dir.path().join("config.toml")
    }

    /// Changes a line of the settings.
    pub fn set(&self, old: &str, new: &str) {
        let text = fs::read_to_string(self.file()).unwrap();
        assert!(text.contains(old), "{text}");
        fs::write(self.file(), text.replace(old, new)).unwrap();
    }

    fn command(&self, words: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_renderkeep"));
        command.args(words.split(' ')).arg("--config").arg(self.file()).stdin(Stdio::null());
        command
    }

    /// Runs a command that ends by itself.
    pub fn run(&self, words: &str, environment: &[(&str, &str)]) -> Output {
        self.command(words).envs(environment.iter().copied()).output().unwrap()
    }

    /// Starts the server at a free port; `ready` waits until it answers.
    pub fn serve(&self, environment: &[(&str, &str)]) -> Serving {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).unwrap().port();
        let mut command = self.command("serve");
        command.env("RENDERKEEP__SERVER__PORT", port.to_string()).envs(environment.iter().copied());
        let child = command.stdout(Stdio::null()).spawn().unwrap();
        Serving { child, url: format!("http://127.0.0.1:{port}") }
    }

    /// A token of the first owner, with every right; a server must have been there before.
    pub fn token(&self) -> String {
        let words = "token create --person owner@example.org --scope read --scope write --scope admin";
        let made = self.run(words, &[]);
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        String::from_utf8(made.stdout).unwrap().trim().to_owned()
    }

    /// The parts of the installation beside its server, `ahead` of this machine's time.
    pub async fn beside(&self, ahead: chrono::Duration) -> (Platform, Ctx) {
        let config = config::load(&Sources { file: Some(self.file()), ..Sources::default() }).unwrap();
        let mut platform = lifecycle::open_beside(config).await.unwrap();
        platform.clock = Clock::shifted();
        platform.clock.advance(ahead);
        let ctx = Ctx::system("test", platform.clock.clone());
        (platform, ctx)
    }
}

impl Serving {
    /// Waits until it answers; false when it ended instead.
    pub async fn ready(&mut self) -> bool {
        let client = Client::of(&self.url, None);
        let answers = async {
            while self.child.try_wait().unwrap().is_none() {
                if client.request("GET", "/healthz").send().await.is_ok() {
                    return true;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            false
        };
        tokio::time::timeout(PATIENCE, answers).await.expect("the server answers or ends")
    }

    /// The signal that ended it.
    pub async fn ended_by(&mut self) -> Option<i32> {
        let end = async {
            loop {
                if let Some(status) = self.child.try_wait().unwrap() {
                    return status.signal();
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, end).await.expect("the server ends")
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
