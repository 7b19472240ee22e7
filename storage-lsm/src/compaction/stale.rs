//! Tables that are worth rewriting, or dropping, for history that retention no longer covers.

use driftdb_storage::KeyspaceId;

use super::{Horizon, Plan, RunShape, TableShape};
use crate::table::TableMeta;

/// A table that holds nothing but keyspaces that are gone: it can be removed unread.
pub(super) fn droppable(runs: &[RunShape<'_>], horizon: &Horizon) -> Option<Plan> {
    if horizon.gone.is_empty() {
        return None;
    }
    first(runs, |table| is_gone(table, horizon)).map(|(run, table)| Plan::Drop { run, table })
}

/// A table of which a quarter can go, and which was not folded since its newest version passed.
pub(super) fn choose(runs: &[RunShape<'_>], horizon: &Horizon) -> Option<Plan> {
    first(runs, |table| is_stale(table.meta, horizon))
        .map(|(run, table)| Plan::Rewrite { run, table })
}

/// A table of which anything can go: what a checkpoint looks for when one run is left.
pub(crate) fn reclaimable(runs: &[RunShape<'_>], horizon: &Horizon) -> Option<Plan> {
    droppable(runs, horizon).or_else(|| {
        first(runs, |table| is_reclaimable(table, horizon))
            .map(|(run, table)| Plan::Rewrite { run, table })
    })
}

fn first(
    runs: &[RunShape<'_>],
    is_due: impl Fn(&TableShape<'_>) -> bool,
) -> Option<(usize, usize)> {
    runs.iter()
        .enumerate()
        .find_map(|(run, shape)| shape.tables.iter().position(&is_due).map(|table| (run, table)))
}

/// Whether all keyspaces between the table's first and last key are gone. One that never existed
/// there has no keys.
fn is_gone(table: &TableShape<'_>, horizon: &Horizon) -> bool {
    let first = table.bounds.first.space;
    table
        .bounds
        .last
        .as_ref()
        .is_some_and(|last| first == last.space && horizon.gone.contains_key(&first))
}

/// Whether it may hold keys of a keyspace that went since it was last folded.
fn has_gone(table: &TableShape<'_>, horizon: &Horizon) -> bool {
    let first = table.bounds.first.space;
    let last = table.bounds.last.as_ref().map_or(KeyspaceId(u32::MAX), |last| last.space);
    horizon.gone.range(first..=last).any(|(_, &dropped)| table.meta.folded_to < dropped)
}

pub(crate) fn is_stale(meta: &TableMeta, horizon: &Horizon) -> bool {
    meta.max_ts <= horizon.keep_since
        && meta.folded_to < meta.max_ts
        && garbage_count(meta).saturating_mul(4) >= meta.entry_count
}

/// Whether a fold of the table by itself may drop something, and has not been tried.
pub(crate) fn is_reclaimable(table: &TableShape<'_>, horizon: &Horizon) -> bool {
    let meta = table.meta;
    meta.min_ts < horizon.keep_since
        && meta.folded_to < horizon.keep_since
        && (garbage_count(meta) > 0 || has_gone(table, horizon))
}

/// Versions that a fold may drop, seen from the table alone.
pub(crate) fn garbage_count(table: &TableMeta) -> u64 {
    table.entry_count.saturating_sub(table.key_count).saturating_add(table.tombstone_count)
}

#[cfg(test)]
mod tests {
    use driftdb_storage::{KeyspaceId, Timestamp};

    use super::*;
    use crate::run::{Bounds, Place};

    fn meta(entry_count: u64, key_count: u64) -> TableMeta {
        TableMeta {
            file_id: 0,
            size_bytes: 1000,
            entry_count,
            key_count,
            tombstone_count: 0,
            min_ts: Timestamp(5),
            max_ts: Timestamp(9),
            folded_to: Timestamp::MIN,
        }
    }

    fn bounds(first: u32, last: u32) -> Bounds {
        Bounds::new(Place::new(KeyspaceId(first), b"a"), Place::new(KeyspaceId(last), b"z"))
    }

    fn run<'a>(meta: &'a TableMeta, bounds: &'a Bounds) -> RunShape<'a> {
        RunShape { level: 0, is_merging: false, tables: vec![TableShape { meta, bounds }] }
    }

    fn since(ts: u64) -> Horizon {
        Horizon { keep_since: Timestamp(ts), ..Horizon::default() }
    }

    #[test]
    fn a_table_of_dead_versions_is_rewritten_once() {
        let (mut meta, bounds) = (meta(10, 5), bounds(1, 1));
        assert_eq!(choose(&[run(&meta, &bounds)], &since(8)), None);
        let plan = Plan::Rewrite { run: 0, table: 0 };
        assert_eq!(choose(&[run(&meta, &bounds)], &since(9)), Some(plan));
        meta.folded_to = Timestamp(9);
        assert_eq!(choose(&[run(&meta, &bounds)], &since(20)), None);
    }

    #[test]
    fn a_table_is_dropped_when_all_of_it_is_gone() {
        let meta = meta(10, 10);
        let horizon = Horizon { gone: [(KeyspaceId(2), Timestamp(7))].into(), ..since(9) };
        let is_dropped =
            |first, last| droppable(&[run(&meta, &bounds(first, last))], &horizon).is_some();
        assert!(is_dropped(2, 2));
        assert!(!is_dropped(1, 2));
        assert!(!is_dropped(2, 3));
        assert!(!is_dropped(3, 3));
        let (one, wide) = (bounds(3, 4), bounds(1, 3));
        assert!(reclaimable(&[run(&meta, &one)], &horizon).is_none());
        assert!(reclaimable(&[run(&meta, &wide)], &horizon).is_some());
    }
}
