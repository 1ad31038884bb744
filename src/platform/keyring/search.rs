//! The blind index: sealed text stays searchable by hashes of its words.
//!
//! A word is what Unicode (UAX #29) calls one, in compatibility form, lower case and without accents. It is found by
//! itself and by its first three letters or more. Each becomes 64 bits of an HMAC under a key of the owner, so that a
//! column of them says nothing to whoever has not the key, beyond which rows share a word.

use std::collections::BTreeSet;

use ring::hmac;
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};
use unicode_segmentation::UnicodeSegmentation;

/// Hashes of words, sorted: a value of a `bigint[]` column with a GIN index.
pub type Words = Vec<i64>;

/// Letters from which on the beginning of a word finds it.
const SHORTEST: usize = 3;
/// Letters beyond which words are not told apart.
const LONGEST: usize = 16;
/// Words of one text that can be found; the index stays smaller than most texts.
const MOST_WORDS: usize = 256;

/// What these texts are found by, together.
pub(super) fn words(key: &hmac::Key, texts: &[&str]) -> Words {
    let mut hashes = BTreeSet::new();
    let distinct: BTreeSet<Vec<char>> = texts.iter().flat_map(|text| split(text)).take(MOST_WORDS).collect();
    for word in distinct {
        for length in (SHORTEST..=word.len()).chain([word.len()]) {
            hashes.extend(word.get(..length).map(|beginning| hash(key, beginning)));
        }
    }
    hashes.into_iter().collect()
}

/// Every word of `query`, or how it begins. None when there is no word in it.
pub(super) fn query(key: &hmac::Key, query: &str) -> Option<Words> {
    let hashes: BTreeSet<i64> = split(query).take(MOST_WORDS).map(|word| hash(key, &word)).collect();
    (!hashes.is_empty()).then(|| hashes.into_iter().collect())
}

fn split(text: &str) -> impl Iterator<Item = Vec<char>> {
    // By way of capitals, so that `straße` and `STRASSE` are the same.
    let lower: String = text.nfkc().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect();
    let folded: String = lower.nfd().filter(|letter| !is_combining_mark(*letter)).nfc().collect();
    // `teapot.png` and `IMG_0012` are two words each.
    let folded = folded.replace(|letter: char| !letter.is_alphanumeric(), " ");
    let words: Vec<Vec<char>> = folded.unicode_words().map(|word| word.chars().take(LONGEST).collect()).collect();
    words.into_iter()
}

fn hash(key: &hmac::Key, letters: &[char]) -> i64 {
    let word: String = letters.iter().collect();
    let tag = hmac::sign(key, word.as_bytes());
    tag.as_ref().first_chunk().map_or(0, |bytes| i64::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &[7; 32])
    }

    fn finds(text: &str, asked: &str) -> bool {
        let words = words(&key(), &[text]);
        query(&key(), asked).is_some_and(|asked| asked.iter().all(|hash| words.contains(hash)))
    }

    #[test]
    fn words_are_found_by_themselves_and_by_how_they_begin() {
        let text = "Zwei Übergänge über die Straße, 4K: ﬁne art — Ångström naïve 風景 IMG_0012.jpeg";
        for asked in [
            "zwei",
            "ZWEI",
            "zwe",
            "uber",
            "über",
            "straß",
            "STRASSE",
            "fine",
            "angstrom",
            "naive",
            "4k",
            "風景",
            "art über",
        ] {
            assert!(finds(text, asked), "{asked}");
        }
        for asked in ["zw", "wei", "ub", "drei", "zwei drei", "4", "ar", "", " … "] {
            assert!(!finds(text, asked), "{asked}");
        }
    }

    #[test]
    fn a_text_without_end_costs_no_index_without_end() {
        let text: String = (0..100_000).map(|number| format!("word{number} ")).collect();
        assert!(words(&key(), &[&text]).len() <= MOST_WORDS * (LONGEST - SHORTEST + 1));
    }

    proptest! {
        #[test]
        fn every_word_finds_its_text(words in prop::collection::vec("[\\p{Latin}0-9]{1,20}", 1..9)) {
            let text = words.join(", ");
            for word in &words {
                prop_assert!(finds(&text, word), "{}", word);
                prop_assert!(finds(&text, &word.to_uppercase()), "{}", word.to_uppercase());
            }
        }
    }
}
