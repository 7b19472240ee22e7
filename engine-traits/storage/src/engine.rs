//! The traits an engine implements.

use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use driftdb_env::Env;

use crate::{
    Commit, EngineOptions, Erasure, KeyspaceId, Lsn, Result, Retention, RetentionPolicy, Timestamp,
    VerifyDepth, VerifyReport, WriteBatch,
};

/// A storage engine.
///
/// Threads: `apply` is called by one thread at a time, in commit order; `maintain`, `checkpoint` and
/// `erase` by one (other) thread at a time; everything else by any thread at any time.
///
/// After an I/O error or damage while *writing*, an engine is poisoned: every later `apply`,
/// `maintain`, `checkpoint` and `erase` fails with [`crate::StorageError::Poisoned`]; reads of what is in
/// memory or already durable may go on.
pub trait Engine: Send + Sync + Sized + 'static {
    /// The name in the configuration and in the data directory.
    const NAME: &'static str;

    /// Whether it keeps files, so that a checkpoint lets the log go.
    const HAS_FILES: bool = true;

    /// The view through which it is read.
    type Snapshot: Snapshot;

    /// Opens the engine in `dir`, creating it when there is nothing yet. Does no work in
    /// proportion to the data. Afterwards [`Engine::durable`] says where replay must start.
    ///
    /// # Errors
    /// I/O; damage; a newer format; files of another engine.
    fn open(env: &Env, dir: &Path, options: &EngineOptions) -> Result<Self>;

    /// The last commit up to which everything is complete on disk without the log.
    /// [`Commit::default`] for a new engine.
    fn durable(&self) -> Commit;

    /// The last commit applied.
    fn applied(&self) -> Commit;

    /// Makes a batch readable, in memory. Batches come in the order of `at`; one at or below
    /// [`Engine::durable`] (replay after a crash) is accepted and changes nothing.
    ///
    /// A commit may come in several batches, of one timestamp and ascending positions. No two of them
    /// write the same key, and keyspaces are made and dropped by the first. An engine may become durable
    /// between two of them; that the others follow is the caller's affair.
    ///
    /// # Errors
    /// A write into a keyspace that does not exist; a poisoned engine.
    fn apply(&self, batch: &WriteBatch, at: Commit) -> Result<()>;

    /// A view of everything applied so far. Cheap: a few reference counts. It stays exact while it
    /// lives, whatever is applied, flushed, merged, dropped or erased meanwhile.
    fn snapshot(&self) -> Self::Snapshot;

    /// Replaces the promise about history. Takes effect for snapshots made from now on; what the
    /// new promise no longer covers is dropped by later `maintain` calls. Not persisted: the caller
    /// sets it again after `open`. Versions already dropped stay [`crate::StorageError::SnapshotTooOld`].
    fn set_retention(&self, policy: Arc<RetentionPolicy>);

    /// Does one bounded step of background work, if any is due: flush, merge, checkpoint.
    /// Before bytes that depend on commits up to *L* reach the disk, it waits on
    /// `log.wait_durable(L)`: an engine must never be ahead of the log.
    ///
    /// # Errors
    /// I/O or damage; the engine is poisoned unless it could undo the step (see the trait).
    fn maintain(&self, log: &dyn LogBarrier) -> Result<Maintained>;

    /// How far background work is behind the writers, in thousandths of what the engine bears: 0
    /// when writers may go on at full speed, 1000 when they should wait for `maintain` to catch up.
    /// Between, the caller delays commits the more the higher it is. `apply` itself never waits.
    /// Cheap enough to be asked at each commit.
    fn write_pressure(&self) -> u32;

    /// Makes everything applied so far durable, and drops history that retention no longer covers.
    /// Returns the new [`Engine::durable`].
    ///
    /// # Errors
    /// As [`Engine::maintain`].
    fn checkpoint(&self, log: &dyn LogBarrier) -> Result<Commit>;

    /// Removes versions from all history: from what every snapshot made from now on reads, at any time,
    /// and from the bytes of every file in the directory. The times that can be read stay the same, and
    /// whatever else they show. Whole or not at all, also after a crash, and durable on return, with
    /// everything applied before the call ([`Engine::durable`]); doing it again changes nothing.
    /// Snapshots made before may go on seeing what was there: they hold files without a name.
    ///
    /// Cost: up to a copy of everything, in time and in space; `apply` may wait meanwhile.
    ///
    /// # Errors
    /// As [`Engine::maintain`]. A full disk leaves everything as it was.
    fn erase(&self, erasure: &Erasure, log: &dyn LogBarrier) -> Result<()>;

    /// Checks what is on disk, as thoroughly as `depth` says. Tells `report` of each damage, with the
    /// keys that lie there where it knows them, and goes on as far as it can. Readers and writers go
    /// on meanwhile.
    ///
    /// # Errors
    /// I/O errors other than damage.
    fn verify(&self, depth: VerifyDepth, report: &mut dyn VerifyReport) -> Result<()>;

    /// Copies what is durable into `dir`, which is made and must be empty or absent: opened there,
    /// the engine is complete up to the commit that the report names. Files that never change are
    /// hard links where the file system can; else, if `base` (an earlier copy of the same database)
    /// has the same file, a hard link to that. Durable on return. Readers, writers and maintenance go
    /// on meanwhile. If it fails, `dir` is removed as far as possible and the engine is as before.
    ///
    /// # Errors
    /// I/O; damage met while copying; `dir` is not empty.
    fn backup(&self, dir: &Path, base: Option<&Path>) -> Result<BackupReport>;

    /// Reports figures by name; cumulative since open unless the name ends in `_count` or
    /// `_bytes_now`. Every engine with files reports at least
    ///
    /// | Name | What |
    /// | --- | --- |
    /// | `user_bytes_written` | keys and values applied |
    /// | `bytes_written`, `bytes_read` | to and from files |
    /// | `disk_bytes_now` | length of all files |
    /// | `cache_hits`, `cache_misses`, `cache_bytes_now` | of blocks or pages |
    ///
    /// so that write amplification is `bytes_written / user_bytes_written`. Others by the part they
    /// speak of: `filter_…`, `compaction_…`, `flush_…`, `checkpoint_…`.
    fn stats(&self, out: &mut dyn FnMut(&'static str, u64));
}

/// What a backup did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BackupReport {
    /// The copy is complete up to here.
    pub at: Commit,
    /// Bytes of files that were copied.
    pub copied_bytes: u64,
    /// Bytes of files that are hard links.
    pub linked_bytes: u64,
}

/// What an engine knows of a keyspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keyspace {
    /// Its id.
    pub id: KeyspaceId,
    /// The commit that created it.
    pub created: Timestamp,
    /// The commit that dropped it.
    pub dropped: Option<Timestamp>,
    /// Which times folds have left readable, whatever the policy of now. `min_versions` is 0.
    pub kept: Retention,
}

/// What a step of maintenance did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Maintained {
    /// Nothing was due.
    Idle,
    /// A step was done; there may be more.
    Worked,
}

/// The log, as seen by an engine that is about to persist what the log must hold first.
pub trait LogBarrier {
    /// Returns when the log is durable up to `lsn`.
    ///
    /// # Errors
    /// The log is poisoned: the engine must not persist either.
    fn wait_durable(&self, lsn: Lsn) -> Result<()>;
}

/// A stable view of an engine.
pub trait Snapshot: Clone + Send + Sync + 'static {
    /// The cursor over it.
    type Cursor<'a>: Cursor
    where
        Self: 'a;

    /// The newest commit it can see.
    fn at(&self) -> Commit;

    /// Every keyspace it knows of, ascending by id; dropped ones as long as the engine remembers them.
    fn keyspaces(&self) -> Vec<Keyspace>;

    /// Appends to `out` the value of the newest version of `key` at or below `ts`, and returns that
    /// version's timestamp. `None`, with `out` untouched, if there is no such version or it is a
    /// tombstone. Cost: a bounded number of I/Os, however many versions the key has.
    ///
    /// # Errors
    /// [`crate::StorageError::SnapshotTooOld`] below the promise,
    /// [`crate::StorageError::UnknownKeyspace`] where it did not exist at `ts`; I/O; damage.
    fn get(
        &self,
        space: KeyspaceId,
        key: &[u8],
        ts: Timestamp,
        out: &mut Vec<u8>,
    ) -> Result<Option<Timestamp>>;

    /// The timestamp of the newest version of `key`, tombstones included.
    ///
    /// # Errors
    /// As [`Snapshot::get`].
    fn newest(&self, space: KeyspaceId, key: &[u8]) -> Result<Option<Timestamp>>;

    /// A cursor over `spec`, before its first entry.
    ///
    /// # Errors
    /// As [`Snapshot::get`].
    fn cursor<'a>(&'a self, space: KeyspaceId, spec: &ScanSpec<'_>) -> Result<Self::Cursor<'a>>;
}

/// A range of keys.
#[derive(Debug, Clone, Copy)]
pub struct KeyRange<'a> {
    /// The lower end.
    pub start: Bound<&'a [u8]>,
    /// The upper end.
    pub end: Bound<&'a [u8]>,
}

impl<'a> KeyRange<'a> {
    /// Every key.
    pub const ALL: Self = Self { start: Bound::Unbounded, end: Bound::Unbounded };

    /// From `start` (included) to `end` (excluded).
    pub fn half_open(start: &'a [u8], end: &'a [u8]) -> Self {
        Self { start: Bound::Included(start), end: Bound::Excluded(end) }
    }

    /// Whether `key` lies inside.
    pub fn contains(&self, key: &[u8]) -> bool {
        !self.is_before_start(key) && !self.is_after_end(key)
    }

    /// Whether `key` lies before the lower end.
    pub fn is_before_start(&self, key: &[u8]) -> bool {
        match self.start {
            Bound::Included(start) => key < start,
            Bound::Excluded(start) => key <= start,
            Bound::Unbounded => false,
        }
    }

    /// Whether `key` lies after the upper end.
    pub fn is_after_end(&self, key: &[u8]) -> bool {
        match self.end {
            Bound::Included(end) => key > end,
            Bound::Excluded(end) => key >= end,
            Bound::Unbounded => false,
        }
    }
}

/// Which versions a scan yields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visible {
    /// For each key its newest version at or below the timestamp, unless that is a tombstone.
    AsOf(Timestamp),
    /// Every version, tombstones included, with `after < ts <= up_to`; newest first within a key.
    Between {
        /// Excluded lower end.
        after: Timestamp,
        /// Included upper end.
        up_to: Timestamp,
    },
    /// Every version still kept, tombstones included; newest first within a key.
    All,
}

/// What to scan.
#[derive(Debug, Clone, Copy)]
pub struct ScanSpec<'a> {
    /// The keys. An inverted range is empty.
    pub range: KeyRange<'a>,
    /// The versions.
    pub visible: Visible,
    /// Descending keys. Versions within a key stay newest first.
    pub reverse: bool,
}

/// One version, lent by a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The key.
    pub key: &'a [u8],
    /// The commit that made the version.
    pub ts: Timestamp,
    /// Its value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
}

/// Walks a range.
pub trait Cursor {
    /// Moves to the next entry; false at the end. After an error every further call gives the same
    /// error until [`Cursor::seek`]: nothing is silently skipped.
    ///
    /// # Errors
    /// I/O; damage.
    fn next(&mut self) -> Result<bool>;

    /// Places the cursor just before the first entry at or after `key` (in a reverse scan: at or
    /// before), inside the range. Clears a sticky error.
    ///
    /// # Errors
    /// I/O; damage.
    fn seek(&mut self, key: &[u8]) -> Result<()>;

    /// The current entry: valid after `next` returned true.
    ///
    /// # Panics
    /// If the cursor is not on an entry.
    fn entry(&self) -> Entry<'_>;
}
