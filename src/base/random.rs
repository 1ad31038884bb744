//! Secrets from the operating system's generator.

use data_encoding::{BASE64URL_NOPAD, Specification};

/// The operating system gave no randomness; nothing that needs a secret can go on.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gave no random bytes")]
pub struct NoRandomness;

pub fn bytes<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(bytes)
}

/// 256 bits as text that fits in a header, a cookie or an address.
pub fn token() -> Result<String, NoRandomness> {
    Ok(BASE64URL_NOPAD.encode(&bytes::<32>()?))
}

/// A password that a person can read out: 80 bits in four groups, without letters that look alike.
pub fn readable_password() -> Result<String, NoRandomness> {
    loop {
        if let Some(text) = readable(&bytes()?) {
            return Ok(text);
        }
    }
}

/// The readable form of 80 bits, for about every second draw: 31 legible symbols and a stand-in, and what holds the
/// stand-in is drawn again.
pub fn readable(bits: &[u8; 10]) -> Option<String> {
    let mut specification = Specification::new();
    specification.symbols.push_str("23456789abcdefghjkmnpqrstuvwxyz#");
    let text = specification.encoding().ok()?.encode(bits);
    let (a, rest) = text.split_at_checked(4)?;
    let (b, rest) = rest.split_at_checked(4)?;
    let (c, d) = rest.split_at_checked(4)?;
    (!text.contains('#')).then(|| format!("{a}-{b}-{c}-{d}"))
}

/// A seed for work whose person gave none.
pub fn seed() -> Result<u32, NoRandomness> {
    Ok(u32::from_be_bytes(bytes()?))
}

#[cfg(test)]
mod tests {
    #[test]
    fn readable_passwords_are_four_groups_and_differ() {
        let one = super::readable_password().unwrap();
        assert_eq!(one.split('-').map(str::len).collect::<Vec<_>>(), [4, 4, 4, 4]);
        assert_ne!(one, super::readable_password().unwrap());
    }
}
