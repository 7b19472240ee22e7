//! The direct path: statements that a whole primary key decides, and INSERT of given rows.
//!
//! No operators, no batches: the key's bytes, one read, the expressions row by row. It is prepared once
//! for a plan and may be run any number of times; what it keeps between runs are buffers, a compiled
//! reader, and the writer's run of hidden row numbers.

use std::sync::Arc;

use driftdb_query::{
    AccessPath, Expr, PhysicalDelete, PhysicalInsert, PhysicalPlan, PhysicalQuery,
    PhysicalStatement, PhysicalUpdate, Result, SqlError, TableAccess,
};
use driftdb_tables::{RowReader, TableWriter, point_key};
use driftdb_types::Value;

use crate::context::{ExecContext, Run, State};
use crate::evaluate::row::{evaluate_free, evaluate_row, holds};
use crate::integrity::Integrity;
use crate::operator::bounds::fit_key;
use crate::statement::delete::delete_row;
use crate::statement::insert::Inserter;
use crate::statement::row::hold_definition;
use crate::statement::update::update_row;
use crate::statement::{CommandTag, Outcome};

/// A statement that can run directly.
pub struct Direct {
    statement: Arc<PhysicalStatement>,
    reader: Option<RowReader>,
    writer: Option<TableWriter>,
    key: Vec<Value>,
    bytes: Vec<u8>,
    row: Vec<Value>,
}

/// A plan that yields at most one row: a point, filtered and projected.
struct Point<'p> {
    access: &'p TableAccess,
    key: &'p [Expr],
    filter: Option<&'p Expr>,
    project: Option<&'p [Expr]>,
}

impl<'p> Point<'p> {
    fn of(plan: &'p PhysicalPlan) -> Option<Self> {
        match plan {
            PhysicalPlan::Project { input, exprs } => {
                let point = Self::of(input)?;
                point.project.is_none().then_some(Self { project: Some(exprs), ..point })
            }
            PhysicalPlan::Filter { input, predicate } => {
                let point = Self::of(input)?;
                let first = point.filter.is_none() && point.project.is_none();
                first.then_some(Self { filter: Some(predicate), ..point })
            }
            PhysicalPlan::Access(access) => match &access.path {
                AccessPath::Point { key } if access.temporal.is_plain() => {
                    Some(Self { access, key, filter: None, project: None })
                }
                AccessPath::Point { .. } | AccessPath::Table { .. } | AccessPath::Index { .. } => {
                    None
                }
            },
            _ => None,
        }
    }
}

/// The most rows of VALUES that are inserted directly.
const MAX_ROWS: usize = 16;

impl Direct {
    /// The direct form of a statement, if it has one.
    pub fn prepare(statement: &Arc<PhysicalStatement>) -> Option<Self> {
        let (point, writes) = match &**statement {
            PhysicalStatement::Query(query) => (Some(Point::of(&query.plan)?), None),
            PhysicalStatement::Update(update) => {
                (Some(Point::of(&update.source)?), Some(&update.table))
            }
            PhysicalStatement::Delete(delete) => {
                (Some(Point::of(&delete.source)?), Some(&delete.table))
            }
            PhysicalStatement::Insert(insert) => {
                let PhysicalPlan::Values { rows, .. } = &insert.source else { return None };
                if rows.len() > MAX_ROWS {
                    return None;
                }
                (None, Some(&insert.table))
            }
            _ => return None,
        };
        // Triggers are the operators' business.
        let has_triggers = |table: &&Arc<driftdb_query::Table>| {
            table.needs.iter().any(|needing| needing.part == driftdb_query::TablePart::Trigger)
        };
        if writes.as_ref().is_some_and(has_triggers) {
            return None;
        }
        let reader = point.map(|point| RowReader::new(&point.access.table, &point.access.columns));
        Some(Self {
            statement: Arc::clone(statement),
            reader,
            writer: writes.map(|table| TableWriter::new(Arc::clone(table))),
            key: Vec::new(),
            bytes: Vec::new(),
            row: Vec::new(),
        })
    }

    /// Runs it. The values of the rows that it gives are appended to `out`, row after row.
    ///
    /// # Errors
    /// Whatever the statement raises; [`crate::is_stale`] tells when it must be bound again.
    pub fn run(&mut self, cx: &mut ExecContext<'_>, out: &mut Vec<Value>) -> Result<CommandTag> {
        let mut state = State::default();
        let mut run = Run { cx, state: &mut state };
        let statement = Arc::clone(&self.statement);
        match &*statement {
            PhysicalStatement::Query(query) => self.query(query, &mut run, out),
            PhysicalStatement::Insert(insert) => self.insert(insert, &mut run, out),
            PhysicalStatement::Update(update) => self.update(update, &mut run, out),
            PhysicalStatement::Delete(delete) => self.delete(delete, &mut run, out),
            _ => unreachable!("prepare admits four kinds of statement"),
        }
    }

    /// Reads the point's row into `self.row`; false if there is none that passes the filters.
    fn read(&mut self, plan: &PhysicalPlan, run: &mut Run<'_, '_>) -> Result<bool> {
        let point = Point::of(plan).expect("prepare looked at the plan");
        let access = point.access;
        self.key.clear();
        for expr in point.key {
            self.key.push(evaluate_free(expr, run)?);
        }
        let primary = access.table.primary_key();
        if !primary.is_some_and(|index| fit_key(&access.table, index, &mut self.key)) {
            return Ok(false);
        }
        let Some(key) = point_key(&access.table, &self.key) else { return Ok(false) };
        self.bytes.clear();
        let found = run.cx.txn.get(access.table.keyspace, &key, access.at, &mut self.bytes);
        if !found.map_err(|error| SqlError::from(error).about_table(&access.table.name))? {
            return Ok(false);
        }
        self.row.clear();
        if access.with_key {
            self.row.push(Value::Bytea(key.into()));
        }
        let reader = self.reader.as_ref().expect("a point has a reader");
        reader.read(&self.bytes, &mut self.row)?;
        for filter in access.filter.iter().chain(point.filter) {
            if !holds(filter, &self.row, run)? {
                return Ok(false);
            }
        }
        if let Some(exprs) = point.project {
            let projected: Vec<Value> = exprs
                .iter()
                .map(|expr| evaluate_row(expr, &self.row, run))
                .collect::<Result<_>>()?;
            self.row = projected;
        }
        Ok(true)
    }

    fn query(
        &mut self,
        query: &PhysicalQuery,
        run: &mut Run<'_, '_>,
        out: &mut Vec<Value>,
    ) -> Result<CommandTag> {
        let found = self.read(&query.plan, run)?;
        if found {
            out.append(&mut self.row);
        }
        Ok(CommandTag::counted("SELECT", u64::from(found)))
    }

    fn update(
        &mut self,
        update: &PhysicalUpdate,
        run: &mut Run<'_, '_>,
        out: &mut Vec<Value>,
    ) -> Result<CommandTag> {
        hold_definition(&update.table, run)?;
        let mut integrity = Integrity::new(&update.table, &update.related);
        integrity.hold_definitions(run)?;
        if !self.read(&update.source, run)? {
            return Ok(CommandTag::counted("UPDATE", 0));
        }
        let writer = self.writer.as_mut().expect("an update writes");
        let Some(new) = update_row(update, writer, &mut integrity, &mut self.row, run)? else {
            return Ok(CommandTag::counted("UPDATE", 0));
        };
        integrity.finish(run)?;
        if let Some(returning) = &update.returning {
            let rest = &self.row[1 + update.table.columns.len()..];
            let row: Vec<Value> = new.into_iter().chain(rest.iter().cloned()).collect();
            for expr in returning {
                out.push(evaluate_row(expr, &row, run)?);
            }
        }
        Ok(CommandTag::counted("UPDATE", 1))
    }

    fn delete(
        &mut self,
        delete: &PhysicalDelete,
        run: &mut Run<'_, '_>,
        out: &mut Vec<Value>,
    ) -> Result<CommandTag> {
        hold_definition(&delete.table, run)?;
        let mut integrity = Integrity::new(&delete.table, &delete.related);
        integrity.hold_definitions(run)?;
        if !self.read(&delete.source, run)? {
            return Ok(CommandTag::counted("DELETE", 0));
        }
        let writer = self.writer.as_mut().expect("a delete writes");
        if !delete_row(delete, writer, &mut integrity, &mut self.row, run)? {
            return Ok(CommandTag::counted("DELETE", 0));
        }
        integrity.finish(run)?;
        for expr in delete.returning.iter().flatten() {
            out.push(evaluate_row(expr, &self.row[1..], run)?);
        }
        Ok(CommandTag::counted("DELETE", 1))
    }

    fn insert(
        &mut self,
        insert: &PhysicalInsert,
        run: &mut Run<'_, '_>,
        out: &mut Vec<Value>,
    ) -> Result<CommandTag> {
        hold_definition(&insert.table, run)?;
        let PhysicalPlan::Values { rows, .. } = &insert.source else {
            unreachable!("prepare looked at the source")
        };
        let writer = self.writer.as_mut().expect("an insert writes");
        let mut inserter = Inserter::new(insert, writer, run)?;
        for row in rows {
            let row = row.iter().map(|expr| evaluate_free(expr, run)).collect::<Result<_>>()?;
            inserter.insert(row, run)?;
        }
        let Outcome { tag, batches } = inserter.finish(run)?;
        for batch in batches {
            (0..batch.len()).for_each(|row| out.extend(batch.row(row)));
        }
        Ok(tag)
    }
}
