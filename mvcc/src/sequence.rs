//! Commit sequence numbers: dense, and exact in both directions.
//!
//! The engine keeps sequence → timestamp (`system.rs`). Timestamps ascend with sequence numbers, so
//! the other direction is a binary search of point reads.

use std::ops::Bound;

use driftdb_concurrency::{CommitNote, ConcurrencyControl, Result, TxnError};
use driftdb_env::sync::atomic::Ordering;
use driftdb_storage::{
    Cursor, Engine, KeyRange, ScanSpec, Snapshot, StorageError, Timestamp, Visible,
};

use crate::provenance;
use crate::store::Shared;
use crate::system::{self, COMMITS};
use crate::view::View;

impl<E: Engine, C: ConcurrencyControl> Shared<E, C> {
    /// The number of the newest visible commit.
    pub(crate) fn visible_sequence(&self) -> u64 {
        self.visible_sequence.load(Ordering::SeqCst)
    }

    pub(crate) fn timestamp_of_sequence(&self, sequence: u64) -> Result<Timestamp> {
        let newest = self.visible_sequence();
        if sequence == 0 || sequence > newest {
            return Err(TxnError::UnknownSequence { requested: sequence, newest });
        }
        Ok(timestamp_of(&self.newest_view(), sequence)?)
    }

    /// See [`driftdb_concurrency::Store::commits`].
    pub(crate) fn commits(&self, first: u64, last: u64, most: usize) -> Result<Vec<CommitNote>> {
        let view = self.newest_view();
        let ends = [first, last.min(self.visible_sequence())].map(u64::to_be_bytes);
        let range = KeyRange { start: Bound::Included(&ends[0]), end: Bound::Included(&ends[1]) };
        let spec = ScanSpec { range, visible: Visible::AsOf(view.ts), reverse: false };
        let mut cursor = view.snapshot.cursor(COMMITS, &spec)?;
        let mut notes = Vec::new();
        while notes.len() < most && cursor.next()? {
            let entry = cursor.entry();
            let sequence = number_of(entry.key)?;
            let found = system::commit_entry(entry.value.unwrap_or_default())?;
            let Some(provenance) = provenance::decode(found.note) else {
                return Err(damage(format!("commit {sequence} has a malformed note")).into());
            };
            let (ts, keyspaces) = (found.ts, found.spaces);
            notes.push(CommitNote { sequence, ts, provenance, keyspaces });
        }
        Ok(notes)
    }

    pub(crate) fn sequence_at(&self, ts: Timestamp) -> Result<u64> {
        if ts <= self.applied() {
            // Somebody may have read it who has its claims.
            self.settle(ts)?;
        }
        let newest = self.visible_sequence();
        let view = self.newest_view();
        // The answer is in low..=high; commits up to `low` are at or before `ts`.
        let (mut low, mut high) = (0, newest);
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            if timestamp_of(&view, middle)? <= ts {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        Ok(low)
    }
}

fn timestamp_of<S: Snapshot>(view: &View<S>, sequence: u64) -> driftdb_storage::Result<Timestamp> {
    let mut value = Vec::new();
    if view.snapshot.get(COMMITS, &sequence.to_be_bytes(), view.ts, &mut value)?.is_none() {
        return Err(damage(format!("commit {sequence} is missing")));
    }
    system::commit_time(&value)
}

/// The newest sequence number that an engine holds at `ts`; 0 in a new one.
pub(crate) fn last_sequence<S: Snapshot>(
    snapshot: &S,
    ts: Timestamp,
) -> driftdb_storage::Result<u64> {
    let spec = ScanSpec { range: KeyRange::ALL, visible: Visible::AsOf(ts), reverse: true };
    let mut cursor = snapshot.cursor(COMMITS, &spec)?;
    if !cursor.next()? {
        return Ok(0);
    }
    number_of(cursor.entry().key)
}

fn number_of(key: &[u8]) -> driftdb_storage::Result<u64> {
    let bytes = key.try_into().map_err(|_| damage(format!("a key of {} bytes", key.len())))?;
    Ok(u64::from_be_bytes(bytes))
}

fn damage(what: String) -> StorageError {
    StorageError::corruption(format!("system keyspace {COMMITS}"), 0, what)
}
