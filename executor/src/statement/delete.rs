//! DELETE.

use std::sync::Arc;

use driftdb_concurrency::{LockStrength, WaitPolicy};
use driftdb_query::{PhysicalDelete, Result};
use driftdb_tables::{RowState, TableWriter};
use driftdb_types::Value;

use super::output::Output;
use super::portion;
use super::row::{Touched, hold_definition, may_repeat, refresh_system, storage_key};
use super::{CommandTag, Outcome};
use crate::context::Run;
use crate::evaluate::row::holds;
use crate::integrity::Integrity;
use crate::integrity::triggers::check_unchanged;
use crate::operator::{BoxOperator, pull};
use crate::routine::TriggerEvent;

/// Runs the statement to its end, on the operators of its source.
pub(crate) fn run(
    delete: &PhysicalDelete,
    mut source: BoxOperator,
    run: &mut Run<'_, '_>,
) -> Result<Outcome> {
    hold_definition(&delete.table, run)?;
    let mut writer = TableWriter::new(Arc::clone(&delete.table));
    let mut integrity = Integrity::new(&delete.table, &delete.related);
    integrity.hold_definitions(run)?;
    integrity.begin(TriggerEvent::Delete, Vec::new(), run)?;
    let mut output = Output::new(delete.returning.as_deref(), &delete.fields);
    let mut touched = may_repeat(&delete.source).then(Touched::default);
    let mut rows = 0;
    while let Some(batch) = pull(&mut source, run)? {
        run.check_cancel()?;
        for index in 0..batch.len() {
            let mut row = batch.row(index);
            if let Some(touched) = &mut touched
                && !touched.add(storage_key(&row)?, run)?
            {
                continue;
            }
            if delete_row(delete, &mut writer, &mut integrity, &mut row, run)? {
                rows += 1;
                output.add(&row[1..], run)?;
            }
        }
    }
    integrity.finish(run)?;
    Ok(Outcome { tag: CommandTag::counted("DELETE", rows), batches: output.finish(run)? })
}

/// Locks and deletes the target of a source row; false if it no longer qualifies. The source row is
/// brought up to date.
pub(crate) fn delete_row(
    delete: &PhysicalDelete,
    writer: &mut TableWriter,
    integrity: &mut Integrity,
    row: &mut [Value],
    run: &mut Run<'_, '_>,
) -> Result<bool> {
    if !run.claim(delete.table.id.0, storage_key(row)?)? {
        return Ok(false);
    }
    let width = delete.table.columns.len();
    let wait = WaitPolicy::Wait(None);
    let state = writer.lock_row(run.cx.txn, storage_key(row)?, LockStrength::Update, wait)?;
    match state {
        RowState::Unchanged => {}
        RowState::Changed(None) => return Ok(false),
        RowState::Changed(Some(newest)) => {
            row[1..=width].clone_from_slice(&newest);
            refresh_system(&delete.table, &delete.system, row, run)?;
            if let Some(recheck) = &delete.recheck
                && !holds(recheck, row, run)?
            {
                return Ok(false);
            }
        }
    }
    let (event, old) = (TriggerEvent::Delete, &row[1..=width]);
    if integrity.before_row(&delete.table, event, Some(old), None, run)?.is_none() {
        return Ok(false);
    }
    check_unchanged(writer, storage_key(row)?, old, true, run)?;
    let left = portion::left_of(delete.portion.as_ref(), row, width, run)?;
    integrity.delete(writer, storage_key(row)?, &row[1..=width], run)?;
    portion::insert(delete.portion.as_ref(), left, writer, integrity, run)?;
    Ok(true)
}
