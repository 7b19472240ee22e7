//! The messages that a client sends after startup.

use driftdb_query::{Result, SqlError};
use driftdb_types::SqlState;

use super::decode::{Reader, violation};
use crate::session::Format;

/// The largest message that may carry a statement, parameters or COPY's bytes.
pub(super) const LARGE_MAX_BYTES: usize = 256 << 20;
/// The largest message of the other kinds.
const SMALL_MAX_BYTES: usize = 64 << 10;

/// One message.
#[derive(Debug, PartialEq)]
pub(super) enum Message<'a> {
    Query(&'a str),
    Parse { name: &'a str, text: &'a str, param_oids: Vec<u32> },
    Bind(Bind<'a>),
    DescribeStatement(&'a str),
    DescribePortal(&'a str),
    Execute { portal: &'a str, max_rows: u32 },
    CloseStatement(&'a str),
    ClosePortal(&'a str),
    Flush,
    Sync,
    Terminate,
    CopyData(&'a [u8]),
    CopyDone,
    CopyFail(&'a str),
}

#[derive(Debug, PartialEq)]
pub(super) struct Bind<'a> {
    pub(super) portal: &'a str,
    pub(super) statement: &'a str,
    pub(super) param_formats: Vec<Format>,
    pub(super) params: Vec<Option<&'a [u8]>>,
    pub(super) result_formats: Vec<Format>,
}

/// What the beginning of the input holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// Less than a message.
    Partial,
    /// A message of this kind, whose body is `body`; the next begins after it.
    Whole { kind: u8, body: std::ops::Range<usize> },
}

/// Cuts the first message off.
///
/// # Errors
/// A kind that there is not, or a length that cannot be: nothing after it can be read, the connection
/// must end.
pub(super) fn frame(input: &[u8]) -> Result<Frame> {
    let [kind, length @ ..] = input else { return Ok(Frame::Partial) };
    let most = match kind {
        b'Q' | b'P' | b'B' | b'd' | b'F' => LARGE_MAX_BYTES,
        b'D' | b'E' | b'C' | b'H' | b'S' | b'X' | b'c' | b'f' | b'p' => SMALL_MAX_BYTES,
        kind => return Err(violation(format!("invalid frontend message type {kind}"))),
    };
    let Some(length) = length.first_chunk::<4>() else { return Ok(Frame::Partial) };
    let length = u32::from_be_bytes(*length) as usize;
    if length < 4 || length > most {
        return Err(violation(format!(
            "invalid message length: {length} bytes, where at most {most} are allowed"
        )));
    }
    if input.len() < 1 + length {
        return Ok(Frame::Partial);
    }
    Ok(Frame::Whole { kind: *kind, body: 5..1 + length })
}

/// Reads the body of a message.
///
/// # Errors
/// The body is not one; the next message can be read all the same.
pub(super) fn decode(kind: u8, body: &[u8]) -> Result<Message<'_>> {
    let mut reader = Reader::new(body);
    let message = match kind {
        b'Q' => Message::Query(reader.string()?),
        b'P' => {
            let (name, text) = (reader.string()?, reader.string()?);
            let count = reader.count(4)?;
            let param_oids = (0..count).map(|_| reader.u32()).collect::<Result<_>>()?;
            Message::Parse { name, text, param_oids }
        }
        b'B' => Message::Bind(bind(&mut reader)?),
        b'D' => match reader.u8()? {
            b'S' => Message::DescribeStatement(reader.string()?),
            b'P' => Message::DescribePortal(reader.string()?),
            what => return Err(violation(format!("invalid DESCRIBE message subtype {what}"))),
        },
        b'C' => match reader.u8()? {
            b'S' => Message::CloseStatement(reader.string()?),
            b'P' => Message::ClosePortal(reader.string()?),
            what => return Err(violation(format!("invalid CLOSE message subtype {what}"))),
        },
        b'E' => {
            let portal = reader.string()?;
            // As in PostgreSQL, a negative number of rows means all.
            let max_rows = reader.i32()?.max(0).unsigned_abs();
            Message::Execute { portal, max_rows }
        }
        b'H' => Message::Flush,
        b'S' => Message::Sync,
        b'X' => Message::Terminate,
        b'd' => Message::CopyData(reader.rest()),
        b'c' => Message::CopyDone,
        b'f' => Message::CopyFail(reader.string()?),
        b'F' => {
            let message = "the function call message is not supported";
            return Err(SqlError::new(SqlState::FeatureNotSupported, message));
        }
        kind => {
            let kind = char::from(kind);
            return Err(violation(format!("unexpected message of type \"{kind}\"")));
        }
    };
    reader.finish()?;
    Ok(message)
}

fn bind<'a>(reader: &mut Reader<'a>) -> Result<Bind<'a>> {
    let (portal, statement) = (reader.string()?, reader.string()?);
    let param_formats = formats(reader)?;
    let count = reader.count(4)?;
    let mut params = Vec::with_capacity(count);
    for _ in 0..count {
        params.push(match reader.i32()? {
            -1 => None,
            length => {
                let length = usize::try_from(length)
                    .map_err(|_| violation("invalid length of a parameter"))?;
                Some(reader.bytes(length)?)
            }
        });
    }
    let result_formats = formats(reader)?;
    Ok(Bind { portal, statement, param_formats, params, result_formats })
}

fn formats(reader: &mut Reader<'_>) -> Result<Vec<Format>> {
    let count = reader.count(2)?;
    (0..count)
        .map(|_| {
            let code = reader.i16()?;
            Format::from_code(code).ok_or_else(|| {
                let message = format!("invalid format code: {code}");
                SqlError::new(SqlState::InvalidParameterValue, message)
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_cut_and_read() {
        let mut input = b"Q\0\0\0\x0dSELECT 1\0S\0\0\0\x04".to_vec();
        assert_eq!(frame(&input), Ok(Frame::Whole { kind: b'Q', body: 5..14 }));
        assert_eq!(decode(b'Q', &input[5..14]), Ok(Message::Query("SELECT 1")));
        input.truncate(9);
        assert_eq!(frame(&input), Ok(Frame::Partial));
        assert_eq!(frame(b""), Ok(Frame::Partial));
    }

    #[test]
    fn a_length_is_refused_before_anything_is_allocated_for_it() {
        let code = |input: &[u8]| frame(input).unwrap_err().state.code();
        assert_eq!(code(b"Q\x40\0\0\0"), "08P01");
        assert_eq!(code(b"Q\xff\xff\xff\xff"), "08P01");
        assert_eq!(code(b"Q\0\0\0\x03"), "08P01");
        assert_eq!(code(b"S\0\x10\0\0"), "08P01");
        assert_eq!(code(b"\x16\x03\x01"), "08P01");
    }

    #[test]
    fn bodies_that_lie_about_their_counts_are_errors() {
        let code = |kind, body: &[u8]| decode(kind, body).unwrap_err().state.code();
        assert_eq!(code(b'Q', b"SELECT 1"), "08P01");
        assert_eq!(code(b'Q', b"SELECT 1\0x"), "08P01");
        assert_eq!(code(b'Q', b"\xff\0"), "22021");
        assert_eq!(code(b'P', b"\0\0\xff\xff"), "08P01");
        assert_eq!(code(b'B', b"\0\0\0\0\0\x01\x7f\xff\xff\xff"), "08P01");
        assert_eq!(code(b'B', b"\0\0\0\0\0\x01\xff\xff\xff\xfe\0\0"), "08P01");
        assert_eq!(code(b'B', b"\0\0\0\x01\0\x07\0\0\0\0"), "22023");
        assert_eq!(code(b'D', b"X\0"), "08P01");
        assert_eq!(code(b'p', b"secret\0"), "08P01");
    }
}
