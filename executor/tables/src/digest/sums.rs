//! The hashes of some commits, computed from history.
//!
//! Versions are read by key, as the feed reads them: the commits of a window together, of each keyspace only
//! what lies between the first and the last of them that wrote to it. Of a commit all hashes of changes are
//! needed at once, to put them into order; one that has too many is read several times, a part of all hashes
//! each time.
//!
//! Memory: `most_hashes` hashes, whatever the commits hold.

use std::collections::BTreeSet;
use std::ops::Bound;

use driftdb_concurrency::{
    CommitNote, ReadAt, RowBatch, ScanRequest, ScanState, Transaction, TxnError, VersionScan,
};
use driftdb_query::Result;
use driftdb_storage::{KeyRange, KeyspaceId, StorageError, Timestamp};

use super::commit;
use super::erased::{self, ERASED};
use super::merkle::{Hash, Tree};
use crate::catalog::oldest_definitions;
use crate::feed::{before, keyspaces_within, may_touch, row_before};

/// Versions read at a time.
const CHUNK: usize = 1024;
/// The catalog's keyspaces, those of later versions included.
const CATALOG: std::ops::RangeInclusive<u32> = 16..=31;

/// What was found of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sum {
    /// All of it.
    Whole {
        hash: Hash,
        /// Changes of which only the hash is left.
        erased: u64,
    },
    /// Some of its history is not kept any more.
    Forgotten,
}

/// The hashes of commits, which ascend; fewer of them if all do not fit, at least one.
///
/// # Errors
/// Storage; canceled.
pub(super) fn sums(
    notes: &[CommitNote],
    most_hashes: usize,
    txn: &mut dyn Transaction,
) -> Result<Vec<Sum>> {
    let oldest = oldest_definitions(txn)?;
    let late = notes.partition_point(|note| before(note.ts) < oldest);
    if late > 0 {
        return Ok(vec![Sum::Forgotten; late]);
    }
    let mut count = notes.len();
    loop {
        let window = &notes[..count];
        match Gathered::read(window, Part::ALL, most_hashes, txn)? {
            Some(gathered) => return Ok(gathered.sums(window)),
            None if count > 1 => count /= 2,
            None => return Ok(vec![in_parts(&window[0], most_hashes, txn)?]),
        }
    }
}

/// The hash of a commit with very many changes.
fn in_parts(note: &CommitNote, most_hashes: usize, txn: &mut dyn Transaction) -> Result<Sum> {
    let (mut tree, mut erased) = (Tree::default(), 0);
    let window = std::slice::from_ref(note);
    // In order, the next one last.
    let mut parts = vec![Part::ALL];
    while let Some(part) = parts.pop() {
        let Some(mut gathered) = Gathered::read(window, part, most_hashes, txn)? else {
            parts.extend(part.halves());
            continue;
        };
        let Some(found) = gathered.commits.pop().flatten() else { return Ok(Sum::Forgotten) };
        erased += found.erased;
        found.hashes.into_iter().for_each(|hash| tree.push(hash));
    }
    Ok(Sum::Whole { hash: commit::commit(note, &tree), erased })
}

/// A part of all hashes: those that begin with certain bits.
#[derive(Debug, Clone, Copy)]
struct Part {
    bits: u32,
    number: u64,
}

impl Part {
    const ALL: Self = Self { bits: 0, number: 0 };

    /// Two parts that make it up, the later one first.
    fn halves(self) -> [Self; 2] {
        [1, 0].map(|half| Self { bits: self.bits + 1, number: self.number * 2 + half })
    }

    fn has(self, hash: &Hash) -> bool {
        let first = u64::from_be_bytes(hash[..8].try_into().expect("eight bytes of thirty-two"));
        first.checked_shr(64 - self.bits).unwrap_or(0) == self.number
    }
}

/// The changes of a commit.
#[derive(Debug, Clone, Default)]
struct Found {
    hashes: BTreeSet<Hash>,
    erased: u64,
}

struct Gathered<'a> {
    notes: &'a [CommitNote],
    part: Part,
    /// `None`: forgotten.
    commits: Vec<Option<Found>>,
    count: usize,
}

impl<'a> Gathered<'a> {
    /// Reads the changes of some commits; `None` if they are too many.
    fn read(
        notes: &'a [CommitNote],
        part: Part,
        most: usize,
        txn: &mut dyn Transaction,
    ) -> Result<Option<Self>> {
        let (first, up_to) = (notes[0].ts, notes[notes.len() - 1].ts);
        let commits = vec![Some(Found::default()); notes.len()];
        let mut gathered = Self { notes, part, commits, count: 0 };
        let rows = keyspaces_within(txn, before(first), up_to)?;
        for space in CATALOG.map(KeyspaceId).chain(rows) {
            if !gathered.read_space(space, most, txn)? {
                return Ok(None);
            }
        }
        gathered.read_erased((first, up_to), txn)?;
        Ok((gathered.count <= most).then_some(gathered))
    }

    fn sums(self, notes: &[CommitNote]) -> Vec<Sum> {
        let sum = |(note, found): (&CommitNote, Option<Found>)| match found {
            None => Sum::Forgotten,
            Some(Found { hashes, erased }) => {
                let mut tree = Tree::default();
                hashes.into_iter().for_each(|hash| tree.push(hash));
                Sum::Whole { hash: commit::commit(note, &tree), erased }
            }
        };
        notes.iter().zip(self.commits).map(sum).collect()
    }

    /// Reads what the commits wrote in a keyspace; false if it is too much.
    fn read_space(
        &mut self,
        space: KeyspaceId,
        most: usize,
        txn: &mut dyn Transaction,
    ) -> Result<bool> {
        if !self.notes.iter().any(|note| may_touch(note, space)) {
            return Ok(true);
        }
        let oldest = txn.oldest_readable(space)?;
        let mut ends: Option<(Timestamp, Timestamp)> = None;
        for (note, found) in self.notes.iter().zip(&mut self.commits) {
            if !may_touch(note, space) {
                continue;
            }
            if before(note.ts) < oldest {
                *found = None;
            } else {
                ends = Some((ends.map_or(note.ts, |(first, _)| first), note.ts));
            }
        }
        let Some((first, up_to)) = ends else { return Ok(true) };
        let mut resume: Option<(Vec<u8>, Timestamp)> = None;
        loop {
            let start =
                resume.as_ref().map_or(Bound::Unbounded, |(key, _)| Bound::Included(&key[..]));
            let scan = VersionScan {
                range: KeyRange { start, end: Bound::Unbounded },
                from: before(first),
                up_to,
                older_than: resume.as_ref().map(|(_, ts)| *ts),
                reverse: false,
                max_rows: CHUNK,
            };
            let mut batch = RowBatch::new();
            let state = match txn.scan_begun(space, &scan, &mut batch) {
                Ok(state) => state,
                Err(TxnError::Storage(StorageError::UnknownKeyspace { .. })) => {
                    self.forget(space);
                    return Ok(true);
                }
                Err(error) => return Err(error.into()),
            };
            for row in batch.rows() {
                if space == ERASED
                    && let Some(hash) = erased::own(row.key)
                {
                    // What the erasing commit itself removed, and then erased.
                    self.add(row.ts, hash);
                }
                let is_change =
                    row.value.is_some() || row_before(txn, space, row.key, row.ts)?.is_some();
                if is_change {
                    self.add(row.ts, commit::change(space, row.key, row.value));
                }
            }
            if self.count > most {
                return Ok(false);
            }
            match batch.len().checked_sub(1).map(|index| batch.row(index)) {
                Some(row) if state == ScanState::More => resume = Some((row.key.to_vec(), row.ts)),
                _ => return Ok(true),
            }
        }
    }

    /// A keyspace is not there any more. One of the catalog's was never there.
    fn forget(&mut self, space: KeyspaceId) {
        if CATALOG.contains(&space.0) {
            return;
        }
        for (note, found) in self.notes.iter().zip(&mut self.commits) {
            if may_touch(note, space) {
                *found = None;
            }
        }
    }

    /// Adds the changes of which only the hashes are left.
    fn read_erased(
        &mut self,
        (first, last): (Timestamp, Timestamp),
        txn: &mut dyn Transaction,
    ) -> Result<()> {
        let [mut start, end] =
            [first.0, last.0.saturating_add(1)].map(|ts| ts.to_be_bytes().to_vec());
        loop {
            let range = KeyRange { start: Bound::Excluded(&start), end: Bound::Excluded(&end) };
            let at = ReadAt::Statement;
            let request = ScanRequest { range, at, reverse: false, max_rows: CHUNK };
            let mut batch = RowBatch::new();
            let state = match txn.scan(ERASED, &request, &mut batch) {
                Ok(state) => state,
                Err(TxnError::Storage(StorageError::UnknownKeyspace { .. })) => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            for row in batch.rows() {
                if let Some((ts, hash)) = erased::entry(row.key) {
                    self.add_erased(ts, hash);
                }
            }
            match batch.last_key() {
                Some(key) if state == ScanState::More => start = key.to_vec(),
                _ => return Ok(()),
            }
        }
    }

    fn add(&mut self, ts: Timestamp, hash: Hash) -> bool {
        if !self.part.has(&hash) {
            return false;
        }
        // What the store wrote for itself is no commit's.
        let Ok(index) = self.notes.binary_search_by_key(&ts, |note| note.ts) else { return false };
        let Some(found) = &mut self.commits[index] else { return false };
        let is_new = found.hashes.insert(hash);
        self.count += usize::from(is_new);
        is_new
    }

    fn add_erased(&mut self, ts: Timestamp, hash: Hash) {
        if self.add(ts, hash)
            && let Ok(index) = self.notes.binary_search_by_key(&ts, |note| note.ts)
            && let Some(found) = &mut self.commits[index]
        {
            found.erased += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use driftdb_concurrency::{BeginOptions, LockIntent, LockStrength, Store, WaitPolicy};
    use driftdb_memory::MemoryEngine;
    use driftdb_mvcc::{MvccStore, SsiControl, StoreOptions};
    use driftdb_sim_disk::{SimDisk, sim_env};

    use super::*;
    use crate::CatalogStore;

    const SPACE: KeyspaceId = KeyspaceId(31);

    /// However few hashes may be held at a time, whether commits are taken together, alone or in parts.
    #[test]
    fn hashes_do_not_depend_on_memory() {
        let env = sim_env(&SimDisk::new(1), 1);
        let options = StoreOptions::tiny();
        let store = MvccStore::<MemoryEngine, SsiControl>::open(&env, Path::new("/d"), &options);
        let store = store.unwrap();
        CatalogStore::open(&*store).unwrap();
        let begin = || store.begin(BeginOptions::default()).unwrap();
        let mut first = begin();
        first.create_keyspace(SPACE).unwrap();
        first.commit().unwrap();
        for (commit, count) in [40_u8, 3, 1, 90].into_iter().enumerate() {
            let mut txn = begin();
            for key in 0..count {
                let (strength, intent) = (LockStrength::Update, LockIntent::Insert);
                txn.lock(SPACE, &[key], strength, intent, WaitPolicy::Wait(None)).unwrap();
                match (usize::from(key) + commit) % 3 {
                    0 => txn.delete(SPACE, &[key]).unwrap(),
                    _ => txn.put(SPACE, &[key], &[commit as u8]).unwrap(),
                }
            }
            txn.commit().unwrap();
        }
        let notes = store.commits(1, u64::MAX, 100).unwrap();
        let mut txn = begin();
        txn.begin_statement().unwrap();
        let whole = sums(&notes, usize::MAX, &mut *txn).unwrap();
        assert_eq!(whole.len(), notes.len());
        let distinct: BTreeSet<_> = whole
            .iter()
            .map(|sum| match sum {
                Sum::Whole { hash, .. } => *hash,
                Sum::Forgotten => panic!("nothing is forgotten"),
            })
            .collect();
        assert_eq!(distinct.len(), notes.len());
        for most in [60, 20] {
            let mut found = Vec::new();
            while found.len() < notes.len() {
                found.extend(sums(&notes[found.len()..], most, &mut *txn).unwrap());
            }
            assert_eq!(found, whole, "at most {most}");
        }
    }
}
