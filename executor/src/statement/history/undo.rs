//! UNDO TRANSACTION: writes the inverse of what one commit changed.
//!
//! A row that was changed again since is a conflict: its change would be lost. Either the whole statement
//! fails, or such rows stay as they are. As in RESTORE, every row that goes is removed before any is put
//! back. All rows are locked before anything is written, since the statement may have to begin again on
//! a newer snapshot until then.

use std::sync::Arc;

use driftdb_concurrency::{LockStrength, ReadAt, WaitPolicy};
use driftdb_env::planted;
use driftdb_query::{RestoredTable, Result, SqlError, Table, TableAt};
use driftdb_storage::Timestamp;
use driftdb_tables::{
    Change, Mapping, RowState, TableDiff, TableWriter, check_comparable, row_identity,
};
use driftdb_types::{SqlState, Value};

use crate::context::Run;
use crate::integrity::Integrity;
use crate::statement::row::{check_row, hold_definition};
use crate::statement::stale;

/// The commit that is undone.
#[derive(Clone, Copy)]
pub(super) struct Commit {
    pub(super) sequence: u64,
    pub(super) ts: Timestamp,
}

/// Undoes a commit; returns how many rows are as they were before it again.
pub(super) fn run(
    commit: Commit,
    tables: &[(RestoredTable, Arc<Table>)],
    gone: &[Arc<Table>],
    skip_conflicts: bool,
    run: &mut Run<'_, '_>,
) -> Result<u64> {
    let mut undos = Vec::new();
    for (restored, was) in tables {
        if is_touched(commit, was, run)? {
            hold_definition(&restored.table, run)?;
            Integrity::new(&restored.table, &restored.related).hold_definitions(run)?;
            check_comparable(was, &restored.table)?;
            undos.push(Undo::new(commit, restored, was));
        }
    }
    for was in gone {
        if is_touched(commit, was, run)? && !skip_conflicts {
            let what = format!("table \"{}\" has been dropped since", was.name);
            return Err(conflict(commit, was, what));
        }
    }
    let mut skipped = 0;
    for undo in &mut undos {
        skipped += undo.lock(skip_conflicts, run)?;
    }
    let mut rows = 0;
    for undo in &mut undos {
        rows += undo.remove(run)?;
    }
    for undo in &mut undos {
        undo.put_back(run)?;
    }
    for undo in &mut undos {
        undo.integrity.finish(run)?;
    }
    if skipped > 0 {
        let rows = if skipped == 1 { "1 row was" } else { &format!("{skipped} rows were") };
        let notice = format!("{rows} changed since and left as they are");
        run.cx.notices.push(SqlError::new(SqlState::SuccessfulCompletion, notice));
    }
    Ok(rows)
}

/// What the commit did to the rows of a table.
fn diff(commit: Commit, was: &Arc<Table>, run: &mut Run<'_, '_>) -> Result<TableDiff> {
    let side = |ts| Some(TableAt { table: Arc::clone(was), at: ReadAt::AsOf(ts) });
    let before = Timestamp(commit.ts.0.saturating_sub(1));
    TableDiff::new(run.cx.txn, side(before), side(commit.ts), false)
}

fn is_touched(commit: Commit, was: &Arc<Table>, run: &mut Run<'_, '_>) -> Result<bool> {
    let mut diff = diff(commit, was, run)?;
    while let Some(changes) = diff.next(run.cx.txn)? {
        run.check_cancel()?;
        if !changes.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn conflict(commit: Commit, table: &Table, detail: String) -> SqlError {
    let message = format!(
        "could not undo transaction {}: table \"{}\" was changed since",
        commit.sequence, table.name
    );
    let mut error = SqlError::new(SqlState::SerializationFailure, message)
        .with_detail(format!("{detail}."))
        .with_hint("UNDO TRANSACTION ... ON CONFLICT SKIP leaves what was changed since as it is.");
    error.table = Some(table.name.as_str().into());
    error
}

/// One table of the commit.
struct Undo<'a> {
    commit: Commit,
    restored: &'a RestoredTable,
    was: &'a Arc<Table>,
    mapping: Mapping,
    writer: TableWriter,
    integrity: Integrity,
}

/// A row that the commit changed, under the definition of now.
struct Row {
    key: Vec<u8>,
    before: Option<Vec<Value>>,
    after: Option<Vec<Value>>,
    now: Option<Vec<Value>>,
}

impl Row {
    fn is_conflict(&self) -> bool {
        self.now != self.after && !planted!("executor.undo-without-conflict-check")
    }
}

impl<'a> Undo<'a> {
    fn new(commit: Commit, restored: &'a RestoredTable, was: &'a Arc<Table>) -> Self {
        let table = &restored.table;
        let writer = TableWriter::new(Arc::clone(table));
        let integrity = Integrity::new(table, &restored.related);
        let mapping = Mapping::new(was, table);
        Self { commit, restored, was, mapping, writer, integrity }
    }

    fn row(&self, change: Change, run: &mut Run<'_, '_>) -> Result<Row> {
        let read = |row: Option<Vec<u8>>| row.map(|row| self.mapping.read(&row)).transpose();
        let (before, after) = (read(change.before)?, read(change.after)?);
        let now = self.writer.row_at(run.cx.txn, &change.key, ReadAt::Statement)?;
        Ok(Row { key: change.key, before, after, now })
    }

    fn for_each_row(
        &mut self,
        run: &mut Run<'_, '_>,
        visit: &mut dyn FnMut(&mut Self, Row, &mut Run<'_, '_>) -> Result<()>,
    ) -> Result<()> {
        let mut diff = diff(self.commit, self.was, run)?;
        while let Some(changes) = diff.next(run.cx.txn)? {
            run.check_cancel()?;
            for change in changes {
                let row = self.row(change, run)?;
                visit(self, row, run)?;
            }
        }
        Ok(())
    }

    /// Locks the rows that are to be changed; returns how many are in conflict.
    fn lock(&mut self, skip_conflicts: bool, run: &mut Run<'_, '_>) -> Result<u64> {
        let mut skipped = 0;
        self.for_each_row(run, &mut |undo, row, run| {
            let (strength, wait) = (LockStrength::Update, WaitPolicy::Wait(None));
            if undo.writer.lock_row(run.cx.txn, &row.key, strength, wait)? != RowState::Unchanged {
                return Err(stale(&undo.restored.table.name));
            }
            if row.is_conflict() {
                if !skip_conflicts {
                    let table = &undo.restored.table;
                    let shown = [&row.now, &row.after, &row.before].into_iter().flatten().next();
                    let detail = shown.map(|shown| row_identity(table, shown, run.cx.eval));
                    return Err(conflict(undo.commit, table, detail.unwrap_or_default()));
                }
                skipped += 1;
            }
            Ok(())
        })?;
        Ok(skipped)
    }

    /// Removes what the commit left; returns how many rows are undone.
    fn remove(&mut self, run: &mut Run<'_, '_>) -> Result<u64> {
        let mut rows = 0;
        self.for_each_row(run, &mut |undo, row, run| {
            if row.is_conflict() {
                return Ok(());
            }
            rows += 1;
            match &row.now {
                Some(now) => undo.integrity.take_away(&mut undo.writer, &row.key, now, run),
                None => Ok(()),
            }
        })?;
        Ok(rows)
    }

    /// Puts back what was there before the commit.
    fn put_back(&mut self, run: &mut Run<'_, '_>) -> Result<()> {
        self.for_each_row(run, &mut |undo, row, run| {
            let (false, Some(before)) = (row.is_conflict(), &row.before) else { return Ok(()) };
            let mut before = before.clone();
            check_row(&undo.restored.table, &undo.restored.checks, &mut before, run)?;
            undo.integrity.put_back(&mut undo.writer, &row.key, &before, run)
        })
    }
}
