//! What one transaction read: keys by their hash, and ranges.
//!
//! A hash of 64 bits stands for a key. Two keys of one hash count as one, which can only make a
//! conflict out of none, about once in 2⁶⁴ pairs.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::BuildHasher;

use driftdb_env::{FixedState, buggify};
use driftdb_storage::{KeyRange, KeyspaceId};

use super::range_set::RangeSet;

/// More keys of one keyspace than this count as all of it: the set's memory is bounded.
const KEYS_MAX: usize = 1 << 16;

/// The hash that stands for a key.
pub(super) fn hash(space: KeyspaceId, key: &[u8]) -> u64 {
    FixedState.hash_one((space, key))
}

/// Keys and ranges of keys, there or not.
#[derive(Debug, Default)]
pub(super) struct ReadSet {
    spaces: BTreeMap<KeyspaceId, SpaceReads>,
}

/// What was read of one keyspace.
#[derive(Debug, Default)]
pub(super) struct SpaceReads {
    pub(super) hashes: BTreeSet<u64>,
    pub(super) ranges: RangeSet,
}

impl ReadSet {
    /// Nothing.
    pub(super) const EMPTY: Self = Self { spaces: BTreeMap::new() };

    pub(super) fn add_key(&mut self, space: KeyspaceId, key: &[u8]) {
        let reads = self.spaces.entry(space).or_default();
        reads.hashes.insert(hash(space, key));
        let is_many = reads.hashes.len() > KEYS_MAX;
        if is_many || reads.hashes.len() > 2 && buggify!("ssi.read-set-coarse") {
            reads.hashes = BTreeSet::new();
            reads.ranges.add(&KeyRange::ALL);
        }
    }

    /// Forgets a key, unless it lies in a range that was read.
    pub(super) fn remove_key(&mut self, space: KeyspaceId, key: &[u8]) {
        if let Some(reads) = self.spaces.get_mut(&space) {
            reads.hashes.remove(&hash(space, key));
        }
    }

    pub(super) fn add_range(&mut self, space: KeyspaceId, range: &KeyRange<'_>) {
        self.spaces.entry(space).or_default().ranges.add(range);
    }

    pub(super) fn spaces(&self) -> impl Iterator<Item = (KeyspaceId, &SpaceReads)> {
        self.spaces.iter().map(|(space, reads)| (*space, reads))
    }

    pub(super) fn spaces_mut(&mut self) -> impl Iterator<Item = (KeyspaceId, &mut SpaceReads)> {
        self.spaces.iter_mut().map(|(space, reads)| (*space, reads))
    }

    /// Whether a key was read, or may have been.
    pub(super) fn contains(&self, space: KeyspaceId, key: &[u8]) -> bool {
        self.spaces.get(&space).is_some_and(|reads| {
            reads.hashes.contains(&hash(space, key)) || reads.ranges.contains(key)
        })
    }

    /// Keys and ranges held.
    pub(super) fn len(&self) -> usize {
        self.spaces.values().map(|reads| reads.hashes.len() + reads.ranges.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_keys_become_the_whole_keyspace() {
        let mut reads = ReadSet::default();
        for n in 0..=KEYS_MAX as u32 {
            reads.add_key(KeyspaceId(7), &n.to_be_bytes());
        }
        assert_eq!(reads.len(), 1);
        let (_, reads) = reads.spaces().next().unwrap();
        assert!(reads.ranges.contains(b"any"));
    }
}
