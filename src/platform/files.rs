//! Small files that must not be lost: all of it or nothing, on the disk before it counts, readable by one user only: the
//! one whom the directory belongs to, also where root writes beside a running server.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, chown, fchown},
    path::Path,
};

use nix::unistd::geteuid;

/// Makes a directory that only this user may enter, and those above it.
pub fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// What root made beside a running server belongs to whom the directory belongs to.
pub fn give_to_owner_of(directory: &Path, made: &Path) -> io::Result<()> {
    if !geteuid().is_root() {
        return Ok(());
    }
    let owner = fs::metadata(directory)?;
    chown(made, Some(owner.uid()), Some(owner.gid()))
}

pub fn write(file: &Path, bytes: &[u8]) -> io::Result<()> {
    write_as(file, bytes, 0o600)
}

/// The same for what others may read.
pub fn write_as(file: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut new = file.as_os_str().to_owned();
    new.push(".new");
    let mut open = OpenOptions::new().create(true).write(true).truncate(true).mode(mode).open(&new)?;
    open.write_all(bytes)?;
    give_to_owner(&open, file)?;
    open.sync_all()?;
    fs::rename(&new, file)?;
    sync_parent(file)
}

/// Puts one file in the place of another.
pub fn replace(file: &Path, by: &Path) -> io::Result<()> {
    fs::rename(by, file)?;
    sync_parent(file)
}

pub fn remove(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => sync_parent(file),
    }
}

/// Adds a line. What a crash left of one before it stays a line of its own.
pub fn append_line(file: &Path, line: &[u8]) -> io::Result<()> {
    let mut open = OpenOptions::new().create(true).read(true).append(true).mode(0o600).open(file)?;
    let mut text = Vec::new();
    if open.seek(SeekFrom::End(0))? > 0 {
        open.seek(SeekFrom::End(-1))?;
        let mut last = [0];
        open.read_exact(&mut last)?;
        if last != *b"\n" {
            text.push(b'\n');
        }
    }
    text.extend_from_slice(line);
    text.push(b'\n');
    open.write_all(&text)?;
    give_to_owner(&open, file)?;
    open.sync_all()?;
    sync_parent(file)
}

fn give_to_owner(open: &File, file: &Path) -> io::Result<()> {
    match file.parent() {
        Some(parent) if geteuid().is_root() => {
            let owner = fs::metadata(parent)?;
            fchown(open, Some(owner.uid()), Some(owner.gid()))
        }
        _ => Ok(()),
    }
}

fn sync_parent(file: &Path) -> io::Result<()> {
    file.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_is_private_and_replaced_as_a_whole() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("key");
        write(&file, b"one").unwrap();
        write(&file, b"two").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"two");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_line_never_joins_a_torn_one() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("lines");
        append_line(&file, b"one").unwrap();
        fs::write(&file, b"one\ntw").unwrap();
        append_line(&file, b"three").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"one\ntw\nthree\n");
    }
}
