//! Committing what is too large for memory: in parts.
//!
//! ```text
//! latch:    timestamp → validate → number → append every part → apply every part
//! outside:  wait until the log is durable → publish → let go of claims
//! ```
//!
//! The write set is read twice, and gives the same parts each time. Nothing is applied before the last
//! part is in the log's memory, and an engine that makes a part durable waits until the last one is
//! ([`Barrier`]): so no engine ever keeps a part of a commit that the log does not have whole. What a
//! crash or a full disk leaves of an unfinished one is parts without a last, which replay passes over.
//!
//! Between two parts the commit waits for an engine that falls behind, under the latch: others would
//! only fill the memory that it waits for.

use driftdb_concurrency::{ConcurrencyControl, Result, TxnError, Writes};
use driftdb_env::kernel::preemption_point;
use driftdb_env::sync::atomic::{AtomicU64, Ordering};
use driftdb_env::{planted, sometimes};
use driftdb_storage::{Commit, Engine, LogBarrier, Lsn, StorageError, Timestamp, WriteBatch};
use driftdb_wal::Wal;

use super::{Position, Said};
use crate::record::{self, RecordKind};
use crate::store::Shared;
use crate::system;
use crate::write_set::{Changes, WriteSet};

/// What names a commit in each of its records.
#[derive(Clone, Copy)]
struct Name<'a> {
    sequence: u64,
    ts: Timestamp,
    note: &'a [u8],
}

impl<E: Engine, C: ConcurrencyControl> Shared<E, C> {
    /// As [`Shared::commit`], for writes that have spilled.
    ///
    /// # Errors
    /// As [`Shared::commit`].
    pub(crate) fn commit_in_parts(
        &self,
        writes: &WriteSet,
        changes: Changes,
        control: Option<&mut C::Txn>,
        said: &Said<'_>,
    ) -> Result<Position> {
        if self.is_disk_full.load(Ordering::Relaxed) {
            return self.refuse_full();
        }
        self.stall_if_behind();
        preemption_point("mvcc.commit.begin");
        let mut pipeline = self.pipeline.lock();
        self.check_writable()?;
        self.check_keyspaces(&mut pipeline, &changes)?;
        self.erasing.check(&changes, said.snapshot)?;
        let ts = self.clock.tick();
        if let Some(txn) = control {
            self.control.validate(txn, ts, Writes::Keyspaces(&writes.written_spaces()))?;
        }
        preemption_point("mvcc.commit.latched");
        self.note_erasure(&pipeline, said.erasure, ts)?;
        let name = Name { sequence: pipeline.last.sequence + 1, ts, note: said.note };
        let appended = self.append_and_apply_parts(writes, name);
        self.settle_erasure(said.erasure, ts, &appended);
        let position = appended?;
        self.note_applied(&mut pipeline, position);
        if !changes.created.is_empty() {
            self.retention.note_created(position.commit.ts);
        }
        pipeline.note_keyspaces(changes.created, changes.dropped);
        drop(pipeline);
        self.finish_commit(position)
    }

    fn append_and_apply_parts(&self, writes: &WriteSet, name: Name<'_>) -> Result<Position> {
        let ends = self.append_parts(writes, name)?;
        sometimes!("mvcc.commit-of-many-parts", ends.len() > 1);
        preemption_point("mvcc.commit.appended");
        self.apply_parts(writes, name, &ends).map_err(|source| {
            self.poison(&source);
            TxnError::OutcomeUnknown { source }
        })
    }

    /// Appends all parts; returns where each ends. If that fails there is no last one.
    fn append_parts(&self, writes: &WriteSet, name: Name<'_>) -> Result<Vec<Lsn>> {
        let mut ends = Vec::new();
        writes.parts(self.spill.part_bytes(), |batch, is_last| {
            let (kind, note) = match is_last {
                true => (RecordKind::LastPart, name.note),
                false => (RecordKind::Part, &[][..]),
            };
            let header = record::header(kind, name.sequence, name.ts, note);
            let part = u32::try_from(ends.len())
                .map_err(|_| StorageError::Internal("a commit of too many parts".to_owned()))?;
            let payload = [&header[..], note, &part.to_le_bytes(), batch.as_bytes()];
            let appended = self.append(&payload);
            sometimes!("mvcc.parts-without-an-end", appended.is_err() && part > 0);
            ends.push(appended?);
            preemption_point("mvcc.commit.part");
            Ok::<_, TxnError>(())
        })?;
        Ok(ends)
    }

    /// Applies all parts, each at its own place in the log and all at one time.
    fn apply_parts(
        &self,
        writes: &WriteSet,
        name: Name<'_>,
        ends: &[Lsn],
    ) -> driftdb_storage::Result<Position> {
        let end = *ends.last().expect("a commit has a last part");
        self.parts_end.store(end.0, Ordering::SeqCst);
        let mut places = ends.iter();
        writes.parts(self.spill.part_bytes(), |mut batch: WriteBatch, is_last| {
            let lsn = *places.next().expect("the parts are the same as the first time");
            if is_last {
                system::note_parts(&mut batch, name.sequence, name.ts, name.note);
            }
            self.engine.apply(&batch, Commit { lsn, ts: name.ts })?;
            self.note_logged(batch.as_bytes().len(), lsn);
            preemption_point("mvcc.commit.part-applied");
            self.wait_for_engine();
            Ok::<_, StorageError>(())
        })?;
        assert!(places.next().is_none(), "the parts are the same as the first time");
        Ok(Position { commit: Commit { lsn: end, ts: name.ts }, sequence: name.sequence })
    }

    /// What an engine waits on before it makes anything durable.
    pub(crate) fn barrier(&self) -> Barrier<'_> {
        Barrier { wal: &self.wal, parts_end: &self.parts_end }
    }
}

/// The log, of which a commit in parts is durable only as a whole.
pub(crate) struct Barrier<'a> {
    wal: &'a Wal,
    /// Where the newest commit in parts ends. One before it ends before it.
    parts_end: &'a AtomicU64,
}

impl LogBarrier for Barrier<'_> {
    fn wait_durable(&self, lsn: Lsn) -> driftdb_storage::Result<()> {
        let parts_end = Lsn(self.parts_end.load(Ordering::SeqCst));
        if lsn < parts_end && !planted!("mvcc.part-durable-before-its-commit") {
            sometimes!("mvcc.part-waits-for-its-commit");
            return self.wal.wait_durable(parts_end);
        }
        self.wal.wait_durable(lsn)
    }
}
