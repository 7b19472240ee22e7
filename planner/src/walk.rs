//! Visiting the parts of a logical plan.

use driftdb_query::{Expr, LogicalPlan, Span};

/// As [`LogicalPlan::for_each_input`], to change them.
pub(crate) fn for_each_input_mut(plan: &mut LogicalPlan, visit: &mut dyn FnMut(&mut LogicalPlan)) {
    match plan {
        LogicalPlan::Values { .. }
        | LogicalPlan::Scan { .. }
        | LogicalPlan::FunctionScan { .. }
        | LogicalPlan::WorkingTable { .. }
        | LogicalPlan::Change { .. }
        | LogicalPlan::CteScan { .. } => {}
        LogicalPlan::Filter { input, .. }
        | LogicalPlan::Project { input, .. }
        | LogicalPlan::Aggregate { input, .. }
        | LogicalPlan::GroupingSets { input, .. }
        | LogicalPlan::Window { input, .. }
        | LogicalPlan::Sort { input, .. }
        | LogicalPlan::Limit { input, .. }
        | LogicalPlan::Distinct { input, .. }
        | LogicalPlan::Lock { input, .. } => visit(input),
        LogicalPlan::Join { left, right, .. }
        | LogicalPlan::SetOp { left, right, .. }
        | LogicalPlan::Recursive { seed: left, step: right, .. } => {
            visit(left);
            visit(right);
        }
        LogicalPlan::With { ctes, body } => {
            ctes.iter_mut().for_each(|(_, plan)| visit(plan));
            visit(body);
        }
    }
}

/// Calls `visit` for each expression of the node itself.
pub(crate) fn for_each_expr(plan: &LogicalPlan, visit: &mut dyn FnMut(&Expr)) {
    match plan {
        LogicalPlan::Values { rows, .. } => rows.iter().flatten().for_each(visit),
        LogicalPlan::FunctionScan { args, .. } => args.iter().for_each(visit),
        LogicalPlan::Filter { predicate, .. } => visit(predicate),
        LogicalPlan::Project { exprs, .. } => exprs.iter().for_each(|(_, expr)| visit(expr)),
        LogicalPlan::Join { on, .. } => visit(on),
        LogicalPlan::Aggregate { groups, aggregates, .. }
        | LogicalPlan::GroupingSets { groups, aggregates, .. } => {
            groups.iter().for_each(|(_, expr)| visit(expr));
            for call in aggregates {
                call.args.iter().for_each(&mut *visit);
                call.filter.iter().for_each(&mut *visit);
                call.order_by.iter().for_each(|key| visit(&key.expr));
            }
        }
        LogicalPlan::Window { partition, order, calls, .. } => {
            partition.iter().for_each(&mut *visit);
            order.iter().for_each(|key| visit(&key.expr));
            calls.iter().flat_map(|call| call.exprs()).for_each(visit);
        }
        LogicalPlan::Sort { keys, .. } => keys.iter().for_each(|key| visit(&key.expr)),
        LogicalPlan::Limit { count, offset, .. } => {
            count.iter().chain(offset).for_each(visit);
        }
        LogicalPlan::Distinct { on, .. } => on.iter().flatten().for_each(visit),
        LogicalPlan::Scan { temporal, .. } => {
            if let Span::Each(time) = &temporal.span {
                visit(time);
            }
        }
        LogicalPlan::SetOp { .. }
        | LogicalPlan::Recursive { .. }
        | LogicalPlan::WorkingTable { .. }
        | LogicalPlan::Change { .. }
        | LogicalPlan::With { .. }
        | LogicalPlan::CteScan { .. }
        | LogicalPlan::Lock { .. } => {}
    }
}

/// As [`for_each_expr`], to change them.
pub(crate) fn for_each_expr_mut(plan: &mut LogicalPlan, visit: &mut dyn FnMut(&mut Expr)) {
    match plan {
        LogicalPlan::Values { rows, .. } => rows.iter_mut().flatten().for_each(visit),
        LogicalPlan::FunctionScan { args, .. } => args.iter_mut().for_each(visit),
        LogicalPlan::Filter { predicate, .. } => visit(predicate),
        LogicalPlan::Project { exprs, .. } => exprs.iter_mut().for_each(|(_, expr)| visit(expr)),
        LogicalPlan::Join { on, .. } => visit(on),
        LogicalPlan::Aggregate { groups, aggregates, .. }
        | LogicalPlan::GroupingSets { groups, aggregates, .. } => {
            groups.iter_mut().for_each(|(_, expr)| visit(expr));
            for call in aggregates {
                call.args.iter_mut().for_each(&mut *visit);
                call.filter.iter_mut().for_each(&mut *visit);
                call.order_by.iter_mut().for_each(|key| visit(&mut key.expr));
            }
        }
        LogicalPlan::Window { partition, order, calls, .. } => {
            partition.iter_mut().for_each(&mut *visit);
            order.iter_mut().for_each(|key| visit(&mut key.expr));
            calls.iter_mut().flat_map(|call| call.exprs_mut()).for_each(visit);
        }
        LogicalPlan::Sort { keys, .. } => keys.iter_mut().for_each(|key| visit(&mut key.expr)),
        LogicalPlan::Limit { count, offset, .. } => {
            count.iter_mut().chain(offset).for_each(visit);
        }
        LogicalPlan::Distinct { on, .. } => on.iter_mut().flatten().for_each(visit),
        LogicalPlan::Scan { temporal, .. } => {
            if let Span::Each(time) = &mut temporal.span {
                visit(time);
            }
        }
        LogicalPlan::SetOp { .. }
        | LogicalPlan::Recursive { .. }
        | LogicalPlan::WorkingTable { .. }
        | LogicalPlan::Change { .. }
        | LogicalPlan::With { .. }
        | LogicalPlan::CteScan { .. }
        | LogicalPlan::Lock { .. } => {}
    }
}

/// Calls `visit` for every expression and sub-expression of the whole plan, subqueries included.
pub(crate) fn for_each_expr_deep(plan: &LogicalPlan, visit: &mut dyn FnMut(&Expr)) {
    for_each_expr(plan, &mut |expr| visit_deep(expr, visit));
    if let LogicalPlan::Lock { clauses, .. } = plan {
        for clause in clauses {
            visit(&Expr::Column { id: clause.key, ty: driftdb_types::DataType::Bytea });
        }
    }
    plan.for_each_input(&mut |input| for_each_expr_deep(input, visit));
}

/// Calls `visit` for the expression and everything in it, subqueries included.
pub(crate) fn visit_deep(expr: &Expr, visit: &mut dyn FnMut(&Expr)) {
    visit(expr);
    if let Expr::Subquery(subquery) = expr {
        for_each_expr_deep(&subquery.plan, visit);
    }
    expr.for_each_child(&mut |child| visit_deep(child, visit));
}
