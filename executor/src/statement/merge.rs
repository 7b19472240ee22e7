//! MERGE.
//!
//! Each row of the source is acted on by the first clause of its kind whose condition holds. A target row
//! that changed while it was waited for is looked at again: it may match another clause now, or none.
//! All clauses answer for one statement's constraints, so that what follows from their changes follows in
//! the order of the rows.
//!
//! Sources: PostgreSQL 15, src/backend/executor/nodeModifyTable.c (ExecMerge).

use std::collections::BTreeSet;
use std::sync::Arc;

use driftdb_concurrency::{LockStrength, WaitPolicy};
use driftdb_query::{Expr, PhysicalMerge, PhysicalMergeAction, Result, SqlError};
use driftdb_tables::{Inserted, RowState, TableWriter};
use driftdb_types::{SqlState, Value};

use super::row::{
    Touched, check_row, hold_definition, refresh_system, storage_key, update_strength,
};
use super::{CommandTag, Outcome, delete, update};
use crate::context::Run;
use crate::evaluate::row::{evaluate_row, holds};
use crate::integrity::Integrity;
use crate::operator::{BoxOperator, pull};
use crate::routine::TriggerEvent;

/// Runs the statement to its end, on the operators of its source.
pub(crate) fn run(
    merge: &PhysicalMerge,
    mut source: BoxOperator,
    run: &mut Run<'_, '_>,
) -> Result<Outcome> {
    hold_definition(&merge.table, run)?;
    let mut integrity = Integrity::new(&merge.table, &merge.related);
    integrity.hold_definitions(run)?;
    begin(merge, &mut integrity, run)?;
    let writer = TableWriter::new(Arc::clone(&merge.table));
    let mut merger = Merger { merge, writer, integrity, touched: Touched::default() };
    let mut rows = 0;
    while let Some(batch) = pull(&mut source, run)? {
        run.check_cancel()?;
        for index in 0..batch.len() {
            rows += u64::from(merger.row(&mut batch.row(index), run)?);
        }
    }
    merger.integrity.finish(run)?;
    Ok(Outcome::tag(CommandTag::counted("MERGE", rows)))
}

/// The statement begins to do each thing that one of its clauses does.
fn begin(merge: &PhysicalMerge, integrity: &mut Integrity, run: &mut Run<'_, '_>) -> Result<()> {
    let (mut inserts, mut deletes) = (false, false);
    let mut assigned: Option<BTreeSet<usize>> = None;
    for clause in &merge.clauses {
        match &clause.action {
            PhysicalMergeAction::Nothing => {}
            PhysicalMergeAction::Insert(_) => inserts = true,
            PhysicalMergeAction::Delete(_) => deletes = true,
            PhysicalMergeAction::Update(update) => {
                let positions = update.assignments.iter().map(|(position, _)| *position);
                assigned.get_or_insert_default().extend(positions);
            }
        }
    }
    if inserts {
        integrity.begin(TriggerEvent::Insert, Vec::new(), run)?;
    }
    if let Some(assigned) = assigned {
        integrity.begin(TriggerEvent::Update, assigned.into_iter().collect(), run)?;
    }
    if deletes {
        integrity.begin(TriggerEvent::Delete, Vec::new(), run)?;
    }
    Ok(())
}

/// Acts on row after row.
struct Merger<'a> {
    merge: &'a PhysicalMerge,
    writer: TableWriter,
    integrity: Integrity,
    /// The target rows that were changed.
    touched: Touched,
}

impl<'a> Merger<'a> {
    /// Acts on a row of the source; whether anything was done.
    fn row(&mut self, row: &mut [Value], run: &mut Run<'_, '_>) -> Result<bool> {
        let mut matched = !row[0].is_null();
        let mut action = self.action(matched, row, run)?;
        if matched && let Some(strength) = self.strength(action, run)? {
            if self.touched.contains(storage_key(row)?) {
                return Err(second_time());
            }
            if let Some(still) = self.look_again(row, strength, run)? {
                matched = still;
                action = self.action(matched, row, run)?;
            }
        }
        let key = row[0].clone();
        let is_done = match action {
            PhysicalMergeAction::Nothing => return Ok(false),
            PhysicalMergeAction::Insert(values) => return self.insert(values, row, run),
            PhysicalMergeAction::Update(change) => {
                let (writer, integrity) = (&mut self.writer, &mut self.integrity);
                update::update_row(change, writer, integrity, row, run)?.is_some()
            }
            PhysicalMergeAction::Delete(change) => {
                delete::delete_row(change, &mut self.writer, &mut self.integrity, row, run)?
            }
        };
        if is_done && let Value::Bytea(key) = &key {
            self.touched.add(key, run)?;
        }
        Ok(is_done)
    }

    /// What the first clause says that is for the row.
    fn action(
        &self,
        matched: bool,
        row: &[Value],
        run: &mut Run<'_, '_>,
    ) -> Result<&'a PhysicalMergeAction> {
        let merge = self.merge;
        for clause in merge.clauses.iter().filter(|clause| clause.matched == matched) {
            match &clause.condition {
                Some(condition) if !holds(condition, row, run)? => {}
                _ => return Ok(&clause.action),
            }
        }
        Ok(&PhysicalMergeAction::Nothing)
    }

    /// How an action locks the target row.
    fn strength(
        &mut self,
        action: &PhysicalMergeAction,
        run: &mut Run<'_, '_>,
    ) -> Result<Option<LockStrength>> {
        let table = &self.merge.table;
        Ok(match action {
            PhysicalMergeAction::Nothing | PhysicalMergeAction::Insert(_) => None,
            PhysicalMergeAction::Update(change) if !self.integrity.may_rewrite(table, run)? => {
                Some(update_strength(table, &change.assignments))
            }
            PhysicalMergeAction::Update(_) | PhysicalMergeAction::Delete(_) => {
                Some(LockStrength::Update)
            }
        })
    }

    /// Locks the target row. If it changed before, the source row is brought up to date; whether they
    /// still match.
    fn look_again(
        &mut self,
        row: &mut [Value],
        strength: LockStrength,
        run: &mut Run<'_, '_>,
    ) -> Result<Option<bool>> {
        let (merge, wait) = (self.merge, WaitPolicy::Wait(None));
        let width = merge.table.columns.len();
        let matches = match self.writer.lock_row(run.cx.txn, storage_key(row)?, strength, wait)? {
            RowState::Unchanged => return Ok(None),
            RowState::Changed(None) => false,
            RowState::Changed(Some(newest)) => {
                row[1..=width].clone_from_slice(&newest);
                refresh_system(&merge.table, &merge.system, row, run)?;
                holds(&merge.on, row, run)?
            }
        };
        if !matches {
            row[..=width].fill(Value::Null);
        }
        Ok(Some(matches))
    }

    fn insert(&mut self, values: &[Expr], row: &[Value], run: &mut Run<'_, '_>) -> Result<bool> {
        let table = &self.merge.table;
        let new =
            values.iter().map(|value| evaluate_row(value, row, run)).collect::<Result<_>>()?;
        let new = self.integrity.before_row(table, TriggerEvent::Insert, None, Some(new), run)?;
        let Some(mut new) = new else { return Ok(false) };
        check_row(table, &self.merge.checks, &mut new, run)?;
        match self.integrity.insert(&mut self.writer, &new, run)? {
            Inserted::Done { key } => run.claim(table.id.0, &key),
            Inserted::Conflict(conflict) => Err(self.writer.conflict_error(&conflict, run.cx.eval)),
        }
    }
}

fn second_time() -> SqlError {
    SqlError::new(SqlState::CardinalityViolation, "MERGE command cannot affect row a second time")
        .with_hint("Ensure that not more than one source row matches any one target row.")
}
