//! The headers of RFC 9110 and RFC 6266 that content is asked for and answered with, as pure functions.

use std::{fmt::Write, ops::Range};

/// What a `Range` header asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Asked {
    /// No range, several, or one that cannot be understood.
    Whole,
    Part(Range<u64>),
    /// A range that lies outside.
    Outside,
}

/// One range of bytes is honoured; of several the whole is the answer.
pub fn range(header: Option<&str>, length: u64) -> Asked {
    let Some(spec) = header.and_then(|header| header.trim().strip_prefix("bytes=")) else { return Asked::Whole };
    let Some((first, last)) = spec.trim().split_once('-') else { return Asked::Whole };
    match (number(first), number(last)) {
        (Ok(None), Ok(Some(0))) => Asked::Outside,
        (Ok(None), Ok(Some(suffix))) if length > 0 => Asked::Part(length.saturating_sub(suffix)..length),
        (Ok(None), Ok(Some(_))) => Asked::Outside,
        (Ok(Some(first)), Ok(last)) if last.is_none_or(|last| first <= last) => {
            if first >= length {
                return Asked::Outside;
            }
            Asked::Part(first..last.map_or(length, |last| last.saturating_add(1).min(length)))
        }
        _ => Asked::Whole,
    }
}

/// Digits only, or nothing; a number too large for us is the largest.
fn number(text: &str) -> Result<Option<u64>, ()> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(());
    }
    if text.is_empty() { Ok(None) } else { Ok(Some(text.parse().unwrap_or(u64::MAX))) }
}

/// Whether the caller of `If-None-Match` has this version already. Weak and strong count the same here.
pub fn has(header: Option<&str>, etag: &str) -> bool {
    header.is_some_and(|header| {
        header.split(',').map(str::trim).any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == etag)
    })
}

/// Whether the range of `If-Range` belongs to this version: only a strong ETag proves it.
pub fn range_is_of(header: Option<&str>, etag: &str) -> bool {
    header.is_none_or(|header| header.trim() == etag)
}

/// Whether the caller of this `Accept` takes WebP. Wildcards come from callers that say nothing about it.
pub fn takes_webp(header: Option<&str>) -> bool {
    header.unwrap_or_default().split(',').any(|entry| {
        let mut words = entry.split(';').map(str::trim);
        let named = words.next().is_some_and(|name| name.eq_ignore_ascii_case("image/webp"));
        named && !words.any(|word| word.strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0)))
    })
}

/// To be saved under this name: in ASCII for old callers, and the name itself for all others.
pub fn attachment(name: &str) -> String {
    let plain = |letter: char| letter.is_ascii_graphic() && !matches!(letter, '"' | '\\' | '%') || letter == ' ';
    let fallback: String = name.chars().map(|letter| if plain(letter) { letter } else { '_' }).collect();
    let mut text = format!("attachment; filename=\"{fallback}\"");
    if fallback != name {
        text.push_str("; filename*=UTF-8''");
        for byte in name.bytes() {
            if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
                text.push(char::from(byte));
            } else {
                let _ = write!(text, "%{byte:02X}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_range_is_honoured() {
        for (header, wanted) in [
            ("bytes=0-9", Asked::Part(0..10)),
            ("bytes=90-", Asked::Part(90..100)),
            ("bytes=-10", Asked::Part(90..100)),
            ("bytes=-1000", Asked::Part(0..100)),
            ("bytes=50-1000", Asked::Part(50..100)),
            ("bytes=50-99999999999999999999999", Asked::Part(50..100)),
            ("bytes=99-99", Asked::Part(99..100)),
            ("bytes=100-", Asked::Outside),
            ("bytes=99999999999999999999999-", Asked::Outside),
            ("bytes=-0", Asked::Outside),
            ("bytes=0-1,5-6", Asked::Whole),
            ("bytes=9-1", Asked::Whole),
            ("bytes=-", Asked::Whole),
            ("bytes=a-b", Asked::Whole),
            ("bytes=+1-2", Asked::Whole),
            ("items=0-1", Asked::Whole),
            ("", Asked::Whole),
        ] {
            assert_eq!(range(Some(header), 100), wanted, "{header}");
        }
        assert_eq!(range(None, 100), Asked::Whole);
    }

    proptest! {
        #[test]
        fn a_range_lies_always_inside(header in "bytes=[0-9]{0,22}-[0-9]{0,22}", length in 1..u64::MAX) {
            if let Asked::Part(part) = range(Some(&header), length) {
                prop_assert!(part.start < part.end && part.end <= length);
            }
        }

        #[test]
        fn asvs_v5_4_2_any_name_makes_one_safe_parameter(name in any::<String>()) {
            let text = attachment(&name);
            prop_assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            prop_assert_eq!(text.matches('"').count(), 2);
            prop_assert!(!text.contains('\\'));
        }
    }

    #[test]
    fn conditions_compare_as_the_standard_says() {
        assert!(has(Some("\"a\", \"b\""), "\"b\""));
        assert!(has(Some("W/\"b\""), "\"b\""));
        assert!(has(Some("*"), "\"b\""));
        assert!(!has(Some("\"c\""), "\"b\""));
        assert!(!has(None, "\"b\""));
        assert!(range_is_of(None, "\"b\""));
        assert!(range_is_of(Some("\"b\""), "\"b\""));
        assert!(!range_is_of(Some("W/\"b\""), "\"b\""));
        assert!(!range_is_of(Some("Fri, 20 Nov 2026 12:00:00 GMT"), "\"b\""));
    }

    #[test]
    fn a_browser_gets_webp_and_an_old_client_jpeg() {
        for takes in
            ["image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5", "image/webp", "IMAGE/WEBP;q=0.1"]
        {
            assert!(takes_webp(Some(takes)), "{takes}");
        }
        for not in ["*/*", "image/*", "image/webp;q=0, image/*", "image/jpeg, image/webp;q=0.0", "text/html", ""] {
            assert!(!takes_webp(Some(not)), "{not}");
        }
        assert!(!takes_webp(None));
    }

    #[test]
    fn names_are_told_twice_where_they_must_be() {
        assert_eq!(attachment("a b.png"), "attachment; filename=\"a b.png\"");
        assert_eq!(
            attachment("Öl \"x\".png"),
            "attachment; filename=\"_l _x_.png\"; filename*=UTF-8''%C3%96l%20%22x%22.png"
        );
    }
}
