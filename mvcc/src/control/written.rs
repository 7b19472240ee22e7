//! Which commits wrote a key, for those who read it: by hash, and in order for ranges.

use std::collections::BTreeMap;
use std::sync::Arc;

use driftdb_env::HashMap;
use driftdb_storage::{KeyRange, KeyspaceId, Operation, Timestamp, WriteBatch};

use super::read_set::{ReadSet, hash};
use crate::write_set::is_inverted;

/// A key that a commit wrote or claimed.
pub(super) type Key = (KeyspaceId, Arc<[u8]>);

/// The keys of a batch.
pub(super) fn keys_of(writes: &WriteBatch) -> impl Iterator<Item = Key> {
    writes.operations().filter_map(|operation| match operation {
        Operation::Put { space, key, .. } | Operation::Delete { space, key } => {
            Some((space, Arc::from(key)))
        }
        // Transactions do not delete ranges; a keyspace that is new or gone is the catalog's affair.
        Operation::DeleteRange { .. }
        | Operation::CreateKeyspace(_)
        | Operation::DropKeyspace(_) => None,
    })
}

/// What is known of each writer of a key.
pub(super) type Writers<T> = Vec<(Timestamp, T)>;

/// Writers by key.
#[derive(Debug)]
pub(super) struct Written<T> {
    by_hash: HashMap<u64, Writers<T>>,
    ordered: BTreeMap<KeyspaceId, BTreeMap<Arc<[u8]>, Writers<T>>>,
}

impl<T> Default for Written<T> {
    fn default() -> Self {
        Self { by_hash: HashMap::default(), ordered: BTreeMap::new() }
    }
}

impl<T: Copy> Written<T> {
    pub(super) fn insert(&mut self, (space, key): &Key, commit: Timestamp, writer: T) {
        self.by_hash.entry(hash(*space, key)).or_default().push((commit, writer));
        let keys = self.ordered.entry(*space).or_default();
        keys.entry(Arc::clone(key)).or_default().push((commit, writer));
    }

    pub(super) fn remove(&mut self, (space, key): &Key, commit: Timestamp) {
        let hash = hash(*space, key);
        if let Some(writers) = self.by_hash.get_mut(&hash) {
            writers.retain(|(ts, _)| *ts != commit);
            if writers.is_empty() {
                self.by_hash.remove(&hash);
            }
        }
        let Some(keys) = self.ordered.get_mut(space) else { return };
        if let Some(writers) = keys.get_mut(key) {
            writers.retain(|(ts, _)| *ts != commit);
            if writers.is_empty() {
                keys.remove(key);
            }
        }
        if keys.is_empty() {
            self.ordered.remove(space);
        }
    }

    /// The writers of a key.
    pub(super) fn of_key(&self, hash: u64) -> &[(Timestamp, T)] {
        self.by_hash.get(&hash).map_or(&[], Vec::as_slice)
    }

    /// The writers of any key of a range.
    pub(super) fn in_range<'a>(
        &'a self,
        space: KeyspaceId,
        range: KeyRange<'a>,
    ) -> impl Iterator<Item = &'a (Timestamp, T)> {
        self.keys_in_range(space, range).flat_map(|(_, writers)| writers)
    }

    /// The keys of a range that somebody writes, with their writers.
    pub(super) fn keys_in_range<'a>(
        &'a self,
        space: KeyspaceId,
        range: KeyRange<'a>,
    ) -> impl Iterator<Item = (&'a Arc<[u8]>, &'a Writers<T>)> {
        let keys = self.ordered.get(&space).filter(|_| !is_inverted(&range));
        let bounds = (range.start, range.end);
        keys.into_iter().flat_map(move |keys| keys.range::<[u8], _>(bounds))
    }

    /// What the writers after `since` of any key of a keyspace left.
    pub(super) fn of_space_since(
        &self,
        space: KeyspaceId,
        since: Timestamp,
    ) -> impl Iterator<Item = T> {
        let writers = self.in_range(space, KeyRange::ALL);
        writers.filter(move |(ts, _)| *ts > since).map(|(_, writer)| *writer)
    }

    /// The writers after `since` of anything that was read.
    pub(super) fn since<'a>(
        &'a self,
        since: Timestamp,
        reads: &'a ReadSet,
    ) -> impl Iterator<Item = (Timestamp, T)> {
        let of_space = move |(space, reads): (KeyspaceId, &'a super::read_set::SpaceReads)| {
            let by_key = reads.hashes.iter().flat_map(|hash| self.of_key(*hash));
            let by_range = reads.ranges.iter().flat_map(move |range| self.in_range(space, range));
            by_key.chain(by_range)
        };
        reads.spaces().flat_map(of_space).filter(move |(ts, _)| *ts > since).copied()
    }
}
