//! Rules over the logical algebra; each keeps the meaning of the plan.

pub(crate) mod join_order;
pub(crate) mod postpone;
pub(crate) mod prune;
pub(crate) mod pushdown;
pub(crate) mod simplify;
pub(crate) mod unnest;

use std::collections::BTreeSet;

use driftdb_query::{ColId, Expr, LogicalPlan};

/// The identities of what a plan yields.
pub(crate) fn column_set(plan: &LogicalPlan) -> BTreeSet<ColId> {
    plan.columns().into_iter().map(|column| column.id).collect()
}

/// Applies `rule` to every subquery's plan inside an expression.
pub(crate) fn in_subqueries(expr: &mut Expr, rule: &dyn Fn(LogicalPlan) -> LogicalPlan) {
    if let Expr::Subquery(subquery) = expr {
        let plan = std::mem::replace(&mut subquery.plan, LogicalPlan::one_row());
        subquery.plan = rule(plan);
    }
    expr.for_each_child_mut(&mut |child| in_subqueries(child, rule));
}

/// Applies `rule` to an input in place.
pub(crate) fn replace(slot: &mut LogicalPlan, rule: impl FnOnce(LogicalPlan) -> LogicalPlan) {
    let plan = std::mem::replace(slot, LogicalPlan::one_row());
    *slot = rule(plan);
}
