//! PostgreSQL's binary form of COPY.
//!
//! A signature, 32 flags and the length of an extension; then rows, each with the number of its
//! fields and each field with its length, -1 for NULL; then -1 in place of a number of fields. All
//! numbers are in network byte order. The lengths are the client's, so nothing is reserved by them:
//! a row is read once all its bytes are there.

use driftdb_query::{Result, SqlError};
use driftdb_types::SqlState;

use super::Fields;
use super::lines::MAX_LINE_BYTES;

/// What the input begins with.
pub(super) const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";
/// Ends the rows.
pub(super) const END: i16 = -1;
/// The flag of files with OIDs, which PostgreSQL 12 stopped to read.
const HAS_OIDS: u32 = 1 << 16;
/// Flags from here on change how the file is to be read.
const CRITICAL_FLAGS: u32 = 0xffff_0000;
/// Bytes that were used are dropped once there are so many.
const COMPACT_BYTES: usize = 1 << 16;

/// How far the input has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Signature,
    Extension(usize),
    Rows,
    Ended,
}

/// Bytes that arrived, and how far they were read.
pub(super) struct Rows {
    buffer: Vec<u8>,
    start: usize,
    at: At,
}

impl Rows {
    pub(super) fn new() -> Self {
        Self { buffer: Vec::new(), start: 0, at: At::Signature }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<()> {
        if self.start > COMPACT_BYTES {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        if self.buffer.len() - self.start + bytes.len() > MAX_LINE_BYTES {
            return Err(SqlError::new(SqlState::ProgramLimitExceeded, "COPY row is too long"));
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// Whether rows may come: errors before that are not about a row.
    pub(super) fn is_in_rows(&self) -> bool {
        self.at == At::Rows
    }

    /// Reads the fields of the next row, if all of it is there.
    pub(super) fn next(&mut self, width: usize, at_end: bool, into: &mut Fields) -> Result<bool> {
        if !self.header(at_end)? {
            return Ok(false);
        }
        let rest = &self.buffer[self.start..];
        if self.at == At::Ended {
            return match rest.is_empty() {
                true => Ok(false),
                false => Err(malformed("received copy data after EOF marker")),
            };
        }
        let Some(count) = number::<2>(rest, 0).map(i16::from_be_bytes) else {
            return if rest.is_empty() || !at_end { Ok(false) } else { Err(cut_off()) };
        };
        if count == END {
            (self.at, self.start) = (At::Ended, self.start + 2);
            return self.next(width, at_end, into);
        }
        if usize::try_from(count) != Ok(width) {
            return Err(malformed(format!("row field count is {count}, expected {width}")));
        }
        into.clear();
        let mut at = 2;
        for _ in 0..width {
            match field(rest, at)? {
                Some((bytes, after)) => {
                    into.bytes.extend_from_slice(bytes.unwrap_or_default());
                    into.end(bytes.is_none());
                    at = after;
                }
                None if at_end => return Err(cut_off()),
                None => return Ok(false),
            }
        }
        self.start += at;
        Ok(true)
    }

    /// Reads what stands before the rows; whether it is complete.
    fn header(&mut self, at_end: bool) -> Result<bool> {
        if self.at == At::Signature {
            let rest = &self.buffer[self.start..];
            let length = rest.len().min(SIGNATURE.len());
            let is_whole = rest.len() >= SIGNATURE.len();
            if rest[..length] != SIGNATURE[..length] || (at_end && !is_whole) {
                return Err(malformed("COPY file signature not recognized"));
            }
            let flags = number::<4>(rest, SIGNATURE.len()).map(u32::from_be_bytes);
            let length = number::<4>(rest, SIGNATURE.len() + 4).map(i32::from_be_bytes);
            match (flags, length) {
                (None, _) if at_end => {
                    return Err(malformed("invalid COPY file header (missing flags)"));
                }
                (Some(flags), _) if flags & HAS_OIDS != 0 => {
                    return Err(malformed("invalid COPY file header (WITH OIDS)"));
                }
                (Some(flags), _) if flags & CRITICAL_FLAGS != 0 => {
                    return Err(malformed("unrecognized critical flags in COPY file header"));
                }
                (Some(_), None) if at_end => {
                    return Err(malformed("invalid COPY file header (missing length)"));
                }
                (Some(_), Some(length)) => {
                    let wrong = |_| malformed("invalid COPY file header (wrong length)");
                    self.at = At::Extension(usize::try_from(length).map_err(wrong)?);
                    self.start += SIGNATURE.len() + 8;
                }
                _ => return Ok(false),
            }
        }
        if let At::Extension(left) = self.at {
            let skipped = left.min(self.buffer.len() - self.start);
            self.start += skipped;
            self.at = match left - skipped {
                0 => At::Rows,
                _ if at_end => return Err(malformed("invalid COPY file header (wrong length)")),
                left => At::Extension(left),
            };
        }
        Ok(!matches!(self.at, At::Signature | At::Extension(_)))
    }
}

/// A field's bytes, none for NULL, and what follows it; nothing if it is not all there.
type Field<'a> = Option<(Option<&'a [u8]>, usize)>;

fn field(row: &[u8], at: usize) -> Result<Field<'_>> {
    let Some(length) = number::<4>(row, at).map(i32::from_be_bytes) else { return Ok(None) };
    if length == -1 {
        return Ok(Some((None, at + 4)));
    }
    let length = usize::try_from(length).map_err(|_| malformed("invalid field size"))?;
    let bytes = row.get(at + 4..at + 4 + length);
    Ok(bytes.map(|bytes| (Some(bytes), at + 4 + length)))
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

fn cut_off() -> SqlError {
    malformed("unexpected EOF in COPY data")
}

fn malformed(message: impl Into<String>) -> SqlError {
    SqlError::new(SqlState::BadCopyFileFormat, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(rows: &[u8]) -> Vec<u8> {
        [&SIGNATURE[..], &[0, 0, 0, 0, 0, 0, 0, 2, 7, 7], rows].concat()
    }

    /// Reads the input in pieces of a size; the rows' fields, or the error.
    fn read(input: &[u8], piece: usize) -> std::result::Result<Vec<Vec<Option<Vec<u8>>>>, String> {
        let (mut rows, mut fields, mut out) = (Rows::new(), Fields::default(), Vec::new());
        let mut pieces = input.chunks(piece);
        loop {
            let next = pieces.next();
            rows.push(next.unwrap_or_default()).unwrap();
            while rows.next(2, next.is_none(), &mut fields).map_err(|error| error.message)? {
                out.push((0..2).map(|i| fields.get(i).map(<[u8]>::to_vec)).collect());
            }
            if next.is_none() {
                return Ok(out);
            }
        }
    }

    #[test]
    fn rows_are_read_from_pieces_of_any_size() {
        let input = file(b"\0\x02\0\0\0\x01a\xff\xff\xff\xff\0\x02\0\0\0\0\0\0\0\x02bc\xff\xff");
        let expected =
            vec![vec![Some(b"a".to_vec()), None], vec![Some(Vec::new()), Some(b"bc".to_vec())]];
        for piece in 1..=input.len() {
            assert_eq!(read(&input, piece).unwrap(), expected);
        }
    }

    #[test]
    fn malformed_input_is_told() {
        let long = file(b"\0\x02\x7f\xff\xff\xff");
        let cases: [(&[u8], &str); 9] = [
            (b"1\tx\n", "COPY file signature not recognized"),
            (b"", "COPY file signature not recognized"),
            (b"PGCOPY\n\xff\r\n\0\0", "invalid COPY file header (missing flags)"),
            (b"PGCOPY\n\xff\r\n\0\0\x01\0\0", "invalid COPY file header (WITH OIDS)"),
            (&file(b"\0\x03"), "row field count is 3, expected 2"),
            (&file(b"\0\x02\xff\xff\xff\xfe"), "invalid field size"),
            (&file(b"\0\x02\0\0\0\x05a"), "unexpected EOF in COPY data"),
            (&file(b"\xff\xff\0"), "received copy data after EOF marker"),
            (&long, "unexpected EOF in COPY data"),
        ];
        for (input, message) in cases {
            assert_eq!(read(input, 3).unwrap_err(), message);
        }
    }
}
