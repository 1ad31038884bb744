//! An owner's key and what it seals: keys of objects, texts in the database, words to find them by.

use ring::hmac;
use uuid::Uuid;

use super::search::{self, Words};
use crate::platform::{
    crypto::{CryptoError, Sealer, Secret},
    db::DbError,
};

/// Who can own what is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnerKind {
    Person,
    Workspace,
    Guest,
}

impl OwnerKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Workspace => "workspace",
            Self::Guest => "guest",
        }
    }
}

/// Keys derived from the one that belongs to an owner.
pub struct OwnerKey {
    owner: Uuid,
    objects: Sealer,
    texts: Sealer,
    search: hmac::Key,
}

/// Version of the sealed form of a text.
const FORM: u8 = 1;

impl OwnerKey {
    pub(super) fn new(owner: Uuid, key: &[u8; 32]) -> Result<Self, CryptoError> {
        let secret = Secret::new(key);
        Ok(Self {
            owner,
            objects: Sealer::new(&secret.derive(b"renderkeep object keys v1")?)?,
            texts: Sealer::new(&secret.derive(b"renderkeep texts v1")?)?,
            search: hmac::Key::new(hmac::HMAC_SHA256, &secret.derive(b"renderkeep search v1")?),
        })
    }

    pub fn owner(&self) -> Uuid {
        self.owner
    }

    /// Seals the key of an object.
    pub fn seal_key(&self, object: Uuid, key: &[u8; 32]) -> Result<Vec<u8>, CryptoError> {
        self.objects.seal(&self.about("objects", object), key)
    }

    pub fn open_key(&self, object: Uuid, sealed: &[u8]) -> Result<[u8; 32], CryptoError> {
        self.objects.open_key(&self.about("objects", object), sealed)
    }

    /// Seals a value of `column` (`people.mail`) of the row `row`. It opens nowhere else.
    pub fn seal(&self, column: &str, row: Uuid, plain: &[u8]) -> Result<Vec<u8>, DbError> {
        let sealed = self.texts.seal(&self.about(column, row), plain)?;
        Ok([&[FORM], sealed.as_slice()].concat())
    }

    pub fn open(&self, column: &str, row: Uuid, sealed: &[u8]) -> Result<Vec<u8>, DbError> {
        let body = sealed.strip_prefix(&[FORM]).ok_or(CryptoError::Unsealable)?;
        Ok(self.texts.open(&self.about(column, row), body)?)
    }

    pub fn open_text(&self, column: &str, row: Uuid, sealed: &[u8]) -> Result<String, DbError> {
        String::from_utf8(self.open(column, row, sealed)?).map_err(DbError::unreadable)
    }

    /// What a text is found by.
    pub fn words(&self, texts: &[&str]) -> Words {
        search::words(&self.search, texts)
    }

    /// What `query` looks for; none when it has no word.
    pub fn query(&self, query: &str) -> Option<Words> {
        search::query(&self.search, query)
    }

    fn about(&self, column: &str, row: Uuid) -> Vec<u8> {
        [column.as_bytes(), &[0], row.as_bytes(), self.owner.as_bytes()].concat()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(byte: u8) -> OwnerKey {
        OwnerKey::new(Uuid::from_u128(u128::from(byte)), &[byte; 32]).unwrap()
    }

    proptest! {
        #[test]
        fn a_text_opens_at_its_own_place_only(text in ".{0,200}", at in any::<prop::sample::Index>(), bit in 0..8u8) {
            let (row, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
            let sealed = key(1).seal("people.name", row, text.as_bytes()).unwrap();
            prop_assert_eq!(key(1).open_text("people.name", row, &sealed).unwrap(), text);
            prop_assert!(key(1).open("people.mail", row, &sealed).is_err());
            prop_assert!(key(1).open("people.name", other, &sealed).is_err());
            prop_assert!(key(2).open("people.name", row, &sealed).is_err());
            let mut changed = sealed.clone();
            changed[at.index(sealed.len())] ^= 1 << bit;
            prop_assert!(key(1).open("people.name", row, &changed).is_err());
            prop_assert!(key(1).open("people.name", row, &sealed[..at.index(sealed.len())]).is_err());
        }
    }

    #[test]
    fn an_objects_key_opens_for_its_object_only() {
        let (object, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let sealed = key(1).seal_key(object, &[9; 32]).unwrap();
        assert_eq!(key(1).open_key(object, &sealed).unwrap(), [9; 32]);
        assert!(key(1).open_key(other, &sealed).is_err());
        assert!(key(2).open_key(object, &sealed).is_err());
        assert!(key(1).open("objects", object, &sealed).is_err());
    }

    #[test]
    fn two_owners_share_no_word() {
        assert_ne!(key(1).words(&["teapot"]), key(2).words(&["teapot"]));
    }
}
