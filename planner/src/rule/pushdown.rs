//! Predicates move to where their columns come from; outer joins that reject NULLs become inner.

use std::collections::BTreeMap;

use driftdb_env::planted;
use driftdb_query::{ColId, Expr, JoinKind, LogicalPlan, OutputColumn};

use super::{column_set, in_subqueries, replace};
use crate::expr::{
    conjoin, conjuncts, for_each_column, has_subquery, is_volatile, rejects_null, substitute,
    uses_any,
};
use crate::walk;

/// Applies the rule to a whole plan.
pub(crate) fn push_down(plan: LogicalPlan) -> LogicalPlan {
    push(plan, Vec::new())
}

/// The plan with `predicates` demanded of its rows, each as far down as it goes.
fn push(plan: LogicalPlan, mut predicates: Vec<Expr>) -> LogicalPlan {
    match plan {
        LogicalPlan::Filter { input, mut predicate } => {
            in_subqueries(&mut predicate, &push_down);
            conjuncts(predicate, &mut predicates);
            push(*input, predicates)
        }
        LogicalPlan::Project { input, exprs } => push_through_project(*input, exprs, predicates),
        LogicalPlan::Join { kind, left, right, on, lateral } => {
            push_into_join(kind, *left, *right, on, lateral, predicates)
        }
        LogicalPlan::Aggregate { input, groups, aggregates } => {
            // A predicate on a group's columns decides over whole groups: it may as well decide
            // over their rows. Without groups there is a row even for no input.
            let movable: BTreeMap<ColId, Expr> = groups
                .iter()
                .filter(|(_, expr)| !is_volatile(expr) && !has_subquery(expr))
                .cloned()
                .collect();
            let calls: std::collections::BTreeSet<ColId> =
                aggregates.iter().map(|call| call.output).collect();
            let (down, stay) = predicates.into_iter().partition(|predicate| {
                !groups.is_empty()
                    && !uses_any(predicate, &calls)
                    && !is_volatile(predicate)
                    && names_only(predicate, &groups, &movable)
            });
            let input = Box::new(push(*input, substituted(down, &movable)));
            filtered(finish(LogicalPlan::Aggregate { input, groups, aggregates }), stay)
        }
        LogicalPlan::Window { input, partition, order, calls } => {
            // A predicate on what is partitioned by decides over whole partitions.
            let whole: std::collections::BTreeSet<ColId> = partition
                .iter()
                .filter_map(|expr| match expr {
                    Expr::Column { id, .. } => Some(*id),
                    _ => None,
                })
                .collect();
            let (down, stay) = predicates.into_iter().partition(|predicate| {
                let mut only = !is_volatile(predicate) && !has_subquery(predicate);
                for_each_column(predicate, &mut |id| only &= whole.contains(&id));
                only
            });
            let input = Box::new(push(*input, down));
            let window = LogicalPlan::Window { input, partition, order, calls };
            filtered(finish(window), stay)
        }
        LogicalPlan::Sort { input, keys } => {
            let input = Box::new(push(*input, predicates));
            finish(LogicalPlan::Sort { input, keys })
        }
        LogicalPlan::Distinct { input, on: None } => {
            let (down, stay) = predicates.into_iter().partition(|p| !is_volatile(p));
            let input = Box::new(push(*input, down));
            filtered(LogicalPlan::Distinct { input, on: None }, stay)
        }
        LogicalPlan::SetOp { kind, all, left, right, columns } => {
            let (down, stay): (Vec<_>, Vec<_>) =
                predicates.into_iter().partition(|p| !is_volatile(p) && !has_subquery(p));
            let left = side_of_set_operation(*left, &columns, &down);
            let right = side_of_set_operation(*right, &columns, &down);
            filtered(LogicalPlan::SetOp { kind, all, left, right, columns }, stay)
        }
        LogicalPlan::With { mut ctes, body } => {
            ctes.iter_mut().for_each(|(_, plan)| replace(plan, push_down));
            LogicalPlan::With { ctes, body: Box::new(push(*body, predicates)) }
        }
        mut other => {
            walk::for_each_input_mut(&mut other, &mut |input| replace(input, push_down));
            filtered(finish(other), predicates)
        }
    }
}

/// Whether every column that the predicate takes from the aggregation is a group that can be replaced.
fn names_only(predicate: &Expr, groups: &[(ColId, Expr)], movable: &BTreeMap<ColId, Expr>) -> bool {
    let mut only = true;
    for_each_column(predicate, &mut |id| {
        only &= movable.contains_key(&id) || !groups.iter().any(|(group, _)| *group == id);
    });
    only
}

/// Subqueries inside the node's own expressions get the rule, too.
fn finish(mut plan: LogicalPlan) -> LogicalPlan {
    walk::for_each_expr_mut(&mut plan, &mut |expr| in_subqueries(expr, &push_down));
    plan
}

fn filtered(plan: LogicalPlan, predicates: Vec<Expr>) -> LogicalPlan {
    match conjoin(predicates) {
        Some(predicate) => LogicalPlan::Filter { input: Box::new(plan), predicate },
        None => plan,
    }
}

fn substituted(mut predicates: Vec<Expr>, map: &BTreeMap<ColId, Expr>) -> Vec<Expr> {
    predicates.iter_mut().for_each(|predicate| substitute(predicate, map));
    predicates
}

fn push_through_project(
    input: LogicalPlan,
    exprs: Vec<(ColId, Expr)>,
    predicates: Vec<Expr>,
) -> LogicalPlan {
    let movable: BTreeMap<ColId, Expr> = exprs
        .iter()
        .filter(|(_, expr)| !is_volatile(expr) && !has_subquery(expr))
        .cloned()
        .collect();
    let (down, stay) = predicates.into_iter().partition(|predicate| {
        let mut replaceable = !is_volatile(predicate);
        for_each_column(predicate, &mut |id| {
            replaceable &=
                movable.contains_key(&id) || !exprs.iter().any(|(output, _)| *output == id);
        });
        replaceable
    });
    let input = Box::new(push(input, substituted(down, &movable)));
    filtered(finish(LogicalPlan::Project { input, exprs }), stay)
}

fn side_of_set_operation(
    side: LogicalPlan,
    columns: &[OutputColumn],
    predicates: &[Expr],
) -> Box<LogicalPlan> {
    let map = columns
        .iter()
        .zip(side.columns())
        .map(|(output, column)| (output.id, Expr::Column { id: column.id, ty: column.ty }))
        .collect();
    Box::new(push(side, substituted(predicates.to_vec(), &map)))
}

/// Where a predicate over a join's rows belongs.
#[derive(Default)]
struct Split {
    left: Vec<Expr>,
    right: Vec<Expr>,
    both: Vec<Expr>,
}

fn split(predicates: Vec<Expr>, left: &LogicalPlan, right: &LogicalPlan) -> Split {
    let (left, right) = (column_set(left), column_set(right));
    let mut split = Split::default();
    for predicate in predicates {
        match (uses_any(&predicate, &left), uses_any(&predicate, &right)) {
            _ if is_volatile(&predicate) => split.both.push(predicate),
            (true, false) => split.left.push(predicate),
            (false, true) => split.right.push(predicate),
            // A predicate of neither side may as well be asked early.
            (false, false) => split.left.push(predicate),
            (true, true) => split.both.push(predicate),
        }
    }
    split
}

fn push_into_join(
    kind: JoinKind,
    left: LogicalPlan,
    right: LogicalPlan,
    mut on: Expr,
    lateral: bool,
    predicates: Vec<Expr>,
) -> LogicalPlan {
    in_subqueries(&mut on, &push_down);
    let kind = strengthened(kind, &left, &right, &predicates);
    let mut conditions = Vec::new();
    conjuncts(on, &mut conditions);
    let mut above = Vec::new();
    let (to_left, to_right, on) = match kind {
        JoinKind::Inner => {
            conditions.extend(predicates);
            let parts = split(conditions, &left, &right);
            (parts.left, parts.right, parts.both)
        }
        JoinKind::Left | JoinKind::Semi | JoinKind::Anti => {
            let rows = split(predicates, &left, &right);
            above = [rows.right, rows.both].concat();
            let joins = split(conditions, &left, &right);
            // A condition on the left side alone decides about matches, not about rows, except in a
            // semi-join, where a row without a match is no row.
            if kind == JoinKind::Semi || planted!("planner.outer-join-condition-pushed") {
                ([rows.left, joins.left].concat(), joins.right, joins.both)
            } else {
                (rows.left, joins.right, [joins.left, joins.both].concat())
            }
        }
        JoinKind::Right => {
            let rows = split(predicates, &left, &right);
            above = [rows.left, rows.both].concat();
            let joins = split(conditions, &left, &right);
            (joins.left, rows.right, [joins.right, joins.both].concat())
        }
        JoinKind::Full => {
            above = predicates;
            (Vec::new(), Vec::new(), conditions)
        }
    };
    let join = LogicalPlan::Join {
        kind,
        left: Box::new(push(left, to_left)),
        right: Box::new(push(right, to_right)),
        on: conjoin(on).unwrap_or_else(Expr::truth),
        lateral,
    };
    filtered(join, above)
}

/// An outer join whose padded rows some predicate rejects is a stronger join.
fn strengthened(
    kind: JoinKind,
    left: &LogicalPlan,
    right: &LogicalPlan,
    predicates: &[Expr],
) -> JoinKind {
    let rejected = |side: &LogicalPlan| {
        let columns = column_set(side);
        predicates.iter().any(|predicate| rejects_null(predicate, &columns))
    };
    match kind {
        JoinKind::Left if rejected(right) => JoinKind::Inner,
        JoinKind::Right if rejected(left) => JoinKind::Inner,
        JoinKind::Full => match (rejected(left), rejected(right)) {
            (true, true) => JoinKind::Inner,
            (true, false) if planted!("planner.full-join-keeps-the-wrong-side") => JoinKind::Right,
            // No row without a left part survives.
            (true, false) => JoinKind::Left,
            (false, true) => JoinKind::Right,
            (false, false) => JoinKind::Full,
        },
        other => other,
    }
}
