//! A Rust source as tokens: enough of the language to see names and paths, and to be blind in comments and strings.

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    Name(String),
    Text(String),
    Mark(char),
}

impl Token {
    pub fn is(&self, mark: char) -> bool {
        *self == Self::Mark(mark)
    }

    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Name(name) => Some(name),
            _ => None,
        }
    }
}

pub struct Source {
    /// From the repository's top: `src/library/ops.rs`.
    pub path: String,
    pub tokens: Vec<Token>,
    /// The line of each token, from 1.
    pub lines: Vec<usize>,
}

impl Source {
    pub fn new(path: impl Into<String>, text: &str) -> Self {
        let mut lexer = Lexer { rest: text.chars().collect(), at: 0, line: 1, tokens: Vec::new(), lines: Vec::new() };
        lexer.run();
        Self { path: path.into(), tokens: lexer.tokens, lines: lexer.lines }
    }

    pub fn at(&self, token: usize) -> String {
        format!("{}:{}", self.path, self.lines[token])
    }

    /// `src/library/http/assets.rs` is the module `library::http::assets`.
    pub fn module(&self) -> Vec<String> {
        let path = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        let mut parts: Vec<String> = path.split('/').map(str::to_owned).collect();
        if parts.last().is_some_and(|last| last == "mod" || last == "lib" || last == "main") {
            parts.pop();
        }
        parts
    }

    /// The tokens between the brace at or after `from` and its partner.
    pub fn block(&self, from: usize) -> std::ops::Range<usize> {
        let open = (from..self.tokens.len()).find(|&at| self.tokens[at].is('{')).unwrap_or(self.tokens.len());
        let mut depth = 0;
        for at in open..self.tokens.len() {
            match &self.tokens[at] {
                Token::Mark('{') => depth += 1,
                Token::Mark('}') => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return open..at;
            }
        }
        open..self.tokens.len()
    }
}

struct Lexer {
    rest: Vec<char>,
    at: usize,
    line: usize,
    tokens: Vec<Token>,
    lines: Vec<usize>,
}

impl Lexer {
    fn run(&mut self) {
        while let Some(char) = self.peek(0) {
            match char {
                '/' if self.peek(1) == Some('/') => self.skip_while(|char| char != '\n'),
                '/' if self.peek(1) == Some('*') => self.block_comment(),
                '"' => self.quoted(),
                '\'' => self.quote_or_lifetime(),
                _ if char.is_alphabetic() || char == '_' => self.word(),
                _ if char.is_ascii_digit() => self.skip_while(|char| char.is_alphanumeric() || char == '_'),
                _ if char.is_whitespace() => self.step(),
                _ => {
                    self.push(Token::Mark(char));
                    self.step();
                }
            }
        }
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.rest.get(self.at + ahead).copied()
    }

    fn step(&mut self) {
        if self.peek(0) == Some('\n') {
            self.line += 1;
        }
        self.at += 1;
    }

    fn skip_while(&mut self, wanted: impl Fn(char) -> bool) {
        while self.peek(0).is_some_and(&wanted) {
            self.step();
        }
    }

    fn push(&mut self, token: Token) {
        self.tokens.push(token);
        self.lines.push(self.line);
    }

    fn block_comment(&mut self) {
        let mut depth = 0;
        while let Some(char) = self.peek(0) {
            match (char, self.peek(1)) {
                ('/', Some('*')) => depth += 1,
                ('*', Some('/')) => depth -= 1,
                _ => {
                    self.step();
                    continue;
                }
            }
            self.step();
            self.step();
            if depth == 0 {
                return;
            }
        }
    }

    /// A name, or the letters before a string: `r#"..."#`, `b"..."`, `br"..."`, `c"..."`.
    fn word(&mut self) {
        let start = self.at;
        let mut end = start;
        while self.rest.get(end).is_some_and(|char| char.is_alphanumeric() || *char == '_') {
            end += 1;
        }
        let word: String = self.rest[start..end].iter().collect();
        let hashes = self.rest[end..].iter().take_while(|char| **char == '#').count();
        let raw = matches!(word.as_str(), "r" | "br" | "cr");
        let string = self.rest.get(end + if raw { hashes } else { 0 }) == Some(&'"');
        self.at = end;
        if string && raw {
            self.at += hashes;
            self.raw(hashes);
        } else if string && matches!(word.as_str(), "b" | "c") {
            self.quoted();
        } else {
            self.push(Token::Name(word));
        }
    }

    fn raw(&mut self, hashes: usize) {
        self.step();
        let mut text = String::new();
        while let Some(char) = self.peek(0) {
            self.step();
            if char == '"' && (0..hashes).all(|ahead| self.peek(ahead) == Some('#')) {
                self.at += hashes;
                break;
            }
            text.push(char);
        }
        self.push(Token::Text(text));
    }

    fn quoted(&mut self) {
        self.step();
        let mut text = String::new();
        while let Some(char) = self.peek(0) {
            self.step();
            match char {
                '"' => break,
                '\\' => {
                    text.extend(self.peek(0));
                    self.step();
                }
                _ => text.push(char),
            }
        }
        self.push(Token::Text(text));
    }

    /// `'x'` and `'\n'` are characters, `'a` alone is a lifetime.
    fn quote_or_lifetime(&mut self) {
        let length = if self.peek(1) == Some('\\') {
            (3..12).find(|&ahead| self.peek(ahead) == Some('\'')).unwrap_or(1)
        } else if self.peek(2) == Some('\'') {
            2
        } else {
            0
        };
        for _ in 0..=length {
            self.step();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        let source = Source::new("src/x.rs", text);
        source.tokens.iter().filter_map(|token| token.name().map(str::to_owned)).collect()
    }

    #[test]
    fn comments_and_strings_hold_no_names() {
        let text = "a /* b /* c */ d */ // e\n \"f \\\" g\" r#\"h \" i\"# b\"j\" 'k' '\\'' &'life l";
        assert_eq!(names(text), ["a", "life", "l"]);
    }

    #[test]
    fn lines_are_counted_through_strings_and_comments() {
        let source = Source::new("src/x.rs", "\"one\ntwo\" /* three\nfour */ name");
        assert_eq!(source.at(1), "src/x.rs:3");
    }

    #[test]
    fn a_block_ends_at_its_partner() {
        let source = Source::new("src/x.rs", "fn a() { if b { c } } fn d() {}");
        let block = source.block(0);
        assert_eq!(source.tokens[block.end + 1], Token::Name("fn".to_owned()));
    }
}
