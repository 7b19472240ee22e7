//! The memtable: the newest commits, in memory, in order.
//!
//! Usually a skip list in an arena (`list.rs`, `arena.rs`): one writer adds versions, any number of
//! readers look in without a latch. While a log is replayed nobody reads what comes, and it is put in order
//! all at once (`gathered.rs`). A batch too large for that becomes a run by itself (`sorted.rs`).
//! A reader never sees a batch in part, because it ignores versions newer than its snapshot, and a
//! snapshot is made only between batches.
//!
//! Cost: a point read is a look-up in a hash index (`index.rs`), no latch, no allocation, one copy of the
//! value. A scan
//! (`source.rs`) lends keys and values where they lie. Adding a version costs a search and two
//! copies into the arena. Memory: the arena in use, to the word.

mod arena;
mod gathered;
mod index;
mod list;
mod order;
mod sorted;
mod source;
mod sync;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use driftdb_env::sync::Mutex;
use driftdb_storage::{Commit, Entry, KeyspaceId, Lsn, Operation, Timestamp, WriteBatch};

use gathered::Gathered;
use index::{Index, Lookup};
use list::{EMPTY_BYTES, List, MAX_OVERHEAD_BYTES, Version, Writer};
use order::Probe;
use sorted::SortedBatch;
pub(crate) use source::MemtableSource;

/// Of the write buffer, the part that one batch may take in a list.
const BATCH_SHARE: usize = 4;
/// A smaller batch never becomes a run of its own: tables are not worth their files.
const MIN_LARGE_BATCH_BYTES: usize = 4 << 10;
/// A larger one always does; keys and values in a list therefore fit its fields.
const MAX_BATCH_BYTES: usize = 128 << 20;
/// A list is frozen here at the latest: its positions count words in 32 bits.
const MAX_LIST_BYTES: usize = 16 << 30;

/// A version found for a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    Value(Timestamp),
    Tombstone(Timestamp),
}

#[derive(Debug)]
pub(crate) struct Memtable {
    contents: Contents,
}

#[derive(Debug)]
enum Contents {
    Growing(Growing),
    Batch(SortedBatch),
}

/// A list with its index of keys, and the writer of both.
#[derive(Debug)]
struct Growing {
    list: List,
    index: Index,
    writer: Mutex<GrowingWriter>,
    /// The writer's count, for everyone.
    bytes: AtomicUsize,
    last_lsn: AtomicU64,
    last_ts: AtomicU64,
    /// What it is full at.
    limit_bytes: usize,
}

/// The right to add to a list and its index.
#[derive(Debug)]
struct GrowingWriter {
    list: Writer,
    /// Keys in the index.
    key_count: usize,
    /// In a replay, what [`Memtable::settle`] will put into the list.
    gathered: Option<Gathered>,
}

/// A version in a memtable.
#[derive(Debug, Clone, Copy)]
struct Place(usize);

/// What a batch takes in a list at most.
fn footprint_bytes(batch: &WriteBatch) -> usize {
    batch.as_bytes().len().saturating_add(batch.len().saturating_mul(MAX_OVERHEAD_BYTES))
}

/// What one batch may take in a list.
fn batch_limit_bytes(write_buffer_bytes: usize) -> usize {
    (write_buffer_bytes / BATCH_SHARE).clamp(MIN_LARGE_BATCH_BYTES, MAX_BATCH_BYTES)
}

impl Memtable {
    /// An empty one, to be frozen when it holds `write_buffer_bytes`.
    pub(crate) fn new(write_buffer_bytes: usize) -> Self {
        Self::growing(write_buffer_bytes, None)
    }

    /// The same for a replay: versions are put in order by [`Memtable::settle`], which comes before any
    /// read at their times.
    pub(crate) fn for_replay(write_buffer_bytes: usize) -> Self {
        Self::growing(write_buffer_bytes, Some(Gathered::default()))
    }

    fn growing(write_buffer_bytes: usize, gathered: Option<Gathered>) -> Self {
        let limit_bytes = write_buffer_bytes.min(MAX_LIST_BYTES);
        // One batch may come when all but a byte is in use.
        let capacity_bytes = limit_bytes + batch_limit_bytes(write_buffer_bytes) + EMPTY_BYTES;
        let (list, writer) = List::new(capacity_bytes);
        let writer = GrowingWriter { list: writer, key_count: 0, gathered };
        let growing = Growing {
            list,
            index: Index::new(capacity_bytes),
            writer: Mutex::new(writer),
            bytes: AtomicUsize::new(0),
            last_lsn: AtomicU64::new(0),
            last_ts: AtomicU64::new(0),
            limit_bytes,
        };
        Self { contents: Contents::Growing(growing) }
    }

    /// A batch whose operations have been checked, as a memtable that is full.
    pub(crate) fn of_batch(batch: WriteBatch, at: Commit) -> Self {
        Self { contents: Contents::Batch(SortedBatch::new(batch, at)) }
    }

    /// Whether a batch should become a memtable by itself.
    pub(crate) fn is_large(batch: &WriteBatch, write_buffer_bytes: usize) -> bool {
        footprint_bytes(batch) > batch_limit_bytes(write_buffer_bytes)
    }

    /// Adds a batch whose operations have been checked, and which is not large.
    pub(crate) fn insert(&self, batch: &WriteBatch, at: Commit) {
        match &self.contents {
            Contents::Growing(growing) => growing.insert(batch, at),
            Contents::Batch(_) => panic!("a batch of its own takes no other"),
        }
    }

    /// Puts the versions of a replay in order. From now on it is as any other.
    pub(crate) fn settle(&self) {
        let Contents::Growing(growing) = &self.contents else { return };
        let GrowingWriter { list: writer, gathered, .. } = &mut *growing.writer.lock();
        if let Some(gathered) = gathered.take() {
            gathered.link(&growing.list, writer);
        }
    }

    /// Whether it is to be frozen.
    pub(crate) fn is_full(&self) -> bool {
        match &self.contents {
            Contents::Growing(growing) => {
                growing.bytes.load(Ordering::Relaxed) >= growing.limit_bytes
            }
            Contents::Batch(_) => true,
        }
    }

    /// The newest version at or below `ts`; a value is appended to `out`.
    #[inline]
    pub(crate) fn get(
        &self,
        space: KeyspaceId,
        key: &[u8],
        ts: Timestamp,
        out: &mut Vec<u8>,
    ) -> Option<Found> {
        let version = self.version_at(space, key, ts)?;
        Some(match version.value {
            Some(value) => {
                out.extend_from_slice(value);
                Found::Value(version.ts)
            }
            None => Found::Tombstone(version.ts),
        })
    }

    /// The timestamp of the newest version at or below `ts`, tombstones included.
    pub(crate) fn newest(&self, space: KeyspaceId, key: &[u8], ts: Timestamp) -> Option<Timestamp> {
        self.version_at(space, key, ts).map(|version| version.ts)
    }

    /// The last commit it holds; `None` if no batch came yet. For the writer, and once frozen for all.
    pub(crate) fn last(&self) -> Option<Commit> {
        match &self.contents {
            Contents::Growing(growing) => growing.last(),
            Contents::Batch(batch) => Some(batch.commit()),
        }
    }

    /// The memory in use.
    pub(crate) fn bytes(&self) -> usize {
        match &self.contents {
            // Relaxed: only the writer decides by it; others report it.
            Contents::Growing(growing) => {
                growing.bytes.load(Ordering::Relaxed) + growing.index.size_bytes()
            }
            Contents::Batch(batch) => batch.used_bytes(),
        }
    }

    /// All versions in order. For frozen memtables: others still grow.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (KeyspaceId, Entry<'_>)> {
        let places = std::iter::successors(self.first(), |&place| self.next(place));
        places.map(|place| {
            let Version { space, key, ts, value } = self.version(place);
            (space, Entry { key, ts, value })
        })
    }

    #[inline]
    fn version_at(&self, space: KeyspaceId, key: &[u8], ts: Timestamp) -> Option<Version<'_>> {
        let probe = Probe::new(space, key, ts);
        match &self.contents {
            Contents::Growing(growing) => {
                growing.newest_at(probe).map(|node| growing.list.version(node))
            }
            Contents::Batch(batch) => {
                let version = batch.version(batch.first_at(probe)?);
                (version.space == space && version.key == key).then_some(version)
            }
        }
    }

    /// The first version at or after `probe`.
    #[inline]
    fn first_at(&self, probe: Probe<'_>) -> Option<Place> {
        match &self.contents {
            Contents::Growing(growing) => growing.list.first_at(probe),
            Contents::Batch(batch) => batch.first_at(probe),
        }
        .map(Place)
    }

    /// The last version before `probe`.
    fn last_before(&self, probe: Probe<'_>) -> Option<Place> {
        match &self.contents {
            Contents::Growing(growing) => growing.list.last_before(probe),
            Contents::Batch(batch) => batch.last_before(probe),
        }
        .map(Place)
    }

    fn first(&self) -> Option<Place> {
        match &self.contents {
            Contents::Growing(growing) => growing.list.first(),
            Contents::Batch(batch) => batch.first(),
        }
        .map(Place)
    }

    #[inline]
    fn next(&self, place: Place) -> Option<Place> {
        match &self.contents {
            Contents::Growing(growing) => growing.list.next(place.0),
            Contents::Batch(batch) => batch.next(place.0),
        }
        .map(Place)
    }

    fn previous(&self, place: Place) -> Option<Place> {
        match &self.contents {
            Contents::Growing(growing) => growing.list.previous(place.0),
            Contents::Batch(batch) => batch.previous(place.0),
        }
        .map(Place)
    }

    #[inline]
    fn is_before(&self, place: Place, probe: Probe<'_>) -> bool {
        match &self.contents {
            Contents::Growing(growing) => growing.list.compare(place.0, probe),
            Contents::Batch(batch) => batch.compare(place.0, probe),
        }
        .is_lt()
    }

    #[inline]
    fn version(&self, place: Place) -> Version<'_> {
        match &self.contents {
            Contents::Growing(growing) => growing.list.version(place.0),
            Contents::Batch(batch) => batch.version(place.0),
        }
    }
}

/// Versions of a key passed one by one before a search takes over.
const MAX_WALK: usize = 8;

impl Growing {
    /// The version of `probe`'s key that is the newest at or below its time.
    #[inline]
    fn newest_at(&self, probe: Probe<'_>) -> Option<usize> {
        let is_same_key = |node| self.list.is_of_key(node, probe);
        let space = KeyspaceId(probe.space as u32);
        match self.index.get(index::hash(space, probe.key), is_same_key) {
            Lookup::Absent => return None,
            Lookup::Newest(mut node) => {
                // Older versions follow it, newest first.
                for _ in 0..MAX_WALK {
                    if self.list.time(node) <= probe.ts {
                        return Some(node);
                    }
                    node = self.list.next(node).filter(|next| is_same_key(*next))?;
                }
            }
            Lookup::Unknown => {}
        }
        self.list.first_at(probe).filter(|node| is_same_key(*node))
    }

    fn insert(&self, batch: &WriteBatch, at: Commit) {
        let GrowingWriter { list: writer, key_count, gathered } = &mut *self.writer.lock();
        for operation in batch.operations() {
            let (space, key, value) = match operation {
                Operation::Put { space, key, value } => (space, key, Some(value)),
                Operation::Delete { space, key } => (space, key, None),
                // Range deletes have been spelled out.
                Operation::DeleteRange { .. }
                | Operation::CreateKeyspace(_)
                | Operation::DropKeyspace(_) => continue,
            };
            let probe = Probe::new(space, key, at.ts);
            let node = match gathered {
                None => self.list.insert(writer, probe, value),
                Some(gathered) => gathered.add(&self.list, writer, probe, value),
            };
            let is_same_key = |other| self.list.is_of_key(other, probe);
            self.index.put(key_count, index::hash(space, key), node, is_same_key);
        }
        // Relaxed: readers of these come by the memtable through a latch, after it is frozen.
        self.last_lsn.store(at.lsn.0, Ordering::Relaxed);
        self.last_ts.store(at.ts.0, Ordering::Relaxed);
        self.bytes.store(writer.used_bytes(), Ordering::Relaxed);
    }

    fn last(&self) -> Option<Commit> {
        let ts = Timestamp(self.last_ts.load(Ordering::Relaxed));
        let lsn = Lsn(self.last_lsn.load(Ordering::Relaxed));
        // No commit has the smallest timestamp.
        (ts > Timestamp::MIN).then_some(Commit { lsn, ts })
    }
}
