//! What escapes within a literal mean.

use driftdb_query::{Result, SqlError};
use driftdb_types::SqlState;

use super::literals::{error, near};

/// The text of bytes, which escapes can make any.
pub(super) fn text(bytes: Vec<u8>) -> Result<String> {
    let invalid = |bytes: &[u8]| {
        let shown: Vec<String> = bytes.iter().map(|byte| format!("0x{byte:02x}")).collect();
        let message = format!("invalid byte sequence for encoding \"UTF8\": {}", shown.join(" "));
        SqlError::new(SqlState::CharacterNotInRepertoire, message)
    };
    if bytes.contains(&0) {
        return Err(invalid(&[0]));
    }
    String::from_utf8(bytes).map_err(|error| {
        let from = error.utf8_error().valid_up_to();
        let bytes = &error.as_bytes()[from..];
        // As many bytes as the first of them announces.
        let length = match bytes.first() {
            Some(0xc0..=0xdf) => 2,
            Some(0xe0..=0xef) => 3,
            Some(0xf0..=0xf7) => 4,
            _ => 1,
        };
        invalid(&bytes[..length.min(bytes.len())])
    })
}

/// A character of its code; `None` if it has none that a text may have.
fn character(code: u32) -> Option<char> {
    char::from_u32(code).filter(|c| *c != '\0')
}

fn is_high(code: u32) -> bool {
    (0xd800..0xdc00).contains(&code)
}

fn is_low(code: u32) -> bool {
    (0xdc00..0xe000).contains(&code)
}

fn paired(high: u32, low: u32) -> u32 {
    0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00)
}

/// The code that so many hexadecimal digits are; `None` if there are fewer.
fn hexadecimal(chars: impl Iterator<Item = char>, count: usize) -> Option<u32> {
    let digits: Vec<u32> = chars.take(count).map_while(|c| c.to_digit(16)).collect();
    (digits.len() == count).then(|| digits.iter().fold(0, |code, digit| (code << 4) | digit))
}

/// Reads a part of `E'…'`, whose first character has this position.
pub(super) fn backslashes(part: &str, position: u32, out: &mut Vec<u8>) -> Result<()> {
    let chars: Vec<char> = part.chars().collect();
    let mut high: Option<u32> = None;
    let mut at = 0;
    while at < chars.len() {
        let (from, place) = (at, position + at as u32);
        let c = chars[at];
        at += 1;
        let escape = if c == '\\' { chars.get(at).copied() } else { None };
        if let Some(kind @ ('u' | 'U')) = escape {
            let count = if kind == 'u' { 4 } else { 8 };
            let code = hexadecimal(chars[at + 1..].iter().copied(), count);
            let Some(code) = code else {
                return Err(SqlError::new(
                    SqlState::InvalidEscapeSequence,
                    "invalid Unicode escape",
                )
                .with_hint(r"Unicode escapes must be \uXXXX or \UXXXXXXXX.")
                .at(place));
            };
            at += 1 + count;
            let shown: String = chars[from..at].iter().collect();
            let code = match high.take() {
                Some(first) if is_low(code) => paired(first, code),
                None if is_high(code) => {
                    high = Some(code);
                    continue;
                }
                None if !is_low(code) => code,
                _ => return Err(near("invalid Unicode surrogate pair", &shown, place)),
            };
            let Some(c) = character(code) else {
                return Err(near("invalid Unicode escape value", &shown, place));
            };
            out.extend(c.encode_utf8(&mut [0; 4]).bytes());
            continue;
        }
        if high.is_some() {
            let shown: String = chars[from..].iter().take(1).collect();
            return Err(near("invalid Unicode surrogate pair", &shown, place));
        }
        let Some(kind) = escape else {
            // Of a quote there are two.
            at += usize::from(c == '\'');
            out.extend(c.encode_utf8(&mut [0; 4]).bytes());
            continue;
        };
        at += 1;
        at += escaped(kind, &chars[at..], out);
    }
    if high.is_some() {
        let place = position + chars.len() as u32;
        return Err(near("invalid Unicode surrogate pair", "'", place));
    }
    Ok(())
}

/// What a backslash and a character mean, and how many characters more belong to it.
fn escaped(kind: char, rest: &[char], out: &mut Vec<u8>) -> usize {
    let digits = |base: u32, most: usize| -> Vec<u32> {
        rest.iter().take(most).map_while(|c| c.to_digit(base)).collect()
    };
    match kind {
        'b' => out.push(8),
        'f' => out.push(12),
        'n' => out.push(b'\n'),
        'r' => out.push(b'\r'),
        't' => out.push(b'\t'),
        'x' => {
            let digits = digits(16, 2);
            if digits.is_empty() {
                out.push(b'x');
            } else {
                out.push(digits.iter().fold(0, |code, digit| (code << 4) | digit) as u8);
            }
            return digits.len();
        }
        '0'..='7' => {
            let digits = digits(8, 2);
            let first = kind as u32 - '0' as u32;
            out.push(digits.iter().fold(first, |code, digit| (code << 3) | digit) as u8);
            return digits.len();
        }
        other => out.extend(other.encode_utf8(&mut [0; 4]).bytes()),
    }
    0
}

/// Reads the characters of a `U&` literal, each with its position.
pub(super) fn unicode(
    chars: &[(char, u32)],
    quote: char,
    escape: char,
    out: &mut String,
) -> Result<()> {
    let mut high: Option<u32> = None;
    let mut at = 0;
    while at < chars.len() {
        let (c, place) = chars[at];
        let next = chars.get(at + 1).map(|(next, _)| *next);
        let is_escape = c == escape && next != Some(escape);
        if !is_escape {
            if high.is_some() {
                return Err(error("invalid Unicode surrogate pair", place));
            }
            // Of quotes and of the character that escapes there are two.
            at += if c == quote || c == escape { 2 } else { 1 };
            out.push(c);
            continue;
        }
        let skipped = if next == Some('+') { 2 } else { 1 };
        let count = if next == Some('+') { 6 } else { 4 };
        let rest = chars[(at + skipped).min(chars.len())..].iter().map(|(c, _)| *c);
        let Some(code) = hexadecimal(rest, count) else {
            return Err(error("invalid Unicode escape", place)
                .with_hint(r"Unicode escapes must be \XXXX or \+XXXXXX."));
        };
        at += skipped + count;
        let code = match high.take() {
            Some(first) if is_low(code) => paired(first, code),
            None if is_high(code) => {
                high = Some(code);
                continue;
            }
            None if !is_low(code) => code,
            _ => return Err(error("invalid Unicode surrogate pair", place)),
        };
        out.push(character(code).ok_or_else(|| error("invalid Unicode escape value", place))?);
    }
    if high.is_some() {
        let place = chars.last().map_or(1, |(_, place)| place + 1);
        return Err(error("invalid Unicode surrogate pair", place));
    }
    Ok(())
}
