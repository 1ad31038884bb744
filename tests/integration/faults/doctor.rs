//! `renderkeep doctor` as monitoring meets it: the built program, beside servers that run and parts that do not.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown},
    path::Path,
    process::Output,
};

use nix::{sys::signal::Signal, unistd::geteuid};
use renderkeep::{
    app::tls::authority::{Authority, save},
    base::clock::Clock,
};
use serde_json::Value;

use super::journey;
use crate::support::{
    app::Client,
    postgres::connect,
    serve::Installation,
    stores::{self, Program},
    up::Place,
};

/// What is not in order.
fn wrong(ran: &Output) -> Vec<String> {
    let told = serde_json::from_slice(&ran.stdout);
    let report: Value = told.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&ran.stderr)));
    let findings = report["findings"].as_array().unwrap();
    let problem = findings.iter().any(|finding| finding["severity"] == "problem");
    assert_eq!((report["good"] == true, ran.status.code()), (!problem, Some(i32::from(problem))), "{report}");
    let wrong = findings.iter().filter(|finding| finding["severity"] != "ok");
    wrong.map(|finding| finding["code"].as_str().unwrap().to_owned()).collect()
}

fn of(place: &Place) -> Vec<String> {
    wrong(&place.run(&["doctor", "--json"], &[]))
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn below_one_directory_each_thing_that_is_broken_is_found() {
    let place = Place::new();
    let mut up = place.up(&[]);
    let ready = place.ready(&mut up, |_| true);
    let mail = ready["owner"]["mail"].as_str().unwrap();
    let words = ["token", "create", "--person", mail, "--scope", "read", "--scope", "write", "--scope", "admin"];
    let token = String::from_utf8(place.run(&words, &[]).stdout).unwrap();
    let owner = Client::of(ready["url"].as_str().unwrap(), Some(token.trim().to_owned()));
    journey(&owner, false).await;
    assert_eq!(of(&place), [""; 0], "a healthy server with a journey behind it");
    let said = String::from_utf8(place.run(&["doctor"], &[]).stdout).unwrap();
    assert!(said.lines().skip(1).all(|line| line.starts_with("good  ")), "{said}");

    let root_key = place.path().join("secrets/root_key");
    mode(&root_key, 0o604);
    assert_eq!(of(&place), ["permissions.open"]);
    mode(&root_key, 0o600);
    mode(&place.path().join("keys"), 0o701);
    assert_eq!(of(&place), ["permissions.open"]);
    mode(&place.path().join("keys"), 0o700);
    if geteuid().is_root() {
        chown(&root_key, Some(1), None).unwrap();
        assert_eq!(of(&place), ["permissions.owner"]);
        chown(&root_key, Some(65534), None).unwrap();
    }
    let (epoch, away) = (place.path().join("keys/epoch-000001.json"), place.path().join("epoch"));
    fs::rename(&epoch, &away).unwrap();
    assert_eq!(of(&place), ["keys.epoch_missing"]);
    fs::write(&epoch, "{").unwrap();
    mode(&epoch, 0o600);
    place.hand_over_file(&epoch);
    assert_eq!(of(&place), ["keys.unusable"]);
    fs::rename(&away, &epoch).unwrap();
    let kept = fs::read(&root_key).unwrap();
    fs::write(&root_key, "09".repeat(32)).unwrap();
    assert_eq!(of(&place), ["keys.other_root"]);
    fs::write(&root_key, kept).unwrap();

    let checkpoints = place.path().join("audit/checkpoints.jsonl");
    let read = fs::read(&checkpoints).ok();
    let _ = fs::remove_file(&checkpoints);
    fs::create_dir(&checkpoints).unwrap();
    assert_eq!(of(&place), ["audit.unreadable"]);
    fs::remove_dir(&checkpoints).unwrap();
    if let Some(read) = read {
        fs::write(&checkpoints, read).unwrap();
        place.hand_over_file(&checkpoints);
    }

    // A picture is deleted behind the server's back.
    let minio = ready["pids"]["minio"].as_i64().unwrap();
    let stopped =
        |signal| nix::sys::signal::kill(nix::unistd::Pid::from_raw(minio.try_into().unwrap()), signal).unwrap();
    stopped(Signal::SIGSTOP);
    let silent = of(&place);
    assert!(silent.contains(&"store.down".to_owned()) && !silent.contains(&"database.down".to_owned()), "{silent:?}");
    stopped(Signal::SIGCONT);
    assert_eq!(of(&place), [""; 0]);

    up.signal(Signal::SIGTERM);
    assert_eq!(up.end(), Some(0));
    let ran = place.run(&["doctor", "--json"], &[]);
    assert_eq!(wrong(&ran), ["database.down", "store.down"]);
    let said = String::from_utf8(ran.stdout).unwrap();
    assert!(said.contains("disk.ok") && said.contains("decoders.ok") && said.contains("permissions.ok"), "{said}");
    fs::rename(place.path().join("minio"), place.path().join("gone")).unwrap();
    assert!(of(&place).contains(&"disk.unreadable".to_owned()));
}

/// Whether the finding is told, and what else.
fn finds(house: &Installation, code: &str, beside: &[&str]) {
    let mut expected: Vec<&str> = beside.iter().copied().chain([code, "audit.unattested"]).collect();
    expected.sort_unstable();
    expected.dedup();
    let mut found = wrong(&house.run("doctor --json", &[]));
    found.sort_unstable();
    found.dedup();
    assert_eq!(found, expected, "{code}");
}

/// The same name as a function of Postgres, found first.
async fn pretend(house: &Installation, function: &str) {
    let name = house.database.url().rsplit('/').next().unwrap().to_owned();
    let client = connect(&house.database.url()).await;
    let shadow = format!("{function}; alter database {name} set search_path = public, pg_catalog");
    client.batch_execute(&shadow).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_configured_server_each_thing_that_is_broken_is_found() {
    let house = Installation::new("").await;
    let migrated = house.run("migrate", &[]);
    assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
    finds(&house, "keys.not_begun", &["store.no_bucket"]);
    let mut server = house.serve(&[]);
    assert!(server.ready().await);
    assert_eq!(wrong(&house.run("doctor --json", &[])), ["audit.unattested"], "nothing else");
    server.signal(Signal::SIGTERM);
    server.ended_by().await;

    let secret = format!("secret_key = \"{}\"", stores::SECRET);
    house.set(&secret, "secret_key = \"not the right one\"");
    assert!(wrong(&house.run("doctor --json", &[])).iter().any(|code| code.starts_with("store.")));
    house.set("secret_key = \"not the right one\"", &secret);
    let endpoint = stores::shared(Program::Minio).await.endpoint();
    house.set(&endpoint, "http://127.0.0.1:1");
    // The database knows where the objects are, so they are looked at all the same.
    finds(&house, "store.down", &[]);
    house.set("http://127.0.0.1:1", &endpoint);

    let client = connect(&house.database.url()).await;
    let newest = "delete from __diesel_schema_migrations
        where version = (select max(version) from __diesel_schema_migrations) returning version";
    let version: String = client.query_one(newest, &[]).await.unwrap().get(0);
    finds(&house, "schema.older", &[]);
    let put = "insert into __diesel_schema_migrations (version) values ($1), ('99990101000000')";
    client.execute(put, &[&version]).await.unwrap();
    finds(&house, "schema.newer", &[]);
    client.batch_execute("delete from __diesel_schema_migrations where version = '99990101000000'").await.unwrap();
    finds(&house, "audit.unattested", &[]);

    pretend(
        &house,
        "create function public.clock_timestamp() returns timestamptz language sql
         as $$ select pg_catalog.clock_timestamp() - interval '1 minute' $$",
    )
    .await;
    finds(&house, "clock.database", &[]);
    client.batch_execute("drop function public.clock_timestamp()").await.unwrap();
    pretend(
        &house,
        "create function public.current_setting(name text) returns text language sql
         as $$ select case name when 'server_version_num' then '140009' else pg_catalog.current_setting(name) end $$",
    )
    .await;
    finds(&house, "postgres.too_old", &[]);
    client.batch_execute("drop function public.current_setting(text)").await.unwrap();
    client.batch_execute("revoke all on __diesel_schema_migrations from renderkeep_app").await.unwrap();
    finds(&house, "schema.unreadable", &[]);
    client.batch_execute("grant select on __diesel_schema_migrations to renderkeep_app").await.unwrap();
    finds(&house, "audit.unattested", &[]);
    certificates(&house);
    house.set("[database]", "[datbase]");
    assert_eq!(wrong(&house.run("doctor --json", &[])), ["configuration.invalid"]);
}

/// Expired, about to, for another name, and unusable.
fn certificates(house: &Installation) {
    let directory = house.file().with_file_name("tls");
    let names = ["render.example.org".to_owned()];
    let now = Clock::system().now();
    let days = |days| now - chrono::Duration::days(days);
    let authority = Authority::init(&directory, &names, days(100)).unwrap();
    let (certificate, key) = (directory.join("server.pem"), directory.join("server.key"));
    let issue = |at| save(&authority.issue(&names, at).unwrap(), &certificate, &key).unwrap();
    issue(now);
    house.set("workers = 1", "workers = 1\npublic_url = \"https://render.example.org\"");
    house.set("[secrets]", &format!("[tls]\ncertificate = {certificate:?}\nkey = {key:?}\n[secrets]"));
    finds(house, "audit.unattested", &[]);
    issue(days(25));
    finds(house, "tls.ends_soon", &[]);
    issue(days(40));
    finds(house, "tls.expired", &[]);
    issue(now);
    house.set("https://render.example.org", "https://elsewhere.example.org");
    finds(house, "tls.other_name", &[]);
    fs::write(&key, "no key").unwrap();
    finds(house, "tls.unusable", &[]);
}
