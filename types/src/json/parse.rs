//! Reading JSON [RFC8259], with PostgreSQL's errors.

use super::{Json, MAX_DEPTH, too_deep};
use crate::{Numeric, SqlState, ValueError};

/// A walk over a text.
pub(crate) struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

fn invalid(detail: impl Into<String>) -> ValueError {
    ValueError::new(SqlState::InvalidTextRepresentation, "invalid input syntax for type json")
        .with_detail(detail)
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// Checks a text.
///
/// # Errors
/// 22P02 with PostgreSQL's details, 54001 beyond the depth that is allowed.
pub(crate) fn check_json(text: &str) -> Result<(), ValueError> {
    let mut reader = Reader::new(text);
    reader.value(false)?;
    reader.end()
}

/// Reads a tree.
///
/// # Errors
/// As [`check_json`], and 22P05 for characters that text cannot have.
pub(crate) fn parse_json(text: &str) -> Result<Json, ValueError> {
    let mut reader = Reader::new(text);
    let json = reader.value(true)?;
    reader.end()?;
    Ok(json)
}

/// What `->>` gives of a checked value: a string without its quotes; nothing for null.
///
/// # Errors
/// 22P05 for characters that text cannot have.
pub(crate) fn scalar_text(raw: &str) -> Result<Option<String>, ValueError> {
    match raw.as_bytes().first() {
        Some(b'"') => Reader::new(raw).string(true).map(Some),
        Some(b'n') => Ok(None),
        _ => Ok(Some(raw.to_owned())),
    }
}

impl<'a> Reader<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0, depth: 0 }
    }

    /// The next byte that is no blank.
    pub(crate) fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while matches!(bytes.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        bytes.get(self.at).copied()
    }

    pub(crate) fn accept(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    /// The token here, for messages: a string, a word, or a character.
    fn unexpected(&mut self, expected: &str) -> ValueError {
        let Some(first) = self.peek() else {
            return invalid("The input string ended unexpectedly.");
        };
        let start = self.at;
        // What is no token is reported as that.
        match first {
            b'{' | b'}' | b'[' | b']' | b',' | b':' => self.at += 1,
            b'"' => {
                if let Err(error) = self.string(false) {
                    return error;
                }
            }
            b'-' | b'0'..=b'9' => {
                if let Err(error) = self.number() {
                    return error;
                }
            }
            _ => {
                let word = self.word();
                if !matches!(word, "true" | "false" | "null") {
                    return invalid(format!("Token \"{word}\" is invalid."));
                }
            }
        }
        invalid(format!("Expected {expected}, but found \"{}\".", &self.text[start..self.at]))
    }

    /// The letters and digits here, or one character that is neither.
    fn word(&mut self) -> &'a str {
        let rest = &self.text[self.at..];
        let length = rest.bytes().take_while(|byte| is_word(*byte)).count();
        let length = match length {
            0 => rest.chars().next().map_or(0, char::len_utf8),
            length => length,
        };
        self.at += length;
        &rest[..length]
    }

    /// Nothing may follow.
    pub(crate) fn end(&mut self) -> Result<(), ValueError> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.unexpected("end of input")),
        }
    }

    /// Passes a value and gives its text.
    pub(crate) fn raw(&mut self) -> Result<&'a str, ValueError> {
        self.peek();
        let start = self.at;
        self.value(false)?;
        Ok(&self.text[start..self.at])
    }

    /// Reads a value; without `keeps` it is only checked, and the result means nothing.
    pub(crate) fn value(&mut self, keeps: bool) -> Result<Json, ValueError> {
        match self.peek() {
            Some(b'{') => self.nested(|reader| reader.object(keeps)),
            Some(b'[') => self.nested(|reader| reader.array(keeps)),
            Some(b'"') => {
                let text = self.string(keeps)?;
                Ok(if keeps { Json::String(text.into()) } else { Json::Null })
            }
            Some(b'-' | b'0'..=b'9') => {
                let digits = self.number()?;
                Ok(if keeps { Json::Number(Numeric::parse(digits)?) } else { Json::Null })
            }
            Some(b'}' | b']' | b',' | b':') | None => Err(self.unexpected("JSON value")),
            Some(_) => match self.word() {
                "true" => Ok(Json::Bool(true)),
                "false" => Ok(Json::Bool(false)),
                "null" => Ok(Json::Null),
                word => Err(invalid(format!("Token \"{word}\" is invalid."))),
            },
        }
    }

    fn nested<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, ValueError>,
    ) -> Result<T, ValueError> {
        if self.depth == MAX_DEPTH {
            return Err(too_deep());
        }
        self.depth += 1;
        self.at += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    fn array(&mut self, keeps: bool) -> Result<Json, ValueError> {
        let mut items = Vec::new();
        if self.accept(b']') {
            return Ok(Json::Array(items));
        }
        loop {
            let item = self.value(keeps)?;
            if keeps {
                items.push(item);
            }
            if self.accept(b']') {
                return Ok(Json::Array(items));
            }
            if !self.accept(b',') {
                return Err(self.unexpected("\",\" or \"]\""));
            }
        }
    }

    fn object(&mut self, keeps: bool) -> Result<Json, ValueError> {
        let mut pairs = Vec::new();
        if self.accept(b'}') {
            return Ok(Json::object(pairs));
        }
        let mut is_first = true;
        loop {
            if self.peek() != Some(b'"') {
                let expected = if is_first { "string or \"}\"" } else { "string" };
                return Err(self.unexpected(expected));
            }
            is_first = false;
            let key = self.string(keeps)?;
            if !self.accept(b':') {
                return Err(self.unexpected("\":\""));
            }
            let value = self.value(keeps)?;
            if keeps {
                pairs.push((key.into(), value));
            }
            if self.accept(b'}') {
                return Ok(Json::object(pairs));
            }
            if !self.accept(b',') {
                return Err(self.unexpected("\",\" or \"}\""));
            }
        }
    }

    fn number(&mut self) -> Result<&'a str, ValueError> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        let digits = |at: &mut usize| {
            let from = *at;
            while bytes.get(*at).is_some_and(u8::is_ascii_digit) {
                *at += 1;
            }
            *at > from
        };
        let mut at = start + usize::from(bytes.get(start) == Some(&b'-'));
        let mut is_valid = if bytes.get(at) == Some(&b'0') {
            at += 1;
            true
        } else {
            digits(&mut at)
        };
        if is_valid && bytes.get(at) == Some(&b'.') {
            at += 1;
            is_valid = digits(&mut at);
        }
        if is_valid && matches!(bytes.get(at), Some(b'e' | b'E')) {
            at += 1;
            at += usize::from(matches!(bytes.get(at), Some(b'+' | b'-')));
            is_valid = digits(&mut at);
        }
        let end = at + bytes[at..].iter().take_while(|byte| is_word(**byte)).count();
        self.at = end;
        if !is_valid || end > at {
            return Err(invalid(format!("Token \"{}\" is invalid.", &self.text[start..end])));
        }
        Ok(&self.text[start..end])
    }

    /// Reads a string; without `keeps` its escapes are checked and not resolved.
    pub(crate) fn string(&mut self, keeps: bool) -> Result<String, ValueError> {
        let mut out = String::new();
        // A high surrogate that waits for its low one.
        let mut high: Option<u32> = None;
        self.at += 1;
        let lone = || invalid("Unicode low surrogate must follow a high surrogate.");
        loop {
            let rest = &self.text[self.at..];
            let Some(c) = rest.chars().next() else {
                let begun = self.text[..self.at].rfind('"').unwrap_or(0);
                return Err(invalid(format!("Token \"{}\" is invalid.", &self.text[begun..])));
            };
            self.at += c.len_utf8();
            if high.is_some() && keeps && !rest.starts_with("\\u") {
                return Err(lone());
            }
            match c {
                '"' => return Ok(out),
                '\\' => {
                    let Some(escape) = self.text[self.at..].chars().next() else {
                        return Err(invalid("The input string ended unexpectedly."));
                    };
                    self.at += escape.len_utf8();
                    let plain = match escape {
                        '"' | '\\' | '/' => escape,
                        'b' => '\u{8}',
                        'f' => '\u{c}',
                        'n' => '\n',
                        'r' => '\r',
                        't' => '\t',
                        'u' => {
                            let code = self.hex()?;
                            if keeps {
                                high = unicode(code, high, &mut out)?;
                            }
                            continue;
                        }
                        other => {
                            let detail = format!("Escape sequence \"\\{other}\" is invalid.");
                            return Err(invalid(detail));
                        }
                    };
                    if keeps {
                        out.push(plain);
                    }
                }
                c if (c as u32) < 0x20 => {
                    let code = c as u32;
                    let detail = format!("Character with value 0x{code:02x} must be escaped.");
                    return Err(invalid(detail));
                }
                c if keeps => out.push(c),
                _ => {}
            }
        }
    }

    fn hex(&mut self) -> Result<u32, ValueError> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4);
        let digits = digits.filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let Some(digits) = digits.and_then(|digits| std::str::from_utf8(digits).ok()) else {
            return Err(invalid("\"\\u\" must be followed by four hexadecimal digits."));
        };
        self.at += 4;
        u32::from_str_radix(digits, 16).map_err(|_| invalid("a number of four digits"))
    }
}

/// Adds a character by its code; surrogates come in two parts. Gives back the first of two.
fn unicode(code: u32, high: Option<u32>, out: &mut String) -> Result<Option<u32>, ValueError> {
    match (code, high) {
        (0xd800..=0xdbff, Some(_)) => {
            Err(invalid("Unicode high surrogate must not follow a high surrogate."))
        }
        (0xd800..=0xdbff, None) => Ok(Some(code)),
        (0xdc00..=0xdfff, Some(high)) => {
            let code = 0x10000 + ((high & 0x3ff) << 10) + (code & 0x3ff);
            out.extend(char::from_u32(code));
            Ok(None)
        }
        (0xdc00..=0xdfff, None) | (_, Some(_)) => {
            Err(invalid("Unicode low surrogate must follow a high surrogate."))
        }
        (0, None) => Err(ValueError::new(
            SqlState::UntranslatableCharacter,
            "unsupported Unicode escape sequence",
        )
        .with_detail("\\u0000 cannot be converted to text.")),
        (code, None) => {
            out.extend(char::from_u32(code));
            Ok(None)
        }
    }
}
