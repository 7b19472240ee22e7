//! The store: engine, log and control under one roof.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use driftdb_concurrency::{
    BeginOptions, CancelToken, CommitHashes, CommitNote, ConcurrencyControl, Counter, HistoryRules,
    IsolationLevel, LockEntry, ObjectLocks, Result, SessionLocks, Store, Transaction, TxnError,
    TxnId, VisibleClock, WaitEntry,
};
use driftdb_env::Env;
use driftdb_env::sync::Mutex;
use driftdb_env::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use driftdb_storage::{
    BackupReport, Commit, Engine, ErrorKind, RetentionPolicy, StorageError, Timestamp, VerifyDepth,
    VerifyReport,
};
use driftdb_wal::Wal;

use crate::ballast::{self, Ballast};
use crate::clock::HybridClock;
use crate::commit::{Pipeline, Position};
use crate::counters::Counters;
use crate::erase::Erasing;
use crate::followers::Followers;
use crate::maintenance::Maintenance;
use crate::pending::Pending;
use crate::readers::Readers;
use crate::record::RecordKind;
use crate::retention::RetentionState;
use crate::session_locks::StoreSessionLocks;
use crate::spill::Spill;
use crate::transaction::MvccTransaction;
use crate::view::View;
use crate::{StoreOptions, record, recovery, system};

/// A transactional store over an engine and a concurrency control. Dropping it ends the background
/// task; [`MvccStore::close`] also reports what went wrong.
pub struct MvccStore<E: Engine, C: ConcurrencyControl> {
    shared: Arc<Shared<E, C>>,
}

/// What the store, its transactions and its background task share.
pub(crate) struct Shared<E: Engine, C: ConcurrencyControl> {
    pub(crate) env: Env,
    pub(crate) engine: E,
    pub(crate) wal: Wal,
    pub(crate) control: C,
    pub(crate) clock: HybridClock,
    pub(crate) visible: VisibleClock,
    pub(crate) visible_sequence: AtomicU64,
    /// The timestamp of the newest commit that the engine has wholly.
    pub(crate) applied: AtomicU64,
    pub(crate) pipeline: Mutex<Pipeline>,
    /// Where the newest commit in parts ends in the log.
    pub(crate) parts_end: AtomicU64,
    pub(crate) spill: Spill,
    /// The first failure under a commit, as text.
    pub(crate) poisoned: OnceLock<String>,
    pub(crate) readers: Readers,
    pub(crate) followers: Followers,
    pub(crate) pending: Pending,
    pub(crate) retention: RetentionState,
    pub(crate) counters: Counters,
    pub(crate) maintenance: Maintenance,
    pub(crate) ballast: Ballast,
    pub(crate) erasing: Erasing,
    /// Held by who writes hashes of commits.
    pub(crate) keeping_hashes: Mutex<()>,
    /// Whether the ballast is given up and commits that need room are refused.
    pub(crate) is_disk_full: AtomicBool,
    pub(crate) checkpoint_log_bytes: u64,
    pub(crate) counts: Counts,
    next_txn: AtomicU64,
    is_closing: AtomicBool,
}

/// Figures since open. Transactions without writes are not counted, so that readers share no
/// counter.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) commits: AtomicU64,
    pub(crate) rollbacks: AtomicU64,
    pub(crate) conflicts: AtomicU64,
}

impl Counts {
    /// Counts an error that says: run it again.
    pub(crate) fn note_error(&self, error: &TxnError) {
        if error.kind() == ErrorKind::Retry {
            self.conflicts.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl<E: Engine, C: ConcurrencyControl> MvccStore<E, C> {
    /// Opens the store in `dir` (engine in `engine/`, log in `wal/`), creating it when there is
    /// none, and replays what the engine does not have yet. One process at a time; the server's
    /// directory lock sees to that.
    ///
    /// # Errors
    /// I/O; damage; a newer format; an engine that is ahead of its log.
    pub fn open(
        env: &Env,
        dir: &Path,
        options: &StoreOptions,
    ) -> driftdb_storage::Result<Arc<Self>> {
        match Self::try_open(env, dir, options) {
            Err(error) if ballast::is_full(&error) && Ballast::give_up(env, dir) => {
                Self::try_open(env, dir, options)
            }
            opened => opened,
        }
    }

    fn try_open(
        env: &Env,
        dir: &Path,
        options: &StoreOptions,
    ) -> driftdb_storage::Result<Arc<Self>> {
        let (engine_dir, wal_dir) = (dir.join("engine"), dir.join("wal"));
        env.disk().create_dir_all(&engine_dir)?;
        env.disk().create_dir_all(&wal_dir)?;
        let engine = E::open(env, &engine_dir, &options.engine)?;
        let wal = Wal::open_to_replay(env, &wal_dir, &options.wal)?;
        let clock = HybridClock::new(env);
        let mut last = recovery::replay(&engine, &wal, &clock)?;
        if last == Position::default() {
            last = create(&engine, &wal, &clock)?;
        }
        let view = View { ts: last.commit.ts, snapshot: engine.snapshot() };
        let counters = Counters::restore(&view)?;
        let visible = VisibleClock::new(last.commit.ts);
        let shared = Arc::new(Shared {
            env: env.clone(),
            engine,
            wal,
            control: C::new(env, &visible),
            clock,
            visible,
            visible_sequence: AtomicU64::new(last.sequence),
            applied: AtomicU64::new(last.commit.ts.0),
            pipeline: Mutex::new(Pipeline::after(last)),
            parts_end: AtomicU64::new(0),
            spill: Spill::open(env, dir, options.transaction_memory_bytes)?,
            poisoned: OnceLock::new(),
            readers: Readers::default(),
            followers: Followers::default(),
            pending: Pending::default(),
            retention: RetentionState::new(options.retention, options.awaits_history_rules),
            counters,
            maintenance: Maintenance::new(options.maintain_log_bytes, options.stall_log_bytes),
            ballast: Ballast::new(env, dir, options.ballast_bytes),
            erasing: Erasing::new(dir),
            keeping_hashes: Mutex::default(),
            is_disk_full: AtomicBool::new(false),
            checkpoint_log_bytes: options.checkpoint_log_bytes,
            counts: Counts::default(),
            next_txn: AtomicU64::new(1),
            is_closing: AtomicBool::new(false),
        });
        shared.refresh_retention();
        shared.recover_erasure()?;
        if options.background {
            shared.start_maintenance();
        }
        Ok(Arc::new(Self { shared }))
    }

    /// Refuses new transactions and writes, ends the background task, makes everything durable in
    /// the engine. Calling it again does nothing new.
    ///
    /// # Errors
    /// The first error that the background task met; else that of the last checkpoint.
    pub fn close(&self) -> Result<()> {
        self.shared.is_closing.store(true, Ordering::SeqCst);
        self.shared.maintenance.stop();
        if let Some(error) = self.background_error() {
            return Err(error.into());
        }
        self.shared.check_poison()?;
        Ok(self.shared.checkpoint()?)
    }

    /// The first error that the background task met.
    pub fn background_error(&self) -> Option<StorageError> {
        self.shared.maintenance.first_error()
    }

    /// Does what is due of the background task's work, on the caller's thread.
    ///
    /// # Errors
    /// Storage.
    pub fn maintain(&self) -> Result<()> {
        Ok(self.shared.maintain_round()?)
    }

    pub(crate) fn shared(&self) -> &Shared<E, C> {
        &self.shared
    }

    /// The engine, for tests and reports.
    pub fn engine(&self) -> &E {
        &self.shared.engine
    }

    /// The log, for replication, tests and reports.
    pub fn wal(&self) -> &Wal {
        &self.shared.wal
    }

    /// The concurrency control, for `pg_locks` and tests.
    pub fn control(&self) -> &C {
        &self.shared.control
    }
}

/// Writes the first record of a database.
fn create<E: Engine>(
    engine: &E,
    wal: &Wal,
    clock: &HybridClock,
) -> driftdb_storage::Result<Position> {
    let batch = system::bootstrap();
    let ts = clock.tick();
    let header = record::header(RecordKind::System, 0, ts, &[]);
    let lsn = wal.append(&[&header, batch.as_bytes()])?;
    wal.wait_durable(lsn)?;
    let commit = Commit { lsn, ts };
    engine.apply(&batch, commit)?;
    Ok(Position { commit, sequence: 0 })
}

impl<E: Engine, C: ConcurrencyControl> Drop for MvccStore<E, C> {
    fn drop(&mut self) {
        self.shared.is_closing.store(true, Ordering::SeqCst);
        self.shared.maintenance.stop();
    }
}

impl<E: Engine, C: ConcurrencyControl> Shared<E, C> {
    pub(crate) fn check_open(&self) -> Result<()> {
        if self.is_closing.load(Ordering::Relaxed) {
            return Err(TxnError::ShuttingDown);
        }
        Ok(())
    }

    pub(crate) fn next_txn(&self) -> TxnId {
        TxnId(self.next_txn.fetch_add(1, Ordering::Relaxed))
    }
}

impl<E: Engine, C: ConcurrencyControl> Store for MvccStore<E, C> {
    fn begin(&self, options: BeginOptions) -> Result<Box<dyn Transaction>> {
        self.shared.check_open()?;
        Ok(Box::new(MvccTransaction::begin(&self.shared, options)?))
    }

    fn newest(&self) -> Timestamp {
        self.shared.visible()
    }

    fn timestamp_of_sequence(&self, sequence: u64) -> Result<Timestamp> {
        self.shared.timestamp_of_sequence(sequence)
    }

    fn sequence_at(&self, ts: Timestamp) -> Result<u64> {
        self.shared.sequence_at(ts)
    }

    fn commits(&self, first: u64, last: u64, most: usize) -> Result<Vec<CommitNote>> {
        self.shared.commits(first, last, most)
    }

    fn hashes(&self) -> Option<&dyn CommitHashes> {
        Some(self)
    }

    fn wait_for_commit(
        &self,
        after: u64,
        limit: Duration,
        cancel: &CancelToken,
    ) -> Result<Duration> {
        let shared = &self.shared;
        let is_there = || shared.visible_sequence() > after || shared.check_open().is_err();
        let left = shared.followers.wait(&shared.env, limit, cancel, is_there)?;
        shared.check_open().map(|()| left)
    }

    fn unique_ids(&self, counter: Counter, count: u64) -> Result<u64> {
        self.shared.unique_ids(counter, count)
    }

    fn retention(&self) -> Arc<RetentionPolicy> {
        self.shared.retention.policy()
    }

    fn set_retention(&self, policy: RetentionPolicy) {
        self.shared.ask_retention(policy);
    }

    fn set_history_rules(&self, rules: HistoryRules) {
        self.shared.set_history_rules(rules);
    }

    fn checkpoint(&self) -> Result<()> {
        Ok(self.shared.checkpoint()?)
    }

    fn can_erase(&self) -> bool {
        E::HAS_FILES
    }

    fn verify(
        &self,
        depth: VerifyDepth,
        report: &mut dyn VerifyReport,
    ) -> driftdb_storage::Result<()> {
        self.shared.verify(depth, report)
    }

    fn backup(&self, dir: &Path, base: Option<&Path>) -> driftdb_storage::Result<BackupReport> {
        self.shared.back_up(dir, base)
    }

    fn stats(&self, out: &mut dyn FnMut(&'static str, u64)) {
        let shared = &self.shared;
        shared.engine.stats(out);
        shared.wal.stats(out);
        shared.maintenance.stats(out);
        out("commits", shared.counts.commits.load(Ordering::Relaxed));
        out("rollbacks", shared.counts.rollbacks.load(Ordering::Relaxed));
        out("conflicts", shared.counts.conflicts.load(Ordering::Relaxed));
        out("spills", shared.spill.count());
        out("long_reader_count", shared.readers.count() as u64);
        out("lock_wait_count", shared.control.locks().waits().len() as u64);
        out("sequence_count", shared.visible_sequence());
    }

    fn session_locks(&self, token: &CancelToken) -> Box<dyn SessionLocks> {
        Box::new(StoreSessionLocks::new(&self.shared, token))
    }

    fn must_lock_reads(&self) -> bool {
        self.shared.control.locks().must_lock_reads()
    }

    fn blockers(&self, session: i32) -> Vec<i32> {
        self.shared.control.locks().blockers(session)
    }

    fn locks(&self) -> Vec<LockEntry> {
        self.shared.control.locks().list()
    }

    fn waits(&self) -> Vec<WaitEntry> {
        self.shared.control.locks().waits()
    }

    fn control_name(&self) -> &'static str {
        C::NAME
    }

    fn engine_name(&self) -> &'static str {
        E::NAME
    }

    fn claims_wait(&self) -> bool {
        C::CLAIMS_WAIT
    }

    fn granted(&self, requested: IsolationLevel) -> IsolationLevel {
        C::granted(requested)
    }
}
