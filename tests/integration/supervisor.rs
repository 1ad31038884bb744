//! `renderkeep up` as a person meets it: the built program, real children, real signals.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::{MetadataExt, PermissionsExt},
    process::Output,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, geteuid},
};
use serde_json::{Value, json};

use crate::support::{
    app::Client,
    up::{Place, eventually},
};

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

#[tokio::test]
#[expect(clippy::disallowed_types, reason = "a test calls the server as other programs do")]
async fn with_tls_it_brings_its_own_authority() {
    let place = Place::new();
    let mut up = place.up_with(&["--tls"], &[]);
    let ready = place.ready(&mut up, |_| true);
    let url = ready["url"].as_str().unwrap();
    assert!(url.starts_with("https://127.0.0.1:"), "{url}");
    let root = fs::read(ready["ca"].as_str().unwrap()).unwrap();
    let key = place.path().join("tls/server.key");
    assert_eq!(fs::metadata(key).unwrap().permissions().mode() & 0o777, 0o600);
    let trusting = reqwest::Client::builder().tls_certs_only([reqwest::Certificate::from_pem(&root).unwrap()]);
    let answer = trusting.build().unwrap().get(format!("{url}/readyz")).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(reqwest::Client::new().get(format!("{url}/readyz")).send().await.is_err(), "others do not trust it");
    up.signal(Signal::SIGTERM);
    assert_eq!(up.end(), Some(0));
}

#[test]
fn a_life_below_one_directory() {
    let place = Place::new();
    let mut up = place.up(&[]);
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
    let mut up = place.up(&[]);
    let again = place.ready(&mut up, |_| true);
    assert_eq!((&again["ports"], &again["owner"]), (&first["ports"], &first["owner"]));

    // Killed without a chance to clean up, it leaves nothing behind.
    up.signal(Signal::SIGKILL);
    up.end();
    eventually("the end of the children", || processes_of(&place).is_empty().then_some(()));
    let mut up = place.up(&[]);
    let third = place.ready(&mut up, |_| true);
    assert_eq!(third["ports"], first["ports"]);
    up.signal(Signal::SIGINT);
    assert_eq!(up.end(), Some(0));
}

/// With the other store: what people make is there after a restart, the store comes back when it dies, and nobody swaps it
/// by a setting.
#[tokio::test(flavor = "multi_thread")]
async fn with_versitygw_it_stores_restarts_and_reads_back() {
    let place = Place::new();
    let mut up = place.up_with(&["--store", "versitygw"], &[]);
    let first = place.ready(&mut up, |_| true);
    assert!(lives(pid(&first, "versitygw")) && first["ports"]["versitygw"].is_u64(), "{first}");
    assert!(first["pids"].get("minio").is_none() && first["ports"].get("minio").is_none(), "{first}");
    assert!(!place.path().join("minio").exists());

    let mail = first["owner"]["mail"].as_str().unwrap();
    let made = place.run(&["token", "create", "--person", mail], &[]);
    let token = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    let client = Client::of(first["url"].as_str().unwrap(), Some(token));
    let wanted = json!({"model": "demo/painter", "prompt": "a lighthouse", "size": "512x512", "seed": 7});
    let accepted = client.post("/api/v1/generations", &wanted).await.json();
    let done = client.wait(accepted["id"].as_str().unwrap()).await;
    assert_eq!(done["state"], "succeeded", "{done}");
    let content = format!("/api/v1/assets/{}/content", done["outputs"][0]["asset"].as_str().unwrap());
    let picture = client.get(&content).await.body;
    assert!(picture.starts_with(b"\x89PNG"));

    let dead = pid(&first, "versitygw");
    kill(Pid::from_raw(dead), Signal::SIGKILL).unwrap();
    place.ready(&mut up, |ready| ![0, dead].contains(&pid(ready, "versitygw")));
    up.signal(Signal::SIGTERM);
    assert_eq!(up.end(), Some(0));
    assert_eq!(processes_of(&place), [""; 0]);

    refused(&place.run(&["up", "--store", "minio"], &[]), "Start it without that, and move them");
    refused(&place.run(&["up"], &[("RENDERKEEP__STORAGE__BUNDLED", "minio")]), "renderkeep storage copy");
    refused(&place.run(&["up"], &[("RENDERKEEP__STORAGE__BUNDLED", "files")]), "minio and versitygw");

    // The choice is kept, so it need not be said again.
    let mut up = place.up(&[]);
    let again = place.ready(&mut up, |_| true);
    assert_eq!(again["ports"], first["ports"]);
    assert_eq!(client.get(&content).await.body, picture);

    up.signal(Signal::SIGKILL);
    up.end();
    eventually("the end of the children", || processes_of(&place).is_empty().then_some(()));
}

/// Parts that hang, that are not there, and whole directories that went missing: each is said as what it is, and nothing
/// new is made in its place.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_said_and_not_made_anew() {
    let place = Place::new();
    let mut up = place.up(&[]);
    let ready = place.ready(&mut up, |_| true);
    let token = place.token(ready["owner"]["mail"].as_str().unwrap());
    let client = Client::of(ready["url"].as_str().unwrap(), Some(token));
    let wanted = json!({"model": "demo/painter", "prompt": "a lighthouse", "size": "512x512", "seed": 7});
    let accepted = client.post("/api/v1/generations", &wanted).await.json();
    let done = client.wait(accepted["id"].as_str().unwrap()).await;
    assert_eq!(done["state"], "succeeded", "{done}");

    let store = Pid::from_raw(pid(&ready, "minio"));
    kill(store, Signal::SIGSTOP).unwrap();
    let told = String::from_utf8(place.run(&["doctor"], &[]).stdout).unwrap();
    kill(store, Signal::SIGCONT).unwrap();
    assert!(told.contains("store.down") && told.contains("runs, and this part of it does not answer"), "{told}");

    let nowhere = ("RENDERKEEP__SUPERVISOR__VERSITYGW", "/nowhere/versitygw");
    refused(&place.run(&["storage", "copy", "--to", "versitygw"], &[nowhere]), "supervisor.versitygw");
    let stores = fs::read_to_string(place.path().join("stores.json")).unwrap();
    assert!(!stores.contains("versitygw"), "{stores}");

    up.signal(Signal::SIGTERM);
    assert_eq!(up.end(), Some(0));
    refused(&place.run(&["keys", "status"], &[]), "is not running");
    refused(&place.run(&["keys", "rotate"], &[]), "is not running");
    assert!(!place.path().join("secrets/next_root_key").exists());

    let (data, aside) = (place.path(), place.path().with_extension("aside"));
    fs::rename(data.join("postgres"), &aside).unwrap();
    refused(&place.run(&["up"], &[]), "its directory `postgres` is missing");
    assert!(!data.join("postgres").exists());
    fs::rename(&aside, data.join("postgres")).unwrap();
    fs::rename(data.join("minio"), &aside).unwrap();
    refused(&place.run(&["up"], &[]), "that store has no bucket");
    assert!(!data.join("minio").exists(), "the old one finds its place free");
    fs::create_dir(data.join("minio")).unwrap();
    place.hand_over_file(&data.join("minio"));
    refused(&place.run(&["up"], &[]), "that store has no bucket");
    assert!(!data.join("minio/renderkeep").exists());
    fs::remove_dir_all(data.join("minio")).unwrap();
    fs::rename(&aside, data.join("minio")).unwrap();

    let mut up = place.up(&[]);
    place.ready(&mut up, |_| true);
    let asset = done["outputs"][0]["asset"].as_str().unwrap();
    assert_eq!(client.get(&format!("/api/v1/assets/{asset}/content")).await.status, 200);
    up.signal(Signal::SIGTERM);
    assert_eq!(up.end(), Some(0));
}

#[test]
fn a_stop_during_the_first_start_leaves_a_directory_that_starts() {
    let place = Place::new();
    let mut up = place.up(&[]);
    eventually("the cluster", || {
        (place.path().join("postgres.new").exists() || place.path().join("postgres").exists()).then_some(())
    });
    up.signal(Signal::SIGTERM);
    up.end();
    assert_eq!(processes_of(&place), [""; 0]);
    let mut up = place.up(&[]);
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

/// Defaults, what is kept, file, environment, command line.
#[test]
fn the_port_is_the_one_that_is_set_last() {
    let taken = [0; 3].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    let [file, variable, flag] = taken.each_ref().map(|listener| listener.local_addr().unwrap().port().to_string());
    let place = Place::new();
    place.configure(&format!("[server]\nport = {file}\n"));
    fs::write(place.path().join("ports.json"), r#"{"http": 1}"#).unwrap();
    place.hand_over();
    let set = [("RENDERKEEP__SERVER__PORT", variable.as_str())];
    refused(&place.run(&["up"], &[]), &format!("Port {file} on"));
    refused(&place.run(&["up"], &set), &format!("Port {variable} on"));
    refused(&place.run(&["up", "--port", &flag], &set), &format!("Port {flag} on"));
    let wrong = [("RENDERKEEP__SERVER__PORT", "abc")];
    let said = "server.port must be a whole number, and RENDERKEEP__SERVER__PORT is \"abc\".";
    refused(&place.run(&["up"], &wrong), said);
    place.configure("[server]\nport = 70000\n");
    refused(&place.run(&["up", "--port", &flag], &[]), "server.port must be a whole number from 0 to 65535");
    assert!(!place.path().join("postgres").exists());
}

/// Whoever mistypes a path as root must not be told to give it away.
#[test]
fn a_directory_of_others_is_not_asked_for() {
    if !geteuid().is_root() {
        return;
    }
    let place = Place::new();
    fs::create_dir(place.path()).unwrap();
    fs::write(place.path().join("letter"), "dear").unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let told = place.run(&["up"], &[]);
    refused(&told, "no directory of `renderkeep up`");
    assert!(!String::from_utf8_lossy(&told.stderr).contains("chown"));
    fs::write(place.path().join("ports.json"), "{}").unwrap();
    refused(&place.run(&["up"], &[]), "chown -R ");
    assert_eq!(fs::metadata(place.path()).unwrap().uid(), 0);
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

/// As root in a directory of root's own, where nobody else may enter: a checkout in /root, or what mkdtemp makes.
#[test]
fn a_directory_that_only_root_may_enter_stays_closed_and_is_used() {
    if !geteuid().is_root() {
        return;
    }
    let place = Place::below("closed");
    let closed = place.dir.path().join("closed");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    let mut up = place.up(&[]);
    let ready = place.ready(&mut up, |_| true);
    let mail = ready["owner"]["mail"].as_str().unwrap();
    assert!(place.run(&["token", "create", "--person", mail], &[]).status.success(), "commands find it too");
    let (above, data) = (fs::metadata(&closed).unwrap(), fs::metadata(place.path()).unwrap());
    assert_eq!((above.mode() & 0o777, above.uid(), data.uid()), (0o700, 0, 65534));
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(closed.to_str().unwrap()), "nobody else sees a mount");
    up.signal(Signal::SIGTERM);
    assert_eq!(up.end(), Some(0));
    assert!(place.path().join("postgres/PG_VERSION").exists() && processes_of(&place).is_empty());
}
