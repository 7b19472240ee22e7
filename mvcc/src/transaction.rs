//! A running transaction: what it reads at, what it wrote, what it claimed.
//!
//! A READ COMMITTED transaction takes an engine snapshot per statement, and only when the statement
//! reads; it registers nowhere and calls no control until it locks. Transactions that keep one
//! snapshot register with the readers, so that history they may ask for is kept. Under a protocol
//! that reads the newest version under its locks, each read takes its own moment.

mod read;
mod versions;
mod write;

use std::sync::Arc;

use driftdb_concurrency::{
    Begin, BeginOptions, CancelToken, Committed, ConcurrencyControl, IsolationLevel, LockIntent,
    LockStrength, Locked, Provenance, ReadAt, Result, RowBatch, SavepointId, ScanRequest,
    ScanState, Transaction, TxnId, VersionScan, WaitPolicy,
};
use driftdb_env::sync::atomic::Ordering;
use driftdb_storage::{Engine, KeyRange, KeyspaceId, Timestamp};

use crate::provenance;
use crate::store::Shared;
use crate::view::View;
use crate::write_set::WriteSet;

/// What a transaction may do and how it reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// A new snapshot per statement.
    Statement,
    /// One snapshot for life.
    Snapshot,
    /// The newest version under locks.
    Newest,
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
    /// The time under which this transaction is registered as a reader.
    entered: Option<Timestamp>,
    /// The control's part, from the first call to it on.
    control: Option<C::Txn>,
    writes: WriteSet,
    /// What the commit says of itself, as bytes.
    note: Vec<u8>,
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
            None => Mode::Statement,
        };
        let is_serializable = isolation == IsolationLevel::Serializable;
        let mut txn = Self {
            shared: Arc::clone(shared),
            id: shared.next_txn(),
            isolation,
            mode,
            is_read_only,
            tracks_reads: !is_read_only && (mode == Mode::Newest || is_long && is_serializable),
            cancel: options.cancel,
            snapshot_ts: shared.visible(),
            view: None,
            other: None,
            entered: None,
            control: None,
            writes: WriteSet::default(),
            note: Vec::new(),
        };
        match options.as_of {
            Some(ts) => txn.enter_past(ts)?,
            None if mode == Mode::Snapshot => txn.enter_now(),
            None => {}
        }
        if txn.tracks_reads {
            txn.control();
        }
        Ok(txn)
    }

    fn enter_past(&mut self, ts: Timestamp) -> Result<()> {
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
            let ts = self.shared.visible();
            if self.shared.readers.enter(self.id, ts) {
                self.entered = Some(ts);
                self.snapshot_ts = ts;
                self.view = Some(View { ts, snapshot: self.shared.engine.snapshot() });
                return;
            }
        }
    }

    /// The control's part of this transaction.
    fn control(&mut self) -> &mut C::Txn {
        self.control.get_or_insert_with(|| {
            self.shared.control.begin(Begin {
                id: self.id,
                isolation: self.isolation,
                read_ts: self.snapshot_ts,
                read_only: self.is_read_only,
                cancel: self.cancel.clone(),
            })
        })
    }

    /// Ends the control's part and the registration. Every path comes here once.
    fn finish(&mut self, committed: Option<Timestamp>) {
        if let Some(control) = self.control.take() {
            self.shared.control.finish(control, committed);
        }
        if let Some(ts) = self.entered.take() {
            self.shared.readers.leave(self.id, ts);
        }
    }

    fn commit_writes(&mut self) -> Result<Committed> {
        if self.writes.is_empty() {
            self.finish(None);
            return Ok(Committed { commit: None, sequence: self.shared.visible_sequence() });
        }
        let counts = &self.shared.counts;
        match self.shared.commit(&self.writes, self.control.as_mut(), &self.note) {
            Ok(position) => {
                counts.commits.fetch_add(1, Ordering::Relaxed);
                self.finish(Some(position.commit.ts));
                Ok(Committed { commit: Some(position.commit), sequence: position.sequence })
            }
            Err(error) => {
                counts.note_error(&error);
                self.finish(None);
                Err(error)
            }
        }
    }
}

impl<E: Engine, C: ConcurrencyControl> Drop for MvccTransaction<E, C> {
    fn drop(&mut self) {
        if !self.writes.is_empty() && self.control.is_some() {
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
        self.writes.begin_statement();
        self.other = None;
        if matches!(self.mode, Mode::Statement | Mode::Newest) {
            self.view = None;
            self.snapshot_ts = self.shared.visible();
        }
        Ok(())
    }

    fn get(
        &mut self,
        space: KeyspaceId,
        key: &[u8],
        at: ReadAt,
        out: &mut Vec<u8>,
    ) -> Result<bool> {
        self.read_key(space, key, at, out)
    }

    fn scan(
        &mut self,
        space: KeyspaceId,
        request: &ScanRequest<'_>,
        out: &mut RowBatch,
    ) -> Result<ScanState> {
        self.read_range(space, request, out)
    }

    fn scan_versions(
        &mut self,
        space: KeyspaceId,
        request: &VersionScan<'_>,
        out: &mut RowBatch,
    ) -> Result<ScanState> {
        self.read_versions(space, request, out)
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
        self.lock_key(space, key, strength, intent, wait)
    }

    fn put(&mut self, space: KeyspaceId, key: &[u8], value: &[u8]) -> Result<()> {
        self.check_writable(space)?;
        self.writes.write(space, key, Some(value));
        Ok(())
    }

    fn delete(&mut self, space: KeyspaceId, key: &[u8]) -> Result<()> {
        self.check_writable(space)?;
        self.writes.write(space, key, None);
        Ok(())
    }

    fn create_keyspace(&mut self, space: KeyspaceId) -> Result<()> {
        self.refuse_read_only()?;
        self.writes.create(space);
        Ok(())
    }

    fn drop_keyspace(&mut self, space: KeyspaceId) -> Result<()> {
        self.check_writable(space)?;
        self.writes.drop(space);
        Ok(())
    }

    fn savepoint(&mut self) -> SavepointId {
        self.writes.savepoint()
    }

    fn rollback_to(&mut self, savepoint: SavepointId) {
        self.writes.rollback_to(savepoint);
    }

    fn release(&mut self, savepoint: SavepointId) {
        self.writes.release(savepoint);
    }

    fn describe(&mut self, said: &Provenance) {
        self.note = provenance::encode(said);
    }

    fn has_writes(&self) -> bool {
        !self.writes.is_empty()
    }

    fn commit(mut self: Box<Self>) -> Result<Committed> {
        self.commit_writes()
    }

    fn rollback(self: Box<Self>) {}
}
