//! Columns that nobody uses are not read or computed, but for volatile ones: they may do something, and
//! PostgreSQL calls them, too (`remove_unused_subquery_outputs` there).

use std::collections::BTreeSet;

use driftdb_query::{ColId, Expr, LogicalPlan, SubqueryKind};

use crate::expr::is_volatile;
use crate::walk;

/// Removes unused columns of a plan of which `outputs` are wanted.
pub(crate) fn prune(plan: &mut LogicalPlan, outputs: impl IntoIterator<Item = ColId>) {
    let outputs: BTreeSet<ColId> = outputs.into_iter().collect();
    loop {
        let mut used = outputs.clone();
        collect(plan, &mut used);
        // A dropped computation may have been the last user of a column below it.
        if !drop_unused(plan, &used) {
            return;
        }
    }
}

fn collect(plan: &LogicalPlan, used: &mut BTreeSet<ColId>) {
    let mut all = |plan: &LogicalPlan| used.extend(plan.columns().iter().map(|column| column.id));
    match plan {
        // These take their inputs' columns by position, or compare whole rows.
        LogicalPlan::SetOp { left, right, .. }
        | LogicalPlan::Recursive { seed: left, step: right, .. } => {
            all(left);
            all(right);
        }
        LogicalPlan::Distinct { input, on: None } => all(input),
        LogicalPlan::With { ctes, .. } => ctes.iter().for_each(|(_, plan)| all(plan)),
        LogicalPlan::Lock { clauses, .. } => used.extend(clauses.iter().map(|clause| clause.key)),
        _ => {}
    }
    walk::for_each_expr(plan, &mut |expr| collect_in(expr, used));
    plan.for_each_input(&mut |input| collect(input, used));
}

fn collect_in(expr: &Expr, used: &mut BTreeSet<ColId>) {
    match expr {
        Expr::Column { id, .. } => {
            used.insert(*id);
        }
        Expr::Subquery(subquery) => {
            if subquery.kind != SubqueryKind::Exists {
                used.extend(subquery.plan.columns().iter().map(|column| column.id));
            }
            collect(&subquery.plan, used);
        }
        _ => {}
    }
    expr.for_each_child(&mut |child| collect_in(child, used));
}

/// Returns whether anything was dropped.
fn drop_unused(plan: &mut LogicalPlan, used: &BTreeSet<ColId>) -> bool {
    let mut dropped = false;
    match plan {
        LogicalPlan::Scan { columns, key, temporal, .. } => {
            columns.retain(|column| used.contains(&column.id));
            temporal.system.retain(|(id, _)| used.contains(id));
            key.take_if(|key| !used.contains(key));
        }
        LogicalPlan::Project { exprs, .. } => {
            let before = exprs.len();
            exprs.retain(|(id, expr)| used.contains(id) || is_volatile(expr));
            dropped |= exprs.len() < before;
        }
        LogicalPlan::Window { calls, .. } => {
            let before = calls.len();
            calls.retain(|call| used.contains(&call.output));
            dropped |= calls.len() < before;
        }
        LogicalPlan::GroupingSets { aggregates, groupings, .. } => {
            let before = aggregates.len() + groupings.len();
            aggregates.retain(|call| used.contains(&call.output));
            groupings.retain(|(id, _)| used.contains(id));
            dropped |= aggregates.len() + groupings.len() < before;
        }
        LogicalPlan::Aggregate { aggregates, .. } => {
            let before = aggregates.len();
            aggregates.retain(|call| used.contains(&call.output));
            dropped |= aggregates.len() < before;
        }
        _ => {}
    }
    walk::for_each_expr_mut(plan, &mut |expr| dropped |= drop_in_subqueries(expr, used));
    walk::for_each_input_mut(plan, &mut |input| dropped |= drop_unused(input, used));
    dropped
}

fn drop_in_subqueries(expr: &mut Expr, used: &BTreeSet<ColId>) -> bool {
    let mut dropped = match expr {
        Expr::Subquery(subquery) => drop_unused(&mut subquery.plan, used),
        _ => false,
    };
    expr.for_each_child_mut(&mut |child| dropped |= drop_in_subqueries(child, used));
    dropped
}
