//! A hash index over the keys of a list: from a key to the newest of its versions.
//!
//! Most point reads ask for the newest version of a key that is not here at all, or for one that is. A
//! search of the list touches a cache line for each of about twenty comparisons; this touches one for the
//! slot and one for the node. Open addressing with linear probing, one writer, readers without latch:
//! slots only ever go from empty to a node, and from a node to a newer one of the same key.
//!
//! Once it is too full, keys that come anew stay out, and a miss says nothing any more.
//!
//! Invariants
//! * A slot's node is linked in the list before the slot says so, or in a replay before anybody reads at its time.
//! * Unless [`Lookup::Unknown`] is the answer, a key of a snapshot's commits is found.
//!
//! Measured with 300,000 random keys of 24 bytes (callgrind and on-CPU time, 2026): docs/performance.md.

use std::sync::atomic::AtomicBool;

use driftdb_storage::KeyspaceId;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::arena::zeroed_slots;
use super::sync::{AtomicU32, Ordering};

/// Bytes of list for each slot: with the smallest rows two of three slots are taken when the list is full.
/// At 96, rows of one number filled it to its limit, and a new one looked at some thirty nodes in vain.
const BYTES_PER_SLOT: usize = 48;
const MIN_SLOTS: usize = 64;

#[derive(Debug)]
pub(super) struct Index {
    /// A power of two. Zero is empty: position 0 is the list's head.
    slots: Box<[AtomicU32]>,
    /// Whether a key stayed out.
    is_partial: AtomicBool,
}

/// What the index knows of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lookup {
    /// The newest version when it was asked.
    Newest(usize),
    /// There is none.
    Absent,
    /// The index is not complete.
    Unknown,
}

/// The hash of a key.
#[inline]
pub(super) fn hash(space: KeyspaceId, key: &[u8]) -> u64 {
    xxh3_64_with_seed(key, u64::from(space.0))
}

impl Index {
    /// An index for a list of so many bytes.
    pub(super) fn new(list_bytes: usize) -> Self {
        let count = (list_bytes / BYTES_PER_SLOT).max(MIN_SLOTS).next_power_of_two();
        Self { slots: zeroed_slots(count), is_partial: AtomicBool::new(false) }
    }

    /// Bytes it occupies.
    pub(super) fn size_bytes(&self) -> usize {
        self.slots.len() * size_of::<AtomicU32>()
    }

    /// The most keys it takes: beyond, probes get long.
    fn limit(&self) -> usize {
        self.slots.len() / 8 * 7
    }

    /// Makes `node` the newest of its key; `is_same_key` tells nodes of that key. For the one writer.
    pub(super) fn put(
        &self,
        count: &mut usize,
        hash: u64,
        node: usize,
        is_same_key: impl Fn(usize) -> bool,
    ) {
        let node = u32::try_from(node).expect("positions have 32 bits");
        for place in self.probe(hash) {
            let slot = &self.slots[place];
            // Relaxed: only this thread stores.
            let found = slot.load(Ordering::Relaxed);
            if found == 0 {
                if *count >= self.limit() {
                    self.is_partial.store(true, Ordering::Release);
                    return;
                }
                *count += 1;
                slot.store(node, Ordering::Release);
                return;
            }
            if is_same_key(found as usize) {
                slot.store(node, Ordering::Release);
                return;
            }
        }
    }

    /// What it knows of the key that `is_same_key` tells.
    #[inline]
    pub(super) fn get(&self, hash: u64, is_same_key: impl Fn(usize) -> bool) -> Lookup {
        for place in self.probe(hash) {
            match self.slots[place].load(Ordering::Acquire) {
                0 => break,
                node if is_same_key(node as usize) => return Lookup::Newest(node as usize),
                _ => {}
            }
        }
        if self.is_partial.load(Ordering::Acquire) { Lookup::Unknown } else { Lookup::Absent }
    }

    /// The slots where a key may be, in turn. Some are empty, so that a probe ends.
    #[inline]
    fn probe(&self, hash: u64) -> impl Iterator<Item = usize> {
        let mask = self.slots.len() - 1;
        let first = hash as usize;
        (0..self.slots.len()).map(move |step| first.wrapping_add(step) & mask)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_until_it_is_full_and_then_it_says_so() {
        let index = Index::new(0);
        let mut count = 0;
        // Nodes are numbered by key; all hash alike, so that every probe is a long one.
        for node in 1..=index.limit() {
            index.put(&mut count, 7, node, |other| other == node);
        }
        for node in 1..=index.limit() {
            assert_eq!(index.get(7, |other| other == node), Lookup::Newest(node));
        }
        let beyond = index.limit() + 1;
        assert_eq!(index.get(7, |other| other == beyond), Lookup::Absent);
        // A newer version of a key that is in.
        index.put(&mut count, 7, 1000, |other| other == 5);
        assert_eq!(index.get(7, |other| other == 1000), Lookup::Newest(1000));
        index.put(&mut count, 7, beyond, |other| other == beyond);
        assert_eq!(index.get(7, |other| other == beyond), Lookup::Unknown);
        assert_eq!(index.get(7, |other| other == 6), Lookup::Newest(6));
    }
}
