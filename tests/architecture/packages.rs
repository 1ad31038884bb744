//! What is linked in: no second TLS library, licences that let everybody use the product, one source of packages.

use std::{process::Command, sync::LazyLock};

use serde_json::Value;

/// Packages that must never come in, and what is used instead.
const BANNED: &[(&str, &str)] = &[
    ("openssl", "rustls with ring"),
    ("openssl-sys", "rustls with ring"),
    ("native-tls", "rustls with ring"),
    ("aws-lc-rs", "ring"),
    ("aws-lc-sys", "ring"),
    ("actix-governor", "accounts::throttle and web::door"),
];

/// Permissive ones, and MPL-2.0, whose duty ends at its own files.
const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CDLA-Permissive-2.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// What is built for this machine, with licences. Asked once; nothing is fetched for it.
static METADATA: LazyLock<Value> = LazyLock::new(|| {
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    #[expect(clippy::disallowed_methods, reason = "cargo itself knows best what it builds")]
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--offline", "--locked", "--format-version=1", "--filter-platform", &platform])
        .current_dir(crate::root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo answers in JSON")
});

fn packages(metadata: &Value) -> impl Iterator<Item = (&str, &Value)> {
    metadata["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|package| Some((package["name"].as_str()?, package)))
}

fn banned(name: &str) -> Option<String> {
    let (_, instead) = BANNED.iter().find(|(banned, _)| *banned == name)?;
    Some(format!("{name} is linked in: `cargo tree -i {name}` says by whom; switch that feature off and use {instead}"))
}

fn licence(name: &str, package: &Value) -> Option<String> {
    let expression = package["license"].as_str().unwrap_or_default();
    let own = package["source"].is_null();
    (!own && !permitted(expression)).then(|| {
        format!("{name}: licence `{expression}` is not on the list; choose another package, or have the licence reviewed and listed in tests/architecture/packages.rs and .deny.toml")
    })
}

/// `A OR B` needs one, `A AND B` both; an exception (`WITH`) only ever allows more; `/` is an old way to write OR.
fn permitted(expression: &str) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let (permitted, rest) = any(&words);
    permitted && rest.is_empty()
}

fn any<'a, 'b>(words: &'a [&'b str]) -> (bool, &'a [&'b str]) {
    let (mut result, mut rest) = all(words);
    while let ["OR", after @ ..] = rest {
        let (next, remaining) = all(after);
        (result, rest) = (result || next, remaining);
    }
    (result, rest)
}

fn all<'a, 'b>(words: &'a [&'b str]) -> (bool, &'a [&'b str]) {
    let (mut result, mut rest) = one(words);
    while let ["AND", after @ ..] = rest {
        let (next, remaining) = one(after);
        (result, rest) = (result && next, remaining);
    }
    (result, rest)
}

fn one<'a, 'b>(words: &'a [&'b str]) -> (bool, &'a [&'b str]) {
    match words {
        ["(", inner @ ..] => match any(inner) {
            (result, [")", rest @ ..]) => (result, rest),
            (_, rest) => (false, rest),
        },
        [name, "WITH", _, rest @ ..] | [name, rest @ ..] => (LICENCES.contains(name), rest),
        [] => (false, &[]),
    }
}

fn foreign(name: &str, source: Option<&str>) -> Option<String> {
    let source = source.filter(|source| *source != REGISTRY)?;
    Some(format!("{name} comes from `{source}`: only the default registry is a source"))
}

/// (name, source) of every package of `Cargo.lock`, for all platforms.
fn locked(lock: &str) -> Vec<(String, Option<String>)> {
    let value = |block: &str, key: &str| {
        let line = block.lines().find_map(|line| line.strip_prefix(key))?;
        Some(line.trim_matches([' ', '=', '"']).to_owned())
    };
    lock.split("[[package]]")
        .skip(1)
        .filter_map(|block| Some((value(block, "name")?, value(block, "source"))))
        .collect()
}

#[test]
fn nothing_banned_is_locked_and_all_come_from_the_default_registry() {
    let lock = std::fs::read_to_string(crate::root().join("Cargo.lock")).expect("Cargo.lock");
    let packages = locked(&lock);
    assert!(packages.len() > 300, "only {} packages were found", packages.len());
    let findings =
        packages.iter().flat_map(|(name, source)| banned(name).into_iter().chain(foreign(name, source.as_deref())));
    crate::none(findings.collect());
}

#[test]
fn nothing_banned_is_linked() {
    crate::none(packages(&METADATA).filter_map(|(name, _)| banned(name)).collect());
}

#[test]
fn licences_are_permissive() {
    assert!(packages(&METADATA).count() > 300);
    crate::none(packages(&METADATA).filter_map(|(name, package)| licence(name, package)).collect());
}

#[test]
fn sources_are_the_default_registry() {
    crate::none(packages(&METADATA).filter_map(|(name, package)| foreign(name, package["source"].as_str())).collect());
}

/// cargo-deny reads its own file; it must say what is said here.
#[test]
fn the_file_for_cargo_deny_agrees() {
    let deny = std::fs::read_to_string(crate::root().join(".deny.toml")).expect(".deny.toml");
    let missing = |word: &&str| !deny.contains(&format!("\"{word}\""));
    let words = LICENCES.iter().copied().chain(BANNED.iter().map(|(name, _)| *name));
    crate::none(
        words.filter(missing).map(|word| format!(".deny.toml does not mention \"{word}\"; add it there too")).collect(),
    );
}

#[test]
fn bad_samples_are_found() {
    for name in BANNED.iter().map(|(name, _)| name) {
        assert!(banned(name).is_some_and(|finding| finding.contains("is linked in")));
    }
    for bad in
        ["GPL-3.0", "AGPL-3.0-only OR GPL-2.0", "MIT AND GPL-3.0", "(MIT OR Apache-2.0) AND LGPL-3.0", "MIT AND", ""]
    {
        assert!(!permitted(bad), "{bad}");
    }
    for good in [
        "MIT/GPL-3.0",
        "GPL-3.0 OR MIT",
        "Apache-2.0 WITH LLVM-exception",
        "(MIT OR GPL-2.0) AND Unicode-3.0",
        "MPL-2.0",
    ] {
        assert!(permitted(good), "{good}");
    }
    let package = serde_json::json!({ "license": "SSPL-1.0", "source": REGISTRY });
    assert!(licence("x", &package).is_some_and(|finding| finding.contains("is not on the list")));
    let unlicensed = serde_json::json!({ "license": null, "source": REGISTRY });
    assert!(licence("x", &unlicensed).is_some());
    assert!(
        foreign("x", Some("git+https://example.org/x"))
            .is_some_and(|finding| finding.contains("only the default registry"))
    );
    let lock = "[[package]]\nname = \"x\"\nsource = \"git+https://example.org/x\"\n";
    assert_eq!(locked(lock), [("x".to_owned(), Some("git+https://example.org/x".to_owned()))]);
}
