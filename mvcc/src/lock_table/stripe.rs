//! One stripe: holders of keys, ranges and objects, and the queue of those who wait.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use driftdb_concurrency::{CancelToken, LockMode, LockObject, LockStrength};
use driftdb_env::sometimes;
use driftdb_storage::{KeyRange, KeyspaceId};

use super::deadlock::WaitGraph;
use super::object::{ModeSet, ObjectHolder};
use super::party::{Party, Who};
use super::waiter::{Decided, WaitCell, WaitEnd};
use super::{Held, OwnedRange, Target};
use crate::write_set::is_inverted;

/// What ranges are held in: they are only ever read.
const RANGE_STRENGTH: LockStrength = LockStrength::Share;

/// What a request is about, with its own bytes.
#[derive(Debug, Clone)]
pub(super) enum Wanted {
    Key { space: KeyspaceId, key: Arc<[u8]>, strength: LockStrength },
    Range { space: KeyspaceId, range: OwnedRange },
    Object { object: LockObject, mode: LockMode },
}

/// A lock asked for.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) who: Who,
    pub(super) wanted: Wanted,
}

impl Request {
    pub(super) fn new(
        who: Who,
        space: KeyspaceId,
        target: &Target<'_>,
        strength: LockStrength,
    ) -> Self {
        let wanted = match target {
            Target::Key(key) => Wanted::Key { space, key: (*key).into(), strength },
            Target::Range(range) => Wanted::Range { space, range: OwnedRange::new(range) },
        };
        Self { who, wanted }
    }

    /// `before` is how strongly a key was held before.
    pub(super) fn into_held(self, before: Option<LockStrength>) -> Held {
        match self.wanted {
            Wanted::Key { space, key, .. } => Held::Key { space, key, before },
            Wanted::Range { space, .. } => Held::Ranges { space },
            Wanted::Object { object, mode } => Held::Object { object, mode },
        }
    }

    fn conflicts_with(&self, other: &Self) -> bool {
        self.who.party != other.who.party
            && match (&self.wanted, &other.wanted) {
                (
                    Wanted::Key { space, key, strength },
                    Wanted::Key { space: other_space, key: other_key, strength: other },
                ) => space == other_space && strength.conflicts_with(*other) && key == other_key,
                (
                    Wanted::Key { space, key, strength },
                    Wanted::Range { space: other_space, range },
                )
                | (
                    Wanted::Range { space: other_space, range },
                    Wanted::Key { space, key, strength },
                ) => {
                    space == other_space
                        && strength.conflicts_with(RANGE_STRENGTH)
                        && range.as_range().contains(key)
                }
                (
                    Wanted::Object { object, mode },
                    Wanted::Object { object: other_object, mode: other },
                ) => object == other_object && mode.conflicts_with(*other),
                _ => false,
            }
    }

    /// Whether everybody on this key who conflicts with `other` conflicts with this, too: the modes of
    /// rows conflict the more the stronger they are.
    fn conflicts_where(&self, other: &Self) -> bool {
        match (&self.wanted, &other.wanted) {
            (Wanted::Key { strength, .. }, Wanted::Key { strength: other, .. }) => {
                strength >= other
            }
            _ => false,
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Holder {
    pub(super) who: Who,
    pub(super) strength: LockStrength,
}

/// The holders of one key. Nearly always there is one: it needs no list of its own.
#[derive(Debug)]
pub(super) struct Holders {
    first: Holder,
    more: Vec<Holder>,
}

impl Holders {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Holder> {
        std::iter::once(&self.first).chain(&self.more)
    }

    fn of(&mut self, who: Who) -> Option<&mut Holder> {
        std::iter::once(&mut self.first).chain(&mut self.more).find(|holder| holder.who == who)
    }

    /// Removes a holder; true if none is left.
    fn remove(&mut self, who: Who) -> bool {
        self.more.retain(|holder| holder.who != who);
        if self.first.who == who {
            match self.more.pop() {
                Some(holder) => self.first = holder,
                None => return true,
            }
        }
        false
    }
}

#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) request: Request,
    is_upgrade: bool,
    cancel: CancelToken,
    cell: Arc<WaitCell>,
    /// When it began, since 1970.
    pub(super) since: Duration,
}

/// Part of the table.
#[derive(Debug, Default)]
pub(super) struct Stripe {
    pub(super) keys: BTreeMap<KeyspaceId, BTreeMap<Arc<[u8]>, Holders>>,
    /// Who holds every key of a keyspace; in each stripe that has keys of it.
    pub(super) wholes: BTreeMap<KeyspaceId, Vec<Holder>>,
    pub(super) ranges: BTreeMap<KeyspaceId, BTreeMap<Who, Vec<OwnedRange>>>,
    pub(super) objects: BTreeMap<LockObject, Vec<ObjectHolder>>,
    /// Upgrades first; otherwise in order of arrival.
    pub(super) queue: Vec<Waiting>,
}

impl Stripe {
    pub(super) fn has_waiters(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Whether this is held already, as strongly.
    pub(super) fn holds(
        &self,
        who: Who,
        space: KeyspaceId,
        target: &Target<'_>,
        strength: LockStrength,
    ) -> bool {
        let in_ranges = |range: &KeyRange<'_>| {
            let ranges = self.ranges.get(&space).and_then(|ranges| ranges.get(&who));
            ranges.is_some_and(|ranges| ranges.iter().any(|held| held.covers(range)))
        };
        match target {
            Target::Range(range) => is_inverted(range) || in_ranges(range),
            Target::Key(key) => {
                let holders = self.holders(space, key);
                let held = holders.into_iter().flat_map(Holders::iter);
                held.chain(self.wholes(space))
                    .any(|holder| holder.who == who && holder.strength >= strength)
                    || strength <= RANGE_STRENGTH && in_ranges(&only(key))
            }
        }
    }

    /// Whether an object is held already in this mode.
    pub(super) fn holds_object(&self, who: Who, object: LockObject, mode: LockMode) -> bool {
        let mut holders = self.objects.get(&object).into_iter().flatten();
        holders.any(|holder| holder.who == who && holder.modes.has(mode))
    }

    /// Whether a new request may be granted at once, passing those who wait or not.
    pub(super) fn is_free(&self, request: &Request, passes: bool) -> bool {
        let ahead = match passes {
            true => 0,
            false if self.is_upgrade(request) => self.upgrade_count(),
            false => self.queue.len(),
        };
        self.blockers(request, ahead).is_empty()
    }

    /// Records a lock. Tells how strongly a key was held before.
    pub(super) fn grant(&mut self, request: &Request) -> Option<LockStrength> {
        let who = request.who;
        match &request.wanted {
            Wanted::Range { space, range } => {
                let ranges = self.ranges.entry(*space).or_default().entry(who).or_default();
                OwnedRange::add(ranges, &range.as_range());
                None
            }
            Wanted::Object { object, mode } => {
                let holders = self.objects.entry(*object).or_default();
                match holders.iter_mut().find(|holder| holder.who == who) {
                    Some(holder) => holder.modes.add(*mode),
                    None => holders.push(ObjectHolder { who, modes: ModeSet::of(*mode) }),
                }
                None
            }
            Wanted::Key { space, key, strength } => {
                let holder = Holder { who, strength: *strength };
                let keys = self.keys.entry(*space).or_default();
                let Some(holders) = keys.get_mut(key) else {
                    keys.insert(Arc::clone(key), Holders { first: holder, more: Vec::new() });
                    return None;
                };
                let Some(held) = holders.of(who) else {
                    sometimes!("lock.shared");
                    holders.more.push(holder);
                    return None;
                };
                let before = held.strength;
                sometimes!("lock.held-more-strongly", *strength > before);
                held.strength = before.max(*strength);
                Some(before)
            }
        }
    }

    pub(super) fn enqueue(
        &mut self,
        request: Request,
        cancel: CancelToken,
        cell: Arc<WaitCell>,
        since: Duration,
    ) {
        let is_upgrade = self.is_upgrade(&request);
        let at = if is_upgrade { self.upgrade_count() } else { self.queue.len() };
        sometimes!("lock.queue-jumped", at < self.queue.len());
        sometimes!("lock.queue-of-many", self.queue.len() > 1);
        self.queue.insert(at, Waiting { request, is_upgrade, cancel, cell, since });
    }

    /// Takes a waiter out of the queue.
    pub(super) fn withdraw(&mut self, cell: &Arc<WaitCell>) {
        self.queue.retain(|waiting| !Arc::ptr_eq(&waiting.cell, cell));
    }

    /// Moves a waiter before those that it only queues behind; false if there are none.
    pub(super) fn promote(&mut self, party: Party) -> bool {
        let is_it = |waiting: &Waiting| waiting.request.who.party == party;
        let Some(from) = self.queue.iter().position(is_it) else { return false };
        let request = &self.queue[from].request;
        let mut ahead = self.queue[..from].iter();
        let Some(to) = ahead.position(|other| other.request.conflicts_with(request)) else {
            return false;
        };
        let mut waiting = self.queue.remove(from);
        waiting.is_upgrade = to < self.upgrade_count();
        self.queue.insert(to, waiting);
        true
    }

    /// Gives a key back, or down to how it was held before.
    pub(super) fn release_key(
        &mut self,
        who: Who,
        space: KeyspaceId,
        key: &[u8],
        before: Option<LockStrength>,
    ) {
        let Some(keys) = self.keys.get_mut(&space) else { return };
        let Some(holders) = keys.get_mut(key) else { return };
        if let (Some(before), Some(held)) = (before, holders.of(who)) {
            sometimes!("lock.given-back-down", held.strength > before);
            held.strength = before;
        } else if holders.remove(who) {
            keys.remove(key);
        }
    }

    pub(super) fn release_ranges(&mut self, who: Who, space: KeyspaceId) {
        if let Some(ranges) = self.ranges.get_mut(&space) {
            ranges.remove(&who);
        }
    }

    pub(super) fn release_object(&mut self, who: Who, object: LockObject, mode: LockMode) {
        let Some(holders) = self.objects.get_mut(&object) else { return };
        if let Some(holder) = holders.iter_mut().find(|holder| holder.who == who) {
            holder.modes.remove(mode);
        }
        holders.retain(|holder| !holder.modes.is_empty());
        if holders.is_empty() {
            self.objects.remove(&object);
        }
    }

    /// Grants every waiter that nobody blocks any more, to be woken later, and records the edges of the
    /// others. Returns those that got new ones.
    pub(super) fn settle(&mut self, graph: &mut WaitGraph, decided: &mut Decided) -> Vec<Party> {
        let mut suspects = Vec::new();
        let mut index = 0;
        while index < self.queue.len() {
            let Waiting { request, cancel, cell, .. } = &self.queue[index];
            if cell.is_decided() {
                // A victim that has not withdrawn yet.
                sometimes!("lock.victim-still-in-the-queue");
                index += 1;
                continue;
            }
            let blockers = self.blockers(request, index);
            if !blockers.is_empty() {
                if graph.set(request, blockers, cancel, cell) {
                    suspects.push(request.who.party);
                }
                index += 1;
                continue;
            }
            // The edges go first: once decided, the waiter may run on and wait elsewhere.
            graph.remove(request.who.party);
            let waiting = self.queue.remove(index);
            let before = self.strength_of(&waiting.request);
            if waiting.cell.decide(WaitEnd::Granted { before }) {
                self.grant(&waiting.request);
                decided.push(waiting.cell);
            }
        }
        suspects
    }

    /// How strongly the requester holds the key that it asks for.
    fn strength_of(&self, request: &Request) -> Option<LockStrength> {
        let Wanted::Key { space, key, .. } = &request.wanted else { return None };
        let mut holders = self.holders(*space, key)?.iter();
        holders.find(|holder| holder.who == request.who).map(|holder| holder.strength)
    }

    /// Who stands in the way of a request that has `ahead` waiters before it.
    fn blockers(&self, request: &Request, ahead: usize) -> Vec<Who> {
        let mut blockers = Vec::new();
        for waiting in self.queue[..ahead].iter().rev() {
            if !waiting.request.conflicts_with(request) {
                continue;
            }
            blockers.push(waiting.request.who);
            if waiting.request.conflicts_where(request) {
                // It waits itself for everyone before it on this key: naming it names them. All who wait
                // for one row would else name each other, and settling a queue take their cube.
                return blockers;
            }
        }
        match &request.wanted {
            Wanted::Key { space, key, strength } => {
                let holders = self.holders(*space, key);
                let holders = holders.into_iter().flat_map(Holders::iter);
                let holders = holders.chain(self.wholes(*space));
                add_holders(request.who, *strength, holders, &mut blockers);
                if strength.conflicts_with(RANGE_STRENGTH) {
                    self.add_ranges(request.who, *space, key, &mut blockers);
                }
            }
            Wanted::Range { space, range } => {
                let range = range.as_range();
                let keys = self.keys.get(space);
                let keys = keys.into_iter().flat_map(|keys| {
                    keys.range::<[u8], _>((range.start, range.end)).map(|(_, holders)| holders)
                });
                let holders = keys.flat_map(Holders::iter).chain(self.wholes(*space));
                add_holders(request.who, RANGE_STRENGTH, holders, &mut blockers);
            }
            Wanted::Object { object, mode } => {
                for holder in self.objects.get(object).into_iter().flatten() {
                    if holder.who.party != request.who.party && holder.modes.conflicts_with(*mode) {
                        add(holder.who, &mut blockers);
                    }
                }
            }
        }
        blockers
    }

    fn add_ranges(&self, who: Who, space: KeyspaceId, key: &[u8], blockers: &mut Vec<Who>) {
        for (holder, ranges) in self.ranges.get(&space).into_iter().flatten() {
            if holder.party != who.party
                && ranges.iter().any(|range| range.as_range().contains(key))
            {
                add(*holder, blockers);
            }
        }
    }

    fn wholes(&self, space: KeyspaceId) -> &[Holder] {
        self.wholes.get(&space).map_or(&[], Vec::as_slice)
    }

    /// Whether anybody else stands in the way of holding every key of a keyspace.
    pub(super) fn is_contested(&self, who: Who, space: KeyspaceId, strength: LockStrength) -> bool {
        let keys = self.keys.get(&space).into_iter().flat_map(BTreeMap::values);
        let mut holders = keys.flat_map(Holders::iter).chain(self.wholes(space));
        let is_in_the_way = |holder: &Holder| {
            holder.who.party != who.party && holder.strength.conflicts_with(strength)
        };
        let mut ranges = self.ranges.get(&space).into_iter().flat_map(BTreeMap::keys);
        holders.any(is_in_the_way)
            || strength.conflicts_with(RANGE_STRENGTH) && ranges.any(|it| it.party != who.party)
    }

    /// How strongly a side holds the key that it holds most strongly.
    pub(super) fn strongest(&self, who: Who, space: KeyspaceId) -> Option<LockStrength> {
        let keys = self.keys.get(&space).into_iter().flat_map(BTreeMap::values);
        let own = keys.flat_map(Holders::iter).filter(|holder| holder.who == who);
        own.map(|holder| holder.strength).max()
    }

    /// Records that every key of a keyspace is held, in place of those held singly.
    pub(super) fn grant_whole(&mut self, who: Who, space: KeyspaceId, strength: LockStrength) {
        if let Some(keys) = self.keys.get_mut(&space) {
            keys.retain(|_, holders| !holders.remove(who));
            if keys.is_empty() {
                self.keys.remove(&space);
            }
        }
        let holders = self.wholes.entry(space).or_default();
        match holders.iter_mut().find(|holder| holder.who == who) {
            Some(holder) => holder.strength = holder.strength.max(strength),
            None => holders.push(Holder { who, strength }),
        }
    }

    pub(super) fn release_whole(&mut self, who: Who, space: KeyspaceId) {
        if let Some(holders) = self.wholes.get_mut(&space) {
            holders.retain(|holder| holder.who != who);
            if holders.is_empty() {
                self.wholes.remove(&space);
            }
        }
    }

    fn holders(&self, space: KeyspaceId, key: &[u8]) -> Option<&Holders> {
        self.keys.get(&space)?.get(key)
    }

    /// Whether the requester holds part of this already. Then those in the queue wait for it, and it
    /// must not wait behind them.
    fn is_upgrade(&self, request: &Request) -> bool {
        let who = request.who;
        let is_own = |holders: &Holders| holders.iter().any(|holder| holder.who == who);
        match &request.wanted {
            Wanted::Key { space, key, .. } => {
                let ranges = self.ranges.get(space);
                let own = ranges.and_then(|ranges| ranges.get(&who)).into_iter();
                self.holders(*space, key).is_some_and(is_own)
                    || self.wholes(*space).iter().any(|holder| holder.who == who)
                    || own.flatten().any(|range| range.as_range().contains(key))
            }
            Wanted::Range { space, range } => {
                let range = range.as_range();
                let bounds = (range.start, range.end);
                let keys = self.keys.get(space).into_iter();
                let mut held = keys.flat_map(|keys| keys.range::<[u8], _>(bounds));
                held.any(|(_, holders)| is_own(holders))
                    || self.wholes(*space).iter().any(|holder| holder.who == who)
            }
            Wanted::Object { object, .. } => {
                // As PostgreSQL: only if somebody in the queue waits for what is held.
                let own = |holder: &&ObjectHolder| holder.who.party == who.party;
                let mut held = self.objects.get(object).into_iter().flatten().filter(own);
                held.any(|holder| {
                    self.queue.iter().any(|waiting| waits_for(waiting, *object, holder))
                })
            }
        }
    }

    fn upgrade_count(&self) -> usize {
        self.queue.iter().take_while(|waiting| waiting.is_upgrade).count()
    }
}

fn waits_for(waiting: &Waiting, object: LockObject, holder: &ObjectHolder) -> bool {
    match waiting.request.wanted {
        Wanted::Object { object: wanted, mode } => {
            wanted == object && holder.modes.conflicts_with(mode)
        }
        _ => false,
    }
}

fn add(who: Who, blockers: &mut Vec<Who>) {
    if !blockers.contains(&who) {
        blockers.push(who);
    }
}

fn add_holders<'a>(
    who: Who,
    strength: LockStrength,
    holders: impl Iterator<Item = &'a Holder>,
    blockers: &mut Vec<Who>,
) {
    for holder in holders {
        if holder.who.party != who.party && holder.strength.conflicts_with(strength) {
            add(holder.who, blockers);
        }
    }
}

/// The range that holds one key.
fn only(key: &[u8]) -> KeyRange<'_> {
    use std::ops::Bound::Included;
    KeyRange { start: Included(key), end: Included(key) }
}
