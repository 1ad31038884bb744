//! `renderkeep up` on a directory of its own below /tmp: the built program with its Postgres and its store.
#![expect(clippy::disallowed_methods, reason = "the program is tested from outside")]

use std::{
    fs,
    os::unix::{
        fs::{PermissionsExt, chown},
        process::ExitStatusExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, geteuid},
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Generous: the machine may be busy with other tests.
const PATIENCE: Duration = Duration::from_secs(120);

pub struct Place {
    pub dir: TempDir,
    /// Where in `dir` its data is.
    data: PathBuf,
}

/// A running `up`; killed when a test fails before it was stopped.
pub struct Up(pub Child);

impl Place {
    pub fn new() -> Self {
        // For the callers of what runs there; a second installation is refused and changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let dir = tempfile::Builder::new().prefix("renderkeep-up-").tempdir().unwrap();
        let place = Self { dir, data: "data".into() };
        place.hand_over();
        place
    }

    /// In another directory, which belongs to whoever runs the tests.
    pub fn below(name: &str) -> Self {
        let place = Self { data: Path::new(name).join("data"), ..Self::new() };
        fs::create_dir(place.dir.path().join(name)).unwrap();
        place
    }

    /// Started as root, `up` becomes nobody, who must be able to use the directory.
    pub fn hand_over(&self) {
        fn all(path: &Path) {
            chown(path, Some(65534), Some(65534)).unwrap();
            if path.is_dir() {
                fs::read_dir(path).unwrap().flatten().for_each(|entry| all(&entry.path()));
            }
        }
        if geteuid().is_root() {
            all(self.dir.path());
        }
    }

    /// The same of one file.
    pub fn hand_over_file(&self, path: &Path) {
        if geteuid().is_root() {
            chown(path, Some(65534), Some(65534)).unwrap();
        }
    }

    /// Settings of its own, before its first start.
    pub fn configure(&self, settings: &str) {
        fs::create_dir_all(self.path()).unwrap();
        fs::set_permissions(self.path(), fs::Permissions::from_mode(0o700)).unwrap();
        fs::write(self.path().join("config.toml"), settings).unwrap();
        self.hand_over();
    }

    pub fn path(&self) -> PathBuf {
        self.dir.path().join(&self.data)
    }

    /// What the first start would have made, with a cluster of this version.
    pub fn with_cluster(version: &str) -> Self {
        let place = Self::new();
        for directory in ["secrets", "postgres"] {
            fs::create_dir_all(place.path().join(directory)).unwrap();
        }
        fs::write(place.path().join("secrets/root_key"), "07".repeat(32)).unwrap();
        let keys = json!({ "access_key": "renderkeep", "secret_key": "long enough" });
        fs::write(place.path().join("secrets/store.json"), keys.to_string()).unwrap();
        fs::write(place.path().join("postgres/PG_VERSION"), version).unwrap();
        fs::set_permissions(place.path().join("postgres"), fs::Permissions::from_mode(0o700)).unwrap();
        place.hand_over();
        place
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program();
        command.args(arguments).arg("--data").arg(self.path());
        for name in ["MINIO", "VERSITYGW"] {
            if let Some(program) = std::env::var_os(format!("RENDERKEEP_{name}")) {
                command.env(format!("RENDERKEEP__SUPERVISOR__{name}"), program);
            }
        }
        command
    }

    /// Starts it with these variables; `ready` says when it answers. Its port is its own: the usual one goes to whoever
    /// comes first, and could be another's at the next start.
    pub fn up(&self, environment: &[(&str, &str)]) -> Up {
        self.up_with(&[], environment)
    }

    /// With more arguments.
    pub fn up_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Up {
        let mut command = self.command(&[&["up", "--port", "0"], arguments].concat());
        command.envs(environment.iter().copied()).stdin(Stdio::null()).stdout(Stdio::null());
        Up(command.spawn().unwrap())
    }

    /// Runs a command that ends by itself; `up` too, when it is refused.
    pub fn run(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        self.command(arguments).envs(environment.iter().copied()).output().unwrap()
    }

    /// Waits until `ready.json` is there and says what `wanted` asks for; `up` has to live until then.
    pub fn ready(&self, up: &mut Up, wanted: impl Fn(&Value) -> bool) -> Value {
        eventually("ready.json", || {
            let ended = up.0.try_wait().unwrap();
            assert!(ended.is_none(), "up ended: {ended:?}; what it said stands above");
            let text = fs::read(self.path().join("run/ready.json")).ok()?;
            let ready: Value = serde_json::from_slice(&text).ok()?;
            // A run that was killed has left its own.
            Some(ready).filter(|ready| ready["pid"] == up.0.id() && wanted(ready))
        })
    }

    /// A token of this person with every scope but that for tokens.
    pub fn token(&self, mail: &str) -> String {
        let words = ["token", "create", "--person", mail, "--scope", "read", "--scope", "write", "--scope", "admin"];
        let made = self.run(&words, &[]);
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        String::from_utf8(made.stdout).unwrap().trim().to_owned()
    }

    /// A second server process on the Postgres and the store of a running `up`, and its address.
    pub fn serve_beside(&self) -> (Up, String) {
        let read = |name: &str| fs::read_to_string(self.path().join(name)).unwrap();
        let keys: Value = serde_json::from_str(&read("secrets/store.json")).unwrap();
        let ready: Value = serde_json::from_str(&read("run/ready.json")).unwrap();
        let data = |name: &str| self.path().join(name).display().to_string();
        let socket = data("run").replace('/', "%2F");
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let settings = [
            ("SERVER__PORT", port.to_string()),
            ("DATABASE__URL", format!("postgres://renderkeep_app@{socket}/renderkeep")),
            ("STORAGE__ENDPOINT", format!("http://127.0.0.1:{}", ready["ports"]["minio"])),
            ("STORAGE__ACCESS_KEY", keys["access_key"].as_str().unwrap().to_owned()),
            ("STORAGE__SECRET_KEY", keys["secret_key"].as_str().unwrap().to_owned()),
            ("STORAGE__DIRECTORY", data("minio")),
            ("SECRETS__EPOCH_KEYS", data("keys")),
            ("SECRETS__ROOT_KEY", read("secrets/root_key").trim().to_owned()),
        ];
        let mut command = Command::new(env!("CARGO_BIN_EXE_renderkeep"));
        command.arg("serve").stdin(Stdio::null()).stdout(Stdio::null());
        command.envs(settings.map(|(name, value)| (format!("RENDERKEEP__{name}"), value)));
        (Up(command.spawn().unwrap()), format!("http://127.0.0.1:{port}"))
    }

    pub fn is_ready(&self) -> bool {
        self.path().join("run/ready.json").exists()
    }
}

/// The built program.
pub fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_renderkeep"))
}

impl Up {
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.0.id().try_into().unwrap()), signal).unwrap();
    }

    pub fn end(&mut self) -> Option<i32> {
        eventually("the end of up", || self.0.try_wait().unwrap()).code()
    }

    /// The signal that ended it.
    pub fn ended_by(&mut self) -> Option<i32> {
        eventually("the end of up", || self.0.try_wait().unwrap()).signal()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(since.elapsed() < PATIENCE, "{what} did not come");
        std::thread::sleep(Duration::from_millis(50));
    }
}
