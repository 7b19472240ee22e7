//! Deadlock detection by a wait-for graph.
//!
//! Each waiter has edges to those it waits for. The search starts at a waiter whose edges have just
//! changed: an older cycle would have been found when its last edge was added. The victim is the
//! youngest of the cycle (the largest identity), which has the least to lose [Agrawal87].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Arc;

use driftdb_concurrency::TxnId;

use super::waiter::{WaitCell, WaitEnd};

/// Who waits for whom.
#[derive(Debug, Default)]
pub(super) struct WaitGraph {
    waiters: BTreeMap<TxnId, Node>,
}

#[derive(Debug)]
struct Node {
    waits_for: Vec<TxnId>,
    cell: Arc<WaitCell>,
}

impl WaitGraph {
    /// Sets the edges of a waiter; true if any was added.
    pub(super) fn set(
        &mut self,
        waiter: TxnId,
        waits_for: Vec<TxnId>,
        cell: &Arc<WaitCell>,
    ) -> bool {
        let Some(node) = self.waiters.get_mut(&waiter) else {
            self.waiters.insert(waiter, Node { waits_for, cell: Arc::clone(cell) });
            return true;
        };
        let has_new = waits_for.iter().any(|txn| !node.waits_for.contains(txn));
        node.waits_for = waits_for;
        has_new
    }

    /// Removes a waiter.
    pub(super) fn remove(&mut self, waiter: TxnId) {
        self.waiters.remove(&waiter);
    }

    /// All edges.
    pub(super) fn edges(&self) -> Vec<(TxnId, TxnId)> {
        let edges_of = |(waiter, node): (&TxnId, &Node)| {
            let waiter = *waiter;
            node.waits_for.clone().into_iter().map(move |txn| (waiter, txn))
        };
        self.waiters.iter().flat_map(edges_of).collect()
    }

    /// Ends the youngest waiter of each cycle that goes through `suspect`.
    pub(super) fn break_cycles_through(&mut self, suspect: TxnId) {
        while let Some(cycle) = self.cycle_through(suspect) {
            let victim = *cycle.iter().max().expect("a cycle is not empty");
            let node = self.waiters.remove(&victim).expect("who is in a cycle waits");
            // If its wait was decided otherwise, its edges were only late to go.
            node.cell.decide(WaitEnd::Victim { detail: describe(&cycle) });
        }
    }

    /// A cycle through `start`, in order of waiting.
    fn cycle_through(&self, start: TxnId) -> Option<Vec<TxnId>> {
        let mut seen = BTreeSet::new();
        let mut path = vec![(start, 0)];
        while let Some((txn, next)) = path.last_mut() {
            let waits_for = self.waiters.get(txn).map_or(&[][..], |node| &node.waits_for);
            let Some(&target) = waits_for.get(*next) else {
                path.pop();
                continue;
            };
            *next += 1;
            if target == start {
                return Some(path.into_iter().map(|(txn, _)| txn).collect());
            }
            if seen.insert(target) {
                path.push((target, 0));
            }
        }
        None
    }
}

fn describe(cycle: &[TxnId]) -> String {
    let mut text = String::new();
    for (index, waiter) in cycle.iter().enumerate() {
        let holder = cycle[(index + 1) % cycle.len()];
        let space = if index == 0 { "" } else { " " };
        write!(text, "{space}Transaction {} waits for transaction {}.", waiter.0, holder.0)
            .expect("a string takes everything");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_youngest_of_the_cycle_goes() {
        let mut graph = WaitGraph::default();
        let cells: Vec<Arc<WaitCell>> = (0..5).map(|_| Arc::default()).collect();
        let mut wait = |from: u64, to: &[u64]| {
            let to = to.iter().copied().map(TxnId).collect();
            graph.set(TxnId(from), to, &cells[from as usize]);
            graph.break_cycles_through(TxnId(from));
        };
        wait(3, &[1]);
        wait(4, &[3, 2]);
        wait(2, &[9, 3]);
        assert!(cells.iter().all(|cell| !cell.is_decided()));
        wait(1, &[2]);
        let decided: Vec<bool> = cells.iter().map(|cell| cell.is_decided()).collect();
        assert_eq!(decided, [false, false, false, true, false]);
    }
}
