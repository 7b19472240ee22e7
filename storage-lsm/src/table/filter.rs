//! Filters: which keys are *not* there, asked before a block is read.
//!
//! One filter covers the blocks of the newest section that were written since the filter before it,
//! about 32,768 keys, so that its memory while writing and its size are bounded. It knows bare keys,
//! without their timestamps. The history section needs none: a bit on the newest entry says exactly
//! which keys are there.
//!
//! ```text
//!   kind u8 │ of that kind: see `blocked.rs`, `fuse.rs`, `bloom.rs`
//! ```

mod blocked;
mod bloom;
mod fuse;

use driftdb_storage::{FilterKind, KeyspaceId};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use blocked::Blocked;
use bloom::Bloom;
use fuse::Fuse;

/// Keys after which a filter is complete.
pub(crate) const KEYS_PER_FILTER: usize = 32 << 10;

const KIND_BLOCKED: u8 = 1;
const KIND_FUSE: u8 = 2;

/// What a filter knows of a key.
#[inline]
pub(crate) fn hash(space: KeyspaceId, key: &[u8]) -> u64 {
    xxh3_64_with_seed(key, u64::from(space.0))
}

/// A checked filter.
#[derive(Debug)]
pub(crate) enum Filter {
    /// Of version 1.
    Bloom(Bloom),
    Blocked(Blocked),
    Fuse(Fuse),
}

impl Filter {
    /// Checks the payload of a frame.
    pub(crate) fn parse(payload: &[u8]) -> Result<Self, &'static str> {
        let (&kind, rest) = payload.split_first().ok_or("the filter is empty")?;
        match kind {
            KIND_BLOCKED => Blocked::parse(rest).map(Self::Blocked),
            KIND_FUSE => Fuse::parse(rest).map(Self::Fuse),
            _ => None,
        }
        .ok_or("the filter is malformed")
    }

    /// Checks the payload of a frame of version 1.
    pub(crate) fn parse_v1(payload: &[u8]) -> Result<Self, &'static str> {
        Bloom::parse(payload).map(Self::Bloom).ok_or("the filter is malformed")
    }

    /// False only if no key with that hash was added.
    #[inline]
    pub(crate) fn may_contain(&self, hash: u64) -> bool {
        match self {
            Self::Bloom(filter) => filter.may_contain(hash),
            Self::Blocked(filter) => filter.may_contain(hash),
            Self::Fuse(filter) => filter.may_contain(hash),
        }
    }

    /// Memory, in bytes.
    pub(crate) fn size_bytes(&self) -> usize {
        match self {
            Self::Bloom(filter) => filter.size_bytes(),
            Self::Blocked(filter) => filter.size_bytes(),
            Self::Fuse(filter) => filter.size_bytes(),
        }
    }
}

/// The payload of a filter over `hashes`.
pub(crate) fn build(kind: FilterKind, hashes: &mut Vec<u64>, bits_per_key: usize) -> Vec<u8> {
    let mut payload = Vec::new();
    if kind == FilterKind::Fuse {
        payload.push(KIND_FUSE);
        if fuse::build(hashes, bits_per_key, &mut payload) {
            return payload;
        }
        // No seed worked: as good as impossible, but no reason to fail.
        payload.clear();
    }
    payload.push(KIND_BLOCKED);
    blocked::build(hashes, bits_per_key, &mut payload);
    payload
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hashes(numbers: std::ops::Range<u32>) -> Vec<u64> {
        numbers.map(|number| hash(KeyspaceId(1), &number.to_be_bytes())).collect()
    }

    /// False positives per 10,000.
    fn check(kind: FilterKind, bits_per_key: usize, expected: std::ops::Range<usize>) {
        let mut inside = hashes(0..20_000);
        let payload = build(kind, &mut inside, bits_per_key);
        let filter = Filter::parse(&payload).unwrap();
        assert!(inside.iter().all(|&hash| filter.may_contain(hash)));
        let wrong =
            hashes(100_000..200_000).iter().filter(|&&h| filter.may_contain(h)).count() / 10;
        assert!(expected.contains(&wrong), "{kind:?} {bits_per_key}: {wrong} of 10,000");
    }

    #[test]
    fn false_positives_are_as_promised() {
        check(FilterKind::Bloom, 10, 60..160);
        check(FilterKind::Bloom, 16, 5..40);
        check(FilterKind::Fuse, 10, 25..55);
        check(FilterKind::Fuse, 20, 0..3);
    }

    #[test]
    fn fuse_filters_are_smaller_for_the_same_rate() {
        let mut keys = hashes(0..32_768);
        let fuse = build(FilterKind::Fuse, &mut keys, 10);
        // 0.4 % takes a Bloom filter 11.5 bits a key, one in cache lines 13.
        assert!(fuse.len() * 8 < keys.len() * 10, "{} bytes", fuse.len());
    }

    proptest! {
        #[test]
        fn no_key_is_denied(numbers in prop::collection::vec(0u32..5000, 1..600), bits in 1usize..30) {
            for kind in [FilterKind::Bloom, FilterKind::Fuse] {
                let mut inside: Vec<u64> =
                    numbers.iter().map(|n| hash(KeyspaceId(7), &n.to_be_bytes())).collect();
                let payload = build(kind, &mut inside.clone(), bits);
                let filter = Filter::parse(&payload).unwrap();
                inside.dedup();
                prop_assert!(inside.iter().all(|&hash| filter.may_contain(hash)));
            }
        }

        #[test]
        fn any_bytes_are_a_filter_or_an_error(
            kind in 0u8..4,
            bytes in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let payload = [&[kind][..], &bytes].concat();
            for filter in [Filter::parse(&payload), Filter::parse_v1(&payload)].into_iter().flatten() {
                for hash in hashes(0..100) {
                    filter.may_contain(hash);
                }
            }
        }
    }
}
