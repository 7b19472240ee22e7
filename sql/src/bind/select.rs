//! Queries: WITH, SELECT with all its clauses, row locks.

use std::collections::BTreeSet;

use driftdb_query::{Expr, LockClause, LogicalPlan, Result, SortKey, SqlError};
use driftdb_types::{DataType, SqlState};
use sqlparser::ast;

use super::Binder;
use super::aggregate::Grouping;
use super::grouping::GroupBy;
use super::lock::Locking;
use super::order::{check_equality, order_keys, sort_key};
use super::position::Placed;
use super::scope::{Clause, Scope};
use super::set_function::{ListedCall, expanded, take_used};
use super::target::{NO_META, Rows, Target};
use super::window::Windows;

/// The clauses around a SELECT that it must know of.
struct Around<'e, 'a> {
    order_by: &'e [ast::OrderByExpr],
    lockings: Vec<Locking<'a>>,
}

impl<'a> Binder<'a> {
    /// A whole query. Its columns' types may still be undecided.
    pub(crate) fn query(&mut self, query: &ast::Query) -> Result<Rows> {
        self.deeper(1, |binder| {
            let level = binder.record_level(|_| 0);
            let rows = binder.query_level(query);
            binder.record_level(|_| level);
            if let (Some(recorder), Ok(rows)) = (&mut binder.recorder, &rows)
                && let Some(first) = rows.columns.first()
            {
                recorder.queries.insert(first.id, super::record::address(query));
            }
            rows
        })
    }

    fn query_level(&mut self, query: &ast::Query) -> Result<Rows> {
        if query.for_clause.is_some() || !query.pipe_operators.is_empty() {
            return Err(SqlError::unsupported("this clause after a query"));
        }
        let lockings = self.lockings(&query.locks)?;
        let outside = self.ctes.len();
        let ctes = match &query.with {
            Some(with) => self.with(with)?,
            None => Vec::new(),
        };
        self.may_change = false;
        let order_by = order_keys(query.order_by.as_ref())?;
        let mut rows = match &*query.body {
            ast::SetExpr::Select(select) => {
                let around = Around { order_by, lockings };
                self.select(select, &around, Some(query))?
            }
            body => {
                Self::refuse_lockings(body, &lockings)?;
                let rows = self.set_expr(body)?;
                let strict = matches!(body, ast::SetExpr::SetOperation { .. });
                let mut rows = self.sort_rows(rows, order_by, strict)?;
                rows.plan = self.limit(query, rows.plan)?;
                rows
            }
        };
        self.ctes.truncate(outside);
        let ctes: Vec<_> = ctes.into_iter().filter(|(id, _)| self.used_ctes.contains(id)).collect();
        if !ctes.is_empty() {
            rows.plan = LogicalPlan::With { ctes, body: Box::new(rows.plan) };
        }
        Ok(rows)
    }

    /// A SELECT with nothing around it: a branch of a set operation.
    pub(crate) fn plain_select(&mut self, select: &ast::Select) -> Result<Rows> {
        self.select(select, &Around { order_by: &[], lockings: Vec::new() }, None)
    }

    fn select(
        &mut self,
        select: &ast::Select,
        around: &Around<'_, 'a>,
        query: Option<&ast::Query>,
    ) -> Result<Rows> {
        check_supported(select)?;
        let outer = std::mem::replace(&mut self.locking, around.lockings.clone());
        let from = self.bind_from(&select.from);
        self.locking = outer;
        let from = from?;
        self.scopes.push(Scope::with(Clause::Select, from.relations, from.visible));
        let mut plan = from.plan;
        if let Some(condition) = &select.selection {
            let predicate = self.in_clause(Clause::Where, |b| b.predicate(condition, "WHERE"))?;
            plan = LogicalPlan::Filter { input: Box::new(plan), predicate };
        }
        self.named_windows(&select.named_window)?;
        let mut targets = self.targets(&select.projection)?;
        let visible = targets.len();
        let groups = self.groups(select, &mut targets)?;
        let mut having = match &select.having {
            Some(having) => {
                Some(self.in_clause(Clause::Having, |b| b.predicate(having, "HAVING"))?)
            }
            None => None,
        };
        let distinct_on = self.distinct_on(select, &mut targets, visible)?;
        let mut keys = Vec::with_capacity(around.order_by.len());
        for key in around.order_by {
            let index = self.key_target(&key.expr, &mut targets, visible, Clause::OrderBy)?;
            keys.push((index, &key.options, &key.expr));
        }
        check_distinct(select, &keys, visible, distinct_on.as_deref())?;
        let locks = self.locks(&around.lockings, &mut plan, select, groups.is_some())?;
        self.mark_rows(&mut plan);
        for lock in &locks {
            let expr = Expr::Column { id: lock.key, ty: DataType::Bytea };
            targets.push(Target { name: String::new(), expr, meta: NO_META });
        }
        self.note_select(select, &targets, visible, groups.as_ref(), &keys);
        let mut scope = self.scopes.pop().expect("pushed above");
        let mut set_calls = std::mem::take(&mut scope.set_calls);
        if let Some(on) = &distinct_on {
            let looked_at = on.iter().chain(keys.iter().map(|(index, ..)| index));
            check_sets_are_looked_at(&set_calls, looked_at.map(|index| &targets[*index].expr))?;
        }
        let mut windows = Windows::default();
        if !scope.window_calls.is_empty() {
            let mut before: Vec<Expr> =
                keys.iter().map(|(index, ..)| targets[*index].expr.clone()).collect();
            before.extend(groups.iter().flat_map(|by| &by.groups).map(|(_, expr)| expr.clone()));
            if select.distinct.is_some() {
                before.extend(targets[..visible].iter().map(|target| target.expr.clone()));
            }
            let calls = scope.window_calls.clone();
            windows = Windows::new(std::mem::take(&mut scope.windows), calls, before);
        }
        if let Some(GroupBy { groups, .. }) = &groups {
            // What is grouped by is evaluated before.
            let mut used = BTreeSet::new();
            for (_, group) in groups {
                super::aggregate::for_each_column(group, &mut |id| {
                    used.insert(id);
                });
            }
            plan = expanded(plan, take_used(&mut set_calls, &used));
        }
        let is_grouped = !scope.aggregates.is_empty() || !scope.groupings.is_empty();
        if groups.is_some() || having.is_some() || is_grouped {
            let mut above = Above {
                targets: &mut targets,
                having: &mut having,
                sets: &mut set_calls,
                windows: &mut windows,
            };
            plan = group(plan, groups.unwrap_or_default(), scope, &mut above)?;
        }
        if let Some(predicate) = having {
            plan = LogicalPlan::Filter { input: Box::new(plan), predicate };
        }
        // So is what windows are made from.
        let mut used = BTreeSet::new();
        for expr in windows.exprs_mut() {
            super::aggregate::for_each_column(expr, &mut |id| {
                used.insert(id);
            });
        }
        plan = expanded(plan, take_used(&mut set_calls, &used));
        plan = expanded(windows.above(plan), set_calls);
        if matches!(select.distinct, Some(ast::Distinct::Distinct)) {
            for target in &mut targets {
                let expr = std::mem::replace(&mut target.expr, Expr::truth());
                target.expr = self.decided(expr)?;
                check_equality(target.expr.ty())?;
            }
        }
        let mut rows = self.project(plan, targets);
        self.finish(&mut rows, select, &keys, distinct_on, locks)?;
        if let Some(query) = query {
            rows.plan = self.limit(query, rows.plan)?;
        }
        Ok(trim(rows, visible))
    }

    /// While a view's query is recorded: what a SELECT is made of.
    fn note_select(
        &mut self,
        select: &ast::Select,
        targets: &[Target],
        visible: usize,
        groups: Option<&GroupBy>,
        keys: &[(usize, &ast::OrderByOptions, &ast::Expr)],
    ) {
        let Some(recorder) = &mut self.recorder else { return };
        let Some(scope) = self.scopes.last() else { return };
        if groups.is_some_and(|by| by.sets.is_some()) {
            return;
        }
        let calls = scope.aggregates.iter().map(|call| (call.output, call.clone()));
        recorder.aggregates.extend(calls);
        let note = super::record::SelectNote {
            targets: targets[..visible]
                .iter()
                .map(|target| (target.name.clone(), target.expr.clone()))
                .collect(),
            groups: groups
                .iter()
                .flat_map(|by| &by.groups)
                .map(|(_, group)| group.clone())
                .collect(),
            keys: keys.iter().map(|(index, ..)| targets[*index].expr.clone()).collect(),
        };
        recorder.selects.insert(super::record::address(select), note);
    }

    /// DISTINCT, ORDER BY and locks over the projection.
    fn finish(
        &mut self,
        rows: &mut Rows,
        select: &ast::Select,
        keys: &[(usize, &ast::OrderByOptions, &ast::Expr)],
        distinct_on: Option<Vec<usize>>,
        locks: Vec<LockClause>,
    ) -> Result<()> {
        let column = |rows: &Rows, index: usize| {
            let column = &rows.columns[index];
            Expr::Column { id: column.id, ty: column.ty }
        };
        let sort = keys
            .iter()
            .map(|(index, options, _)| sort_key(column(rows, *index), options))
            .collect::<Result<Vec<SortKey>>>()?;
        let mut plan = std::mem::replace(&mut rows.plan, LogicalPlan::one_row());
        if !locks.is_empty() {
            rows.plan = locked(plan, keys, locks)?;
            return Ok(());
        }
        if let Some(on) = distinct_on {
            let on = on.into_iter().map(|index| column(rows, index)).collect();
            if !sort.is_empty() {
                // Which row of a group is the first is by this order; the result is sorted again below.
                plan = LogicalPlan::Sort { input: Box::new(plan), keys: sort.clone() };
            }
            plan = LogicalPlan::Distinct { input: Box::new(plan), on: Some(on) };
        } else if matches!(select.distinct, Some(ast::Distinct::Distinct)) {
            plan = LogicalPlan::Distinct { input: Box::new(plan), on: None };
        }
        if !sort.is_empty() {
            plan = LogicalPlan::Sort { input: Box::new(plan), keys: sort };
        }
        rows.plan = plan;
        Ok(())
    }

    fn distinct_on(
        &mut self,
        select: &ast::Select,
        targets: &mut Vec<Target>,
        visible: usize,
    ) -> Result<Option<Vec<usize>>> {
        let Some(ast::Distinct::On(exprs)) = &select.distinct else { return Ok(None) };
        let mut on = Vec::with_capacity(exprs.len());
        for expr in exprs {
            let index = self.key_target(expr, targets, visible, Clause::DistinctOn)?;
            check_equality(targets[index].expr.ty()).at_expr(expr)?;
            on.push(index);
        }
        Ok(Some(on))
    }
}

/// DISTINCT ON beside set-returning functions: PostgreSQL counts rows before it calls those that neither ON nor
/// ORDER BY looks at; here they are called first.
fn check_sets_are_looked_at<'a>(
    calls: &[ListedCall],
    looked_at: impl Iterator<Item = &'a Expr>,
) -> Result<()> {
    let mut used = BTreeSet::new();
    for expr in looked_at {
        super::aggregate::for_each_column(expr, &mut |id| {
            used.insert(id);
        });
    }
    if calls.iter().all(|listed| used.contains(&listed.output)) {
        return Ok(());
    }
    let what = "a set-returning function beside DISTINCT ON that ORDER BY does not name";
    Err(SqlError::unsupported(what))
}

/// DISTINCT limits what may be sorted by.
fn check_distinct(
    select: &ast::Select,
    keys: &[(usize, &ast::OrderByOptions, &ast::Expr)],
    visible: usize,
    on: Option<&[usize]>,
) -> Result<()> {
    let invalid = |message: &str, at: &ast::Expr| {
        Err(SqlError::new(SqlState::InvalidColumnReference, message)).at_expr(at)
    };
    if let Some(on) = on {
        for (index, _, expr) in keys.iter().take(on.len()) {
            if !on.contains(index) {
                let message =
                    "SELECT DISTINCT ON expressions must match initial ORDER BY expressions";
                return invalid(message, expr);
            }
        }
    } else if matches!(select.distinct, Some(ast::Distinct::Distinct)) {
        for (index, _, expr) in keys {
            if *index >= visible {
                let message =
                    "for SELECT DISTINCT, ORDER BY expressions must appear in select list";
                return invalid(message, expr);
            }
        }
    }
    Ok(())
}

/// What is evaluated after grouping.
struct Above<'t> {
    targets: &'t mut [Target],
    having: &'t mut Option<Expr>,
    sets: &'t mut [ListedCall],
    windows: &'t mut Windows,
}

/// Puts the grouping under the expressions that are evaluated after it.
fn group(
    plan: LogicalPlan,
    by: GroupBy,
    scope: Scope,
    above: &mut Above<'_>,
) -> Result<LogicalPlan> {
    let grouping = Grouping::new(by.groups, by.sets.is_some(), &scope);
    for target in above.targets.iter_mut() {
        grouping.apply(&mut target.expr, &scope)?;
    }
    if let Some(having) = above.having {
        grouping.apply(having, &scope)?;
    }
    for arg in above.sets.iter_mut().flat_map(|listed| &mut listed.call.args) {
        grouping.apply(arg, &scope)?;
    }
    for expr in above.windows.exprs_mut() {
        grouping.apply(expr, &scope)?;
    }
    for expr in &scope.direct {
        grouping.apply(&mut expr.clone(), &scope)?;
    }
    grouping.check_outer(&scope)?;
    let mut groupings = Vec::with_capacity(scope.groupings.len());
    for (id, args) in scope.groupings {
        let place = |arg: &Expr| grouping.groups.iter().position(|(_, group)| group == arg);
        let places: Option<Vec<usize>> = args.iter().map(place).collect();
        groupings.push((id, places.ok_or_else(not_grouping)?));
    }
    let (input, aggregates) = (Box::new(plan), scope.aggregates);
    let groups = grouping.groups;
    if by.sets.is_none() && groupings.is_empty() {
        return Ok(LogicalPlan::Aggregate { input, groups, aggregates });
    }
    let sets = by.sets.unwrap_or_else(|| vec![(0..groups.len()).collect()]);
    Ok(LogicalPlan::GroupingSets { input, groups, sets, aggregates, groupings })
}

fn not_grouping() -> SqlError {
    let message =
        "arguments to GROUPING must be grouping expressions of the associated query level";
    SqlError::new(SqlState::GroupingError, message)
}

/// Drops the columns that were only sorted by or locked with.
/// A projection of rows that are locked, in their order before that. What it computes, and the conditions that a row
/// must still meet, are of the newest version of a row that was waited for: so the lock lies below it, where
/// all columns are.
fn locked(
    projection: LogicalPlan,
    keys: &[(usize, &ast::OrderByOptions, &ast::Expr)],
    clauses: Vec<LockClause>,
) -> Result<LogicalPlan> {
    let LogicalPlan::Project { mut input, exprs } = projection else {
        return Err(SqlError::internal("rows are locked below a projection"));
    };
    let keys: Vec<SortKey> = keys
        .iter()
        .map(|(index, options, _)| sort_key(exprs[*index].1.clone(), options))
        .collect::<Result<_>>()?;
    if !keys.is_empty() {
        input = Box::new(LogicalPlan::Sort { input, keys });
    }
    let input = Box::new(LogicalPlan::Lock { input, clauses });
    Ok(LogicalPlan::Project { input, exprs })
}

fn trim(mut rows: Rows, visible: usize) -> Rows {
    if rows.columns.len() > visible {
        rows.columns.truncate(visible);
        let exprs =
            rows.columns.iter().map(|c| (c.id, Expr::Column { id: c.id, ty: c.ty })).collect();
        rows.plan = LogicalPlan::Project { input: Box::new(rows.plan), exprs };
    }
    rows
}

fn check_supported(select: &ast::Select) -> Result<()> {
    if select.into.is_some() {
        let message = "SELECT ... INTO is not allowed here";
        return Err(SqlError::new(SqlState::SyntaxError, message));
    }
    let foreign = select.top.is_some()
        || select.qualify.is_some()
        || select.prewhere.is_some()
        || !select.lateral_views.is_empty()
        || !select.connect_by.is_empty()
        || !select.cluster_by.is_empty()
        || !select.distribute_by.is_empty()
        || !select.sort_by.is_empty()
        || select.exclude.is_some()
        || select.value_table_mode.is_some();
    if foreign {
        return Err(SqlError::new(SqlState::SyntaxError, "this clause is not PostgreSQL's"));
    }
    Ok(())
}
