//! The order of inner joins: left-deep, smallest first, never a cross product while a condition
//! connects.
//!
//! The size of a relation is a guess from its last ANALYZE and the shape of its predicates (equality
//! on a key: one row). Greedy, so that a join of 64 tables is planned in microseconds.

use std::collections::BTreeSet;

use driftdb_query::{ColId, Expr, JoinKind, LogicalPlan};

use super::{column_set, in_subqueries, replace};
use crate::expr::{conjoin, conjuncts, uses_any};
use crate::lower::guess_rows;
use crate::walk;

/// Orders all joins of a plan.
pub(crate) fn order_joins(mut plan: LogicalPlan) -> LogicalPlan {
    walk::for_each_expr_mut(&mut plan, &mut |expr| in_subqueries(expr, &order_joins));
    if !matches!(plan, LogicalPlan::Join { kind: JoinKind::Inner, lateral: false, .. }) {
        walk::for_each_input_mut(&mut plan, &mut |input| replace(input, order_joins));
        return plan;
    }
    let mut relations = Vec::new();
    let mut conditions = Vec::new();
    flatten(plan, &mut relations, &mut conditions);
    let relations = relations.into_iter().map(|relation| Relation::new(order_joins(relation)));
    arrange(relations.collect(), conditions)
}

struct Relation {
    plan: LogicalPlan,
    columns: BTreeSet<ColId>,
    rows: f64,
}

impl Relation {
    fn new(plan: LogicalPlan) -> Self {
        Self { columns: column_set(&plan), rows: guess_rows(&plan), plan }
    }
}

fn flatten(plan: LogicalPlan, relations: &mut Vec<LogicalPlan>, conditions: &mut Vec<Expr>) {
    match plan {
        LogicalPlan::Join { kind: JoinKind::Inner, left, right, on, lateral: false } => {
            flatten(*left, relations, conditions);
            flatten(*right, relations, conditions);
            conjuncts(on, conditions);
        }
        other => relations.push(other),
    }
}

fn arrange(mut relations: Vec<Relation>, mut conditions: Vec<Expr>) -> LogicalPlan {
    let everything: BTreeSet<ColId> =
        relations.iter().flat_map(|relation| relation.columns.iter().copied()).collect();
    let mut joined = relations.remove(smallest(relations.iter().map(|r| r.rows)));
    while !relations.is_empty() {
        let connected = |relation: &Relation| {
            conditions.iter().any(|condition| {
                uses_any(condition, &relation.columns) && uses_any(condition, &joined.columns)
            })
        };
        // An unconnected relation costs a cross product: it comes last.
        let cost =
            |relation: &Relation| relation.rows + if connected(relation) { 0.0 } else { 1e18 };
        let next = relations.remove(smallest(relations.iter().map(cost)));
        joined = join(joined, next, &mut conditions, &everything);
    }
    match conjoin(conditions) {
        Some(predicate) => LogicalPlan::Filter { input: Box::new(joined.plan), predicate },
        None => joined.plan,
    }
}

fn smallest(costs: impl Iterator<Item = f64>) -> usize {
    let least = costs.enumerate().reduce(|best, next| if next.1 < best.1 { next } else { best });
    least.expect("there is at least one relation").0
}

/// Joins two relations on all conditions that they cover together.
fn join(
    left: Relation,
    right: Relation,
    conditions: &mut Vec<Expr>,
    everything: &BTreeSet<ColId>,
) -> Relation {
    let columns: BTreeSet<ColId> = left.columns.union(&right.columns).copied().collect();
    let missing: BTreeSet<ColId> = everything.difference(&columns).copied().collect();
    let (on, later): (Vec<_>, Vec<_>) =
        std::mem::take(conditions).into_iter().partition(|c| !uses_any(c, &missing));
    *conditions = later;
    let on = conjoin(on).unwrap_or_else(Expr::truth);
    let (kind, lateral) = (JoinKind::Inner, false);
    let rows = left.rows.max(right.rows);
    let plan = LogicalPlan::Join {
        kind,
        left: Box::new(left.plan),
        right: Box::new(right.plan),
        on,
        lateral,
    };
    Relation { plan, columns, rows }
}
