//! What a store remembers of its commits for digests of history.

use crate::Result;

/// A few bytes for each of some commits, by number; what they mean is the caller's. Number 0, which no commit
/// has, is for the caller's own notes.
pub trait CommitHashes: Send + Sync {
    /// Keeps them; a later call replaces what is kept under the same number. It is no commit, and takes no
    /// number. Kept and durable on return, as long as the store lives.
    ///
    /// # Errors
    /// Storage.
    fn keep(&self, hashes: &[(u64, Vec<u8>)]) -> Result<()>;

    /// What is kept under the numbers `first..=last`, ascending, at most `most` of them.
    ///
    /// # Errors
    /// Storage.
    fn kept(&self, first: u64, last: u64, most: usize) -> Result<Vec<(u64, Vec<u8>)>>;
}
