//! The erasure file: whose keys were destroyed. A backup that is restored still has them; this file, which is in no
//! backup of the database, destroys them again before anybody can ask.

use std::{fs, io, path::PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::KeyringError;
use crate::platform::files;

pub struct Erasures {
    file: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Erasure {
    owner: Uuid,
    at: DateTime<Utc>,
}

impl Erasures {
    pub fn new(file: PathBuf) -> Self {
        Self { file }
    }

    pub fn add(&self, owner: Uuid, at: DateTime<Utc>) -> Result<(), KeyringError> {
        let line = serde_json::to_vec(&Erasure { owner, at }).map_err(|error| self.unusable(&error))?;
        files::append_line(&self.file, &line).map_err(|error| self.unusable(&error))
    }

    pub fn read(&self) -> Result<Vec<Uuid>, KeyringError> {
        Ok(self.all()?.into_iter().map(|erasure| erasure.owner).collect())
    }

    /// Forgets what no backup can bring back any more. Returns how many it forgot.
    pub fn forget(&self, before: DateTime<Utc>) -> Result<usize, KeyringError> {
        let all = self.all()?;
        let kept: Vec<&Erasure> = all.iter().filter(|erasure| erasure.at >= before).collect();
        if kept.len() < all.len() {
            let lines: Result<Vec<String>, _> = kept.iter().map(serde_json::to_string).collect();
            let text: String =
                lines.map_err(|error| self.unusable(&error))?.iter().map(|line| format!("{line}\n")).collect();
            files::write(&self.file, text.as_bytes()).map_err(|error| self.unusable(&error))?;
        }
        Ok(all.len() - kept.len())
    }

    /// A line that a crash tore was not acted upon: nothing is destroyed before its line is whole.
    fn all(&self) -> Result<Vec<Erasure>, KeyringError> {
        let text = match fs::read_to_string(&self.file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            read => read.map_err(|error| self.unusable(&error))?,
        };
        let whole = |line: &&str| line.starts_with('{') && line.ends_with('}');
        let lines = text.lines().filter(whole).map(serde_json::from_str);
        lines.collect::<Result<_, _>>().map_err(|error| self.unusable(&error))
    }

    fn unusable(&self, problem: &dyn std::fmt::Display) -> KeyringError {
        KeyringError::File { file: self.file.display().to_string(), problem: problem.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn erasures_stay_until_no_backup_needs_them() {
        let directory = tempfile::tempdir().unwrap();
        let erasures = Erasures::new(directory.path().join("erasures.jsonl"));
        assert!(erasures.read().unwrap().is_empty());
        let day = |day: i64| DateTime::UNIX_EPOCH + chrono::Duration::days(day);
        let owner = Uuid::from_u128;
        erasures.add(owner(1), day(1)).unwrap();
        erasures.add(owner(2), day(2)).unwrap();
        assert_eq!(erasures.read().unwrap(), [owner(1), owner(2)]);
        // As after a crash in the middle of a line.
        let text = fs::read_to_string(&erasures.file).unwrap();
        fs::write(&erasures.file, format!("{text}{{\"owner\":\"0000")).unwrap();
        erasures.add(owner(3), day(3)).unwrap();
        assert_eq!(erasures.read().unwrap(), [owner(1), owner(2), owner(3)]);
        assert_eq!(erasures.forget(day(3)).unwrap(), 2);
        assert_eq!(erasures.read().unwrap(), [owner(3)]);
    }
}
