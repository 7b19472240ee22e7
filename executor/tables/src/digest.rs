//! Digests of history: what shows later that nobody has changed it.
//!
//! Every commit has a hash of what it says of itself and of all that it changed (`commit.rs`); a *digest* is
//! the root of the hash tree over the commits 1 to n. It says nothing of what is stored and can be kept
//! anywhere else. Nothing is computed when a transaction commits: the hashes come from history, when a digest
//! is asked for, and are then kept beside the commits (`kept.rs`), so that the next digest reads only what
//! came since.
//!
//! Kept hashes are no proof, they can be changed like the rest; but those that lead to a digest which was
//! taken and kept elsewhere are the ones it was made of. So a check ([`check`]) computes the digest from
//! them, and then each commit's hash from history: where the two differ, that commit is not what it was.
//!
//! Sources: [RFC9162] for the tree, [Haber91] for linking what is to be dated, docs/design/0032-digests.md.

mod check;
mod commit;
mod erased;
mod kept;
mod merkle;
mod sums;

use driftdb_concurrency::{BeginOptions, CancelToken, CommitHashes, Store, Transaction};
use driftdb_query::{Result, SqlError};
use driftdb_storage::Timestamp;
use driftdb_types::SqlState;

pub use check::{Finding, Verdict, check};
pub(crate) use erased::ERASED;
pub use erased::note_erased;
use kept::{Kept, Last};
pub use merkle::Hash;
use merkle::Tree;
use sums::{Sum, sums};

/// Commits taken together.
const WINDOW: usize = 1024;
/// Hashes of changes that are held at a time: some 25 MiB.
const MOST_HASHES: usize = 1 << 19;

/// A digest of all commits up to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest {
    /// The last commit that it covers.
    pub sequence: u64,
    /// That commit's time.
    pub ts: Timestamp,
    /// The digest.
    pub hash: Hash,
}

/// The digest of the commits up to `sequence`, or of all. Reads the history of those that are in no digest
/// yet; what was read is not read again.
///
/// # Errors
/// 0A000 in a branch; 22023 for a commit that was not made; storage; canceled.
pub fn digest(store: &dyn Store, sequence: Option<u64>, cancel: &CancelToken) -> Result<Digest> {
    let hashes = hashes_of(store)?;
    let newest = store.sequence_at(store.newest())?;
    let sequence = sequence.unwrap_or(newest);
    if sequence == 0 || sequence > newest {
        let message = format!("there is no commit {sequence}; the newest is {newest}");
        return Err(SqlError::new(SqlState::InvalidParameterValue, message));
    }
    let mut tree = Tree::default();
    match Last::read(hashes)? {
        Some(Last(last)) if last.count() <= sequence => tree = last,
        _ => {
            // What is kept of earlier commits, as far as it goes.
            let mut kept = Kept::new(hashes, sequence);
            while let Some(hash) = kept.next()? {
                tree.push(hash);
            }
        }
    }
    let mut reader = Reader::new(store, cancel)?;
    while tree.count() < sequence {
        let found = reader.sums(store, tree.count() + 1, sequence)?;
        let mut entries = Vec::with_capacity(found.len() + 1);
        for (note, sum) in found {
            let hash = match sum {
                Sum::Whole { hash, .. } => hash,
                Sum::Forgotten => commit::forgotten(&note),
            };
            entries.push((note.sequence, kept::entry(&hash)));
            tree.push(hash);
        }
        entries.insert(0, Last(tree.clone()).entry());
        hashes.keep(&entries)?;
    }
    let ts = store.timestamp_of_sequence(sequence)?;
    Ok(Digest { sequence, ts, hash: tree.root() })
}

/// Reads the hashes of commits from history, always as of now.
struct Reader {
    txn: Box<dyn Transaction>,
}

impl Reader {
    fn new(store: &dyn Store, cancel: &CancelToken) -> Result<Self> {
        let options =
            BeginOptions { read_only: true, cancel: cancel.clone(), ..BeginOptions::default() };
        Ok(Self { txn: store.begin(options)? })
    }

    /// The next commits of `first..=last` with their hashes: at least one.
    fn sums(
        &mut self,
        store: &dyn Store,
        first: u64,
        last: u64,
    ) -> Result<Vec<(driftdb_concurrency::CommitNote, Sum)>> {
        self.txn.begin_statement()?;
        let notes = store.commits(first, last, WINDOW)?;
        let is_dense = notes.iter().zip(first..).all(|(note, number)| note.sequence == number);
        if notes.is_empty() || !is_dense {
            let message = format!("commits after {} are missing", first - 1);
            return Err(SqlError::new(SqlState::DataCorrupted, message));
        }
        let found = sums(&notes, MOST_HASHES, &mut *self.txn)?;
        Ok(notes.into_iter().zip(found).collect())
    }
}

fn hashes_of(store: &dyn Store) -> Result<&dyn CommitHashes> {
    store.hashes().ok_or_else(|| {
        SqlError::unsupported("a digest of a branch")
            .with_hint("The digests of its database do not cover branches.")
    })
}

/// As lower-case hexadecimal digits.
pub fn hex(hash: &Hash) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The reverse; digits of either case.
pub fn from_hex(text: &str) -> Option<Hash> {
    let digits: &[u8; 64] = text.as_bytes().try_into().ok()?;
    let mut hash = [0; 32];
    for (byte, pair) in hash.iter_mut().zip(digits.chunks(2)) {
        let pair = std::str::from_utf8(pair).ok().filter(|pair| !pair.starts_with('+'))?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_come_back() {
        let hash: Hash = std::array::from_fn(|index| (index * 37) as u8);
        assert_eq!(from_hex(&hex(&hash)), Some(hash));
        assert_eq!(from_hex(&hex(&hash).to_uppercase()), Some(hash));
        for wrong in ["", "00", &"g0".repeat(32), &"+1".repeat(32), &"é".repeat(32)] {
            assert_eq!(from_hex(wrong), None, "{wrong}");
        }
    }
}
