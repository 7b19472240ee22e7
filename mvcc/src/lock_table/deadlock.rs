//! Deadlock detection by a wait-for graph.
//!
//! Each waiter has edges to those it waits for. The search starts at a waiter whose edges have just
//! changed: an older cycle would have been found when its last edge was added. The victim is the
//! youngest of the cycle (the largest identity), which has the least to lose [Agrawal87].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Arc;

use driftdb_concurrency::{CancelToken, TxnId, WaitEntry};
use driftdb_env::{planted, sometimes};

use super::party::{Party, Who};
use super::stripe::{Request, Wanted};
use super::waiter::{Decided, WaitCell, WaitEnd};

/// Who waits for whom.
#[derive(Debug, Default)]
pub(super) struct WaitGraph {
    waiters: BTreeMap<Party, Node>,
}

#[derive(Debug)]
struct Node {
    request: Request,
    waits_for: Vec<Who>,
    cancel: CancelToken,
    cell: Arc<WaitCell>,
}

impl WaitGraph {
    /// Sets the edges of a waiter; true if any was added.
    pub(super) fn set(
        &mut self,
        request: &Request,
        waits_for: Vec<Who>,
        cancel: &CancelToken,
        cell: &Arc<WaitCell>,
    ) -> bool {
        let Some(node) = self.waiters.get_mut(&request.who.party) else {
            let node = Node {
                request: request.clone(),
                waits_for,
                cancel: cancel.clone(),
                cell: Arc::clone(cell),
            };
            self.waiters.insert(request.who.party, node);
            return true;
        };
        let knows = |who: &Who| node.waits_for.iter().any(|known| known.party == who.party);
        let has_new = !waits_for.iter().all(knows);
        node.waits_for = waits_for;
        has_new
    }

    /// Removes a waiter.
    pub(super) fn remove(&mut self, waiter: Party) {
        self.waiters.remove(&waiter);
    }

    /// The sessions that a party waits for.
    pub(super) fn blockers(&self, waiter: Party) -> Vec<i32> {
        let Some(node) = self.waiters.get(&waiter) else { return Vec::new() };
        let mut sessions: Vec<i32> =
            node.waits_for.iter().filter_map(|who| who.party.session()).collect();
        sessions.sort_unstable();
        sessions.dedup();
        sessions
    }

    /// Every wait of a transaction.
    pub(super) fn waits(&self) -> Vec<WaitEntry> {
        let entry = |node: &Node| {
            Some(WaitEntry {
                session: node.request.who.party.session(),
                txn: node.request.who.txn?,
                thing: node.request.wanted.thing(),
                statement: node.cancel.activity(),
                blockers: node.waits_for.iter().map(|who| (who.party.session(), who.txn)).collect(),
            })
        };
        self.waiters.values().filter_map(entry).collect()
    }

    /// Whether a waiter waits for itself.
    pub(super) fn is_in_cycle(&self, suspect: Party) -> bool {
        self.cycle_through(suspect).is_some()
    }

    /// Ends the youngest waiter of each cycle that goes through `suspect`.
    pub(super) fn break_cycles_through(&mut self, suspect: Party, decided: &mut Decided) {
        while let Some(cycle) = self.cycle_through(suspect) {
            let age = |party: &Party| self.waiters.get(party).map(|node| node.request.who.txn);
            let victim = *cycle.iter().max_by_key(|party| age(party)).expect("never empty");
            sometimes!("lock.deadlock");
            sometimes!("lock.deadlock-of-three", cycle.len() > 2);
            let detail = self.describe(&cycle, victim);
            let node = self.waiters.remove(&victim).expect("who is in a cycle waits");
            // If its wait was decided otherwise, its edges were only late to go.
            if node.cell.decide(WaitEnd::Victim { detail }) {
                decided.push(node.cell);
            }
        }
    }

    /// A cycle through `start`, in order of waiting.
    fn cycle_through(&self, start: Party) -> Option<Vec<Party>> {
        let mut seen = BTreeSet::new();
        let mut path = vec![(start, 0)];
        while let Some((party, next)) = path.last_mut() {
            let waits_for = self.waiters.get(party).map_or(&[][..], |node| &node.waits_for);
            let Some(target) = waits_for.get(*next).map(|who| who.party) else {
                path.pop();
                continue;
            };
            *next += 1;
            if target == start {
                return Some(path.into_iter().map(|(party, _)| party).collect());
            }
            let is_short = path.len() > 1 && planted!("lock.deadlock-of-two-only");
            if seen.insert(target) && !is_short {
                path.push((target, 0));
            }
        }
        None
    }

    /// PostgreSQL's words, from the victim's point of view; then what each side runs.
    fn describe(&self, cycle: &[Party], victim: Party) -> String {
        let from = cycle.iter().position(|party| *party == victim).unwrap_or(0);
        let ring: Vec<Party> = cycle[from..].iter().chain(&cycle[..from]).copied().collect();
        let mut text = String::new();
        for (index, waiter) in ring.iter().enumerate() {
            let holder = ring[(index + 1) % ring.len()];
            let Some(node) = self.waiters.get(waiter) else { continue };
            let txn = node.waits_for.iter().find(|who| who.party == holder).and_then(|who| who.txn);
            let wanted = wanted(&node.request.wanted, txn);
            let line = if text.is_empty() { "" } else { "\n" };
            let (waiter, holder) = (named(*waiter), named(holder));
            let (head, tail) = waiter.split_at(1);
            let waiter = head.to_uppercase() + tail;
            write!(text, "{line}{waiter} waits for {wanted}; blocked by {holder}.")
                .expect("a string takes everything");
        }
        for party in &ring {
            let Some(statement) = self.waiters.get(party).and_then(|node| node.cancel.activity())
            else {
                continue;
            };
            let name = named(*party);
            write!(text, "\n{}{}: {statement}", name[..1].to_uppercase(), &name[1..])
                .expect("a string takes everything");
        }
        text
    }
}

fn named(party: Party) -> String {
    match party {
        Party::Session(session) => format!("process {session}"),
        Party::Txn(txn) => format!("transaction {}", txn.0),
    }
}

/// What is waited for. A key is waited for until its holder's transaction ends.
fn wanted(wanted: &Wanted, holder: Option<TxnId>) -> String {
    match wanted {
        Wanted::Object { object, mode } => format!("{} on {object}", mode.pg_name()),
        Wanted::Key { .. } | Wanted::Range { .. } => {
            format!("ShareLock on transaction {}", holder.map_or(0, |txn| txn.0))
        }
    }
}

#[cfg(test)]
mod tests {
    use driftdb_concurrency::{LockMode, LockObject};

    use super::*;

    fn who(id: u64) -> Who {
        Who { party: Party::Txn(TxnId(id)), txn: Some(TxnId(id)) }
    }

    #[test]
    fn the_youngest_of_the_cycle_goes() {
        let mut graph = WaitGraph::default();
        let cells: Vec<Arc<WaitCell>> = (0..5).map(|_| Arc::default()).collect();
        let mut wait = |from: u64, to: &[u64]| {
            let to = to.iter().copied().map(who).collect();
            let wanted = Wanted::Object { object: LockObject::Table(7), mode: LockMode::Share };
            let request = Request { who: who(from), wanted };
            graph.set(&request, to, &CancelToken::new(), &cells[from as usize]);
            graph.break_cycles_through(who(from).party, &mut Decided::default());
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
