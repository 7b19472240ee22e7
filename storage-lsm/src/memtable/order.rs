//! The order of versions: by keyspace, then key, then newest first.
//!
//! Most comparisons are decided by two integers, the keyspace and the key's first eight bytes (its
//! *prefix*, [Pebble]'s abbreviated key), which lie beside each other in a node.

use std::cmp::Ordering;

use driftdb_storage::{KeyspaceId, Timestamp};

/// The first eight bytes of a key as a number that orders as they do; absent ones count as zero.
#[inline]
pub(super) fn prefix_of(key: &[u8]) -> u64 {
    let mut first = [0; 8];
    match key.first_chunk::<8>() {
        Some(chunk) => first = *chunk,
        None => first[..key.len()].copy_from_slice(key),
    }
    u64::from_be_bytes(first)
}

/// Compares keys of equal prefix.
#[inline]
pub(super) fn compare_tails(left: &[u8], right: &[u8]) -> Ordering {
    match (left.get(8..), right.get(8..)) {
        (Some(left), Some(right)) => left.cmp(right),
        // One of them ends within the prefix, so the other continues it, at first with zeroes.
        _ => left.len().cmp(&right.len()),
    }
}

/// A place in the order, to search for: a version that may or may not exist.
#[derive(Debug, Clone, Copy)]
pub(super) struct Probe<'a> {
    /// Wider than a keyspace's number, so that there is a place after the last one.
    pub(super) space: u64,
    pub(super) prefix: u64,
    pub(super) key: &'a [u8],
    pub(super) ts: Timestamp,
}

impl<'a> Probe<'a> {
    #[inline]
    pub(super) fn new(space: KeyspaceId, key: &'a [u8], ts: Timestamp) -> Self {
        Self { space: u64::from(space.0), prefix: prefix_of(key), key, ts }
    }

    /// Before all versions of the key.
    pub(super) fn before_key(space: KeyspaceId, key: &'a [u8]) -> Self {
        Self::new(space, key, Timestamp::MAX)
    }

    /// After all versions of the key: no commit has the smallest timestamp.
    pub(super) fn after_key(space: KeyspaceId, key: &'a [u8]) -> Self {
        Self::new(space, key, Timestamp::MIN)
    }

    /// After all keys of the keyspace.
    pub(super) fn after_space(space: KeyspaceId) -> Self {
        Self { space: u64::from(space.0) + 1, ..Self::new(space, b"", Timestamp::MAX) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn prefix_and_tail_order_as_the_whole(
            left in prop::collection::vec(0..3u8, 0..12),
            right in prop::collection::vec(0..3u8, 0..12),
        ) {
            let by_prefix = prefix_of(&left).cmp(&prefix_of(&right));
            prop_assert_eq!(by_prefix.then(compare_tails(&left, &right)), left.cmp(&right).then(
                if by_prefix.is_eq() { Ordering::Equal } else { by_prefix }));
            if by_prefix.is_ne() {
                prop_assert_eq!(by_prefix, left.cmp(&right));
            }
        }
    }
}
