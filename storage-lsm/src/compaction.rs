//! Compaction: joining runs, so that reads ask few of them and dead history goes.
//!
//! *What is due* is decided by pure functions of a description of the runs ([`RunShape`]): [`leveled`]
//! keeps one run for each level, every level ten times the one above; [`tiered`] joins neighbours of
//! similar size; [`stale`] finds tables worth rewriting, or dropping, for what retention no longer
//! covers. Whatever they choose joins *adjacent* runs only, because runs are ordered by age.
//!
//! *How* is [`job`]: keys go from newer runs into an older one in ascending order. Each finished
//! output is a [`piece`], put into force by itself: the inputs then begin at the next key. A crash
//! loses the current output and no more.
//!
//! Sources: \[ONeil96\], \[Luo20\]; the choice of the default: docs/design/0007-compaction.md.

pub(crate) mod job;
mod leveled;
pub(crate) mod piece;
#[cfg(test)]
mod simulation;
pub(crate) mod stale;
mod tiered;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use driftdb_storage::{Compaction, KeyspaceId, RetentionPolicy, Timestamp};

use crate::run::{Bounds, Part, SortedRun};
use crate::table::TableMeta;

/// What a decision knows of a table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TableShape<'a> {
    pub(crate) meta: &'a TableMeta,
    pub(crate) bounds: &'a Bounds,
}

impl TableShape<'_> {
    /// Bytes in force.
    pub(crate) fn bytes(&self) -> u64 {
        self.meta.size_bytes.saturating_sub(self.bounds.skipped_bytes)
    }
}

/// What a decision knows of a run.
#[derive(Debug, Clone)]
pub(crate) struct RunShape<'a> {
    pub(crate) level: u32,
    pub(crate) is_merging: bool,
    pub(crate) tables: Vec<TableShape<'a>>,
}

impl RunShape<'_> {
    pub(crate) fn bytes(&self) -> u64 {
        self.tables.iter().map(TableShape::bytes).sum()
    }
}

/// The description of runs.
pub(crate) fn shapes(runs: &[Arc<SortedRun>]) -> Vec<RunShape<'_>> {
    runs.iter()
        .map(|run| RunShape {
            level: run.level,
            is_merging: run.is_merging,
            tables: run.parts.iter().map(Part::shape).collect(),
        })
        .collect()
}

/// Sizes by which decisions are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// What a flush writes at most, before compression.
    pub(crate) write_buffer_bytes: u64,
}

impl Sizes {
    /// The length at which an output is ended. Half a memtable: so that a piece is short to redo
    /// after a crash, and a level has enough tables to choose from.
    pub(crate) fn table_bytes(self) -> u64 {
        (self.write_buffer_bytes / 2).max(1)
    }

    /// Below this a table is rewritten rather than moved as it is, lest tables become many.
    pub(crate) fn worth_moving_bytes(self) -> u64 {
        self.table_bytes() / 8
    }
}

/// What retention says, for decisions.
#[derive(Debug, Clone, Default)]
pub(crate) struct Horizon {
    /// The latest time from which some keyspace's promise begins: older versions may be droppable.
    pub(crate) keep_since: Timestamp,
    /// Keyspaces of which nothing is readable any more, and when they were dropped.
    pub(crate) gone: BTreeMap<KeyspaceId, Timestamp>,
}

/// The latest time from which some keyspace's promise begins.
pub(crate) fn keep_since(policy: &RetentionPolicy) -> Timestamp {
    let listed = policy.by_keyspace.values().map(|retention| retention.keep_since);
    listed.fold(policy.default.keep_since, Timestamp::max)
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Join a window of runs into its oldest, which gets this level.
    Merge { window: Range<usize>, level: u32 },
    /// Join one table into the next older run.
    Push { run: usize, table: usize },
    /// Fold a table by itself.
    Rewrite { run: usize, table: usize },
    /// Remove a table of which nothing is readable.
    Drop { run: usize, table: usize },
    /// Give a run another level, as it is.
    Relabel { run: usize, level: u32 },
}

/// The most useful thing to do; `None` if the runs are as they should be. Runs are newest first.
pub(crate) fn choose(
    kind: Compaction,
    runs: &[RunShape<'_>],
    horizon: &Horizon,
    sizes: Sizes,
) -> Option<Plan> {
    under_way(runs)
        .or_else(|| stale::droppable(runs, horizon))
        .or_else(|| match kind {
            Compaction::Leveled => leveled::choose(runs, sizes),
            Compaction::Tiered => tiered::choose(runs),
        })
        .or_else(|| stale::choose(runs, horizon))
}

/// The merge that was under way when the engine was closed.
fn under_way(runs: &[RunShape<'_>]) -> Option<Plan> {
    let start = runs.iter().position(|run| run.is_merging)?;
    let count = runs[start..].iter().take_while(|run| run.is_merging).count();
    let window = start..start + count;
    let level = runs[window.end - 1].level;
    Some(Plan::Merge { window, level })
}

/// Bytes that the compactions due now have to read.
pub(crate) fn debt_bytes(kind: Compaction, runs: &[RunShape<'_>], sizes: Sizes) -> u64 {
    let merging = runs.iter().filter(|run| run.is_merging).map(RunShape::bytes).sum();
    match kind {
        Compaction::Leveled => leveled::debt_bytes(runs, sizes).max(merging),
        Compaction::Tiered => tiered::debt_bytes(runs).max(merging),
    }
}
