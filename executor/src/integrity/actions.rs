//! Referential actions: rows that follow the row that they refer to.

use std::sync::Arc;

use driftdb_concurrency::{LockStrength, WaitPolicy};
use driftdb_query::{ReferentialAction, RelatedTable, Result, SqlError};
use driftdb_tables::{Reference, RowState, TableWriter};
use driftdb_types::Value;

use super::triggers::check_unchanged;
use super::{Gone, Integrity};
use crate::context::Run;
use crate::evaluate::row::evaluate_row;
use crate::routine::TriggerEvent;
use crate::statement::row::{check_row, update_strength_of};

impl Integrity {
    /// Carries out the action for a referenced row that went.
    pub(super) fn act(
        &mut self,
        reference: &Arc<Reference>,
        gone: &Gone,
        run: &mut Run<'_, '_>,
    ) -> Result<()> {
        let action = gone.action(reference);
        if action == ReferentialAction::Restrict {
            return refuse_referenced(reference, gone, run);
        }
        let child = Arc::clone(reference.child());
        let mut writer =
            self.writers.remove(&child.id).unwrap_or_else(|| TableWriter::new(Arc::clone(&child)));
        let mut scan = reference.children(&gone.old, run.cx.eval);
        while let Some(found) = scan.next(run.cx.txn)? {
            run.check_cancel()?;
            for (key, row) in found {
                self.act_on(reference, gone, &mut writer, &key, row, run)?;
            }
        }
        self.writers.insert(child.id, writer);
        // The default may be the very key that went.
        if action == ReferentialAction::SetDefault && !reference.stands(run.cx.txn, &gone.old)? {
            return refuse_referenced(reference, gone, run);
        }
        Ok(())
    }

    /// Carries out the action on one referring row.
    fn act_on(
        &mut self,
        reference: &Reference,
        gone: &Gone,
        writer: &mut TableWriter,
        key: &[u8],
        mut row: Vec<Value>,
        run: &mut Run<'_, '_>,
    ) -> Result<()> {
        let child = reference.child();
        let changed = changed_positions(reference, gone)?;
        let strength = match &changed {
            None => LockStrength::Update,
            Some(positions) => update_strength_of(child, positions.iter().copied()),
        };
        match writer.lock_row(run.cx.txn, key, strength, WaitPolicy::Wait(None))? {
            RowState::Unchanged => {}
            RowState::Changed(None) => return Ok(()),
            RowState::Changed(Some(newest)) => {
                if !reference.refers(&newest, &gone.old, run.cx.eval) {
                    return Ok(());
                }
                row = newest;
            }
        }
        let Some(changed) = changed else {
            let event = TriggerEvent::Delete;
            if self.before_row(child, event, Some(&row), None, run)?.is_none() {
                return Ok(());
            }
            check_unchanged(writer, key, &row, true, run)?;
            return self.delete(writer, key, &row, run);
        };
        let related = Arc::clone(&self.related);
        let unreached = || SqlError::internal(format!("{} was not reached", child.name));
        let related = related.table(child.id).ok_or_else(unreached)?;
        let mut new = row.clone();
        set_values(reference, gone, related, &changed, &mut new, run)?;
        let event = TriggerEvent::Update;
        let Some(mut new) = self.before_row(child, event, Some(&row), Some(new), run)? else {
            return Ok(());
        };
        check_unchanged(writer, key, &row, false, run)?;
        check_row(child, &related.checks, &mut new, run)?;
        self.update(writer, key, &row, &new, run)
    }
}

/// The columns that the action changes; `None`: the row is deleted.
fn changed_positions(reference: &Reference, gone: &Gone) -> Result<Option<Vec<usize>>> {
    let key = reference.key();
    let all = || reference.child_positions().to_vec();
    Ok(match (gone.action(reference), &gone.new) {
        (ReferentialAction::Cascade, None) => None,
        (ReferentialAction::Cascade, Some(_)) => Some(all()),
        (_, None) if !key.delete_columns.is_empty() => {
            let torn = || SqlError::internal(format!("foreign key {} is torn", key.name));
            Some(reference.child().positions(&key.delete_columns).ok_or_else(torn)?)
        }
        _ => Some(all()),
    })
}

/// Gives a referring row its new values.
fn set_values(
    reference: &Reference,
    gone: &Gone,
    related: &RelatedTable,
    changed: &[usize],
    row: &mut [Value],
    run: &mut Run<'_, '_>,
) -> Result<()> {
    match (gone.action(reference), &gone.new) {
        (ReferentialAction::Cascade, Some(new)) => {
            for (at, value) in changed.iter().zip(reference.assigned(new, run.cx.eval)?) {
                row[*at] = value;
            }
        }
        (ReferentialAction::SetDefault, _) => {
            for at in changed {
                row[*at] = default_of(related, *at, run)?;
            }
        }
        _ => changed.iter().for_each(|at| row[*at] = Value::Null),
    }
    Ok(())
}

fn default_of(related: &RelatedTable, at: usize, run: &mut Run<'_, '_>) -> Result<Value> {
    let missing = || SqlError::internal(format!("no defaults of {}", related.table.name));
    evaluate_row(related.defaults.get(at).ok_or_else(missing)?, &[], run)
}

/// The error if a referenced row that went is still referred to.
fn refuse_referenced(reference: &Reference, gone: &Gone, run: &mut Run<'_, '_>) -> Result<()> {
    if reference.is_referenced(run.cx.txn, &gone.old, run.cx.eval)? {
        return Err(reference.still_referenced(&gone.old, run.cx.eval));
    }
    Ok(())
}
