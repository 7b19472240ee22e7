//! MERGE.
//!
//! Each row of the source is acted on by the first clause of its kind whose condition holds. A target row
//! that changed while it was waited for is looked at again: it may match another clause now, or none.
//!
//! Sources: PostgreSQL 15, src/backend/executor/nodeModifyTable.c (ExecMerge).

use std::sync::Arc;

use driftdb_concurrency::{LockStrength, WaitPolicy};
use driftdb_query::{PhysicalMerge, PhysicalMergeAction, PhysicalMergeClause, Result, SqlError};
use driftdb_tables::{RowState, TableWriter};
use driftdb_types::{SqlState, Value};

use super::insert::Inserter;
use super::row::{Touched, hold_definition, storage_key};
use super::{CommandTag, Outcome, delete, update};
use crate::context::Run;
use crate::evaluate::row::{evaluate_row, holds};
use crate::integrity::Integrity;
use crate::operator::{BoxOperator, pull};

/// What a clause works with.
enum Means<'a> {
    None,
    Change(Integrity),
    Insert(Inserter<'a>),
}

/// Runs the statement to its end, on the operators of its source.
pub(crate) fn run(
    merge: &PhysicalMerge,
    mut source: BoxOperator,
    run: &mut Run<'_, '_>,
) -> Result<Outcome> {
    hold_definition(&merge.table, run)?;
    let mut writer = TableWriter::new(Arc::clone(&merge.table));
    let mut writers: Vec<TableWriter> =
        merge.clauses.iter().map(|_| TableWriter::new(Arc::clone(&merge.table))).collect();
    let mut means = Vec::with_capacity(merge.clauses.len());
    for (clause, own) in merge.clauses.iter().zip(&mut writers) {
        let related = match &clause.action {
            PhysicalMergeAction::Nothing => {
                means.push(Means::None);
                continue;
            }
            PhysicalMergeAction::Insert(insert, _) => {
                means.push(Means::Insert(Inserter::new(insert, own, run)?));
                continue;
            }
            PhysicalMergeAction::Update(update) => &update.related,
            PhysicalMergeAction::Delete(delete) => &delete.related,
        };
        let integrity = Integrity::new(&merge.table, related);
        integrity.hold_definitions(run)?;
        means.push(Means::Change(integrity));
    }
    let mut touched = Touched::default();
    let mut rows = 0;
    while let Some(batch) = pull(&mut source, run)? {
        run.check_cancel()?;
        for index in 0..batch.len() {
            let mut row = batch.row(index);
            if merge_row(merge, &mut row, &mut writer, &mut means, &mut touched, run)? {
                rows += 1;
            }
        }
    }
    for means in means {
        match means {
            Means::None => {}
            Means::Change(mut integrity) => integrity.finish(run)?,
            Means::Insert(inserter) => drop(inserter.finish(run)?),
        }
    }
    Ok(Outcome::tag(CommandTag::counted("MERGE", rows)))
}

/// The clause that acts on a row.
fn chosen(
    clauses: &[PhysicalMergeClause],
    matched: bool,
    row: &[Value],
    run: &mut Run<'_, '_>,
) -> Result<Option<usize>> {
    for (index, clause) in clauses.iter().enumerate().filter(|(_, c)| c.matched == matched) {
        match &clause.condition {
            Some(condition) if !holds(condition, row, run)? => {}
            _ => return Ok(Some(index)),
        }
    }
    Ok(None)
}

/// Acts on a row; whether anything was done.
fn merge_row(
    merge: &PhysicalMerge,
    row: &mut [Value],
    writer: &mut TableWriter,
    means: &mut [Means<'_>],
    touched: &mut Touched,
    run: &mut Run<'_, '_>,
) -> Result<bool> {
    let clauses = &merge.clauses;
    let width = merge.table.columns.len();
    let mut matched = !row[0].is_null();
    let mut choice = chosen(clauses, matched, row, run)?;
    let acts = |choice: Option<usize>| {
        choice.filter(|index| !matches!(clauses[*index].action, PhysicalMergeAction::Nothing))
    };
    if matched && acts(choice).is_some() {
        if touched.contains(storage_key(row)?) {
            return Err(second_time());
        }
        let wait = WaitPolicy::Wait(None);
        let key = storage_key(row)?;
        let state = writer.lock_row(run.cx.txn, key, LockStrength::Update, wait)?;
        match state {
            RowState::Unchanged => {}
            RowState::Changed(newest) => {
                match newest {
                    Some(newest) => {
                        row[1..=width].clone_from_slice(&newest);
                        matched = holds(&merge.on, row, run)?;
                    }
                    None => matched = false,
                }
                if !matched {
                    row[..=width].fill(Value::Null);
                }
                choice = chosen(clauses, matched, row, run)?;
            }
        }
    }
    let Some(index) = acts(choice) else { return Ok(false) };
    if matched {
        touched.add(storage_key(row)?, run)?;
    }
    match (&clauses[index].action, &mut means[index]) {
        (PhysicalMergeAction::Update(change), Means::Change(integrity)) => {
            Ok(update::update_row(change, writer, integrity, row, run)?.is_some())
        }
        (PhysicalMergeAction::Delete(change), Means::Change(integrity)) => {
            delete::delete_row(change, writer, integrity, row, run)
        }
        (PhysicalMergeAction::Insert(_, values), Means::Insert(inserter)) => {
            let new = values.iter().map(|value| evaluate_row(value, row, run));
            inserter.insert(new.collect::<Result<_>>()?, run)?;
            Ok(true)
        }
        _ => Err(SqlError::internal("a clause without its means")),
    }
}

fn second_time() -> SqlError {
    SqlError::new(SqlState::CardinalityViolation, "MERGE command cannot affect row a second time")
        .with_hint("Ensure that not more than one source row matches any one target row.")
}
