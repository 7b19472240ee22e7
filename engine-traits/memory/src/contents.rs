//! The data: keyspaces with their lifetimes, keys with their versions.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use driftdb_storage::{
    Erasure, Fold, KeyspaceId, Operation, Result, Retention, RetentionPolicy, StorageError,
    Timestamp, Verdict, WriteBatch,
};

/// One version of a key; `None` is a tombstone.
#[derive(Debug, Clone)]
pub(crate) struct Version {
    pub(crate) ts: Timestamp,
    pub(crate) value: Option<Arc<[u8]>>,
}

/// Versions in ascending order of time, never empty.
pub(crate) type Versions = Vec<Version>;

/// One keyspace, alive from `created` to just before `dropped`.
#[derive(Debug, Clone)]
pub(crate) struct Space {
    pub(crate) created: Timestamp,
    pub(crate) dropped: Option<Timestamp>,
    pub(crate) keys: BTreeMap<Arc<[u8]>, Versions>,
    /// What every fold so far has left readable, whatever the policy says now.
    pub(crate) left: Retention,
}

impl Space {
    pub(crate) fn lives_at(&self, ts: Timestamp) -> bool {
        self.created <= ts && self.dropped.is_none_or(|dropped| ts < dropped)
    }

    /// Drops what `retention` does not cover.
    fn fold(&self, retention: &Retention) -> Self {
        let gone = self.dropped.is_some_and(|dropped| {
            dropped <= retention.keep_since && !retention.pins.iter().any(|&pin| self.lives_at(pin))
        });
        let keys = if gone {
            BTreeMap::new()
        } else {
            let folded = self.keys.iter().map(|(key, versions)| (key, fold(versions, retention)));
            folded
                .filter(|(_, versions)| !versions.is_empty())
                .map(|(key, versions)| (Arc::clone(key), versions))
                .collect()
        };
        Self { keys, left: both(&self.left, retention), ..*self }
    }
}

fn fold(versions: &Versions, retention: &Retention) -> Versions {
    let mut fold = Fold::new(retention);
    let mut kept: Versions = Vec::new();
    for version in versions.iter().rev() {
        // A tombstone that may go is held until it is known whether anything below it stays.
        match fold.judge(version.ts, version.value.is_none()) {
            Verdict::Keep | Verdict::DropIfBottom => kept.push(version.clone()),
            Verdict::Drop => {}
        }
    }
    kept.reverse();
    let is_droppable = |version: &Version| {
        version.value.is_none() && version.ts <= retention.keep_since && retention.pins.is_empty()
    };
    let bottom = kept.iter().take_while(|version| is_droppable(version)).count();
    kept.drain(..bottom);
    kept
}

/// The promise that holds where both do.
pub(crate) fn both(a: &Retention, b: &Retention) -> Retention {
    let keep_since = a.keep_since.max(b.keep_since);
    let mut pins: Vec<Timestamp> = a.pins.iter().chain(&b.pins).copied().collect();
    pins.sort_unstable();
    pins.dedup();
    pins.retain(|&pin| pin < keep_since && a.covers(pin) && b.covers(pin));
    Retention { keep_since, pins, min_versions: a.min_versions.min(b.min_versions) }
}

/// All keyspaces.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    pub(crate) spaces: BTreeMap<KeyspaceId, Space>,
}

impl Contents {
    /// Refuses a batch that writes where nothing exists, before any of it is done.
    pub(crate) fn check(&self, batch: &WriteBatch, at: Timestamp) -> Result<()> {
        let mut changed: BTreeMap<KeyspaceId, bool> = BTreeMap::new();
        let lives = |changed: &BTreeMap<KeyspaceId, bool>, space| match changed.get(&space) {
            Some(&lives) => lives,
            None => self.spaces.get(&space).is_some_and(|found| found.dropped.is_none()),
        };
        for operation in batch.operations() {
            match operation {
                Operation::CreateKeyspace(space) => {
                    if self.spaces.contains_key(&space) || changed.contains_key(&space) {
                        let text = format!("keyspace {space} is created a second time");
                        return Err(StorageError::Internal(text));
                    }
                    changed.insert(space, true);
                }
                Operation::Put { space, .. }
                | Operation::Delete { space, .. }
                | Operation::DeleteRange { space, .. }
                | Operation::DropKeyspace(space) => {
                    if !lives(&changed, space) {
                        return Err(StorageError::UnknownKeyspace { space, at });
                    }
                    if let Operation::DropKeyspace(_) = operation {
                        changed.insert(space, false);
                    }
                }
            }
        }
        Ok(())
    }

    /// Does a checked batch.
    pub(crate) fn apply(&mut self, batch: &WriteBatch, at: Timestamp) {
        for operation in batch.operations() {
            match operation {
                Operation::CreateKeyspace(space) => {
                    let new = Space {
                        created: at,
                        dropped: None,
                        keys: BTreeMap::new(),
                        left: Retention::FOREVER,
                    };
                    self.spaces.insert(space, new);
                }
                Operation::DropKeyspace(space) => self.space_mut(space).dropped = Some(at),
                Operation::Put { space, key, value } => {
                    self.write(space, key, Version { ts: at, value: Some(value.into()) });
                }
                Operation::Delete { space, key } => {
                    self.write(space, key, Version { ts: at, value: None });
                }
                Operation::DeleteRange { space, start, end } => {
                    self.delete_range(space, start, end, at);
                }
            }
        }
    }

    fn space_mut(&mut self, space: KeyspaceId) -> &mut Space {
        self.spaces.get_mut(&space).expect("the batch was checked")
    }

    fn write(&mut self, space: KeyspaceId, key: &[u8], version: Version) {
        let keys = &mut self.space_mut(space).keys;
        let Some(versions) = keys.get_mut(key) else {
            keys.insert(key.into(), vec![version]);
            return;
        };
        let newest = versions.last_mut().expect("a key has at least one version");
        assert!(newest.ts <= version.ts, "commits come in the order of time");
        if newest.ts == version.ts {
            // A later write to the same key in the same batch replaces the earlier.
            *newest = version;
        } else {
            versions.push(version);
        }
    }

    fn delete_range(&mut self, space: KeyspaceId, start: &[u8], end: &[u8], at: Timestamp) {
        if start >= end {
            return;
        }
        let range = (Bound::Included(start), Bound::Excluded(end));
        let keys = self.space_mut(space).keys.range::<[u8], _>(range);
        let has_value = |versions: &Versions| versions.last().is_some_and(|v| v.value.is_some());
        let doomed: Vec<Arc<[u8]>> = keys
            .filter(|(_, versions)| has_value(versions))
            .map(|(key, _)| Arc::clone(key))
            .collect();
        for key in doomed {
            self.write(space, &key, Version { ts: at, value: None });
        }
    }

    /// A copy without what `policy` no longer covers. Keys and values are shared, not copied.
    pub(crate) fn fold(&self, policy: &RetentionPolicy) -> Self {
        let fold = |(&id, space): (&KeyspaceId, &Space)| (id, space.fold(policy.of(id)));
        Self { spaces: self.spaces.iter().map(fold).collect() }
    }

    /// A copy without what is erased.
    pub(crate) fn without(&self, erasure: &Erasure) -> Self {
        let mut left = Self { spaces: self.spaces.clone() };
        for id in erasure.keyspaces() {
            let Some(space) = left.spaces.get_mut(&id) else { continue };
            space.keys.retain(|key, versions| {
                let newest_first = versions.iter().rev();
                let mut kept =
                    newest_first.map(|version| (version.ts, version.value.clone())).collect();
                erasure.apply(id, key, &mut kept);
                kept.reverse();
                *versions = kept.into_iter().map(|(ts, value)| Version { ts, value }).collect();
                !versions.is_empty()
            });
        }
        left
    }

    /// A sentence about the first broken invariant, if there is one.
    pub(crate) fn check_order(&self) -> Option<String> {
        for (id, space) in &self.spaces {
            for (key, versions) in &space.keys {
                let ascending = versions.windows(2).all(|pair| pair[0].ts < pair[1].ts);
                if versions.is_empty() || !ascending {
                    return Some(format!("keyspace {id}, key {key:?}: versions out of order"));
                }
            }
        }
        None
    }
}

/// Bounds that own their bytes.
pub(crate) type OwnedBound = Bound<Vec<u8>>;

pub(crate) fn borrowed(bound: &OwnedBound) -> Bound<&[u8]> {
    match bound {
        Bound::Included(key) => Bound::Included(key),
        Bound::Excluded(key) => Bound::Excluded(key),
        Bound::Unbounded => Bound::Unbounded,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pinned(keep_since: u64, pins: &[u64]) -> Retention {
        let pins = pins.iter().map(|&pin| Timestamp(pin)).collect();
        Retention { keep_since: Timestamp(keep_since), pins, min_versions: 0 }
    }

    #[test]
    fn a_time_is_left_if_every_fold_left_it() {
        let (a, b) = (pinned(10, &[3, 5]), pinned(20, &[3, 12, 15]));
        let left = both(&a, &b);
        for ts in (0..30).map(Timestamp) {
            assert_eq!(left.covers(ts), a.covers(ts) && b.covers(ts), "{ts:?}");
        }
    }
}
