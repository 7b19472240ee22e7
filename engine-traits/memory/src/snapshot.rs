//! A view of the model: the contents of one generation, up to one commit.

use std::collections::VecDeque;
use std::ops::Bound;
use std::sync::Arc;

use driftdb_env::sync::RwLock;
use driftdb_storage::{
    Commit, Cursor, Entry, KeyRange, Keyspace, KeyspaceId, Result, Retention, RetentionPolicy,
    ScanSpec, Snapshot, StorageError, Timestamp, Visible,
};

use crate::contents::{Contents, OwnedBound, Space, Version, Versions, borrowed, both};

/// How many keys a cursor takes out under one hold of the latch.
const KEYS_PER_FETCH: usize = 64;

/// A stable view of a [`crate::MemoryEngine`].
///
/// Later commits into the same generation are hidden by their timestamps; a fold makes a new
/// generation and leaves this one as it is.
#[derive(Debug, Clone)]
pub struct MemorySnapshot {
    pub(crate) contents: Arc<RwLock<Contents>>,
    pub(crate) at: Commit,
    pub(crate) policy: Arc<RetentionPolicy>,
}

impl MemorySnapshot {
    /// The keyspace as far as reads at `ts` are promised and it lived then.
    fn space_at<'c>(
        &self,
        contents: &'c Contents,
        id: KeyspaceId,
        ts: Timestamp,
    ) -> Result<&'c Space> {
        let at = ts.min(self.at.ts);
        let space = self.covered(contents, id, ts)?;
        match space {
            Some(space) if space.lives_at(at) => Ok(space),
            _ => Err(StorageError::UnknownKeyspace { space: id, at }),
        }
    }

    fn covered<'c>(
        &self,
        contents: &'c Contents,
        id: KeyspaceId,
        ts: Timestamp,
    ) -> Result<Option<&'c Space>> {
        let promise = self.policy.of(id);
        let space = contents.spaces.get(&id);
        let left = space.map(|space| both(&space.left, promise));
        let readable = left.as_ref().unwrap_or(promise);
        if readable.covers(ts) {
            Ok(space)
        } else {
            Err(StorageError::SnapshotTooOld { requested: ts, oldest: readable.keep_since })
        }
    }

    /// The keyspace for a scan of `visible`.
    fn space_for<'c>(
        &self,
        contents: &'c Contents,
        id: KeyspaceId,
        visible: Visible,
    ) -> Result<&'c Space> {
        let (space, last) = match visible {
            Visible::AsOf(ts) => return self.space_at(contents, id, ts),
            Visible::Between { after, up_to } => {
                // Versions just above `after` are complete only if `after` itself is recent
                // enough: a pin keeps one version, not the stretch after it.
                let space = self.covered(contents, id, after)?;
                let since = match space {
                    Some(space) => both(&space.left, self.policy.of(id)).keep_since,
                    None => self.policy.of(id).keep_since,
                };
                if after < since {
                    return Err(StorageError::SnapshotTooOld { requested: after, oldest: since });
                }
                (space, up_to.min(self.at.ts))
            }
            Visible::All => (contents.spaces.get(&id), self.at.ts),
        };
        // History of a dropped keyspace can be scanned as long as it is kept.
        match space {
            Some(space) if space.created <= last => Ok(space),
            _ => Err(StorageError::UnknownKeyspace { space: id, at: last }),
        }
    }
}

/// The newest version at or below `ts`.
fn newest_at(versions: &Versions, ts: Timestamp) -> Option<&Version> {
    versions[..versions.partition_point(|version| version.ts <= ts)].last()
}

impl Snapshot for MemorySnapshot {
    type Cursor<'a> = MemoryCursor<'a>;

    fn at(&self) -> Commit {
        self.at
    }

    fn keyspaces(&self) -> Vec<Keyspace> {
        let contents = self.contents.read();
        let seen = contents.spaces.iter().filter(|(_, space)| space.created <= self.at.ts);
        seen.map(|(&id, space)| Keyspace {
            id,
            created: space.created,
            dropped: space.dropped.filter(|&dropped| dropped <= self.at.ts),
            kept: Retention { min_versions: 0, ..space.left.clone() },
        })
        .collect()
    }

    fn get(
        &self,
        space: KeyspaceId,
        key: &[u8],
        ts: Timestamp,
        out: &mut Vec<u8>,
    ) -> Result<Option<Timestamp>> {
        let contents = self.contents.read();
        let space = self.space_at(&contents, space, ts)?;
        let ts = ts.min(self.at.ts);
        let found = space.keys.get(key).and_then(|versions| newest_at(versions, ts));
        let Some(Version { ts, value: Some(value) }) = found else { return Ok(None) };
        out.extend_from_slice(value);
        Ok(Some(*ts))
    }

    fn newest(&self, space: KeyspaceId, key: &[u8]) -> Result<Option<Timestamp>> {
        let contents = self.contents.read();
        let space = self.space_at(&contents, space, Timestamp::MAX)?;
        let versions = space.keys.get(key);
        Ok(versions.and_then(|versions| newest_at(versions, self.at.ts)).map(|found| found.ts))
    }

    fn cursor<'a>(&'a self, space: KeyspaceId, spec: &ScanSpec<'_>) -> Result<MemoryCursor<'a>> {
        self.space_for(&self.contents.read(), space, spec.visible)?;
        let (start, end) =
            (spec.range.start.map(<[u8]>::to_vec), spec.range.end.map(<[u8]>::to_vec));
        Ok(MemoryCursor {
            snapshot: self,
            space,
            visible: spec.visible,
            reverse: spec.reverse,
            low: start.clone(),
            high: end.clone(),
            start,
            end,
            fetched: VecDeque::new(),
            current: None,
            exhausted: false,
        })
    }
}

struct Found {
    key: Arc<[u8]>,
    version: Version,
}

/// Walks a range of a [`MemorySnapshot`], some keys at a time.
pub struct MemoryCursor<'a> {
    snapshot: &'a MemorySnapshot,
    space: KeyspaceId,
    visible: Visible,
    reverse: bool,
    start: OwnedBound,
    end: OwnedBound,
    /// What of the range is still to be fetched.
    low: OwnedBound,
    high: OwnedBound,
    fetched: VecDeque<Found>,
    current: Option<Found>,
    exhausted: bool,
}

impl MemoryCursor<'_> {
    fn fetch(&mut self) -> Result<()> {
        let contents = self.snapshot.contents.read();
        let space = self.snapshot.space_for(&contents, self.space, self.visible)?;
        let range = KeyRange { start: borrowed(&self.low), end: borrowed(&self.high) };
        if is_empty(&range) {
            self.exhausted = true;
            return Ok(());
        }
        let mut keys = space.keys.range::<[u8], _>((range.start, range.end));
        let mut last = None;
        for _ in 0..KEYS_PER_FETCH {
            let next = if self.reverse { keys.next_back() } else { keys.next() };
            let Some((key, versions)) = next else {
                self.exhausted = true;
                return Ok(());
            };
            let seen = visible(versions, self.visible, self.snapshot.at.ts).cloned();
            self.fetched.extend(seen.map(|version| Found { key: Arc::clone(key), version }));
            last = Some(key);
        }
        if let Some(last) = last {
            let bound = if self.reverse { &mut self.high } else { &mut self.low };
            // The room of the last bound serves again: steps allocate nothing.
            let mut room = match std::mem::replace(bound, Bound::Unbounded) {
                Bound::Included(key) | Bound::Excluded(key) => key,
                Bound::Unbounded => Vec::new(),
            };
            room.clear();
            room.extend_from_slice(last);
            *bound = Bound::Excluded(room);
        }
        Ok(())
    }
}

/// What a scan shows of one key, newest first.
fn visible(versions: &Versions, visible: Visible, at: Timestamp) -> impl Iterator<Item = &Version> {
    let (after, up_to, only_newest) = match visible {
        Visible::AsOf(ts) => (None, ts.min(at), true),
        Visible::Between { after, up_to } => (Some(after), up_to.min(at), false),
        Visible::All => (None, at, false),
    };
    let end = versions.partition_point(|version| version.ts <= up_to);
    let first = match after {
        Some(after) => versions.partition_point(|version| version.ts <= after).min(end),
        None if only_newest => end.saturating_sub(1),
        None => 0,
    };
    let shown = versions[first..end].iter().rev();
    shown.filter(move |version| !only_newest || version.value.is_some())
}

/// Whether no key can lie in `range`; `BTreeMap::range` panics on some of these.
fn is_empty(range: &KeyRange<'_>) -> bool {
    let (Bound::Included(start) | Bound::Excluded(start)) = range.start else { return false };
    range.is_after_end(start)
        || (range.is_before_start(start)
            && matches!(range.end, Bound::Included(end) | Bound::Excluded(end) if end <= start))
}

impl Cursor for MemoryCursor<'_> {
    fn next(&mut self) -> Result<bool> {
        while self.fetched.is_empty() && !self.exhausted {
            self.fetch()?;
        }
        self.current = self.fetched.pop_front();
        Ok(self.current.is_some())
    }

    fn seek(&mut self, key: &[u8]) -> Result<()> {
        self.fetched.clear();
        self.current = None;
        self.exhausted = false;
        (self.low, self.high) = (self.start.clone(), self.end.clone());
        let range = KeyRange { start: borrowed(&self.start), end: borrowed(&self.end) };
        // A key outside the range, in the direction of the scan, leaves the whole range or nothing.
        if self.reverse && !range.is_after_end(key) {
            self.high = Bound::Included(key.to_vec());
        } else if !self.reverse && !range.is_before_start(key) {
            self.low = Bound::Included(key.to_vec());
        }
        Ok(())
    }

    fn entry(&self) -> Entry<'_> {
        let found = self.current.as_ref().expect("the cursor is on an entry");
        Entry { key: &found.key, ts: found.version.ts, value: found.version.value.as_deref() }
    }
}
