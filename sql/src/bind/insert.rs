//! INSERT.

use std::sync::Arc;

use driftdb_query::{Expr, Insert, LogicalPlan, OutputColumn, Result, Rights, SqlError, Table};
use driftdb_types::{CastContext, DataType, SqlState, Value};
use sqlparser::ast;

use super::Binder;
use super::element::no_default;
use super::foreign::Change;
use super::generated::{Overriding, check_inserted, is_overridden, stored_positions};
use super::names::{ident, object_name};
use super::position::{Placed, position};
use super::returning::is_default;
use super::scope::{Clause, Relation, Scope};
use super::stored::{named_row, relation};
use super::target::{NO_META, Target};
use super::updatable::{self, Through, own_schema};

impl<'a> Binder<'a> {
    pub(crate) fn insert(&mut self, insert: &ast::Insert) -> Result<Insert> {
        let foreign = insert.or.is_some()
            || insert.ignore
            || insert.overwrite
            || insert.replace_into
            || insert.partitioned.is_some()
            || insert.output.is_some()
            || !insert.assignments.is_empty()
            || insert.insert_alias.is_some()
            || !insert.into;
        if foreign {
            return Err(SqlError::new(
                SqlState::SyntaxError,
                "this form of INSERT is not PostgreSQL's",
            ));
        }
        let ast::TableObject::TableName(name) = &insert.table else {
            return Err(SqlError::new(SqlState::SyntaxError, "INSERT needs the name of a table"));
        };
        let alias = insert.table_alias.as_ref().map(|alias| &alias.alias);
        let (base, through) = self.changed_table(name, alias, updatable::Change::Insert)?;
        let table = through.as_ref().map_or_else(|| base.clone(), |through| through.seen.clone());
        if through.is_some() && insert.on.is_some() {
            return Err(SqlError::unsupported("ON CONFLICT on a view"));
        }
        let columns = match &through {
            Some(through) => self.view_columns(through, &insert.columns)?,
            None => self.insert_columns(&table, &insert.columns)?,
        };
        let asked = self.ask_change(&base, through.as_ref(), Rights::INSERT, &[]);
        let given = if insert.columns.is_empty() { &[][..] } else { &columns };
        let given = given.iter().copied();
        self.ask_columns(asked, &base, through.as_ref(), Rights::INSERT, given);
        let overriding = self.overriding(object_name(name)?.last);
        let explicit = !insert.columns.is_empty();
        let source = match insert.source.as_deref() {
            None => self.value_source(&table, &[], &[], &[], overriding)?,
            Some(query) => match value_list(query) {
                Some(values) => {
                    let spread = self.spread_records(values)?;
                    let rows: Vec<&[ast::Expr]> = match &spread {
                        Some(spread) => spread.iter().map(|row| &row[..]).collect(),
                        None => values.rows.iter().map(|row| &row.content[..]).collect(),
                    };
                    check_widths(&rows, columns.len(), explicit)
                        .map_err(|error| explain_width(through.as_ref(), columns.len(), error))?;
                    let parts = self.parts(&insert.columns)?;
                    self.value_source(&table, &columns, &parts, &rows, overriding)?
                }
                None if self.parts(&insert.columns)?.iter().any(Option::is_some) => {
                    return Err(SqlError::unsupported("INSERT ... SELECT into parts of arrays"));
                }
                None => self
                    .query_source(&table, &columns, query, explicit, overriding)
                    .map_err(|error| explain_width(through.as_ref(), columns.len(), error))?,
            },
        };
        let table = base;
        let row = self.row_ids(&table);
        let mut checks = self.checks(&table, &row)?;
        let mut names = named_row(&table, &row);
        if let Some(through) = &through {
            let view = self.view_row(&through.object, &row)?;
            checks.checks.extend(view.checks()?);
            names = view.columns;
        }
        let own = through.as_ref().map_or(&table.name, |through| &through.object.name);
        let own = own.clone();
        let schema = alias.is_none().then(|| own_schema(&table, through.as_ref()));
        let name = alias.map_or(own, ident);
        let on_conflict = match &insert.on {
            None => None,
            Some(ast::OnInsert::OnConflict(conflict)) => {
                Some(self.on_conflict(&table, (&schema, &name), &row, conflict)?)
            }
            Some(_) => {
                return Err(SqlError::new(
                    SqlState::SyntaxError,
                    "syntax error at or near \"DUPLICATE\"",
                ));
            }
        };
        if let Some(update) = on_conflict.as_ref().and_then(|action| action.update.as_ref()) {
            let positions = update.iter().map(|(position, _)| *position);
            self.ask_columns(asked, &table, through.as_ref(), Rights::UPDATE, positions);
        }
        let relations = vec![Relation { schema, ..relation(&name, names) }];
        let since = self.named_so_far();
        let (returning, fields) = self.returning(insert.returning.as_deref(), relations)?;
        self.ask_named_since(asked, &table, since, &row);
        let updated = on_conflict.as_ref().and_then(|action| action.update.as_ref());
        let updated = updated.map(|update| {
            update.iter().map(|(at, _)| *at).chain(stored_positions(&table)).collect::<Vec<_>>()
        });
        let change = updated.as_deref().map_or(Change::Insert, Change::Upsert);
        let related = self.related(&table, change)?;
        Ok(Insert { table, source, row, checks, related, on_conflict, returning, fields })
    }

    /// Likewise of a view, among the columns of the table below.
    fn view_columns(&self, through: &Through, names: &[ast::ObjectName]) -> Result<Vec<usize>> {
        if !names.is_empty() {
            return self.insert_columns(&through.seen, names).map_err(|error| {
                let missing = names.iter().filter_map(|name| object_name(name).ok());
                let missing = missing.map(|name| name.name);
                missing
                    .filter(|name| through.seen.column(name).is_none())
                    .take(1)
                    .fold(error, |error, name| through.explain(&name, error))
            });
        }
        // Those that are left out at the end need not be columns of the table.
        let known = through.columns.iter().map_while(|(_, position)| *position);
        Ok(known.collect())
    }

    /// The positions of the columns that are given; all, if none is named.
    pub(crate) fn insert_columns(
        &self,
        table: &Table,
        names: &[ast::ObjectName],
    ) -> Result<Vec<usize>> {
        if names.is_empty() {
            return Ok((0..table.columns.len()).collect());
        }
        let mut columns = Vec::with_capacity(names.len());
        for name in names {
            let name = object_name(name)?;
            let index = self.table_column(table, &name.name, name.position)?;
            // Several parts of one column may be given.
            if columns.contains(&index) && self.target_subscripts(name.last).is_none() {
                let message = format!("column \"{}\" specified more than once", name.name);
                return Err(SqlError::new(SqlState::DuplicateColumn, message).at(name.position));
            }
            columns.push(index);
        }
        Ok(columns)
    }

    /// The subscripts of the columns that are given.
    fn parts(&self, names: &[ast::ObjectName]) -> Result<Vec<Option<&'a [ast::AccessExpr]>>> {
        names.iter().map(|name| Ok(self.target_subscripts(object_name(name)?.last))).collect()
    }

    /// VALUES, or one row of defaults: whole rows at once.
    fn value_source(
        &mut self,
        table: &Arc<Table>,
        columns: &[usize],
        parts: &[Option<&[ast::AccessExpr]>],
        rows: &[&[ast::Expr]],
        overriding: Option<Overriding>,
    ) -> Result<LogicalPlan> {
        // A default is bound once and used in every row.
        let mut defaults: Vec<Option<Expr>> = vec![None; table.columns.len()];
        let mut whole = Vec::with_capacity(rows.len().max(1));
        self.scopes.push(Scope::new(Clause::Values));
        let one: [&[ast::Expr]; 1] = [&[]];
        let rows: &[&[ast::Expr]] = if columns.is_empty() && rows.is_empty() { &one } else { rows };
        for row in rows {
            let mut cells: Vec<Option<Expr>> = vec![None; table.columns.len()];
            for (at, (cell, index)) in row.iter().zip(columns).enumerate() {
                if let Some(Some(chain)) = parts.get(at) {
                    if is_default(cell) {
                        return Err(no_default(position(cell).unwrap_or(0)));
                    }
                    let column = &table.columns[*index];
                    let null = Expr::constant(Value::Null, column.ty);
                    let base = cells[*index].take().unwrap_or(null);
                    let part = self.expr(cell)?;
                    cells[*index] = Some(self.with_part(base, column, chain, part, cell)?);
                } else if !is_default(cell) {
                    let bound = self.expr(cell)?;
                    let column = &table.columns[*index];
                    check_inserted(column, overriding)?;
                    let assigned = self.assign(bound, column).at_expr(cell)?;
                    if !is_overridden(column, overriding) {
                        cells[*index] = Some(assigned);
                    }
                }
            }
            let mut full = Vec::with_capacity(cells.len());
            for (index, cell) in cells.into_iter().enumerate() {
                full.push(match (cell, &defaults[index]) {
                    (Some(cell), _) => cell,
                    (None, Some(default)) => default.clone(),
                    (None, None) => {
                        let default = self.default_of(&table.columns[index])?;
                        defaults[index] = Some(default.clone());
                        default
                    }
                });
            }
            whole.push(full);
        }
        self.scopes.pop();
        let outputs = table
            .columns
            .iter()
            .map(|column| OutputColumn { id: self.column_id(), ty: column.ty })
            .collect();
        Ok(LogicalPlan::Values { columns: outputs, rows: whole })
    }

    /// INSERT … SELECT.
    fn query_source(
        &mut self,
        table: &Arc<Table>,
        columns: &[usize],
        query: &ast::Query,
        explicit: bool,
        overriding: Option<Overriding>,
    ) -> Result<LogicalPlan> {
        let mut rows = self.query(query)?;
        let place = |index: usize| projected(query, index).and_then(position);
        if rows.columns.len() > columns.len() {
            let message = "INSERT has more expressions than target columns";
            let error = SqlError::new(SqlState::SyntaxError, message);
            return Err(match place(columns.len()) {
                Some(position) => error.at(position),
                None => error,
            });
        }
        if explicit && rows.columns.len() < columns.len() {
            let message = "INSERT has more target columns than expressions";
            return Err(SqlError::new(SqlState::SyntaxError, message));
        }
        let at = |error: SqlError, index: usize| match place(index) {
            Some(position) => error.at(position),
            None => error,
        };
        let mut given: Vec<Option<usize>> = vec![None; table.columns.len()];
        for (index, position) in columns.iter().take(rows.columns.len()).enumerate() {
            let column = &table.columns[*position];
            check_inserted(column, overriding)?;
            if rows.columns[index].ty == DataType::Unknown {
                let (ty, typmod) = (column.ty, column.typmod);
                self.coerce_column(&mut rows, index, ty, typmod, CastContext::Assignment)
                    .map_err(|error| at(error, index))?;
            }
            if !is_overridden(column, overriding) {
                given[*position] = Some(index);
            }
        }
        let mut targets = Vec::with_capacity(table.columns.len());
        for (position, given) in given.into_iter().enumerate() {
            let column = &table.columns[position];
            let expr = match given {
                None => self.default_of(column)?,
                Some(index) => {
                    let source = &rows.columns[index];
                    let bare = Expr::Column { id: source.id, ty: source.ty };
                    self.assign(bare, column).map_err(|error| at(error, index))?
                }
            };
            targets.push(Target { name: column.name.clone(), expr, meta: NO_META });
        }
        Ok(self.project(rows.plan, targets).plan)
    }
}

/// Too many values for a view may be one for a column that cannot be written to.
fn explain_width(through: Option<&Through>, known: usize, error: SqlError) -> SqlError {
    let next = through.and_then(|through| Some((through, through.columns.get(known)?)));
    match next {
        Some((through, (name, None))) if error.message.contains("more expressions") => {
            let missing = SqlError { state: SqlState::UndefinedColumn, ..error };
            through.explain(name, missing)
        }
        _ => error,
    }
}

/// The rows of a query that is nothing but VALUES.
fn value_list(query: &ast::Query) -> Option<&ast::Values> {
    let bare = query.with.is_none()
        && query.order_by.is_none()
        && query.limit_clause.is_none()
        && query.fetch.is_none();
    match &*query.body {
        ast::SetExpr::Values(values) if bare => Some(values),
        _ => None,
    }
}

/// The expression of a query's select list.
fn projected(query: &ast::Query, index: usize) -> Option<&ast::Expr> {
    let ast::SetExpr::Select(select) = &*query.body else { return None };
    match select.projection.get(index)? {
        ast::SelectItem::UnnamedExpr(expr) | ast::SelectItem::ExprWithAlias { expr, .. } => {
            Some(expr)
        }
        _ => None,
    }
}

fn check_widths(rows: &[&[ast::Expr]], count: usize, explicit: bool) -> Result<()> {
    let width = rows.first().map_or(0, |row| row.len());
    for row in rows {
        let fail = |message: &str, at: Option<&ast::Expr>| {
            let error = Err(SqlError::new(SqlState::SyntaxError, message));
            match at {
                Some(expr) => error.at_expr(expr),
                None => error,
            }
        };
        if row.len() != width {
            return fail("VALUES lists must all be the same length", row.first());
        }
        if row.len() > count {
            return fail("INSERT has more expressions than target columns", row.get(count));
        }
        if explicit && row.len() < count {
            return fail("INSERT has more target columns than expressions", None);
        }
    }
    Ok(())
}
