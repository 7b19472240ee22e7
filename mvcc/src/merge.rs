//! A scan: the engine's rows and the transaction's own writes as one ordered stream.

use std::cmp::Ordering;

use driftdb_concurrency::{RowBatch, ScanState};
use driftdb_storage::{Cursor, Result, Timestamp};

use crate::write_set::OwnRows;

/// A batch is also cut at this size, so that large values do not pile up.
const BATCH_BYTES_MAX: usize = 8 << 20;

/// How much one batch may hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit {
    row_count: usize,
    size_bytes: usize,
}

impl Limit {
    /// `max_rows` further rows in `out`.
    pub(crate) fn after(out: &RowBatch, max_rows: usize) -> Self {
        Self {
            row_count: out.len().saturating_add(max_rows),
            size_bytes: out.size_bytes() + BATCH_BYTES_MAX,
        }
    }

    pub(crate) fn is_reached(self, out: &RowBatch) -> bool {
        out.len() >= self.row_count || out.size_bytes() >= self.size_bytes
    }
}

/// Copies committed rows.
pub(crate) fn copy<C: Cursor>(
    mut cursor: C,
    limit: Limit,
    out: &mut RowBatch,
) -> Result<ScanState> {
    while !limit.is_reached(out) {
        if !cursor.next()? {
            return Ok(ScanState::Done);
        }
        let entry = cursor.entry();
        out.push(entry.key, entry.value, entry.ts);
    }
    Ok(ScanState::More)
}

/// Merges committed rows (none: a keyspace that the engine does not know) with own writes, both in
/// the order of the scan. An own write hides the committed row of its key.
pub(crate) fn merge<C: Cursor>(
    mut cursor: Option<C>,
    mut own: impl OwnRows,
    reverse: bool,
    limit: Limit,
    out: &mut RowBatch,
) -> Result<ScanState> {
    let mut on_row = advance(&mut cursor)?;
    while !limit.is_reached(out) {
        let order = match (on_row.then(|| row(&cursor)), own.current()) {
            (None, None) => return Ok(ScanState::Done),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(row), Some((key, _))) if reverse => key.cmp(row.key),
            (Some(row), Some((key, _))) => row.key.cmp(key),
        };
        if order == Ordering::Less {
            let row = row(&cursor);
            out.push(row.key, row.value, row.ts);
        } else {
            if let Some((key, Some(value))) = own.current() {
                out.push(key, Some(value), Timestamp::MAX);
            }
            own.advance()?;
        }
        if order != Ordering::Greater {
            on_row = advance(&mut cursor)?;
        }
    }
    Ok(ScanState::More)
}

fn advance<C: Cursor>(cursor: &mut Option<C>) -> Result<bool> {
    cursor.as_mut().map_or(Ok(false), Cursor::next)
}

fn row<C: Cursor>(cursor: &Option<C>) -> driftdb_storage::Entry<'_> {
    cursor.as_ref().expect("only asked while on a row").entry()
}
