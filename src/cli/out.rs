//! What the command says: results on standard output, complaints on standard error.

use std::{
    io::{IsTerminal, Write},
    time::{Duration, Instant},
};

use crate::base::error::Fault;

/// A reader that has gone away is no reason to fail.
pub(super) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{}", text.trim_end_matches('\n'));
    let _ = out.flush();
}

/// How far a long act is, on one line of standard error; only where somebody looks.
pub(super) struct Line {
    shown: Option<Instant>,
    terminal: bool,
}

impl Line {
    pub fn new() -> Self {
        Self { shown: None, terminal: std::io::stderr().is_terminal() }
    }

    pub fn show(&mut self, text: impl FnOnce() -> String) {
        if !self.terminal || self.shown.is_some_and(|shown| shown.elapsed() < Duration::from_millis(200)) {
            return;
        }
        let mut out = std::io::stderr().lock();
        // To the start of the line, and away with what stood there.
        let _ = write!(out, "\r\x1b[K{}", text());
        let _ = out.flush();
        self.shown = Some(Instant::now());
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.shown.is_some() {
            let _ = write!(std::io::stderr().lock(), "\r\x1b[K");
        }
    }
}

/// One sentence and what to do. Where it comes from is for whoever asks for it with RUST_LOG=debug.
pub(super) fn complain(error: &anyhow::Error) {
    let mut out = std::io::stderr().lock();
    let _ = writeln!(out, "renderkeep: {error}");
    let causes: Vec<String> = error.chain().skip(1).map(ToString::to_string).collect();
    if wants_details() {
        for cause in causes {
            let _ = writeln!(out, "  because: {cause}");
        }
    } else if !causes.is_empty() {
        let _ = writeln!(out, "RUST_LOG=debug shows what led to this.");
    }
}

fn wants_details() -> bool {
    let level = std::env::var_os("RUST_LOG").unwrap_or_default().to_string_lossy().to_lowercase();
    level.contains("debug") || level.contains("trace")
}

/// A room's error in words for the command line: what is wrong with which value, when it says so.
pub(super) fn told(fault: impl Fault) -> anyhow::Error {
    let fields: Vec<String> = fault.fields().into_iter().map(|field| field.message).collect();
    let error = anyhow::Error::new(fault);
    if fields.is_empty() { error } else { anyhow::Error::msg(fields.join(" ")) }
}
