//! UPDATE.

use std::sync::Arc;

use driftdb_concurrency::ReadAt;
use driftdb_query::{
    ColId, Expr, JoinKind, LogicalPlan, Portion, Result, Rights, ScanColumn, Span, SqlError,
    SystemColumn, Table, Temporal, Update,
};
use driftdb_types::SqlState;
use sqlparser::ast;

use super::Binder;
use super::access::AskedTarget;
use super::element::no_default;
use super::foreign::Change;
use super::from::check_names;
use super::generated::{check_updated, stored_positions};
use super::names::{ident, ident_position, object_name};
use super::position::{Placed, bare};
use super::predicate::{all_of, row_fields};
use super::returning::is_default;
use super::scope::{Clause, Named, Relation, Scope};
use super::stored::{named_row, relation};
use super::updatable::{self, Through, own_schema};

/// The rows that UPDATE or DELETE changes, before its WHERE.
pub(crate) struct Changed {
    pub(crate) table: Arc<Table>,
    pub(crate) name: String,
    /// The target's schema, if the name is its own.
    pub(crate) schema: Option<String>,
    pub(crate) plan: LogicalPlan,
    pub(crate) key: ColId,
    pub(crate) old: Vec<ColId>,
    pub(crate) system: Vec<(ColId, SystemColumn)>,
    /// The other FROM items.
    pub(crate) others: Vec<Relation>,
    /// FOR PORTION OF
    pub(crate) portion: Option<Part>,
    /// The view that is written through.
    pub(crate) through: Option<Through>,
    /// The target's columns over the old row.
    pub(crate) names: Vec<Named>,
    /// What the view's rows meet.
    tests: Vec<Expr>,
    /// The target among what is asked of who runs the statement.
    pub(crate) asked: Option<AskedTarget>,
}

/// FOR PORTION OF, bound.
pub(crate) struct Part {
    /// Which rows it means.
    meant: Expr,
    /// The part of each that changes.
    assignments: [(usize, Expr); 2],
    /// What is left of it.
    pub(crate) portion: Portion,
}

impl Binder<'_> {
    /// The target's scan, joined to the other items; leaves the scope of all of them pushed.
    pub(crate) fn changed(
        &mut self,
        target: &ast::TableWithJoins,
        others: &[ast::TableWithJoins],
        change: updatable::Change,
    ) -> Result<Changed> {
        let ast::TableFactor::Table { name, alias, args: None, .. } = &target.relation else {
            return Err(SqlError::new(SqlState::SyntaxError, "the target must be a table"));
        };
        if !target.joins.is_empty() {
            return Err(SqlError::new(SqlState::SyntaxError, "the target cannot be a join"));
        }
        let alias = alias.as_ref().map(|alias| &alias.name);
        let (table, through) = self.changed_table(name, alias, change)?;
        let place = object_name(name)?.last;
        let period = self.take_period(place, alias.map(ident_position))?;
        if let Some(period) = &period
            && through.is_some()
        {
            let what = format!("{} on a view", period.name());
            return Err(SqlError::unsupported(what).at(period.position));
        }
        let own = through.as_ref().map_or(&table.name, |through| &through.object.name);
        let schema = alias.is_none().then(|| own_schema(&table, through.as_ref()));
        let name = alias.map_or_else(|| own.clone(), ident);
        let key = self.key_id();
        let old = self.row_ids(&table);
        let columns =
            old.iter().enumerate().map(|(position, id)| ScanColumn { id: *id, position }).collect();
        let asked = self.ask_change(&table, through.as_ref(), change.right(), &old);
        let (system, hidden) = self.system_columns();
        let mut plan = LogicalPlan::Scan {
            table: table.clone(),
            at: ReadAt::Statement,
            columns,
            key: Some(key),
            temporal: Temporal { span: Span::Once, system: system.clone() },
        };
        let (mut named, mut tests) = (named_row(&table, &old), Vec::new());
        if let Some(through) = &through {
            let view = self.view_row(&through.object, &old)?;
            tests.extend(view.tests());
            named = view.columns;
        }
        let names = named.clone();
        let own = Relation { schema: schema.clone(), ..relation(&name, named.clone()) };
        let mut relations = vec![Relation { hidden: Some(hidden), ..own }];
        let mut visible = named;
        if !others.is_empty() {
            let item = self.bind_from(others)?;
            check_names(&relations, &item.relations)?;
            relations.extend(item.relations);
            visible.extend(item.visible);
            plan = LogicalPlan::Join {
                kind: JoinKind::Inner,
                left: Box::new(plan),
                right: Box::new(item.plan),
                on: Expr::truth(),
                lateral: false,
            };
        }
        let others = relations[1..].to_vec();
        let mut portion = None;
        if let Some(period) = period {
            let (meant, assignments, rest) = self.portion(&table, &old, period)?;
            portion = Some(Part { meant, assignments, portion: rest });
        }
        let clause = match change {
            updatable::Change::Update => Clause::Update,
            updatable::Change::Insert | updatable::Change::Delete => Clause::Where,
        };
        self.scopes.push(Scope::with(clause, relations, visible));
        Ok(Changed {
            table,
            name,
            schema,
            plan,
            key,
            old,
            system,
            others,
            portion,
            through,
            names,
            tests,
            asked,
        })
    }

    /// WHERE over what is changed.
    pub(crate) fn changed_where(
        &mut self,
        changed: &mut Changed,
        condition: Option<&ast::Expr>,
    ) -> Result<(LogicalPlan, Option<Expr>)> {
        let plan = std::mem::replace(&mut changed.plan, LogicalPlan::one_row());
        let part = changed.portion.as_ref();
        let mut tests: Vec<Expr> = part.iter().map(|part| part.meant.clone()).collect();
        tests.append(&mut changed.tests);
        if let Some(current) = self.current_row(&changed.table, changed.key, condition)? {
            tests.push(current);
        } else if let Some(condition) = condition {
            tests.push(self.in_clause(Clause::Where, |b| b.predicate(condition, "WHERE"))?);
        }
        if tests.is_empty() {
            return Ok((plan, None));
        }
        let predicate = all_of(tests);
        let plan = LogicalPlan::Filter { input: Box::new(plan), predicate: predicate.clone() };
        Ok((plan, Some(predicate)))
    }

    pub(crate) fn update(&mut self, update: &ast::Update) -> Result<Update> {
        if update.or.is_some()
            || update.output.is_some()
            || update.limit.is_some()
            || !update.order_by.is_empty()
        {
            return Err(SqlError::new(
                SqlState::SyntaxError,
                "this form of UPDATE is not PostgreSQL's",
            ));
        }
        let others: &[ast::TableWithJoins] = match &update.from {
            None => &[],
            Some(ast::UpdateTableFromKind::AfterSet(tables)) => tables,
            Some(ast::UpdateTableFromKind::BeforeSet(_)) => {
                return Err(SqlError::new(SqlState::SyntaxError, "FROM belongs after SET"));
            }
        };
        let mut changed = self.changed(&update.table, others, updatable::Change::Update)?;
        let seen = changed.through.as_ref().map(|through| through.seen.clone());
        let target = seen.unwrap_or_else(|| changed.table.clone());
        let mut assignments = self.assignments(&target, &update.assignments).map_err(|error| {
            explain_target(changed.through.as_ref(), &update.assignments, error)
        })?;
        let positions = assignments.iter().map(|(position, _)| *position);
        let through = changed.through.as_ref();
        self.ask_columns(changed.asked, &changed.table, through, Rights::UPDATE, positions);
        let (source, recheck) = self.changed_where(&mut changed, update.selection.as_ref())?;
        if let Some(part) = &changed.portion {
            check_not_assigned(&changed.table, &assignments, part)?;
            assignments.extend(part.assignments.iter().cloned());
        }
        self.scopes.pop();
        let table = changed.table;
        let row = self.row_ids(&table);
        let mut checks = self.checks(&table, &row)?;
        let mut names = named_row(&table, &row);
        if let Some(through) = &changed.through {
            let view = self.view_row(&through.object, &row)?;
            checks.checks.extend(view.checks()?);
            names = view.columns;
        }
        let own = relation(&changed.name, names);
        let mut relations = vec![Relation { schema: changed.schema, ..own }];
        relations.extend(changed.others);
        let since = self.named_so_far();
        let (returning, fields) = self.returning(update.returning.as_deref(), relations)?;
        self.ask_named_since(changed.asked, &table, since, &row);
        let assigned = assignments.iter().map(|(position, _)| *position);
        let assigned: Vec<usize> = assigned.chain(stored_positions(&table)).collect();
        let change = match &changed.portion {
            // What is left of a row is inserted.
            Some(_) => Change::Upsert(&assigned),
            None => Change::Update(&assigned),
        };
        let related = self.related(&table, change)?;
        Ok(Update {
            table,
            source,
            key: changed.key,
            old: changed.old,
            system: changed.system,
            assignments,
            recheck,
            row,
            checks,
            related,
            portion: changed.portion.map(|part| part.portion),
            returning,
            fields,
        })
    }

    /// SET: (position, value) pairs over the innermost scope.
    pub(crate) fn assignments(
        &mut self,
        table: &Arc<Table>,
        assignments: &[ast::Assignment],
    ) -> Result<Vec<(usize, Expr)>> {
        let mut bound: Vec<(usize, Expr)> = Vec::with_capacity(assignments.len());
        // Different parts of a column may be set one by one.
        let mut in_parts = Vec::new();
        for assignment in assignments {
            let pairs: Vec<(&ast::ObjectName, Assigned<'_>)> = match &assignment.target {
                ast::AssignmentTarget::ColumnName(name) => {
                    vec![(name, Assigned::Value(&assignment.value))]
                }
                ast::AssignmentTarget::Tuple(names) => {
                    names.iter().zip(assigned(&assignment.value, names.len())?).collect()
                }
            };
            for (name, value) in pairs {
                let name = object_name(name)?;
                let wanted = if let Some(first) = &name.schema { first } else { &name.name };
                let index = self.table_column(table, wanted, name.position)?;
                if name.schema.is_some() {
                    return Err(SqlError::unsupported("assigning to a field").at(name.position));
                }
                let column = &table.columns[index];
                let earlier = bound.iter().position(|(other, _)| *other == index);
                let chain = self.target_subscripts(name.position);
                if earlier.is_some() && (chain.is_none() || !in_parts.contains(&index)) {
                    let message = format!("multiple assignments to same column \"{}\"", name.name);
                    return Err(SqlError::new(SqlState::SyntaxError, message).at(name.position));
                }
                if !matches!(value, Assigned::Value(value) if is_default(value)) {
                    check_updated(column)?;
                }
                if let Some(chain) = chain {
                    let Assigned::Value(value) = value else {
                        return Err(SqlError::unsupported(
                            "assigning a subquery's column to a part",
                        )
                        .at(name.position));
                    };
                    if is_default(value) {
                        return Err(no_default(name.position));
                    }
                    let base = match earlier {
                        Some(earlier) => bound[earlier].1.clone(),
                        // The target is the first relation of the scope.
                        None => {
                            let named = &self.scope().relations[0].columns;
                            match named.get(index).filter(|named| named.name == column.name) {
                                Some(named) => named.expr.clone(),
                                None => {
                                    let what = "assigning to a part of a view's column";
                                    return Err(SqlError::unsupported(what).at(name.position));
                                }
                            }
                        }
                    };
                    let part = self.expr(value)?;
                    let whole = self
                        .with_part(base, column, chain, part, value)
                        .map_err(|error| error.at(name.position))?;
                    match earlier {
                        Some(earlier) => bound[earlier].1 = whole,
                        None => bound.push((index, whole)),
                    }
                    in_parts.push(index);
                    continue;
                }
                let value = match value {
                    Assigned::Value(value) if is_default(value) => self.default_of(column)?,
                    Assigned::Value(value) => {
                        let expr = self.expr(value)?;
                        self.assign(expr, column).at_expr(value)?
                    }
                    Assigned::Field { row, query, index, count } => {
                        let expr = self.row_field(query, index, count).at_expr(row)?;
                        self.assign(expr, column).at_expr(row)?
                    }
                };
                bound.push((index, value));
            }
        }
        Ok(bound)
    }
}

/// What is wrong with a view's column that is assigned to.
fn explain_target(
    through: Option<&Through>,
    assignments: &[ast::Assignment],
    error: SqlError,
) -> SqlError {
    let Some(through) = through else { return error };
    let named = assignments.iter().flat_map(|assignment| match &assignment.target {
        ast::AssignmentTarget::ColumnName(name) => std::slice::from_ref(name),
        ast::AssignmentTarget::Tuple(names) => names,
    });
    let names = named.filter_map(|name| object_name(name).ok()).map(|name| name.name);
    let mut missing = names.filter(|name| through.seen.column(name).is_none());
    match missing.next() {
        Some(name) => through.explain(&name, error),
        None => error,
    }
}

/// 42601 for an assignment to a column whose part the portion decides.
fn check_not_assigned(table: &Table, assignments: &[(usize, Expr)], part: &Part) -> Result<()> {
    let decided = [part.portion.start, part.portion.end];
    match assignments.iter().find(|(position, _)| decided.contains(position)) {
        None => Ok(()),
        Some((position, _)) => {
            let column = &table.columns[*position].name;
            let message =
                format!("cannot update column \"{column}\" because it is used in FOR PORTION OF");
            Err(SqlError::new(SqlState::SyntaxError, message))
        }
    }
}

/// What a column is set to.
enum Assigned<'a> {
    /// An expression.
    Value(&'a ast::Expr),
    /// One of the columns of a subquery's one row.
    Field { row: &'a ast::Expr, query: &'a ast::Query, index: usize, count: usize },
}

/// `SET (a, b, …) = …`: a value for each of so many columns.
fn assigned(row: &ast::Expr, count: usize) -> Result<Vec<Assigned<'_>>> {
    if let Some(values) = row_fields(row) {
        if values.len() != count {
            return Err(unequal_assignment()).at_expr(row);
        }
        return Ok(values.into_iter().map(Assigned::Value).collect());
    }
    match bare(row) {
        ast::Expr::Subquery(query) => {
            let field = |index| Assigned::Field { row, query, index, count };
            Ok((0..count).map(field).collect())
        }
        _ if count == 1 => Ok(vec![Assigned::Value(row)]),
        _ => {
            let message =
                "source for a multiple-column UPDATE item must be a sub-SELECT or ROW() expression";
            Err(SqlError::new(SqlState::FeatureNotSupported, message)).at_expr(row)
        }
    }
}

/// 42601
pub(crate) fn unequal_assignment() -> SqlError {
    let message = "number of columns does not match number of values";
    SqlError::new(SqlState::SyntaxError, message)
}
