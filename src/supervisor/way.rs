//! A way for an ordinary user to what lies below a directory that only root may enter, such as a checkout in /root.
//!
//! The permissions of directories that are not ours stay as they are. Instead this process and its children get a view of
//! the file system of their own (mount_namespaces(7)), in which the closed directory shows nothing but what is needed, at
//! its usual path. The view ends with the last of them; nobody else sees it.

use std::{
    fs::{self, File, Metadata, Permissions},
    io,
    os::{
        fd::AsRawFd,
        unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    },
    path::{Path, PathBuf},
};

use nix::{
    fcntl::OFlag,
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    unistd::{Gid, Uid},
};

const NOTHING: Option<&str> = None;

/// Makes `needed` reachable for this user where it exists. Only root can, and only while there is one thread.
pub(super) fn open(needed: &[PathBuf], user: Uid, group: Gid) -> io::Result<()> {
    let mut hidden = Vec::new();
    for path in needed.iter().filter_map(|path| path.canonicalize().ok()) {
        if let Some(closed) = closed_above(&path, user, group)? {
            hidden.push((closed, path));
        }
    }
    if hidden.is_empty() {
        return Ok(());
    }
    unshare(CloneFlags::CLONE_NEWNS)?;
    // Otherwise the next mounts would be seen outside.
    mount(NOTHING, "/", NOTHING, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NOTHING)?;
    // Handles from before something covers the paths.
    let handle = |path: &Path| File::options().read(true).custom_flags(OFlag::O_PATH.bits()).open(path);
    let handles = hidden.iter().map(|(_, path)| handle(path)).collect::<io::Result<Vec<_>>>()?;
    let mut covered: Vec<&Path> = Vec::new();
    for ((closed, path), handle) in hidden.iter().zip(&handles) {
        if !covered.contains(&closed.as_path()) {
            mount(NOTHING, closed, Some("tmpfs"), MsFlags::empty(), Some("mode=755,size=64k"))?;
            covered.push(closed);
        }
        show(closed, path, handle)?;
    }
    Ok(())
}

/// The first directory on the way to `path` that this user may not enter.
fn closed_above(path: &Path, user: Uid, group: Gid) -> io::Result<Option<PathBuf>> {
    let mut above: Vec<_> = path.ancestors().skip(1).collect();
    above.reverse();
    for directory in above {
        if !may_enter(&fs::metadata(directory)?, user, group) {
            return Ok(Some(directory.to_owned()));
        }
    }
    Ok(None)
}

fn may_enter(directory: &Metadata, user: Uid, group: Gid) -> bool {
    let who = if directory.uid() == user.as_raw() {
        0o100
    } else if directory.gid() == group.as_raw() {
        0o010
    } else {
        0o001
    };
    directory.mode() & who != 0
}

/// Lets what the handle holds appear at its path again, below the directory that was covered.
fn show(closed: &Path, path: &Path, handle: &File) -> io::Result<()> {
    let above = path.parent().unwrap_or(closed);
    fs::create_dir_all(above)?;
    // Whatever the umask says.
    for directory in above.ancestors().take_while(|directory| *directory != closed) {
        fs::set_permissions(directory, Permissions::from_mode(0o755))?;
    }
    if handle.metadata()?.is_dir() {
        fs::create_dir_all(path)?;
    } else {
        File::create(path)?;
    }
    let source = format!("/proc/self/fd/{}", handle.as_raw_fd());
    Ok(mount(Some(source.as_str()), path, NOTHING, MsFlags::MS_BIND | MsFlags::MS_REC, NOTHING)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_closed_directory_is_found() {
        let place = tempfile::tempdir().unwrap();
        let deep = place.path().join("open/closed/data");
        fs::create_dir_all(&deep).unwrap();
        for (directory, mode) in [("", 0o755), ("open", 0o711), ("open/closed", 0o700), ("open/closed/data", 0o700)] {
            fs::set_permissions(place.path().join(directory), Permissions::from_mode(mode)).unwrap();
        }
        let (nobody, owner) = (Uid::from_raw(65534), Uid::current());
        let closed = |path: &Path, user| closed_above(path, user, Gid::from_raw(65534)).unwrap();
        assert_eq!(closed(&deep, nobody), Some(place.path().join("open/closed")));
        assert_eq!(closed(&deep, owner), None);
        assert_eq!(closed(&place.path().join("open/closed"), nobody), None, "what is asked for may be closed itself");
    }
}
