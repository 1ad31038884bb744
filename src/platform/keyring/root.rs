//! The root key: what everything else hangs on.

use std::fmt;

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::{KeyringError, store};
use crate::platform::crypto::{CryptoError, Sealer, Secret};

/// 32 random bytes that never enter the database.
pub struct RootKey {
    secret: Secret,
}

/// Names a root key without giving it away: 16 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyId(String);

impl fmt::Display for KeyId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl KeyId {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What is wrong with the text of a root key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRootKey {
    #[error(
        "is not 64 hexadecimal digits. Restore it from where you keep it; only for a new installation make one with: \
         openssl rand -hex 32"
    )]
    Malformed,
    #[error("is the sample of `config example`, which everybody knows. Make one with: openssl rand -hex 32")]
    Sample,
}

impl RootKey {
    pub fn new(key: &[u8; 32]) -> Self {
        Self { secret: Secret::new(key) }
    }

    /// From 64 hexadecimal digits.
    pub fn parse(text: &SecretString) -> Result<Self, NoRootKey> {
        let bytes = HEXLOWER_PERMISSIVE.decode(text.expose_secret().trim().as_bytes()).map(Zeroizing::new);
        let key: [u8; 32] =
            bytes.map_err(|_| NoRootKey::Malformed)?.as_slice().try_into().map_err(|_| NoRootKey::Malformed)?;
        if key == [0; 32] { Err(NoRootKey::Sample) } else { Ok(Self::new(&key)) }
    }

    pub fn id(&self) -> Result<KeyId, CryptoError> {
        let id = self.secret.derive(b"renderkeep root key id v1")?;
        Ok(KeyId(HEXLOWER.encode(id.first_chunk::<8>().unwrap_or(&[0; 8]))))
    }

    fn sealer(&self) -> Result<Sealer, CryptoError> {
        Sealer::new(&self.secret.derive(b"renderkeep organisation key v1")?)
    }

    /// Seals the organisation's key.
    pub(super) fn seal(&self, key: &[u8; 32]) -> Result<Vec<u8>, CryptoError> {
        self.sealer()?.seal(b"organisation key", key)
    }

    fn open(&self, sealed: &[u8]) -> Result<Zeroizing<[u8; 32]>, CryptoError> {
        self.sealer()?.open_key(b"organisation key", sealed).map(Zeroizing::new)
    }
}

/// The organisation's key, by the root key that the row names.
pub(super) fn open(row: &store::OrganisationRow, roots: &[RootKey]) -> Result<Zeroizing<[u8; 32]>, KeyringError> {
    let mut found = Vec::new();
    for root in roots {
        let id = root.id()?;
        if id.as_str() == row.root_key_id {
            return Ok(root.open(&row.sealed_key)?);
        }
        found.push(id.to_string());
    }
    let found = if found.is_empty() { "not set".to_owned() } else { found.join(" and ") };
    Err(KeyringError::OtherRoot { needed: KeyId(row.root_key_id.clone()), found })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_key_is_64_digits_and_not_the_sample() {
        let parse = |text: &str| RootKey::parse(&SecretString::from(text)).map(drop);
        assert_eq!(parse(&"7f".repeat(32)), Ok(()));
        assert_eq!(parse(&format!(" {}\n", "7F".repeat(32))), Ok(()));
        assert_eq!(parse(&"00".repeat(32)), Err(NoRootKey::Sample));
        for wrong in ["", "7f", "no key at all", &"7g".repeat(32), &"7f".repeat(33)] {
            assert_eq!(parse(wrong), Err(NoRootKey::Malformed), "{wrong}");
        }
    }

    #[test]
    fn an_id_tells_keys_apart_and_stays() {
        let id = |byte| RootKey::new(&[byte; 32]).id().unwrap().to_string();
        assert_ne!(id(1), id(2));
        // Written into databases: it must never change.
        assert_eq!(id(7), "2ef47ff8c21c0176");
    }
}
