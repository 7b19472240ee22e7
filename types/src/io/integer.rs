//! Integers as text.

use crate::{DataType, SqlState, ValueError};

fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

/// Reads an integer that fits the type.
pub(super) fn parse_int(text: &str, ty: DataType) -> Result<i64, ValueError> {
    let trimmed = text.trim_matches(|c: char| c.is_ascii() && is_space(c as u8));
    let (negative, digits) = match trimmed.as_bytes().first() {
        Some(b'-') => (true, &trimmed[1..]),
        Some(b'+') => (false, &trimmed[1..]),
        _ => (false, trimmed),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ValueError::invalid_syntax(ty.sql_name(), text));
    }
    let (low, high) = match ty {
        DataType::Int2 => (i64::from(i16::MIN), i64::from(i16::MAX)),
        DataType::Int4 => (i64::from(i32::MIN), i64::from(i32::MAX)),
        _ => (i64::MIN, i64::MAX),
    };
    let out_of_range = || {
        let message = format!("value \"{text}\" is out of range for type {ty}");
        ValueError::new(SqlState::NumericValueOutOfRange, message)
    };
    // Downwards, because the most negative number has no positive counterpart.
    let mut v: i64 = 0;
    for byte in digits.bytes() {
        let digit = i64::from(byte - b'0');
        v = v.checked_mul(10).and_then(|v| v.checked_sub(digit)).ok_or_else(out_of_range)?;
    }
    if !negative {
        v = v.checked_neg().ok_or_else(out_of_range)?;
    }
    if (low..=high).contains(&v) { Ok(v) } else { Err(out_of_range()) }
}

/// Reads an `oid`; negative numbers wrap around, as `strtoul` has them.
pub(super) fn parse_oid(text: &str) -> Result<u32, ValueError> {
    let v = parse_int(text, DataType::Int8).map_err(|error| {
        if error.state == SqlState::NumericValueOutOfRange {
            let message = format!("value \"{text}\" is out of range for type oid");
            ValueError::new(SqlState::NumericValueOutOfRange, message)
        } else {
            ValueError::invalid_syntax("oid", text)
        }
    })?;
    if v < i64::from(i32::MIN) || v > i64::from(u32::MAX) {
        let message = format!("value \"{text}\" is out of range for type oid");
        return Err(ValueError::new(SqlState::NumericValueOutOfRange, message));
    }
    Ok(v as u32)
}

/// Appends an integer.
pub(crate) fn write_int(v: i64, out: &mut Vec<u8>) {
    let mut buffer = [0u8; 20];
    let mut start = buffer.len();
    let mut rest = v.unsigned_abs();
    loop {
        start -= 1;
        buffer[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if v < 0 {
        start -= 1;
        buffer[start] = b'-';
    }
    out.extend_from_slice(&buffer[start..]);
}
