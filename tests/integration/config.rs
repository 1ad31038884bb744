//! Settings from their sources: what overrides what, and what is said about mistakes.

use std::fs;

use renderkeep::config::{Config, Faults, Sources, load};
use secrecy::ExposeSecret;
use tempfile::TempDir;

/// What has no default.
const NEEDED: &str = r#"
[database]
url = "postgres://renderkeep@localhost/renderkeep"
[storage]
endpoint = "http://127.0.0.1:9000"
access_key = "key"
secret_key = "secret"
[secrets]
root_key = "0707070707070707070707070707070707070707070707070707070707070707"
"#;

struct Given {
    dir: TempDir,
    sources: Sources,
}

/// A file with everything that is needed and `more`.
fn given(more: &str) -> Given {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.toml");
    fs::write(&file, format!("{more}{NEEDED}")).unwrap();
    let sources = Sources { file: Some(file), ..Sources::default() };
    Given { dir, sources }
}

impl Given {
    fn variable(mut self, name: &str, value: &str) -> Self {
        self.sources.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    fn load(&self) -> Result<Config, Faults> {
        load(&self.sources)
    }

    fn faults(&self) -> Vec<String> {
        self.load().unwrap_err().0
    }
}

#[test]
fn flags_override_the_environment_the_file_and_the_defaults() {
    let mut given = given("[server]\nworkers = 3\n");
    assert_eq!(given.load().unwrap().server.port, 8080);
    assert_eq!(given.load().unwrap().server.workers, 3);
    given = given.variable("RENDERKEEP__SERVER__WORKERS", "4").variable("HOME", "/ignored");
    assert_eq!(given.load().unwrap().server.workers, 4);
    given.sources = given.sources.preset("server.workers", "5").preset("server.port", "81");
    assert_eq!(given.load().unwrap().server.workers, 4);
    assert_eq!(given.load().unwrap().server.port, 81);
    given.sources = given.sources.flag("server.workers", "6");
    assert_eq!(given.load().unwrap().server.workers, 6);
}

#[test]
fn the_environment_says_flags_numbers_and_lists() {
    let config = given("")
        .variable("RENDERKEEP__INFERENCE__DEMO_FAULTS", "true")
        .variable("RENDERKEEP__INFERENCE__TIMEOUT_SECONDS", "7")
        .variable("RENDERKEEP__SERVER__TRUSTED_PROXIES", "10.0.0.1, ::1")
        .variable("RENDERKEEP__ORGANISATION__CURRENCY", "CHF")
        // Digits only: must not be read as a number.
        .variable("RENDERKEEP__STORAGE__SECRET_KEY", "0123456789")
        .load()
        .unwrap();
    assert!(config.inference.demo_faults);
    assert_eq!(config.inference.timeout_seconds, 7);
    assert_eq!(config.server.trusted_proxies.len(), 2);
    assert_eq!(config.organisation.currency.as_str(), "CHF");
    assert_eq!(config.storage.secret_key.expose_secret(), "0123456789");
}

#[test]
fn an_unknown_key_is_named_with_the_nearest_one() {
    let file = given("[server]\nprot = 1\n").faults();
    assert_eq!(file, ["server.prot is not a setting. Did you mean server.port?"]);
    let section = given("[sever]\nport = 1\n").faults();
    assert_eq!(section, ["sever is not a setting. Did you mean server?"]);
    let variable = given("").variable("RENDERKEEP__SERVER__PROT", "1").faults();
    assert_eq!(variable, ["RENDERKEEP__SERVER__PROT is not a setting. Did you mean RENDERKEEP__SERVER__PORT?"]);
    let no_section = given("").variable("RENDERKEEP__PORT", "1").faults();
    assert!(no_section[0].starts_with("RENDERKEEP__PORT is not a setting."), "{no_section:?}");
}

#[test]
fn every_unknown_key_is_told_at_once() {
    assert_eq!(given("[server]\nprot = 1\nhots = \"x\"\n").faults().len(), 2);
}

#[test]
fn a_secret_may_be_in_a_file() {
    let mut given = given("");
    let secret = given.dir.path().join("key");
    fs::write(&secret, "from a file\n").unwrap();
    let variable = secret.to_str().unwrap().to_owned();
    given = given.variable("RENDERKEEP__STORAGE__SECRET_KEY_FILE", &variable);
    assert_eq!(given.load().unwrap().storage.secret_key.expose_secret(), "from a file");
    let text = NEEDED.replace("secret_key = \"secret\"", &format!("secret_key_file = {variable:?}"));
    fs::write(given.sources.file.as_ref().unwrap(), text).unwrap();
    given.sources.environment.clear();
    assert_eq!(given.load().unwrap().storage.secret_key.expose_secret(), "from a file");
}

#[test]
fn a_secret_twice_or_in_a_missing_file_is_refused() {
    let twice = given("")
        .variable("RENDERKEEP__STORAGE__SECRET_KEY", "a")
        .variable("RENDERKEEP__STORAGE__SECRET_KEY_FILE", "/dev/null")
        .faults();
    assert!(twice[0].contains("storage.secret_key is set twice"), "{twice:?}");
    let missing = given("").variable("RENDERKEEP__STORAGE__SECRET_KEY_FILE", "/nowhere/key").faults();
    assert!(missing[0].contains("SECRET_KEY_FILE names /nowhere/key, which cannot be read"), "{missing:?}");
    let no_secret = given("").variable("RENDERKEEP__SERVER__PORT_FILE", "/dev/null").faults();
    assert!(no_secret[0].contains("RENDERKEEP__SERVER__PORT_FILE is not a setting"), "{no_secret:?}");
}

#[test]
fn what_is_missing_is_told_with_its_variable() {
    let faults = load(&Sources::default()).unwrap_err().0;
    assert_eq!(faults.len(), 4, "{faults:?}");
    let advice = "database.url is not set. Set it in the configuration file or as RENDERKEEP__DATABASE__URL, or name a \
                  file in RENDERKEEP__DATABASE__URL_FILE.";
    assert_eq!(faults[0], advice);
}

#[test]
fn a_wrong_value_is_told_with_its_key() {
    for (name, value, key) in [
        ("RENDERKEEP__SERVER__PORT", "many", "server.port"),
        ("RENDERKEEP__SERVER__PORT", "70000", "server.port"),
        ("RENDERKEEP__SERVER__HOST", "example.org", "server.host"),
        ("RENDERKEEP__SERVER__PUBLIC_URL", "example.org/x", "server.public_url"),
        ("RENDERKEEP__SERVER__TRUSTED_PROXIES", "proxy", "server.trusted_proxies"),
        ("RENDERKEEP__DATABASE__URL", "mysql://x", "database.url"),
        ("RENDERKEEP__DATABASE__CONNECTIONS", "0", "database.connections"),
        ("RENDERKEEP__SERVER__WORKERS", "12", "database.connections"),
        ("RENDERKEEP__STORAGE__ENDPOINT", "store", "storage.endpoint"),
        ("RENDERKEEP__STORAGE__BUCKET", "B", "storage.bucket"),
        ("RENDERKEEP__ORGANISATION__CURRENCY", "Euro", "organisation.currency"),
        ("RENDERKEEP__ORGANISATION__OWNER_MAIL", "owner", "organisation.owner_mail"),
        ("RENDERKEEP__INFERENCE__DEMO", "perhaps", "inference.demo"),
        ("RENDERKEEP__INFERENCE__PER_PERSON", "0", "inference.per_person"),
        ("RENDERKEEP__SECRETS__ROOT_KEY", "short", "secrets.root_key"),
        ("RENDERKEEP__TELEMETRY__FORMAT", "xml", "telemetry.format"),
        ("RENDERKEEP__TELEMETRY__LOG", "renderkeep=loud", "telemetry.log"),
        ("RENDERKEEP__TELEMETRY__METRICS", "9464", "telemetry.metrics"),
        ("RENDERKEEP__INFERENCE__PROVIDERS", "x", "inference.providers"),
    ] {
        let faults = given("").variable(name, value).faults();
        assert!(faults.iter().any(|fault| fault.contains(key)), "{name}={value}: {faults:?}");
    }
}

#[test]
fn a_wrong_value_is_told_in_words_of_people() {
    for (file, said) in [
        ("[server]\nport = 70000\n", "server.port must be a whole number from 0 to 65535, and is 70000."),
        ("[server]\nport = \"8080\"\n", "server.port must be a whole number, and is \"8080\"."),
        ("[server]\nport = true\n", "server.port must be a whole number, and is true."),
        ("[inference]\nat_once = -5\n", "inference.at_once must be a whole number that is not negative, and is -5."),
        ("[inference]\nat_once = 1.5\n", "inference.at_once must be a whole number, and is 1.5."),
        ("[inference]\ndemo_faults = \"yes\"\n", "inference.demo_faults must be true or false, and is \"yes\"."),
        ("[sandbox]\nallow_missing = \"seccomp\"\n", "sandbox.allow_missing must be a list, and is \"seccomp\"."),
    ] {
        assert_eq!(given(file).faults(), [said]);
    }
    let variable = given("").variable("RENDERKEEP__SERVER__PORT", "yes").faults();
    assert_eq!(variable, ["server.port must be a whole number, and RENDERKEEP__SERVER__PORT is \"yes\"."]);
}

#[test]
fn a_wrong_value_is_found_where_another_one_overrides_it() {
    let port = |text: &str| given(text).variable("RENDERKEEP__SERVER__PORT", "81");
    assert_eq!(port("[server]\nport = 82\n").load().unwrap().server.port, 81);
    let file = port("[server]\nport = 70000\nworkers = 0\n").faults();
    assert_eq!(file, ["server.workers must be between 1 and 256."], "what is in force first");
    let hidden = port("[server]\nport = 70000\n").faults();
    assert_eq!(hidden, ["server.port must be a whole number from 0 to 65535, and is 70000."]);
    // Whether values fit each other counts only as they are used.
    let mut unused = given("").variable("RENDERKEEP__SERVER__WORKERS", "0");
    unused.sources = unused.sources.flag("server.workers", "2");
    assert_eq!(unused.load().unwrap().server.workers, 2);
}

#[test]
fn providers_and_their_models_are_tables_with_defaults() {
    let file = r#"
[[inference.providers]]
slug = "local"
title = "Ours"
base_url = "http://10.0.0.5:8000/v1"
local = true
[[inference.providers.models]]
name = "painter"
upstream_name = "painter-xl"
title = "Painter XL"
price_micros_per_image = 40000
"#;
    let config = given(file).load().unwrap();
    let model = &config.inference.providers[0].models[0];
    assert_eq!((model.max_count, model.sizes.as_slice()), (1, ["1024x1024".to_owned()].as_slice()));
    let unknown = given(&file.replace("upstream_name", "upstream")).faults();
    assert!(unknown.iter().any(|fault| fault.contains("Did you mean inference.providers.models.upstream_name?")));
    let missing = given(&file.replace("slug = \"local\"", "")).faults();
    assert_eq!(missing, ["inference.providers.slug is not set in one of the tables."]);
    let demo = given(&file.replace("\"local\"", "\"demo\"")).faults();
    assert!(demo[0].contains("inference.providers.slug"), "{demo:?}");
}

#[test]
fn a_file_that_is_missing_or_not_toml_is_refused() {
    let missing = Sources { file: Some("/nowhere/config.toml".into()), ..Sources::default() };
    assert!(load(&missing).unwrap_err().to_string().contains("/nowhere/config.toml cannot be read"));
    let broken = given("[server\n").faults();
    assert!(broken[0].contains("is not TOML"), "{broken:?}");
}
