//! Cutting a stream into records.
//!
//! A record ends with a line feed, a carriage return, or both; the first one decides for the whole
//! input. In the text form a backslash takes the next byte along; in CSV nothing ends a record inside
//! quotes. A record `\.` ends the input.

use driftdb_query::{CopyFormat, CopyOptions, Result, SqlError};
use driftdb_types::SqlState;

/// The longest record that is taken.
pub(super) const MAX_LINE_BYTES: usize = 1 << 30;
/// Bytes that were used are dropped once there are so many.
const COMPACT_BYTES: usize = 1 << 16;

/// What ends a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Newline {
    Unknown,
    Lf,
    Cr,
    CrLf,
}

/// A record: its place in the buffer, valid until the next is asked for.
#[derive(Debug)]
pub(super) struct Line {
    start: usize,
    end: usize,
}

/// Bytes that arrived, and how far they were read.
pub(super) struct Lines {
    csv: bool,
    quote: u8,
    escape: u8,
    buffer: Vec<u8>,
    start: usize,
    /// Up to here the current record was looked at.
    at: usize,
    in_quotes: bool,
    newline: Newline,
    ended: bool,
}

impl Lines {
    pub(super) fn new(options: &CopyOptions) -> Self {
        Self {
            csv: options.format == CopyFormat::Csv,
            quote: options.quote,
            escape: options.escape,
            buffer: Vec::new(),
            start: 0,
            at: 0,
            in_quotes: false,
            newline: Newline::Unknown,
            ended: false,
        }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<()> {
        if self.ended {
            return Ok(());
        }
        if self.start > COMPACT_BYTES {
            self.buffer.drain(..self.start);
            self.at -= self.start;
            self.start = 0;
        }
        if self.buffer.len() - self.start + bytes.len() > MAX_LINE_BYTES {
            return Err(SqlError::new(SqlState::ProgramLimitExceeded, "COPY line is too long"));
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    pub(super) fn bytes(&self, line: &Line) -> &[u8] {
        &self.buffer[line.start..line.end]
    }

    /// The next record, if it is complete; at the end of the input, what is left.
    pub(super) fn next(&mut self, at_end: bool) -> Result<Option<Line>> {
        if self.ended {
            return Ok(None);
        }
        let Some((end, next)) = self.find_end(at_end)? else { return Ok(None) };
        let line = Line { start: self.start, end };
        (self.start, self.at, self.in_quotes) = (next, next, false);
        if &self.buffer[line.start..line.end] == b"\\." {
            self.ended = true;
            return Ok(None);
        }
        Ok(Some(line))
    }

    /// Where the current record ends, and where the next one starts.
    fn find_end(&mut self, at_end: bool) -> Result<Option<(usize, usize)>> {
        while let Some(&byte) = self.buffer.get(self.at) {
            match byte {
                _ if self.csv && (byte == self.quote || self.in_quotes) => {
                    let Some(step) = self.quoted(byte, at_end) else { return Ok(None) };
                    self.at += step;
                    continue;
                }
                b'\\' if !self.csv => {
                    // The next byte belongs to the record, whatever it is.
                    if self.at + 1 == self.buffer.len() && !at_end {
                        return Ok(None);
                    }
                    self.at += 2;
                    continue;
                }
                b'\n' | b'\r' => match self.newline_at(byte, at_end)? {
                    Found::End(length) => return Ok(Some((self.at, self.at + length))),
                    Found::Wait => return Ok(None),
                },
                _ => {}
            }
            self.at += 1;
        }
        let end = self.buffer.len();
        if !at_end || self.start >= end {
            return Ok(None);
        }
        if self.in_quotes {
            return Err(malformed("unterminated CSV quoted field"));
        }
        Ok(Some((end, end)))
    }

    /// How many bytes to go on at a quote or inside quotes; `None` if more bytes are needed to know.
    fn quoted(&mut self, byte: u8, at_end: bool) -> Option<usize> {
        if self.in_quotes && byte == self.escape {
            match self.buffer.get(self.at + 1) {
                Some(&next) if next == self.quote || next == self.escape => return Some(2),
                None if !at_end => return None,
                _ => {}
            }
        }
        if byte == self.quote {
            self.in_quotes = !self.in_quotes;
        }
        Some(1)
    }

    /// What a line feed or carriage return outside of quotes means.
    fn newline_at(&mut self, byte: u8, at_end: bool) -> Result<Found> {
        let followed = self.buffer.get(self.at + 1).copied();
        if self.newline == Newline::Unknown {
            self.newline = match (byte, followed) {
                (b'\n', _) => Newline::Lf,
                (_, None) if !at_end => return Ok(Found::Wait),
                (_, Some(b'\n')) => Newline::CrLf,
                _ => Newline::Cr,
            };
        }
        let literal = |name: &str, escape: &str| {
            let error = malformed(&if self.csv {
                format!("unquoted {name} found in data")
            } else {
                format!("literal {name} found in data")
            });
            error.with_hint(if self.csv {
                format!("Use quoted CSV field to represent {name}.")
            } else {
                format!("Use \"{escape}\" to represent {name}.")
            })
        };
        match (self.newline, byte, followed) {
            (Newline::Lf, b'\n', _) | (Newline::Cr, b'\r', _) => Ok(Found::End(1)),
            (Newline::CrLf, b'\r', Some(b'\n')) => Ok(Found::End(2)),
            (Newline::CrLf, b'\r', None) if !at_end => Ok(Found::Wait),
            (_, b'\r', _) => Err(literal("carriage return", "\\r")),
            _ => Err(literal("newline", "\\n")),
        }
    }
}

enum Found {
    /// The end of the record, with so many bytes.
    End(usize),
    /// The next byte decides.
    Wait,
}

fn malformed(message: &str) -> SqlError {
    SqlError::new(SqlState::BadCopyFileFormat, message)
}
