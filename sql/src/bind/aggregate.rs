//! Aggregate calls: where they may stand, and what becomes of the expressions around them.

use std::collections::BTreeSet;

use driftdb_query::{AggregateCall, ColId, Expr, Result, SortKey, SqlError};
use driftdb_types::{CastContext, DataType, SqlState, resolve_aggregate, resolve_function};
use sqlparser::ast;

use super::Binder;
use super::call::arguments;
use super::position::Placed;
use super::scope::{Scope, column_of};

impl Binder<'_> {
    /// Binds a call; the result is the column that the grouping yields for it.
    pub(crate) fn aggregate(
        &mut self,
        name: &str,
        function: &ast::Function,
        list: &ast::FunctionArgumentList,
        position: u32,
    ) -> Result<Expr> {
        let place = |error: SqlError| error.at(position);
        let (call, level) = self.leveled(
            |binder| binder.aggregate_call(name, function, list),
            |call| call.args.iter().chain(&call.filter).collect(),
        )?;
        self.aggregated(call, level, position).map_err(place)
    }

    /// Binds the parts of an aggregate, and tells which query it belongs to: one over nothing but outer
    /// columns is the outer query's, and whether it may stand there is known only then.
    ///
    /// `aggregated` lists the expressions that decide it: all but direct arguments.
    ///
    /// # Errors
    /// 42803 where an aggregate may not stand, and for one within another of the same query.
    pub(crate) fn leveled<T>(
        &mut self,
        bind: impl FnOnce(&mut Self) -> Result<T>,
        aggregated: impl Fn(&T) -> Vec<&Expr>,
    ) -> Result<(T, usize)> {
        let level = self.scopes.len() - 1;
        let allowed = self.may_aggregate();
        if level == 0 {
            allowed.clone()?;
        }
        let uses: Vec<usize> = self.scopes.iter().map(|scope| scope.outer_uses.len()).collect();
        let named: Vec<usize> = self.scopes.iter().map(|scope| scope.named).collect();
        let before = std::mem::replace(&mut self.scope().in_aggregate, true);
        let parts = bind(self);
        self.scope().in_aggregate = before;
        let parts = match parts {
            Ok(parts) => parts,
            Err(error) => return Err(allowed.err().unwrap_or(error)),
        };
        let exprs = aggregated(&parts);
        let outer = self.level_of(&exprs, &named);
        self.check_nesting(&exprs, outer.unwrap_or(level))?;
        let Some(outer) = outer else {
            allowed?;
            return Ok((parts, level));
        };
        drop(exprs);
        self.scopes[outer].outer_uses.truncate(uses[outer]);
        may_stand(&self.scopes[outer])?;
        Ok((parts, outer))
    }

    /// Refuses an aggregate of which an argument is an aggregate of the same query, as happens where
    /// both stand in a query below.
    fn check_nesting(&self, exprs: &[&Expr], level: usize) -> Result<()> {
        let scope = &self.scopes[level];
        let mut inner = None;
        for expr in exprs {
            for_each_column(expr, &mut |id| {
                if scope.aggregates.iter().any(|call| call.output == id) {
                    inner = inner.or(Some(id));
                }
            });
        }
        let Some(id) = inner else { return Ok(()) };
        let error = nested();
        Err(match scope.positions.get(&id) {
            Some(position) => error.at(*position),
            None => error,
        })
    }

    /// Whether an aggregate may stand here.
    ///
    /// # Errors
    /// 42803
    pub(crate) fn may_aggregate(&mut self) -> Result<()> {
        may_stand(self.scope())
    }

    /// The column that the grouping yields for a call.
    pub(crate) fn aggregated(
        &mut self,
        mut call: AggregateCall,
        level: usize,
        position: u32,
    ) -> Result<Expr> {
        // The same aggregate twice is computed once.
        let same = self.scopes[level].aggregates.iter().find(|known| {
            (known.aggregate, &known.args, known.distinct, &known.filter, &known.order_by)
                == (call.aggregate, &call.args, call.distinct, &call.filter, &call.order_by)
        });
        if let Some(known) = same {
            return Ok(Expr::Column { id: known.output, ty: known.ty });
        }
        let output = self.column_id();
        call.output = output;
        let ty = call.ty;
        self.scopes[level].positions.insert(output, position);
        self.scopes[level].aggregates.push(call);
        Ok(Expr::Column { id: output, ty })
    }

    pub(crate) fn aggregate_call(
        &mut self,
        name: &str,
        function: &ast::Function,
        list: &ast::FunctionArgumentList,
    ) -> Result<AggregateCall> {
        let star =
            matches!(list.args[..], [ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Wildcard)]);
        let distinct = list.duplicate_treatment == Some(ast::DuplicateTreatment::Distinct);
        if star && distinct {
            let message = format!("DISTINCT specified, but {name}(*) has no argument");
            return Err(SqlError::new(SqlState::SyntaxError, message));
        }
        let exprs = if star { Vec::new() } else { arguments(list)? };
        let mut bound = exprs.iter().map(|expr| self.expr(expr)).collect::<Result<Vec<_>>>()?;
        let written = if distinct { bound.clone() } else { Vec::new() };
        self.make_json(name, &mut bound)?;
        let types: Vec<DataType> = bound.iter().map(Expr::ty).collect();
        let resolved = resolve_aggregate(name, &types, star)
            .ok_or_else(|| SqlError::internal("an aggregate without a name"))??;
        let mut args = Vec::with_capacity(bound.len());
        for ((expr, bound), ty) in exprs.iter().zip(bound).zip(&resolved.arg_types) {
            args.push(self.coerce(bound, *ty, -1, CastContext::Implicit).at_expr(expr)?);
        }
        let mut order_by = Vec::new();
        for clause in &list.clauses {
            match clause {
                ast::FunctionArgumentClause::OrderBy(keys) => {
                    for key in keys {
                        let expr = self.decided_expr(&key.expr)?;
                        order_by.push(super::order::sort_key(expr, &key.options)?);
                    }
                }
                other => return Err(SqlError::unsupported(format!("{other} in an aggregate"))),
            }
        }
        if distinct {
            types.iter().try_for_each(|ty| super::order::check_equality(*ty))?;
        }
        // Where the order shows, DISTINCT leaves the values sorted.
        if distinct && order_by.is_empty() && matches!(name, "array_agg" | "string_agg") {
            for arg in &args {
                let key = SortKey { expr: arg.clone(), descending: false, nulls_first: false };
                order_by.push(key);
            }
        }
        // What is converted for the call is the argument all the same.
        for key in &mut order_by {
            if let Some(index) = written.iter().position(|written| *written == key.expr) {
                key.expr = args[index].clone();
            }
        }
        if distinct && order_by.iter().any(|key| !args.contains(&key.expr)) {
            return Err(SqlError::new(
                SqlState::InvalidColumnReference,
                "in an aggregate with DISTINCT, ORDER BY expressions must appear in argument list",
            ));
        }
        let filter = match &function.filter {
            Some(filter) => Some(self.predicate(filter, "FILTER")?),
            None => None,
        };
        Ok(AggregateCall {
            output: ColId(0),
            aggregate: resolved.id,
            args,
            distinct,
            filter,
            order_by,
            ty: resolved.result,
        })
    }

    /// The arguments of the JSON aggregates as JSON, which depends on the session.
    fn make_json(&mut self, name: &str, args: &mut [Expr]) -> Result<()> {
        let convert = match name {
            "json_agg" | "json_object_agg" => "to_json",
            "jsonb_agg" | "jsonb_object_agg" => "to_jsonb",
            _ => return Ok(()),
        };
        let count = args.len();
        for (index, arg) in args.iter_mut().enumerate() {
            let bound = std::mem::replace(arg, Expr::truth());
            let bound = self.decided(bound)?;
            *arg = if count == 2 && index == 0 {
                self.coerce(bound, DataType::Text, -1, CastContext::Explicit)?
            } else {
                let resolved = resolve_function(convert, &[bound.ty()])?;
                self.resolved_call(&resolved, vec![bound])?
            };
        }
        Ok(())
    }

    /// The outer query that an aggregate over nothing but outer columns belongs to: the innermost whose
    /// columns it names, in queries below it, too. `named` is how often each query's were named before.
    fn level_of(&self, exprs: &[&Expr], named: &[usize]) -> Option<usize> {
        let level = named.len() - 1;
        let mut innermost = None;
        if exprs.iter().any(|expr| has_subquery(expr)) {
            innermost = (0..=level).rev().find(|at| self.scopes[*at].named > named[*at]);
        }
        for part in exprs {
            for_each_column(part, &mut |id| {
                let own = |scope: &Scope| {
                    scope.display(id).is_some()
                        || scope.aggregates.iter().any(|call| call.output == id)
                        || scope.set_calls.iter().any(|listed| listed.output == id)
                };
                innermost = innermost.max(self.scopes[..=level].iter().rposition(own));
            });
        }
        innermost.filter(|found| *found < level)
    }
}

fn has_subquery(expr: &Expr) -> bool {
    let mut found = matches!(expr, Expr::Subquery(_));
    expr.for_each_child(&mut |child| found = found || has_subquery(child));
    found
}

fn nested() -> SqlError {
    SqlError::new(SqlState::GroupingError, "aggregate function calls cannot be nested")
}

/// Whether an aggregate of a level may stand where it stands.
fn may_stand(scope: &Scope) -> Result<()> {
    if scope.in_aggregate {
        return Err(nested());
    }
    if !scope.clause.is_grouped() {
        let message = format!("aggregate functions are not allowed in {}", scope.clause.name());
        return Err(SqlError::new(SqlState::GroupingError, message));
    }
    Ok(())
}

/// Calls `visit` for each column in an expression (not in its subqueries).
pub(crate) fn for_each_column(expr: &Expr, visit: &mut dyn FnMut(ColId)) {
    if let Some(id) = column_of(expr) {
        visit(id);
    }
    expr.for_each_child(&mut |child| for_each_column(child, visit));
}

/// The columns that a grouping yields, and what the expressions above it may use.
pub(crate) struct Grouping {
    /// Expressions and the columns they become.
    pub(crate) groups: Vec<(ColId, Expr)>,
    /// All columns of the grouping's output.
    known: BTreeSet<ColId>,
}

impl Grouping {
    /// Groups, with the columns that depend on a whole primary key among them.
    pub(crate) fn new(mut groups: Vec<(ColId, Expr)>, has_sets: bool, scope: &Scope) -> Self {
        // A set without the key decides nothing.
        for relation in scope.relations.iter().filter(|_| !has_sets) {
            let Some(table) = &relation.table else { continue };
            let immediate = |key: &&driftdb_query::Index| !key.deferral.is_deferrable();
            let Some(key) = table.primary_key().filter(immediate) else { continue };
            let grouped = |id: Option<ColId>| {
                id.is_some_and(|id| groups.iter().any(|(_, expr)| column_of(expr) == Some(id)))
            };
            let whole = key.columns.iter().all(|column| {
                let position = table.position(column.column);
                let named = position.and_then(|position| relation.columns.get(position));
                grouped(named.and_then(|named| column_of(&named.expr)))
            });
            if !whole {
                continue;
            }
            // Only what is named: the grouping should not carry whole rows.
            for column in &relation.columns {
                let Some(id) = column_of(&column.expr) else { continue };
                let present = groups.iter().any(|(_, expr)| column_of(expr) == Some(id));
                if !present && scope.positions.contains_key(&id) {
                    groups.push((id, column.expr.clone()));
                }
            }
        }
        let known = groups
            .iter()
            .map(|(id, _)| *id)
            .chain(scope.aggregates.iter().map(|call| call.output))
            .chain(scope.groupings.iter().map(|(id, _)| *id))
            .chain(scope.window_calls.iter().map(|(_, call)| call.output))
            .collect();
        Self { groups, known }
    }

    /// Rewrites an expression over the input to one over the grouping.
    ///
    /// # Errors
    /// 42803 for a column that is not grouped.
    pub(crate) fn apply(&self, expr: &mut Expr, scope: &Scope) -> Result<()> {
        if let Some((id, _)) = self.groups.iter().find(|(_, group)| group == expr) {
            *expr = Expr::Column { id: *id, ty: expr.ty() };
            return Ok(());
        }
        if let Some(id) = column_of(expr)
            && !self.known.contains(&id)
            && let Some(name) = scope.display(id)
        {
            return Err(ungrouped(&name, scope.positions.get(&id)));
        }
        let mut result = Ok(());
        expr.for_each_child_mut(&mut |child| {
            if result.is_ok() {
                result = self.apply(child, scope);
            }
        });
        result
    }

    /// Checks the columns that subqueries of the grouped clauses named.
    ///
    /// # Errors
    /// 42803 for one that is not grouped.
    pub(crate) fn check_outer(&self, scope: &Scope) -> Result<()> {
        for (id, position) in &scope.outer_uses {
            if self.known.contains(id) {
                continue;
            }
            if let Some(name) = scope.display(*id) {
                return Err(SqlError::new(
                    SqlState::GroupingError,
                    format!("subquery uses ungrouped column \"{name}\" from outer query"),
                )
                .at(*position));
            }
        }
        Ok(())
    }
}

fn ungrouped(name: &str, position: Option<&u32>) -> SqlError {
    let error = SqlError::new(
        SqlState::GroupingError,
        format!(
            "column \"{name}\" must appear in the GROUP BY clause or be used in an aggregate function"
        ),
    );
    match position {
        Some(position) => error.at(*position),
        None => error,
    }
}
