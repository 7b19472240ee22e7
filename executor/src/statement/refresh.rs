//! REFRESH MATERIALIZED VIEW.
//!
//! Without CONCURRENTLY the table is emptied, as by TRUNCATE, and filled by the query: earlier times keep the
//! old rows. With it the new rows are held in memory and compared with those that are there, byte by byte as
//! they are stored; only the difference is written, so that history has only what changed. Two rows that are
//! equal and without NULLs are refused, as PostgreSQL does, which pairs rows by a unique index.
//!
//! Source: PostgreSQL 15, commands/matview.c (refresh_by_match_merge).

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Bound;
use std::sync::Arc;

use driftdb_concurrency::{
    LockMode, LockStrength, ReadAt, RowBatch, ScanRequest, ScanState, WaitPolicy,
};
use driftdb_query::{PhysicalPlan, Refresh, Result, SqlError, Table};
use driftdb_tables::{ByteRange, Inserted, TableWriter, encode_row, lock_table};
use driftdb_types::{SqlState, Value};

use super::ddl::{context, fill};
use super::{CommandTag, Outcome, stale};
use crate::batch::BATCH_ROWS;
use crate::context::Run;
use crate::integrity::{Integrity, refuse_pending};
use crate::operator::access::go_on_after;
use crate::operator::{build, pull};
use crate::record_text::write_record;

/// Runs the statement; without a source the view is left without data.
pub(crate) fn run(
    refresh: &Refresh,
    source: Option<&PhysicalPlan>,
    run: &mut Run<'_, '_>,
) -> Result<Outcome> {
    let table = &refresh.table;
    refuse_pending(table, "REFRESH MATERIALIZED VIEW", run)?;
    let mode = if refresh.concurrently { LockMode::Exclusive } else { LockMode::AccessExclusive };
    if lock_table(run.cx.txn, table, mode, WaitPolicy::Wait(None))? {
        return Err(stale(&table.name));
    }
    match source {
        Some(source) if refresh.concurrently => merge(table, source, run)?,
        _ => {
            let emptied =
                driftdb_tables::empty_materialized(&mut context(run), table, source.is_some())?;
            if let Some(source) = source {
                fill(emptied, source, run).map_err(as_of_new_index)?;
            }
        }
    }
    Ok(Outcome::tag(CommandTag::plain("REFRESH MATERIALIZED VIEW")))
}

/// PostgreSQL builds the indexes after the rows.
fn as_of_new_index(mut error: SqlError) -> SqlError {
    if error.state == SqlState::UniqueViolation
        && let Some(name) = error.constraint.clone()
    {
        error.message = format!("could not create unique index \"{name}\"");
        error.detail = error.detail.map(|detail| match detail.strip_suffix(" already exists.") {
            Some(key) => format!("{key} is duplicated.").into(),
            None => detail,
        });
    }
    error
}

/// A row of the query that is not there yet.
struct New {
    row: Vec<Value>,
    count: u64,
    has_null: bool,
}

/// Writes the difference between the query's rows and those that are there.
fn merge(table: &Arc<Table>, source: &PhysicalPlan, run: &mut Run<'_, '_>) -> Result<()> {
    let mut new = rows_of(table, source, run)?;
    let mut writer = TableWriter::new(Arc::clone(table));
    let mut integrity = Integrity::new(table, &Arc::default());
    let mut range = ByteRange { start: Bound::Unbounded, end: Bound::Unbounded };
    let mut batch = RowBatch::new();
    loop {
        run.check_cancel()?;
        batch.clear();
        let request = ScanRequest {
            range: range.as_range(),
            at: ReadAt::Newest,
            reverse: false,
            max_rows: BATCH_ROWS,
        };
        let state = run.cx.txn.scan(table.keyspace, &request, &mut batch)?;
        for stored in batch.rows() {
            if let Some(bytes) = stored.value
                && let Entry::Occupied(mut same) = new.entry(bytes.to_vec())
            {
                same.get_mut().count -= 1;
                if same.get().count == 0 {
                    same.remove();
                }
                continue;
            }
            delete(&mut writer, &mut integrity, stored.key, run)?;
        }
        match batch.last_key() {
            Some(last) if state == ScanState::More => go_on_after(&mut range, last, false),
            _ => break,
        }
    }
    for (_, New { row, count, .. }) in new {
        for _ in 0..count {
            run.check_cancel()?;
            let row = integrity.extended(table, &row, run)?;
            let cx = &mut *run.cx;
            if let Inserted::Conflict(conflict) = writer.insert(cx.txn, cx.store, &row, cx.eval)? {
                return Err(writer.conflict_error(&conflict, cx.eval));
            }
        }
    }
    Ok(())
}

fn delete(
    writer: &mut TableWriter,
    integrity: &mut Integrity,
    key: &[u8],
    run: &mut Run<'_, '_>,
) -> Result<()> {
    let wait = WaitPolicy::Wait(None);
    writer.lock_row(run.cx.txn, key, LockStrength::Update, wait)?;
    let Some(row) = writer.newest(run.cx.txn, key)? else { return Ok(()) };
    let table = Arc::clone(writer.table());
    let row = integrity.extended(&table, &row, run)?;
    writer.delete(run.cx.txn, key, &row)
}

/// The query's rows as they would be stored, each with how often it comes.
fn rows_of(
    table: &Table,
    source: &PhysicalPlan,
    run: &mut Run<'_, '_>,
) -> Result<BTreeMap<Vec<u8>, New>> {
    /// What an entry takes besides its values.
    const ENTRY_BYTES: usize = 96;
    let (mut new, mut source) = (BTreeMap::<Vec<u8>, New>::new(), build(source));
    while let Some(batch) = pull(&mut source, run)? {
        run.check_cancel()?;
        run.hold(2 * batch.size_bytes() + batch.len() * ENTRY_BYTES)?;
        for place in 0..batch.len() {
            let row = batch.row(place);
            let mut bytes = Vec::new();
            encode_row(table, &row, &mut bytes);
            let has_null = row.iter().any(Value::is_null);
            new.entry(bytes).or_insert(New { row, count: 0, has_null }).count += 1;
        }
    }
    match new.values().find(|new| new.count > 1 && !new.has_null) {
        Some(repeated) => Err(repeats(table, &repeated.row, run)),
        None => Ok(new),
    }
}

fn repeats(table: &Table, row: &[Value], run: &Run<'_, '_>) -> SqlError {
    let message = format!(
        "new data for materialized view \"{}\" contains duplicate rows without any null columns",
        table.name
    );
    let values = table.columns.iter().zip(row).map(|(column, value)| (value, column.ty));
    let row = write_record(values, run.cx.eval);
    SqlError::new(SqlState::CardinalityViolation, message).with_detail(format!("Row: {row}"))
}
