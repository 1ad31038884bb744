//! The command as people and scripts meet it: what it prints where, how it ends, and what it never says.
#![expect(clippy::disallowed_methods, reason = "the program is tested from outside")]

use std::{
    fs,
    io::{Seek, Write},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use renderkeep::app::lifecycle;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{self, TestPlatform, app::TestApp, postgres};

/// In what is printed, any of these is a leak.
const SECRETS: [&str; 4] = ["hunter2", "swordfish", "storekey", "07070707"];

/// Everything that must be set, with a database that does not answer.
const SETTINGS: &str = r#"
[database]
url = "postgres://renderkeep:hunter2@127.0.0.1:1/renderkeep"
[storage]
endpoint = "http://127.0.0.1:1"
access_key = "storekey"
secret_key = "swordfish"
[secrets]
root_key = "0707070707070707070707070707070707070707070707070707070707070707"
"#;

/// The database of these settings.
const NOWHERE: &str = "postgres://renderkeep:hunter2@127.0.0.1:1/renderkeep";

/// What a command left behind.
struct Ran {
    status: i32,
    out: String,
    err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { status: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Ran {
    /// Done, with nothing on standard error; returns the result without its line end.
    fn done(&self) -> &str {
        assert_eq!((self.status, self.err.as_str()), (0, ""), "{}", self.out);
        self.out.strip_suffix('\n').expect("a result ends its line")
    }

    /// Ended with this status, with nothing on standard output; returns the complaint.
    fn refused(&self, status: i32) -> &str {
        assert_eq!((self.status, self.out.as_str()), (status, ""), "{}", self.err);
        &self.err
    }
}

/// Runs the program without a variable of ours.
fn run(arguments: &[&str]) -> Ran {
    run_with(arguments, &[])
}

fn run_with(arguments: &[&str], environment: &[(&str, &str)]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_renderkeep"));
    let own = std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("RENDERKEEP_"));
    for (name, _) in own {
        command.env_remove(name);
    }
    command.env_remove("RUST_LOG").envs(environment.iter().copied());
    command.args(arguments).stdin(Stdio::null()).output().unwrap().into()
}

/// A configuration file in a directory of its own.
struct File {
    _dir: TempDir,
    path: PathBuf,
}

impl File {
    fn new(text: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        fs::write(&path, text).unwrap();
        Self { _dir: dir, path }
    }

    /// With the database and the keys of a test.
    fn of(test: &TestPlatform) -> Self {
        let settings = SETTINGS.replace(NOWHERE, &test.database.application_url());
        Self::new(&format!("{settings}epoch_keys = {:?}\n", test.epochs.path()))
    }

    /// The command about this file.
    fn run(&self, words: &str) -> Ran {
        let mut arguments: Vec<&str> = words.split(' ').collect();
        arguments.extend(["--config", self.path.to_str().unwrap()]);
        run(&arguments)
    }
}

/// A database in which the organisation and its first owner are.
async fn founded() -> (TestPlatform, File) {
    let test = support::platform().await;
    lifecycle::prepare(&test.platform).await.unwrap();
    let file = File::of(&test);
    (test, file)
}

async fn count(test: &TestPlatform, from: &str) -> i64 {
    let client = postgres::connect(&test.database.url()).await;
    client.query_one(&format!("select count(*) from {from}"), &[]).await.unwrap().get(0)
}

#[test]
fn the_version_is_told_to_people_and_to_programs() {
    let version = env!("CARGO_PKG_VERSION");
    for words in [["--version"], ["-V"], ["version"]] {
        assert_eq!(run(&words).done(), format!("renderkeep {version}"), "{words:?}");
    }
    let json: Value = serde_json::from_str(run(&["version", "--json"]).done()).unwrap();
    assert_eq!(json["version"], version);
}

#[test]
fn help_names_every_command_and_is_a_result() {
    let help = run(&["--help"]);
    let documented = [
        "up", "serve", "token", "user", "config", "keys", "storage", "audit", "ca", "migrate", "doctor", "openapi",
        "version",
    ];
    let offered: Vec<_> = help.done().lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next()).collect();
    assert_eq!(
        offered.into_iter().filter(|word| !word.is_empty() && !word.starts_with('-')).collect::<Vec<_>>(),
        documented
    );
    for command in documented {
        assert!(run(&[command, "--help"]).done().contains("Usage: renderkeep"), "{command}");
    }
    for (command, verbs) in [("token", &["create"][..]), ("user", &["add"]), ("config", &["check", "example", "show"])]
    {
        let help = run(&[command, "--help"]);
        assert!(verbs.iter().all(|verb| help.done().contains(&format!("  {verb} "))), "{}", help.out);
    }
}

#[test]
fn wrong_usage_is_status_2_and_names_what_is_nearest() {
    let table: [(&[&str], &str); 8] = [
        (&["confg"], "'config'"),
        (&["sreve"], "'serve'"),
        (&["config", "chek"], "'check'"),
        (&["token", "crate"], "'create'"),
        (&["user", "ad"], "'add'"),
        (&["up", "--dta", "d"], "'--data'"),
        (&["version", "--jsno"], "'--json'"),
        (&["user", "add", "--data", "d", "--mial", "a@example.org"], "'--mail'"),
    ];
    for (arguments, nearest) in table {
        let complaint = run(arguments);
        assert!(complaint.refused(2).contains(nearest), "{arguments:?}: {}", complaint.err);
    }
    for arguments in [&[][..], &["fly"], &["config"], &["up"], &["migrate", "--data", "d", "--config", "f"]] {
        assert!(run(arguments).refused(2).contains("Usage: renderkeep"), "{arguments:?}");
    }
}

#[test]
fn a_value_that_cannot_be_is_named_with_what_can() {
    let token = ["token", "create", "--data", "d", "--person"];
    let add = ["user", "add", "--data", "d", "--name", "Ida", "--mail"];
    let table: [(&[&str], &[&str], &str); 7] = [
        (&token, &["a@example.org", "--scope", "all"], "It is one of read, write, admin, tokens."),
        (&token, &["a@example.org", "--expires", "90"], "such as 90d"),
        (&token, &["a@example.org", "--expires", "0d"], "It must be at least 1s."),
        (&token, &["a@example.org", "--expires", "999999999999999d"], "the most is 36500d."),
        (&token, &["nobody"], "--person"),
        (&add, &["nobody"], "--mail"),
        (&add, &["a@example.org", "--role", "king"], "It is one of "),
    ];
    for (start, end, said) in table {
        let complaint = run(&[start, end].concat());
        assert!(complaint.refused(2).contains(said), "{end:?}: {}", complaint.err);
    }
}

#[test]
fn the_example_is_complete_but_for_the_root_key_that_nobody_should_share() {
    let example = run(&["config", "example"]).done().to_owned();
    let without = File::new(&example).run("config check");
    assert!(without.refused(1).contains("secrets.root_key is not set"), "{}", without.err);
    let key = format!("[secrets]\nroot_key = \"{}\"", "07".repeat(32));
    let file = File::new(&example.replacen("[secrets]", &key, 1));
    assert_eq!(file.run("config check").done(), "The configuration is complete and valid.");
}

#[test]
fn a_configuration_is_checked_fault_by_fault() {
    assert_eq!(File::new(SETTINGS).run("config check").done(), "The configuration is complete and valid.");
    let table = [
        (
            SETTINGS.replace("secret_key", "secret_kye"),
            "storage.secret_kye is not a setting. Did you mean storage.secret_key?",
        ),
        (SETTINGS.replace("[storage]", "[storrage]"), "storrage is not a setting. Did you mean storage?"),
        (SETTINGS.replace("access_key = \"storekey\"", ""), "storage.access_key is not set."),
        (SETTINGS.replace("postgres://", "mysql://"), "database.url must begin with postgres://."),
        (SETTINGS.replace("0707070707070707", ""), "secrets.root_key must be 64 hexadecimal digits."),
        (SETTINGS.replace("\"swordfish\"", "\"swordfish"), "is not TOML in line 7: "),
        (
            format!("{SETTINGS}[server]\nport = 70000\n"),
            "server.port must be a whole number from 0 to 65535, and is 70000.",
        ),
        (
            format!("{SETTINGS}[inference]\ndemo_faults = \"yes\"\n"),
            "inference.demo_faults must be true or false, and is \"yes\".",
        ),
    ];
    for (text, said) in table {
        let checked = File::new(&text).run("config check");
        assert!(checked.refused(1).contains(said), "{said}: {}", checked.err);
        assert!(checked.err.starts_with("renderkeep: "), "{}", checked.err);
    }
    let missing = run(&["config", "check", "--config", "/nowhere/config.toml"]);
    assert!(missing.refused(1).contains("/nowhere/config.toml cannot be read"));
    let file = File::new(SETTINGS);
    let arguments = ["config", "check", "--config", file.path.to_str().unwrap()];
    let variable = run_with(&arguments, &[("RENDERKEEP__SERVER__PROT", "1")]);
    assert!(variable.refused(1).contains("Did you mean RENDERKEEP__SERVER__PORT?"), "{}", variable.err);
}

#[test]
fn what_is_shown_is_toml() {
    let file = File::new(&format!("{SETTINGS}[inference]\ndemo_faults = true\n"));
    let variables = [("RENDERKEEP__INFERENCE__DEMO", "no"), ("RENDERKEEP__SERVER__PORT", "9000")];
    let shown = run_with(&["config", "show", "--config", file.path.to_str().unwrap()], &variables);
    let shown: toml::Table = shown.done().parse().unwrap();
    assert_eq!(shown["server"]["port"].as_integer(), Some(9000));
    assert_eq!(shown["inference"]["demo"].as_bool(), Some(false));
    assert_eq!(shown["inference"]["demo_faults"].as_bool(), Some(true));
}

#[test]
fn no_command_tells_a_secret() {
    let broken = [
        SETTINGS.to_owned(),
        SETTINGS.replace("postgres://", "mysql://"),
        SETTINGS.replace("07\"", "0x\""),
        SETTINGS.replace("secret_key", "secret_kye"),
        SETTINGS.replace("\"swordfish\"", "\"swordfish"),
        SETTINGS.replace("\"swordfish\"", "swordfish"),
        SETTINGS.replace("\"swordfish\"", "[\"swordfish\"]"),
        SETTINGS.replace("\"postgres://", "\"postgres://%zz"),
    ];
    for text in broken {
        let file = File::new(&text);
        let path = file.path.to_str().unwrap();
        for words in [
            "config check",
            "config show",
            "migrate",
            "doctor",
            "doctor --json",
            "token create --person a@example.org",
            "user add --mail a@example.org --name Ida",
        ] {
            let arguments: Vec<_> = words.split(' ').chain(["--config", path]).collect();
            // The most that it ever says.
            let ran = run_with(&arguments, &[("RUST_LOG", "debug")]);
            let said = format!("{}{}", ran.out, ran.err);
            assert!(!said.is_empty(), "{words}");
            for secret in SECRETS {
                assert!(!said.contains(secret), "{words} tells {secret}: {said}");
            }
        }
    }
}

#[test]
fn what_is_not_there_is_said_with_what_to_do() {
    let nowhere = ["--data", "/nowhere/renderkeep"];
    for words in ["token create --person a@example.org", "user add --mail a@example.org --name Ida", "config show"] {
        let arguments: Vec<_> = words.split(' ').chain(nowhere).collect();
        let complaint = run(&arguments);
        assert!(complaint.refused(1).contains("renderkeep up --data /nowhere/renderkeep"), "{}", complaint.err);
    }
    let file = File::new(SETTINGS);
    for words in ["token create --person a@example.org", "user add --mail a@example.org --name Ida", "migrate"] {
        let complaint = file.run(words);
        assert!(complaint.refused(1).contains("The database cannot be reached."), "{words}: {}", complaint.err);
    }
    if !Path::new("/etc/renderkeep/config.toml").exists() {
        assert!(run(&["doctor"]).refused(2).contains("Name what to look at: --data DIR"));
    }
    let report = file.run("doctor --json");
    assert_eq!(report.status, 1);
    let report: Value = serde_json::from_str(&report.out).unwrap();
    assert_eq!(report["good"], false);
}

#[test]
fn the_root_key_of_the_example_is_refused_before_anything_is_asked() {
    let file = File::new(&SETTINGS.replace(&"07".repeat(32), &"00".repeat(32)));
    let complaint = file.run("serve --roles worker");
    assert!(complaint.refused(1).contains("the sample of `config example`"), "{}", complaint.err);
}

/// The finding of a report of `doctor --json` whose code begins so.
fn found(report: &Value, code: &str) -> Value {
    let findings = report["findings"].as_array().unwrap();
    let found = findings.iter().find(|finding| finding["code"].as_str().unwrap().starts_with(code));
    found.unwrap_or_else(|| panic!("{code}: {report}")).clone()
}

/// What `doctor --json` says of decoders.
fn decoders(ran: &Ran) -> (bool, String) {
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    let finding = found(&report, "decoders.");
    (finding["severity"] == "ok", finding["found"].as_str().unwrap().to_owned())
}

#[test]
fn without_a_layer_nothing_starts_and_the_doctor_says_why() {
    let file = File::new(SETTINGS);
    let path = file.path.to_str().unwrap();
    let (serve, doctor) = (["serve", "--roles", "worker", "--config", path], ["doctor", "--json", "--config", path]);
    let (good, finding) = decoders(&run(&doctor));
    assert!(good && finding.contains("limits, Landlock ") && finding.ends_with("seccomp."), "{finding}");
    for layer in ["landlock", "seccomp"] {
        let missing = ("RENDERKEEP_SANDBOX_WITHOUT", layer);
        let advice = format!("sandbox.allow_missing = [\"{layer}\"]");
        let complaint = run_with(&serve, &[missing]);
        assert!(complaint.refused(1).contains(&advice), "{}", complaint.err);
        let (good, finding) = decoders(&run_with(&doctor, &[missing]));
        assert!(!good && finding.contains(&advice), "{finding}");
        // Named, it may be missing, and the next thing that is not there is the database.
        let named = [missing, ("RENDERKEEP__SANDBOX__ALLOW_MISSING", layer)];
        let complaint = run_with(&serve, &named);
        assert!(complaint.status == 1 && complaint.err.contains("The database could not"), "{}", complaint.err);
        let (good, finding) = decoders(&run_with(&doctor, &named));
        assert!(good && finding.contains("is missing, as sandbox.allow_missing allows"), "{finding}");
    }
    let unknown = run_with(&["config", "check", "--config", path], &[("RENDERKEEP__SANDBOX__ALLOW_MISSING", "limits")]);
    let complaint = unknown.refused(1);
    assert!(
        complaint.contains("sandbox.allow_missing") && complaint.contains("are landlock and seccomp"),
        "{complaint}"
    );
}

#[tokio::test]
async fn a_person_is_added_and_only_their_password_printed() {
    let (test, file) = founded().await;
    let added = file.run("user add --mail Ida@example.org --name Ida");
    let password = added.done();
    assert!(password.len() >= 12 && !password.contains(char::is_whitespace), "{password}");
    let again = file.run("user add --mail ida@example.org --name Ida");
    assert!(again.refused(1).contains("Somebody has this mail address already."), "{}", again.err);
    assert_eq!(count(&test, "people where must_change_password").await, 2);
    let audited = "audit_entries where action = 'people.add' and actor_kind = 'system'";
    assert_eq!(count(&test, audited).await, 1, "an act of the command line");
}

#[tokio::test]
async fn a_token_is_printed_alone_and_works_as_far_as_its_scopes() {
    let app = TestApp::start().await;
    let file = File::of(&app.database);
    let owner = &app.owner.0;
    let usual = file.run(&format!("token create --person {owner}"));
    assert!(usual.done().starts_with("rk_") && !usual.done().contains('\n'), "{}", usual.out);
    let usual = app.client_with(usual.done());
    assert_eq!(usual.get("/api/v1/me").await.status, 200);
    assert_eq!(usual.get("/api/v1/admin/people").await.status, 403, "read and write when no scope is given");
    let admin = file.run(&format!("token create --person {owner} --scope read --scope admin --expires 1h"));
    let admin = app.client_with(admin.done());
    assert_eq!(admin.get("/api/v1/admin/people").await.status, 200);
    app.platform.clock.advance(chrono::Duration::minutes(61));
    assert_eq!(admin.get("/api/v1/me").await.status, 401, "an hour is over");
    let nobody = file.run("token create --person nobody@example.org");
    assert!(!nobody.refused(1).is_empty());
}

#[tokio::test]
async fn a_database_of_another_version_is_refused_with_what_to_do() {
    let database = postgres::Database::empty().await;
    let file = File::new(&SETTINGS.replace(NOWHERE, &database.url()));
    let early = file.run("user add --mail a@example.org --name Ida");
    assert!(early.refused(1).contains("Run: renderkeep migrate."), "{}", early.err);
    assert!(file.run("migrate").done().ends_with("applied."));
    assert_eq!(file.run("migrate").done(), "The database is at this version already.");
}

#[test]
fn a_key_of_another_certificate_is_said_by_config_check() {
    let dir = tempfile::tempdir().unwrap();
    let directory = dir.path().join("tls");
    let ca = |words: &str| {
        let arguments: Vec<&str> = words.split(' ').chain(["--directory", directory.to_str().unwrap()]).collect();
        run(&arguments)
    };
    let make = format!("renderkeep ca init --directory {} --name NAME", directory.display());
    assert!(ca("ca issue").refused(1).contains(&make));
    assert!(ca("ca init --name render.example.org").done().contains("SHA-256      "));
    assert!(ca("ca show").done().contains("ca.pem"));
    assert!(ca("ca issue --name render.example.com").refused(1).contains("may not sign for render.example.com"));
    assert!(ca("ca issue --name render.example.org").done().contains("server.pem"));
    let settings = |key: &str| {
        let shown = directory.display();
        format!("{SETTINGS}[tls]\ncertificate = \"{shown}/server.pem\"\nkey = \"{shown}/{key}\"\n")
    };
    assert_eq!(
        File::new(&settings("server.key")).run("config check").done(),
        "The configuration is complete and valid."
    );
    let wrong = File::new(&settings("ca.key")).run("config check");
    assert!(wrong.refused(1).contains("does not belong to the first certificate"), "{}", wrong.err);
    let half = File::new(&format!("{SETTINGS}[tls]\nkey = \"/x\"\n")).run("config check");
    assert!(half.refused(1).contains("tls.certificate and tls.key belong together"), "{}", half.err);
}

#[tokio::test]
async fn two_roles_are_enough_to_migrate_and_to_serve() {
    // Makes the roles.
    drop(support::platform().await);
    let empty = postgres::Database::empty().await;
    let both = format!("{}\"\nowner_url = \"{}", empty.application_url(), empty.owner_url());
    let give = format!("alter database {} owner to renderkeep_owner", empty.url().rsplit('/').next().unwrap());
    postgres::connect(&empty.url()).await.batch_execute(&give).await.unwrap();
    let file = File::new(&SETTINGS.replace(NOWHERE, &both));
    assert!(file.run("migrate").done().ends_with("applied."));
    assert_eq!(file.run("migrate").done(), "The database is at this version already.");
    let role = |file: &File| {
        let report: Value = serde_json::from_str(&file.run("doctor --json").out).unwrap();
        found(&report, "role.")
    };
    assert_eq!(role(&file)["code"], "role.ok");
    let alone = role(&File::new(&SETTINGS.replace(NOWHERE, &empty.owner_url())));
    assert_eq!((&alone["code"], &alone["severity"]), (&"role.excess".into(), &"problem".into()));
    assert!(alone["advice"].as_str().unwrap().contains("database.owner_url"), "{alone}");
}

/// Checks an export with the program that docs/audit.md prints.
fn as_the_page_says(lines: &str) -> Output {
    let (_, program) = include_str!("../../docs/audit.md").split_once("```python\n").unwrap();
    let (program, _) = program.split_once("```").unwrap();
    let mut export = tempfile::tempfile().unwrap();
    export.write_all(lines.as_bytes()).unwrap();
    export.rewind().unwrap();
    Command::new("python3").args(["-c", program]).stdin(export).output().unwrap()
}

#[tokio::test]
async fn the_audit_log_is_checked_and_exported_from_the_command_line() {
    let (test, file) = founded().await;
    let public = file.run("audit key").done().to_owned();
    assert_eq!(public.len(), 64);
    let lines = file.run("audit export --format jsonl").done().to_owned();
    let last: Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    assert_eq!((&last["action"], &last["actor_kind"]), (&"audit.export".into(), &"system".into()));
    let checked = as_the_page_says(&lines);
    assert!(checked.status.success(), "{checked:?}");
    let changed = lines.replacen("\"done\"", "\"failed\"", 1);
    assert!(changed != lines && !as_the_page_says(&changed).status.success());
    let csv = file.run("audit export --format csv").done().to_owned();
    assert_eq!(csv.lines().count(), lines.lines().count() + 2, "a head, and the export before it");

    let report: Value = serde_json::from_str(file.run("audit verify --json").done()).unwrap();
    assert_eq!((&report["good"], &report["fault"]), (&true.into(), &Value::Null));
    assert!(file.run(&format!("audit verify --key {public}")).done().starts_with("good  "));
    let client = postgres::connect(&test.database.url()).await;
    let tamper = "set session_replication_role = replica; update audit_entries set outcome = 'failed'
        where id = (select entry_id from audit_chain where seq = 2)";
    client.batch_execute(tamper).await.unwrap();
    let found = file.run("audit verify --json");
    assert_eq!(found.status, 1);
    let report: Value = serde_json::from_str(&found.out).unwrap();
    assert_eq!((&report["fault"]["sequence"], &report["fault"]["kind"]), (&2.into(), &"changed".into()));
    assert!(file.run("audit verify").out.starts_with("BAD   at 2 (aud_"));
    let missing = file.run("audit verify --checkpoints /nowhere/checkpoints.jsonl");
    assert!(missing.refused(1).contains("/nowhere/checkpoints.jsonl cannot be read"));
}

#[test]
fn the_description_of_the_api_is_the_one_that_is_kept() {
    let json = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let kept = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/openapi.json");
    assert!(json(run(&["openapi"]).done()) == json(&fs::read_to_string(kept).unwrap()));
}
