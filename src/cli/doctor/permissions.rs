//! Who may read what nobody else should, and whose it is.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use crate::{base::finding::Finding, cli::place::Place, config::Config};

/// Secrets and data are for the server's user; a group may be let in by hand, for backups say.
pub(super) fn look(place: &Place, config: &Config) -> Vec<Finding> {
    let files = watched(place, config);
    let home = place.data().or(Some(&*config.secrets.epoch_keys)).filter(|home| home.exists());
    let paths = |wrong: &dyn Fn(&Path) -> bool| -> Vec<String> {
        files.iter().filter(|file| wrong(file)).map(|file| file.display().to_string()).collect()
    };
    let open = paths(&is_open);
    let mut findings = Vec::new();
    if !open.is_empty() {
        findings.push(Finding::problem(
            "permissions.open",
            format!("Everybody on this machine may look into {}.", open.join(", ")),
            format!("Run: chmod o-rwx {}.", open.join(" ")),
        ));
    }
    if let Some((home, owner)) = home.and_then(|home| Some((home, owner(home)?))) {
        let inside = |file: &Path| file.starts_with(home) && owner_differs(file, owner);
        let foreign = paths(&inside);
        if !foreign.is_empty() {
            findings.push(Finding::problem(
                "permissions.owner",
                format!("{} belong to another user than {}.", foreign.join(", "), home.display()),
                format!("Run: chown {owner} {}.", foreign.join(" ")),
            ));
        }
    }
    if findings.is_empty() && !files.is_empty() {
        findings.push(Finding::ok("permissions.ok", "Secrets and data are for their owner and group only."));
    }
    findings
}

fn watched(place: &Place, config: &Config) -> Vec<PathBuf> {
    let mut files = vec![config.secrets.epoch_keys.clone()];
    files.extend(inside(&config.secrets.epoch_keys));
    files.extend(config.tls.key.clone());
    files.extend(place.file());
    if let Some(data) = place.data() {
        let names = ["", "secrets", "keys", "postgres", "minio", "run", "audit", "tls/ca.key", "tls/server.key"];
        files.extend(names.map(|name| if name.is_empty() { data.to_owned() } else { data.join(name) }));
        files.extend(inside(&data.join("secrets")));
    }
    files.retain(|file| file.exists());
    files.sort();
    files.dedup();
    files
}

fn inside(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

fn is_open(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|file| file.permissions().mode() & 0o007 != 0)
}

fn owner(file: &Path) -> Option<u32> {
    fs::metadata(file).ok().map(|file| file.uid())
}

fn owner_differs(file: &Path, wanted: u32) -> bool {
    owner(file).is_some_and(|owner| owner != wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_others_can_read_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("settings");
        fs::write(&file, "").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(!is_open(&file));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(is_open(&file));
    }
}
