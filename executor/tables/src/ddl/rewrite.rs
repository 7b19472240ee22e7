//! Carrying a table's rows over: into a new index, or into new keyspaces.

use std::ops::Bound;

use driftdb_concurrency::{ReadAt, RowBatch, ScanRequest, ScanState};
use driftdb_query::{Index, Result, RowKey, SqlError, Table};
use driftdb_storage::KeyRange;
use driftdb_types::{SqlState, Value};

use super::DdlContext;
use crate::key::{index_entry, primary_key_of, row_id_key};
use crate::row::{RowReader, encode_row};
use crate::uniqueness::{bare_key, is_there};
use crate::writer::{key_detail, secondary};

/// Rows read at a time.
const BATCH: usize = 1024;

/// Calls `visit` with the storage key and values of every row there is now.
pub(super) fn for_each_row(
    cx: &mut DdlContext<'_>,
    table: &Table,
    visit: &mut dyn FnMut(&mut DdlContext<'_>, &[u8], Vec<Value>) -> Result<()>,
) -> Result<()> {
    let reader = RowReader::whole(table);
    let mut from: Option<Vec<u8>> = None;
    loop {
        let start = from.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let range = KeyRange { start, end: Bound::Unbounded };
        let request = ScanRequest { range, at: ReadAt::Newest, reverse: false, max_rows: BATCH };
        let mut rows = RowBatch::new();
        let state = cx.txn.scan(table.keyspace, &request, &mut rows)?;
        for row in rows.rows() {
            let mut values = Vec::with_capacity(reader.len());
            reader.read(row.value.unwrap_or_default(), &mut values)?;
            visit(cx, row.key, values)?;
        }
        match rows.last_key() {
            Some(key) if state == ScanState::More => from = Some(key.to_vec()),
            _ => return Ok(()),
        }
    }
}

/// Fills a new index of `table`, which nobody else may write.
pub(super) fn fill_index(cx: &mut DdlContext<'_>, table: &Table, index: &Index) -> Result<()> {
    for_each_row(cx, table, &mut |cx, key, mut row| {
        cx.extend(table, &mut row)?;
        add_entry(cx, table, index, &row, key)
    })
}

fn add_entry(
    cx: &mut DdlContext<'_>,
    table: &Table,
    index: &Index,
    row: &[Value],
    key: &[u8],
) -> Result<()> {
    let space = index.keyspace.expect("a secondary index");
    let Some((entry, exclusive)) = index_entry(table, index, row, key) else { return Ok(()) };
    if exclusive && cx.txn.get(space, &entry, ReadAt::Newest, &mut Vec::new())? {
        return Err(duplicated(cx, table, index, row));
    }
    // A deferrable key may repeat later, but not when its constraint comes.
    if index.unique
        && index.deferral.is_deferrable()
        && let Some(bare) = bare_key(table, index, row)
        && is_there(cx.txn, index, &bare)?
    {
        return Err(duplicated(cx, table, index, row));
    }
    cx.txn.put(space, &entry, key)?;
    Ok(())
}

/// The error if a row lacks a value.
fn check_not_null(table: &Table, row: &[Value]) -> Result<()> {
    let mut columns = table.columns.iter().zip(row);
    let Some((column, _)) = columns.find(|(column, value)| column.not_null && value.is_null())
    else {
        return Ok(());
    };
    let message =
        format!("column \"{}\" of relation \"{}\" contains null values", column.name, table.name);
    let mut error = SqlError::new(SqlState::NotNullViolation, message);
    error.table = Some(table.name.as_str().into());
    error.column = Some(column.name.as_str().into());
    Err(error)
}

fn duplicated(cx: &DdlContext<'_>, table: &Table, index: &Index, row: &[Value]) -> SqlError {
    SqlError::new(
        SqlState::UniqueViolation,
        format!("could not create unique index \"{}\"", index.name),
    )
    .with_detail(format!("Key {} is duplicated.", key_detail(table, index, row, cx.eval)))
    .with_constraint(&table.name, &index.name)
}

/// Copies the rows of `old` into new keyspaces under `new`'s key and indexes (the same columns), and
/// ends the old keyspaces.
pub(super) fn rewrite(cx: &mut DdlContext<'_>, old: &Table, new: &mut Table) -> Result<()> {
    rewrite_with(cx, old, new, &mut |_, row| Ok(row))
}

/// As [`rewrite`], with rows of `new`'s columns that `change` makes of those of `old`.
pub(super) fn rewrite_with(
    cx: &mut DdlContext<'_>,
    old: &Table,
    new: &mut Table,
    change: &mut dyn FnMut(&DdlContext<'_>, Vec<Value>) -> Result<Vec<Value>>,
) -> Result<()> {
    new.keyspace = cx.new_keyspace()?;
    for index in new.indexes.iter_mut().filter(|index| index.keyspace.is_some()) {
        index.keyspace = Some(cx.new_keyspace()?);
    }
    cx.retype_terms(new)?;
    let new = &*new;
    let mut bytes = Vec::new();
    for_each_row(cx, old, &mut |cx, old_key, row| {
        let mut row = change(cx, row)?;
        cx.extend(new, &mut row)?;
        check_not_null(new, &row)?;
        let key = match new.key {
            RowKey::Primary => primary_key_of(new, &row),
            RowKey::RowId if old.key == RowKey::RowId => old_key.to_vec(),
            RowKey::RowId => {
                row_id_key(cx.store.unique_ids(driftdb_concurrency::Counter::RowId, 1)?)
            }
        };
        bytes.clear();
        if new.key == RowKey::Primary
            && cx.txn.get(new.keyspace, &key, ReadAt::Newest, &mut bytes)?
        {
            let index = new.primary_key().expect("the key is primary");
            return Err(duplicated(cx, new, index, &row));
        }
        bytes.clear();
        encode_row(new, &row[..new.columns.len()], &mut bytes);
        cx.txn.put(new.keyspace, &key, &bytes)?;
        secondary(new).try_for_each(|index| add_entry(cx, new, index, &row, &key))
    })?;
    cx.txn.drop_keyspace(old.keyspace)?;
    for index in secondary(old) {
        cx.txn.drop_keyspace(index.keyspace.expect("secondary"))?;
    }
    Ok(())
}
