//! The decisions by themselves: runs are numbers, keys are a line from 0 to 1000 million, and applying
//! a plan is arithmetic. So a million flushes take seconds.

use driftdb_storage::{Compaction, KeyspaceId, Timestamp};
use proptest::prelude::*;

use super::{Horizon, Plan, RunShape, Sizes, TableShape, choose, debt_bytes};
use crate::run::{Bounds, Place};
use crate::table::TableMeta;

const LINE: u64 = 1_000_000_000;
const FLUSH: u64 = 1000;
const SIZES: Sizes = Sizes { write_buffer_bytes: FLUSH };

#[derive(Debug, Clone)]
struct FakeRun {
    level: u32,
    is_merging: bool,
    tables: Vec<(TableMeta, Bounds)>,
}

#[derive(Debug, Default)]
struct Tree {
    runs: Vec<FakeRun>,
    written_bytes: u64,
    flushed_bytes: u64,
}

fn place(at: u64) -> Place {
    Place::new(KeyspaceId(1), &at.to_be_bytes())
}

fn position(place: &Place) -> u64 {
    u64::from_be_bytes((*place.key).try_into().unwrap())
}

/// A table from `first` to `last`. No two on one line share an end.
fn table(first: u64, last: u64, size_bytes: u64) -> (TableMeta, Bounds) {
    let meta = TableMeta {
        file_id: 0,
        size_bytes,
        entry_count: size_bytes,
        key_count: size_bytes,
        tombstone_count: 0,
        min_ts: Timestamp(5),
        max_ts: Timestamp(9),
        folded_to: Timestamp::MIN,
    };
    (meta, Bounds::new(place(first), place(last)))
}

fn shapes(runs: &[FakeRun]) -> Vec<RunShape<'_>> {
    runs.iter()
        .map(|run| {
            let tables = run.tables.iter().map(|(meta, bounds)| TableShape { meta, bounds });
            RunShape { level: run.level, is_merging: run.is_merging, tables: tables.collect() }
        })
        .collect()
}

fn span(tables: &[(TableMeta, Bounds)]) -> Option<(u64, u64)> {
    let first = tables.iter().map(|(_, bounds)| position(&bounds.first)).min()?;
    let last = tables.iter().filter_map(|(_, bounds)| bounds.last.as_ref()).map(position).max()?;
    Some((first, last))
}

impl Tree {
    fn flush(&mut self, first: u64, last: u64, size_bytes: u64) {
        let tables = vec![table(first, last, size_bytes)];
        self.runs.insert(0, FakeRun { level: 0, is_merging: false, tables });
        self.flushed_bytes += size_bytes;
    }

    /// What the job does: overlapping tables are written anew, others are moved.
    fn join(&mut self, sources: Vec<(TableMeta, Bounds)>, into: usize) {
        let Some((first, last)) = span(&sources) else { return };
        let target = &mut self.runs[into].tables;
        let bounds = Bounds::new(place(first), place(last));
        let mut inputs: Vec<_> =
            target.extract_if(.., |(_, other)| other.overlaps(&bounds)).collect();
        inputs.extend(sources);
        inputs.sort_by(|a, b| a.1.first.cmp(&b.1.first));
        // Groups of tables that overlap one another are written; a table by itself is moved.
        let mut outputs = Vec::new();
        let mut group: Vec<(TableMeta, Bounds)> = Vec::new();
        let mut written_bytes = 0;
        let mut end_group = |group: &mut Vec<(TableMeta, Bounds)>| {
            if group.len() == 1 {
                outputs.append(group);
                return;
            }
            let Some((first, last)) = span(group) else { return };
            let bytes: u64 = group.drain(..).map(|(meta, _)| meta.size_bytes).sum();
            written_bytes += bytes;
            let count = bytes.div_ceil(SIZES.table_bytes()).max(1).min(last - first + 1);
            let width = (last - first + 1) / count;
            for n in 0..count {
                let end = if n + 1 == count { last } else { first + (n + 1) * width - 1 };
                outputs.push(table(first + n * width, end, bytes / count));
            }
        };
        for input in inputs {
            let is_apart = span(&group).is_some_and(|(_, end)| end < position(&input.1.first));
            if is_apart {
                end_group(&mut group);
            }
            group.push(input);
        }
        end_group(&mut group);
        self.written_bytes += written_bytes;
        let target = &mut self.runs[into].tables;
        target.extend(outputs);
        target.sort_by(|a, b| a.1.first.cmp(&b.1.first));
    }

    /// Does what is due, to the end. Returns the number of plans.
    fn settle(&mut self, kind: Compaction) -> usize {
        let mut count = 0;
        loop {
            let horizon = Horizon::default();
            let Some(plan) = choose(kind, &shapes(&self.runs), &horizon, SIZES) else { break };
            self.apply(plan);
            self.check();
            count += 1;
            assert!(count < 10_000, "it never ends: {} runs", self.runs.len());
        }
        assert_eq!(debt_bytes(kind, &shapes(&self.runs), SIZES), 0, "idle, but in debt");
        count
    }

    fn apply(&mut self, plan: Plan) {
        match plan {
            Plan::Merge { window, level } => {
                assert!(window.end <= self.runs.len());
                assert!(window.len() > 1, "a merge of one run does nothing");
                let into = window.end - 1;
                let sources: Vec<_> = self.runs[window.start..into]
                    .iter()
                    .flat_map(|run| run.tables.clone())
                    .collect();
                self.join(sources, into);
                self.runs[into].level = level;
                self.runs.drain(window.start..into);
            }
            Plan::Push { run, table } => {
                let source = self.runs[run].tables.remove(table);
                self.join(vec![source], run + 1);
                if self.runs[run].tables.is_empty() {
                    self.runs.remove(run);
                }
            }
            Plan::Relabel { run, level } => {
                assert!(level > self.runs[run].level);
                self.runs[run].level = level;
            }
            Plan::Rewrite { .. } | Plan::Drop { .. } => panic!("there is no history here"),
        }
    }

    fn check(&self) {
        let levels: Vec<u32> = self.runs.iter().map(|run| run.level).collect();
        assert!(levels.is_sorted(), "{levels:?}");
        let one_each = |pair: &[u32]| pair[0] == 0 || pair[0] < pair[1];
        assert!(levels.windows(2).all(one_each), "{levels:?}");
    }

    fn amplification(&self) -> f64 {
        (self.written_bytes + self.flushed_bytes) as f64 / self.flushed_bytes as f64
    }
}

/// A deterministic sequence of numbers.
fn mixed(n: u64) -> u64 {
    let x = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (x ^ (x >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 20
}

#[test]
fn random_keys_are_rewritten_a_bounded_number_of_times() {
    // Each bound is the one of the literature for this many levels, with room for its constants.
    for (kind, flushes, most, most_runs) in
        [(Compaction::Leveled, 1500, 25.0, 7), (Compaction::Tiered, 1500, 7.0, 12)]
    {
        let mut tree = Tree::default();
        for n in 0..flushes {
            tree.flush(mixed(n) % 1000, LINE - mixed(n + 1) % 1000, FLUSH);
            tree.settle(kind);
            assert!(tree.runs.len() <= most_runs, "{kind:?}: {} runs", tree.runs.len());
        }
        assert!(tree.amplification() < most, "{kind:?}: {:.1}", tree.amplification());
        assert!(tree.amplification() > 2.0, "{kind:?}: {:.1}", tree.amplification());
    }
}

#[test]
fn a_million_flushes_of_random_keys_in_a_tiered_tree() {
    // Sizes are all that a tiered tree looks at: one wide table a run stands for all of it.
    let mut sizes: Vec<u64> = Vec::new();
    let mut written = 0u64;
    for _ in 0..1_000_000u64 {
        sizes.insert(0, FLUSH);
        while let Some(window) = super::tiered::window(&sizes) {
            assert!(window.len() > 1);
            let sum: u64 = sizes[window.clone()].iter().sum();
            written += sum;
            sizes.splice(window, [sum]);
        }
        assert!(sizes.len() <= 12, "{sizes:?}");
    }
    let flushed_bytes = 1_000_000 * FLUSH;
    let tree = Tree { runs: Vec::new(), written_bytes: written, flushed_bytes };
    // log₄ of a million is ten; the rest is the price of at most twelve runs.
    assert!(tree.amplification() < 17.0, "{:.1}", tree.amplification());
}

#[test]
fn ascending_keys_are_never_rewritten() {
    for kind in [Compaction::Leveled, Compaction::Tiered] {
        let mut tree = Tree::default();
        for n in 0..1000u64 {
            tree.flush(n * 1000, n * 1000 + 999, FLUSH);
            tree.settle(kind);
        }
        assert_eq!(tree.written_bytes, 0, "{kind:?}");
        assert!(tree.runs.len() <= 12);
    }
}

fn any_run() -> impl Strategy<Value = FakeRun> {
    (0u32..9, prop::collection::vec((1u64..1000, 1u64..6000), 1..12)).prop_map(|(level, cells)| {
        let mut at = 0;
        let tables = cells.into_iter().map(|(width, size_bytes)| {
            let first = at;
            at += 2 * width;
            table(first, first + width, size_bytes)
        });
        FakeRun { level, is_merging: false, tables: tables.collect() }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// From any tree, also one that the other kind made, or that was closed in the middle.
    #[test]
    fn choosing_and_applying_comes_to_an_end(
        mut runs in prop::collection::vec(any_run(), 0..30),
        marked in 0usize..30,
        width in 0usize..5,
        is_leveled: bool,
    ) {
        runs.sort_by_key(|run| run.level);
        let mut last = 0;
        runs.retain(|run| {
            let is_first = run.level == 0 || run.level > last;
            last = run.level;
            is_first
        });
        if width > 1 && marked + width <= runs.len() {
            for run in &mut runs[marked..marked + width] {
                run.is_merging = true;
            }
        }
        let mut tree = Tree { runs, ..Tree::default() };
        let kind = if is_leveled { Compaction::Leveled } else { Compaction::Tiered };
        // What was marked is joined first, and is marked no more.
        if let Some(plan) = super::under_way(&shapes(&tree.runs)) {
            tree.apply(plan);
            tree.runs.iter_mut().for_each(|run| run.is_merging = false);
            tree.check();
        }
        tree.settle(kind);
        prop_assert!(tree.runs.len() <= 12);
        if is_leveled {
            for run in tree.runs.iter().filter(|run| (1..7).contains(&run.level)) {
                let bytes: u64 = run.tables.iter().map(|(meta, _)| meta.size_bytes).sum();
                prop_assert!(bytes <= 4 * FLUSH * 10u64.pow(run.level - 1), "level {}", run.level);
            }
        }
    }
}
