//! `renderkeep up` as a person meets it: the built program, real children, real signals.
#![expect(clippy::disallowed_methods, reason = "the program is tested from outside")]

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::{PermissionsExt, chown},
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

struct Place {
    dir: TempDir,
}

/// A running `up`; killed when a test fails before it was stopped.
struct Up(Child);

impl Place {
    fn new() -> Self {
        let place = Self { dir: tempfile::Builder::new().prefix("renderkeep-up-").tempdir().unwrap() };
        place.hand_over();
        place
    }

    /// Started as root, `up` becomes nobody, who must be able to use the directory.
    fn hand_over(&self) {
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

    fn path(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// What the first start would have made, with a cluster of this version.
    fn with_cluster(version: &str) -> Self {
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
        let mut command = Command::new(env!("CARGO_BIN_EXE_renderkeep"));
        command.args(arguments).arg("--data").arg(self.path());
        if let Some(program) = std::env::var_os("RENDERKEEP_MINIO") {
            command.env("RENDERKEEP__SUPERVISOR__MINIO", program);
        }
        command
    }

    fn up(&self) -> Up {
        Up(self.command(&["up"]).stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap())
    }

    /// Runs a command that ends by itself; `up` too, when it is refused.
    fn run(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        self.command(arguments).envs(environment.iter().copied()).output().unwrap()
    }

    /// Waits until `ready.json` is there and says what `wanted` asks for; `up` has to live until then.
    fn ready(&self, up: &mut Up, wanted: impl Fn(&Value) -> bool) -> Value {
        eventually("ready.json", || {
            let ended = up.0.try_wait().unwrap();
            assert!(ended.is_none(), "up ended: {ended:?}; what it said stands above");
            let text = fs::read(self.path().join("run/ready.json")).ok()?;
            serde_json::from_slice(&text).ok().filter(|ready| wanted(ready))
        })
    }

    fn is_ready(&self) -> bool {
        self.path().join("run/ready.json").exists()
    }
}

impl Up {
    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.0.id().try_into().unwrap()), signal).unwrap();
    }

    fn end(&mut self) -> Option<i32> {
        eventually("the end of up", || self.0.try_wait().unwrap()).code()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn eventually<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    let since = Instant::now();
    let mut look = look;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(since.elapsed() < PATIENCE, "{what} did not come");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn pid(ready: &Value, part: &str) -> i32 {
    ready["pids"][part].as_i64().and_then(|pid| pid.try_into().ok()).unwrap_or_default()
}

fn lives(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// Every process that names the data directory on its command line.
fn processes_of(place: &Place) -> Vec<String> {
    let name = place.path().to_string_lossy().into_owned();
    let command = |entry: fs::DirEntry| fs::read_to_string(entry.path().join("cmdline")).ok();
    fs::read_dir("/proc").unwrap().flatten().filter_map(command).filter(|line| line.contains(&name)).collect()
}

/// It failed, with one line of complaint that says this.
fn refused(output: &Output, sentence: &str) {
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{complaint}");
    let first = complaint.lines().next().unwrap_or_default();
    assert!(first.starts_with("renderkeep: ") && first.contains(sentence), "{complaint}");
    assert!(output.stdout.is_empty());
}

#[test]
fn a_life_below_one_directory() {
    let place = Place::new();
    let mut up = place.up();
    let first = place.ready(&mut up, |_| true);
    let mode = fs::metadata(place.path().join("run/ready.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(first["pid"], json!(up.0.id()));
    assert_eq!(first["url"], json!(format!("http://127.0.0.1:{}", first["ports"]["http"])));
    assert!(first["owner"]["one_time_password"].is_string() && first["owner"]["mail"].is_string());
    assert!(lives(pid(&first, "postgres")) && lives(pid(&first, "minio")));
    refused(&place.run(&["up"], &[]), "is in use by another `renderkeep up`");

    // A child that dies comes back, and the file follows.
    for part in ["minio", "postgres"] {
        let dead = pid(&first, part);
        kill(Pid::from_raw(dead), Signal::SIGKILL).unwrap();
        place.ready(&mut up, |ready| pid(ready, part) != dead && pid(ready, part) != 0);
    }

    // Commands work beside the server once the database has recovered.
    let mail = first["owner"]["mail"].as_str().unwrap().to_owned();
    let token = eventually("a token", || {
        let output = place.run(&["token", "create", "--person", &mail], &[]);
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    });
    assert!(token.starts_with("rk_") && token.lines().count() == 1, "{token:?}");

    up.signal(Signal::SIGTERM);
    assert_eq!(up.end(), Some(0));
    assert!(!place.is_ready());
    assert_eq!(processes_of(&place), [""; 0]);

    // The same again, on the same ports, with the same way in.
    let mut up = place.up();
    let again = place.ready(&mut up, |_| true);
    assert_eq!((&again["ports"], &again["owner"]), (&first["ports"], &first["owner"]));

    // Killed without a chance to clean up, it leaves nothing behind.
    up.signal(Signal::SIGKILL);
    up.end();
    eventually("the end of the children", || processes_of(&place).is_empty().then_some(()));
    let mut up = place.up();
    let third = place.ready(&mut up, |ready| ready["pid"] != again["pid"]);
    assert_eq!(third["ports"], first["ports"]);
    up.signal(Signal::SIGINT);
    assert_eq!(up.end(), Some(0));
}

#[test]
fn a_stop_during_the_first_start_leaves_a_directory_that_starts() {
    let place = Place::new();
    let mut up = place.up();
    eventually("the cluster", || {
        (place.path().join("postgres.new").exists() || place.path().join("postgres").exists()).then_some(())
    });
    up.signal(Signal::SIGTERM);
    up.end();
    assert_eq!(processes_of(&place), [""; 0]);
    let mut up = place.up();
    place.ready(&mut up, |_| true);
    up.signal(Signal::SIGTERM);
    assert_eq!(up.end(), Some(0));
}

#[test]
fn a_port_in_use_is_said_before_anything_is_made() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let place = Place::new();
    let output = place.run(&["up", "--port", &port.to_string()], &[]);
    refused(&output, &format!("Port {port} on 127.0.0.1 is in use by another program"));
    assert!(!place.path().join("postgres").exists() && !place.path().join("ports.json").exists());
}

#[test]
fn another_major_version_is_refused_and_nothing_is_touched() {
    let place = Place::with_cluster("9\n");
    refused(&place.run(&["up"], &[]), "was made by PostgreSQL 9");
    let left: Vec<_> = fs::read_dir(place.path().join("postgres")).unwrap().flatten().map(|e| e.file_name()).collect();
    assert_eq!(left, ["PG_VERSION"]);
}

#[test]
fn a_damaged_cluster_is_refused_and_nothing_is_touched() {
    let no_version = Place::with_cluster("");
    refused(&no_version.run(&["up"], &[]), "its file PG_VERSION holds no version");
    fs::remove_file(no_version.path().join("postgres/PG_VERSION")).unwrap();
    refused(&no_version.run(&["up"], &[]), "its file PG_VERSION is missing");

    let hollow = Place::with_cluster("15\n");
    refused(&hollow.run(&["up"], &[]), "The database cannot start. It says: ");
    assert!(hollow.path().join("postgres/PG_VERSION").exists());
    assert_eq!(processes_of(&hollow), [""; 0]);
}

#[test]
fn missing_programs_are_said_with_what_to_do() {
    let place = Place::new();
    let output = place.run(&["up"], &[("RENDERKEEP__SUPERVISOR__MINIO", "/nowhere/minio")]);
    refused(&output, "supervisor.minio");
    let output = place.run(&["up"], &[("RENDERKEEP__SUPERVISOR__POSTGRES_BIN", "/nowhere")]);
    refused(&output, "supervisor.postgres_bin");
    assert!(!place.path().join("postgres").exists());
}

#[test]
fn an_unusable_directory_is_refused() {
    let place = Place::new();
    fs::write(place.path(), "a file").unwrap();
    place.hand_over();
    refused(&place.run(&["up"], &[]), "cannot be used");
}
