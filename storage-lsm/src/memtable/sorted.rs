//! A large batch as a run of its own.
//!
//! Its bytes stay as they are; beside them lies an index of its writes, sorted by key. Nothing is
//! copied twice, nothing searched per write, and input that is in order already (sorted loading) is
//! not sorted again. It never changes, so that it needs no more than shared ownership.
//!
//! Cost: 40 bytes per write; O(n) comparisons for sorted input, O(n log n) otherwise.
//! Source: Pebble's flushable batch.

use std::cmp::Ordering;

use driftdb_storage::{Commit, KeyspaceId, Operation, WriteBatch};

use super::list::Version;
use super::order::{Probe, compare_tails, prefix_of};

#[derive(Debug)]
pub(super) struct SortedBatch {
    batch: WriteBatch,
    /// Strictly ascending by keyspace and key.
    writes: Vec<Write>,
    at: Commit,
}

/// Where in the batch a write's key and value lie.
#[derive(Debug, Clone, Copy)]
struct Write {
    prefix: u64,
    key_start: usize,
    /// `None` is a tombstone.
    value_start: Option<usize>,
    space: KeyspaceId,
    key_len: u32,
    value_len: u32,
}

impl SortedBatch {
    pub(super) fn new(batch: WriteBatch, at: Commit) -> Self {
        let bytes = batch.as_bytes();
        let mut writes = Vec::with_capacity(batch.len());
        writes.extend(batch.operations().filter_map(|operation| Write::of(operation, bytes)));
        // Comparing strictly: equal neighbours need the second pass.
        if !writes.is_sorted_by(|left, right| left.compare(right, bytes).is_lt()) {
            // Stable, so that of writes to one key the last stays last.
            writes.sort_by(|left, right| left.compare(right, bytes));
            writes.dedup_by(|later, kept| {
                let is_same = later.compare(kept, bytes).is_eq();
                if is_same {
                    *kept = *later;
                }
                is_same
            });
        }
        Self { batch, writes, at }
    }

    pub(super) fn commit(&self) -> Commit {
        self.at
    }

    pub(super) fn used_bytes(&self) -> usize {
        self.batch.as_bytes().len() + self.writes.len() * size_of::<Write>()
    }

    pub(super) fn first_at(&self, probe: Probe<'_>) -> Option<usize> {
        some(self.count_before(probe), self.writes.len())
    }

    pub(super) fn last_before(&self, probe: Probe<'_>) -> Option<usize> {
        self.count_before(probe).checked_sub(1)
    }

    pub(super) fn first(&self) -> Option<usize> {
        some(0, self.writes.len())
    }

    pub(super) fn next(&self, index: usize) -> Option<usize> {
        some(index + 1, self.writes.len())
    }

    pub(super) fn previous(&self, index: usize) -> Option<usize> {
        index.checked_sub(1)
    }

    pub(super) fn compare(&self, index: usize, probe: Probe<'_>) -> Ordering {
        self.compare_write(&self.writes[index], probe)
    }

    pub(super) fn version(&self, index: usize) -> Version<'_> {
        let (write, bytes) = (&self.writes[index], self.batch.as_bytes());
        let value = write.value_start.map(|start| &bytes[start..][..write.value_len as usize]);
        Version { space: write.space, key: write.key(bytes), ts: self.at.ts, value }
    }

    fn count_before(&self, probe: Probe<'_>) -> usize {
        self.writes.partition_point(|write| self.compare_write(write, probe).is_lt())
    }

    fn compare_write(&self, write: &Write, probe: Probe<'_>) -> Ordering {
        let by_prefix = (u64::from(write.space.0), write.prefix).cmp(&(probe.space, probe.prefix));
        by_prefix
            .then_with(|| compare_tails(write.key(self.batch.as_bytes()), probe.key))
            .then_with(|| probe.ts.cmp(&self.at.ts))
    }
}

impl Write {
    fn of(operation: Operation<'_>, bytes: &[u8]) -> Option<Self> {
        let (space, key, value) = match operation {
            Operation::Put { space, key, value } => (space, key, Some(value)),
            Operation::Delete { space, key } => (space, key, None),
            // Range deletes have been spelled out.
            Operation::DeleteRange { .. }
            | Operation::CreateKeyspace(_)
            | Operation::DropKeyspace(_) => return None,
        };
        Some(Self {
            prefix: prefix_of(key),
            key_start: offset_in(bytes, key),
            value_start: value.map(|value| offset_in(bytes, value)),
            space,
            key_len: length(key),
            value_len: value.map_or(0, length),
        })
    }

    fn key<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[self.key_start..][..self.key_len as usize]
    }

    fn compare(&self, other: &Self, bytes: &[u8]) -> Ordering {
        let by_prefix = (self.space, self.prefix).cmp(&(other.space, other.prefix));
        by_prefix.then_with(|| compare_tails(self.key(bytes), other.key(bytes)))
    }
}

fn some(index: usize, count: usize) -> Option<usize> {
    (index < count).then_some(index)
}

/// Where `part`, which was lent out of `whole`, begins in it.
fn offset_in(whole: &[u8], part: &[u8]) -> usize {
    part.as_ptr().addr() - whole.as_ptr().addr()
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("a key or value is smaller than 4 GiB")
}
