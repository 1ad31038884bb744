//! Epoch keys: files that are in no backup of the database.
//!
//! The newest seals; older ones open what backups may still bring back. A file is written once and never changed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use chrono::{DateTime, Utc};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use zeroize::{Zeroize, Zeroizing};

use super::{KeyringError, erasures::Erasures};
use crate::{
    base::random,
    platform::{
        crypto::{CryptoError, Sealer},
        files,
    },
};

pub struct Epochs {
    directory: PathBuf,
    keys: BTreeMap<i32, Epoch>,
}

#[derive(Clone)]
pub(super) struct Epoch {
    pub made_at: DateTime<Utc>,
    sealer: Sealer,
}

#[derive(Serialize, Deserialize)]
struct File {
    epoch: i32,
    made_at: DateTime<Utc>,
    key: String,
}

impl Drop for File {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

impl Epochs {
    /// Reads what is in the directory. The first epoch makes it.
    pub fn open(directory: &Path) -> Result<Self, KeyringError> {
        let mut epochs = Self { directory: directory.to_owned(), keys: BTreeMap::new() };
        epochs.reload()?;
        Ok(epochs)
    }

    pub(super) fn reload(&mut self) -> Result<(), KeyringError> {
        let listed = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            listed => listed.map_err(|error| unusable(&self.directory, &error))?,
        };
        let mut keys = BTreeMap::new();
        for entry in listed {
            let path = entry.map_err(|error| unusable(&self.directory, &error))?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name.starts_with("epoch-") && name.ends_with(".json") {
                let (number, epoch) = read(&path)?;
                keys.insert(number, epoch);
            }
        }
        self.keys = keys;
        Ok(())
    }

    pub(super) fn erasures(&self) -> Erasures {
        Erasures::new(self.directory.join("erasures.jsonl"))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub(super) fn all(&self) -> impl DoubleEndedIterator<Item = (i32, &Epoch)> {
        self.keys.iter().map(|(number, epoch)| (*number, epoch))
    }

    /// The epoch that seals now.
    pub(super) fn newest(&self) -> Option<(i32, DateTime<Utc>)> {
        self.all().next_back().map(|(number, epoch)| (number, epoch.made_at))
    }

    /// Begins the next epoch.
    pub(super) fn turn(&mut self, now: DateTime<Utc>) -> Result<i32, KeyringError> {
        files::make_directory(&self.directory).map_err(|error| unusable(&self.directory, &error))?;
        let number = self.newest().map_or(1, |(number, _)| number + 1);
        let key = Zeroizing::new(random::bytes::<32>()?);
        let file = File { epoch: number, made_at: now, key: HEXLOWER.encode(key.as_slice()) };
        let path = self.path(number);
        let text = serde_json::to_vec(&file).map(Zeroizing::new).map_err(|error| unusable(&path, &error))?;
        files::write(&path, &text).map_err(|error| unusable(&path, &error))?;
        self.keys.insert(number, Epoch { made_at: now, sealer: Sealer::new(&key)? });
        Ok(number)
    }

    /// Seals an owner's key, which is sealed already, under the newest epoch.
    pub(super) fn seal(&self, owner: Uuid, inner: &[u8]) -> Result<(i32, Vec<u8>), CryptoError> {
        let (number, epoch) = self.all().next_back().ok_or(CryptoError::Derive)?;
        Ok((number, epoch.sealer.seal(&about(number, owner), inner)?))
    }

    /// None when this epoch's key is not here.
    pub(super) fn open_key(&self, epoch: i32, owner: Uuid, sealed: &[u8]) -> Option<Result<Vec<u8>, CryptoError>> {
        Some(self.keys.get(&epoch)?.sealer.open(&about(epoch, owner), sealed))
    }

    pub(super) fn must_have(&self, used: &BTreeSet<i32>) -> Result<(), KeyringError> {
        let missing: Vec<String> =
            used.iter().filter(|epoch| !self.keys.contains_key(epoch)).map(ToString::to_string).collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(KeyringError::NoEpoch { directory: self.directory.display().to_string(), missing: missing.join(", ") })
    }

    /// Destroys the keys of epochs that nothing is sealed with and that ended before `before`: no backup that is kept
    /// can need them. Returns which.
    pub(super) fn forget(&mut self, used: &BTreeSet<i32>, before: DateTime<Utc>) -> Result<Vec<i32>, KeyringError> {
        let ends = self.all().zip(self.all().skip(1)).map(|((number, _), (_, next))| (number, next.made_at));
        let dead: Vec<i32> =
            ends.filter(|(number, end)| *end < before && !used.contains(number)).map(|(number, _)| number).collect();
        for number in &dead {
            let path = self.path(*number);
            files::remove(&path).map_err(|error| unusable(&path, &error))?;
            self.keys.remove(number);
        }
        Ok(dead)
    }

    fn path(&self, number: i32) -> PathBuf {
        self.directory.join(format!("epoch-{number:06}.json"))
    }
}

fn about(epoch: i32, owner: Uuid) -> Vec<u8> {
    [b"owner key".as_slice(), &epoch.to_be_bytes(), owner.as_bytes()].concat()
}

fn read(path: &Path) -> Result<(i32, Epoch), KeyringError> {
    let text = fs::read(path).map(Zeroizing::new).map_err(|error| unusable(path, &error))?;
    let file: File = serde_json::from_slice(&text).map_err(|error| unusable(path, &error))?;
    let key = HEXLOWER.decode(file.key.as_bytes()).map(Zeroizing::new).map_err(|error| unusable(path, &error))?;
    let key: &[u8; 32] = key.as_slice().try_into().map_err(|_| unusable(path, &"its key has another length"))?;
    Ok((file.epoch, Epoch { made_at: file.made_at, sealer: Sealer::new(key)? }))
}

fn unusable(path: &Path, problem: &dyn std::fmt::Display) -> KeyringError {
    KeyringError::File { file: path.display().to_string(), problem: problem.to_string() }
}

#[cfg(test)]
mod tests {
    use chrono::Duration;

    use super::*;

    fn day(day: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + Duration::days(day)
    }

    #[test]
    fn epochs_are_kept_in_files_until_they_are_dead() {
        let directory = tempfile::tempdir().unwrap();
        let owner = Uuid::from_u128(1);
        let mut epochs = Epochs::open(directory.path()).unwrap();
        assert_eq!(epochs.turn(day(0)).unwrap(), 1);
        let (first, sealed) = epochs.seal(owner, b"key").unwrap();
        assert_eq!(epochs.turn(day(7)).unwrap(), 2);
        let mut again = Epochs::open(directory.path()).unwrap();
        assert_eq!(again.newest(), Some((2, day(7))));
        assert_eq!(again.open_key(first, owner, &sealed).unwrap().unwrap(), b"key");
        assert!(again.open_key(2, owner, &sealed).unwrap().is_err());
        assert!(again.open_key(first, Uuid::from_u128(2), &sealed).unwrap().is_err());
        assert!(again.open_key(3, owner, &sealed).is_none());

        assert!(again.forget(&BTreeSet::from([1]), day(100)).unwrap().is_empty(), "it is in use");
        assert!(again.forget(&BTreeSet::from([2]), day(7)).unwrap().is_empty(), "it ended too short ago");
        assert_eq!(again.forget(&BTreeSet::from([2]), day(8)).unwrap(), [1]);
        assert!(Epochs::open(directory.path()).unwrap().must_have(&BTreeSet::from([1, 2])).is_err());
        assert!(again.forget(&BTreeSet::new(), day(1000)).unwrap().is_empty(), "the newest never dies");
    }

    #[test]
    fn a_damaged_file_is_named() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("epoch-000001.json"), "{}").unwrap();
        let error = Epochs::open(directory.path()).err().unwrap().to_string();
        assert!(error.contains("epoch-000001.json"), "{error}");
    }
}
