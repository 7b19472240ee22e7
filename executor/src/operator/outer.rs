//! Whether a plan may give other rows when it is started over with other values handed down.

use driftdb_query::{AccessPath, Expr, KeyBound, KeyBounds, PhysicalPlan, Span};

use crate::context::on_deep_stack;

/// Whether rows kept from an earlier start must be computed again.
///
/// A scan of a common table expression counts as dependent: the expression may be started over, too.
pub(crate) fn depends_on_frame(plan: &PhysicalPlan) -> bool {
    on_deep_stack(|| {
        matches!(
            plan,
            PhysicalPlan::CteScan { .. }
                | PhysicalPlan::WorkingTable { .. }
                | PhysicalPlan::Lock { .. }
        ) || any_expr(plan, &expr_depends_on_frame)
            || inputs(plan).into_iter().any(depends_on_frame)
    })
}

/// Whether an expression uses values handed down. The plan of a subquery has a frame of its own, but
/// may read common table expressions.
pub(crate) fn expr_depends_on_frame(expr: &Expr) -> bool {
    matches!(expr, Expr::Outer { .. })
        || expr_reads_ctes_here(expr)
        || any_child(expr, &expr_depends_on_frame)
}

/// Whether a plan reads a common table expression, its own or an enclosing one.
pub(crate) fn reads_ctes(plan: &PhysicalPlan) -> bool {
    on_deep_stack(|| {
        matches!(
            plan,
            PhysicalPlan::CteScan { .. }
                | PhysicalPlan::WorkingTable { .. }
                | PhysicalPlan::With { .. }
        ) || any_expr(plan, &expr_reads_ctes)
            || inputs(plan).into_iter().any(reads_ctes)
    })
}

fn expr_reads_ctes(expr: &Expr) -> bool {
    expr_reads_ctes_here(expr) || any_child(expr, &expr_reads_ctes)
}

fn expr_reads_ctes_here(expr: &Expr) -> bool {
    matches!(expr, Expr::Subplan(subplan) if reads_ctes(&subplan.plan))
}

fn any_child(expr: &Expr, test: &dyn Fn(&Expr) -> bool) -> bool {
    on_deep_stack(|| {
        let mut found = false;
        expr.for_each_child(&mut |child| found = found || test(child));
        found
    })
}

/// The inputs of a node.
pub(crate) fn inputs(plan: &PhysicalPlan) -> Vec<&PhysicalPlan> {
    match plan {
        PhysicalPlan::Values { .. }
        | PhysicalPlan::Access(_)
        | PhysicalPlan::FunctionScan { .. }
        | PhysicalPlan::WorkingTable { .. }
        | PhysicalPlan::Change { .. }
        | PhysicalPlan::CteScan { .. } => Vec::new(),
        PhysicalPlan::Filter { input, .. }
        | PhysicalPlan::Project { input, .. }
        | PhysicalPlan::Aggregate { input, .. }
        | PhysicalPlan::GroupingSets { input, .. }
        | PhysicalPlan::Window { input, .. }
        | PhysicalPlan::Sort { input, .. }
        | PhysicalPlan::Limit { input, .. }
        | PhysicalPlan::Distinct { input, .. }
        | PhysicalPlan::Lock { input, .. } => vec![input],
        PhysicalPlan::HashJoin { left, right, .. }
        | PhysicalPlan::NestedLoopJoin { left, right, .. }
        | PhysicalPlan::Apply { left, right, .. }
        | PhysicalPlan::Recursive { seed: left, step: right, .. }
        | PhysicalPlan::SetOp { left, right, .. } => vec![left, right],
        PhysicalPlan::With { ctes, body } => {
            ctes.iter().map(|(_, plan)| plan).chain([&**body]).collect()
        }
    }
}

/// Whether the test holds for an expression of the node itself.
pub(crate) fn any_expr(plan: &PhysicalPlan, test: &dyn Fn(&Expr) -> bool) -> bool {
    match plan {
        PhysicalPlan::Values { rows, .. } => rows.iter().flatten().any(test),
        PhysicalPlan::Access(access) => {
            let time = match &access.temporal.span {
                Span::Each(time) => Some(&**time),
                Span::Once | Span::Period(_) => None,
            };
            access.filter.iter().chain(time).any(test)
                || match &access.path {
                    AccessPath::Table { bounds } | AccessPath::Index { bounds, .. } => {
                        any_bound(bounds, test)
                    }
                    AccessPath::Point { key } => key.iter().any(test),
                }
        }
        PhysicalPlan::FunctionScan { args, .. } => args.iter().any(test),
        PhysicalPlan::Filter { predicate, .. } => test(predicate),
        PhysicalPlan::Project { exprs, .. } => exprs.iter().any(test),
        PhysicalPlan::HashJoin { left_keys, right_keys, residual, .. } => {
            left_keys.iter().chain(right_keys).chain(residual).any(test)
        }
        PhysicalPlan::NestedLoopJoin { on, .. } => on.iter().any(test),
        PhysicalPlan::Apply { outer, on, .. } => outer.iter().chain(on).any(test),
        PhysicalPlan::Window { partition, order, calls, .. } => {
            partition.iter().chain(order.iter().map(|key| &key.expr)).any(test)
                || calls.iter().flat_map(|call| call.exprs()).any(test)
        }
        PhysicalPlan::Aggregate { groups, aggregates, .. }
        | PhysicalPlan::GroupingSets { groups, aggregates, .. } => {
            groups.iter().any(test)
                || aggregates.iter().any(|call| {
                    let ordered = call.order_by.iter().map(|key| &key.expr);
                    call.args.iter().chain(&call.filter).chain(ordered).any(test)
                })
        }
        PhysicalPlan::Sort { keys, top, .. } => {
            keys.iter().map(|key| &key.expr).chain(top).any(test)
        }
        PhysicalPlan::Limit { count, offset, .. } => count.iter().chain(offset).any(test),
        PhysicalPlan::Distinct { on, .. } => on.iter().any(test),
        PhysicalPlan::Lock { clauses, .. } => {
            clauses.iter().flat_map(|clause| &clause.recheck).any(test)
        }
        PhysicalPlan::CteScan { .. }
        | PhysicalPlan::WorkingTable { .. }
        | PhysicalPlan::Change { .. }
        | PhysicalPlan::Recursive { .. }
        | PhysicalPlan::SetOp { .. }
        | PhysicalPlan::With { .. } => false,
    }
}

fn any_bound(bounds: &KeyBounds, test: &dyn Fn(&Expr) -> bool) -> bool {
    let of_bound = |bound: &KeyBound| match bound {
        KeyBound::Unbounded => false,
        KeyBound::Included(expr) | KeyBound::Excluded(expr) => test(expr),
    };
    bounds.equal.iter().any(test) || of_bound(&bounds.lower) || of_bound(&bounds.upper)
}
