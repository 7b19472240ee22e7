//! Merging adjacent tables into one.
//!
//! *Which*: [`choose`], a pure function of what the tables are. Size-tiered: a window of adjacent
//! tables of similar size, newest first, so that each version is rewritten about log₄(size / flush)
//! times. Adjacent only, because runs must stay ordered by age.
//!
//! *How*: [`MergeJob`], in steps bounded by bytes, so that a flush never waits long behind a merge.
//! Each key's versions go through the shared [`Fold`], which decides what history may go. A step
//! ends between keys.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use driftdb_env::planted;
use driftdb_storage::{
    Entry, Fold, KeyspaceId, Result, RetentionPolicy, StorageError, Timestamp, Verdict,
};

use crate::table::{Table, TableMeta, TableScan, TableWriter};

/// Tables of similar size that make a merge worth it.
const FAN_IN: usize = 4;
/// Above this many tables the cheapest pair is merged, similar or not: reads ask every table.
const MAX_TABLES: usize = 12;
/// A merge never makes a table larger than this, so that its index stays small.
const MAX_TABLE_BYTES: u64 = 64 << 30;
/// Bytes of input per step.
const STEP_BYTES: usize = 4 << 20;

/// Chooses adjacent tables to merge; `tables` are newest first. A window of one is a table that is
/// worth rewriting for the history it can drop, now that `horizon` has passed it.
pub(crate) fn choose(tables: &[TableMeta], horizon: Timestamp) -> Option<Range<usize>> {
    similar(tables).or_else(|| stale(tables, horizon)).or_else(|| cheapest_pair(tables))
}

/// A window that starts at any table and takes in older ones up to 5/4 of what it has.
fn similar(tables: &[TableMeta]) -> Option<Range<usize>> {
    (0..tables.len()).find_map(|start| {
        let mut sum = tables[start].size_bytes;
        let mut end = start + 1;
        while let Some(next) = tables.get(end) {
            let total = sum.saturating_add(next.size_bytes);
            if next.size_bytes > sum.saturating_add(sum / 4) || total > MAX_TABLE_BYTES {
                break;
            }
            sum = total;
            end += 1;
        }
        (end - start >= FAN_IN).then_some(start..end)
    })
}

/// A table of which a quarter can go, and which was not folded since its newest version passed.
fn stale(tables: &[TableMeta], horizon: Timestamp) -> Option<Range<usize>> {
    let position = tables.iter().position(|table| {
        table.max_ts <= horizon && table.folded_to < table.max_ts && {
            garbage_count(table).saturating_mul(4) >= table.entry_count
        }
    })?;
    Some(position..position + 1)
}

fn cheapest_pair(tables: &[TableMeta]) -> Option<Range<usize>> {
    if tables.len() <= MAX_TABLES {
        return None;
    }
    let size = |at: usize| tables[at].size_bytes.saturating_add(tables[at + 1].size_bytes);
    let start = (0..tables.len() - 1).min_by_key(|&at| size(at))?;
    (size(start) <= MAX_TABLE_BYTES).then_some(start..start + 2)
}

/// Versions that a fold may drop, seen from the table alone.
pub(crate) fn garbage_count(table: &TableMeta) -> u64 {
    table.entry_count.saturating_sub(table.key_count).saturating_add(table.tombstone_count)
}

/// The latest time from which some keyspace's promise begins: older versions may be droppable.
pub(crate) fn horizon(policy: &RetentionPolicy) -> Timestamp {
    let listed = policy.by_keyspace.values().map(|retention| retention.keep_since);
    listed.fold(policy.default.keep_since, Timestamp::max)
}

/// A merge under way.
#[derive(Debug)]
pub(crate) struct MergeJob {
    /// Newest first.
    inputs: Vec<TableScan>,
    writer: TableWriter,
    policy: Arc<RetentionPolicy>,
    /// Keyspaces of which nothing is readable any more.
    gone: BTreeSet<KeyspaceId>,
    /// Whether no older table exists, so that nothing hides behind a tombstone.
    is_bottom: bool,
    key: Vec<u8>,
    pub(crate) dropped_in: BTreeSet<KeyspaceId>,
    pub(crate) dropped_count: u64,
}

/// What a step of a merge left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MergeProgress {
    More,
    Done,
}

impl MergeJob {
    /// # Errors
    /// I/O or damage in an input. `writer` is given back, to be discarded.
    pub(crate) fn start(
        tables: &[Arc<Table>],
        writer: TableWriter,
        policy: Arc<RetentionPolicy>,
        gone: BTreeSet<KeyspaceId>,
        is_bottom: bool,
    ) -> std::result::Result<Self, (StorageError, TableWriter)> {
        let scans: Result<_> =
            tables.iter().map(|table| TableScan::new(Arc::clone(table))).collect();
        let inputs = match scans {
            Ok(inputs) => inputs,
            Err(error) => return Err((error, writer)),
        };
        let (key, dropped_in) = (Vec::new(), BTreeSet::new());
        let dropped_count = 0;
        Ok(Self { inputs, writer, policy, gone, is_bottom, key, dropped_in, dropped_count })
    }

    /// The tables that the output replaces.
    pub(crate) fn inputs(&self) -> impl Iterator<Item = &Arc<Table>> {
        self.inputs.iter().map(TableScan::table)
    }

    pub(crate) fn policy(&self) -> &RetentionPolicy {
        &self.policy
    }

    pub(crate) fn writer(&mut self) -> &mut TableWriter {
        &mut self.writer
    }

    /// Removes the output, which nothing refers to.
    pub(crate) fn discard(self) {
        self.writer.discard();
    }

    /// Merges the next keys.
    ///
    /// # Errors
    /// I/O or damage: discard the job.
    pub(crate) fn step(&mut self) -> Result<MergeProgress> {
        let mut bytes = 0;
        while bytes < STEP_BYTES {
            let Some(space) = self.next_key() else { return Ok(MergeProgress::Done) };
            bytes += self.merge_key(space)?;
        }
        Ok(MergeProgress::More)
    }

    /// Sets `self.key` to the first key that is left; returns its keyspace.
    fn next_key(&mut self) -> Option<KeyspaceId> {
        let heads = self.inputs.iter().filter_map(TableScan::head);
        let (space, entry) =
            heads.min_by(|(a, left), (b, right)| a.cmp(b).then_with(|| left.key.cmp(right.key)))?;
        self.key.clear();
        self.key.extend_from_slice(entry.key);
        Some(space)
    }

    /// Puts all versions of `self.key` through the fold. Returns the bytes read.
    fn merge_key(&mut self, space: KeyspaceId) -> Result<usize> {
        let policy = Arc::clone(&self.policy);
        let mut fold = Fold::new(policy.of(space));
        let is_gone = self.gone.contains(&space);
        let mut bytes = 0;
        let mut last: Option<Timestamp> = None;
        // Tombstones that go unless something older stays.
        let mut bottoms: Vec<Timestamp> = Vec::new();
        while let Some(at) = self.newest_input(space) {
            let Some((_, entry)) = self.inputs[at].head() else { break };
            let ts = entry.ts;
            bytes += entry.key.len() + entry.value.map_or(0, <[u8]>::len) + 16;
            if last.is_some_and(|last| ts >= last) {
                let name = self.inputs[at].table().name();
                let what = "versions of a key are out of order between tables";
                return Err(StorageError::corruption(name, 0, what));
            }
            let mut verdict = fold.judge(ts, entry.value.is_none());
            if planted!("lsm.compaction-drops-newest") && last.is_none() && self.inputs.len() > 1 {
                verdict = Verdict::Drop;
            }
            last = Some(ts);
            match verdict {
                _ if is_gone => self.note_drop(space),
                Verdict::Drop => self.note_drop(space),
                Verdict::DropIfBottom if self.is_bottom => bottoms.push(ts),
                Verdict::Keep | Verdict::DropIfBottom => {
                    for ts in bottoms.drain(..) {
                        self.writer.add(space, Entry { key: &self.key, ts, value: None })?;
                    }
                    self.writer.add(space, entry)?;
                }
            }
            self.inputs[at].advance()?;
        }
        for _ in bottoms {
            self.note_drop(space);
        }
        Ok(bytes)
    }

    fn note_drop(&mut self, space: KeyspaceId) {
        self.dropped_in.insert(space);
        self.dropped_count += 1;
    }

    /// The input that stands on the newest version of `self.key`.
    fn newest_input(&self, space: KeyspaceId) -> Option<usize> {
        let heads = self.inputs.iter().enumerate();
        let of_key = heads.filter_map(|(at, input)| {
            let (head_space, entry) = input.head()?;
            (head_space == space && entry.key == self.key).then_some((at, entry.ts))
        });
        of_key.max_by_key(|&(_, ts)| ts).map(|(at, _)| at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables(sizes: &[u64]) -> Vec<TableMeta> {
        let meta = |&size_bytes: &u64| TableMeta {
            file_id: 0,
            size_bytes,
            entry_count: 10,
            key_count: 10,
            tombstone_count: 0,
            min_ts: Timestamp(5),
            max_ts: Timestamp(9),
            folded_to: Timestamp::MIN,
        };
        sizes.iter().map(meta).collect()
    }

    #[test]
    fn similar_neighbours_are_merged() {
        let none = Timestamp::MIN;
        assert_eq!(choose(&tables(&[]), none), None);
        assert_eq!(choose(&tables(&[10, 10, 10]), none), None);
        assert_eq!(choose(&tables(&[10, 10, 10, 10]), none), Some(0..4));
        assert_eq!(choose(&tables(&[10, 10, 10, 10, 400]), none), Some(0..4));
        assert_eq!(choose(&tables(&[1, 10, 10, 10, 10, 40, 900]), none), Some(1..6));
        assert_eq!(choose(&tables(&[1, 8, 64, 512, 4096]), none), None);
    }

    #[test]
    fn many_unlike_tables_still_shrink() {
        let sizes: Vec<u64> = (0..13).map(|n| 4 << (2 * n)).collect();
        assert_eq!(choose(&tables(&sizes), Timestamp::MIN), Some(0..2));
        assert_eq!(choose(&tables(&[u64::MAX; 20]), Timestamp::MIN), None);
    }

    #[test]
    fn a_table_of_dead_versions_is_rewritten_once() {
        let mut one = tables(&[10]);
        one[0].key_count = 5;
        assert_eq!(choose(&one, Timestamp(8)), None);
        assert_eq!(choose(&one, Timestamp(9)), Some(0..1));
        one[0].folded_to = Timestamp(9);
        assert_eq!(choose(&one, Timestamp(20)), None);
    }
}
