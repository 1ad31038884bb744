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
    let mut specification = Specification::new();
    specification.symbols.push_str("23456789abcdefghjkmnpqrstuvwxyz#");
    // 31 legible symbols and a stand-in; a draw with the stand-in is repeated.
    let encoding = specification.encoding().map_err(|_| NoRandomness)?;
    loop {
        let text = encoding.encode(&bytes::<10>()?);
        if !text.contains('#') {
            let (a, rest) = text.split_at(4);
            let (b, rest) = rest.split_at(4);
            let (c, d) = rest.split_at(4);
            return Ok(format!("{a}-{b}-{c}-{d}"));
        }
    }
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
