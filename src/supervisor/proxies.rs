//! Variables such as HTTP_PROXY are not for us, and not every library below us can be told so: the client of the store would
//! hand what is for the store to that proxy. So the program begins again without them.

use std::{ffi::OsString, io, os::unix::process::CommandExt, process::Command};

const NAMES: [&str; 3] = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];

/// Becomes this program without them, if there are any: the same process, with the same arguments and files. Comes back
/// with an error only when that is impossible.
#[expect(clippy::disallowed_methods, reason = "part of the supervisor")]
pub fn leave() -> io::Result<()> {
    let found: Vec<OsString> = std::env::vars_os().map(|(name, _)| name).filter(is_proxy).collect();
    if found.is_empty() {
        return Ok(());
    }
    let mut arguments = std::env::args_os();
    // The program as it was started, even when the file was replaced since.
    let mut again = Command::new("/proc/self/exe");
    if let Some(name) = arguments.next() {
        again.arg0(name);
    }
    again.args(arguments);
    for name in found {
        again.env_remove(name);
    }
    Err(again.exec())
}

fn is_proxy(name: &OsString) -> bool {
    NAMES.iter().any(|proxy| name.eq_ignore_ascii_case(proxy))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_known_in_both_cases() {
        let found = ["http_proxy", "HTTPS_PROXY", "all_proxy", "NO_PROXY", "RENDERKEEP__EGRESS__PROXY", "PROXY"]
            .map(|name| is_proxy(&name.into()));
        assert_eq!(found, [true, true, true, false, false, false]);
    }
}
