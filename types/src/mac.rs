//! `macaddr` and `macaddr8`, and `pg_lsn`: numbers in hexadecimal.

use crate::{SqlState, ValueError};

/// Reads the six bytes of a MAC address in the spellings that PostgreSQL takes.
///
/// # Errors
/// 22P02, and 22003 for a byte beyond 255.
pub(crate) fn parse_macaddr(text: &str) -> Result<[u8; 6], ValueError> {
    let invalid = || ValueError::invalid_syntax("macaddr", text);
    let trimmed = text.trim_matches(|c: char| c.is_ascii_whitespace());
    let parts = |separator: char| trimmed.split(separator).collect::<Vec<_>>();
    // Six numbers of any width, or groups of fixed width.
    for separator in [':', '-'] {
        let six = parts(separator);
        if six.len() == 6 {
            let mut out = [0; 6];
            for (byte, part) in out.iter_mut().zip(six) {
                let part = part.trim_start();
                if part.is_empty() || part.len() > 8 {
                    return Err(invalid());
                }
                let v = u32::from_str_radix(part, 16).map_err(|_| invalid())?;
                *byte = u8::try_from(v).map_err(|_| {
                    let message = format!("invalid octet value in \"macaddr\" value: \"{text}\"");
                    ValueError::new(SqlState::NumericValueOutOfRange, message)
                })?;
            }
            return Ok(out);
        }
    }
    let groups: Vec<Vec<&str>> = [':', '-', '.'].into_iter().map(parts).collect();
    let digits: String = match &groups[..] {
        [colons, ..] if colons.len() == 2 && colons.iter().all(|part| part.len() == 6) => {
            colons.concat()
        }
        [_, dashes, _] if dashes.len() == 2 && dashes.iter().all(|part| part.len() == 6) => {
            dashes.concat()
        }
        [_, dashes, _] if dashes.len() == 3 && dashes.iter().all(|part| part.len() == 4) => {
            dashes.concat()
        }
        [.., dots] if dots.len() == 3 && dots.iter().all(|part| part.len() == 4) => dots.concat(),
        _ if trimmed.len() == 12 => trimmed.to_owned(),
        _ => return Err(invalid()),
    };
    hex_bytes(&digits).ok_or_else(invalid)
}

/// Exactly `N` bytes as hexadecimal digits.
fn hex_bytes<const N: usize>(digits: &str) -> Option<[u8; N]> {
    if digits.len() != N * 2 || !digits.bytes().all(|c| c.is_ascii_hexdigit()) {
        return None;
    }
    let mut out = [0; N];
    for (index, byte) in out.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[index * 2..index * 2 + 2], 16).ok()?;
    }
    Some(out)
}

/// Reads a `macaddr8`: six or eight bytes, with one kind of separator between them or none.
///
/// # Errors
/// 22P02.
pub(crate) fn parse_macaddr8(text: &str) -> Result<[u8; 8], ValueError> {
    let invalid = || ValueError::invalid_syntax("macaddr8", text);
    let trimmed = text.trim_matches(|c: char| c.is_ascii_whitespace());
    let mut separator = None;
    let mut digits = String::with_capacity(16);
    let bytes = trimmed.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let pair = trimmed.get(at..at + 2).ok_or_else(invalid)?;
        if !pair.bytes().all(|c| c.is_ascii_hexdigit()) || digits.len() == 16 {
            return Err(invalid());
        }
        digits.push_str(pair);
        at += 2;
        if let Some(c @ (b':' | b'-' | b'.')) = bytes.get(at) {
            if *separator.get_or_insert(*c) != *c {
                return Err(invalid());
            }
            at += 1;
            if at == bytes.len() {
                return Err(invalid());
            }
        }
    }
    match digits.len() {
        16 => hex_bytes(&digits).ok_or_else(invalid),
        12 => hex_bytes(&digits).map(macaddr_to_8).ok_or_else(invalid),
        _ => Err(invalid()),
    }
}

/// The address of eight bytes that one of six is.
pub(crate) fn macaddr_to_8(v: [u8; 6]) -> [u8; 8] {
    let [a, b, c, d, e, f] = v;
    [a, b, c, 0xff, 0xfe, d, e, f]
}

/// The address of six bytes that one of eight is.
///
/// # Errors
/// 22003 if it is none.
pub(crate) fn macaddr_from_8(v: [u8; 8]) -> Result<[u8; 6], ValueError> {
    match v {
        [a, b, c, 0xff, 0xfe, d, e, f] => Ok([a, b, c, d, e, f]),
        _ => Err(ValueError::new(
            SqlState::NumericValueOutOfRange,
            "macaddr8 data out of range to convert to macaddr",
        )
        .with_hint(
            "Only addresses that have FF and FE as values in the 4th and 5th bytes from the left, \
             for example xx:xx:xx:ff:fe:xx:xx:xx, are eligible to be converted from macaddr8 to \
             macaddr.",
        )),
    }
}

/// Appends an address.
pub(crate) fn write_mac(bytes: &[u8], out: &mut Vec<u8>) {
    for (index, byte) in bytes.iter().enumerate() {
        if index > 0 {
            out.push(b':');
        }
        crate::io::plain::write_hex(&[*byte], out);
    }
}

/// Reads a log position, `16/B374D848`.
///
/// # Errors
/// 22P02.
pub(crate) fn parse_lsn(text: &str) -> Result<u64, ValueError> {
    let half = |part: &str| {
        let is_hex = (1..=8).contains(&part.len()) && part.bytes().all(|c| c.is_ascii_hexdigit());
        is_hex.then(|| u64::from_str_radix(part, 16).ok()).flatten()
    };
    text.split_once('/')
        .and_then(|(high, low)| Some(half(high)? << 32 | half(low)?))
        .ok_or_else(|| ValueError::invalid_syntax("pg_lsn", text))
}

/// Appends a log position.
pub(crate) fn write_lsn(v: u64, out: &mut Vec<u8>) {
    out.extend(format!("{:X}/{:X}", v >> 32, v as u32).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_in_all_spellings() {
        let expected = [8, 0, 0x2b, 1, 2, 3];
        for text in [
            "08:00:2b:01:02:03",
            "08-00-2b-01-02-03",
            "08002b:010203",
            "08002b-010203",
            "0800.2b01.0203",
            "0800-2b01-0203",
            "08002b010203",
            "8:0:2b:1:2:3",
        ] {
            assert_eq!(parse_macaddr(text).unwrap(), expected, "{text}");
        }
        for text in ["0800:2b01:0203", "not even close", "", "08:00:2b:01:02", "08:00:2b:01:02:1ff"]
        {
            parse_macaddr(text).unwrap_err();
        }
        assert_eq!(parse_macaddr8("08002b010203").unwrap(), macaddr_to_8(expected));
        assert_eq!(parse_macaddr8("08:00:2b:01:02:03:04:05").unwrap(), [8, 0, 0x2b, 1, 2, 3, 4, 5]);
        parse_macaddr8("08:00:2b-01:02:03").unwrap_err();
        assert_eq!(parse_lsn("16/B374D848").unwrap(), 0x16_b374_d848);
    }
}
