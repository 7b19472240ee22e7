//! The fields of a record of comma-separated values.

use driftdb_query::{CopyOptions, Result, SqlError};
use driftdb_types::SqlState;

use super::Fields;

/// Cuts a record at its delimiters outside of quotes. A field without quotes that reads like the NULL
/// string is NULL.
pub(super) fn split(line: &[u8], options: &CopyOptions, fields: &mut Fields) -> Result<()> {
    let (quote, escape) = (options.quote, options.escape);
    let mut at = 0;
    loop {
        let start = fields.bytes.len();
        let (mut in_quotes, mut was_quoted) = (false, false);
        while let Some(&byte) = line.get(at) {
            if !in_quotes && byte == options.delimiter {
                break;
            }
            at += 1;
            let next = line.get(at).copied();
            if in_quotes && byte == escape && (next == Some(quote) || next == Some(escape)) {
                fields.bytes.extend(next);
                at += 1;
            } else if byte == quote {
                in_quotes = !in_quotes;
                was_quoted = true;
            } else {
                fields.bytes.push(byte);
            }
        }
        if in_quotes {
            let message = "unterminated CSV quoted field";
            return Err(SqlError::new(SqlState::BadCopyFileFormat, message));
        }
        let null = !was_quoted && fields.bytes[start..] == *options.null.as_bytes();
        fields.end(null);
        if at == line.len() {
            return Ok(());
        }
        at += 1;
    }
}
