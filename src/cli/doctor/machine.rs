//! This machine: its disks, what confines decoders, and where the audit log is attested.

use std::path::Path;

use nix::unistd::geteuid;

use crate::{
    base::{error::chain, finding::Finding},
    cli::place::Place,
    config::{Config, Sandbox},
    platform::{
        pictures::{PictureError, Pictures, Setup, wire::Held},
        telemetry::disk::Space,
    },
    web::format,
};

/// Below this Postgres and the store refuse to write, or are about to.
const NEARLY_NOTHING: u64 = 512_000_000;

/// Of everything that is kept on this machine: where several lie on one disk, it is said once.
pub(super) fn disks(place: &Place, config: &Config) -> Vec<Finding> {
    let below = place.data().map(|data| [data.to_owned(), data.join("postgres"), data.join("minio")]);
    let directories = below.into_iter().flatten().chain(config.storage.directory.clone());
    let mut findings: Vec<Finding> = Vec::new();
    let mut seen = Vec::new();
    for directory in directories {
        let space = Space::of(&directory).ok();
        if space.is_none() || !seen.contains(&space) {
            findings.push(disk(&directory, space));
            seen.push(space);
        }
    }
    findings
}

fn disk(directory: &Path, space: Option<Space>) -> Finding {
    let shown = directory.display();
    let Some(space) = space else {
        let advice = format!("Check that it exists and that the user with the number {} may enter it.", geteuid());
        return Finding::problem("disk.unreadable", format!("{shown} cannot be looked at."), advice);
    };
    let found = format!("{} of {} are free at {shown}.", format::bytes(space.free), format::bytes(space.all));
    if space.free < NEARLY_NOTHING {
        Finding::problem("disk.full", found, "Free some space now: soon nothing can be stored any more.")
    } else if space.is_scarce() {
        Finding::warning("disk.scarce", found, "Free some space.")
    } else {
        Finding::ok("disk.ok", found)
    }
}

/// Starts one and asks what confines it.
pub(super) async fn decoders(sandbox: &Sandbox) -> Finding {
    match Pictures::new(Setup::new(sandbox)).check().await {
        Ok(held) => Finding::ok("decoders.ok", confined(held)),
        Err(PictureError::NotConfined(layer)) => {
            let error = PictureError::NotConfined(layer);
            Finding::problem("decoders.open", error.to_string(), "The server does not start until then.")
        }
        Err(error) => {
            Finding::problem("decoders.failed", chain(&error), "Start it as the user that the server runs as.")
        }
    }
}

fn confined(held: Held) -> String {
    let landlock = match held.landlock {
        0 => "Landlock is missing, as sandbox.allow_missing allows".to_owned(),
        version => format!("Landlock {version}"),
    };
    let seccomp = if held.seccomp { "seccomp" } else { "seccomp is missing, as sandbox.allow_missing allows" };
    format!("Pictures are decoded apart: limits, {landlock}, {seccomp}.")
}

/// Whether the audit log's checkpoints leave the database.
pub(super) fn attested(config: &Config) -> Finding {
    let audit = &config.audit;
    let places: Vec<String> =
        audit.checkpoint_file.iter().chain(&audit.syslog).map(|place| place.display().to_string()).collect();
    if places.is_empty() {
        return Finding::warning(
            "audit.unattested",
            "Checkpoints of the audit log stay in the database, which cannot vouch for itself.",
            "Set audit.checkpoint_file or audit.syslog.",
        );
    }
    Finding::ok("audit.attested", format!("Checkpoints of the audit log go to {}.", places.join(" and ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_judged_by_what_is_free() {
        let code = |free, all| disk(Path::new("/x"), Some(Space { free, all })).code;
        assert_eq!(code(6_000_000_000, 100_000_000_000), "disk.ok");
        assert_eq!(code(4_000_000_000, 100_000_000_000), "disk.scarce");
        assert_eq!(code(100_000_000, 100_000_000_000), "disk.full");
    }

    #[test]
    fn a_directory_that_is_not_there_has_advice() {
        let finding = disk(Path::new("/no/such/place"), None);
        assert!(finding.code == "disk.unreadable" && finding.advice.is_some(), "{finding:?}");
    }
}
