//! The text of a body to tokens with their places.
//!
//! Only what PL/pgSQL's own grammar needs: SQL stays text, cut out of the body between two tokens. Places
//! are bytes, lines are counted from 1 at the start of the body.
//!
//! Source: PostgreSQL 15, src/pl/plpgsql/src/pl_scanner.c and src/backend/parser/scan.l.

use driftdb_query::{Result, SqlError};
use driftdb_types::SqlState;

/// What a token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A word without quotes, in lower case.
    Word(String),
    /// A name in quotes.
    Quoted(String),
    /// A string literal's value.
    String(String),
    /// A number, as written.
    Number(String),
    /// `$1`
    Param(u32),
    /// An operator or a bracket.
    Symbol(&'static str),
    /// Any other character: SQL may know it.
    Other(char),
}

/// A token and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) line: u32,
}

/// What is more than one character, longest first, and what is one.
const SYMBOLS: [&str; 32] = [
    "..", ":=", "::", "<<", ">>", "<=", ">=", "<>", "!=", "=>", "||", "(", ")", "[", "]", ",", ";",
    ":", ".", "=", "<", ">", "+", "-", "*", "/", "%", "#", "^", "|", "&", "~",
];

/// The longest body that is looked at.
const MAX_BODY_BYTES: usize = 16 << 20;

pub(crate) fn error(message: impl Into<String>) -> SqlError {
    SqlError::new(SqlState::SyntaxError, message)
}

/// Cuts a body into tokens.
pub(crate) fn tokenize(text: &str) -> Result<Vec<Token>> {
    if text.len() > MAX_BODY_BYTES {
        return Err(SqlError::new(SqlState::ProgramLimitExceeded, "the function body is too long"));
    }
    let mut lexer = Lexer { text, at: 0, line: 1 };
    let mut tokens = Vec::new();
    while lexer.skip_blanks()? {
        let (from, line) = (lexer.at, lexer.line);
        let kind = lexer.token()?;
        tokens.push(Token { kind, from, to: lexer.at, line });
    }
    Ok(tokens)
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    line: u32,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn advance(&mut self, bytes: usize) {
        let passed = &self.text[self.at..self.at + bytes];
        self.line += passed.bytes().filter(|byte| *byte == b'\n').count() as u32;
        self.at += bytes;
    }

    /// Skips blanks and comments; false at the end.
    fn skip_blanks(&mut self) -> Result<bool> {
        loop {
            let rest = self.rest();
            let Some(c) = rest.chars().next() else { return Ok(false) };
            if c.is_whitespace() {
                self.advance(c.len_utf8());
            } else if rest.starts_with("--") {
                self.advance(rest.find('\n').unwrap_or(rest.len()));
            } else if rest.starts_with("/*") {
                let length = comment(rest).ok_or_else(|| error("unterminated /* comment"))?;
                self.advance(length);
            } else {
                return Ok(true);
            }
        }
    }

    fn token(&mut self) -> Result<Kind> {
        let rest = self.rest();
        let Some(c) = rest.chars().next() else { return Err(error("unexpected end of body")) };
        if let Some(kind) = self.prefixed_string(c)? {
            return Ok(kind);
        }
        match c {
            '\'' => self.string(false),
            '"' => {
                let length =
                    quoted(rest, '"').ok_or_else(|| error("unterminated quoted identifier"))?;
                let name = rest[1..length - 1].replace("\"\"", "\"");
                self.advance(length);
                Ok(Kind::Quoted(name))
            }
            '$' => self.dollar(),
            c if is_word_start(c) => {
                let length = rest.find(|c| !is_word_part(c)).unwrap_or(rest.len());
                self.advance(length);
                Ok(Kind::Word(rest[..length].to_ascii_lowercase()))
            }
            c if c.is_ascii_digit() => Ok(self.number()),
            '.' if rest[1..].starts_with(|c: char| c.is_ascii_digit()) => Ok(self.number()),
            c => {
                if let Some(symbol) = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
                    self.advance(symbol.len());
                    return Ok(Kind::Symbol(symbol));
                }
                self.advance(c.len_utf8());
                Ok(Kind::Other(c))
            }
        }
    }

    /// `E'…'`, `B'…'`, `X'…'`, `N'…'`, `U&'…'`
    fn prefixed_string(&mut self, c: char) -> Result<Option<Kind>> {
        let rest = self.rest();
        if matches!(c, 'e' | 'E') && rest[1..].starts_with('\'') {
            self.advance(1);
            return self.string(true).map(Some);
        }
        if matches!(c, 'b' | 'B' | 'x' | 'X' | 'n' | 'N') && rest[1..].starts_with('\'') {
            self.advance(1);
            return self.string(false).map(Some);
        }
        if matches!(c, 'u' | 'U') && rest[1..].starts_with("&'") {
            self.advance(2);
            return self.string(false).map(Some);
        }
        Ok(None)
    }

    fn number(&mut self) -> Kind {
        let rest = self.rest();
        let mut length = 0;
        let bytes = rest.as_bytes();
        while length < bytes.len() {
            match bytes[length] {
                b'0'..=b'9' => length += 1,
                // `1..10` is a range.
                b'.' if bytes.get(length + 1) != Some(&b'.') => length += 1,
                b'e' | b'E'
                    if bytes.get(length + 1).is_some_and(|byte| {
                        byte.is_ascii_digit()
                            || (matches!(byte, b'+' | b'-')
                                && bytes.get(length + 2).is_some_and(u8::is_ascii_digit))
                    }) =>
                {
                    length += 2;
                }
                _ => break,
            }
        }
        self.advance(length);
        Kind::Number(rest[..length].to_owned())
    }

    fn string(&mut self, escapes: bool) -> Result<Kind> {
        let rest = self.rest();
        let mut value = String::new();
        let mut chars = rest.char_indices().skip(1).peekable();
        while let Some((at, c)) = chars.next() {
            match c {
                '\'' if chars.peek().is_some_and(|(_, next)| *next == '\'') => {
                    chars.next();
                    value.push('\'');
                }
                '\'' => {
                    self.advance(at + 1);
                    return Ok(Kind::String(value));
                }
                '\\' if escapes => match chars.next() {
                    Some((_, 'n')) => value.push('\n'),
                    Some((_, 't')) => value.push('\t'),
                    Some((_, 'r')) => value.push('\r'),
                    Some((_, 'b')) => value.push('\u{8}'),
                    Some((_, 'f')) => value.push('\u{c}'),
                    Some((_, c)) => value.push(c),
                    None => break,
                },
                c => value.push(c),
            }
        }
        Err(error(format!("unterminated quoted string at or near \"{}\"", brief(rest))))
    }

    /// `$1`, `$$…$$`, `$tag$…$tag$`
    fn dollar(&mut self) -> Result<Kind> {
        let rest = self.rest();
        let digits = rest[1..].find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len() - 1);
        if digits > 0 {
            let number =
                rest[1..=digits].parse().map_err(|_| error("parameter number too large"))?;
            self.advance(digits + 1);
            return Ok(Kind::Param(number));
        }
        let length = rest[1..].find(|c| !is_word_part(c) || c == '$').unwrap_or(rest.len() - 1);
        if !rest[1 + length..].starts_with('$') {
            self.advance(1);
            return Ok(Kind::Other('$'));
        }
        let tag = &rest[..length + 2];
        let Some(end) = rest[tag.len()..].find(tag) else {
            let message = "unterminated dollar-quoted string";
            return Err(error(format!("{message} at or near \"{}\"", brief(rest))));
        };
        self.advance(end + 2 * tag.len());
        Ok(Kind::String(rest[tag.len()..tag.len() + end].to_owned()))
    }
}

fn brief(text: &str) -> String {
    text.chars().take(64).collect()
}

/// The length of a comment, which may have others in it.
fn comment(text: &str) -> Option<usize> {
    let (mut depth, mut at) = (0u32, 0);
    let bytes = text.as_bytes();
    while at + 1 < bytes.len() {
        match &bytes[at..at + 2] {
            b"/*" => {
                depth += 1;
                at += 2;
            }
            b"*/" => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => at += 1,
        }
    }
    None
}

/// The length of what stands in quotes, which are doubled inside.
fn quoted(text: &str, quote: char) -> Option<usize> {
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c == quote {
            if chars.peek().is_some_and(|(_, next)| *next == quote) {
                chars.next();
            } else {
                return Some(at + 1);
            }
        }
    }
    None
}

fn is_word_start(c: char) -> bool {
    c.is_alphabetic() || c == '_' || !c.is_ascii()
}

fn is_word_part(c: char) -> bool {
    is_word_start(c) || c.is_ascii_digit() || c == '$'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<Kind> {
        tokenize(text).unwrap().into_iter().map(|token| token.kind).collect()
    }

    #[test]
    fn ranges_are_not_decimals() {
        let two = [Kind::Number("1".into()), Kind::Symbol(".."), Kind::Number("10".into())];
        assert_eq!(kinds("1..10"), two);
        assert_eq!(kinds("1.5"), [Kind::Number("1.5".into())]);
    }

    #[test]
    fn strings_and_comments_hide_what_is_in_them() {
        assert_eq!(kinds("'a;''b' /* x /* ; */ */ -- ;\n"), [Kind::String("a;'b".into())]);
        assert_eq!(kinds("$q$ $$;$$ $q$"), [Kind::String(" $$;$$ ".into())]);
        assert_eq!(kinds("$1"), [Kind::Param(1)]);
    }

    #[test]
    fn lines_are_counted() {
        let tokens = tokenize("a\n'x\ny'\nb").unwrap();
        assert_eq!(tokens.iter().map(|token| token.line).collect::<Vec<_>>(), [1, 2, 4]);
    }

    #[test]
    fn what_does_not_end_is_an_error() {
        for text in ["'a", "\"a", "$$a", "/* a"] {
            assert_eq!(tokenize(text).unwrap_err().state, SqlState::SyntaxError, "{text}");
        }
    }
}
