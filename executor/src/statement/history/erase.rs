//! ERASE: takes rows out of all history.
//!
//! A row is what has one storage key in one keyspace: the primary key or the hidden number; TRUNCATE and
//! a change of primary key begin new rows. Every version that is kept of every row is looked at; a row
//! of which one matches goes wholly. The rows that are there now are removed as by DELETE, though no
//! referential action follows; what the commit then erases is named by storage key, and for every index
//! that the table ever had by the row that its entries lead to ([`Erasure`]).
//!
//! The table is held alone: nobody reads or changes rows between the look and the commit.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use driftdb_concurrency::{
    LockMode, LockStrength, ReadAt, RowBatch, ScanState, TxnError, VersionScan, WaitPolicy,
};
use driftdb_query::{Expr, Related, Result, SqlError, Table};
use driftdb_storage::{Erasure, KeyspaceId, Timestamp};
use driftdb_tables::{
    ByteRange, Generation, RowReader, RowState, TableWriter, generations, index_keyspaces,
    lock_table, note_erased, oldest_definitions,
};

use crate::batch::BATCH_ROWS;
use crate::context::Run;
use crate::evaluate::row::holds;
use crate::integrity::Integrity;
use crate::statement::stale;

/// The storage keys that go, by keyspace.
type Doomed = BTreeMap<KeyspaceId, BTreeSet<Vec<u8>>>;

/// Erases the rows of which a version matches; returns how many.
pub(super) fn run(
    table: &Arc<Table>,
    related: &Arc<Related>,
    filter: Option<&Expr>,
    run: &mut Run<'_, '_>,
) -> Result<u64> {
    if !run.cx.store.can_erase() {
        let engine = run.cx.store.engine_name();
        let what = format!("ERASE with the storage engine \"{engine}\"");
        let hint = "Its only copy is the log, which cannot forget single rows.";
        return Err(SqlError::unsupported(what).with_hint(hint));
    }
    let wait = WaitPolicy::Wait(None);
    if lock_table(run.cx.txn, table, LockMode::AccessExclusive, wait)? {
        return Err(stale(&table.name));
    }
    let mut integrity = Integrity::new(table, related);
    integrity.hold_definitions(run)?;
    let doomed = find(table, filter, run)?;
    remove_present(table, &doomed, &mut integrity, run)?;
    let rows = doomed.values().map(|keys| keys.len() as u64).sum();
    if rows > 0 {
        let erasure = erasure(table, &doomed, run)?;
        note_erased(run.cx.txn, &doomed)?;
        run.cx.txn.erase(erasure)?;
    }
    Ok(rows)
}

fn find(table: &Table, filter: Option<&Expr>, run: &mut Run<'_, '_>) -> Result<Doomed> {
    let (oldest, now) = (oldest_definitions(run.cx.txn)?, run.cx.txn.snapshot_ts());
    let mut doomed = Doomed::new();
    // Rows of every time can be read by the definition of now.
    let reader = RowReader::whole(table);
    for Generation { from, ended, table: then } in generations(run.cx.txn, table.id, oldest, now)? {
        let space = then.keyspace;
        let from = from.max(run.cx.txn.oldest_readable(space)?);
        let up_to = ended.map_or(now, |ended| now.min(Timestamp(ended.0.saturating_sub(1))));
        if from > up_to {
            continue;
        }
        let keys = doomed.entry(space).or_default();
        find_in(space, (from, up_to), (&reader, filter), keys, run)?;
    }
    doomed.retain(|_, keys| !keys.is_empty());
    Ok(doomed)
}

/// Adds the keys of one keyspace of which a version of the stretch matches.
fn find_in(
    space: KeyspaceId,
    (from, up_to): (Timestamp, Timestamp),
    (reader, filter): (&RowReader, Option<&Expr>),
    keys: &mut BTreeSet<Vec<u8>>,
    run: &mut Run<'_, '_>,
) -> Result<()> {
    let mut range = ByteRange::ALL;
    let mut older_than = None;
    let mut batch = RowBatch::new();
    let mut values = Vec::new();
    loop {
        run.check_cancel()?;
        batch.clear();
        let scan = VersionScan {
            range: range.as_range(),
            from,
            up_to,
            older_than,
            reverse: false,
            max_rows: BATCH_ROWS,
        };
        let state = run.cx.txn.scan_versions(space, &scan, &mut batch)?;
        for row in batch.rows() {
            let Some(bytes) = row.value.filter(|_| !keys.contains(row.key)) else { continue };
            values.clear();
            reader.read(bytes, &mut values)?;
            let matches = match filter {
                Some(filter) => holds(filter, &values, run)?,
                None => true,
            };
            if matches {
                run.hold(row.key.len())?;
                keys.insert(row.key.to_vec());
            }
        }
        if state == ScanState::Done {
            return Ok(());
        }
        if let Some(index) = batch.len().checked_sub(1) {
            let last = batch.row(index);
            older_than = Some(last.ts);
            range.start = Bound::Included(last.key.to_vec());
        }
    }
}

/// Removes the rows that are there now. What refers to them must not.
fn remove_present(
    table: &Arc<Table>,
    doomed: &Doomed,
    integrity: &mut Integrity,
    run: &mut Run<'_, '_>,
) -> Result<()> {
    let mut writer = TableWriter::new(Arc::clone(table));
    for key in doomed.get(&table.keyspace).into_iter().flatten() {
        let Some(row) = writer.row_at(run.cx.txn, key, ReadAt::Statement)? else { continue };
        let wait = WaitPolicy::Wait(None);
        let state = writer.lock_row(run.cx.txn, key, LockStrength::Update, wait)?;
        if state != RowState::Unchanged {
            return Err(TxnError::ConcurrentUpdate.into());
        }
        integrity.take_away(&mut writer, key, &row, run)?;
    }
    integrity.finish(run)
}

fn erasure(table: &Table, doomed: &Doomed, run: &mut Run<'_, '_>) -> Result<Erasure> {
    let indexes = index_keyspaces(run.cx.txn, table.id)?;
    let mut erasure = Erasure::default();
    for (space, keys) in doomed {
        let indexes = indexes.get(space).into_iter().flatten();
        for key in keys {
            erasure.add_key(*space, key);
            indexes.clone().for_each(|index| erasure.add_value(*index, key));
        }
    }
    Ok(erasure)
}
