//! The provider of the tests: `tests/doubles/openai_server.py`, one process for each test that wants one.
#![expect(clippy::disallowed_methods, reason = "the double is a process of its own")]

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

/// Ends with this value: its standard input is a pipe from here.
pub struct Server {
    pub port: u16,
    process: Child,
}

pub fn start(arguments: &[&str]) -> Server {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doubles/openai_server.py");
    let mut command = Command::new("python3");
    command.arg(program).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut process = command.spawn().expect("python3 starts");
    let mut line = String::new();
    BufReader::new(process.stdout.take().expect("a pipe")).read_line(&mut line).expect("it says its port");
    Server { port: line.trim().parse().expect("a port"), process }
}

impl Server {
    pub fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The pipe closes with the process' handle; waiting leaves no zombie behind.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}
