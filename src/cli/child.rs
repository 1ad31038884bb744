//! The hidden step between `up` and each program that it starts; see `supervisor::launcher`.

use std::{ffi::OsString, str::FromStr};

use clap::Args;
use nix::sys::signal::Signal;

use crate::supervisor::launcher;

#[derive(Debug, Args)]
pub(super) struct Child {
    /// The process whose end ends the program.
    #[arg(long)]
    parent: i32,
    /// The signal that ends the program.
    #[arg(long, value_parser = Signal::from_str)]
    end: Signal,
    /// The program and its arguments.
    #[arg(last = true, required = true)]
    program: Vec<OsString>,
}

/// Becomes the program; what comes back is why not.
pub(super) fn become_it(child: &Child) -> anyhow::Error {
    let Some((program, arguments)) = child.program.split_first() else {
        return anyhow::Error::msg("No program was named.");
    };
    let error = launcher::become_child(child.parent, child.end, program, arguments);
    anyhow::Error::msg(format!("{} cannot be started: {error}.", program.to_string_lossy()))
}
