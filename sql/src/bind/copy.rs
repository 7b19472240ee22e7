//! COPY: what it reads or writes.

mod options;

use std::time::Duration;

use driftdb_query::{
    ColId, Copy, CopySource, Expr, Query, Result, Rights, RowRules, SqlError, Table,
};
use driftdb_types::SqlState;
use sqlparser::ast;

use super::create::has_subquery;
use super::foreign::Change;
use super::materialized::refuse;
use super::names::ObjectName;
use super::position::Placed;
use super::schema::no_such_schema;
use super::scope::{Clause, Scope};
use super::stored::{named_row, relation};
use super::{Binder, changes};
use crate::front::copy::{CopyBody, CopyWhat};
use options::{Given, invalid, text};

/// How often a COPY that follows says so, unless told.
const HEARTBEAT: Duration = Duration::from_secs(10);
const SHORTEST_HEARTBEAT: Duration = Duration::from_millis(10);

impl Binder<'_> {
    pub(crate) fn copy(&mut self, copy: &CopyBody) -> Result<Copy> {
        let (table, mut names) = match &copy.what {
            CopyWhat::Query(statement) => {
                let ast::Statement::Query(query) = &**statement else {
                    let message = "COPY query must have a RETURNING clause";
                    return Err(SqlError::new(SqlState::FeatureNotSupported, message));
                };
                self.may_change = true;
                let mut rows = self.query(query)?;
                self.decide_columns(&mut rows)?;
                let names: Vec<String> = rows.columns.iter().map(|c| c.name.clone()).collect();
                let options = Given::read(copy)?.resolve(&names, None)?;
                let fields = rows.fields();
                if options.follow {
                    changes::follow(&mut rows.plan, self.heartbeat(copy)?)?;
                }
                let source = CopySource::To(Box::new(Query { plan: rows.plan, fields }));
                return Ok(Copy { source, options });
            }
            CopyWhat::Table(name, columns) => {
                if let Some(schema) = self.missing_schema(name.schema.as_deref())? {
                    return Err(no_such_schema(&schema));
                }
                let name = ObjectName {
                    schema: name.schema.clone(),
                    name: name.name.clone(),
                    position: name.position,
                    last: name.position,
                };
                let table = self.table_now(&name)?;
                refuse_copy(&table, copy.from)?;
                (table, columns.clone())
            }
        };
        let row = self.row_ids(&table);
        let filter = match &copy.filter {
            Some(filter) => Some(self.copied_rows(&table, &row, filter)?),
            None => None,
        };
        if names.is_empty() {
            let copied = table.columns.iter().filter(|column| !column.is_stored());
            names = copied.map(|column| (column.name.clone(), 0)).collect();
        }
        let mut columns = Vec::with_capacity(names.len());
        for (name, position) in &names {
            let index = table.column(name).map(|(index, _)| index).ok_or_else(|| {
                let message =
                    format!("column \"{name}\" of relation \"{}\" does not exist", table.name);
                let error = SqlError::new(SqlState::UndefinedColumn, message);
                if *position > 0 { error.at(*position) } else { error }
            })?;
            if table.columns[index].is_stored() {
                let message = format!("column \"{name}\" is a generated column");
                return Err(SqlError::new(SqlState::InvalidColumnReference, message)
                    .with_detail("Generated columns cannot be used in COPY."));
            }
            if columns.contains(&index) {
                let message = format!("column \"{name}\" specified more than once");
                return Err(SqlError::new(SqlState::DuplicateColumn, message));
            }
            columns.push(index);
        }
        let names: Vec<String> = names.into_iter().map(|(name, _)| name).collect();
        let given = Given::read(copy)?;
        if given.follow {
            return Err(changes::cannot_follow());
        }
        let options = given.resolve(&names, Some(&table))?;
        let source = if copy.from {
            let asked = self.ask_change(&table, None, Rights::INSERT, &row);
            let given = columns.iter().copied();
            self.ask_columns(asked, &table, None, Rights::INSERT, given);
            let row = self.copied_row(&table, &columns)?;
            let checks = self.slot_checks(&table)?;
            let related = self.related(&table, Change::Insert)?;
            CopySource::From { table, columns, row, filter, checks, related }
        } else {
            CopySource::To(Box::new(self.table_query(&table, &columns)))
        };
        Ok(Copy { source, options })
    }

    /// How often a COPY that follows says up to where it has come.
    fn heartbeat(&self, copy: &CopyBody) -> Result<Duration> {
        let given = copy.options.iter().find(|(name, ..)| name == "heartbeat");
        let Some((_, value, position)) = given else { return Ok(HEARTBEAT) };
        let asked = text("heartbeat", value).map_err(|error| error.at(*position))?;
        let period = super::history::period(&asked, self.eval);
        period.filter(|period| *period >= SHORTEST_HEARTBEAT).ok_or_else(|| {
            invalid(format!("invalid value for option \"heartbeat\": \"{asked}\""))
                .with_hint(
                    "Give an interval of a hundredth of a second or more, such as '5 seconds'.",
                )
                .at(*position)
        })
    }

    /// Which rows are taken: COPY's WHERE, over a row by position.
    fn copied_rows(&mut self, table: &Table, row: &[ColId], condition: &ast::Expr) -> Result<Expr> {
        let columns = named_row(table, row);
        let relations = vec![relation(&table.name, columns.clone())];
        self.scopes.push(Scope::with(Clause::CopyWhere, relations, columns));
        let bound = self.predicate(condition, "WHERE");
        self.scopes.pop();
        let mut bound = bound?;
        if has_subquery(&bound) {
            let message = "cannot use subquery in COPY FROM WHERE condition";
            return Err(SqlError::new(SqlState::FeatureNotSupported, message)).at_expr(condition);
        }
        to_slots(&mut bound, row);
        Ok(bound)
    }

    /// A whole row from the input's columns.
    fn copied_row(&mut self, table: &Table, columns: &[usize]) -> Result<Vec<Expr>> {
        let mut row = Vec::with_capacity(table.columns.len());
        for (position, column) in table.columns.iter().enumerate() {
            row.push(match columns.iter().position(|given| *given == position) {
                // The input is read as the column's type.
                Some(index) => Expr::Slot { index, ty: column.ty },
                None => self.default_of(column)?,
            });
        }
        Ok(row)
    }

    /// A table's CHECKs over its row by position.
    pub(crate) fn slot_checks(&mut self, table: &Table) -> Result<RowRules> {
        let row = self.row_ids(table);
        let mut checks = self.checks(table, &row)?;
        checks.exprs_mut().for_each(|expr| to_slots(expr, &row));
        Ok(checks)
    }

    /// The rows of a table, as COPY writes them.
    fn table_query(&mut self, table: &std::sync::Arc<Table>, columns: &[usize]) -> Query {
        let mut scanned = Vec::with_capacity(columns.len());
        let mut fields = Vec::with_capacity(columns.len());
        for position in columns {
            let column = &table.columns[*position];
            let id = self.column_id();
            self.note_used(&Expr::Column { id, ty: column.ty });
            scanned.push(driftdb_query::ScanColumn { id, position: *position });
            fields.push(driftdb_query::Field {
                name: column.name.clone(),
                ty: column.ty,
                typmod: column.typmod,
                origin: (table.id.0, column.id.0),
            });
        }
        let plan = driftdb_query::LogicalPlan::Scan {
            table: table.clone(),
            at: driftdb_concurrency::ReadAt::Statement,
            columns: scanned,
            key: None,
            temporal: driftdb_query::Temporal::default(),
        };
        Query { plan, fields }
    }
}

/// A materialized view is not copied as a table.
fn refuse_copy(table: &Table, is_from: bool) -> Result<()> {
    if is_from {
        return refuse(table, |name| format!("cannot copy to materialized view \"{name}\""));
    }
    refuse(table, |name| format!("cannot copy from materialized view \"{name}\""))
        .map_err(|error| error.with_hint("Try the COPY (SELECT ...) TO variant."))
}

/// Columns by identity become columns by position.
pub(crate) fn to_slots(expr: &mut Expr, row: &[ColId]) {
    if let Expr::Column { id, ty } = expr
        && let Some(index) = row.iter().position(|other| other == id)
    {
        *expr = Expr::Slot { index, ty: *ty };
        return;
    }
    expr.for_each_child_mut(&mut |child| to_slots(child, row));
}
