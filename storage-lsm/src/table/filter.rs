//! Filters: a Bloom filter [Bloom70] on the bare key, without its timestamp.
//!
//! One filter covers the data blocks that were written since the filter before it, about 32,768
//! keys, so that its memory while writing and its size in the cache are bounded. A key whose
//! versions span two blocks is in the filter of each.
//!
//! ```text
//!   probe count u8 │ bits
//! ```

use driftdb_storage::KeyspaceId;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::format::FRAME_HEADER_BYTES;

/// Keys after which a filter is complete.
pub(crate) const KEYS_PER_FILTER: usize = 32 << 10;
const MAX_PROBES: u8 = 30;

/// What a filter knows of a key.
#[inline]
pub(crate) fn hash(space: KeyspaceId, key: &[u8]) -> u64 {
    xxh3_64_with_seed(key, u64::from(space.0))
}

/// A checked filter, lent by its frame.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Filter<'a> {
    probes: u8,
    bits: &'a [u8],
}

impl<'a> Filter<'a> {
    /// Checks the structure of a frame.
    pub(crate) fn check(frame: &[u8]) -> Result<(), &'static str> {
        match frame[FRAME_HEADER_BYTES..] {
            [probes, _, ..] if (1..=MAX_PROBES).contains(&probes) => Ok(()),
            _ => Err("the filter is malformed"),
        }
    }

    /// Takes a frame that [`Filter::check`] accepted.
    pub(crate) fn new(frame: &'a [u8]) -> Self {
        let payload = &frame[FRAME_HEADER_BYTES..];
        Self { probes: payload[0], bits: &payload[1..] }
    }

    /// False only if no key with that hash was added.
    #[inline]
    pub(crate) fn may_contain(&self, hash: u64) -> bool {
        places(hash, self.probes, self.bits.len())
            .all(|place| self.bits[place / 8] & (1 << (place % 8)) != 0)
    }
}

/// The payload of a filter over `hashes`.
pub(crate) fn build(hashes: &[u64], bits_per_key: usize) -> Vec<u8> {
    // ln 2 bits per probe are optimal: 7 probes at 10 bits per key, 0.8 % false positives.
    let probes = ((bits_per_key * 69 / 100) as u8).clamp(1, MAX_PROBES);
    let byte_count = (hashes.len() * bits_per_key).div_ceil(8).max(8);
    let mut payload = vec![0; 1 + byte_count];
    payload[0] = probes;
    for &hash in hashes {
        for place in places(hash, probes, byte_count) {
            payload[1 + place / 8] |= 1 << (place % 8);
        }
    }
    payload
}

/// The bits of a hash, by double hashing [Kirsch06].
#[inline]
fn places(hash: u64, probes: u8, byte_count: usize) -> impl Iterator<Item = usize> {
    let bit_count = byte_count as u64 * 8;
    let (first, step) = (hash as u32, (hash >> 32) as u32 | 1);
    (0..u32::from(probes)).map(move |probe| {
        let mixed = first.wrapping_add(probe.wrapping_mul(step));
        // Maps 32 bits onto the range without a division.
        ((u64::from(mixed) * bit_count) >> 32) as usize
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_false_negatives_and_few_false_positives() {
        let hashes: Vec<u64> =
            (0..10_000u32).map(|n| hash(KeyspaceId(1), &n.to_be_bytes())).collect();
        let frame = [&[0; FRAME_HEADER_BYTES], &build(&hashes, 10)[..]].concat();
        Filter::check(&frame).unwrap();
        let filter = Filter::new(&frame);
        assert!(hashes.iter().all(|&hash| filter.may_contain(hash)));
        let others = (0..10_000u32).map(|n| hash(KeyspaceId(2), &n.to_be_bytes()));
        let wrong = others.filter(|&hash| filter.may_contain(hash)).count();
        assert!(wrong < 200, "{wrong} of 10,000");
    }
}
