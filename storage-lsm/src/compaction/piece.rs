//! What a piece of a compaction changes, and how the runs look after it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use driftdb_storage::KeyspaceId;

use crate::run::{Bounds, Part, SortedRun};

/// Where a compaction puts its outputs. Flushes add runs in front, so places count from the back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target {
    /// Runs older than the one that takes the outputs.
    pub(crate) older_count: usize,
    pub(crate) level: u32,
    /// Whether it joins whole runs, which are marked until it is done.
    pub(crate) joins_runs: bool,
}

impl Target {
    pub(crate) fn index(self, run_count: usize) -> usize {
        run_count - 1 - self.older_count
    }
}

/// One piece.
#[derive(Debug, Default)]
pub(crate) struct Piece {
    /// Inputs, by file, that have nothing left in force.
    pub(crate) consumed: BTreeSet<u64>,
    /// Inputs that begin later now.
    pub(crate) trimmed: BTreeMap<u64, Bounds>,
    /// Inputs that are as they were.
    pub(crate) untouched: BTreeSet<u64>,
    /// What takes the place of the keys that went, ascending. A table moved as it is counts as
    /// consumed and is here too.
    pub(crate) outputs: Vec<Part>,
    pub(crate) is_last: bool,
    /// Bytes of inputs that were read.
    pub(crate) read_bytes: u64,
    pub(crate) dropped_in: BTreeSet<KeyspaceId>,
    pub(crate) dropped_count: u64,
}

impl Piece {
    /// The runs after the piece.
    ///
    /// # Errors
    /// What is wrong, if they are not runs any more: an input had keys outside of its bounds.
    pub(crate) fn apply(
        &self,
        runs: &[Arc<SortedRun>],
        target: Target,
    ) -> Result<Vec<Arc<SortedRun>>, &'static str> {
        let into = target.index(runs.len());
        let next = runs.iter().enumerate().map(|(at, run)| {
            let is_input = |part: &Part| {
                let file_id = part.meta().file_id;
                self.consumed.contains(&file_id)
                    || self.trimmed.contains_key(&file_id)
                    || self.untouched.contains(&file_id)
            };
            let has_inputs = run.parts.iter().any(is_input);
            if at != into && !has_inputs {
                return Ok::<_, &'static str>(Arc::clone(run));
            }
            let mut next = SortedRun::clone(run);
            next.parts.retain(|part| !self.consumed.contains(&part.meta().file_id));
            for part in &mut next.parts {
                if let Some(bounds) = self.trimmed.get(&part.meta().file_id) {
                    part.bounds = bounds.clone();
                }
            }
            if at == into {
                next.level = target.level;
                self.insert_outputs(&mut next);
            }
            next.is_merging = target.joins_runs && !self.is_last;
            next.check()?;
            Ok(Arc::new(next))
        });
        let next = next.collect::<Result<Vec<_>, _>>()?;
        let has_use = |(at, run): &(usize, Arc<SortedRun>)| {
            !run.parts.is_empty() || (*at == into && !self.is_last)
        };
        Ok(next.into_iter().enumerate().filter(has_use).map(|(_, run)| run).collect())
    }

    /// Adds the piece after this one, of a compaction that puts all of them into force at once.
    pub(crate) fn join(&mut self, next: Self) {
        self.consumed.extend(next.consumed);
        self.outputs.extend(next.outputs);
        self.read_bytes += next.read_bytes;
        self.dropped_in.extend(next.dropped_in);
        self.dropped_count += next.dropped_count;
    }

    fn insert_outputs(&self, run: &mut SortedRun) {
        let Some(first) = self.outputs.first() else { return };
        let at = run.parts.partition_point(|part| part.bounds.precedes(&first.bounds));
        run.parts.splice(at..at, self.outputs.iter().cloned());
    }

    /// Files that no version names after the piece.
    pub(crate) fn removed(&self) -> impl Iterator<Item = u64> {
        let is_output =
            |file_id: &u64| self.outputs.iter().any(|part| part.meta().file_id == *file_id);
        self.consumed.iter().copied().filter(move |file_id| !is_output(file_id))
    }
}
