//! Reading a message's body, never past its end.

use driftdb_query::{Result, SqlError};
use driftdb_types::SqlState;

/// The body of one message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

pub(super) fn violation(message: impl Into<String>) -> SqlError {
    SqlError::new(SqlState::ProtocolViolation, message)
}

impl<'a> Reader<'a> {
    pub(super) fn new(body: &'a [u8]) -> Self {
        Self { rest: body }
    }

    pub(super) fn bytes(&mut self, count: usize) -> Result<&'a [u8]> {
        let (head, tail) = self
            .rest
            .split_at_checked(count)
            .ok_or_else(|| violation("insufficient data left in message"))?;
        self.rest = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.bytes(N)?);
        Ok(array)
    }

    pub(super) fn u8(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    pub(super) fn i16(&mut self) -> Result<i16> {
        Ok(i16::from_be_bytes(self.array()?))
    }

    /// A count of elements, each of which has at least `least_bytes`.
    pub(super) fn count(&mut self, least_bytes: usize) -> Result<usize> {
        let count = usize::from(u16::from_be_bytes(self.array()?));
        if count * least_bytes > self.rest.len() {
            return Err(violation("insufficient data left in message"));
        }
        Ok(count)
    }

    pub(super) fn i32(&mut self) -> Result<i32> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    pub(super) fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    /// Text up to a zero byte.
    pub(super) fn string(&mut self) -> Result<&'a str> {
        let end = self.rest.iter().position(|byte| *byte == 0);
        let end = end.ok_or_else(|| violation("invalid string in message"))?;
        let bytes = &self.rest[..end];
        self.rest = &self.rest[end + 1..];
        text(bytes)
    }

    pub(super) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    pub(super) fn finish(&self) -> Result<()> {
        if self.rest.is_empty() { Ok(()) } else { Err(violation("invalid message format")) }
    }
}

/// Bytes as text.
fn text(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|error| {
        let bad = &bytes[error.valid_up_to()..];
        let bad = &bad[..bad.len().min(error.error_len().unwrap_or(bad.len()).max(1)).min(4)];
        let bad: Vec<String> = bad.iter().map(|byte| format!("0x{byte:02x}")).collect();
        let message = format!("invalid byte sequence for encoding \"UTF8\": {}", bad.join(" "));
        SqlError::new(SqlState::CharacterNotInRepertoire, message)
    })
}
