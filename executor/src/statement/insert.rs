//! INSERT, with ON CONFLICT.

use std::sync::Arc;

use driftdb_concurrency::{IsolationLevel, ReadAt, TxnError, WaitPolicy};
use driftdb_query::{
    ConflictTarget, PhysicalConflict, PhysicalInsert, Result, RowKey, SqlError, Table,
};
use driftdb_tables::{Conflict, Inserted, RowState, TableWriter, index_entry, point_key};
use driftdb_types::{SqlState, Value};

use super::output::Output;
use super::row::{Touched, check_row, hold_definition, update_strength};
use super::{CommandTag, Outcome};
use crate::context::Run;
use crate::evaluate::row::{evaluate_row, holds};
use crate::integrity::Integrity;
use crate::integrity::triggers::check_unchanged;
use crate::operator::{BoxOperator, pull};
use crate::routine::TriggerEvent;

/// A row that a conflict points at may be deleted before it is locked; then the insertion is tried
/// again, so often.
const ATTEMPTS: usize = 100;

/// Runs the statement to its end, on the operators of its source.
pub(crate) fn run(
    insert: &PhysicalInsert,
    mut source: BoxOperator,
    run: &mut Run<'_, '_>,
) -> Result<Outcome> {
    hold_definition(&insert.table, run)?;
    let mut writer = TableWriter::new(Arc::clone(&insert.table));
    let mut inserter = Inserter::new(insert, &mut writer, run)?;
    while let Some(batch) = pull(&mut source, run)? {
        run.check_cancel()?;
        for row in 0..batch.len() {
            inserter.insert(batch.row(row), run)?;
        }
    }
    inserter.finish(run)
}

/// Inserts row after row.
pub(crate) struct Inserter<'a> {
    insert: &'a PhysicalInsert,
    writer: &'a mut TableWriter,
    integrity: Integrity,
    output: Output<'a>,
    touched: Touched,
    rows: u64,
}

impl<'a> Inserter<'a> {
    pub(crate) fn new(
        insert: &'a PhysicalInsert,
        writer: &'a mut TableWriter,
        run: &mut Run<'_, '_>,
    ) -> Result<Self> {
        let mut integrity = Integrity::new(&insert.table, &insert.related);
        integrity.hold_definitions(run)?;
        integrity.begin(TriggerEvent::Insert, Vec::new(), run)?;
        let update = insert.on_conflict.as_ref().and_then(|action| action.update.as_ref());
        if let Some(assignments) = update {
            let assigned = assignments.iter().map(|(position, _)| *position).collect();
            integrity.begin(TriggerEvent::Update, assigned, run)?;
        }
        Ok(Self {
            insert,
            writer,
            integrity,
            output: Output::new(insert.returning.as_deref(), &insert.fields),
            touched: Touched::default(),
            rows: 0,
        })
    }

    /// The tag, and what RETURNING yields, once all constraints hold.
    pub(crate) fn finish(mut self, run: &mut Run<'_, '_>) -> Result<Outcome> {
        self.integrity.finish(run)?;
        let tag = CommandTag::counted("INSERT", self.rows);
        Ok(Outcome { tag, batches: self.output.finish(run)? })
    }

    pub(crate) fn insert(&mut self, row: Vec<Value>, run: &mut Run<'_, '_>) -> Result<()> {
        let insert = self.insert;
        let event = TriggerEvent::Insert;
        let row = self.integrity.before_row(&insert.table, event, None, Some(row), run)?;
        let Some(mut row) = row else { return Ok(()) };
        check_row(&insert.table, &insert.checks, &mut row, run)?;
        for _ in 0..ATTEMPTS {
            let conflict = match self.integrity.insert(self.writer, &row, run)? {
                Inserted::Done { key } => {
                    self.rows += 1;
                    run.claim(insert.table.id.0, &key)?;
                    if insert.on_conflict.is_some() {
                        self.touched.add(&key, run)?;
                    }
                    return self.output.add(&row, run);
                }
                Inserted::Conflict(conflict) => conflict,
            };
            let handled = match &insert.on_conflict {
                Some(action) => self.arbiter(action, &conflict, &row, run)?,
                None => None,
            };
            let (Some(action), Some(existing_key)) = (&insert.on_conflict, handled) else {
                return Err(self.writer.conflict_error(&conflict, run.cx.eval));
            };
            let done = if action.update.is_some() {
                self.update_existing(action, &existing_key, &row, run)?
            } else {
                self.check_visible(&existing_key, run)?;
                true
            };
            if done {
                return Ok(());
            }
        }
        Err(TxnError::ConcurrentUpdate.into())
    }

    /// The key of the row that ON CONFLICT is about. A conflict in another index does not matter if
    /// one of those that it names has one, too: these are asked first.
    fn arbiter(
        &mut self,
        action: &PhysicalConflict,
        conflict: &Conflict,
        row: &[Value],
        run: &mut Run<'_, '_>,
    ) -> Result<Option<Vec<u8>>> {
        let table = &self.insert.table;
        let ConflictTarget::Indexes(targets) = &action.target else {
            return Ok(Some(conflict.existing_key.clone()));
        };
        if targets.contains(&conflict.index) {
            return Ok(Some(conflict.existing_key.clone()));
        }
        for index in targets.iter().filter_map(|id| table.index(*id)) {
            let mut existing_key = Vec::new();
            match index.keyspace {
                Some(space) => {
                    let extended = self.integrity.extended(table, row, run)?;
                    let entry = index_entry(table, index, &extended, &[]);
                    let Some((entry, exclusive)) = entry else { continue };
                    let at = ReadAt::Newest;
                    if exclusive && run.cx.txn.get(space, &entry, at, &mut existing_key)? {
                        return Ok(Some(existing_key));
                    }
                }
                None => {
                    let Some(key) = primary_key(table, row) else { continue };
                    if self.writer.newest(run.cx.txn, &key)?.is_some() {
                        return Ok(Some(key));
                    }
                }
            }
        }
        Ok(None)
    }

    /// Above READ COMMITTED, a row that the snapshot does not show must not decide what happens.
    fn check_visible(&self, key: &[u8], run: &mut Run<'_, '_>) -> Result<()> {
        if run.cx.txn.isolation() < IsolationLevel::RepeatableRead || self.touched.contains(key) {
            return Ok(());
        }
        let space = self.insert.table.keyspace;
        if !run.cx.txn.get(space, key, ReadAt::Statement, &mut Vec::new())? {
            return Err(TxnError::ConcurrentUpdate.into());
        }
        Ok(())
    }

    /// DO UPDATE; false if the row is gone meanwhile.
    fn update_existing(
        &mut self,
        action: &PhysicalConflict,
        key: &[u8],
        proposed: &[Value],
        run: &mut Run<'_, '_>,
    ) -> Result<bool> {
        let table = &self.insert.table;
        let Some(assignments) = &action.update else { return Ok(true) };
        if self.touched.contains(key) {
            return Err(second_time());
        }
        let strength = update_strength(table, assignments);
        let wait = WaitPolicy::Wait(None);
        let state = self.writer.lock_row(run.cx.txn, key, strength, wait)?;
        let existing = match state {
            RowState::Unchanged => self.writer.newest(run.cx.txn, key)?,
            RowState::Changed(newest) => newest,
        };
        let Some(existing) = existing else { return Ok(false) };
        let scope: Vec<Value> = existing.iter().chain(proposed).cloned().collect();
        if let Some(filter) = &action.filter
            && !holds(filter, &scope, run)?
        {
            return Ok(true);
        }
        let mut new = existing.clone();
        for (position, value) in assignments {
            new[*position] = evaluate_row(value, &scope, run)?;
        }
        let event = TriggerEvent::Update;
        let new = self.integrity.before_row(table, event, Some(&existing), Some(new), run)?;
        let Some(mut new) = new else { return Ok(true) };
        check_unchanged(self.writer, key, &existing, false, run)?;
        check_row(table, &self.insert.checks, &mut new, run)?;
        self.integrity.update(self.writer, key, &existing, &new, run)?;
        self.touched.add(key, run)?;
        // The key may have changed with the row.
        if let Some(moved) = primary_key(table, &new) {
            self.touched.add(&moved, run)?;
        }
        self.rows += 1;
        self.output.add(&new, run)?;
        Ok(true)
    }
}

/// The storage key of a row, if it is the primary key.
fn primary_key(table: &Table, row: &[Value]) -> Option<Vec<u8>> {
    if table.key != RowKey::Primary {
        return None;
    }
    let columns = &table.primary_key()?.columns;
    let values: Option<Vec<Value>> =
        columns.iter().map(|key| table.position(key.column).map(|at| row[at].clone())).collect();
    point_key(table, &values?)
}

fn second_time() -> SqlError {
    SqlError::new(
        SqlState::CardinalityViolation,
        "ON CONFLICT DO UPDATE command cannot affect row a second time",
    )
    .with_hint(
        "Ensure that no rows proposed for insertion within the same command have duplicate \
         constrained values.",
    )
}
