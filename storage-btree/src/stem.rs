//! What the keys of a node have in common, and what tells them apart.
//!
//! If all entries are of one keyspace, the stem is that keyspace and the bytes that every key begins
//! with; the head of a key is then its next eight bytes as a number, zeroes after its end. If not, the
//! stem is empty, and the head is the keyspace and the first four bytes. Heads in order are keys in
//! order; equal heads say nothing. Source: "poor man's normalized keys" in [Graefe01].

use std::cmp::Ordering;

use crate::key::VersionKey;

/// A longer prefix is not used: the page names its length in one byte.
pub(crate) const MAX_PREFIX: usize = 255;

/// The stem of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Stem {
    /// The keyspace, if it is one.
    space: Option<u32>,
    /// How many bytes all keys begin with; 0 if there are several keyspaces.
    prefix: u8,
    /// The first eight of those bytes as a number, zeroes after the prefix.
    start: u64,
    /// The least and the greatest age, 0 aside; none if the first is above the second.
    ages: Ages,
}

/// A range of ages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ages {
    least: u64,
    greatest: u64,
}

impl Default for Ages {
    fn default() -> Self {
        Self { least: u64::MAX, greatest: 0 }
    }
}

impl Ages {
    fn admit(&mut self, age: u64) {
        if age != 0 {
            self.least = self.least.min(age);
            self.greatest = self.greatest.max(age);
        }
    }
}

/// The first eight bytes as a number, zeroes after the end.
#[inline]
fn first_eight(bytes: &[u8]) -> u64 {
    if let Some(eight) = bytes.first_chunk::<8>() {
        return u64::from_be_bytes(*eight);
    }
    let mut eight = [0; 8];
    eight[..bytes.len()].copy_from_slice(bytes);
    u64::from_be_bytes(eight)
}

/// `number` with zeroes after its first `len` bytes.
#[inline]
fn cut(number: u64, len: u8) -> u64 {
    match len {
        0 => 0,
        1..8 => number & (u64::MAX << (64 - u32::from(len) * 8)),
        _ => number,
    }
}

impl Stem {
    /// The stem of sorted keys, of which these are the lowest and the highest.
    pub(crate) fn of(
        first: VersionKey<'_>,
        last: VersionKey<'_>,
        ages: impl Iterator<Item = u64>,
    ) -> Self {
        let mut stem = Self::default();
        stem.set(first, last, MAX_PREFIX);
        ages.for_each(|age| stem.ages.admit(age));
        stem
    }

    /// Takes in a new lowest or highest key; true if what all have in common has changed.
    pub(crate) fn admit(&mut self, first: VersionKey<'_>, last: VersionKey<'_>) -> bool {
        let before = (self.space, self.prefix);
        // A prefix that could grow does so only when all heads are made anew: in `Stem::of`.
        let most = if first == last { MAX_PREFIX } else { self.prefix_len() };
        self.set(first, last, most);
        before != (self.space, self.prefix)
    }

    /// Takes in an age.
    pub(crate) fn admit_age(&mut self, age: u64) {
        self.ages.admit(age);
    }

    fn set(&mut self, first: VersionKey<'_>, last: VersionKey<'_>, most: usize) {
        if first.space != last.space {
            (self.space, self.prefix, self.start) = (None, 0, 0);
            return;
        }
        let pairs = first.key.iter().zip(last.key).take(most);
        let common = pairs.take_while(|(a, b)| a == b).count();
        self.space = Some(first.space);
        self.prefix = u8::try_from(common).expect("a prefix is at most 255 bytes");
        self.start = cut(first_eight(first.key), self.prefix);
    }

    pub(crate) fn space(&self) -> Option<u32> {
        self.space
    }

    pub(crate) fn prefix_len(&self) -> usize {
        usize::from(self.prefix)
    }

    /// The least age: what a page writes once.
    pub(crate) fn least_age(&self) -> u64 {
        if self.ages.least <= self.ages.greatest { self.ages.least } else { 0 }
    }

    /// How many bytes tell an age from the least one.
    pub(crate) fn age_width(&self) -> usize {
        let spread = self.ages.greatest.saturating_sub(self.ages.least);
        (u64::BITS - spread.leading_zeros()).div_ceil(8) as usize
    }

    /// Where `key` lies with respect to all that begin with the stem. `any` gives one key that does.
    #[inline]
    pub(crate) fn compare<'a>(
        &self,
        key: VersionKey<'_>,
        any: impl FnOnce() -> VersionKey<'a>,
    ) -> Ordering {
        let Some(space) = self.space else { return Ordering::Equal };
        let len = self.prefix_len();
        let start = cut(first_eight(key.key), self.prefix);
        let by_start = key.space.cmp(&space).then_with(|| start.cmp(&self.start));
        if by_start != Ordering::Equal || (len <= 8 && key.key.len() >= len) {
            return by_start;
        }
        key.key[..key.key.len().min(len)].cmp(&any().key[..len])
    }

    /// What tells `key`, which begins with the stem, from the others.
    #[inline]
    pub(crate) fn head(&self, key: VersionKey<'_>) -> u64 {
        match self.space {
            Some(_) => first_eight(&key.key[self.prefix_len()..]),
            None => u64::from(key.space) << 32 | first_eight(key.key) >> 32,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn heads_and_stems_order_as_keys_do(
            keys in prop::collection::btree_set(
                (0u32..2, prop::collection::vec(0u8..2, 0..12)), 1..12),
            other in (0u32..3, prop::collection::vec(0u8..2, 0..12)),
        ) {
            let of = |(space, key): &'_ (u32, Vec<u8>)| (*space, key.clone());
            let keys: Vec<(u32, Vec<u8>)> = keys.iter().map(of).collect();
            let version = |index: usize| {
                VersionKey { space: keys[index].0, key: &keys[index].1, age: 1 }
            };
            let (first, last) = (version(0), version(keys.len() - 1));
            let stem = Stem::of(first, last, std::iter::once(1));
            for index in 1..keys.len() {
                prop_assert!(stem.head(version(index - 1)) <= stem.head(version(index)));
            }
            let other = VersionKey { space: other.0, key: &other.1, age: 1 };
            match stem.compare(other, || first) {
                Ordering::Less => prop_assert!(other < first),
                Ordering::Greater => prop_assert!(other > last),
                Ordering::Equal => for index in 0..keys.len() {
                    match stem.head(other).cmp(&stem.head(version(index))) {
                        Ordering::Less => prop_assert!(other < version(index)),
                        Ordering::Greater => prop_assert!(other > version(index)),
                        Ordering::Equal => {}
                    }
                }
            }
        }
    }
}
