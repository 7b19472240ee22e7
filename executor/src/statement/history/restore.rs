//! RESTORE TABLE and RESTORE DATABASE: writes the difference between now and then.
//!
//! An ordinary change: history stays, constraints hold, indexes follow, and it can be rolled back. Rows are
//! those of then under the definition of now: columns that were added since hold what ADD COLUMN gave to
//! existing rows, columns that were dropped are left out.
//!
//! RESTORE DATABASE also drops tables that did not exist then, and brings back those that exist no more.
//!
//! The table is held alone, so that between the look at it and the commit nobody changes what was looked
//! at. All rows that differ are removed before any is put back: a value that moved from one row to another
//! must not meet itself in a unique index. Foreign keys are checked when all is back, also those between
//! tables that are restored together; no referential action follows. The difference is walked once for
//! each, and not kept.

use std::ops::Bound;
use std::sync::Arc;

use driftdb_concurrency::{LockMode, LockStrength, ReadAt, RowBatch, TxnError, WaitPolicy};
use driftdb_query::{DropObjects, ObjectKind, RestoredTable, Result, Schema, Table, TableAt};
use driftdb_storage::{KeyRange, Timestamp};
use driftdb_tables::{
    Change, Mapping, RowReader, RowState, TableDiff, TableWriter, create_object, lock_table,
    undrop_references, undrop_table,
};

use super::notice;
use crate::context::Run;
use crate::integrity::Integrity;
use crate::statement::ddl::{context, drop_objects};
use crate::statement::row::check_row;
use crate::statement::stale;

/// What becomes of which table.
pub(super) struct Tables<'a> {
    /// As it is now, and as it was.
    pub(super) restored: &'a [(RestoredTable, Arc<Table>)],
    /// They did not exist then.
    pub(super) created: &'a [Arc<Table>],
    /// They exist no more.
    pub(super) dropped: &'a [Arc<Table>],
}

/// Restores tables to what they were; returns how many rows differed.
pub(super) fn run(
    Tables { restored: tables, created, dropped }: &Tables<'_>,
    at: Timestamp,
    run: &mut Run<'_, '_>,
) -> Result<u64> {
    // Nothing is written before all tables are held: the statement may still have to be bound again.
    for (restored, _) in *tables {
        hold_alone(&restored.table, run)?;
    }
    for (restored, _) in *tables {
        Integrity::new(&restored.table, &restored.related).hold_definitions(run)?;
    }
    let has_own_writes = run.cx.txn.has_writes();
    let mut restores: Vec<Restore<'_>> = Vec::with_capacity(tables.len());
    for (restored, was) in *tables {
        restores.push(Restore::new(restored, was, at, has_own_writes));
    }
    drop_created(created, run)?;
    bring_back(dropped, at, run)?;
    let mut rows = 0;
    for restore in &mut restores {
        rows += restore.remove(run)?;
    }
    for restore in &mut restores {
        restore.put_back(run)?;
    }
    for restore in &mut restores {
        restore.integrity.finish(run)?;
    }
    // All rows are as they were then.
    for was in *dropped {
        let lost = undrop_references(&mut context(run), was, at)?;
        lost.into_iter().for_each(|lost| notice(lost, run));
    }
    Ok(rows)
}

/// Drops tables that did not exist then, with the foreign keys that refer to them.
fn drop_created(created: &[Arc<Table>], run: &mut Run<'_, '_>) -> Result<()> {
    if created.is_empty() {
        return Ok(());
    }
    let notices =
        created.iter().map(|table| format!("table \"{}\" did not exist then: dropped", table.name));
    let objects = DropObjects {
        tables: created.to_vec(),
        notices: notices.collect(),
        cascade: true,
        ..DropObjects::default()
    };
    drop_objects(&objects, run).map(drop)
}

/// Brings back tables that exist no more.
fn bring_back(dropped: &[Arc<Table>], at: Timestamp, run: &mut Run<'_, '_>) -> Result<()> {
    for was in dropped {
        let (kind, needs) = (ObjectKind::Schema, Vec::new());
        let name = ("", was.schema.as_str());
        let is_missing = Schema::of_system_named(&was.schema).is_none()
            && create_object(&mut context(run), name, kind, needs, true)?.is_some();
        if is_missing {
            notice(format!("schema \"{}\" was dropped since: brought back", was.schema), run);
        }
        undrop_table(&mut context(run), was, at, &was.name)?;
        notice(format!("table \"{}\" was dropped since: brought back", was.name), run);
    }
    Ok(())
}

/// Holds a table alone, as the statement's snapshot shows it.
fn hold_alone(table: &Table, run: &mut Run<'_, '_>) -> Result<()> {
    // Readers go on.
    let (mode, wait) = (LockMode::Exclusive, WaitPolicy::Wait(None));
    if lock_table(run.cx.txn, table, mode, wait)? {
        return Err(stale(&table.name));
    }
    // Whoever was waited for may have changed rows.
    let (seen, newest) = (run.cx.txn.snapshot_ts(), run.cx.store.newest());
    let everything = KeyRange { start: Bound::Unbounded, end: Bound::Unbounded };
    let mut changed = RowBatch::new();
    if seen < newest {
        run.cx.txn.scan_changes(table.keyspace, &everything, seen, newest, 1, &mut changed)?;
    }
    if changed.is_empty() { Ok(()) } else { Err(stale(&table.name)) }
}

/// One table on its way back.
struct Restore<'a> {
    restored: &'a RestoredTable,
    then: TableAt,
    has_own_writes: bool,
    whole: RowReader,
    mapping: Mapping,
    writer: TableWriter,
    integrity: Integrity,
}

impl<'a> Restore<'a> {
    fn new(
        restored: &'a RestoredTable,
        was: &Arc<Table>,
        at: Timestamp,
        has_own_writes: bool,
    ) -> Self {
        let table = &restored.table;
        Self {
            restored,
            then: TableAt { table: Arc::clone(was), at: ReadAt::AsOf(at) },
            has_own_writes,
            whole: RowReader::whole(table),
            mapping: Mapping::new(was, table),
            writer: TableWriter::new(Arc::clone(table)),
            integrity: Integrity::new(table, &restored.related),
        }
    }

    /// Calls `visit` for each row that differs. Own writes of this statement are not seen, so that it
    /// may be called again.
    fn for_each_change(
        &mut self,
        run: &mut Run<'_, '_>,
        visit: &mut dyn FnMut(&mut Self, Change, &mut Run<'_, '_>) -> Result<()>,
    ) -> Result<()> {
        let now = TableAt { table: Arc::clone(&self.restored.table), at: ReadAt::Statement };
        let (then, now) = (Some(self.then.clone()), Some(now));
        let mut diff = TableDiff::new(run.cx.txn, then, now, self.has_own_writes)?;
        while let Some(changes) = diff.next(run.cx.txn)? {
            run.check_cancel()?;
            for change in changes {
                visit(self, change, run)?;
            }
        }
        Ok(())
    }

    /// Removes the rows that differ; returns how many differ, those included that are only to come.
    fn remove(&mut self, run: &mut Run<'_, '_>) -> Result<u64> {
        let mut rows = 0;
        self.for_each_change(run, &mut |restore, change, run| {
            rows += 1;
            let Some(now) = &change.after else { return Ok(()) };
            let wait = WaitPolicy::Wait(None);
            let strength = LockStrength::Update;
            let state = restore.writer.lock_row(run.cx.txn, &change.key, strength, wait)?;
            if state != RowState::Unchanged {
                return Err(TxnError::ConcurrentUpdate.into());
            }
            let mut row = Vec::with_capacity(restore.whole.len());
            restore.whole.read(now, &mut row)?;
            restore.integrity.take_away(&mut restore.writer, &change.key, &row, run)
        })?;
        Ok(rows)
    }

    /// Puts the rows of then back that are not there any more.
    fn put_back(&mut self, run: &mut Run<'_, '_>) -> Result<()> {
        self.for_each_change(run, &mut |restore, change, run| {
            let Some(then) = &change.before else { return Ok(()) };
            let mut row = restore.mapping.read(then)?;
            check_row(&restore.restored.table, &restore.restored.checks, &mut row, run)?;
            restore.integrity.put_back(&mut restore.writer, &change.key, &row, run)
        })
    }
}
