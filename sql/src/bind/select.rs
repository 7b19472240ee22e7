//! Queries: WITH, SELECT with all its clauses, row locks.

use std::collections::BTreeSet;

use driftdb_query::{ColId, Expr, LockClause, LogicalPlan, Result, SortKey, SqlError};
use driftdb_types::{DataType, SqlState};
use sqlparser::ast;

use super::Binder;
use super::aggregate::Grouping;
use super::lock::Locking;
use super::names::{ident, ident_position};
use super::order::{check_equality, order_keys, sort_key};
use super::position::{Placed, bare};
use super::scope::{Clause, Cte, Scope, column_of};
use super::set_function::{ListedCall, expanded, take_used};
use super::target::{NO_META, Rows, Target};

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

    /// Binds common table expressions and puts them in sight.
    pub(crate) fn with(
        &mut self,
        with: &ast::With,
    ) -> Result<Vec<(driftdb_query::CteId, LogicalPlan)>> {
        let mut plans = Vec::with_capacity(with.cte_tables.len());
        let outside = self.ctes.len();
        for cte in &with.cte_tables {
            let (name, position) = (ident(&cte.alias.name), ident_position(&cte.alias.name));
            if with.recursive && mentions(&cte.query, &name) {
                return Err(SqlError::unsupported("WITH RECURSIVE").at(position));
            }
            if self.ctes[outside..].iter().any(|other| other.name == name) {
                let message = format!("WITH query name \"{name}\" specified more than once");
                return Err(SqlError::new(SqlState::DuplicateAlias, message).at(position));
            }
            let mut rows = self.query(&cte.query)?;
            self.decide_columns(&mut rows)?;
            let renames = &cte.alias.columns;
            if renames.len() > rows.columns.len() {
                let message = format!(
                    "WITH query \"{name}\" has {} columns available but {} columns specified",
                    rows.columns.len(),
                    renames.len()
                );
                let state = SqlState::InvalidColumnReference;
                return Err(SqlError::new(state, message).at(position));
            }
            for (column, rename) in rows.columns.iter_mut().zip(renames) {
                column.name = ident(&rename.name);
            }
            let id = self.cte_id();
            let columns = rows.columns.iter().map(|c| (c.name.clone(), c.ty, c.meta)).collect();
            self.ctes.push(Cte { name, id, columns });
            plans.push((id, rows.plan));
        }
        Ok(plans)
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
        for lock in &locks {
            let expr = Expr::Column { id: lock.key, ty: DataType::Bytea };
            targets.push(Target { name: String::new(), expr, meta: NO_META });
        }
        self.note_select(select, &targets, visible, groups.as_deref(), &keys);
        let mut scope = self.scopes.pop().expect("pushed above");
        let mut set_calls = std::mem::take(&mut scope.set_calls);
        if let Some(groups) = &groups {
            // What is grouped by is evaluated before.
            let mut used = BTreeSet::new();
            for (_, group) in groups {
                super::aggregate::for_each_column(group, &mut |id| {
                    used.insert(id);
                });
            }
            plan = expanded(plan, take_used(&mut set_calls, &used));
        }
        if groups.is_some() || having.is_some() || !scope.aggregates.is_empty() {
            let mut above =
                Above { targets: &mut targets, having: &mut having, sets: &mut set_calls };
            plan = group(plan, groups.unwrap_or_default(), scope, &mut above)?;
        }
        if let Some(predicate) = having {
            plan = LogicalPlan::Filter { input: Box::new(plan), predicate };
        }
        plan = expanded(plan, set_calls);
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
        groups: Option<&[(ColId, Expr)]>,
        keys: &[(usize, &ast::OrderByOptions, &ast::Expr)],
    ) {
        let Some(recorder) = &mut self.recorder else { return };
        let Some(scope) = self.scopes.last() else { return };
        let calls = scope.aggregates.iter().map(|call| (call.output, call.clone()));
        recorder.aggregates.extend(calls);
        let note = super::record::SelectNote {
            targets: targets[..visible]
                .iter()
                .map(|target| (target.name.clone(), target.expr.clone()))
                .collect(),
            groups: groups.unwrap_or_default().iter().map(|(_, group)| group.clone()).collect(),
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
        if !locks.is_empty() {
            plan = LogicalPlan::Lock { input: Box::new(plan), clauses: locks };
        }
        rows.plan = plan;
        Ok(())
    }

    /// GROUP BY: `None` if absent.
    fn groups(
        &mut self,
        select: &ast::Select,
        targets: &mut [Target],
    ) -> Result<Option<Vec<(ColId, Expr)>>> {
        let ast::GroupByExpr::Expressions(exprs, modifiers) = &select.group_by else {
            return Err(SqlError::unsupported("GROUP BY ALL"));
        };
        if !modifiers.is_empty() {
            return Err(SqlError::unsupported("GROUP BY with a modifier"));
        }
        if exprs.is_empty() {
            return Ok(None);
        }
        let mut groups: Vec<(ColId, Expr)> = Vec::with_capacity(exprs.len());
        let mut pending: Vec<&ast::Expr> = exprs.iter().rev().collect();
        while let Some(expr) = pending.pop() {
            if let ast::Expr::Tuple(fields) = bare(expr) {
                pending.extend(fields.iter().rev());
                continue;
            }
            let bound = match self.named_target(expr, targets, Clause::GroupBy)? {
                Some(index) => {
                    if self.has_aggregate(&targets[index].expr) {
                        let message = "aggregate functions are not allowed in GROUP BY";
                        return Err(SqlError::new(SqlState::GroupingError, message)).at_expr(expr);
                    }
                    let target = std::mem::replace(&mut targets[index].expr, Expr::truth());
                    targets[index].expr = self.decided(target)?;
                    targets[index].expr.clone()
                }
                None => self.in_clause(Clause::GroupBy, |b| b.decided_expr(expr))?,
            };
            check_equality(bound.ty()).at_expr(expr)?;
            if !groups.iter().any(|(_, group)| *group == bound) {
                // A bare column keeps its identity, so that subqueries above the grouping find it; an
                // outer query's column has that identity there.
                let own = column_of(&bound).filter(|id| self.scope().display(*id).is_some());
                let id = own.unwrap_or_else(|| self.column_id());
                groups.push((id, bound));
            }
        }
        Ok(Some(groups))
    }

    fn has_aggregate(&mut self, expr: &Expr) -> bool {
        let scope = self.scope();
        let mut found = false;
        super::aggregate::for_each_column(expr, &mut |id| {
            found |= scope.aggregates.iter().any(|call| call.output == id);
        });
        found
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
}

/// Puts the grouping under the expressions that are evaluated after it.
fn group(
    plan: LogicalPlan,
    groups: Vec<(ColId, Expr)>,
    scope: Scope,
    above: &mut Above<'_>,
) -> Result<LogicalPlan> {
    let grouping = Grouping::new(groups, &scope);
    for target in above.targets.iter_mut() {
        grouping.apply(&mut target.expr, &scope)?;
    }
    if let Some(having) = above.having {
        grouping.apply(having, &scope)?;
    }
    for arg in above.sets.iter_mut().flat_map(|listed| &mut listed.call.args) {
        grouping.apply(arg, &scope)?;
    }
    grouping.check_outer(&scope)?;
    Ok(LogicalPlan::Aggregate {
        input: Box::new(plan),
        groups: grouping.groups,
        aggregates: scope.aggregates,
    })
}

/// Drops the columns that were only sorted by or locked with.
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
        return Err(SqlError::unsupported("SELECT INTO").with_hint("Use CREATE TABLE ... AS."));
    }
    if !select.named_window.is_empty() {
        return Err(SqlError::unsupported("a window function"));
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

/// Whether a query reads a relation called `name` (in its text; a false alarm is an error that says so).
fn mentions(query: &ast::Query, name: &str) -> bool {
    let text = query.to_string().to_ascii_lowercase();
    text.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|word| word == name)
}
