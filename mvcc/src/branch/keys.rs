//! How a branch's own keyspace is laid out: docs/formats/branch.md.
//!
//! Every key begins with the number of the inherited keyspace that it is about, so that a range of keys
//! of one keyspace stays a range. Under the number 0, which no keyspace has, are the fates of inherited
//! keyspaces.

use std::ops::Bound;

use driftdb_storage::{KeyRange, KeyspaceId, Result, StorageError};

/// Ends the value of a row.
const LIVE: u8 = 1;
/// The whole value where a row is deleted that the parent has.
pub(super) const DELETED: &[u8] = &[0];
/// What fates stand under.
const FATES: KeyspaceId = KeyspaceId(0);
const PREFIX_BYTES: usize = 4;

/// What a branch did to an inherited keyspace, or to one with the number of such.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Dropped what the parent has.
    Dropped = 0,
    /// Made what the parent has not.
    Created = 1,
    /// Dropped again what it had made.
    CreatedAndDropped = 2,
}

impl Fate {
    pub(super) fn decode(space: KeyspaceId, bytes: &[u8]) -> Result<Self> {
        match bytes {
            [0] => Ok(Self::Dropped),
            [1] => Ok(Self::Created),
            [2] => Ok(Self::CreatedAndDropped),
            _ => Err(malformed(space, "a fate", bytes)),
        }
    }
}

/// The key of a row.
pub(super) fn write_key(space: KeyspaceId, key: &[u8], out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(&space.0.to_be_bytes());
    out.extend_from_slice(key);
}

/// The row's own key again.
pub(super) fn bare(key: &[u8]) -> &[u8] {
    key.get(PREFIX_BYTES..).unwrap_or_default()
}

/// The keyspace that a key is about, and the row's own key.
pub(super) fn split(key: &[u8]) -> Option<(KeyspaceId, &[u8])> {
    let (space, key) = key.split_first_chunk::<PREFIX_BYTES>()?;
    Some((KeyspaceId(u32::from_be_bytes(*space)), key))
}

/// The key of a keyspace's fate.
pub(super) fn fate_key(space: KeyspaceId) -> [u8; 2 * PREFIX_BYTES] {
    let mut key = [0; 2 * PREFIX_BYTES];
    key[PREFIX_BYTES..].copy_from_slice(&space.0.to_be_bytes());
    key
}

/// A range of one keyspace within the branch's.
pub(super) struct OwnRange {
    start: Bound<Vec<u8>>,
    end: Bound<Vec<u8>>,
}

impl OwnRange {
    pub(super) fn of(space: KeyspaceId, range: &KeyRange<'_>) -> Self {
        let within = |key: &[u8]| [&space.0.to_be_bytes()[..], key].concat();
        let start = match range.start {
            Bound::Unbounded => Bound::Included(within(&[])),
            bound => bound.map(within),
        };
        let end = match range.end {
            // The branch's own number is higher, so there is a next one.
            Bound::Unbounded => Bound::Excluded((space.0 + 1).to_be_bytes().to_vec()),
            bound => bound.map(within),
        };
        Self { start, end }
    }

    /// Every fate.
    pub(super) fn fates() -> Self {
        Self::of(FATES, &KeyRange::ALL)
    }

    pub(super) fn get(&self) -> KeyRange<'_> {
        KeyRange {
            start: self.start.as_ref().map(Vec::as_slice),
            end: self.end.as_ref().map(Vec::as_slice),
        }
    }
}

/// The value of a row.
pub(super) fn write_value(value: &[u8], out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(value);
    out.push(LIVE);
}

/// The row's own value again; `None`: it is deleted.
pub(super) fn read_value(space: KeyspaceId, bytes: &[u8]) -> Result<Option<&[u8]>> {
    match bytes {
        DELETED => Ok(None),
        [value @ .., LIVE] => Ok(Some(value)),
        _ => Err(malformed(space, "a value", bytes)),
    }
}

fn malformed(space: KeyspaceId, what: &str, bytes: &[u8]) -> StorageError {
    let found = format!("{what} of {} bytes that this program does not read", bytes.len());
    StorageError::corruption(format!("keyspace {space} of a branch"), 0, found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPACE: KeyspaceId = KeyspaceId(0x0102_03ff);

    /// docs/formats/branch.md, byte for byte.
    #[test]
    fn bytes_are_as_documented() {
        let (mut key, mut value) = (Vec::new(), Vec::new());
        write_key(SPACE, b"k", &mut key);
        assert_eq!(key, [1, 2, 3, 255, b'k']);
        write_value(b"v", &mut value);
        assert_eq!(value, [b'v', 1]);
        assert_eq!(fate_key(SPACE), [0, 0, 0, 0, 1, 2, 3, 255]);
        for (byte, fate) in
            [Fate::Dropped, Fate::Created, Fate::CreatedAndDropped].iter().enumerate()
        {
            assert_eq!(*fate as usize, byte);
            assert_eq!(Fate::decode(SPACE, &[byte as u8]).unwrap(), *fate);
        }
    }

    #[test]
    fn values_come_back_and_others_are_refused() {
        let mut bytes = Vec::new();
        for value in [&b""[..], &[0], &[1], b"row"] {
            write_value(value, &mut bytes);
            assert_eq!(read_value(SPACE, &bytes).unwrap(), Some(value));
        }
        assert_eq!(read_value(SPACE, DELETED).unwrap(), None);
        for bytes in [&[][..], &[2], b"v\0"] {
            read_value(SPACE, bytes).unwrap_err();
        }
        Fate::decode(SPACE, &[]).unwrap_err();
        Fate::decode(SPACE, &[3]).unwrap_err();
    }

    #[test]
    fn a_range_holds_the_keys_of_its_keyspace() {
        let key = |space: u32, key: &[u8]| {
            let mut out = Vec::new();
            write_key(KeyspaceId(space), key, &mut out);
            assert_eq!(split(&out), Some((KeyspaceId(space), key)));
            assert_eq!(bare(&out), key);
            out
        };
        let all = OwnRange::of(SPACE, &KeyRange::ALL);
        assert!(all.get().contains(&key(SPACE.0, b"")));
        assert!(all.get().contains(&key(SPACE.0, &[255; 9])));
        assert!(!all.get().contains(&key(SPACE.0 - 1, &[255; 9])));
        assert!(!all.get().contains(&key(SPACE.0 + 1, b"")));
        let some = OwnRange::of(SPACE, &KeyRange::half_open(b"b", b"d"));
        assert!(some.get().contains(&key(SPACE.0, b"c")));
        assert!(!some.get().contains(&key(SPACE.0, b"d")));
        assert!(OwnRange::fates().get().contains(&fate_key(SPACE)));
        assert!(!OwnRange::fates().get().contains(&key(1, b"")));
    }
}
