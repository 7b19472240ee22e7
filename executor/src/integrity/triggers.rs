//! Triggers: which fire for a change of a row or for a statement, and what they make of it.
//!
//! All changes of rows pass by [`super::Integrity`], so that triggers fire for COPY, ON CONFLICT and
//! referential actions alike. BEFORE triggers see the row on its way and may change it or leave it out;
//! AFTER triggers wait as events and fire in order once the statement's own work is done.
//!
//! Source: PostgreSQL 15, src/backend/commands/trigger.c.

use std::sync::Arc;

use driftdb_concurrency::ReadAt;
use driftdb_query::{
    Object, ObjectKind, Result, SqlError, Table, TableId, TablePart, Trigger, TriggerTime,
};
use driftdb_tables::{TableWriter, triggers_of};
use driftdb_types::{SqlState, Value};

use super::{Event, Integrity};
use crate::context::Run;
use crate::routine::{Fired, Firing, TriggerEvent};

/// The triggers of a table that may fire, in the order of their names.
pub(super) type TableTriggers = Arc<[Arc<Object>]>;

/// A change that AFTER triggers are to hear of.
pub(super) struct Change {
    pub(super) table: Arc<Table>,
    pub(super) event: TriggerEvent,
    pub(super) old: Option<Vec<Value>>,
    pub(super) new: Option<Vec<Value>>,
    /// The positions that were assigned to.
    pub(super) assigned: Vec<usize>,
}

impl Change {
    pub(super) fn size_bytes(&self) -> usize {
        let values = self.old.iter().chain(&self.new).flatten();
        96 + values.map(|value| size_of::<Value>() + value.heap_bytes()).sum::<usize>()
    }
}

fn trigger_of(object: &Object) -> Option<&Trigger> {
    match &object.kind {
        ObjectKind::Trigger(trigger) => Some(trigger),
        _ => None,
    }
}

/// Whether a trigger fires for an event, as far as its definition says.
fn is_for(trigger: &Trigger, event: TriggerEvent, table: &Table, assigned: &[usize]) -> bool {
    let events = trigger.events;
    let is_enabled = matches!(trigger.enabled, 'O' | 'A');
    is_enabled
        && match event {
            TriggerEvent::Insert => events.insert,
            TriggerEvent::Delete => events.delete,
            TriggerEvent::Truncate => events.truncate,
            TriggerEvent::Update => {
                let names = |id| {
                    let position = table.position(id);
                    assigned.iter().any(|at| Some(*at) == position)
                };
                events.update
                    && (trigger.columns.is_empty() || trigger.columns.iter().any(|id| names(*id)))
            }
        }
}

/// The error for a row that a trigger or function changed under the statement.
pub(crate) fn changed_within(is_delete: bool) -> SqlError {
    let what = if is_delete { "deleted" } else { "updated" };
    let message = format!(
        "tuple to be {what} was already modified by an operation triggered by the current command"
    );
    SqlError::new(SqlState::TriggeredDataChangeViolation, message).with_hint(
        "Consider using an AFTER trigger instead of a BEFORE trigger to propagate changes to other \
         rows.",
    )
}

/// Fails if the row of an UPDATE or DELETE is no longer what the statement met, because something that ran
/// within the statement changed it.
pub(crate) fn check_unchanged(
    writer: &TableWriter,
    key: &[u8],
    old: &[Value],
    is_delete: bool,
    run: &mut Run<'_, '_>,
) -> Result<()> {
    if !run.state.has_called {
        return Ok(());
    }
    match writer.newest(run.cx.txn, key)? {
        Some(newest) if newest == old => Ok(()),
        _ => Err(changed_within(is_delete)),
    }
}

impl Integrity {
    /// The triggers of a table.
    pub(super) fn triggers(
        &mut self,
        table: &Arc<Table>,
        run: &mut Run<'_, '_>,
    ) -> Result<TableTriggers> {
        if table.needs.iter().all(|needing| needing.part != TablePart::Trigger) {
            return Ok(Arc::default());
        }
        if let Some(known) = self.triggers.get(&table.id) {
            return Ok(Arc::clone(known));
        }
        let found = triggers_of(run.cx.txn, table, ReadAt::Newest)?;
        let found: TableTriggers = found.into();
        self.triggers.insert(table.id, Arc::clone(&found));
        Ok(found)
    }

    /// Whether BEFORE triggers may change what an UPDATE of a table's rows changes.
    pub(crate) fn may_rewrite(
        &mut self,
        table: &Arc<Table>,
        run: &mut Run<'_, '_>,
    ) -> Result<bool> {
        let triggers = self.triggers(table, run)?;
        Ok(triggers.iter().filter_map(|object| trigger_of(object)).any(|trigger| {
            trigger.is_row && trigger.time == TriggerTime::Before && trigger.events.update
        }))
    }

    /// A statement begins that inserts, updates or deletes: BEFORE triggers of the statement fire.
    pub(crate) fn begin(
        &mut self,
        event: TriggerEvent,
        assigned: Vec<usize>,
        run: &mut Run<'_, '_>,
    ) -> Result<()> {
        let table = Arc::clone(&self.target);
        if self.triggers(&table, run)?.is_empty() {
            return Ok(());
        }
        self.fire_statement(TriggerTime::Before, event, &assigned, run)?;
        self.begun.push((event, assigned));
        Ok(())
    }

    /// Triggers of a statement as a whole fire.
    pub(crate) fn fire_statement(
        &mut self,
        time: TriggerTime,
        event: TriggerEvent,
        assigned: &[usize],
        run: &mut Run<'_, '_>,
    ) -> Result<()> {
        let table = Arc::clone(&self.target);
        for object in self.triggers(&table, run)?.iter() {
            let Some(trigger) = trigger_of(object) else { continue };
            if trigger.is_row || trigger.time != time || !is_for(trigger, event, &table, assigned) {
                continue;
            }
            fire(&Firing { trigger: object, table: &table, event, old: None, new: None }, run)?;
        }
        Ok(())
    }

    /// AFTER triggers of the statement fire; what began last ends first.
    pub(super) fn fire_after_statement(&mut self, run: &mut Run<'_, '_>) -> Result<()> {
        for (event, assigned) in std::mem::take(&mut self.begun).into_iter().rev() {
            self.fire_statement(TriggerTime::After, event, &assigned, run)?;
        }
        Ok(())
    }

    /// The positions that the statement assigns to, of an event of its target; of other tables those that
    /// differ.
    fn assigned(&self, table: TableId, old: Option<&[Value]>, new: Option<&[Value]>) -> Vec<usize> {
        let (Some(old), Some(new)) = (old, new) else { return Vec::new() };
        let is_update = |begun: &&(TriggerEvent, Vec<usize>)| begun.0 == TriggerEvent::Update;
        match self.begun.iter().find(is_update) {
            Some((_, assigned)) if table == self.target.id => assigned.clone(),
            _ => (0..old.len()).filter(|at| old[*at] != new[*at]).collect(),
        }
    }

    /// A row is about to be inserted, updated or deleted: BEFORE triggers fire. What they make of the new
    /// row, or of a row to be deleted the row itself; `None` if it is left out.
    pub(crate) fn before_row(
        &mut self,
        table: &Arc<Table>,
        event: TriggerEvent,
        old: Option<&[Value]>,
        new: Option<Vec<Value>>,
        run: &mut Run<'_, '_>,
    ) -> Result<Option<Vec<Value>>> {
        let triggers = self.triggers(table, run)?;
        let mut new = new;
        if !triggers.is_empty() {
            let assigned = self.assigned(table.id, old, new.as_deref());
            for object in triggers.iter() {
                let Some(trigger) = trigger_of(object) else { continue };
                let fires = trigger.is_row
                    && trigger.time == TriggerTime::Before
                    && is_for(trigger, event, table, &assigned);
                if !fires {
                    continue;
                }
                let firing = Firing { trigger: object, table, event, old, new: new.as_deref() };
                match fire(&firing, run)? {
                    Fired::Passed => {}
                    Fired::Row(None) => return Ok(None),
                    Fired::Row(Some(_)) if event == TriggerEvent::Delete => {}
                    Fired::Row(Some(row)) => new = Some(row),
                }
            }
        }
        Ok(match new {
            Some(new) => Some(new),
            None => Some(old.map(<[Value]>::to_vec).unwrap_or_default()),
        })
    }

    /// A row was inserted, updated or deleted: AFTER triggers are to fire.
    pub(super) fn note_change(
        &mut self,
        table: &Arc<Table>,
        event: TriggerEvent,
        old: Option<&[Value]>,
        new: Option<&[Value]>,
        run: &mut Run<'_, '_>,
    ) -> Result<()> {
        let triggers = self.triggers(table, run)?;
        let assigned = self.assigned(table.id, old, new);
        let is_heard = triggers.iter().filter_map(|object| trigger_of(object)).any(|trigger| {
            trigger.is_row
                && trigger.time == TriggerTime::After
                && is_for(trigger, event, table, &assigned)
        });
        if !is_heard {
            return Ok(());
        }
        let (old, new) = (old.map(<[Value]>::to_vec), new.map(<[Value]>::to_vec));
        let change = Change { table: Arc::clone(table), event, old, new, assigned };
        run.hold(change.size_bytes())?;
        self.events.push_back(Event::Fire(change));
        Ok(())
    }

    /// AFTER triggers of a change fire.
    pub(super) fn fire_after_row(&mut self, change: &Change, run: &mut Run<'_, '_>) -> Result<()> {
        let table = &change.table;
        for object in self.triggers(table, run)?.iter() {
            let Some(trigger) = trigger_of(object) else { continue };
            let fires = trigger.is_row
                && trigger.time == TriggerTime::After
                && is_for(trigger, change.event, table, &change.assigned);
            if fires {
                let (old, new) = (change.old.as_deref(), change.new.as_deref());
                fire(&Firing { trigger: object, table, event: change.event, old, new }, run)?;
            }
        }
        Ok(())
    }
}

fn fire(firing: &Firing<'_>, run: &mut Run<'_, '_>) -> Result<Fired> {
    run.check_cancel()?;
    run.state.has_called = true;
    let routines = run.cx.routines;
    crate::context::on_deep_stack(|| routines.fire(firing, run.cx))
}
