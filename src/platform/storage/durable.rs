//! Makes a bundled store's answers survive a power cut.
//!
//! The store writes an object's bytes through to the disk but not the directory entry that leads to them, so an object
//! that it just reported as stored can be gone after a power cut. `syncfs` on its file system closes the gap; puts that
//! wait at the same time share one call.

use std::{
    fs::File,
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::Mutex;

/// The file system of a store that runs on this machine.
#[derive(Clone)]
pub struct Disk {
    directory: Arc<File>,
    asked: Arc<AtomicU64>,
    /// Number of the last caller whose writes are on the disk.
    flushed: Arc<Mutex<u64>>,
}

impl Disk {
    pub fn of(directory: &Path) -> io::Result<Self> {
        Ok(Self { directory: Arc::new(File::open(directory)?), asked: Arc::default(), flushed: Arc::default() })
    }

    /// Returns when everything that was written before the call is on the disk.
    pub async fn flush(&self) -> io::Result<()> {
        let number = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        let mut flushed = self.flushed.lock().await;
        if *flushed >= number {
            return Ok(());
        }
        // Everybody who has asked by now has written already: this call serves them too.
        let serves = self.asked.load(Ordering::SeqCst);
        let directory = self.directory.clone();
        tokio::task::spawn_blocking(move || nix::unistd::syncfs(directory.as_ref()))
            .await
            .map_err(io::Error::other)?
            .map_err(io::Error::from)?;
        *flushed = serves;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn callers_who_wait_together_share_a_flush() {
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::of(directory.path()).unwrap();
        let all = futures::future::join_all((0..20).map(|_| disk.flush())).await;
        assert!(all.into_iter().all(|done| done.is_ok()));
        assert_eq!(*disk.flushed.lock().await, 20);
    }

    #[test]
    fn a_directory_that_is_not_there_is_an_error() {
        assert!(Disk::of(Path::new("/nonexistent/store")).is_err());
    }
}
