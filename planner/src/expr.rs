//! Questions about expressions, and substitution in them.

use std::collections::{BTreeMap, BTreeSet};

use driftdb_query::{ColId, Expr, LogicalPlan, SubqueryKind};
use driftdb_types::{Comparison, FunctionId, Value, Volatility, function};

use crate::walk;

/// Takes a conjunction apart.
pub(crate) fn conjuncts(expr: Expr, out: &mut Vec<Expr>) {
    match expr {
        Expr::And(args) => args.into_iter().for_each(|arg| conjuncts(arg, out)),
        Expr::Const { value: Value::Bool(true), .. } => {}
        other => out.push(other),
    }
}

/// Puts a conjunction together; `None` if there is nothing to hold. Subqueries come last: they cost
/// most, and are asked only for rows that pass the rest.
pub(crate) fn conjoin(mut parts: Vec<Expr>) -> Option<Expr> {
    match parts.len() {
        0 => None,
        1 => parts.pop(),
        _ => {
            parts.sort_by_key(has_subquery);
            Some(Expr::And(parts))
        }
    }
}

/// Calls `visit` for each column named anywhere in the expression, inside its subqueries, too.
pub(crate) fn for_each_column(expr: &Expr, visit: &mut dyn FnMut(ColId)) {
    if let Expr::Column { id, .. } = expr {
        visit(*id);
    }
    if let Expr::Subquery(subquery) = expr {
        walk::for_each_expr_deep(&subquery.plan, &mut |inner| {
            if let Expr::Column { id, .. } = inner {
                visit(*id);
            }
        });
    }
    expr.for_each_child(&mut |child| for_each_column(child, visit));
}

/// Whether the expression names a column of the set.
pub(crate) fn uses_any(expr: &Expr, columns: &BTreeSet<ColId>) -> bool {
    let mut found = false;
    for_each_column(expr, &mut |id| found |= columns.contains(&id));
    found
}

/// Whether any part of the expression, its subqueries not entered, passes the test.
pub(crate) fn any(expr: &Expr, test: &dyn Fn(&Expr) -> bool) -> bool {
    if test(expr) {
        return true;
    }
    let mut found = false;
    expr.for_each_child(&mut |child| found = found || any(child, test));
    found
}

/// Whether the expression asks a subquery.
pub(crate) fn has_subquery(expr: &Expr) -> bool {
    any(expr, &|part| matches!(part, Expr::Subquery(_)))
}

/// Whether evaluating it once more, once less or elsewhere could be noticed.
pub(crate) fn is_volatile(expr: &Expr) -> bool {
    any(expr, &|part| match part {
        Expr::Call { function: id, .. } => function(*id).volatility == Volatility::Volatile,
        Expr::Routine { call, .. } => call.routine().volatility == Volatility::Volatile,
        Expr::Subquery(subquery) => {
            let mut volatile = false;
            walk::for_each_expr_deep(&subquery.plan, &mut |inner| {
                volatile |= match inner {
                    Expr::Call { function: id, .. } => {
                        function(*id).volatility == Volatility::Volatile
                    }
                    Expr::Routine { call, .. } => call.routine().volatility == Volatility::Volatile,
                    _ => false,
                };
            });
            volatile
        }
        _ => false,
    })
}

/// Replaces columns by expressions, inside subqueries, too.
pub(crate) fn substitute(expr: &mut Expr, map: &BTreeMap<ColId, Expr>) {
    if let Expr::Column { id, .. } = expr {
        if let Some(replacement) = map.get(id) {
            *expr = replacement.clone();
        }
        return;
    }
    if let Expr::Subquery(subquery) = expr {
        substitute_in_plan(&mut subquery.plan, map);
    }
    expr.for_each_child_mut(&mut |child| substitute(child, map));
}

fn substitute_in_plan(plan: &mut LogicalPlan, map: &BTreeMap<ColId, Expr>) {
    walk::for_each_expr_mut(plan, &mut |expr| substitute(expr, map));
    walk::for_each_input_mut(plan, &mut |input| substitute_in_plan(input, map));
}

/// A comparison of two expressions.
pub(crate) struct Compared<'a> {
    pub(crate) comparison: Comparison,
    pub(crate) left: &'a Expr,
    pub(crate) right: &'a Expr,
}

/// The comparison that an expression makes, if it is one.
pub(crate) fn as_comparison(expr: &Expr) -> Option<Compared<'_>> {
    let Expr::Call { function: id, args, .. } = expr else { return None };
    let [left, right] = args.as_slice() else { return None };
    let comparison = function(*id).comparison()?;
    Some(Compared { comparison, left, right })
}

/// Whether the expression is not true whenever all the columns are NULL.
pub(crate) fn rejects_null(expr: &Expr, columns: &BTreeSet<ColId>) -> bool {
    match expr {
        Expr::Call { function: id, .. } => function(*id).strict && is_null_with(expr, columns),
        Expr::And(args) => args.iter().any(|arg| rejects_null(arg, columns)),
        Expr::Or(args) => args.iter().all(|arg| rejects_null(arg, columns)),
        Expr::Not(inner) => match &**inner {
            Expr::IsNull(input) => is_null_with(input, columns),
            inner => is_null_with(inner, columns),
        },
        Expr::InList { input, .. } => is_null_with(input, columns),
        _ => false,
    }
}

/// Whether the expression is surely NULL whenever all the columns are.
fn is_null_with(expr: &Expr, columns: &BTreeSet<ColId>) -> bool {
    match expr {
        Expr::Column { id, .. } => columns.contains(id),
        Expr::Cast { input, .. } | Expr::Not(input) => is_null_with(input, columns),
        Expr::Call { function: id, args, .. } => {
            function(*id).strict && args.iter().any(|arg| is_null_with(arg, columns))
        }
        Expr::InList { input, .. } => is_null_with(input, columns),
        _ => false,
    }
}

/// Whether a subquery's left side is part of the expression: for readers of the kinds.
pub(crate) fn compare_parts(kind: &SubqueryKind) -> Option<(&[Expr], &[FunctionId], bool)> {
    match kind {
        SubqueryKind::Compare { left, operators, all } => Some((left, operators, *all)),
        SubqueryKind::Scalar | SubqueryKind::Exists => None,
    }
}
