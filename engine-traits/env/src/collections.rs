//! Hash maps with a fixed hasher: the same run gives the same layout.
//!
//! Iteration order is still not an order to rely on. Where order escapes (to a file, a message, a
//! result), use `BTreeMap`; `clippy::iter_over_hash_type` watches `for` loops.

use std::hash::{BuildHasher, Hasher};

use xxhash_rust::xxh3::Xxh3Default;

/// Builds the same hasher in every process.
#[derive(Debug, Clone, Copy, Default)]
pub struct FixedState;

impl BuildHasher for FixedState {
    type Hasher = FoldHasher;

    fn build_hasher(&self) -> FoldHasher {
        FoldHasher(0x51_7c_c1_b7_27_22_0a_95)
    }
}

/// A multiply-fold hasher for small keys; long byte strings go through XXH3.
#[derive(Debug, Clone)]
pub struct FoldHasher(u64);

impl FoldHasher {
    fn mix(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word) * 0x9e37_79b9_7f4a_7c15_u128;
        self.0 = (product >> 64) as u64 ^ product as u64;
    }
}

impl Hasher for FoldHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if bytes.len() <= 16 {
            let mut word = [0; 16];
            word[..bytes.len()].copy_from_slice(bytes);
            let word = u128::from_le_bytes(word);
            self.mix(word as u64 ^ (bytes.len() as u64) << 56);
            self.mix((word >> 64) as u64);
        } else {
            let mut long = Xxh3Default::new();
            long.update(bytes);
            self.mix(long.digest());
        }
    }

    fn write_u8(&mut self, n: u8) {
        self.mix(u64::from(n));
    }

    fn write_u32(&mut self, n: u32) {
        self.mix(u64::from(n));
    }

    fn write_u64(&mut self, n: u64) {
        self.mix(n);
    }

    fn write_usize(&mut self, n: usize) {
        self.mix(n as u64);
    }
}

/// A hash map whose layout is the same in every process.
#[expect(clippy::disallowed_types, reason = "this alias is the substitute that the ban names")]
pub type HashMap<K, V> = std::collections::HashMap<K, V, FixedState>;

/// A hash set whose layout is the same in every process.
#[expect(clippy::disallowed_types, reason = "this alias is the substitute that the ban names")]
pub type HashSet<K> = std::collections::HashSet<K, FixedState>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_stable_and_spread() {
        let hash = |bytes: &[u8]| FixedState.hash_one(bytes);
        assert_eq!(hash(b"a"), hash(b"a"));
        let distinct: std::collections::BTreeSet<u64> =
            (0..10_000u32).map(|i| hash(&i.to_le_bytes()) >> 40).collect();
        assert!(distinct.len() > 9_900, "{} distinct upper bits of 10,000", distinct.len());
    }
}
