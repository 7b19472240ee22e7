//! UPDATE.

use std::sync::Arc;

use driftdb_concurrency::{LockStrength, WaitPolicy};
use driftdb_env::sometimes;
use driftdb_query::{PhysicalUpdate, Result};
use driftdb_tables::{RowState, TableWriter};
use driftdb_types::Value;

use super::output::Output;
use super::portion;
use super::row::{
    Touched, check_row, hold_definition, may_repeat, refresh_system, storage_key, update_strength,
};
use super::{CommandTag, Outcome};
use crate::context::Run;
use crate::evaluate::row::{evaluate_row, holds};
use crate::integrity::Integrity;
use crate::integrity::triggers::check_unchanged;
use crate::operator::{BoxOperator, pull};
use crate::routine::TriggerEvent;

/// Runs the statement to its end, on the operators of its source.
pub(crate) fn run(
    update: &PhysicalUpdate,
    mut source: BoxOperator,
    run: &mut Run<'_, '_>,
) -> Result<Outcome> {
    hold_definition(&update.table, run)?;
    let mut writer = TableWriter::new(Arc::clone(&update.table));
    let mut integrity = Integrity::new(&update.table, &update.related);
    integrity.hold_definitions(run)?;
    let assigned = update.assignments.iter().map(|(position, _)| *position).collect();
    integrity.begin(TriggerEvent::Update, assigned, run)?;
    let mut output = Output::new(update.returning.as_deref(), &update.fields);
    let mut touched = may_repeat(&update.source).then(Touched::default);
    let mut rows = 0;
    while let Some(batch) = pull(&mut source, run)? {
        run.check_cancel()?;
        for index in 0..batch.len() {
            let mut row = batch.row(index);
            // Of several rows to update from, the first one counts.
            if let Some(touched) = &mut touched
                && !touched.add(storage_key(&row)?, run)?
            {
                continue;
            }
            if let Some(new) = update_row(update, &mut writer, &mut integrity, &mut row, run)? {
                rows += 1;
                if output.is_wanted() {
                    let rest = &row[1 + update.table.columns.len()..];
                    let row: Vec<Value> = new.into_iter().chain(rest.iter().cloned()).collect();
                    output.add(&row, run)?;
                }
            }
        }
    }
    integrity.finish(run)?;
    Ok(Outcome { tag: CommandTag::counted("UPDATE", rows), batches: output.finish(run)? })
}

/// Locks and updates the target of a source row; the new row, or `None` if it no longer qualifies.
/// The source row is brought up to date.
pub(crate) fn update_row(
    update: &PhysicalUpdate,
    writer: &mut TableWriter,
    integrity: &mut Integrity,
    row: &mut [Value],
    run: &mut Run<'_, '_>,
) -> Result<Option<Vec<Value>>> {
    if !run.claim(update.table.id.0, storage_key(row)?)? {
        return Ok(None);
    }
    let width = update.table.columns.len();
    let strength = if integrity.may_rewrite(&update.table, run)? {
        LockStrength::Update
    } else {
        update_strength(&update.table, &update.assignments)
    };
    let state = writer.lock_row(run.cx.txn, storage_key(row)?, strength, WaitPolicy::Wait(None))?;
    match state {
        RowState::Unchanged => {}
        RowState::Changed(None) => {
            sometimes!("executor.row-to-update-is-gone");
            return Ok(None);
        }
        RowState::Changed(Some(newest)) => {
            sometimes!("executor.row-to-update-has-changed");
            row[1..=width].clone_from_slice(&newest);
            refresh_system(&update.table, &update.system, row, run)?;
            if let Some(recheck) = &update.recheck
                && !holds(recheck, row, run)?
            {
                return Ok(None);
            }
        }
    }
    let mut new = row[1..=width].to_vec();
    for (position, value) in &update.assignments {
        new[*position] = evaluate_row(value, row, run)?;
    }
    let event = TriggerEvent::Update;
    let old = &row[1..=width];
    let Some(mut new) = integrity.before_row(&update.table, event, Some(old), Some(new), run)?
    else {
        return Ok(None);
    };
    check_unchanged(writer, storage_key(row)?, old, false, run)?;
    check_row(&update.table, &update.checks, &mut new, run)?;
    let left = portion::left_of(update.portion.as_ref(), row, width, run)?;
    let old = &row[1..=width];
    integrity.update(writer, storage_key(row)?, old, &new, run)?;
    portion::insert(update.portion.as_ref(), left, writer, integrity, run)?;
    Ok(Some(new))
}
