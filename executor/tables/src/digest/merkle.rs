//! The hash tree of RFC 9162 over any number of leaves, grown at its right end.
//!
//! Of a tree that grows only the roots of its perfect subtrees must be kept, one for each bit of the number
//! of leaves: its *peaks*. Leaf and node are hashed with different first bytes, so that no node can be
//! passed off as a leaf.
//!
//! Sources: [RFC9162], 2.1. Leaves are hashed by the caller.

use sha2::{Digest as _, Sha256};

/// A SHA-256 hash.
pub type Hash = [u8; 32];

const NODE: u8 = 1;

/// The hash of some bytes, one after another.
pub(super) fn hash(parts: &[&[u8]]) -> Hash {
    let mut hasher = Sha256::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize().into()
}

fn node(left: &Hash, right: &Hash) -> Hash {
    hash(&[&[NODE], left, right])
}

/// A tree, of which only the right edge is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tree {
    count: u64,
    /// The roots of perfect subtrees, the largest first.
    peaks: Vec<Hash>,
}

impl Tree {
    /// The tree of so many leaves and these peaks; `None` if their number does not fit.
    pub(super) fn of_peaks(count: u64, peaks: Vec<Hash>) -> Option<Self> {
        (count.count_ones() as usize == peaks.len()).then_some(Self { count, peaks })
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    /// Adds a leaf.
    pub(super) fn push(&mut self, leaf: Hash) {
        let mut right = leaf;
        for _ in 0..self.count.trailing_ones() {
            let left = self.peaks.pop().expect("one peak for each bit");
            right = node(&left, &right);
        }
        self.peaks.push(right);
        self.count += 1;
    }

    /// The hash of all.
    pub(super) fn root(&self) -> Hash {
        let from_right = self.peaks.iter().rev().copied();
        from_right.reduce(|right, left| node(&left, &right)).unwrap_or_else(|| hash(&[]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(number: u64) -> Hash {
        hash(&[&number.to_le_bytes()])
    }

    /// As the source defines it.
    fn plain(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => hash(&[]),
            [one] => *one,
            _ => {
                let half = leaves.len().next_power_of_two() / 2;
                node(&plain(&leaves[..half]), &plain(&leaves[half..]))
            }
        }
    }

    #[test]
    fn it_grows_into_the_tree_of_the_source() {
        let mut tree = Tree::default();
        let leaves: Vec<Hash> = (0..70).map(leaf).collect();
        for count in 0..=70 {
            assert_eq!(tree.root(), plain(&leaves[..count]), "{count} leaves");
            let again = Tree::of_peaks(tree.count(), tree.peaks().to_vec());
            assert_eq!(again.as_ref(), Some(&tree));
            assert_eq!(
                Tree::of_peaks(tree.count() + 1, tree.peaks().to_vec()),
                None.or_else(|| {
                    let fits = (count + 1).count_ones() == count.count_ones();
                    fits.then(|| Tree { count: tree.count() + 1, peaks: tree.peaks().to_vec() })
                })
            );
            tree.push(leaf(count as u64));
        }
    }

    #[test]
    fn hashes_are_those_of_sha_256() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(super::super::hex(&Tree::default().root()), empty);
    }
}
