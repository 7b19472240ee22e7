//! Size-tiered compaction: neighbours of similar size are joined.
//!
//! A window takes in older runs as long as each is at most 5/4 of what it has so far, so a version is
//! rewritten about log₄(size / flush) times. Few bytes are written; reads ask up to [`MAX_RUNS`] runs.

use std::ops::Range;

use super::{Plan, RunShape};

/// Runs of similar size that make a merge worth it.
const FAN_IN: usize = 4;
/// Above this many runs the cheapest pair is joined, similar or not: reads ask every run.
const MAX_RUNS: usize = 12;

pub(super) fn choose(runs: &[RunShape<'_>]) -> Option<Plan> {
    let window = window(&sizes(runs))?;
    // Levels stay in order and distinct, should the engine be opened as a leveled one.
    let level = runs[window.end - 1].level;
    Some(Plan::Merge { window, level })
}

pub(super) fn debt_bytes(runs: &[RunShape<'_>]) -> u64 {
    let sizes = sizes(runs);
    window(&sizes).map_or(0, |window| sizes[window].iter().sum())
}

fn sizes(runs: &[RunShape<'_>]) -> Vec<u64> {
    runs.iter().map(RunShape::bytes).collect()
}

pub(super) fn window(sizes: &[u64]) -> Option<Range<usize>> {
    similar(sizes).or_else(|| cheapest_pair(sizes))
}

fn similar(sizes: &[u64]) -> Option<Range<usize>> {
    (0..sizes.len()).find_map(|start| {
        let mut sum = sizes[start];
        let mut end = start + 1;
        while let Some(&next) = sizes.get(end).filter(|&&next| next <= sum.saturating_add(sum / 4))
        {
            sum = sum.saturating_add(next);
            end += 1;
        }
        (end - start >= FAN_IN).then_some(start..end)
    })
}

fn cheapest_pair(sizes: &[u64]) -> Option<Range<usize>> {
    if sizes.len() <= MAX_RUNS {
        return None;
    }
    let sum = |at: &usize| sizes[*at].saturating_add(sizes[at + 1]);
    let start = (0..sizes.len() - 1).min_by_key(sum)?;
    Some(start..start + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similar_neighbours_are_joined() {
        assert_eq!(window(&[]), None);
        assert_eq!(window(&[10, 10, 10]), None);
        assert_eq!(window(&[10, 10, 10, 10]), Some(0..4));
        assert_eq!(window(&[10, 10, 10, 10, 400]), Some(0..4));
        assert_eq!(window(&[1, 10, 10, 10, 10, 40, 900]), Some(1..6));
        assert_eq!(window(&[1, 8, 64, 512, 4096]), None);
    }

    #[test]
    fn many_unlike_runs_still_shrink() {
        let sizes: Vec<u64> = (0..13).map(|n| 4 << (2 * n)).collect();
        assert_eq!(window(&sizes), Some(0..2));
    }
}
