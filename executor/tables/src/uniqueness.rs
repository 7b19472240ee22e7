//! Uniqueness that may be violated for a while: deferrable UNIQUE and PRIMARY KEY.
//!
//! The index of such a constraint holds equal keys side by side, each entry ending in its row's key.
//! A check claims the bare key (no entry's key) alone, so that of two transactions that bring the same
//! key the second waits and then sees the first one's row; then it counts the entries.
//!
//! Source: PostgreSQL 15, src/backend/commands/constraint.c (unique_key_recheck).

use std::ops::Bound;

use driftdb_concurrency::{
    LockIntent, LockStrength, ReadAt, RowBatch, ScanRequest, ScanState, Transaction, TxnError,
    WaitPolicy,
};
use driftdb_query::{Index, Result, SqlError, Table};
use driftdb_storage::KeyRange;
use driftdb_types::{EvalContext, Value};

use crate::key::{after_prefix, unique_key, whole_key};
use crate::row::RowReader;
use crate::writer::{duplicate_key, fetch_row, places_of};

/// Rows with a key may go and come while they are waited for; then they are looked at again, so often.
const ATTEMPTS: usize = 100;

/// The bytes of a row's key in the index of a constraint, without the row's own key; `None` if such a key
/// repeats nothing: a column is NULL, and NULLs are distinct.
pub fn bare_key(table: &Table, index: &Index, row: &[Value]) -> Option<Vec<u8>> {
    let places = places_of(table, index);
    let values = places.iter().map(|place| &row[*place]);
    if index.nulls_equal {
        Some(whole_key(table, index, values))
    } else {
        unique_key(table, index, values)
    }
}

/// Claims a key for this transaction; false if it is another's and `wait` says not to wait.
///
/// # Errors
/// Deadlock; canceled.
pub fn claim_key(
    txn: &mut dyn Transaction,
    index: &Index,
    bare: &[u8],
    wait: WaitPolicy,
) -> Result<bool> {
    let space = index.keyspace.expect("a deferrable key has an index of its own");
    match txn.lock(space, bare, LockStrength::Update, LockIntent::Insert, wait) {
        Ok(_) => Ok(true),
        Err(TxnError::LockNotAvailable) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Whether a key, of which there is an entry, is surely unique until this transaction brings it again.
///
/// # Errors
/// Storage; canceled.
pub(crate) fn is_surely_unique(
    txn: &mut dyn Transaction,
    index: &Index,
    bare: &[u8],
) -> Result<bool> {
    Ok(claim_key(txn, index, bare, WaitPolicy::NoWait)? && rows_with(txn, index, bare)?.len() < 2)
}

/// The error if more than one row has a key, once those who are about to take one away have ended.
///
/// # Errors
/// Deadlock; canceled; storage.
pub fn repeated(
    txn: &mut dyn Transaction,
    table: &Table,
    index: &Index,
    bare: &[u8],
    context: &EvalContext,
) -> Result<Option<SqlError>> {
    claim_key(txn, index, bare, WaitPolicy::Wait(None))?;
    for _ in 0..ATTEMPTS {
        let rows = rows_with(txn, index, bare)?;
        let [first, second] = &rows[..] else { return Ok(None) };
        for key in [first, second] {
            let (intent, wait) = (LockIntent::Insert, WaitPolicy::Wait(None));
            txn.lock(table.keyspace, key, LockStrength::KeyShare, intent, wait)?;
        }
        if rows_with(txn, index, bare)? == rows {
            return error_for(txn, table, index, first, context).map(Some);
        }
    }
    Err(TxnError::ConcurrentUpdate.into())
}

/// The error if any key of a deferrable index is there twice. Keys of this transaction must have been
/// claimed.
///
/// # Errors
/// Storage; canceled.
pub fn find_repeated(
    txn: &mut dyn Transaction,
    table: &Table,
    index: &Index,
    context: &EvalContext,
) -> Result<Option<SqlError>> {
    let space = index.keyspace.expect("a deferrable key has an index of its own");
    let mut from: Option<Vec<u8>> = None;
    let mut last_bare: Vec<u8> = Vec::new();
    loop {
        let start = from.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let range = KeyRange { start, end: Bound::Unbounded };
        let request = ScanRequest { range, at: ReadAt::Newest, reverse: false, max_rows: 1024 };
        let mut entries = RowBatch::new();
        let state = txn.scan(space, &request, &mut entries)?;
        for entry in entries.rows() {
            let row_key = entry.value.unwrap_or_default();
            let bare = &entry.key[..entry.key.len().saturating_sub(row_key.len())];
            if bare == last_bare
                && !bare.is_empty()
                && has_no_null(txn, table, index, row_key)?
                && let Some(error) = repeated(txn, table, index, bare, context)?
            {
                return Ok(Some(error));
            }
            last_bare.clear();
            last_bare.extend_from_slice(bare);
        }
        match entries.last_key() {
            Some(key) if state == ScanState::More => from = Some(key.to_vec()),
            _ => return Ok(None),
        }
    }
}

/// The storage keys of the first two rows with a key, as of now.
fn rows_with(txn: &mut dyn Transaction, index: &Index, bare: &[u8]) -> Result<Vec<Vec<u8>>> {
    let space = index.keyspace.expect("a deferrable key has an index of its own");
    let end = after_prefix(bare);
    let range = KeyRange { start: Bound::Included(bare), end: end.as_ref().map(Vec::as_slice) };
    let request = ScanRequest { range, at: ReadAt::Newest, reverse: false, max_rows: 2 };
    let mut entries = RowBatch::new();
    txn.scan(space, &request, &mut entries)?;
    Ok(entries.rows().take(2).map(|entry| entry.value.unwrap_or_default().to_vec()).collect())
}

/// Whether any row has a key, as of now.
pub(crate) fn is_there(txn: &mut dyn Transaction, index: &Index, bare: &[u8]) -> Result<bool> {
    Ok(!rows_with(txn, index, bare)?.is_empty())
}

fn newest(txn: &mut dyn Transaction, table: &Table, key: &[u8]) -> Result<Option<Vec<Value>>> {
    let reader = RowReader::whole(table);
    let mut row = Vec::with_capacity(reader.len());
    let found = fetch_row(txn, table, key, ReadAt::Newest, &reader, &mut row)?;
    Ok(found.then_some(row))
}

fn has_no_null(
    txn: &mut dyn Transaction,
    table: &Table,
    index: &Index,
    row_key: &[u8],
) -> Result<bool> {
    let row = newest(txn, table, row_key)?;
    Ok(row.is_some_and(|row| bare_key(table, index, &row).is_some()))
}

fn error_for(
    txn: &mut dyn Transaction,
    table: &Table,
    index: &Index,
    row_key: &[u8],
    context: &EvalContext,
) -> Result<SqlError> {
    let row = newest(txn, table, row_key)?;
    let row = row.ok_or_else(|| SqlError::internal("an index entry without a row"))?;
    let values: Vec<Value> =
        places_of(table, index).into_iter().map(|place| row[place].clone()).collect();
    Ok(duplicate_key(table, index, &values, context))
}
