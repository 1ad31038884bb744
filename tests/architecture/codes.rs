//! Every stable code that an answer may carry is documented in `docs/API.md`, and every one that `renderkeep doctor` may
//! find in `docs/doctor.md`; nothing is documented that is not there.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::{Source, Token};

/// A code with where it is said.
type Codes = BTreeMap<String, String>;

/// `ledger.cap_reached`, and `not_found`, the one without a room.
fn is_code(text: &str) -> bool {
    let word = |part: &str| !part.is_empty() && part.chars().all(|char| char.is_ascii_lowercase() || char == '_');
    text == "not_found" || text.split_once('.').is_some_and(|(room, rest)| word(room) && word(rest))
}

/// Codes are said in `fn code`, as the second argument of `Problem::new`, and as the code of a failed generation.
fn said(source: &Source) -> Codes {
    let mut codes = Codes::new();
    let mut keep = |at: usize| {
        if let Some(Token::Text(text)) =
            source.tokens.get(at).filter(|token| matches!(token, Token::Text(text) if is_code(text)))
        {
            codes.entry(text.clone()).or_insert_with(|| source.at(at));
        }
    };
    for (at, window) in source.tokens.windows(4).enumerate() {
        match window {
            [Token::Name(a), Token::Name(b), ..] if a == "fn" && b == "code" => source.block(at).for_each(&mut keep),
            [Token::Name(a), Token::Mark(':'), Token::Mark(':'), Token::Name(b)] if a == "Problem" && b == "new" => {
                (at..at + 14).for_each(&mut keep);
            }
            [Token::Name(a), Token::Mark(':'), Token::Mark(':'), Token::Name(_)] if a == "Failure" || a == "Self" => {
                (at..at + 6).for_each(&mut keep);
            }
            [Token::Name(a), Token::Mark(':'), Token::Text(_), ..] if a == "code" => keep(at + 2),
            _ => {}
        }
    }
    codes
}

/// The first cells of the tables of `docs/API.md` that hold a code: "| `ledger.cap_reached` | 402 | ... |".
fn documented(text: &str) -> BTreeSet<String> {
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    rows.map(|(code, _)| code.to_owned()).filter(|code| is_code(code)).collect()
}

/// Everything that looks like a code where the doctor and its checks are.
fn found(source: &Source) -> Codes {
    let is_check = source.path.starts_with("src/cli/doctor/") || source.path.ends_with("/checks.rs");
    if !is_check && source.path != "src/app/inspection.rs" {
        return Codes::new();
    }
    let texts = source.tokens.iter().enumerate().filter_map(|(at, token)| match token {
        Token::Text(text) if text != "not_found" && is_code(text) => Some((text.clone(), source.at(at))),
        _ => None,
    });
    texts.collect()
}

fn findings(codes: &Codes, documented: &BTreeSet<String>, page: &str) -> Vec<String> {
    let lost = codes.iter().filter(|(code, _)| !documented.contains(*code));
    let gone = documented.iter().filter(|code| !codes.contains_key(*code));
    lost.map(|(code, at)| format!("{at}: the code `{code}` is not documented; add a row to {page}"))
        .chain(gone.map(|code| format!("{page}: nothing answers `{code}` any more; take its row out")))
        .collect()
}

fn compare(codes: &Codes, page: &str) {
    assert!(codes.len() > 20, "only {} codes were found", codes.len());
    let text = std::fs::read_to_string(crate::root().join(page)).expect(page);
    crate::none(findings(codes, &documented(&text), page));
}

#[test]
fn every_code_is_documented() {
    let codes: Codes =
        crate::sources().iter().filter(|source| !source.path.ends_with("tests.rs")).flat_map(said).collect();
    compare(&codes, "docs/API.md");
}

#[test]
fn every_finding_is_documented() {
    compare(&crate::sources().iter().flat_map(found).collect(), "docs/doctor.md");
}

#[test]
fn bad_samples_are_found() {
    let text = "impl Fault for X { fn code(&self) -> &'static str { match self { Self::A => \"room.one\" } } }
        fn x() { Problem::new(Kind::Conflict, \"room.two\", \"A sentence.\"); Failure { code: \"room.three\" } }";
    let codes = said(&Source::new("src/room/error.rs", text));
    assert_eq!(codes.keys().collect::<Vec<_>>(), ["room.one", "room.three", "room.two"]);
    let page = documented("| `room.one` | 409 | Why. |\n| `room.gone` | 409 | Why. |");
    let wrong = findings(&codes, &page, "docs/API.md");
    crate::finds(&wrong, "the code `room.two` is not documented");
    crate::finds(&wrong, "nothing answers `room.gone` any more");
    assert_eq!(wrong.len(), 3);
    let check = "const A: Question = Question::never(\"room.uneven\", \"room\", \"Rooms that lean.\");";
    assert_eq!(found(&Source::new("src/room/store/checks.rs", check)).into_keys().collect::<Vec<_>>(), ["room.uneven"]);
    assert!(found(&Source::new("src/room/store/mod.rs", check)).is_empty());
}
