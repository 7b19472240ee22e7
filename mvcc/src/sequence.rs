//! Commit sequence numbers: dense, and exact in both directions.
//!
//! The engine keeps sequence → timestamp (`system.rs`). Timestamps ascend with sequence numbers, so
//! the other direction is a binary search of point reads.

use driftdb_concurrency::{ConcurrencyControl, Result, TxnError};
use driftdb_env::sync::atomic::Ordering;
use driftdb_storage::{
    Cursor, Engine, KeyRange, ScanSpec, Snapshot, StorageError, Timestamp, Visible,
};

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

    pub(crate) fn sequence_at(&self, ts: Timestamp) -> Result<u64> {
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
        let what = format!("commit {sequence} is missing");
        return Err(StorageError::corruption(format!("system keyspace {COMMITS}"), 0, what));
    }
    Ok(Timestamp(system::number(COMMITS, &value)?))
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
    let key = cursor.entry().key;
    let bytes = key.try_into().map_err(|_| {
        let what = format!("a key of {} bytes", key.len());
        StorageError::corruption(format!("system keyspace {COMMITS}"), 0, what)
    })?;
    Ok(u64::from_be_bytes(bytes))
}
