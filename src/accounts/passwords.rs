//! Passwords: how they are hashed, how many at a time, and which new ones are good enough.
//!
//! Argon2id with 64 MiB, three passes, one lane. A hash takes about a tenth of a second and 64 MiB, so few run at the
//! same time and a bounded number waits; whoever comes then is asked to come back. What is verified is exactly what was
//! received: no trimming, no normal form, NUL included.

use std::{collections::HashSet, sync::LazyLock};

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use super::{
    error::AccountsError,
    model::{Mail, Name},
};
use crate::base::error::FieldFault;

const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;
const LANES: u32 = 1;

/// Fewest characters of a new password.
pub const LEAST: usize = 12;
/// Most bytes of a new password.
pub const MOST: usize = 1024;

/// Nobody's password: verified against when there is no account, so that the answer takes as long.
const NOBODY: &str =
    "$argon2id$v=19$m=65536,t=3,p=1$c2FsdCBvZiBub2JvZHkuLg$ZHkmrTrwSL4YXqXJrvUTMGVjU8nBL2BM8BXxZvwTMsw";

/// Two at a time, and no more than this many running or waiting.
static GATE: Gate = Gate::new(64, 2);

struct Gate {
    room: Semaphore,
    at_once: Semaphore,
}

impl Gate {
    const fn new(room: usize, at_once: usize) -> Self {
        Self { room: Semaphore::const_new(room), at_once: Semaphore::const_new(at_once) }
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, AccountsError> {
        let _place = self.room.try_acquire().map_err(|_| AccountsError::Busy)?;
        let _turn = self.at_once.acquire().await.map_err(|_| AccountsError::Busy)?;
        metrics::counter!("renderkeep_password_hashes_total").increment(1);
        tokio::task::spawn_blocking(work).await.map_err(|error| AccountsError::Hashing(error.into()))
    }
}

/// What a check of a password found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Wrong,
    Right,
    /// Right, and hashed with other parameters than today's.
    RightButOutdated,
}

fn hasher() -> Result<Argon2<'static>, AccountsError> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|error| AccountsError::Hashing(error.into()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

pub async fn hash(password: &str) -> Result<String, AccountsError> {
    let hasher = hasher()?;
    let password = Zeroizing::new(password.as_bytes().to_vec());
    let hash = GATE.run(move || hasher.hash_password(&password)).await?;
    Ok(hash.map_err(|error| AccountsError::Hashing(error.into()))?.to_string())
}

/// Checks against `stored`; without one the same work is done for nothing.
pub async fn verify(password: &str, stored: Option<&str>) -> Result<Verdict, AccountsError> {
    let known = stored.is_some();
    let parsed = PasswordHash::new(stored.unwrap_or(NOBODY)).map_err(|error| AccountsError::Hashing(error.into()))?;
    let outdated = outdated(&parsed);
    let hasher = hasher()?;
    let password = Zeroizing::new(password.as_bytes().to_vec());
    let right = GATE.run(move || hasher.verify_password(&password, &parsed).is_ok()).await?;
    Ok(match (right && known, outdated) {
        (false, _) => Verdict::Wrong,
        (true, false) => Verdict::Right,
        (true, true) => Verdict::RightButOutdated,
    })
}

fn outdated(hash: &PasswordHash) -> bool {
    let today = Params::new(MEMORY_KIB, PASSES, LANES, None).ok();
    let stored = Params::try_from(hash).ok();
    let same = today.zip(stored).is_some_and(|(today, stored)| {
        (today.m_cost(), today.t_cost(), today.p_cost()) == (stored.m_cost(), stored.t_cost(), stored.p_cost())
    });
    hash.algorithm.as_str() != Algorithm::Argon2id.as_str() || !same
}

/// One per line, in lower case; only those that are long enough to be tried.
static COMMON: LazyLock<HashSet<&'static str>> =
    LazyLock::new(|| include_str!("common_passwords.txt").lines().collect());

/// Whether somebody may take this as their new password.
pub fn acceptable(password: &str, mail: &Mail, name: &Name) -> Result<(), FieldFault> {
    let fault = |code, message: &str| Err(FieldFault::new("password", code, message));
    if password.chars().count() < LEAST {
        return fault(
            "too_short",
            "A password has at least 12 characters. A few words that only you would put together are good.",
        );
    }
    if password.len() > MOST {
        return fault("too_long", "A password has at most 1,024 bytes.");
    }
    let lower = password.to_lowercase();
    if COMMON.contains(lower.trim()) || monotonous(&lower) {
        return fault("common", "This password is on the list of common ones. Choose another.");
    }
    if about(mail, name).iter().any(|part| lower.contains(part.as_str())) {
        return fault("about_you", "This password holds your mail or your name. Choose another.");
    }
    Ok(())
}

/// One or two different characters all along.
fn monotonous(password: &str) -> bool {
    password.chars().collect::<HashSet<_>>().len() < 3
}

/// Parts of mail and name that are long enough to be no accident.
fn about(mail: &Mail, name: &Name) -> Vec<String> {
    let name = name.as_str().to_lowercase();
    let words = name.split_whitespace().map(str::to_owned);
    let joined = name.split_whitespace().collect::<String>();
    [mail.as_str().to_owned(), mail.local_part().to_owned(), joined]
        .into_iter()
        .chain(words)
        .filter(|part| part.chars().count() >= 4)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(password: &str) -> Result<(), String> {
        let (mail, name) = ("mara.lindqvist@example.org".parse().unwrap(), "Mara Lindqvist".parse().unwrap());
        acceptable(password, &mail, &name).map_err(|fault| fault.code)
    }

    #[test]
    fn asvs_v6_2_1_length_has_bounds() {
        assert_eq!(check("kq7-vw2-pz9"), Err("too_short".into()));
        assert_eq!(check("kq7-vw2-pz9x"), Ok(()));
        assert_eq!(check(&"kq7é".repeat(3)), Ok(()));
        assert_eq!(check(&"kq7z".repeat(256)), Ok(()));
        assert_eq!(check(&format!("{}x", "kq7z".repeat(256))), Err("too_long".into()));
    }

    #[test]
    fn asvs_v6_2_4_every_common_password_is_refused() {
        assert!(COMMON.len() >= 3_000, "{} common passwords", COMMON.len());
        for password in COMMON.iter() {
            assert!(password.chars().count() >= LEAST, "{password:?} is too short to be tried");
            assert_eq!(*password, password.to_lowercase());
            assert_eq!(check(&password.to_uppercase()), Err("common".into()), "{password:?}");
        }
        assert_eq!(check("aaaaaaaaaaaaaaaa"), Err("common".into()));
    }

    #[test]
    fn a_password_is_not_about_its_owner() {
        for password in ["my-LINDQVIST-77!", "xx mara lindqvist xx", "mara.lindqvist@example.org", "x-maralindqvist-x"]
        {
            assert_eq!(check(password), Err("about_you".into()), "{password:?}");
        }
    }

    #[tokio::test]
    async fn asvs_v6_2_8_only_the_exact_bytes_fit() {
        let password = " pässwort\0 mit rändern ";
        let stored = hash(password).await.unwrap();
        assert_eq!(verify(password, Some(&stored)).await.unwrap(), Verdict::Right);
        for other in [password.trim(), "pa\u{308}sswort\0 mit ra\u{308}ndern", " pässwort", &password.to_uppercase()] {
            assert_eq!(verify(other, Some(&stored)).await.unwrap(), Verdict::Wrong, "{other:?}");
        }
    }

    #[tokio::test]
    async fn nobody_has_no_password() {
        assert_eq!(verify("", None).await.unwrap(), Verdict::Wrong);
        assert!(!outdated(&PasswordHash::new(NOBODY).unwrap()), "the empty work must cost what real work costs");
    }

    #[tokio::test]
    async fn old_parameters_are_noticed() {
        let weak = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(64, 1, 1, None).unwrap());
        let stored = weak.hash_password(b"some old password").unwrap().to_string();
        assert_eq!(verify("some old password", Some(&stored)).await.unwrap(), Verdict::RightButOutdated);
    }

    #[tokio::test]
    async fn whoever_finds_no_room_is_sent_away_at_once() {
        let gate = Gate::new(1, 1);
        let _taken = gate.room.try_acquire().unwrap();
        assert!(matches!(gate.run(|| ()).await, Err(AccountsError::Busy)));
    }
}
