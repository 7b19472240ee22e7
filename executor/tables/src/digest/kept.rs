//! The hashes that are kept beside the commits: docs/formats/digest.md.
//!
//! An entry for each commit has its hash; the entry of number 0 has the tree over all of them, as its peaks.

use std::collections::VecDeque;

use driftdb_concurrency::CommitHashes;
use driftdb_query::Result;

use super::merkle::{Hash, Tree};

const VERSION: u8 = 1;
/// Where the tree is.
const LAST: u64 = 0;
/// Entries read at a time.
const CHUNK: usize = 1024;

/// The bytes of a commit's entry.
pub(super) fn entry(hash: &Hash) -> Vec<u8> {
    [&[VERSION][..], hash].concat()
}

/// The tree over all commits that a digest has covered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Last(pub(super) Tree);

impl Last {
    /// What is kept; `None` if nothing is, or what is there cannot be.
    pub(super) fn read(hashes: &dyn CommitHashes) -> Result<Option<Self>> {
        let found = hashes.kept(LAST, LAST, 1)?;
        Ok(found.first().and_then(|(_, bytes)| Self::decode(bytes)))
    }

    /// Its number and bytes.
    pub(super) fn entry(&self) -> (u64, Vec<u8>) {
        let mut bytes = vec![VERSION];
        bytes.extend(self.0.count().to_be_bytes());
        self.0.peaks().iter().for_each(|peak| bytes.extend(peak));
        (LAST, bytes)
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (&VERSION, rest) = bytes.split_first()? else { return None };
        let (count, peaks) = rest.split_first_chunk::<8>()?;
        let (peaks, []) = peaks.as_chunks::<32>() else { return None };
        Tree::of_peaks(u64::from_be_bytes(*count), peaks.to_vec()).map(Self)
    }
}

/// The kept hashes of commits 1 to n, one after another, up to the first that is missing.
pub(super) struct Kept<'a> {
    hashes: &'a dyn CommitHashes,
    next: u64,
    last: u64,
    read: VecDeque<(u64, Vec<u8>)>,
}

impl<'a> Kept<'a> {
    pub(super) fn new(hashes: &'a dyn CommitHashes, last: u64) -> Self {
        Self { hashes, next: 1, last, read: VecDeque::new() }
    }

    /// The next one; `None` at the end, and where one is missing.
    pub(super) fn next(&mut self) -> Result<Option<Hash>> {
        if self.next > self.last {
            return Ok(None);
        }
        if self.read.is_empty() {
            self.read = self.hashes.kept(self.next, self.last, CHUNK)?.into();
        }
        let Some((number, bytes)) = self.read.pop_front() else { return Ok(None) };
        let hash = match bytes.split_first() {
            Some((&VERSION, hash)) if number == self.next => hash.try_into().ok(),
            _ => None,
        };
        if hash.is_some() {
            self.next += 1;
        } else {
            self.last = 0;
        }
        Ok(hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_comes_back_or_is_refused() {
        let mut tree = Tree::default();
        for count in 0..9_u8 {
            let (_, bytes) = Last(tree.clone()).entry();
            assert_eq!(Last::decode(&bytes), Some(Last(tree.clone())));
            for len in 0..bytes.len() {
                assert_eq!(Last::decode(&bytes[..len]), None, "{len} bytes");
            }
            tree.push([count; 32]);
        }
        assert_eq!(Last::decode(&[2; 9]), None);
    }
}
