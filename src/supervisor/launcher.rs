//! The step between us and a child: binds the child's life to its parent's, then becomes the child.

use std::{ffi::OsString, io, os::unix::process::CommandExt, process::Command};

use nix::{
    sys::{prctl, signal::Signal},
    unistd::{Pid, getppid},
};

/// The hidden subcommand of our own binary.
pub const SUBCOMMAND: &str = "supervise-child";

/// Becomes `program`; comes back only when that is impossible.
#[expect(clippy::disallowed_methods, reason = "part of the supervisor")]
pub fn become_child(parent: i32, orphaned: Signal, program: &OsString, arguments: &[OsString]) -> io::Error {
    if let Err(error) = prctl::set_pdeathsig(orphaned) {
        return error.into();
    }
    // Whoever died before the line above will never signal us.
    if getppid() != Pid::from_raw(parent) {
        return io::Error::other("the process that wanted it is gone");
    }
    Command::new(program).args(arguments).exec()
}
