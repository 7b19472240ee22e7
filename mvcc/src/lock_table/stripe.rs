//! One stripe: holders of keys and ranges, and the queue of those who wait.

use std::collections::BTreeMap;
use std::sync::Arc;

use driftdb_concurrency::{LockStrength, TxnId};
use driftdb_storage::{KeyRange, KeyspaceId};

use super::deadlock::WaitGraph;
use super::waiter::{WaitCell, WaitEnd};
use super::{Held, OwnedRange, Target};
use crate::write_set::is_inverted;

/// What ranges are held in: they are only ever read.
const RANGE_STRENGTH: LockStrength = LockStrength::Share;

/// A target with its own bytes.
#[derive(Debug, Clone)]
pub(super) enum OwnedTarget {
    Key(Arc<[u8]>),
    Range(OwnedRange),
}

impl OwnedTarget {
    pub(super) fn as_target(&self) -> Target<'_> {
        match self {
            Self::Key(key) => Target::Key(key),
            Self::Range(range) => Target::Range(range.as_range()),
        }
    }
}

/// A lock asked for.
#[derive(Debug, Clone)]
pub(super) struct Request {
    txn: TxnId,
    pub(super) space: KeyspaceId,
    pub(super) target: OwnedTarget,
    strength: LockStrength,
}

impl Request {
    pub(super) fn new(
        txn: TxnId,
        space: KeyspaceId,
        target: &Target<'_>,
        strength: LockStrength,
    ) -> Self {
        let target = match target {
            Target::Key(key) => OwnedTarget::Key((*key).into()),
            Target::Range(range) => OwnedTarget::Range(OwnedRange::new(range)),
        };
        Self { txn, space, target, strength }
    }

    pub(super) fn into_held(self) -> Held {
        let Self { space, strength, .. } = self;
        match self.target {
            OwnedTarget::Key(key) => Held::Key { space, key, strength },
            OwnedTarget::Range(_) => Held::Ranges { space },
        }
    }

    fn conflicts_with(&self, other: &Self) -> bool {
        self.txn != other.txn
            && self.space == other.space
            && self.strength.conflicts_with(other.strength)
            && match (&self.target, &other.target) {
                (OwnedTarget::Key(mine), OwnedTarget::Key(theirs)) => mine == theirs,
                (OwnedTarget::Key(key), OwnedTarget::Range(range))
                | (OwnedTarget::Range(range), OwnedTarget::Key(key)) => {
                    range.as_range().contains(key)
                }
                (OwnedTarget::Range(_), OwnedTarget::Range(_)) => false,
            }
    }
}

#[derive(Debug, Clone, Copy)]
struct Holder {
    txn: TxnId,
    strength: LockStrength,
}

/// The holders of one key. Nearly always there is one: it needs no list of its own.
#[derive(Debug)]
struct Holders {
    first: Holder,
    more: Vec<Holder>,
}

impl Holders {
    fn iter(&self) -> impl Iterator<Item = &Holder> {
        std::iter::once(&self.first).chain(&self.more)
    }

    fn of(&mut self, txn: TxnId) -> Option<&mut Holder> {
        std::iter::once(&mut self.first).chain(&mut self.more).find(|holder| holder.txn == txn)
    }

    /// Removes a holder; true if none is left.
    fn remove(&mut self, txn: TxnId) -> bool {
        self.more.retain(|holder| holder.txn != txn);
        if self.first.txn == txn {
            match self.more.pop() {
                Some(holder) => self.first = holder,
                None => return true,
            }
        }
        false
    }
}

#[derive(Debug)]
struct Waiting {
    request: Request,
    is_upgrade: bool,
    cell: Arc<WaitCell>,
}

/// Part of the table.
#[derive(Debug, Default)]
pub(super) struct Stripe {
    keys: BTreeMap<KeyspaceId, BTreeMap<Arc<[u8]>, Holders>>,
    ranges: BTreeMap<KeyspaceId, BTreeMap<TxnId, Vec<OwnedRange>>>,
    /// Upgrades first; otherwise in order of arrival.
    queue: Vec<Waiting>,
}

impl Stripe {
    pub(super) fn has_waiters(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Whether a transaction holds this already, as strongly.
    pub(super) fn holds(
        &self,
        txn: TxnId,
        space: KeyspaceId,
        target: &Target<'_>,
        strength: LockStrength,
    ) -> bool {
        let in_ranges = |range: &KeyRange<'_>| {
            let ranges = self.ranges.get(&space).and_then(|ranges| ranges.get(&txn));
            ranges.is_some_and(|ranges| ranges.iter().any(|held| held.covers(range)))
        };
        match target {
            Target::Range(range) => is_inverted(range) || in_ranges(range),
            Target::Key(key) => {
                let holders = self.holders(space, key);
                let mut held = holders.into_iter().flat_map(Holders::iter);
                held.any(|holder| holder.txn == txn && holder.strength >= strength)
                    || strength <= RANGE_STRENGTH && in_ranges(&only(key))
            }
        }
    }

    /// Whether a new request may be granted at once.
    pub(super) fn is_free(&self, request: &Request) -> bool {
        let ahead = if self.is_upgrade(request) { self.upgrade_count() } else { self.queue.len() };
        self.blockers(request, ahead).is_empty()
    }

    /// Records a lock.
    pub(super) fn grant(&mut self, request: &Request) {
        let Request { txn, space, strength, .. } = *request;
        match &request.target {
            OwnedTarget::Range(range) => {
                let ranges = self.ranges.entry(space).or_default().entry(txn).or_default();
                OwnedRange::add(ranges, &range.as_range());
            }
            OwnedTarget::Key(key) => {
                let holder = Holder { txn, strength };
                match self.keys.entry(space).or_default().get_mut(key) {
                    None => {
                        let holders = Holders { first: holder, more: Vec::new() };
                        self.keys.entry(space).or_default().insert(Arc::clone(key), holders);
                    }
                    Some(holders) => match holders.of(txn) {
                        Some(held) => held.strength = held.strength.max(strength),
                        None => holders.more.push(holder),
                    },
                }
            }
        }
    }

    pub(super) fn enqueue(&mut self, request: Request, cell: Arc<WaitCell>) {
        let is_upgrade = self.is_upgrade(&request);
        let at = if is_upgrade { self.upgrade_count() } else { self.queue.len() };
        self.queue.insert(at, Waiting { request, is_upgrade, cell });
    }

    /// Takes a waiter out of the queue.
    pub(super) fn withdraw(&mut self, cell: &Arc<WaitCell>) {
        self.queue.retain(|waiting| !Arc::ptr_eq(&waiting.cell, cell));
    }

    pub(super) fn release_key(&mut self, txn: TxnId, space: KeyspaceId, key: &[u8]) {
        // A key that was upgraded is held once and released as often as it was taken.
        let Some(keys) = self.keys.get_mut(&space) else { return };
        if keys.get_mut(key).is_some_and(|holders| holders.remove(txn)) {
            keys.remove(key);
        }
    }

    pub(super) fn release_ranges(&mut self, txn: TxnId, space: KeyspaceId) {
        if let Some(ranges) = self.ranges.get_mut(&space) {
            ranges.remove(&txn);
        }
    }

    /// Grants every waiter that nobody blocks any more and records the edges of the others.
    /// Returns those that got new ones.
    pub(super) fn settle(&mut self, graph: &mut WaitGraph) -> Vec<TxnId> {
        let mut suspects = Vec::new();
        let mut index = 0;
        while index < self.queue.len() {
            let Waiting { request, cell, .. } = &self.queue[index];
            if cell.is_decided() {
                // A victim that has not withdrawn yet.
                index += 1;
                continue;
            }
            let blockers = self.blockers(request, index);
            if !blockers.is_empty() {
                if graph.set(request.txn, blockers, cell) {
                    suspects.push(request.txn);
                }
                index += 1;
                continue;
            }
            // The edges go first: once decided, the waiter may run on and wait elsewhere.
            graph.remove(request.txn);
            let was_first = cell.decide(WaitEnd::Granted);
            let waiting = self.queue.remove(index);
            if was_first {
                self.grant(&waiting.request);
            }
        }
        suspects
    }

    /// Who stands in the way of a request that has `ahead` waiters before it.
    fn blockers(&self, request: &Request, ahead: usize) -> Vec<TxnId> {
        let mut blockers = Vec::new();
        for waiting in self.queue[..ahead].iter().rev() {
            if !waiting.request.conflicts_with(request) {
                continue;
            }
            blockers.push(waiting.request.txn);
            if waiting.request.strength == LockStrength::Update && is_key(request) {
                // It waits itself for everyone before it on this key: naming it names them.
                return blockers;
            }
        }
        match &request.target {
            OwnedTarget::Key(key) => {
                let holders = self.holders(request.space, key);
                self.add_holders(
                    request,
                    holders.into_iter().flat_map(Holders::iter),
                    &mut blockers,
                );
                self.add_ranges(request, key, &mut blockers);
            }
            OwnedTarget::Range(range) => {
                let range = range.as_range();
                let keys = self.keys.get(&request.space);
                let keys = keys.into_iter().flat_map(|keys| {
                    keys.range::<[u8], _>((range.start, range.end)).map(|(_, holders)| holders)
                });
                self.add_holders(request, keys.flat_map(Holders::iter), &mut blockers);
            }
        }
        blockers
    }

    fn add_holders<'a>(
        &self,
        request: &Request,
        holders: impl Iterator<Item = &'a Holder>,
        blockers: &mut Vec<TxnId>,
    ) {
        for holder in holders {
            if holder.txn != request.txn
                && holder.strength.conflicts_with(request.strength)
                && !blockers.contains(&holder.txn)
            {
                blockers.push(holder.txn);
            }
        }
    }

    fn add_ranges(&self, request: &Request, key: &[u8], blockers: &mut Vec<TxnId>) {
        if !request.strength.conflicts_with(RANGE_STRENGTH) {
            return;
        }
        for (txn, ranges) in self.ranges.get(&request.space).into_iter().flatten() {
            if *txn != request.txn
                && ranges.iter().any(|range| range.as_range().contains(key))
                && !blockers.contains(txn)
            {
                blockers.push(*txn);
            }
        }
    }

    fn holders(&self, space: KeyspaceId, key: &[u8]) -> Option<&Holders> {
        self.keys.get(&space)?.get(key)
    }

    /// Whether the requester holds part of this already. Then those in the queue wait for it, and it
    /// must not wait behind them.
    fn is_upgrade(&self, request: &Request) -> bool {
        let keys = self.keys.get(&request.space);
        let is_own = |holders: &Holders| holders.iter().any(|holder| holder.txn == request.txn);
        match &request.target {
            OwnedTarget::Key(key) => {
                let ranges = self.ranges.get(&request.space);
                let own = ranges.and_then(|ranges| ranges.get(&request.txn)).into_iter();
                keys.and_then(|keys| keys.get(key)).is_some_and(is_own)
                    || own.flatten().any(|range| range.as_range().contains(key))
            }
            OwnedTarget::Range(range) => {
                let range = range.as_range();
                let bounds = (range.start, range.end);
                let mut held = keys.into_iter().flat_map(|keys| keys.range::<[u8], _>(bounds));
                held.any(|(_, holders)| is_own(holders))
            }
        }
    }

    fn upgrade_count(&self) -> usize {
        self.queue.iter().take_while(|waiting| waiting.is_upgrade).count()
    }
}

fn is_key(request: &Request) -> bool {
    matches!(request.target, OwnedTarget::Key(_))
}

/// The range that holds one key.
fn only(key: &[u8]) -> KeyRange<'_> {
    use std::ops::Bound::Included;
    KeyRange { start: Included(key), end: Included(key) }
}
