//! String literals with escapes: `E'…'`, `U&'…'` and `U&"…"` with UESCAPE.
//!
//! They are read here, before the tokenizer sees the text: each becomes a literal or a quoted name of as
//! many characters, so that positions stay, and what it means is kept by its position. Parts on further
//! lines are taken into it, and UESCAPE with its character becomes blanks.

use std::borrow::Cow;
use std::collections::BTreeMap;

use driftdb_query::{Result, SqlError};
use driftdb_types::SqlState;

use super::escapes;

/// What a literal means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Literal {
    /// Of `E'…'`.
    Escaped(String),
    /// Of `U&'…'`.
    Unicode(String),
    /// Of `U&"…"`.
    Name(String),
}

/// A text for the tokenizer, and what its literals mean by position.
pub(crate) struct Plain<'a> {
    pub(crate) text: Cow<'a, str>,
    pub(crate) literals: BTreeMap<u32, Literal>,
}

/// Takes literals with escapes out of a text.
///
/// # Errors
/// 42601, 22025, 22021 for what is wrong in them.
pub(crate) fn plain(text: &str) -> Result<Plain<'_>> {
    let begins = |pair: &[u8]| matches!(pair, [b'e' | b'E', b'\''] | [b'u' | b'U', b'&']);
    if !text.as_bytes().windows(2).any(begins) {
        return Ok(Plain { text: Cow::Borrowed(text), literals: BTreeMap::new() });
    }
    let mut scan = Scan::new(text);
    let mut literals = BTreeMap::new();
    while let Some(c) = scan.peek(0) {
        scan.step(c, &mut literals)?;
    }
    Ok(Plain { text: Cow::Owned(scan.end()), literals })
}

/// A text whose plain literals had escapes, without them, and what PostgreSQL warns of in it.
#[derive(Debug)]
pub struct Conforming {
    /// As long as the text was, so that positions stay.
    pub text: String,
    /// Of the first escape of each literal.
    pub warnings: Vec<SqlError>,
}

/// Reads a text for a session whose `standard_conforming_strings` is off: backslashes escape in plain
/// literals, too. What they mean is never longer than what was written; blanks make up for it.
///
/// # Errors
/// As of [`crate::parse`] for literals; 0A000 for `U&'…'`, which is not safe then.
pub fn conforming(text: &str) -> Result<Conforming> {
    let mut scan = Scan::new(text);
    let mut warnings = Vec::new();
    while let Some(c) = scan.peek(0) {
        let quote = scan.peek(2).filter(|_| scan.peek(1) == Some(b'&'));
        match (c, quote) {
            (b'\'', _) => warnings.extend(scan.conform()?),
            (b'e' | b'E', _) if scan.peek(1) == Some(b'\'') => drop(scan.escaped(1)?),
            (b'u' | b'U', Some(b'\'')) => {
                let message = "unsafe use of string constant with Unicode escapes";
                return Err(SqlError::new(SqlState::FeatureNotSupported, message)
                    .with_detail(
                        "String constants with Unicode escapes cannot be used when \
                         standard_conforming_strings is off.",
                    )
                    .at(scan.position(scan.at)));
            }
            (b'u' | b'U', Some(b'"')) => drop(scan.unicode_parts('"')?),
            _ => scan.step(c, &mut BTreeMap::new())?,
        }
    }
    Ok(Conforming { text: scan.end(), warnings })
}

pub(super) fn error(message: impl Into<String>, position: u32) -> SqlError {
    SqlError::new(SqlState::SyntaxError, message).at(position)
}

/// A message of the lexer, which shows the text from where it is.
pub(super) fn near(message: &str, text: &str, position: u32) -> SqlError {
    error(format!("{message} at or near \"{text}\""), position)
}

fn is_name_part(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | 0x80..)
}

struct Scan<'a> {
    text: &'a str,
    /// The byte at hand.
    at: usize,
    out: String,
    /// Up to which byte the text was copied or replaced.
    copied: usize,
    /// A byte, and its character's position.
    counted: (usize, u32),
}

impl<'a> Scan<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, at: 0, out: String::new(), copied: 0, counted: (0, 1) }
    }

    /// The text with what was replaced in it.
    fn end(mut self) -> String {
        self.out.push_str(&self.text[self.copied..]);
        self.out
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.text.as_bytes().get(self.at + ahead).copied()
    }

    /// The position of a byte, counted from the one asked for last.
    fn position(&mut self, byte: usize) -> u32 {
        let (from, position) = self.counted;
        let count = |from: usize, to: usize| self.text[from..to].chars().count() as u32;
        let found =
            if byte < from { position - count(byte, from) } else { position + count(from, byte) };
        self.counted = (byte, found);
        found
    }

    /// Goes past the next piece, whatever it is.
    fn step(&mut self, first: u8, literals: &mut BTreeMap<u32, Literal>) -> Result<()> {
        match first {
            b'\'' | b'"' => drop(self.quoted(first)),
            b'-' if self.peek(1) == Some(b'-') => self.line_comment(),
            b'/' if self.peek(1) == Some(b'*') => self.block_comment(),
            b'$' => self.dollar_quoted(),
            b'e' | b'E' if self.peek(1) == Some(b'\'') => {
                let begin = self.at;
                let literal = Literal::Escaped(self.escaped(1)?);
                let position = self.replace(begin, '\'');
                literals.insert(position, literal);
            }
            b'u' | b'U'
                if matches!((self.peek(1), self.peek(2)), (Some(b'&'), Some(b'\'' | b'"'))) =>
            {
                let begin = self.at;
                let quote = if self.peek(2) == Some(b'"') { '"' } else { '\'' };
                let parts = self.unicode_parts(quote)?;
                let end = self.at;
                let escape = self.uescape()?;
                let literal = self.unicode(begin, quote, &parts, escape)?;
                let after = std::mem::replace(&mut self.at, end);
                let position = self.replace(begin, quote);
                literals.insert(position, literal);
                if after > end {
                    // What is between keeps its characters' number.
                    let blanks = self.text[end..after].chars().count();
                    self.out.extend(std::iter::repeat_n(' ', blanks));
                    (self.at, self.copied) = (after, after);
                }
            }
            _ if is_name_part(first) => {
                while self.peek(0).is_some_and(is_name_part) {
                    self.at += 1;
                }
            }
            _ => self.at += 1,
        }
        Ok(())
    }

    /// Replaces what is between a byte and the one at hand by a literal as long; its position.
    fn replace(&mut self, begin: usize, quote: char) -> u32 {
        let position = self.position(begin);
        self.out.push_str(&self.text[self.copied..begin]);
        let length = self.text[begin..self.at].chars().count();
        self.out.push(quote);
        self.out.extend(std::iter::repeat_n('x', length.saturating_sub(2)));
        self.out.push(quote);
        self.copied = self.at;
        position
    }

    /// Goes past a quoted piece without escapes, and gives what is in it; `None` if it does not end.
    fn quoted(&mut self, quote: u8) -> Option<&'a str> {
        self.at += 1;
        let begin = self.at;
        while let Some(byte) = self.peek(0) {
            if byte == quote {
                if self.peek(1) != Some(quote) {
                    self.at += 1;
                    return Some(&self.text[begin..self.at - 1]);
                }
                self.at += 1;
            }
            self.at += 1;
        }
        None
    }

    fn line_comment(&mut self) {
        while self.peek(0).is_some_and(|byte| byte != b'\n') {
            self.at += 1;
        }
    }

    fn block_comment(&mut self) {
        let mut depth = 0_usize;
        while self.peek(0).is_some() {
            match (self.peek(0), self.peek(1)) {
                (Some(b'/'), Some(b'*')) => depth += 1,
                (Some(b'*'), Some(b'/')) => depth -= 1,
                _ => {
                    self.at += 1;
                    continue;
                }
            }
            self.at += 2;
            if depth == 0 {
                return;
            }
        }
    }

    fn dollar_quoted(&mut self) {
        let rest = &self.text[self.at + 1..];
        let tag = rest.find(|c: char| !(c.is_alphanumeric() || c == '_'));
        self.at += 1;
        let Some(tag) = tag.filter(|tag| rest.as_bytes()[*tag] == b'$') else { return };
        if rest.starts_with(|c: char| c.is_ascii_digit()) {
            return;
        }
        let delimiter = &self.text[self.at - 1..=self.at + tag];
        let body = self.at + tag + 1;
        self.at = match self.text[body..].find(delimiter) {
            Some(length) => body + length + delimiter.len(),
            None => self.text.len(),
        };
    }

    /// Whether the literal goes on at a quote behind a line end; goes there if so.
    fn continues(&mut self) -> bool {
        let begin = self.at;
        let mut newline = false;
        loop {
            match self.peek(0) {
                Some(b'\n' | b'\r') => {
                    newline = true;
                    self.at += 1;
                }
                Some(b' ' | b'\t' | 0x0b | 0x0c) => self.at += 1,
                Some(b'-') if self.peek(1) == Some(b'-') => self.line_comment(),
                Some(b'\'') if newline => return true,
                _ => {
                    self.at = begin;
                    return false;
                }
            }
        }
    }

    fn unterminated(&mut self, begin: usize, what: &str) -> SqlError {
        let position = self.position(begin);
        near(&format!("unterminated quoted {what}"), &self.text[begin..], position)
    }

    /// `E'…'`, with its parts on further lines; the quote is so many bytes ahead.
    fn escaped(&mut self, quote: usize) -> Result<String> {
        let begin = self.at;
        let mut bytes = Vec::new();
        self.at += quote;
        loop {
            self.at += 1;
            let from = self.at;
            loop {
                match self.peek(0) {
                    None => return Err(self.unterminated(begin, "string")),
                    Some(b'\\') => {
                        let next = self.text[self.at + 1..].chars().next();
                        self.at += 1 + next.map_or(0, char::len_utf8);
                    }
                    Some(b'\'') if self.peek(1) == Some(b'\'') => self.at += 2,
                    Some(b'\'') => break,
                    Some(_) => self.at += 1,
                }
            }
            let part = &self.text[from..self.at];
            let position = self.position(from);
            escapes::backslashes(part, position, &mut bytes)?;
            self.at += 1;
            if !self.continues() {
                break;
            }
        }
        escapes::text(bytes)
    }

    /// A plain literal in which backslashes escape; the warning, if there are any.
    fn conform(&mut self) -> Result<Option<SqlError>> {
        let begin = self.at;
        let value = self.escaped(0)?;
        let written = &self.text[begin..self.at];
        let Some(escape) = written.find('\\') else { return Ok(None) };
        self.out.push_str(&self.text[self.copied..begin]);
        let plain = format!("'{}'", value.replace('\'', "''"));
        let missing = written.chars().count() - plain.chars().count();
        self.out.push_str(&plain);
        self.out.extend(std::iter::repeat_n(' ', missing));
        self.copied = self.at;
        let (what, hint) = match written[escape + 1..].chars().next() {
            Some('\'') => (
                r"\'",
                "Use '' to write quotes in strings, or use the escape string syntax (E'...').",
            ),
            Some('\\') => (r"\\", r"Use the escape string syntax for backslashes, e.g., E'\\'."),
            _ => ("escape", r"Use the escape string syntax for escapes, e.g., E'\r\n'."),
        };
        let message = format!("nonstandard use of {what} in a string literal");
        let state = SqlState::NonstandardUseOfEscapeCharacter;
        let position = self.position(begin);
        Ok(Some(SqlError::new(state, message).with_hint(hint).at(position)))
    }

    /// The parts of `U&'…'` or `U&"…"`, each with the byte where it begins.
    fn unicode_parts(&mut self, quote: char) -> Result<Vec<(usize, &'a str)>> {
        let begin = self.at;
        let mut parts = Vec::new();
        self.at += 2;
        loop {
            let from = self.at + 1;
            let Some(part) = self.quoted(quote as u8) else {
                let what = if quote == '"' { "identifier" } else { "string" };
                return Err(self.unterminated(begin, what));
            };
            parts.push((from, part));
            if quote == '"' || !self.continues() {
                return Ok(parts);
            }
        }
    }

    fn blank(&mut self) {
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some(b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c), _) => self.at += 1,
                (Some(b'-'), Some(b'-')) => self.line_comment(),
                (Some(b'/'), Some(b'*')) => self.block_comment(),
                _ => return,
            }
        }
    }

    /// The character after UESCAPE, or the backslash if there is none.
    fn uescape(&mut self) -> Result<char> {
        const WORD: &str = "uescape";
        let begin = self.at;
        self.blank();
        let word = self.text.get(self.at..self.at + WORD.len());
        if !word.is_some_and(|word| word.eq_ignore_ascii_case(WORD))
            || self.peek(WORD.len()).is_some_and(is_name_part)
        {
            self.at = begin;
            return Ok('\\');
        }
        self.at += WORD.len();
        self.blank();
        let from = self.at;
        let content = if self.peek(0) == Some(b'\'') { self.quoted(b'\'') } else { None };
        let Some(content) = content else {
            let rest = self.text[from..].split(|c: char| c.is_whitespace() || c == ';').next();
            let position = self.position(from);
            let message = "UESCAPE must be followed by a simple string literal";
            return Err(match rest {
                Some(rest) if !rest.is_empty() => near(message, rest, position),
                _ => error(format!("{message} at end of input"), position),
            });
        };
        let mut chars = content.chars();
        match (chars.next(), chars.next()) {
            (Some(c), None) if !c.is_ascii_hexdigit() && !" +'\"\t\n\r\x0c".contains(c) => Ok(c),
            _ => {
                let position = self.position(from);
                let found = &self.text[from..self.at];
                Err(near("invalid Unicode escape character", found, position))
            }
        }
    }

    fn unicode(
        &mut self,
        begin: usize,
        quote: char,
        parts: &[(usize, &str)],
        escape: char,
    ) -> Result<Literal> {
        let start = self.position(begin);
        let mut value = String::new();
        let mut pieces = Vec::new();
        for (from, part) in parts {
            let at = start + self.text[begin..*from].chars().count() as u32;
            pieces.extend(part.chars().zip(at..));
        }
        escapes::unicode(&pieces, quote, escape, &mut value)?;
        if quote == '\'' {
            return Ok(Literal::Unicode(value));
        }
        if value.is_empty() {
            return Err(near(
                "zero-length delimited identifier",
                &self.text[begin..self.at],
                start,
            ));
        }
        Ok(Literal::Name(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(text: &str) -> String {
        match plain(text) {
            Ok(plain) => {
                let count = plain.text.chars().count();
                assert_eq!(count, text.chars().count(), "positions of {text}");
                format!("{:?}", plain.literals.into_values().collect::<Vec<_>>())
            }
            Err(error) => {
                format!("{} {} at {:?}", error.state.code(), error.message, error.position)
            }
        }
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(meaning(text), expected, "{text}");
    }

    #[test]
    fn escapes_are_characters() {
        check(r"E'a\n\t\\\'\101\x41\u0041\U0001F600\q'", r#"[Escaped("a\n\t\\'AAA😀q")]"#);
        check(r"e'\uD83D\uDE00'", r#"[Escaped("😀")]"#);
        check(r"E'\xC3\xA9'", r#"[Escaped("é")]"#);
        check("E'a'\n -- c\n  'b\\n'", r#"[Escaped("ab\n")]"#);
        check("E'a''b'", r#"[Escaped("a'b")]"#);
    }

    #[test]
    fn unicode_escapes_have_their_own_character() {
        check(r"U&'d\0061t\+000061'", r#"[Unicode("data")]"#);
        check(r"U&'d!0061!!' /* c */ UESCAPE '!'", r#"[Unicode("da!")]"#);
        check(r#"U&"d*0061" uescape '*'"#, r#"[Name("da")]"#);
        check(r"U&' \' UESCAPE '!'", r#"[Unicode(" \\")]"#);
        check("U&'a'\n'\\0062'", r#"[Unicode("ab")]"#);
        check(r"u&'\D83D\DE00'", r#"[Unicode("😀")]"#);
    }

    #[test]
    fn plain_literals_may_have_escapes() {
        let text = r#"select 'a\tb', 'x', 'it\'s' 'c:\\' E'\n' $$\n$$, U&"\0061" -- '\n'"#;
        let found = conforming(text).unwrap();
        let expected = r#"select 'a_b' , 'x', 'it''s' 'c:\'  E'\n' $$\n$$, U&"\0061" -- '\n'"#;
        assert_eq!(found.text.replace('\t', "_"), expected);
        assert_eq!(found.text.chars().count(), text.chars().count());
        let told = |warning: &SqlError| format!("{} at {:?}", warning.message, warning.position);
        assert_eq!(
            found.warnings.iter().map(told).collect::<Vec<_>>(),
            [
                "nonstandard use of escape in a string literal at Some(8)",
                r"nonstandard use of \' in a string literal at Some(21)",
                r"nonstandard use of \\ in a string literal at Some(29)",
            ]
        );
        let error = conforming("U&'a'").unwrap_err();
        assert_eq!(error.state, SqlState::FeatureNotSupported);
        assert_eq!(conforming(r"'a\'").unwrap_err().state, SqlState::SyntaxError);
    }

    #[test]
    fn what_is_quoted_is_left_alone() {
        check(r"'E''a\'' + $$E'\u'$$, $x$ U&'\' $x$, /* E'\ */ -- U&'", "[]");
        check(r#""E'" , 'x'"#, "[]");
        check(r"$1, xE'a\', a.u&b", "[]");
    }

    #[test]
    fn errors_have_their_places() {
        check(r"select E'abc\u12'", "22025 invalid Unicode escape at Some(13)");
        check(r"select U&'abc\12'", "42601 invalid Unicode escape at Some(14)");
        check(r"select E'\xe9'", "22021 invalid byte sequence for encoding \"UTF8\": 0xe9 at None");
        check(r"E'\uD83Dx'", "42601 invalid Unicode surrogate pair at or near \"x\" at Some(9)");
        check(
            r"E'\uDE00'",
            "42601 invalid Unicode surrogate pair at or near \"\\uDE00\" at Some(3)",
        );
        check(r"E'\u0000'", "42601 invalid Unicode escape value at or near \"\\u0000\" at Some(3)");
        check(r"U&'\0000'", "42601 invalid Unicode escape value at Some(4)");
        check(r"U&'\D83Dx'", "42601 invalid Unicode surrogate pair at Some(9)");
        check(
            "U&'a' uescape 'a'",
            "42601 invalid Unicode escape character at or near \"'a'\" at Some(15)",
        );
        check(
            "U&'a' uescape x;",
            "42601 UESCAPE must be followed by a simple string literal at or near \"x\" at Some(15)",
        );
        check("E'a", "42601 unterminated quoted string at or near \"E'a\" at Some(1)");
        check(r#"U&"""#, "42601 zero-length delimited identifier at or near \"U&\"\"\" at Some(1)");
    }
}
