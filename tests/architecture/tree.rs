//! The shape of the repository: what may lie at its top, how long a file may be, and what no file may mention.

const TOP: &[&str] = &[
    "Cargo.toml",
    "Cargo.lock",
    "LICENSE",
    "Makefile",
    "README.md",
    "ansible",
    "askama.toml",
    "docs",
    "migrations",
    "packaging",
    "rust-toolchain.toml",
    "src",
    "systemd",
    "tests",
    ".ci",
    ".clippy.toml",
    ".config",
    ".deny.toml",
    ".gitignore",
    ".rustfmt.toml",
];

const LONGEST: usize = 600;

/// Written by a program, never by hand.
const GENERATED: &[&str] = &["src/platform/db/schema.rs"];

/// Whose packages come from where is each machine's own setting, and where a file was built says nothing to anybody.
const NEVER: &[(&str, &str)] = &[
    (concat!("/wo", "rk/"), "a path of one machine; write it relative to the repository"),
    (concat!("/ro", "ot/"), "a path of one machine; write it relative to the repository"),
    (concat!("../sha", "red"), "a path of one machine; write it relative to the repository"),
    (concat!("pkg", ".dev"), "the host of a package registry; leave it to the machine's settings"),
    (concat!("registry.npm", "js.org"), "the host of a package registry; leave it to the machine's settings"),
    (concat!("files.python", "hosted.org"), "the host of a package registry; leave it to the machine's settings"),
    (concat!("proxy.go", "lang.org"), "the host of a package registry; leave it to the machine's settings"),
    (concat!("index.cra", "tes.io"), "the host of a package registry; leave it to the machine's settings"),
    (concat!("static.cra", "tes.io"), "the host of a package registry; leave it to the machine's settings"),
];

fn stray(entries: &[String]) -> Vec<String> {
    entries
        .iter()
        .filter(|name| !crate::is_foreign(name) && !TOP.contains(&name.as_str()))
        .map(|name| {
            format!("{name}: not a top-level entry; put it where it belongs, or list it in tests/architecture/tree.rs")
        })
        .collect()
}

fn too_long(path: &str, text: &str) -> Option<String> {
    let lines = text.lines().count();
    (lines > LONGEST && !GENERATED.contains(&path))
        .then(|| format!("{path}: {lines} lines, more than {LONGEST}: make it a folder of files with one noun each"))
}

fn mentions(path: &str, text: &str) -> Vec<String> {
    let found = NEVER.iter().filter_map(|(word, reason)| {
        let line = text.lines().position(|line| line.contains(word))?;
        Some(format!("{path}:{}: `{word}`: {reason}", line + 1))
    });
    found.collect()
}

#[test]
fn nothing_strays_at_the_top() {
    let entries = std::fs::read_dir(crate::root()).expect("the repository's top");
    let names: Vec<String> = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    crate::none(stray(&names));
}

#[test]
fn files_stay_small() {
    let endings = [".rs", ".html", ".js", ".mjs", ".css", ".py", ".sh"];
    let all = ["src", "tests", "packaging"].into_iter().flat_map(|below| crate::files(below, &endings));
    crate::none(all.filter_map(|(path, text)| too_long(&path, &text)).collect());
}

#[test]
fn no_file_names_a_build_machine() {
    let all = crate::files("", &[""]);
    assert!(all.iter().any(|(path, _)| path == "Cargo.lock"), "the walk misses files");
    crate::none(all.iter().flat_map(|(path, text)| mentions(path, text)).collect());
}

#[test]
fn bad_samples_are_found() {
    crate::finds(&stray(&["src".to_owned(), "notes.txt".to_owned()]), "notes.txt: not a top-level entry");
    assert!(too_long("src/x.rs", &"line\n".repeat(601)).is_some_and(|finding| finding.contains("601 lines")));
    assert!(too_long("src/x.rs", &"line\n".repeat(600)).is_none());
    for (word, _) in NEVER {
        crate::finds(&mentions("x.md", &format!("one\nsee {word}x")), "x.md:2");
    }
}
