//! FOR UPDATE and its kin: locks rows as they are asked for.
//!
//! One row per batch: a LIMIT above must not lock rows that it does not give.

use std::sync::Arc;

use driftdb_concurrency::{LockStrength, WaitPolicy};
use driftdb_env::{planted, sometimes};
use driftdb_query::{PhysicalLock, Result, SqlError, Table};
use driftdb_tables::{RowState, TableWriter};
use driftdb_types::{DataType, SqlState, Value};

use super::{BoxOperator, Operator, pull, rebind};
use crate::batch::{Batch, RowBuffer};
use crate::context::Run;
use crate::evaluate::row::holds;

pub(crate) struct Lock {
    input: BoxOperator,
    clauses: Vec<(PhysicalLock, TableWriter)>,
    types: Vec<DataType>,
    batch: Option<(Batch, usize)>,
}

impl Lock {
    pub(crate) fn new(
        input: BoxOperator,
        clauses: Vec<PhysicalLock>,
        types: Vec<DataType>,
    ) -> Self {
        let with_writer = |clause: PhysicalLock| {
            let writer = TableWriter::new(Arc::clone(&clause.table));
            (clause, writer)
        };
        let clauses = clauses.into_iter().map(with_writer).collect();
        Self { input, clauses, types, batch: None }
    }

    /// Locks a row; false if it is to be left out.
    fn lock(&self, row: &mut [Value], run: &mut Run<'_, '_>) -> Result<bool> {
        for (clause, writer) in &self.clauses {
            // An outer join gave no row of this table.
            let Value::Bytea(key) = &row[clause.key] else { continue };
            let wait = if clause.skip_locked { WaitPolicy::NoWait } else { clause.wait };
            let state = match writer.lock_row(run.cx.txn, key, clause.strength, wait) {
                Ok(state) => state,
                Err(error) if error.state == SqlState::LockNotAvailable => {
                    if clause.skip_locked {
                        sometimes!("executor.locked-row-skipped");
                        return Ok(false);
                    }
                    return Err(not_available(error, clause));
                }
                Err(error) => return Err(error),
            };
            match state {
                RowState::Unchanged => {}
                RowState::Changed(None) => {
                    sometimes!("executor.row-to-lock-is-gone");
                    return Ok(false);
                }
                // Only the key was to stay, and it is the key that found the row: the row is given as
                // the statement's snapshot shows it, as in PostgreSQL.
                RowState::Changed(Some(_))
                    if clause.strength == LockStrength::KeyShare && has_one_key(&clause.table) => {}
                RowState::Changed(Some(newest)) => {
                    sometimes!("executor.row-to-lock-has-changed");
                    for &(slot, position) in &clause.columns {
                        row[slot] = newest[position].clone();
                    }
                    if let Some(recheck) = &clause.recheck
                        && !planted!("executor.locked-row-not-rechecked")
                        && !holds(recheck, row, run)?
                    {
                        return Ok(false);
                    }
                }
            }
        }
        Ok(true)
    }
}

/// Whether the storage key is all that others may refer to.
fn has_one_key(table: &Table) -> bool {
    table.indexes.iter().filter(|index| index.unique).all(|index| index.keyspace.is_none())
}

fn not_available(error: SqlError, clause: &PhysicalLock) -> SqlError {
    if clause.wait != WaitPolicy::NoWait {
        return error;
    }
    let message = format!("could not obtain lock on row in relation \"{}\"", clause.table.name);
    SqlError::new(SqlState::LockNotAvailable, message)
}

impl Operator for Lock {
    fn next(&mut self, run: &mut Run<'_, '_>) -> Result<Option<Batch>> {
        loop {
            let (batch, at) = match self.batch.take() {
                Some(current) => current,
                None => match pull(&mut self.input, run)? {
                    Some(batch) => (batch, 0),
                    None => return Ok(None),
                },
            };
            if at == batch.len() {
                continue;
            }
            run.check_cancel()?;
            let mut row = batch.row(at);
            self.batch = Some((batch, at + 1));
            if self.lock(&mut row, run)? {
                let mut out = RowBuffer::new(&self.types, 1);
                out.push(row)?;
                return Ok(Some(out.finish()));
            }
        }
    }

    fn rebind(&mut self, run: &mut Run<'_, '_>) {
        self.batch = None;
        rebind(&mut self.input, run);
    }
}
