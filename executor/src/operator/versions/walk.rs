//! A walk over the versions of a range: in batches, each version with its neighbours in time.

use std::ops::Bound;

use driftdb_concurrency::{RowBatch, RowRef, ScanState, VersionScan};
use driftdb_query::Result;
use driftdb_storage::{KeyspaceId, Timestamp};
use driftdb_tables::ByteRange;

use crate::batch::BATCH_ROWS;
use crate::context::Run;

/// The first batch is small: a LIMIT or an EXISTS may need no more.
const FIRST_ROWS: usize = 64;
/// Versions are asked for so that a batch takes about this much.
const BATCH_BYTES: usize = 4 << 20;

/// What came before a version at its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Older {
    /// A row.
    Row,
    /// No row.
    Nothing,
    /// The walk does not tell.
    Unknown,
}

/// A version that is no tombstone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    index: usize,
    /// The next version of its key within the walk: when it began, and whether it is a row.
    pub(super) newer: Option<(Timestamp, bool)>,
    pub(super) older: Older,
}

pub(super) struct Walk {
    space: KeyspaceId,
    range: ByteRange,
    from: Timestamp,
    up_to: Timestamp,
    older_than: Option<Timestamp>,
    batch: RowBatch,
    /// The next version in the batch.
    at: usize,
    is_last_batch: bool,
    max_rows: usize,
    /// The version before the batch's first.
    before: Option<(Vec<u8>, Timestamp, bool)>,
    /// Versions read since it was asked.
    read_count: u64,
}

impl Walk {
    pub(super) fn new(
        space: KeyspaceId,
        range: ByteRange,
        from: Timestamp,
        up_to: Timestamp,
    ) -> Self {
        Self {
            space,
            range,
            from,
            up_to,
            older_than: None,
            batch: RowBatch::new(),
            at: 0,
            // Nothing lives in a stretch that is upside down.
            is_last_batch: from > up_to,
            max_rows: FIRST_ROWS,
            before: None,
            read_count: 0,
        }
    }

    pub(super) fn space(&self) -> KeyspaceId {
        self.space
    }

    /// The version that was found last.
    pub(super) fn row(&self, found: Found) -> RowRef<'_> {
        self.batch.row(found.index)
    }

    /// How many versions were read, tombstones included, since the last call.
    pub(super) fn take_read_count(&mut self) -> u64 {
        std::mem::take(&mut self.read_count)
    }

    /// The next version.
    pub(super) fn next(&mut self, run: &mut Run<'_, '_>) -> Result<Option<Found>> {
        loop {
            while self.at < self.batch.len() {
                let index = self.at;
                self.at += 1;
                if self.batch.row(index).value.is_some() {
                    let (newer, older) = (self.newer(index), self.older(index));
                    return Ok(Some(Found { index, newer, older }));
                }
            }
            if self.is_last_batch {
                return Ok(None);
            }
            self.read(run)?;
        }
    }

    fn newer(&self, index: usize) -> Option<(Timestamp, bool)> {
        let key = self.batch.row(index).key;
        match index.checked_sub(1) {
            Some(before) => {
                let row = self.batch.row(before);
                (row.key == key).then_some((row.ts, row.value.is_some()))
            }
            None => {
                let before = self.before.as_ref().filter(|before| before.0 == key);
                before.map(|(_, ts, is_row)| (*ts, *is_row))
            }
        }
    }

    fn older(&self, index: usize) -> Older {
        let row = self.batch.row(index);
        if index + 1 < self.batch.len() {
            let next = self.batch.row(index + 1);
            if next.key == row.key {
                return if next.value.is_some() { Older::Row } else { Older::Nothing };
            }
        } else if !self.is_last_batch {
            return Older::Unknown;
        }
        // The key's oldest within the walk: if it began within it, nothing was alive at its beginning.
        if row.ts > self.from { Older::Nothing } else { Older::Unknown }
    }

    fn read(&mut self, run: &mut Run<'_, '_>) -> Result<()> {
        run.check_cancel()?;
        if let Some(index) = self.batch.len().checked_sub(1) {
            let last = self.batch.row(index);
            self.before = Some((last.key.to_vec(), last.ts, last.value.is_some()));
            self.older_than = Some(last.ts);
            self.range.start = Bound::Included(last.key.to_vec());
        }
        self.batch.clear();
        self.at = 0;
        let scan = VersionScan {
            range: self.range.as_range(),
            from: self.from,
            up_to: self.up_to,
            older_than: self.older_than,
            reverse: false,
            max_rows: self.max_rows,
        };
        let state = run.cx.txn.scan_versions(self.space, &scan, &mut self.batch)?;
        self.is_last_batch = state == ScanState::Done;
        self.read_count += self.batch.len() as u64;
        let row_bytes = self.batch.size_bytes() / self.batch.len().max(1) + 1;
        self.max_rows = (self.max_rows * 4).min(BATCH_BYTES / row_bytes).clamp(1, BATCH_ROWS);
        Ok(())
    }
}
