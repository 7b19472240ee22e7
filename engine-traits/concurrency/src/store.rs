//! The object-safe boundary that the executor calls.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use driftdb_storage::{
    BackupReport, Commit, Erasure, KeyRange, KeyspaceId, RetentionPolicy, StorageError, Timestamp,
    VerifyDepth, VerifyReport,
};

use crate::{
    CancelToken, CommitHashes, CommitNote, HistoryRules, IsolationLevel, LockEntry, LockMode,
    LockObject, LockStrength, ObjectLocked, Provenance, Result, RowBatch, SessionLocks, WaitEntry,
    WaitPolicy,
};

/// The identity of a transaction; larger is younger. Not reused while the store is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TxnId(pub u64);

/// How to begin.
#[derive(Debug, Clone)]
pub struct BeginOptions {
    /// The level asked for; the control may grant a stronger one.
    pub isolation: IsolationLevel,
    /// Promise not to write.
    pub read_only: bool,
    /// SERIALIZABLE and read-only: wait for a snapshot that cannot fail (DEFERRABLE).
    pub deferrable: bool,
    /// Read the past: every read is as of this time, writes are refused.
    pub as_of: Option<Timestamp>,
    /// How its waits are interrupted.
    pub cancel: CancelToken,
}

impl Default for BeginOptions {
    fn default() -> Self {
        Self {
            isolation: IsolationLevel::ReadCommitted,
            read_only: false,
            deferrable: false,
            as_of: None,
            cancel: CancelToken::new(),
        }
    }
}

/// Numbers that are never given out twice on one database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Counter {
    /// Keys of rows in tables without a primary key.
    RowId,
    /// Object identifiers of the catalog, from 16384.
    ObjectId,
    /// Keyspaces, from 1024; lower ones are the system's.
    Keyspace,
}

/// A transactional store: one engine, one log, one concurrency control.
pub trait Store: Send + Sync {
    /// Starts a transaction.
    ///
    /// # Errors
    /// A time outside of the promise or in the future; shutting down.
    fn begin(&self, options: BeginOptions) -> Result<Box<dyn Transaction>>;

    /// The timestamp of the newest visible commit.
    fn newest(&self) -> Timestamp;

    /// The timestamp of commit sequence number `sequence`.
    ///
    /// # Errors
    /// [`crate::TxnError::UnknownSequence`].
    fn timestamp_of_sequence(&self, sequence: u64) -> Result<Timestamp>;

    /// The sequence number of the newest commit at or before `ts`; 0 if there is none.
    ///
    /// # Errors
    /// Storage.
    fn sequence_at(&self, ts: Timestamp) -> Result<u64>;

    /// The visible commits with numbers `first..=last`, ascending, at most `most` of them.
    ///
    /// # Errors
    /// Storage.
    fn commits(&self, first: u64, last: u64, most: usize) -> Result<Vec<CommitNote>>;

    /// What is remembered of commits for digests of history; `None`: the store is a branch, whose commits are
    /// among its database's.
    fn hashes(&self) -> Option<&dyn CommitHashes>;

    /// Returns when a commit with a number above `after` is visible, or after `limit`: what is left of
    /// the limit, nothing in the second case. What was committed can be read in a statement that begins
    /// after the return.
    ///
    /// # Errors
    /// Canceled; shutting down.
    fn wait_for_commit(
        &self,
        after: u64,
        limit: Duration,
        cancel: &CancelToken,
    ) -> Result<Duration>;

    /// The first of `count` consecutive numbers that nobody else gets. Not undone by a rollback.
    ///
    /// # Errors
    /// Storage.
    fn unique_ids(&self, counter: Counter, count: u64) -> Result<u64>;

    /// The promise about history.
    fn retention(&self) -> Arc<RetentionPolicy>;

    /// Replaces the promise about history. Open transactions keep what they can read.
    fn set_retention(&self, policy: RetentionPolicy);

    /// Replaces the exceptions from the promise about history: keyspaces with a period of their own, and
    /// pinned times. They are followed as time goes. Open transactions keep what they can read. Not
    /// persisted: the caller sets them again after a start.
    fn set_history_rules(&self, rules: HistoryRules);

    /// Makes everything committed durable in the engine, drops history past the promise, lets the
    /// log go (`VACUUM`, shutdown).
    ///
    /// # Errors
    /// Storage.
    fn checkpoint(&self) -> Result<()>;

    /// Whether the store can erase: not one whose only copy is the log.
    fn can_erase(&self) -> bool;

    /// Checks engine and log; see [`driftdb_storage::Engine::verify`].
    ///
    /// # Errors
    /// Storage, other than damage.
    fn verify(
        &self,
        depth: VerifyDepth,
        report: &mut dyn VerifyReport,
    ) -> std::result::Result<(), StorageError>;

    /// Copies the store into `dir`, which is made and must be empty or absent; every commit acknowledged
    /// before the call is in the copy. See [`driftdb_storage::Engine::backup`] for `base`.
    ///
    /// # Errors
    /// Storage; `dir` is then removed as far as possible.
    fn backup(
        &self,
        dir: &Path,
        base: Option<&Path>,
    ) -> std::result::Result<BackupReport, StorageError>;

    /// Figures of engine, log and transactions by name.
    fn stats(&self, out: &mut dyn FnMut(&'static str, u64));

    /// Locks of a session beside its transactions: advisory ones.
    fn session_locks(&self, token: &CancelToken) -> Box<dyn SessionLocks>;

    /// Whether reading a table must take [`LockMode::AccessShare`] on it: somebody holds or waits
    /// for what excludes readers. One load.
    fn must_lock_reads(&self) -> bool;

    /// The sessions that a session waits for.
    fn blockers(&self, session: i32) -> Vec<i32>;

    /// Every lock, for `pg_locks`.
    fn locks(&self) -> Vec<LockEntry>;

    /// Every wait, for `driftdb_waits`.
    fn waits(&self) -> Vec<WaitEntry>;

    /// The concurrency control's name.
    fn control_name(&self) -> &'static str;

    /// The engine's name.
    fn engine_name(&self) -> &'static str;

    /// Whether a claim waits for its holder ([`crate::ConcurrencyControl::CLAIMS_WAIT`]).
    fn claims_wait(&self) -> bool;

    /// The level that the control grants for one asked for.
    fn granted(&self, requested: IsolationLevel) -> IsolationLevel;
}

/// As of when to read, and which own writes to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadAt {
    /// The statement's view: its snapshot, and own writes of *earlier* statements. What SELECT, and
    /// the reading side of UPDATE, DELETE and INSERT … SELECT use, so that no statement chases its own
    /// writes.
    Statement,
    /// The newest committed version and every own write, also of the running statement. What
    /// constraint checks, and the re-check of a row that was waited for, use. It may be of a commit that is
    /// not durable yet: see [`Transaction::settle_reads`].
    Newest,
    /// The past, without own writes.
    AsOf(Timestamp),
}

/// Why a key is locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockIntent {
    /// A row that the statement's snapshot showed is updated, deleted or locked: above READ
    /// COMMITTED a newer version is a conflict.
    Existing,
    /// A key is about to be inserted: what stands there now decides, at every level.
    Insert,
    /// A key that nobody else writes or locks as long as this transaction runs: the number of a new row,
    /// an index entry that names a row which is claimed. Only protocols that lock what they scan need
    /// the claim.
    Owned,
}

/// The state of a key after it was locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Locked {
    /// As the statement's snapshot shows it.
    Unchanged,
    /// Changed by another since the snapshot (READ COMMITTED): read it again with
    /// [`ReadAt::Newest`] and check whether it still qualifies.
    Changed,
}

/// A scan request: up to `max_rows` rows of a range.
#[derive(Debug, Clone, Copy)]
pub struct ScanRequest<'a> {
    /// The keys. To go on after a batch, exclude its last key (in reverse, at the upper end).
    pub range: KeyRange<'a>,
    /// As of when.
    pub at: ReadAt,
    /// Descending.
    pub reverse: bool,
    /// The most rows to return.
    pub max_rows: usize,
}

/// A scan over versions: see [`Transaction::scan_versions`].
#[derive(Debug, Clone, Copy)]
pub struct VersionScan<'a> {
    /// The keys. To go on after a batch that ended with version *ts* of key *k*, begin at *k*
    /// (included; in reverse, end there) and set `older_than` to *ts*.
    pub range: KeyRange<'a>,
    /// What was alive at this time or began later.
    pub from: Timestamp,
    /// What began at this time or earlier.
    pub up_to: Timestamp,
    /// Of the range's first key (in reverse: its last), which the range then includes, only versions
    /// older than this.
    pub older_than: Option<Timestamp>,
    /// Descending keys. Versions within a key stay newest first.
    pub reverse: bool,
    /// The most versions to return.
    pub max_rows: usize,
}

/// Whether a scan is finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScanState {
    /// There may be more rows after the batch's last key.
    More,
    /// The range is exhausted.
    Done,
}

/// Names a savepoint inside one transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SavepointId(pub u64);

/// A finished commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// Its place in the log and in time; `None` if nothing was written.
    pub commit: Option<Commit>,
    /// Its dense sequence number; that of the newest visible commit if nothing was written.
    pub sequence: u64,
}

/// A running transaction. Used by one thread at a time. Dropping it rolls back.
pub trait Transaction: Send {
    /// Its identity.
    fn id(&self) -> TxnId;

    /// The granted level.
    fn isolation(&self) -> IsolationLevel;

    /// Whether writes are refused.
    fn is_read_only(&self) -> bool;

    /// The timestamp that [`ReadAt::Statement`] reads at.
    fn snapshot_ts(&self) -> Timestamp;

    /// Starts the next statement: own writes so far become visible to it; at READ COMMITTED it gets a
    /// new snapshot, which has everything that an earlier statement read.
    ///
    /// # Errors
    /// Shutting down.
    fn begin_statement(&mut self) -> Result<()>;

    /// As [`Transaction::begin_statement`], within the running statement, which goes on after
    /// [`Transaction::leave_statement`] as if nothing had been written since: what a function does is
    /// not seen by the statement that calls it. Further statements may begin in between.
    ///
    /// # Errors
    /// Shutting down.
    fn enter_statement(&mut self) -> Result<()>;

    /// Goes back to the statement around; each that was entered is left, in order, also after an error.
    fn leave_statement(&mut self);

    /// Begins the transaction's first statement anew, on a newer snapshot that is then the transaction's: what
    /// it wrote is undone, what it claimed and locked stays. So a statement that met a row which was
    /// changed since the snapshot need not fail, if nobody has seen anything of it. False, and nothing
    /// happens, if a savepoint lives, or the transaction does not keep its snapshot.
    ///
    /// # Errors
    /// Shutting down.
    fn restart(&mut self) -> Result<bool>;

    /// Appends the value of `key` to `out` and returns true, or leaves `out` and returns false.
    ///
    /// # Errors
    /// See [`crate::TxnError`].
    fn get(&mut self, space: KeyspaceId, key: &[u8], at: ReadAt, out: &mut Vec<u8>)
    -> Result<bool>;

    /// Adds the next rows of a range to `out` (which is not cleared).
    ///
    /// # Errors
    /// See [`crate::TxnError`].
    fn scan(
        &mut self,
        space: KeyspaceId,
        request: &ScanRequest<'_>,
        out: &mut RowBatch,
    ) -> Result<ScanState>;

    /// Adds the next committed versions of a range to `out` (which is not cleared): for each key, newest
    /// first, those that began in `from < ts <= up_to`, tombstones among them, then the one that was
    /// alive at `from`, if there is one. So everything that lived at some time of `from..=up_to` is
    /// there, and for each version but the newest also what ended it. Where the keyspace did not exist
    /// at `from`, nothing was alive then; a keyspace that was dropped before `up_to` can still be
    /// scanned. Like [`ReadAt::AsOf`], it shows no own writes, and no control hears of it. Cost: the
    /// versions given, and one step for each key of the range that has any.
    ///
    /// # Errors
    /// `from` is outside of the promise, `up_to` in the future; see [`crate::TxnError`].
    fn scan_versions(
        &mut self,
        space: KeyspaceId,
        request: &VersionScan<'_>,
        out: &mut RowBatch,
    ) -> Result<ScanState>;

    /// As [`Transaction::scan_versions`], without what was alive at `from`: the versions that began in
    /// `from < ts <= up_to`, tombstones among them. Cost: the versions given, and what the engine takes to
    /// pass by the keys without any.
    ///
    /// # Errors
    /// As [`Transaction::scan_versions`].
    fn scan_begun(
        &mut self,
        space: KeyspaceId,
        request: &VersionScan<'_>,
        out: &mut RowBatch,
    ) -> Result<ScanState>;

    /// Adds, for each of the next keys of a range for which a version began in `after < ts <= up_to`, the
    /// newest of those, perhaps a tombstone, to `out` (which is not cleared). To go on after a batch, exclude
    /// its last key. Otherwise as [`Transaction::scan_versions`]; where the keyspace did not exist at
    /// `up_to`, there is nothing. Cost: what the engine takes to pass by the keys without such a version.
    ///
    /// # Errors
    /// As [`Transaction::scan_versions`].
    fn scan_changes(
        &mut self,
        space: KeyspaceId,
        range: &KeyRange<'_>,
        after: Timestamp,
        up_to: Timestamp,
        max_rows: usize,
        out: &mut RowBatch,
    ) -> Result<ScanState>;

    /// The earliest `from` that [`Transaction::scan_versions`] takes in this statement.
    ///
    /// # Errors
    /// See [`crate::TxnError`].
    fn oldest_readable(&mut self, space: KeyspaceId) -> Result<Timestamp>;

    /// Claims a key; after it, nobody else changes the key until this transaction ends.
    ///
    /// # Errors
    /// See [`crate::TxnError`].
    fn lock(
        &mut self,
        space: KeyspaceId,
        key: &[u8],
        strength: LockStrength,
        intent: LockIntent,
        wait: WaitPolicy,
    ) -> Result<Locked>;

    /// Locks a table, or another object, until this transaction ends or is rolled back to an earlier
    /// savepoint. In a historical transaction it does nothing.
    ///
    /// # Errors
    /// Deadlock, cancel, timeout, not available.
    fn lock_object(
        &mut self,
        object: LockObject,
        mode: LockMode,
        wait: WaitPolicy,
    ) -> Result<ObjectLocked>;

    /// Returns when everything that was read so far is durable and visible to all; to be called before any of
    /// it is shown to anybody. Whoever got a claim from a transaction on its way into the log reads what that
    /// wrote, goes on, and may himself commit, which is durable no sooner.
    ///
    /// # Errors
    /// The log failed: what was read may not have been committed.
    fn settle_reads(&mut self) -> Result<()>;

    /// Whether a key has a newer version than [`Transaction::snapshot_ts`], or may have had one.
    ///
    /// # Errors
    /// Storage.
    fn has_changed(&mut self, space: KeyspaceId, key: &[u8]) -> Result<bool>;

    /// Writes a value. The key must have been locked with [`LockStrength::NoKeyUpdate`] or stronger,
    /// unless its keyspace was created by this transaction.
    ///
    /// # Errors
    /// Read-only.
    fn put(&mut self, space: KeyspaceId, key: &[u8], value: &[u8]) -> Result<()>;

    /// Removes a key; as [`Transaction::put`].
    ///
    /// # Errors
    /// Read-only.
    fn delete(&mut self, space: KeyspaceId, key: &[u8]) -> Result<()>;

    /// Brings a keyspace into being at commit; writable at once by this transaction.
    ///
    /// # Errors
    /// Read-only.
    fn create_keyspace(&mut self, space: KeyspaceId) -> Result<()>;

    /// Ends a keyspace at commit; unreadable at once in this transaction.
    ///
    /// # Errors
    /// Read-only.
    fn drop_keyspace(&mut self, space: KeyspaceId) -> Result<()>;

    /// Marks the present state of the writes.
    fn savepoint(&mut self) -> SavepointId;

    /// Undoes the writes since the savepoint, which stays usable; later savepoints are gone. Claims
    /// and locks taken since then are given back where the protocol can do without them.
    fn rollback_to(&mut self, savepoint: SavepointId);

    /// Forgets the savepoint and later ones; their writes stay.
    fn release(&mut self, savepoint: SavepointId);

    /// Lets the commit erase from all history ([`driftdb_storage::Engine::erase`]): versions up to and
    /// including those of this commit. [`Transaction::commit`] returns when they are gone from every file.
    /// The caller holds the tables alone until then. Not undone by [`Transaction::rollback_to`]. A
    /// transaction that erases has something to commit.
    ///
    /// # Errors
    /// [`crate::TxnError::ReadOnly`].
    fn erase(&mut self, erasure: Erasure) -> Result<()>;

    /// What the commit says of itself; forgotten by a rollback, and where nothing is written.
    fn describe(&mut self, provenance: &Provenance);

    /// Whether anything was written.
    fn has_writes(&self) -> bool;

    /// Commits; returns when the commit is durable and visible, and so is everything that was read.
    ///
    /// # Errors
    /// Any conflict (nothing was written), or [`crate::TxnError::OutcomeUnknown`].
    fn commit(self: Box<Self>) -> Result<Committed>;

    /// Undoes everything.
    fn rollback(self: Box<Self>);
}
