//! A checkpoint: the end of the chain at a moment, signed, on one line of JSON that anybody can check with the public key.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    path::Path,
};

use chrono::{DateTime, SecondsFormat, Utc};
use data_encoding::HEXLOWER;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::{
    attest::{Attested, Identity},
    chain::canonical,
};

const VERSION: u32 = 1;
/// So that a signature made here means nothing anywhere else.
const DOMAIN: &str = "renderkeep audit checkpoint v1\n";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    pub version: u32,
    pub server: Uuid,
    pub sequence: i64,
    /// Of the chain at `sequence`, in hexadecimal digits like everything below.
    pub hash: String,
    pub at: String,
    pub key: String,
    pub signature: String,
}

impl Checkpoint {
    pub(super) fn sign(pair: &Ed25519KeyPair, server: Uuid, sequence: i64, hash: &[u8], at: DateTime<Utc>) -> Self {
        let mut checkpoint = Self {
            version: VERSION,
            server,
            sequence,
            hash: HEXLOWER.encode(hash),
            at: at.to_rfc3339_opts(SecondsFormat::Micros, true),
            key: HEXLOWER.encode(pair.public_key().as_ref()),
            signature: String::new(),
        };
        checkpoint.signature = HEXLOWER.encode(pair.sign(checkpoint.signed().as_bytes()).as_ref());
        checkpoint
    }

    /// One that the database kept the parts of.
    pub(super) fn remembered(by: &Identity, kept: &Attested) -> Self {
        Self {
            version: VERSION,
            server: by.server,
            sequence: kept.seq,
            hash: HEXLOWER.encode(&kept.hash),
            at: kept.at.to_rfc3339_opts(SecondsFormat::Micros, true),
            key: HEXLOWER.encode(&by.public_key),
            signature: HEXLOWER.encode(&kept.signature),
        }
    }

    /// Whether whoever holds the secret half of `key` signed exactly this.
    pub fn is_signed_by(&self, key: &[u8]) -> bool {
        let Ok(signature) = HEXLOWER.decode(self.signature.as_bytes()) else { return false };
        let genuine = UnparsedPublicKey::new(&ED25519, key).verify(self.signed().as_bytes(), &signature).is_ok();
        genuine && self.version == VERSION && self.key == HEXLOWER.encode(key)
    }

    fn signed(&self) -> String {
        let fields = json!({
            "version": self.version,
            "server": self.server,
            "sequence": self.sequence,
            "hash": self.hash,
            "at": self.at,
            "key": self.key,
        });
        format!("{DOMAIN}{}", canonical(&fields))
    }

    pub(super) fn line(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    pub(super) fn signature_bytes(&self) -> Vec<u8> {
        HEXLOWER.decode(self.signature.as_bytes()).unwrap_or_default()
    }
}

/// Every checkpoint of a file, and how many of its lines are none: a power cut may have left half of one.
pub fn read(file: &Path) -> io::Result<(Vec<Checkpoint>, usize)> {
    let (mut checkpoints, mut unreadable) = (Vec::new(), 0);
    for line in BufReader::new(File::open(file)?).split(b'\n') {
        match line? {
            line if line.is_empty() => {}
            line => match serde_json::from_slice(&line) {
                Ok(checkpoint) => checkpoints.push(checkpoint),
                Err(_) => unreadable += 1,
            },
        }
    }
    Ok((checkpoints, unreadable))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::platform::files;

    fn checkpoint() -> (Ed25519KeyPair, Checkpoint) {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let at = DateTime::from_timestamp(1_795_176_000, 0).unwrap();
        let checkpoint = Checkpoint::sign(&pair, Uuid::from_u128(5), 42, &[9; 32], at);
        (pair, checkpoint)
    }

    #[test]
    fn a_signature_holds_for_every_field_and_one_key() {
        let (pair, good) = checkpoint();
        let key = pair.public_key().as_ref();
        assert!(good.is_signed_by(key));
        let other = Ed25519KeyPair::from_seed_unchecked(&[8; 32]).unwrap();
        assert!(!good.is_signed_by(other.public_key().as_ref()));
        let digit =
            |text: &str| if text.starts_with('0') { text.replacen('0', "1", 1) } else { format!("0{}", &text[1..]) };
        let changed = [
            Checkpoint { version: 2, ..good.clone() },
            Checkpoint { server: Uuid::from_u128(6), ..good.clone() },
            Checkpoint { sequence: 43, ..good.clone() },
            Checkpoint { hash: digit(&good.hash), ..good.clone() },
            Checkpoint { at: good.at.replace("2026", "2027"), ..good.clone() },
            Checkpoint { key: digit(&good.key), ..good.clone() },
            Checkpoint { signature: digit(&good.signature), ..good.clone() },
        ];
        for bad in changed {
            assert_ne!(bad, good);
            assert!(!bad.is_signed_by(key), "{bad:?}");
        }
    }

    #[test]
    fn lines_are_added_and_read_past_a_torn_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("checkpoints.jsonl");
        let (_, good) = checkpoint();
        files::append_line(&path, good.line().unwrap().as_bytes()).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let whole = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, whole + "{\"version\":1,\"se").unwrap();
        files::append_line(&path, good.line().unwrap().as_bytes()).unwrap();
        assert_eq!(read(&path).unwrap(), (vec![good.clone(), good], 1));
    }
}
