//! Simpler expressions that mean the same, for the rules that follow to see more.
//!
//! * A strict function of a NULL constant is NULL, its other arguments unasked (PostgreSQL folds it in
//!   the planner, so that an overflow in them is not an error). Unless what they compute from constants
//!   alone fails, as PostgreSQL has computed that by then: `1 / 0 + NULL` fails.
//! * What EXISTS selects, and in which order, is nobody's business.
//! * What every branch of a disjunction demands is demanded above it: `(a AND b) OR (a AND c)` is
//!   `a AND (b OR c)`. A join condition written in each branch becomes one to join by.

use driftdb_query::eval::{Constants, eval};
use driftdb_query::{Expr, LogicalPlan, SubqueryKind};
use driftdb_types::{DataType, EvalContext, Value, Volatility, function};

use super::in_subqueries;
use crate::expr::{conjoin, conjuncts, has_subquery, is_volatile};
use crate::walk;

/// Simplifies every expression of a plan, its subqueries' included.
pub(crate) fn simplify(mut plan: LogicalPlan) -> LogicalPlan {
    simplify_plan(&mut plan);
    plan
}

fn simplify_plan(plan: &mut LogicalPlan) {
    walk::for_each_expr_mut(plan, &mut |expr| {
        in_subqueries(expr, &simplify);
        simplify_expr(expr);
    });
    walk::for_each_input_mut(plan, &mut simplify_plan);
}

fn simplify_expr(expr: &mut Expr) {
    expr.for_each_child_mut(&mut simplify_expr);
    match expr {
        Expr::Subquery(subquery) if subquery.kind == SubqueryKind::Exists => {
            forget_select_list(&mut subquery.plan);
        }
        Expr::Call { function: id, args, ty }
            if function(*id).strict
                && args.iter().any(is_null)
                && !args.iter().any(may_fail_as_constant) =>
        {
            *expr = Expr::constant(Value::Null, *ty);
        }
        Expr::Or(branches) => {
            *expr = factored(std::mem::take(branches));
        }
        _ => {}
    }
}

/// What EXISTS selects is not computed, not even if it is volatile.
fn forget_select_list(plan: &mut LogicalPlan) {
    match plan {
        LogicalPlan::Sort { input, .. } => {
            *plan = std::mem::replace(input, LogicalPlan::one_row());
            forget_select_list(plan);
        }
        LogicalPlan::Project { input, exprs } => {
            exprs.clear();
            forget_select_list(input);
        }
        _ => {}
    }
}

/// Whether a part of an expression that is computed from constants alone fails, or may fail.
fn may_fail_as_constant(expr: &Expr) -> bool {
    if is_constant(expr, false) {
        let context = EvalContext::default();
        return eval(expr, &Constants { context: &context, params: &[] }).is_err();
    }
    // What it is depends on the session, which is not known here.
    let is_computed = !is_literal(expr) && is_constant(expr, true);
    let mut may_fail = is_computed;
    expr.for_each_child(&mut |child| may_fail = may_fail || may_fail_as_constant(child));
    may_fail
}

/// Whether an expression has the same value whatever the rows: a constant, or a computation with constants;
/// also whatever the session, unless `by_session`.
fn is_constant(expr: &Expr, by_session: bool) -> bool {
    let immutable = match expr {
        Expr::Const { .. } => true,
        Expr::Call { function: id, .. } => function(*id).volatility == Volatility::Immutable,
        // What text means as a time, a range or an array depends on the session, and what they are as text.
        Expr::Cast { input, to, .. } if input.ty().is_string() => {
            reads_alike(*to) || by_session && is_literal(expr)
        }
        Expr::Cast { input, to, .. } if to.is_string() && !input.ty().is_string() => false,
        Expr::Cast { .. } | Expr::IsNull(_) | Expr::Not(_) | Expr::Case { .. } => true,
        Expr::And(_) | Expr::Or(_) | Expr::Coalesce { .. } | Expr::Extreme { .. } => true,
        _ => false,
    };
    let mut constant = immutable;
    expr.for_each_child(&mut |child| constant = constant && is_constant(child, by_session));
    constant
}

/// Whether it is a text as another type: PostgreSQL has read it by now.
fn is_literal(expr: &Expr) -> bool {
    matches!(expr, Expr::Cast { input, .. } if matches!(**input, Expr::Const { .. }))
}

fn reads_alike(ty: DataType) -> bool {
    use DataType as T;
    ty.is_numeric()
        || ty.is_string()
        || matches!(ty, T::Bool | T::Bytea | T::Uuid | T::Json | T::Jsonb | T::Inet | T::Cidr)
}

fn is_null(expr: &Expr) -> bool {
    matches!(expr, Expr::Const { value: Value::Null, .. })
}

/// The disjunction of branches, what is common to all of them taken out.
fn factored(branches: Vec<Expr>) -> Expr {
    let branches = flattened(branches);
    let mut rest: Vec<Vec<Expr>> = Vec::with_capacity(branches.len());
    for branch in branches {
        let mut parts = Vec::new();
        conjuncts(branch, &mut parts);
        rest.push(parts);
    }
    let (first, others) = rest.split_first().expect("a disjunction has branches");
    let common: Vec<Expr> = first
        .iter()
        .filter(|part| others.iter().all(|branch| branch.contains(part)))
        .filter(|part| !is_volatile(part) && !has_subquery(part))
        .cloned()
        .collect();
    for branch in &mut rest {
        branch.retain(|part| !common.contains(part));
    }
    let mut demanded = common;
    // A branch that demands nothing more holds whenever the common part does.
    if demanded.is_empty() || rest.iter().all(|branch| !branch.is_empty()) {
        let branches = rest.into_iter().map(|branch| conjoin(branch).unwrap_or_else(Expr::truth));
        demanded.push(Expr::Or(branches.collect()));
    }
    conjoin(demanded).unwrap_or_else(Expr::truth)
}

/// Branches that are disjunctions themselves, dissolved; the first one's list is reused, since chains
/// nest on the left.
fn flattened(branches: Vec<Expr>) -> Vec<Expr> {
    let mut branches = branches.into_iter();
    let mut flat = match branches.next() {
        Some(Expr::Or(inner)) => inner,
        first => Vec::from_iter(first),
    };
    for branch in branches {
        match branch {
            Expr::Or(inner) => flat.extend(inner),
            other => flat.push(other),
        }
    }
    flat
}
