//! Checks on the sources themselves, for the rules that the compiler does not know: imports point down, some names have a
//! home, a table has one owner, files stay small, what is built in may be built in.
//!
//! Every check is a function from text to findings. A finding says where, what, and what to do. Beside each check stands a
//! bad sample that it must find, so that a check which has gone blind fails too.

#![cfg(test)]

mod codes;
mod floors;
mod names;
mod packages;
mod paths;
mod source;
mod tables;
mod templates;
mod tree;

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The directory of the repository.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What lies in the checkout without belonging to it: build output, data of `make up`, installed packages.
fn is_foreign(name: &str) -> bool {
    matches!(name, ".git" | "target" | "data" | "node_modules" | "__pycache__" | ".pytest_cache" | ".hypothesis")
}

/// Every file below a directory whose name ends in one of `endings`; an empty ending means all. As (path from the
/// repository's top, text); what is not text is left out.
fn files(below: &str, endings: &[&str]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    collect(&root().join(below), &mut found);
    found.sort();
    found
        .into_iter()
        .filter(|path| endings.iter().any(|ending| path.to_string_lossy().ends_with(ending)))
        .filter_map(|path| {
            let text = String::from_utf8(fs::read(&path).ok()?).ok()?;
            Some((path.strip_prefix(root()).ok()?.to_string_lossy().into_owned(), text))
        })
        .collect()
}

fn collect(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if is_foreign(&entry.file_name().to_string_lossy()) {
            continue;
        }
        if path.is_dir() { collect(&path, found) } else { found.push(path) }
    }
}

/// The Rust sources of the product.
fn sources() -> Vec<source::Source> {
    let sources: Vec<_> =
        files("src", &[".rs"]).into_iter().map(|(path, text)| source::Source::new(path, &text)).collect();
    assert!(sources.len() > 50, "only {} sources were found; the walk is broken", sources.len());
    sources
}

/// Fails with every finding at once.
#[track_caller]
fn none(findings: Vec<String>) {
    assert!(findings.is_empty(), "\n\n{}\n", findings.join("\n"));
}

/// The positive control of a check: the bad sample was found, and for the right reason.
#[track_caller]
fn finds(findings: &[String], what: &str) {
    assert!(findings.iter().any(|finding| finding.contains(what)), "nothing about `{what}` in {findings:?}");
}
