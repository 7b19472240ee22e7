//! What an engine should hold: computed from the log, in the plainest way.

use std::collections::BTreeMap;

use driftdb_storage::{Commit, KeyspaceId, Operation, Timestamp, WriteBatch};

/// A version as a scan shows it: key, time, value or tombstone.
pub type Version = (Vec<u8>, Timestamp, Option<Vec<u8>>);

/// One keyspace.
#[derive(Debug, Clone)]
pub struct ModelSpace {
    /// When it came into being.
    pub created: Timestamp,
    /// When it was dropped.
    pub dropped: Option<Timestamp>,
    /// Every version there ever was.
    pub keys: BTreeMap<Vec<u8>, BTreeMap<Timestamp, Option<Vec<u8>>>>,
}

/// Everything there ever was.
#[derive(Debug, Clone, Default)]
pub struct Model {
    /// The keyspaces.
    pub spaces: BTreeMap<KeyspaceId, ModelSpace>,
    /// The commits, ascending.
    pub commits: Vec<Commit>,
}

impl Model {
    /// The model after these commits.
    pub fn of<'a>(log: impl IntoIterator<Item = &'a (Commit, WriteBatch)>) -> Self {
        let mut model = Self::default();
        for (at, batch) in log {
            model.apply(batch, *at);
        }
        model
    }

    /// Does a batch.
    ///
    /// # Panics
    /// If the batch writes into a keyspace that is not there: the suite would be wrong.
    pub fn apply(&mut self, batch: &WriteBatch, at: Commit) {
        self.commits.push(at);
        for operation in batch.operations() {
            match operation {
                Operation::CreateKeyspace(space) => {
                    let new = ModelSpace { created: at.ts, dropped: None, keys: BTreeMap::new() };
                    assert!(self.spaces.insert(space, new).is_none());
                }
                Operation::DropKeyspace(space) => self.space(space).dropped = Some(at.ts),
                Operation::Put { space, key, value } => {
                    let versions = self.space(space).keys.entry(key.to_vec()).or_default();
                    versions.insert(at.ts, Some(value.to_vec()));
                }
                Operation::Delete { space, key } => {
                    let versions = self.space(space).keys.entry(key.to_vec()).or_default();
                    versions.insert(at.ts, None);
                }
                Operation::DeleteRange { space, start, end } => {
                    for (key, versions) in &mut self.space(space).keys {
                        let is_inside = start <= &key[..] && &key[..] < end;
                        let newest = versions.last_key_value();
                        if is_inside && newest.is_some_and(|(_, value)| value.is_some()) {
                            versions.insert(at.ts, None);
                        }
                    }
                }
            }
        }
    }

    fn space(&mut self, space: KeyspaceId) -> &mut ModelSpace {
        self.spaces.get_mut(&space).expect("the suite creates keyspaces before it writes")
    }
}

impl ModelSpace {
    /// Whether it exists at `ts`.
    pub fn lives_at(&self, ts: Timestamp) -> bool {
        self.created <= ts && self.dropped.is_none_or(|dropped| ts < dropped)
    }

    /// The newest version of a key at or below `ts`, if that has a value.
    pub fn get(&self, key: &[u8], ts: Timestamp) -> Option<(Timestamp, &[u8])> {
        let (at, value) = self.keys.get(key)?.range(..=ts).next_back()?;
        Some((*at, value.as_deref()?))
    }

    /// The time of the newest version of a key at or below `ts`, tombstones included.
    pub fn newest(&self, key: &[u8], ts: Timestamp) -> Option<Timestamp> {
        self.keys.get(key)?.range(..=ts).next_back().map(|(at, _)| *at)
    }

    /// What a scan as of `ts` shows, in ascending keys.
    pub fn as_of(&self, ts: Timestamp) -> Vec<Version> {
        let shown = self.keys.keys().filter_map(|key| {
            let (at, value) = self.get(key, ts)?;
            Some((key.clone(), at, Some(value.to_vec())))
        });
        shown.collect()
    }

    /// What a scan of every version with `after < ts <= up_to` shows, in ascending keys, newest
    /// first within a key.
    pub fn between(&self, after: Option<Timestamp>, up_to: Timestamp) -> Vec<Version> {
        let mut shown = Vec::new();
        for (key, versions) in &self.keys {
            for (at, value) in versions.range(..=up_to).rev() {
                if after.is_none_or(|after| *at > after) {
                    shown.push((key.clone(), *at, value.clone()));
                }
            }
        }
        shown
    }
}

/// The same versions in descending keys; within a key still newest first.
pub fn reversed(versions: &[Version]) -> Vec<Version> {
    let mut groups: Vec<&[Version]> = versions.chunk_by(|a, b| a.0 == b.0).collect();
    groups.reverse();
    groups.concat()
}
