//! Truth values, byte strings and UUIDs as text.

use crate::context::ByteaOutput;
use crate::{SqlState, ValueError};

/// Reads a truth value: any unambiguous prefix of true, false, yes, no, and on, off, 1, 0.
pub(super) fn parse_bool(text: &str) -> Result<bool, ValueError> {
    let word =
        text.trim_matches(|c: char| c.is_ascii_whitespace() || c == '\x0b').to_ascii_lowercase();
    let prefix = |of: &str, least: usize| word.len() >= least && of.starts_with(&word);
    if prefix("true", 1) || prefix("yes", 1) || word == "on" || word == "1" {
        Ok(true)
    } else if prefix("false", 1) || prefix("no", 1) || prefix("off", 2) || word == "0" {
        Ok(false)
    } else {
        Err(ValueError::invalid_syntax("boolean", text))
    }
}

/// Reads `\x…` or the escape format.
pub(super) fn parse_bytea(text: &str) -> Result<Vec<u8>, ValueError> {
    if let Some(hex) = text.strip_prefix("\\x") {
        return parse_hex(hex);
    }
    let invalid = || {
        let message = "invalid input syntax for type bytea";
        ValueError::new(SqlState::InvalidTextRepresentation, message)
    };
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] != b'\\' {
            out.push(bytes[at]);
            at += 1;
        } else if bytes.get(at + 1) == Some(&b'\\') {
            out.push(b'\\');
            at += 2;
        } else {
            let octal = bytes.get(at + 1..at + 4).ok_or_else(invalid)?;
            let digits = octal.iter().all(|byte| (b'0'..=b'7').contains(byte));
            if !digits || octal[0] > b'3' {
                return Err(invalid());
            }
            out.push(octal.iter().fold(0, |v, byte| v * 8 + (byte - b'0')));
            at += 4;
        }
    }
    Ok(out)
}

/// Reads hexadecimal digits; blanks may stand between bytes.
pub(crate) fn parse_hex(text: &str) -> Result<Vec<u8>, ValueError> {
    let mut out = Vec::with_capacity(text.len() / 2);
    let mut high: Option<u8> = None;
    for c in text.chars() {
        if high.is_none() && matches!(c, ' ' | '\n' | '\t' | '\r') {
            continue;
        }
        let Some(digit) = c.to_digit(16) else {
            let message = format!("invalid hexadecimal digit: \"{c}\"");
            return Err(ValueError::invalid_parameter(message));
        };
        match high.take() {
            None => high = Some(digit as u8),
            Some(first) => out.push(first << 4 | digit as u8),
        }
    }
    if high.is_some() {
        let message = "invalid hexadecimal data: odd number of digits";
        return Err(ValueError::invalid_parameter(message));
    }
    Ok(out)
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends hexadecimal digits.
pub(crate) fn write_hex(bytes: &[u8], out: &mut Vec<u8>) {
    for byte in bytes {
        out.extend([HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
    }
}

/// Appends a byte string.
pub(crate) fn write_bytea(bytes: &[u8], style: ByteaOutput, out: &mut Vec<u8>) {
    match style {
        ByteaOutput::Hex => {
            out.extend(b"\\x");
            write_hex(bytes, out);
        }
        ByteaOutput::Escape => {
            for byte in bytes {
                match byte {
                    b'\\' => out.extend(b"\\\\"),
                    0x20..=0x7e => out.push(*byte),
                    _ => out.extend(format!("\\{byte:03o}").as_bytes()),
                }
            }
        }
    }
}

/// Reads a UUID: 32 hexadecimal digits, with hyphens after groups of four, perhaps in braces.
pub(super) fn parse_uuid(text: &str) -> Result<[u8; 16], ValueError> {
    let invalid = || ValueError::invalid_syntax("uuid", text);
    let mut rest = text.as_bytes();
    let braced = rest.first() == Some(&b'{');
    if braced {
        rest = &rest[1..];
    }
    let mut out = [0; 16];
    for (index, byte) in out.iter_mut().enumerate() {
        let [high, low, tail @ ..] = rest else { return Err(invalid()) };
        let digit = |c: u8| char::from(c).to_digit(16).ok_or_else(invalid);
        *byte = (digit(*high)? << 4 | digit(*low)?) as u8;
        rest = tail;
        if index % 2 == 1 && index < 15 && rest.first() == Some(&b'-') {
            rest = &rest[1..];
        }
    }
    if braced {
        rest = rest.strip_prefix(b"}").ok_or_else(invalid)?;
    }
    if rest.is_empty() { Ok(out) } else { Err(invalid()) }
}

/// Appends a UUID.
pub(crate) fn write_uuid(v: &[u8; 16], out: &mut Vec<u8>) {
    for (index, byte) in v.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        write_hex(&[*byte], out);
    }
}

/// Reads a `"char"`: the first byte; one above ASCII as a backslash and three octal digits, which is how
/// PostgreSQL 16 writes it. (15 writes the bare byte, which is no text.)
pub(crate) fn parse_char(text: &str) -> u8 {
    match text.as_bytes() {
        [b'\\', digits @ ..]
            if digits.len() == 3 && digits.iter().all(|byte| (b'0'..=b'7').contains(byte)) =>
        {
            digits.iter().fold(0, |v: u8, byte| v.wrapping_mul(8).wrapping_add(byte - b'0'))
        }
        bytes => bytes.first().copied().unwrap_or(0),
    }
}

/// Appends a `"char"`.
pub(crate) fn write_char(v: u8, out: &mut Vec<u8>) {
    match v {
        0 => {}
        1..=0x7f => out.push(v),
        _ => out.extend(format!("\\{v:03o}").as_bytes()),
    }
}
