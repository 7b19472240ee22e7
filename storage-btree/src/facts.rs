//! What is known about keyspaces: when each lived, and how far back its history still reaches.

use std::collections::BTreeMap;

use driftdb_storage::{
    KeyspaceId, Retention, RetentionPolicy, StorageError, Timestamp, read_varint, write_varint,
};

/// What the folds so far have left readable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct History {
    /// Every time from here on.
    floor: Timestamp,
    /// Single times before the floor: those pinned at every fold since, ascending.
    pins: Vec<Timestamp>,
}

impl History {
    fn covers(&self, ts: Timestamp) -> bool {
        ts >= self.floor || self.pins.binary_search(&ts).is_ok()
    }

    /// Whether some time within `low..high` can be read.
    fn covers_within(&self, low: Timestamp, high: Timestamp) -> bool {
        let first = self.pins.partition_point(|&pin| pin < low);
        high > self.floor || self.pins.get(first).is_some_and(|&pin| pin < high)
    }

    /// Narrows it to what `retention` promises as well.
    pub(crate) fn fold(&mut self, retention: &Retention) {
        let floor = self.floor.max(retention.keep_since);
        let mut pins = [&self.pins[..], &retention.pins].concat();
        pins.retain(|&pin| pin < floor && self.covers(pin) && retention.covers(pin));
        pins.sort_unstable();
        pins.dedup();
        *self = Self { floor, pins };
    }
}

/// One keyspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Keyspace {
    /// It exists from here on.
    pub(crate) created: Timestamp,
    /// It is gone from here on; `Timestamp::MAX` while it lives.
    pub(crate) dropped: Timestamp,
    /// What can still be read of it.
    pub(crate) history: History,
    /// What can still be found in history pages: as `history`, except that folds which keep a number
    /// of versions whatever their age free no pages. Durable with the catalogue of those pages.
    pub(crate) pages: History,
}

/// All keyspaces.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) keyspaces: BTreeMap<KeyspaceId, Keyspace>,
    /// The times at which no forgotten keyspace lived.
    pub(crate) forgotten: History,
}

impl Keyspace {
    fn lives_at(&self, ts: Timestamp) -> bool {
        self.created <= ts && ts < self.dropped
    }

    /// Whether no promised time can see the keyspace any more.
    fn is_forgettable(&self, retention: &Retention) -> bool {
        self.dropped <= retention.keep_since
            && !retention.pins.iter().any(|&pin| self.lives_at(pin))
    }
}

impl Facts {
    /// What a view that ends at `end` can see of them.
    pub(crate) fn list(&self, end: Timestamp) -> Vec<driftdb_storage::Keyspace> {
        let seen = self.keyspaces.iter().filter(|(_, known)| known.created <= end);
        seen.map(|(&id, known)| driftdb_storage::Keyspace {
            id,
            created: known.created,
            dropped: Some(known.dropped).filter(|&at| at <= end && at != Timestamp::MAX),
            kept: Retention {
                keep_since: known.history.floor,
                pins: known.history.pins.clone(),
                min_versions: 0,
            },
        })
        .collect()
    }

    /// Whether the keyspace can be written now.
    pub(crate) fn is_live(&self, space: KeyspaceId) -> bool {
        self.keyspaces.get(&space).is_some_and(|known| known.dropped == Timestamp::MAX)
    }

    pub(crate) fn create(&mut self, space: KeyspaceId, ts: Timestamp) {
        let (history, pages) = (History::default(), History::default());
        let known = Keyspace { created: ts, dropped: Timestamp::MAX, history, pages };
        self.keyspaces.insert(space, known);
    }

    /// Takes over a keyspace of another engine.
    pub(crate) fn load(&mut self, space: &driftdb_storage::Keyspace) {
        let history = History { floor: space.kept.keep_since, pins: space.kept.pins.clone() };
        let dropped = space.dropped.unwrap_or(Timestamp::MAX);
        let pages = history.clone();
        let known = Keyspace { created: space.created, dropped, history, pages };
        self.keyspaces.insert(space.id, known);
    }

    pub(crate) fn drop_at(&mut self, space: KeyspaceId, ts: Timestamp) {
        if let Some(known) = self.keyspaces.get_mut(&space) {
            known.dropped = ts;
        }
    }

    /// Whether `space` can be read as of `requested` by a view that ends at `end`.
    pub(crate) fn check(
        &self,
        policy: &RetentionPolicy,
        space: KeyspaceId,
        requested: Timestamp,
        end: Timestamp,
    ) -> Result<(), StorageError> {
        let at = requested.min(end);
        let known = self.keyspaces.get(&space);
        let readable = known.map_or(&self.forgotten, |known| &known.history);
        let lived = known.is_none_or(|known| known.lives_at(at));
        // Where it is known not to have lived, nothing was dropped by a fold.
        if !policy.of(space).covers(requested) || (lived && !readable.covers(requested)) {
            let oldest = self.oldest(policy, space);
            return Err(StorageError::SnapshotTooOld { requested, oldest });
        }
        if known.is_none() || !lived {
            return Err(StorageError::UnknownKeyspace { space, at });
        }
        Ok(())
    }

    /// Whether the versions of `space` after `after`, if that is given, can be listed by a view that
    /// ends at `end`. The history of a dropped keyspace can, as long as it is kept.
    pub(crate) fn check_history(
        &self,
        policy: &RetentionPolicy,
        space: KeyspaceId,
        after: Option<Timestamp>,
        end: Timestamp,
    ) -> Result<(), StorageError> {
        let oldest = self.oldest(policy, space);
        // A pin keeps one version, not the stretch after it.
        if let Some(requested) = after.filter(|after| *after < oldest) {
            return Err(StorageError::SnapshotTooOld { requested, oldest });
        }
        match self.keyspaces.get(&space) {
            Some(known) if known.created <= end => Ok(()),
            _ => Err(StorageError::UnknownKeyspace { space, at: end }),
        }
    }

    /// From here on every time can be read.
    fn oldest(&self, policy: &RetentionPolicy, space: KeyspaceId) -> Timestamp {
        let known = self.keyspaces.get(&space);
        let readable = known.map_or(&self.forgotten, |known| &known.history);
        readable.floor.max(policy.of(space).keep_since)
    }

    /// Whether folding by `policy` would change anything here.
    pub(crate) fn folded(&self, policy: &RetentionPolicy) -> Self {
        let mut folded = self.clone();
        for (space, known) in &mut folded.keyspaces {
            let retention = policy.of(*space);
            known.history.fold(retention);
            if retention.min_versions == 0 {
                known.pages.fold(retention);
            }
        }
        folded
    }

    /// Keyspaces of which nothing promised is left.
    pub(crate) fn forgettable(&self, policy: &RetentionPolicy) -> Vec<KeyspaceId> {
        let gone = |space, known: &Keyspace| known.is_forgettable(policy.of(space));
        self.keyspaces.iter().filter(|(s, k)| gone(**s, k)).map(|(s, _)| *s).collect()
    }

    /// Forgets a keyspace whose versions are all gone, as `retention` does not need them.
    pub(crate) fn forget(&mut self, space: KeyspaceId, retention: &Retention) {
        if let Some(known) = self.keyspaces.remove(&space) {
            let pins = retention.pins.clone();
            self.forgotten.fold(&Retention { pins, ..Retention::since(known.dropped) });
        }
    }

    /// Whether nothing of `space` from `low` on and before `high` is promised to anyone, so that its
    /// pages may be gone.
    pub(crate) fn is_dead(&self, space: KeyspaceId, low: Timestamp, high: Timestamp) -> bool {
        self.keyspaces.get(&space).is_none_or(|known| !known.pages.covers_within(low, high))
    }

    /// Whether the same history pages are live by both.
    pub(crate) fn same_pages(&self, other: &Self) -> bool {
        let reach = |facts: &Self| -> Vec<(KeyspaceId, History)> {
            let moved =
                facts.keyspaces.iter().filter(|(_, known)| known.pages != History::default());
            moved.map(|(space, known)| (*space, known.pages.clone())).collect()
        };
        reach(self) == reach(other)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.forgotten.encode(&mut out);
        write_varint(&mut out, self.keyspaces.len() as u64);
        for (space, known) in &self.keyspaces {
            write_varint(&mut out, u64::from(space.0));
            write_varint(&mut out, known.created.0);
            write_varint(&mut out, known.dropped.0);
            known.history.encode(&mut out);
        }
        out
    }

    /// Decodes what [`Facts::encode`] wrote; `None` if the bytes are something else.
    pub(crate) fn decode(mut bytes: &[u8]) -> Option<Self> {
        let bytes = &mut bytes;
        let mut facts = Self { forgotten: History::decode(bytes)?, ..Self::default() };
        for _ in 0..read_varint(bytes)? {
            let space = KeyspaceId(u32::try_from(read_varint(bytes)?).ok()?);
            let created = Timestamp(read_varint(bytes)?);
            let dropped = Timestamp(read_varint(bytes)?);
            let history = History::decode(bytes)?;
            let pages = History::default();
            facts.keyspaces.insert(space, Keyspace { created, dropped, history, pages });
        }
        bytes.is_empty().then_some(facts)
    }
}

impl History {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        write_varint(out, self.floor.0);
        write_varint(out, self.pins.len() as u64);
        self.pins.iter().for_each(|pin| write_varint(out, pin.0));
    }

    pub(crate) fn decode(bytes: &mut &[u8]) -> Option<Self> {
        let mut history = Self { floor: Timestamp(read_varint(bytes)?), pins: Vec::new() };
        for _ in 0..read_varint(bytes)? {
            let pin = Timestamp(read_varint(bytes)?);
            if history.pins.last().is_some_and(|last| *last >= pin) {
                return None;
            }
            history.pins.push(pin);
        }
        Some(history)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SPACE: KeyspaceId = KeyspaceId(1);

    fn facts() -> Facts {
        let mut facts = Facts::default();
        facts.create(SPACE, Timestamp(10));
        facts
    }

    fn check(facts: &Facts, ts: u64) -> Result<(), StorageError> {
        facts.check(&RetentionPolicy::default(), SPACE, Timestamp(ts), Timestamp(100))
    }

    #[test]
    fn a_keyspace_lives_from_its_creation_to_its_end() {
        let mut facts = facts();
        facts.drop_at(SPACE, Timestamp(20));
        for (ts, lives) in [(9, false), (10, true), (19, true), (20, false), (200, false)] {
            assert_eq!(check(&facts, ts).is_ok(), lives, "at {ts}");
        }
    }

    #[test]
    fn folding_keeps_only_pins_that_were_always_promised() {
        let pinned = |since, pins: &[u64]| {
            let pins = pins.iter().copied().map(Timestamp).collect();
            let default = Retention { keep_since: Timestamp(since), pins, min_versions: 0 };
            RetentionPolicy { default, ..RetentionPolicy::default() }
        };
        let facts = facts().folded(&pinned(50, &[20, 30])).folded(&pinned(60, &[30, 40, 55]));
        for (ts, readable) in
            [(20, false), (30, true), (40, false), (50, false), (55, true), (59, false), (60, true)]
        {
            assert_eq!(check(&facts, ts).is_ok(), readable, "at {ts}");
        }
    }

    #[test]
    fn what_was_forgotten_is_too_old_not_unknown() {
        let mut facts = facts();
        facts.drop_at(SPACE, Timestamp(20));
        facts.forget(SPACE, &Retention::since(Timestamp(20)));
        assert!(matches!(check(&facts, 15), Err(StorageError::SnapshotTooOld { .. })));
        assert!(matches!(check(&facts, 20), Err(StorageError::UnknownKeyspace { .. })));
    }

    proptest! {
        #[test]
        fn facts_come_back(spaces in prop::collection::btree_map(0u32..9, (any::<u64>(), prop::collection::btree_set(any::<u64>(), 0..3)), 0..5)) {
            let forgotten = History { floor: Timestamp(3), pins: Vec::new() };
            let mut facts = Facts { forgotten, ..Facts::default() };
            for (space, (created, pins)) in spaces {
                facts.create(KeyspaceId(space), Timestamp(created));
                let known = facts.keyspaces.get_mut(&KeyspaceId(space)).unwrap();
                known.history.pins = pins.into_iter().map(Timestamp).collect();
            }
            prop_assert_eq!(Facts::decode(&facts.encode()), Some(facts));
        }

        #[test]
        fn any_bytes_are_facts_or_not(bytes: Vec<u8>) {
            let _facts = Facts::decode(&bytes);
        }
    }
}
