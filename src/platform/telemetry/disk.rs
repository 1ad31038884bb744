//! How full a disk is.

use std::{io, path::Path};

use nix::sys::statvfs::statvfs;

/// Bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// What we may still fill.
    pub free: u64,
    pub all: u64,
}

/// Below this nothing goes well for long.
const SCARCE: u64 = 5_000_000_000;

impl Space {
    /// Of the disk that holds this path.
    pub fn of(path: &Path) -> io::Result<Self> {
        let disk = statvfs(path)?;
        let bytes = |blocks: u64| blocks * disk.fragment_size();
        Ok(Self { free: bytes(disk.blocks_available()), all: bytes(disk.blocks()) })
    }

    /// Less than a tenth and less than 5 GB are free.
    pub fn is_scarce(self) -> bool {
        self.free < (self.all / 10).min(SCARCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_or_five_gigabytes_are_enough() {
        let scarce = |free, all| Space { free, all }.is_scarce();
        assert!(!scarce(5_000_000_000, 1_000_000_000_000) && scarce(4_999_999_999, 1_000_000_000_000));
        assert!(!scarce(1_000, 10_000) && scarce(999, 10_000));
    }
}
