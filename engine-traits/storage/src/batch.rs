//! A write batch: flat bytes that go to the log as they are.
//!
//! Each operation is one tag byte, the keyspace as a varint, and for writes the key (varint length,
//! bytes) and for a put the value (varint length, bytes). Layout: `docs/formats/batch.md`.
//! Bytes that came from a log are checked once by [`WriteBatch::from_bytes`]; after that, iteration
//! cannot fail.

use crate::KeyspaceId;

const TAG_PUT: u8 = 1;
const TAG_DELETE: u8 = 2;
const TAG_CREATE_KEYSPACE: u8 = 3;
const TAG_DROP_KEYSPACE: u8 = 4;
const TAG_DELETE_RANGE: u8 = 5;

/// One operation of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation<'a> {
    /// A new version of a key.
    Put {
        /// Where.
        space: KeyspaceId,
        /// The key.
        key: &'a [u8],
        /// The value of this version.
        value: &'a [u8],
    },
    /// A new version that says the key is absent.
    Delete {
        /// Where.
        space: KeyspaceId,
        /// The key.
        key: &'a [u8],
    },
    /// A tombstone for every key from `start` (included) to `end` (excluded) that has a value just
    /// before this operation, earlier operations of the batch included. An inverted range is empty.
    DeleteRange {
        /// Where.
        space: KeyspaceId,
        /// The first key that goes.
        start: &'a [u8],
        /// The first key after it that stays.
        end: &'a [u8],
    },
    /// The keyspace exists from this commit on.
    CreateKeyspace(KeyspaceId),
    /// The keyspace is gone from this commit on; earlier times still read it.
    DropKeyspace(KeyspaceId),
}

impl Operation<'_> {
    /// Bytes of its keys and value.
    pub fn content_bytes(&self) -> usize {
        match self {
            Self::Put { key, value, .. } => key.len() + value.len(),
            Self::Delete { key, .. } => key.len(),
            Self::DeleteRange { start, end, .. } => start.len() + end.len(),
            Self::CreateKeyspace(_) | Self::DropKeyspace(_) => 0,
        }
    }
}

/// Operations that become visible together, at one timestamp. At most one write per key; a later
/// write to the same key in the same batch replaces the earlier.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WriteBatch {
    bytes: Vec<u8>,
    count: usize,
    /// Bytes of keys and values.
    content_bytes: usize,
    has_range_delete: bool,
}

/// Why bytes are not a batch: the offset of the first byte that does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed write batch at byte {offset}")]
pub struct BatchError {
    /// Where decoding stopped.
    pub offset: usize,
}

impl WriteBatch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Checks and takes bytes that an earlier batch gave.
    ///
    /// # Errors
    /// The bytes are not a whole number of operations.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BatchError> {
        let mut rest = bytes;
        let mut batch = Self::default();
        while !rest.is_empty() {
            let offset = bytes.len() - rest.len();
            let operation = decode(&mut rest).ok_or(BatchError { offset })?;
            batch.count += 1;
            batch.content_bytes += operation.content_bytes();
            batch.has_range_delete |= matches!(operation, Operation::DeleteRange { .. });
        }
        batch.bytes = bytes.to_vec();
        Ok(batch)
    }

    /// Adds a version with a value.
    pub fn put(&mut self, space: KeyspaceId, key: &[u8], value: &[u8]) {
        self.head(TAG_PUT, space);
        self.field(key);
        self.field(value);
    }

    /// Adds a version that says the key is absent.
    pub fn delete(&mut self, space: KeyspaceId, key: &[u8]) {
        self.head(TAG_DELETE, space);
        self.field(key);
    }

    /// Deletes every key from `start` (included) to `end` (excluded); see
    /// [`Operation::DeleteRange`].
    pub fn delete_range(&mut self, space: KeyspaceId, start: &[u8], end: &[u8]) {
        self.head(TAG_DELETE_RANGE, space);
        self.field(start);
        self.field(end);
        self.has_range_delete = true;
    }

    /// Brings a keyspace into being. Must come before the writes into it.
    pub fn create_keyspace(&mut self, space: KeyspaceId) {
        self.head(TAG_CREATE_KEYSPACE, space);
    }

    /// Ends a keyspace.
    pub fn drop_keyspace(&mut self, space: KeyspaceId) {
        self.head(TAG_DROP_KEYSPACE, space);
    }

    /// The operations, in the order they were added.
    pub fn operations(&self) -> Operations<'_> {
        Operations { rest: &self.bytes }
    }

    /// The encoded form.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many operations.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Bytes of keys and values: what a user would say was written.
    pub fn content_bytes(&self) -> usize {
        self.content_bytes
    }

    /// Whether some operation is a [`Operation::DeleteRange`].
    pub fn has_range_delete(&self) -> bool {
        self.has_range_delete
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Forgets the operations, keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        (self.count, self.content_bytes, self.has_range_delete) = (0, 0, false);
    }

    fn head(&mut self, tag: u8, space: KeyspaceId) {
        self.bytes.push(tag);
        write_varint(&mut self.bytes, u64::from(space.0));
        self.count += 1;
    }

    fn field(&mut self, bytes: &[u8]) {
        write_varint(&mut self.bytes, bytes.len() as u64);
        self.bytes.extend_from_slice(bytes);
        self.content_bytes += bytes.len();
    }
}

/// Iterates over a batch.
#[derive(Debug, Clone)]
pub struct Operations<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Operations<'a> {
    type Item = Operation<'a>;

    #[inline]
    fn next(&mut self) -> Option<Operation<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        Some(decode(&mut self.rest).expect("a batch is checked when it is made"))
    }
}

#[inline]
fn decode<'a>(rest: &mut &'a [u8]) -> Option<Operation<'a>> {
    let (&tag, tail) = rest.split_first()?;
    *rest = tail;
    let space = KeyspaceId(u32::try_from(read_varint(rest)?).ok()?);
    Some(match tag {
        TAG_PUT => Operation::Put { space, key: field(rest)?, value: field(rest)? },
        TAG_DELETE => Operation::Delete { space, key: field(rest)? },
        TAG_DELETE_RANGE => {
            Operation::DeleteRange { space, start: field(rest)?, end: field(rest)? }
        }
        TAG_CREATE_KEYSPACE => Operation::CreateKeyspace(space),
        TAG_DROP_KEYSPACE => Operation::DropKeyspace(space),
        _ => return None,
    })
}

#[inline]
fn field<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::try_from(read_varint(rest)?).ok()?;
    let (bytes, tail) = rest.split_at_checked(len)?;
    *rest = tail;
    Some(bytes)
}

/// Appends `value` in LEB128: seven bits a byte, least significant first, high bit on all but the last.
pub fn write_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Takes a LEB128 number off the front of `rest`; `None` if it is cut short or over 64 bits.
#[inline]
pub fn read_varint(rest: &mut &[u8]) -> Option<u64> {
    match **rest {
        // Nearly all numbers take one byte, nearly all others two.
        [byte, ref tail @ ..] if byte < 0x80 => {
            *rest = tail;
            Some(u64::from(byte))
        }
        [low, high, ref tail @ ..] if high < 0x80 => {
            *rest = tail;
            Some(u64::from(low & 0x7f) | u64::from(high) << 7)
        }
        _ => read_long_varint(rest),
    }
}

#[cold]
fn read_long_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for (index, &byte) in rest.iter().enumerate().take(10) {
        let bits = u64::from(byte & 0x7f);
        if index == 9 && bits > 1 {
            return None;
        }
        value |= bits << (7 * index);
        if byte < 0x80 {
            *rest = &rest[index + 1..];
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn operations_come_back_in_order() {
        let space = KeyspaceId(300);
        let mut batch = WriteBatch::new();
        batch.create_keyspace(space);
        batch.put(space, b"k", b"v");
        batch.delete(space, b"");
        batch.delete_range(space, b"a", b"b");
        batch.drop_keyspace(space);
        let again = WriteBatch::from_bytes(batch.as_bytes()).unwrap();
        assert_eq!(again, batch);
        assert_eq!(again.content_bytes(), 4);
        assert!(again.has_range_delete());
        let operations: Vec<_> = again.operations().collect();
        assert_eq!(
            operations,
            [
                Operation::CreateKeyspace(space),
                Operation::Put { space, key: b"k", value: b"v" },
                Operation::Delete { space, key: b"" },
                Operation::DeleteRange { space, start: b"a", end: b"b" },
                Operation::DropKeyspace(space),
            ]
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_batch_or_an_error(bytes: Vec<u8>) {
            if let Ok(batch) = WriteBatch::from_bytes(&bytes) {
                prop_assert_eq!(batch.operations().count(), batch.len());
            }
        }

        #[test]
        fn varints_round_trip(value: u64) {
            let mut out = Vec::new();
            write_varint(&mut out, value);
            let mut rest = &out[..];
            prop_assert_eq!(read_varint(&mut rest), Some(value));
            prop_assert!(rest.is_empty());
        }
    }
}
