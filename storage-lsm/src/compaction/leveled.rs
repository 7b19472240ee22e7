//! Leveled compaction: one run for each level, every level ten times the one above.
//!
//! Flushed runs gather in level 0, where they overlap; four of them are joined into level 1. A level
//! over its size pushes one table down, the one that costs the least rewriting for what it frees. A
//! level with nothing below it sinks as it is. Reads ask few runs; a version is rewritten up to about
//! ten times a level.

use super::{Plan, RunShape, Sizes, stale};

/// Flushed runs that are joined into level 1.
const LEVEL_0_RUNS: usize = 4;
/// How much larger a level is than the one above.
const FAN_OUT: u64 = 10;
/// The last level has no size.
const MAX_LEVEL: u32 = 7;

pub(super) fn choose(runs: &[RunShape<'_>], sizes: Sizes) -> Option<Plan> {
    let flushed = flushed_count(runs);
    // What is most over its bound; the upper one of equals, which reads notice more.
    let mut worst: Option<(u64, usize)> = None;
    let crowd = (flushed as u64 * 1000) / LEVEL_0_RUNS as u64;
    if crowd >= 1000 {
        worst = Some((crowd, 0));
    }
    for (at, run) in runs.iter().enumerate().skip(flushed) {
        let (bytes, limit) = (run.bytes(), limit_bytes(run.level, sizes));
        let fullness = bytes.saturating_mul(1000) / limit;
        if bytes > limit && worst.is_none_or(|(most, _)| fullness > most) {
            worst = Some((fullness, at));
        }
    }
    let (_, at) = worst?;
    if at < flushed {
        let has_level_1 = runs.get(flushed).is_some_and(|run| run.level == 1);
        return Some(Plan::Merge { window: 0..flushed + usize::from(has_level_1), level: 1 });
    }
    Some(push_down(runs, at))
}

fn flushed_count(runs: &[RunShape<'_>]) -> usize {
    runs.iter().take_while(|run| run.level == 0).count()
}

fn limit_bytes(level: u32, sizes: Sizes) -> u64 {
    if level >= MAX_LEVEL {
        return u64::MAX;
    }
    let first = sizes.write_buffer_bytes.saturating_mul(LEVEL_0_RUNS as u64).max(1);
    first.saturating_mul(FAN_OUT.saturating_pow(level.saturating_sub(1)))
}

fn push_down(runs: &[RunShape<'_>], at: usize) -> Plan {
    let below = runs[at].level + 1;
    let Some(next) = runs.get(at + 1).filter(|next| next.level == below) else {
        return Plan::Relabel { run: at, level: below };
    };
    let cost = |table: &usize| {
        let table = &runs[at].tables[*table];
        let from = next.tables.partition_point(|other| other.bounds.precedes(table.bounds));
        let others = next.tables[from..].iter();
        let overlap = others.take_while(|other| !table.bounds.precedes(other.bounds));
        let overlap_bytes: u64 = overlap.map(|other| other.bytes()).sum();
        // History that can go counts as bytes that need not be written below.
        let garbage = stale::garbage_count(table.meta).min(table.meta.entry_count);
        let gain = table.bytes().saturating_mul(table.meta.entry_count.saturating_add(garbage))
            / table.meta.entry_count.max(1);
        overlap_bytes.saturating_mul(1000) / gain.max(1)
    };
    let table = (0..runs[at].tables.len()).min_by_key(cost).expect("a full run has tables");
    Plan::Push { run: at, table }
}

/// What lies over the bounds, and what has to be rewritten to bring it down.
pub(super) fn debt_bytes(runs: &[RunShape<'_>], sizes: Sizes) -> u64 {
    let flushed = flushed_count(runs);
    let mut debt = if flushed >= LEVEL_0_RUNS {
        runs[..flushed].iter().map(RunShape::bytes).sum()
    } else {
        0u64
    };
    for (at, run) in runs.iter().enumerate().skip(flushed) {
        let over = run.bytes().saturating_sub(limit_bytes(run.level, sizes));
        let has_next = runs.get(at + 1).is_some_and(|next| next.level == run.level + 1);
        if has_next {
            debt = debt.saturating_add(over.saturating_mul(FAN_OUT));
        }
    }
    debt
}
