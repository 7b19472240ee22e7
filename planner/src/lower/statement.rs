//! Whole statements.

use std::collections::BTreeSet;

use driftdb_query::{
    ColId, ConflictAction, Copy, CopySource, Delete, Expr, Insert, LogicalPlan, OutputColumn,
    PhysicalConflict, PhysicalDelete, PhysicalInsert, PhysicalPlan, PhysicalPortion, PhysicalQuery,
    PhysicalStatement, PhysicalUpdate, PlanContext, Portion, Query, Result, RoutineStatement,
    RowRules, SqlError, Statement, SystemColumn, Table, Update,
};

use super::resolve::{Frame, resolve, resolve_all};
use super::{key_column, lower, lower_query};
use crate::expr::for_each_column;
use crate::heuristic::optimize;

/// Plans a statement.
pub(crate) fn lower_statement(statement: Statement, cx: &PlanContext) -> Result<PhysicalStatement> {
    Ok(match statement {
        Statement::Query(query) => PhysicalStatement::Query(plan_query(query, cx)?),
        Statement::Insert(insert) => PhysicalStatement::Insert(plan_insert(insert, cx)?),
        Statement::Update(update) => PhysicalStatement::Update(plan_update(update, cx)?),
        Statement::Delete(delete) => PhysicalStatement::Delete(plan_delete(delete, cx)?),
        Statement::Merge(merge) => {
            PhysicalStatement::Merge(Box::new(super::merge::plan_merge(*merge, cx)?))
        }
        Statement::CreateTable(create) => PhysicalStatement::CreateTable(create, None),
        Statement::CreateTableAs(create, query) => {
            PhysicalStatement::CreateTable(create, Some(plan_query(query, cx)?.plan))
        }
        Statement::Refresh(refresh, query) => {
            let plan = query.map(|query| plan_query(query, cx)).transpose()?;
            PhysicalStatement::Refresh(refresh, plan.map(|query| query.plan))
        }
        Statement::CreateIndex(create) => PhysicalStatement::CreateIndex(create),
        Statement::Drop(objects) => PhysicalStatement::Drop(objects),
        Statement::AlterTable { table, actions } => {
            let plan = |plan: Option<LogicalPlan>| plan.map(|p| plan_rows(p, cx)).transpose();
            let actions = actions
                .into_iter()
                .map(|(action, violations)| Ok((action, plan(violations)?)))
                .collect::<Result<_>>()?;
            PhysicalStatement::AlterTable { table, actions }
        }
        Statement::Truncate { tables, cascade, restart } => {
            PhysicalStatement::Truncate { tables, cascade, restart }
        }
        Statement::Sequence(statement) => PhysicalStatement::Sequence(statement),
        Statement::Type(statement) => PhysicalStatement::Type(statement),
        Statement::SetConstraints { names, deferred } => {
            PhysicalStatement::SetConstraints { names, deferred }
        }
        Statement::View(statement) => PhysicalStatement::View(statement),
        Statement::Comment(comment) => PhysicalStatement::Comment(comment),
        Statement::Schema(statement) => PhysicalStatement::Schema(statement),
        Statement::Role(statement) => PhysicalStatement::Role(statement),
        Statement::LockTable(locks) => PhysicalStatement::LockTable(locks),
        Statement::Copy(copy) => plan_copy(copy, cx)?,
        Statement::Explain(explain) => PhysicalStatement::Explain {
            statement: Box::new(lower_statement(*explain.statement, cx)?),
            analyze: explain.analyze,
            output: explain.output,
        },
        Statement::Vacuum { tables, analyze } => PhysicalStatement::Vacuum { tables, analyze },
        Statement::Analyze(tables) => PhysicalStatement::Analyze(tables),
        Statement::History(statement) => PhysicalStatement::History(statement),
        Statement::Routine(RoutineStatement::Call { query, has_output }) => {
            PhysicalStatement::Call(plan_query(*query, cx)?, has_output)
        }
        Statement::Routine(statement) => PhysicalStatement::Routine(statement),
        Statement::Transaction(_)
        | Statement::Set { .. }
        | Statement::Reset(_)
        | Statement::Show(_)
        | Statement::Prepare { .. }
        | Statement::Execute { .. }
        | Statement::Deallocate(_)
        | Statement::DiscardAll
        | Statement::DiscardSequences
        | Statement::Checkpoint
        | Statement::Branch(_)
        | Statement::DeclareCursor(_)
        | Statement::Fetch(_)
        | Statement::CloseCursor(_)
        | Statement::Channel(_)
        | Statement::Empty => {
            return Err(SqlError::internal("a session statement has no plan"));
        }
    })
}

/// Optimizes and lowers a plan all of whose columns are wanted, in order.
fn plan_rows(plan: LogicalPlan, cx: &PlanContext) -> Result<PhysicalPlan> {
    let outputs: Vec<ColId> = plan.columns().iter().map(|column| column.id).collect();
    let wanted = plan.columns();
    let plan = optimize(plan, outputs);
    if plan.columns() == wanted {
        return lower_query(plan, cx);
    }
    let mut frame = Frame::default();
    let plan = lower(plan, &mut frame, cx)?.arranged(&wanted)?.plan;
    frame.expect_empty()?;
    Ok(plan)
}

fn plan_query(query: Query, cx: &PlanContext) -> Result<PhysicalQuery> {
    Ok(PhysicalQuery { plan: plan_rows(query.plan, cx)?, fields: query.fields })
}

/// Resolves expressions over a row that has exactly these columns.
pub(super) struct RowScope<'a> {
    pub(super) columns: Vec<OutputColumn>,
    pub(super) cx: &'a PlanContext,
}

impl<'a> RowScope<'a> {
    pub(super) fn of_table(ids: &[ColId], table: &Table, cx: &'a PlanContext) -> Self {
        Self { columns: table_columns(ids, table), cx }
    }

    pub(super) fn resolve(&self, expr: Expr) -> Result<Expr> {
        let mut frame = Frame::default();
        let expr = resolve(optimize_in(expr), &self.columns, &mut frame, self.cx)?;
        frame.expect_empty()?;
        Ok(expr)
    }

    pub(super) fn resolve_all(&self, exprs: Vec<Expr>) -> Result<Vec<Expr>> {
        let mut frame = Frame::default();
        let exprs = exprs.into_iter().map(optimize_in);
        let exprs = resolve_all(exprs, &self.columns, &mut frame, self.cx)?;
        frame.expect_empty()?;
        Ok(exprs)
    }

    pub(super) fn resolve_rules(&self, rules: RowRules) -> Result<RowRules> {
        let generated = self.resolve_named(rules.generated)?;
        Ok(RowRules { generated, checks: self.resolve_named(rules.checks)? })
    }

    pub(super) fn resolve_named<T>(&self, exprs: Vec<(T, Expr)>) -> Result<Vec<(T, Expr)>> {
        exprs.into_iter().map(|(name, expr)| Ok((name, self.resolve(expr)?))).collect()
    }
}

fn table_columns(ids: &[ColId], table: &Table) -> Vec<OutputColumn> {
    ids.iter().zip(&table.columns).map(|(id, c)| OutputColumn { id: *id, ty: c.ty }).collect()
}

/// Subqueries outside of the source plan get the rules, too.
fn optimize_in(mut expr: Expr) -> Expr {
    crate::rule::in_subqueries(&mut expr, &|plan| {
        let outputs: Vec<ColId> = plan.columns().iter().map(|column| column.id).collect();
        optimize(plan, outputs)
    });
    expr
}

fn plan_insert(insert: Insert, cx: &PlanContext) -> Result<PhysicalInsert> {
    let row = RowScope::of_table(&insert.row, &insert.table, cx);
    let checks = row.resolve_rules(insert.checks)?;
    let returning = insert.returning.map(|exprs| row.resolve_all(exprs)).transpose()?;
    let on_conflict = insert
        .on_conflict
        .map(|action| plan_conflict(action, &insert.row, &insert.table, cx))
        .transpose()?;
    Ok(PhysicalInsert {
        source: plan_rows(insert.source, cx)?,
        checks,
        related: insert.related,
        on_conflict,
        returning,
        fields: insert.fields,
        table: insert.table,
    })
}

fn plan_conflict(
    action: ConflictAction,
    row: &[ColId],
    table: &Table,
    cx: &PlanContext,
) -> Result<PhysicalConflict> {
    let mut columns = table_columns(&action.existing, table);
    columns.extend(table_columns(row, table));
    let scope = RowScope { columns, cx };
    Ok(PhysicalConflict {
        target: action.target,
        update: action.update.map(|update| scope.resolve_named(update)).transpose()?,
        filter: action.filter.map(|filter| scope.resolve(filter)).transpose()?,
    })
}

/// The source of an UPDATE or DELETE: key, whole old row, then what else `exprs` name.
pub(super) fn plan_source(
    source: LogicalPlan,
    key: ColId,
    old: &[ColId],
    table: &Table,
    exprs: &[&Expr],
    cx: &PlanContext,
) -> Result<(PhysicalPlan, Vec<OutputColumn>)> {
    let mut columns = vec![key_column(key)];
    columns.extend(table_columns(old, table));
    let mut named = BTreeSet::new();
    exprs.iter().for_each(|expr| {
        for_each_column(expr, &mut |id| {
            named.insert(id);
        });
    });
    let rest = source.columns().into_iter().filter(|column| {
        named.contains(&column.id) && !columns.iter().any(|known| known.id == column.id)
    });
    let rest: Vec<OutputColumn> = rest.collect();
    columns.extend(rest);
    let source = optimize(source, columns.iter().map(|column| column.id));
    let mut frame = Frame::default();
    let plan = lower(source, &mut frame, cx)?.arranged(&columns)?.plan;
    frame.expect_empty()?;
    Ok((plan, columns))
}

fn plan_update(update: Update, cx: &PlanContext) -> Result<PhysicalUpdate> {
    let exprs: Vec<&Expr> = update
        .assignments
        .iter()
        .map(|(_, expr)| expr)
        .chain(&update.recheck)
        .chain(update.returning.iter().flatten())
        .collect();
    let (source, columns) =
        plan_source(update.source, update.key, &update.old, &update.table, &exprs, cx)?;
    let mut new_row = table_columns(&update.row, &update.table);
    let checks = RowScope { columns: new_row.clone(), cx }.resolve_rules(update.checks)?;
    new_row.extend_from_slice(&columns[1 + update.old.len()..]);
    let after = RowScope { columns: new_row, cx };
    let system = places(&update.system, &columns);
    let before = RowScope { columns, cx };
    Ok(PhysicalUpdate {
        source,
        assignments: before.resolve_named(update.assignments)?,
        system,
        recheck: update.recheck.map(|expr| before.resolve(expr)).transpose()?,
        checks,
        related: update.related,
        portion: update
            .portion
            .map(|rest| plan_portion(rest, &before, &update.table))
            .transpose()?,
        returning: update.returning.map(|exprs| after.resolve_all(exprs)).transpose()?,
        fields: update.fields,
        table: update.table,
    })
}

/// Where the source of an UPDATE or DELETE has which of the target's system columns.
pub(super) fn places(
    system: &[(ColId, SystemColumn)],
    columns: &[OutputColumn],
) -> Vec<(usize, SystemColumn)> {
    let place = |id: ColId| columns.iter().position(|column| column.id == id);
    system.iter().filter_map(|(id, column)| Some((place(*id)?, *column))).collect()
}

fn plan_portion(rest: Portion, before: &RowScope<'_>, table: &Table) -> Result<PhysicalPortion> {
    let left = RowScope::of_table(&rest.row, table, before.cx);
    Ok(PhysicalPortion {
        start: rest.start,
        end: rest.end,
        from: before.resolve(rest.from)?,
        to: before.resolve(rest.to)?,
        is_before: before.resolve(rest.is_before)?,
        is_after: before.resolve(rest.is_after)?,
        checks: left.resolve_rules(rest.checks)?,
    })
}

fn plan_delete(delete: Delete, cx: &PlanContext) -> Result<PhysicalDelete> {
    let exprs: Vec<&Expr> =
        delete.recheck.iter().chain(delete.returning.iter().flatten()).collect();
    let (source, columns) =
        plan_source(delete.source, delete.key, &delete.old, &delete.table, &exprs, cx)?;
    let after = RowScope { columns: columns[1..].to_vec(), cx };
    let system = places(&delete.system, &columns);
    let before = RowScope { columns, cx };
    Ok(PhysicalDelete {
        source,
        system,
        recheck: delete.recheck.map(|expr| before.resolve(expr)).transpose()?,
        related: delete.related,
        portion: delete
            .portion
            .map(|rest| plan_portion(rest, &before, &delete.table))
            .transpose()?,
        returning: delete.returning.map(|exprs| after.resolve_all(exprs)).transpose()?,
        fields: delete.fields,
        table: delete.table,
    })
}

fn plan_copy(copy: Copy, cx: &PlanContext) -> Result<PhysicalStatement> {
    let rows = match &copy.source {
        CopySource::To(query) => Some(plan_rows(query.plan.clone(), cx)?),
        CopySource::From { .. } => None,
    };
    Ok(PhysicalStatement::Copy(copy, rows))
}
