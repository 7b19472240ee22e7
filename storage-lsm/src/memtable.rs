//! The memtable: the newest commits, in memory, in order.
//!
//! Per keyspace an ordered map from key to its chain of versions, behind one reader-writer latch.
//! One writer appends; any number of readers look in. A reader never sees a batch in part, because
//! it ignores versions newer than its snapshot, and a snapshot is made only between batches.
//!
//! Cost: a point read is one shared latch, one search, no allocation. A scan copies bounded
//! stretches out (`source.rs`), so that it never holds the latch for long.

mod key;
mod source;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use driftdb_env::sync::{RwLock, RwLockReadGuard};
use driftdb_storage::{Commit, Entry, KeyspaceId, Operation, Timestamp, WriteBatch};

use key::Key;
pub(crate) use source::MemtableSource;

/// What an entry costs beside its key and value: map node, chain, allocator headers.
const ENTRY_OVERHEAD_BYTES: usize = 96;

/// Operations inserted per latch, so that readers wait for a bounded time behind a large batch.
const OPERATIONS_PER_LATCH: usize = 64;

/// A version found for a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    Value(Timestamp),
    Tombstone(Timestamp),
}

#[derive(Debug, Default)]
pub(crate) struct Memtable {
    contents: RwLock<Contents>,
    bytes: AtomicUsize,
}

/// What is under the latch.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    pub(crate) spaces: BTreeMap<KeyspaceId, Keys>,
    last: Option<Commit>,
}

pub(crate) type Keys = BTreeMap<Key, Chain>;

/// The versions of one key. Most keys have one; it needs no allocation of its own.
#[derive(Debug)]
pub(crate) struct Chain {
    newest: Version,
    /// Ascending by timestamp, all older than `newest`.
    older: Vec<Version>,
}

#[derive(Debug)]
pub(crate) struct Version {
    pub(crate) ts: Timestamp,
    pub(crate) value: Option<Box<[u8]>>,
}

impl Version {
    /// As an entry of `key`.
    pub(crate) fn entry<'a>(&'a self, key: &'a [u8]) -> Entry<'a> {
        Entry { key, ts: self.ts, value: self.value.as_deref() }
    }
}

impl Chain {
    /// Adds a version at least as new as all others; one of the same time is replaced.
    fn push(&mut self, version: Version) {
        assert!(version.ts >= self.newest.ts, "commits are applied in order");
        if version.ts == self.newest.ts {
            self.newest = version;
        } else {
            self.older.push(std::mem::replace(&mut self.newest, version));
        }
    }

    /// The newest version at or below `ts`.
    fn at(&self, ts: Timestamp) -> Option<&Version> {
        if self.newest.ts <= ts {
            return Some(&self.newest);
        }
        let newer = self.older.partition_point(|version| version.ts <= ts);
        self.older[..newer].last()
    }

    /// Newest first.
    pub(crate) fn versions(&self) -> impl Iterator<Item = &Version> {
        std::iter::once(&self.newest).chain(self.older.iter().rev())
    }

    /// Newest first, from the newest at or below `ts` on.
    fn versions_at(&self, ts: Timestamp) -> impl Iterator<Item = &Version> {
        let newest = (self.newest.ts <= ts).then_some(&self.newest);
        let count = match newest {
            Some(_) => self.older.len(),
            None => self.older.partition_point(|version| version.ts <= ts),
        };
        newest.into_iter().chain(self.older[..count].iter().rev())
    }
}

impl Memtable {
    /// Adds a batch whose operations have been checked.
    pub(crate) fn insert(&self, batch: &WriteBatch, at: Commit) {
        let mut operations = batch.operations().peekable();
        let mut added_bytes = 0;
        while operations.peek().is_some() {
            let mut contents = self.contents.write();
            for operation in operations.by_ref().take(OPERATIONS_PER_LATCH) {
                added_bytes += contents.insert(operation, at.ts);
            }
        }
        self.contents.write().last = Some(at);
        // Relaxed: only the writer decides by it; others report it.
        self.bytes.fetch_add(added_bytes, Ordering::Relaxed);
    }

    /// The newest version at or below `ts`; a value is appended to `out`.
    #[inline]
    pub(crate) fn get(
        &self,
        space: KeyspaceId,
        key: &[u8],
        ts: Timestamp,
        out: &mut Vec<u8>,
    ) -> Option<Found> {
        let contents = self.contents.read();
        let version = contents.spaces.get(&space)?.get(key)?.at(ts)?;
        Some(match &version.value {
            Some(value) => {
                out.extend_from_slice(value);
                Found::Value(version.ts)
            }
            None => Found::Tombstone(version.ts),
        })
    }

    /// The timestamp of the newest version at or below `ts`, tombstones included.
    pub(crate) fn newest(&self, space: KeyspaceId, key: &[u8], ts: Timestamp) -> Option<Timestamp> {
        let contents = self.contents.read();
        Some(contents.spaces.get(&space)?.get(key)?.at(ts)?.ts)
    }

    /// The last commit it holds; `None` if no batch came yet.
    pub(crate) fn last(&self) -> Option<Commit> {
        self.contents.read().last
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Everything in it, while the guard lives. For frozen memtables: a writer would wait.
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Contents> {
        self.contents.read()
    }
}

impl Contents {
    /// Returns the bytes that this cost.
    fn insert(&mut self, operation: Operation<'_>, ts: Timestamp) -> usize {
        let (space, key, value) = match operation {
            Operation::Put { space, key, value } => (space, key, Some(value)),
            Operation::Delete { space, key } => (space, key, None),
            // Range deletes have been spelled out.
            Operation::DeleteRange { .. }
            | Operation::CreateKeyspace(_)
            | Operation::DropKeyspace(_) => return 0,
        };
        let version = Version { ts, value: value.map(Box::from) };
        let size = value.map_or(0, <[u8]>::len) + ENTRY_OVERHEAD_BYTES;
        let keys = self.spaces.entry(space).or_default();
        if let Some(chain) = keys.get_mut(key) {
            chain.push(version);
            size
        } else {
            keys.insert(Key::from(key), Chain { newest: version, older: Vec::new() });
            size + key.len()
        }
    }
}

#[cfg(test)]
mod tests {
    use driftdb_storage::Lsn;

    use super::*;

    const A: KeyspaceId = KeyspaceId(1);

    fn commit(n: u64) -> Commit {
        Commit { lsn: Lsn(n), ts: Timestamp(n) }
    }

    #[test]
    fn a_key_answers_at_every_time() {
        let memtable = Memtable::default();
        for (n, value) in [(2, Some(b"two")), (4, None), (6, Some(b"six"))] {
            let mut batch = WriteBatch::new();
            match value {
                Some(value) => batch.put(A, b"k", value),
                None => batch.delete(A, b"k"),
            }
            memtable.insert(&batch, commit(n));
        }
        let get = |ts| {
            let mut out = Vec::new();
            (memtable.get(A, b"k", Timestamp(ts), &mut out), out)
        };
        assert_eq!(get(1), (None, vec![]));
        assert_eq!(get(3), (Some(Found::Value(Timestamp(2))), b"two".to_vec()));
        assert_eq!(get(5), (Some(Found::Tombstone(Timestamp(4))), vec![]));
        assert_eq!(get(9), (Some(Found::Value(Timestamp(6))), b"six".to_vec()));
        assert_eq!(memtable.newest(A, b"k", Timestamp(5)), Some(Timestamp(4)));
        assert_eq!(memtable.last(), Some(commit(6)));
    }

    #[test]
    fn the_last_write_of_a_batch_counts() {
        let memtable = Memtable::default();
        let mut batch = WriteBatch::new();
        batch.put(A, b"k", b"first");
        batch.delete(A, b"k");
        batch.put(A, b"k", b"last");
        memtable.insert(&batch, commit(3));
        let mut out = Vec::new();
        assert_eq!(memtable.get(A, b"k", Timestamp(3), &mut out), Some(Found::Value(Timestamp(3))));
        assert_eq!(out, b"last");
        assert_eq!(memtable.read().spaces[&A][&b"k"[..]].versions().count(), 1);
    }
}
