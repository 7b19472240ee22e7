//! A running transaction: what it reads at, what it wrote, what it claimed.
//!
//! A READ COMMITTED transaction takes an engine snapshot per statement, and only when the statement
//! reads; it registers nowhere and calls no control until it locks. Transactions that keep one
//! snapshot register with the readers, so that history they may ask for is kept. Under a protocol
//! that reads the newest version under its locks, each read takes its own moment. What is read under a claim
//! may not be durable yet (`settle.rs`).

mod lock;
mod read;
mod settle;
mod versions;
mod write;

use std::sync::Arc;

use driftdb_concurrency::{
    Begin, BeginOptions, CancelToken, Committed, ConcurrencyControl, IsolationLevel, LockIntent,
    LockMode, LockObject, LockStrength, Locked, ObjectLocked, Provenance, ReadAt, Result, RowBatch,
    SavepointId, ScanRequest, ScanState, Transaction, TxnError, TxnId, VersionScan, WaitPolicy,
};
use driftdb_env::kernel::preemption_point;
use driftdb_env::sync::MutexGuard;
use driftdb_env::sync::atomic::Ordering;
use driftdb_env::{planted, sometimes, yield_now};
use driftdb_storage::{Engine, Erasure, KeyRange, KeyspaceId, StorageError, Timestamp};

use crate::commit::Said;
use crate::pending::SharedWrites;
use crate::provenance;
use crate::store::Shared;
use crate::view::View;
use crate::write_set::{Fate, WriteSet};

/// What a transaction may do and how it reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// A new snapshot per statement.
    Statement,
    /// One snapshot for life.
    Snapshot,
    /// The newest version under locks.
    Newest,
    /// The newest version, pending or committed, of each key by itself.
    Dirty,
    /// The past.
    Historical,
}

pub(crate) struct MvccTransaction<E: Engine, C: ConcurrencyControl> {
    shared: Arc<Shared<E, C>>,
    id: TxnId,
    isolation: IsolationLevel,
    mode: Mode,
    is_read_only: bool,
    /// Whether the control wants to hear of reads.
    tracks_reads: bool,
    cancel: CancelToken,
    /// What [`ReadAt::Statement`] reads at.
    snapshot_ts: Timestamp,
    /// A snapshot for it, once something was read.
    view: Option<View<E::Snapshot>>,
    /// The last other moment that was read, kept for the next read of it.
    other: Option<View<E::Snapshot>>,
    /// Up to when commits were read before they were visible.
    depends_on: Timestamp,
    /// The time under which this transaction is registered as a reader.
    entered: Option<Timestamp>,
    /// The control's part, from the first call to it on.
    control: Option<C::Txn>,
    /// Shared with dirty readers once something is in it.
    writes: SharedWrites,
    /// What the statements around the present one read at, outermost first.
    around: Vec<(Timestamp, Option<View<E::Snapshot>>)>,
    /// Whether nothing was done to `writes` yet, so that reads need not look.
    is_untouched: bool,
    /// How far the locks went when each living savepoint was made.
    lock_marks: Vec<(SavepointId, usize)>,
    /// What the commit says of itself, as bytes.
    note: Vec<u8>,
    /// What the commit erases from all history.
    erasure: Option<Erasure>,
}

impl<E: Engine, C: ConcurrencyControl> MvccTransaction<E, C> {
    pub(crate) fn begin(shared: &Arc<Shared<E, C>>, options: BeginOptions) -> Result<Self> {
        let isolation = C::granted(options.isolation);
        let is_long = isolation >= IsolationLevel::RepeatableRead;
        let is_read_only = options.read_only || options.as_of.is_some();
        let mode = match options.as_of {
            Some(_) => Mode::Historical,
            // Commit order is a serial order of every control here, so a snapshot is a state that
            // some serial execution passes through: readers need no locks.
            None if is_long && C::READS_NEWEST && !is_read_only => Mode::Newest,
            None if is_long => Mode::Snapshot,
            None if isolation == IsolationLevel::ReadUncommitted => Mode::Dirty,
            None => Mode::Statement,
        };
        let mut txn = Self {
            shared: Arc::clone(shared),
            id: shared.next_txn(),
            isolation,
            mode,
            is_read_only,
            tracks_reads: mode != Mode::Historical && C::tracks_reads(isolation, is_read_only),
            cancel: options.cancel,
            snapshot_ts: shared.visible(),
            view: None,
            other: None,
            depends_on: Timestamp::MIN,
            around: Vec::new(),
            entered: None,
            control: None,
            writes: SharedWrites::default(),
            is_untouched: true,
            lock_marks: Vec::new(),
            note: Vec::new(),
            erasure: None,
        };
        match options.as_of {
            Some(ts) => txn.enter_past(ts)?,
            None => {
                while !txn.enter_control(options.deferrable)? {
                    yield_now("mvcc.begin-again");
                }
            }
        }
        Ok(txn)
    }

    /// Takes the snapshot that this transaction keeps, and tells the control of one whose reads it
    /// tracks. False if another snapshot is needed: commits since this one are forgotten already, or a
    /// deferrable transaction could fail on it.
    fn enter_control(&mut self, is_deferrable: bool) -> Result<bool> {
        if self.mode == Mode::Snapshot {
            self.enter_now();
            preemption_point("mvcc.snapshot-taken");
        }
        if !self.tracks_reads {
            return Ok(true);
        }
        self.control = self.shared.control.begin(self.as_begin());
        let mut is_fit = self.control.is_some();
        if let Some(control) = &mut self.control
            && is_deferrable
            && self.is_read_only
        {
            is_fit = self.shared.control.wait_until_safe(control, &self.cancel)?;
        }
        sometimes!("mvcc.begun-anew-on-a-newer-snapshot", !is_fit);
        if !is_fit {
            self.finish(None);
        }
        Ok(is_fit)
    }

    fn enter_past(&mut self, ts: Timestamp) -> Result<()> {
        let ts = if planted!("mvcc.past-reads-one-later") { ts.next() } else { ts };
        // In this order: what is promised once it is registered stays until it leaves.
        self.shared.readers.enter_anyway(self.id, ts);
        self.entered = Some(ts);
        self.shared.check_promised(ts)?;
        self.snapshot_ts = ts;
        self.view = Some(self.shared.view_as_of(ts)?);
        Ok(())
    }

    fn enter_now(&mut self) {
        loop {
            let mut ts = self.shared.visible();
            if planted!("mvcc.snapshot-ahead-of-visible") {
                // Commits that are on their way get times up to here.
                ts = self.shared.clock.latest();
            }
            if self.shared.readers.enter(self.id, ts) {
                self.entered = Some(ts);
                self.snapshot_ts = ts;
                self.view = Some(View { ts, snapshot: self.shared.engine.snapshot() });
                return;
            }
        }
    }

    /// See [`Transaction::restart`].
    fn renew(&mut self) -> Result<bool> {
        if self.mode != Mode::Snapshot || self.is_read_only || !self.lock_marks.is_empty() {
            return Ok(false);
        }
        self.shared.check_open()?;
        sometimes!("mvcc.restarted-on-a-newer-snapshot");
        if !self.is_untouched {
            *self.writes.lock() = WriteSet::default();
        }
        self.other = None;
        loop {
            if let Some(ts) = self.entered.take() {
                self.shared.readers.leave(self.id, ts);
            }
            self.enter_now();
            let Some(control) = &mut self.control else { return Ok(true) };
            if self.shared.control.renew(control, self.snapshot_ts) {
                return Ok(true);
            }
        }
    }

    /// What the control has to know of this transaction.
    fn as_begin(&self) -> Begin {
        Begin {
            id: self.id,
            isolation: self.isolation,
            read_ts: self.snapshot_ts,
            read_only: self.is_read_only,
            cancel: self.cancel.clone(),
        }
    }

    /// A commit of which nobody knows whether it is durable may have dropped a keyspace in the engine, unseen:
    /// the log's failure is what there is to say.
    fn explain<T>(&self, result: Result<T>) -> Result<T> {
        match result {
            Err(TxnError::Storage(StorageError::UnknownKeyspace { .. })) => {
                self.shared.check_poison().and(result)
            }
            result => result,
        }
    }

    /// Tells the control of this transaction, if it does not know yet.
    fn begin_control(&mut self) {
        if self.control.is_none() {
            let begun = self.shared.control.begin(self.as_begin());
            self.control = Some(begun.expect("only whose reads are tracked can come too late"));
        }
    }

    /// The write set, to change it.
    fn writes(&mut self) -> MutexGuard<'_, WriteSet> {
        self.touch();
        self.writes.lock()
    }

    fn touch(&mut self) {
        if self.is_untouched {
            self.is_untouched = false;
            self.shared.pending.register(self.id, &self.writes);
        }
    }

    /// What this transaction did to a keyspace.
    fn fate(&self, space: KeyspaceId) -> Fate {
        if self.is_untouched { Fate::Lives } else { self.writes.lock().fate(space) }
    }

    /// Ends the control's part and the registration. Every path comes here once.
    fn finish(&mut self, committed: Option<Timestamp>) {
        if let Some(control) = self.control.take() {
            self.shared.control.finish(control, committed);
        }
        if let Some(ts) = self.entered.take() {
            self.shared.readers.leave(self.id, ts);
        }
        if !self.is_untouched {
            self.shared.pending.forget(self.id);
        }
    }

    fn validate_reads(&mut self) -> Result<()> {
        if self.isolation == IsolationLevel::Serializable && self.mode != Mode::Historical {
            // A commit of unknown outcome may come before what was read in every serial order, or after.
            self.shared.check_poison()?;
        }
        let Some(control) = &mut self.control else { return Ok(()) };
        let checked = self.shared.control.validate_reads(control);
        if let Err(error) = &checked {
            self.shared.counts.note_error(error);
        }
        checked
    }

    fn commit_writes(&mut self) -> Result<Committed> {
        if !self.has_writes() {
            self.validate_reads()?;
            if !planted!("mvcc.reader-ends-before-durable") {
                self.settle()?;
            }
            self.finish(None);
            return Ok(Committed { commit: None, sequence: self.shared.visible_sequence() });
        }
        if planted!("mvcc.claims-end-before-commit")
            && let Some(control) = self.control.take()
        {
            self.shared.control.finish(control, None);
        }
        let shared = Arc::clone(&self.shared);
        let Some(erasure) = self.erasure.take() else { return self.commit_changes(None) };
        let mut pending = shared.erasing.pending.lock();
        // One at a time: an earlier one comes first.
        shared.finish_erasure(&mut pending)?;
        let committed = self.commit_changes(Some(&erasure))?;
        let up_to = committed.commit.map_or(Timestamp::MIN, |commit| commit.ts);
        *pending = Some(erasure.limited_to(up_to));
        let finished = shared.finish_erasure(&mut pending);
        finished.map_err(|source| TxnError::ErasureUnfinished { source })?;
        Ok(committed)
    }

    fn commit_changes(&mut self, erasure: Option<&Erasure>) -> Result<Committed> {
        let counts = &self.shared.counts;
        let said = Said { id: self.id, note: &self.note, snapshot: self.snapshot_ts, erasure };
        let committed = {
            let writes = self.writes.lock();
            let changes = writes.to_changes();
            if writes.is_in_memory() {
                drop(writes);
                self.shared.commit(changes, self.control.as_mut(), &said)
            } else {
                self.shared.commit_in_parts(&writes, changes, self.control.as_mut(), &said)
            }
        };
        match committed {
            Ok(position) => {
                counts.commits.fetch_add(1, Ordering::Relaxed);
                self.finish(Some(position.commit.ts));
                Ok(Committed { commit: Some(position.commit), sequence: position.sequence })
            }
            Err(error) => {
                counts.note_error(&error);
                // It may be found to have committed: who reads on must be certified as if it had.
                let is_unknown = matches!(error, TxnError::OutcomeUnknown { .. });
                self.finish(is_unknown.then(|| self.shared.clock.latest()));
                Err(error)
            }
        }
    }
}

impl<E: Engine, C: ConcurrencyControl> Drop for MvccTransaction<E, C> {
    fn drop(&mut self) {
        if self.has_writes() && self.control.is_some() {
            self.shared.counts.rollbacks.fetch_add(1, Ordering::Relaxed);
        }
        self.finish(None);
    }
}

impl<E: Engine, C: ConcurrencyControl> Transaction for MvccTransaction<E, C> {
    fn id(&self) -> TxnId {
        self.id
    }

    fn isolation(&self) -> IsolationLevel {
        self.isolation
    }

    fn is_read_only(&self) -> bool {
        self.is_read_only
    }

    fn snapshot_ts(&self) -> Timestamp {
        self.snapshot_ts
    }

    fn begin_statement(&mut self) -> Result<()> {
        self.shared.check_open()?;
        if !self.is_untouched || !self.around.is_empty() {
            self.writes.lock().begin_statement();
        }
        self.other = None;
        let is_kept = self.view.is_some() && planted!("mvcc.statement-snapshot-kept");
        if matches!(self.mode, Mode::Statement | Mode::Newest | Mode::Dirty) && !is_kept {
            self.view = None;
            self.snapshot_ts = self.next_snapshot();
        }
        Ok(())
    }

    fn enter_statement(&mut self) -> Result<()> {
        self.shared.check_open()?;
        self.writes.lock().enter_statement();
        self.other = None;
        let is_new = matches!(self.mode, Mode::Statement | Mode::Newest | Mode::Dirty);
        let view = if is_new { self.view.take() } else { None };
        self.around.push((self.snapshot_ts, view));
        if is_new {
            self.snapshot_ts = self.shared.visible();
        }
        Ok(())
    }

    fn leave_statement(&mut self) {
        let (snapshot_ts, view) = self.around.pop().expect("each is left that was entered");
        self.writes.lock().leave_statement();
        self.other = None;
        if matches!(self.mode, Mode::Statement | Mode::Newest | Mode::Dirty) {
            self.snapshot_ts = snapshot_ts;
            self.view = view;
        }
    }

    fn restart(&mut self) -> Result<bool> {
        self.renew()
    }

    fn get(
        &mut self,
        space: KeyspaceId,
        key: &[u8],
        at: ReadAt,
        out: &mut Vec<u8>,
    ) -> Result<bool> {
        let read = self.read_key(space, key, at, out);
        if at == ReadAt::Newest { self.explain(read) } else { read }
    }

    fn scan(
        &mut self,
        space: KeyspaceId,
        request: &ScanRequest<'_>,
        out: &mut RowBatch,
    ) -> Result<ScanState> {
        let read = self.read_range(space, request, out);
        if request.at == ReadAt::Newest { self.explain(read) } else { read }
    }

    fn scan_versions(
        &mut self,
        space: KeyspaceId,
        request: &VersionScan<'_>,
        out: &mut RowBatch,
    ) -> Result<ScanState> {
        self.read_versions(space, request, true, out)
    }

    fn scan_begun(
        &mut self,
        space: KeyspaceId,
        request: &VersionScan<'_>,
        out: &mut RowBatch,
    ) -> Result<ScanState> {
        self.read_versions(space, request, false, out)
    }

    fn scan_changes(
        &mut self,
        space: KeyspaceId,
        range: &KeyRange<'_>,
        after: Timestamp,
        up_to: Timestamp,
        max_rows: usize,
        out: &mut RowBatch,
    ) -> Result<ScanState> {
        self.read_changes(space, range, (after, up_to), max_rows, out)
    }

    fn oldest_readable(&mut self, space: KeyspaceId) -> Result<Timestamp> {
        self.oldest_time(space)
    }

    fn lock(
        &mut self,
        space: KeyspaceId,
        key: &[u8],
        strength: LockStrength,
        intent: LockIntent,
        wait: WaitPolicy,
    ) -> Result<Locked> {
        let locked = self.lock_key(space, key, strength, intent, wait);
        self.explain(locked)
    }

    fn lock_object(
        &mut self,
        object: LockObject,
        mode: LockMode,
        wait: WaitPolicy,
    ) -> Result<ObjectLocked> {
        self.take_object(object, mode, wait)
    }

    fn settle_reads(&mut self) -> Result<()> {
        if planted!("mvcc.rows-shown-before-durable") {
            return Ok(());
        }
        self.settle()
    }

    fn has_changed(&mut self, space: KeyspaceId, key: &[u8]) -> Result<bool> {
        let changed = self.changed_since_snapshot_at(space, key);
        self.explain(changed)
    }

    fn put(&mut self, space: KeyspaceId, key: &[u8], value: &[u8]) -> Result<()> {
        self.write_own(space, key, Some(value))
    }

    fn delete(&mut self, space: KeyspaceId, key: &[u8]) -> Result<()> {
        self.write_own(space, key, None)
    }

    fn create_keyspace(&mut self, space: KeyspaceId) -> Result<()> {
        self.refuse_read_only()?;
        self.writes().create_keyspace(space);
        Ok(())
    }

    fn drop_keyspace(&mut self, space: KeyspaceId) -> Result<()> {
        self.check_writable(space)?;
        self.writes().drop_keyspace(space);
        Ok(())
    }

    fn savepoint(&mut self) -> SavepointId {
        let id = self.writes().savepoint();
        self.mark_locks(id);
        id
    }

    fn rollback_to(&mut self, savepoint: SavepointId) {
        if !planted!("mvcc.savepoint-keeps-writes") {
            self.writes().rollback_to(savepoint);
        }
        self.release_locks_since(savepoint);
    }

    fn release(&mut self, savepoint: SavepointId) {
        self.writes().release(savepoint);
        self.lock_marks.retain(|(id, _)| *id < savepoint);
    }

    fn describe(&mut self, said: &Provenance) {
        self.note = provenance::encode(said);
    }

    fn erase(&mut self, erasure: Erasure) -> Result<()> {
        self.refuse_read_only()?;
        drop(self.writes());
        self.erasure = Some(erasure);
        Ok(())
    }

    fn has_writes(&self) -> bool {
        self.erasure.is_some() || !self.is_untouched && !self.writes.lock().is_empty()
    }

    fn commit(mut self: Box<Self>) -> Result<Committed> {
        self.commit_writes()
    }

    fn rollback(self: Box<Self>) {}
}
