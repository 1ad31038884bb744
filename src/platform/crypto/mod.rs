//! Keys for single purposes, all derived from one key, and what they do: seal, open, hash.
//!
//! HKDF-SHA-256 gives each purpose its own key, so that a value made for one purpose is worthless for another.
//! `keyring` says where the first key comes from. Primitives come from `ring`.

use data_encoding::BASE64URL_NOPAD;
use ring::{aead, hkdf, hmac};

use crate::base::random;

pub struct Keys {
    secret: Secret,
}

/// A random key that others are derived from and that nothing is sealed with itself.
pub struct Secret(hkdf::Prk);

impl Secret {
    pub fn new(key: &[u8; 32]) -> Self {
        Self(hkdf::Salt::new(hkdf::HKDF_SHA256, b"renderkeep root v1").extract(key))
    }

    /// The key for what `label` says. Another label gives another key.
    pub fn derive(&self, label: &[u8]) -> Result<[u8; 32], CryptoError> {
        let mut key = [0; 32];
        let info = [label];
        let okm = self.0.expand(&info, hkdf::HKDF_SHA256).map_err(|_| CryptoError::Derive)?;
        okm.fill(&mut key).map_err(|_| CryptoError::Derive)?;
        Ok(key)
    }
}

/// Seals short values with AES-256-GCM: 12 bytes of random nonce, the ciphertext, 16 bytes of tag.
#[derive(Clone)]
pub struct Sealer(aead::LessSafeKey);

impl Sealer {
    pub fn new(key: &[u8; 32]) -> Result<Self, CryptoError> {
        let key = aead::UnboundKey::new(&aead::AES_256_GCM, key).map_err(|_| CryptoError::Derive)?;
        Ok(Self(aead::LessSafeKey::new(key)))
    }

    /// `about` is bound in and must be the same to open it.
    pub fn seal(&self, about: &[u8], plain: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let nonce: [u8; 12] = random::bytes()?;
        let mut sealed = plain.to_vec();
        self.0
            .seal_in_place_append_tag(aead::Nonce::assume_unique_for_key(nonce), aead::Aad::from(about), &mut sealed)
            .map_err(|_| CryptoError::Derive)?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    pub fn open(&self, about: &[u8], sealed: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let (nonce, body) = sealed.split_at_checked(12).ok_or(CryptoError::Unsealable)?;
        let nonce = aead::Nonce::try_assume_unique_for_key(nonce).map_err(|_| CryptoError::Unsealable)?;
        let mut body = body.to_vec();
        let plain =
            self.0.open_in_place(nonce, aead::Aad::from(about), &mut body).map_err(|_| CryptoError::Unsealable)?;
        Ok(plain.to_vec())
    }

    /// The same for a key.
    pub fn open_key(&self, about: &[u8], sealed: &[u8]) -> Result<[u8; 32], CryptoError> {
        self.open(about, sealed)?.try_into().map_err(|_| CryptoError::Unsealable)
    }
}

/// What a key is for. Part of the derivation: renaming one makes everything made with it unreadable.
#[derive(Clone, Copy, Debug)]
pub enum Purpose {
    /// Cursors of lists.
    Cursor,
    /// Form tokens against cross-site requests.
    Form,
    /// Addresses that carry their own permission for an hour.
    SignedUrl,
    /// Answers kept for an `Idempotency-Key`.
    KeptAnswer,
    /// Bodies of requests that may come again.
    RequestBody,
    /// Owners' keys.
    OwnerKey,
    /// Mail addresses, to find a person by theirs.
    Mail,
    /// Words of people's names and mail addresses, to search for them.
    PeopleSearch,
    /// Providers' API keys.
    ProviderSecret,
    /// Names of accounts and networks in the sign-in throttle.
    Throttle,
    /// The first owner's one-time password: the same at every start until it is changed, and stored nowhere.
    FirstPassword,
    /// What the audit log's checkpoints are signed with.
    AuditSigning,
    /// Addresses and credentials of stores.
    StoreSettings,
}

impl Purpose {
    fn label(self) -> &'static [u8] {
        match self {
            Self::Cursor => b"renderkeep cursor v1",
            Self::Form => b"renderkeep form v1",
            Self::SignedUrl => b"renderkeep signed url v1",
            Self::KeptAnswer => b"renderkeep kept answer v1",
            Self::RequestBody => b"renderkeep request body v1",
            Self::OwnerKey => b"renderkeep owner key v1",
            Self::Mail => b"renderkeep mail v1",
            Self::PeopleSearch => b"renderkeep people search v1",
            Self::ProviderSecret => b"renderkeep provider secret v1",
            Self::Throttle => b"renderkeep throttle v1",
            Self::FirstPassword => b"renderkeep first password v1",
            Self::AuditSigning => b"renderkeep audit signing v1",
            Self::StoreSettings => b"renderkeep store settings v1",
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum CryptoError {
    #[error("the key could not be derived")]
    Derive,
    #[error("this was not sealed here, or was changed since")]
    Unsealable,
    #[error(transparent)]
    Random(#[from] random::NoRandomness),
}

impl Keys {
    pub fn new(secret: &[u8; 32]) -> Self {
        Self { secret: Secret::new(secret) }
    }

    fn bytes(&self, purpose: Purpose) -> Result<[u8; 32], CryptoError> {
        self.secret.derive(purpose.label())
    }

    /// The key that words are hashed with to be found again.
    pub(super) fn search(&self, purpose: Purpose) -> Result<hmac::Key, CryptoError> {
        Ok(hmac::Key::new(hmac::HMAC_SHA256, &self.bytes(purpose)?))
    }

    /// Keyed hash of `message`.
    pub fn mac(&self, purpose: Purpose, message: &[u8]) -> Result<[u8; 32], CryptoError> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.bytes(purpose)?);
        hmac::sign(&key, message).as_ref().try_into().map_err(|_| CryptoError::Derive)
    }

    pub fn mac_text(&self, purpose: Purpose, message: &[u8]) -> Result<String, CryptoError> {
        Ok(BASE64URL_NOPAD.encode(&self.mac(purpose, message)?))
    }

    /// Whether `mac` is the keyed hash of `message`, in constant time.
    pub fn verify(&self, purpose: Purpose, message: &[u8], mac: &[u8]) -> bool {
        self.bytes(purpose)
            .is_ok_and(|key| hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, &key), message, mac).is_ok())
    }

    /// Sealed under the purpose's key; `about` is bound in and must be the same to open it.
    pub fn seal(&self, purpose: Purpose, about: &[u8], plain: &[u8]) -> Result<Vec<u8>, CryptoError> {
        Sealer::new(&self.bytes(purpose)?)?.seal(about, plain)
    }

    pub fn open(&self, purpose: Purpose, about: &[u8], sealed: &[u8]) -> Result<Vec<u8>, CryptoError> {
        Sealer::new(&self.bytes(purpose)?)?.open(about, sealed)
    }

    pub fn open_key(&self, purpose: Purpose, about: &[u8], sealed: &[u8]) -> Result<[u8; 32], CryptoError> {
        Sealer::new(&self.bytes(purpose)?)?.open_key(about, sealed)
    }
}

/// SHA-256, for values that are random themselves: tokens and session ids.
pub fn digest(bytes: &[u8]) -> [u8; 32] {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_opens_only_for_the_same_purpose_and_subject() {
        let keys = Keys::new(&[7; 32]);
        let sealed = keys.seal(Purpose::KeptAnswer, b"a", b"hello").unwrap();
        assert_eq!(keys.open(Purpose::KeptAnswer, b"a", &sealed).unwrap(), b"hello");
        assert!(keys.open(Purpose::KeptAnswer, b"b", &sealed).is_err());
        assert!(keys.open(Purpose::ProviderSecret, b"a", &sealed).is_err());
        for at in 0..sealed.len() {
            let mut flipped = sealed.clone();
            flipped[at] ^= 1;
            assert!(keys.open(Purpose::KeptAnswer, b"a", &flipped).is_err());
        }
    }

    #[test]
    fn macs_differ_by_purpose() {
        let keys = Keys::new(&[7; 32]);
        let mac = keys.mac(Purpose::Form, b"x").unwrap();
        assert!(keys.verify(Purpose::Form, b"x", &mac));
        assert!(!keys.verify(Purpose::Cursor, b"x", &mac));
        assert!(!keys.verify(Purpose::Form, b"y", &mac));
    }
}
