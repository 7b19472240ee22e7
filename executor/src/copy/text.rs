//! The fields of a record in PostgreSQL's text form.

use driftdb_query::{CopyOptions, Result};

use super::Fields;

/// Cuts a record at its delimiters and resolves backslashes. A field that reads like the NULL string
/// before that is NULL.
pub(super) fn split(line: &[u8], options: &CopyOptions, fields: &mut Fields) -> Result<()> {
    let mut at = 0;
    loop {
        let start = at;
        while at < line.len() && line[at] != options.delimiter {
            if line[at] == b'\\' && at + 1 < line.len() {
                at = unescape(line, at + 1, &mut fields.bytes);
            } else {
                fields.bytes.push(line[at]);
                at += 1;
            }
        }
        fields.end(&line[start..at] == options.null.as_bytes());
        if at == line.len() {
            return Ok(());
        }
        at += 1;
    }
}

/// Appends what the escape after a backslash stands for; returns where to go on.
fn unescape(line: &[u8], at: usize, out: &mut Vec<u8>) -> usize {
    let simple = match line[at] {
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 11,
        b'0'..=b'7' => return number(line, at, 8, 3, out),
        b'x' if line.get(at + 1).is_some_and(u8::is_ascii_hexdigit) => {
            return number(line, at + 1, 16, 2, out);
        }
        other => other,
    };
    out.push(simple);
    at + 1
}

/// A byte given by up to `digits` digits.
fn number(line: &[u8], mut at: usize, radix: u32, digits: usize, out: &mut Vec<u8>) -> usize {
    let mut value = 0;
    for _ in 0..digits {
        let digit = line.get(at).and_then(|&byte| char::from(byte).to_digit(radix));
        let Some(digit) = digit else { break };
        value = value * radix + digit;
        at += 1;
    }
    out.push(value as u8);
    at
}
