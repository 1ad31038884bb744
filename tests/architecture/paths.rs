//! Every path of a source from the crate's top, whether it is imported or written out.

use crate::source::{Source, Token};

/// One mention: `crate::library::ops::find` as `["library", "ops", "find"]`, and where it stands.
pub struct Mention {
    pub path: Vec<String>,
    pub at: String,
}

/// All mentions of this crate's modules: `crate::`, `super::` and `self::` paths, with `use` trees spread out.
pub fn mentions(source: &Source) -> Vec<Mention> {
    let mut reader = Reader { source, found: Vec::new(), modules: Vec::new() };
    reader.run();
    reader.found
}

struct Reader<'a> {
    source: &'a Source,
    found: Vec<Mention>,
    /// Inline modules that are open, each with the depth of its brace.
    modules: Vec<(String, usize)>,
}

impl Reader<'_> {
    fn run(&mut self) {
        let (mut at, mut depth) = (0, 0);
        while at < self.source.tokens.len() {
            match &self.source.tokens[at] {
                Token::Mark('{') => depth += 1,
                Token::Mark('}') => {
                    depth -= 1;
                    self.modules.pop_if(|(_, opened)| *opened > depth);
                }
                Token::Name(word) if word == "mod" && self.mark(at + 2, '{') => {
                    let name = self.source.tokens[at + 1].name().unwrap_or_default().to_owned();
                    self.modules.push((name, depth + 1));
                }
                Token::Name(word) if word == "use" => {
                    at = self.tree(at + 1, Vec::new());
                    continue;
                }
                // The start of a path, not the middle of one.
                Token::Name(_) if at == 0 || !self.separator(at.wrapping_sub(2)) => {
                    at = self.path(at).max(at + 1);
                    continue;
                }
                _ => {}
            }
            at += 1;
        }
    }

    fn mark(&self, at: usize, mark: char) -> bool {
        self.source.tokens.get(at).is_some_and(|token| token.is(mark))
    }

    fn separator(&self, at: usize) -> bool {
        self.mark(at, ':') && self.mark(at.wrapping_add(1), ':')
    }

    /// `a::b::c` from `at`; returns where it ends.
    fn path(&mut self, start: usize) -> usize {
        let (mut at, mut path) = (start, Vec::new());
        while let Some(name) = self.source.tokens.get(at).and_then(Token::name) {
            path.push(name.to_owned());
            at += 1;
            if !self.separator(at) {
                break;
            }
            at += 2;
        }
        self.keep(path, start);
        at
    }

    /// A `use` tree from `at` below `prefix`; returns where it ends.
    fn tree(&mut self, start: usize, prefix: Vec<String>) -> usize {
        let (mut at, mut path) = (start, prefix);
        loop {
            match self.source.tokens.get(at) {
                Some(Token::Name(name)) if name == "as" => at += 2,
                Some(Token::Name(name)) => {
                    path.push(name.clone());
                    at += 1;
                }
                Some(Token::Mark(':')) => at += 1,
                Some(Token::Mark('*')) => {
                    path.push("*".to_owned());
                    at += 1;
                }
                Some(Token::Mark('{')) => {
                    at += 1;
                    while !self.mark(at, '}') && at < self.source.tokens.len() {
                        at = self.tree(at, path.clone());
                        at += usize::from(self.mark(at, ','));
                    }
                    return at + 1;
                }
                _ => break,
            }
        }
        self.keep(path, start);
        at
    }

    fn keep(&mut self, path: Vec<String>, at: usize) {
        let mut here = self.source.module();
        here.extend(self.modules.iter().map(|(name, _)| name.clone()));
        let mut words = path.into_iter().peekable();
        match words.peek().map(String::as_str) {
            Some("crate") => {
                words.next();
                here.clear();
            }
            Some("self") => {
                words.next();
            }
            Some("super") => {
                while words.next_if(|word| word == "super").is_some() {
                    here.pop();
                }
            }
            _ => return,
        }
        here.extend(words.filter(|word| word != "self"));
        self.found.push(Mention { path: here, at: self.source.at(at.min(self.source.lines.len() - 1)) });
    }
}

#[test]
fn trees_are_spread_out_and_written_paths_are_seen() {
    let text = "use crate::{a::{b, c::{self, d as e}}, f::*};\nuse super::g;\nmod tests { use super::h; }\nfn x() { crate::i::j(); other::k(); super::super::l::m }";
    let source = Source::new("src/room/ops/verb.rs", text);
    let paths: Vec<String> = mentions(&source).iter().map(|mention| mention.path.join("::")).collect();
    assert_eq!(paths, ["a::b", "a::c", "a::c::d", "f::*", "room::ops::g", "room::ops::verb::h", "i::j", "room::l::m"]);
}
