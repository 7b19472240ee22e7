//! The commit pipeline: one latch gives commits their order; the log's sync happens outside of it.
//!
//! ```text
//! latch:    timestamp → validate → sequence number → append to the log → apply to the engine
//! outside:  let go of claims on keys → wait until the log is durable → publish → (the transaction) let go of the rest
//! ```
//!
//! Between apply and publish a commit is in the engine but no snapshot has it, but for those of whoever got a
//! claim of it, who then depends on it (`transaction/settle.rs`): claims on rows are not held over the sync
//! (docs/design/0033). The log is durable in order, so publishing the newest of several publishes them all.

mod parts;

use std::io;

use driftdb_concurrency::{ConcurrencyControl, ObjectLocks, Result, TxnError, TxnId, Writes};
use driftdb_env::kernel::preemption_point;
use driftdb_env::sync::atomic::Ordering;
use driftdb_env::{HashSet, IoError, IoOp, planted, sometimes};
use driftdb_storage::{
    Commit, Engine, Erasure, KeyspaceId, Lsn, Snapshot, StorageError, Timestamp, WriteBatch,
};

use crate::ballast;
use crate::record::{self, RecordKind};
use crate::store::Shared;
use crate::system;
use crate::write_set::Changes;

/// Where a commit stands: in the log, in time, and in the dense count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Position {
    pub(crate) commit: Commit,
    pub(crate) sequence: u64,
}

/// What the commit latch protects.
#[derive(Debug, Default)]
pub(crate) struct Pipeline {
    /// The last record applied.
    pub(crate) last: Position,
    /// Keyspaces that the engine is known to have.
    known: HashSet<KeyspaceId>,
}

/// What a transaction says to its commit, besides its changes.
pub(crate) struct Said<'a> {
    /// Whose it is.
    pub(crate) id: TxnId,
    /// What the commit says of itself.
    pub(crate) note: &'a [u8],
    /// What the last statement read.
    pub(crate) snapshot: Timestamp,
    /// What goes from all history up to the commit.
    pub(crate) erasure: Option<&'a Erasure>,
}

impl<E: Engine, C: ConcurrencyControl> Shared<E, C> {
    /// The timestamp of the newest visible commit.
    pub(crate) fn visible(&self) -> Timestamp {
        self.visible.now()
    }

    /// The timestamp of the newest commit that is wholly in the engine, visible or not.
    pub(crate) fn applied(&self) -> Timestamp {
        Timestamp(self.applied.load(Ordering::SeqCst))
    }

    /// A commit is in the log and in the engine. Under the latch.
    fn note_applied(&self, pipeline: &mut Pipeline, position: Position) {
        pipeline.last = position;
        self.applied.store(position.commit.ts.0, Ordering::SeqCst);
    }

    /// Makes everything up to `position` visible; it is durable.
    pub(crate) fn publish(&self, position: Position) {
        sometimes!("mvcc.published-with-a-later-commit", self.visible() >= position.commit.ts);
        // In this order: whoever knows the number can read its timestamp.
        self.visible.advance(position.commit.ts);
        self.visible_sequence.fetch_max(position.sequence, Ordering::SeqCst);
        self.followers.tell();
    }

    /// Commits the writes of a transaction, with what it says of itself; durable and visible on return. What it
    /// still holds then, and all if it fails, is the caller's to release.
    ///
    /// # Errors
    /// A conflict, a keyspace that was dropped meanwhile, or a refusal of the log: nothing is
    /// written. [`TxnError::OutcomeUnknown`]: it may be.
    pub(crate) fn commit(
        &self,
        changes: Changes,
        mut control: Option<&mut C::Txn>,
        said: &Said<'_>,
    ) -> Result<Position> {
        let Said { id, note, snapshot, erasure } = *said;
        self.check_room(&changes.batch)?;
        self.stall_if_behind();
        preemption_point("mvcc.commit.begin");
        let mut pipeline = self.pipeline.lock();
        self.check_writable()?;
        self.check_keyspaces(&mut pipeline, &changes)?;
        self.erasing.check(&changes, snapshot)?;
        let ts = self.clock.tick();
        if let Some(txn) = control.as_deref_mut() {
            self.control.validate(txn, ts, Writes::Batch(&changes.batch))?;
        }
        let ends_early = C::RELEASES_EARLY && erasure.is_none() && changes.only_rows();
        let Changes { batch, created, dropped, .. } = changes;
        self.note_erasure(&pipeline, erasure, ts)?;
        let appended = self.append_and_apply(&mut pipeline, RecordKind::Commit, ts, batch, note);
        self.settle_erasure(erasure, ts, &appended);
        let position = appended?;
        if !created.is_empty() {
            self.retention.note_created(position.commit.ts);
        }
        pipeline.note_keyspaces(created, dropped);
        drop(pipeline);
        if let Some(txn) = control.filter(|_| ends_early) {
            sometimes!("mvcc.claims-released-before-durable");
            // In this order: a pending write that comes later hides it.
            self.pending.release(id, ts);
            self.control.locks().release_keys(C::owner(txn));
        }
        self.finish_commit(position)
    }

    /// Writes down what the next commit erases, before it is in the log.
    fn note_erasure(
        &self,
        pipeline: &Pipeline,
        erasure: Option<&Erasure>,
        ts: Timestamp,
    ) -> Result<()> {
        let Some(erasure) = erasure else { return Ok(()) };
        let sequence = pipeline.last.sequence + 1;
        self.erasing.note(&self.env, sequence, &erasure.clone().limited_to(ts))
    }

    /// After [`Shared::note_erasure`]: whether the commit came to be.
    fn settle_erasure(
        &self,
        erasure: Option<&Erasure>,
        ts: Timestamp,
        appended: &Result<Position>,
    ) {
        match (erasure, appended) {
            (Some(erasure), Ok(_)) => self.erasing.note_committed(erasure, ts),
            (None, _) | (_, Err(TxnError::OutcomeUnknown { .. })) => {}
            (Some(_), Err(_)) => self.erasing.forget_note(&self.env),
        }
    }

    /// Commits a note of the store to itself.
    ///
    /// # Errors
    /// As [`Shared::commit`].
    pub(crate) fn commit_system(&self, batch: WriteBatch) -> Result<Position> {
        let mut pipeline = self.pipeline.lock();
        self.check_poison()?;
        let ts = self.clock.tick();
        let position = self.append_and_apply(&mut pipeline, RecordKind::System, ts, batch, &[])?;
        drop(pipeline);
        self.finish_commit(position)
    }

    /// A record whose batch the engine refuses would make the log unreplayable: ask before.
    fn check_keyspaces(&self, pipeline: &mut Pipeline, changes: &Changes) -> Result<()> {
        for &space in &changes.needed {
            if !pipeline.known.contains(&space) {
                self.engine.snapshot().newest(space, b"")?;
                pipeline.known.insert(space);
            }
        }
        for &space in &changes.created {
            let exists = match self.engine.snapshot().newest(space, b"") {
                Ok(_) => true,
                Err(StorageError::UnknownKeyspace { .. }) => false,
                Err(error) => return Err(error.into()),
            };
            assert!(!exists, "keyspace {space} is made once and never again");
        }
        Ok(())
    }

    fn append_and_apply(
        &self,
        pipeline: &mut Pipeline,
        kind: RecordKind,
        ts: Timestamp,
        mut batch: WriteBatch,
        note: &[u8],
    ) -> Result<Position> {
        preemption_point("mvcc.commit.latched");
        assert!(ts > pipeline.last.commit.ts, "timestamps ascend");
        let sequence = pipeline.last.sequence + u64::from(kind == RecordKind::Commit);
        let header = record::header(kind, sequence, ts, note);
        let lsn = self.append(&[&header, note, batch.as_bytes()])?;
        preemption_point("mvcc.commit.appended");
        if kind == RecordKind::Commit {
            system::note_commit(&mut batch, sequence, ts, note);
        }
        let position = Position { commit: Commit { lsn, ts }, sequence };
        if let Err(source) = self.engine.apply(&batch, position.commit) {
            self.poison(&source);
            return Err(TxnError::OutcomeUnknown { source });
        }
        self.note_applied(pipeline, position);
        self.note_logged(header.len() + note.len() + batch.as_bytes().len(), lsn);
        Ok(position)
    }

    /// The log refuses a record wholly or takes it wholly.
    fn append(&self, payload: &[&[u8]]) -> Result<Lsn> {
        let appended = self.wal.append(payload);
        if appended.as_ref().is_err_and(ballast::is_full) {
            self.note_full();
        }
        Ok(appended?)
    }

    fn finish_commit(&self, position: Position) -> Result<Position> {
        preemption_point("mvcc.commit.applied");
        if planted!("mvcc.publish-before-durable") {
            self.publish(position);
            preemption_point("mvcc.commit.planted");
        }
        let durable = self.wal.wait_durable(position.commit.lsn);
        sometimes!("mvcc.commit-of-unknown-fate", durable.is_err());
        if let Err(source) = durable {
            self.poison(&source);
            return Err(TxnError::OutcomeUnknown { source });
        }
        preemption_point("mvcc.commit.durable");
        self.publish(position);
        Ok(position)
    }

    /// Refuses all further writes: the log or the engine failed under a commit.
    pub(crate) fn poison(&self, error: &StorageError) {
        sometimes!("mvcc.poisoned", self.poisoned.get().is_none());
        self.poisoned.get_or_init(|| error.to_string());
    }

    pub(crate) fn check_poison(&self) -> Result<()> {
        match self.poisoned.get() {
            None => Ok(()),
            Some(first) => Err(StorageError::Poisoned { first: first.clone() }.into()),
        }
    }

    /// On a full disk only deletions go on.
    fn check_room(&self, batch: &WriteBatch) -> Result<()> {
        if self.is_disk_full.load(Ordering::Relaxed) {
            sometimes!("mvcc.deletion-on-a-full-disk", ballast::only_deletes(batch));
            if !ballast::only_deletes(batch) {
                return self.refuse_full();
            }
        }
        Ok(())
    }

    fn refuse_full<T>(&self) -> Result<T> {
        sometimes!("mvcc.commit-refused-on-a-full-disk");
        let full = io::Error::from(io::ErrorKind::StorageFull);
        let error = IoError::new(IoOp::Write, self.ballast.path(), full);
        Err(StorageError::Io(error).into())
    }

    fn check_writable(&self) -> Result<()> {
        self.check_open()?;
        self.check_poison()
    }
}

impl Pipeline {
    /// Goes on after what recovery found.
    pub(crate) fn after(last: Position) -> Self {
        Self { last, known: HashSet::default() }
    }

    fn note_keyspaces(&mut self, created: Vec<KeyspaceId>, dropped: Vec<KeyspaceId>) {
        self.known.extend(created);
        for space in dropped {
            self.known.remove(&space);
        }
    }
}
