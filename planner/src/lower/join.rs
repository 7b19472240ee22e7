//! Join methods: look up by key where few rows ask, else hash, else compare all pairs.

use std::collections::BTreeSet;

use driftdb_query::{
    ColId, Expr, JoinKind, LogicalPlan, OutputColumn, PhysicalPlan, PlanContext, Result,
};
use driftdb_types::Comparison;

use super::access::{Scan, has_path, lower_scan};
use super::guess::guess_rows;
use super::resolve::{Frame, resolve, resolve_all};
use super::{Lowered, keeps_left_order, lower};
use crate::expr::{as_comparison, conjoin, conjuncts, is_volatile, uses_any};
use crate::rule::column_set;

/// How many rows of a hash build one look-up by key costs.
const LOOKUP_COST: f64 = 4.0;

/// A join, taken apart.
pub(super) struct Join {
    pub(super) kind: JoinKind,
    pub(super) left: LogicalPlan,
    pub(super) right: LogicalPlan,
    pub(super) on: Expr,
    pub(super) lateral: bool,
}

/// Lowers a join.
pub(super) fn lower_join(join: Join, frame: &mut Frame, cx: &PlanContext) -> Result<Lowered> {
    let Join { kind, left, right, on, lateral } = join;
    let mut conditions = Vec::new();
    conjuncts(on, &mut conditions);
    if lateral {
        if as_scan(right.clone()).is_ok() {
            // A table whose time the left row tells: the conditions may also tell its key.
            return look_up(kind, left, right, conditions, frame, cx);
        }
        return apply(kind, left, right, conditions, frame, cx);
    }
    if kind == JoinKind::Right {
        // The same rows; columns are named, so their order does not matter.
        let on = conjoin(conditions).unwrap_or_else(Expr::truth);
        let swapped = Join { kind: JoinKind::Left, left: right, right: left, on, lateral };
        return lower_join(swapped, frame, cx);
    }
    if kind != JoinKind::Full && looks_up(&left, &right, &conditions, cx) {
        return look_up(kind, left, right, conditions, frame, cx);
    }
    let keys = Keys::take(&mut conditions, &column_set(&left), &column_set(&right));
    if keys.left.is_empty() || cx.disable_hash_join && kind != JoinKind::Full {
        conditions.extend(keys.original);
        return loop_over(kind, left, right, conditions, frame, cx);
    }
    hash(kind, left, right, keys, conditions, frame, cx)
}

/// Equalities between an expression of the left side and one of the right.
struct Keys {
    left: Vec<Expr>,
    right: Vec<Expr>,
    original: Vec<Expr>,
}

impl Keys {
    fn take(conditions: &mut Vec<Expr>, left: &BTreeSet<ColId>, right: &BTreeSet<ColId>) -> Self {
        let mut keys = Self { left: Vec::new(), right: Vec::new(), original: Vec::new() };
        for condition in std::mem::take(conditions) {
            match sides(&condition, left, right) {
                Some((of_left, of_right)) => {
                    keys.left.push(of_left);
                    keys.right.push(of_right);
                    keys.original.push(condition);
                }
                None => conditions.push(condition),
            }
        }
        keys
    }
}

fn sides(
    condition: &Expr,
    left: &BTreeSet<ColId>,
    right: &BTreeSet<ColId>,
) -> Option<(Expr, Expr)> {
    let compared = as_comparison(condition)?;
    let (a, b) = (compared.left, compared.right);
    // Hashing needs one type on both sides.
    if compared.comparison != Comparison::Eq || a.ty() != b.ty() || is_volatile(condition) {
        return None;
    }
    let of = |expr: &Expr, own: &BTreeSet<ColId>, other: &BTreeSet<ColId>| {
        uses_any(expr, own) && !uses_any(expr, other)
    };
    if of(a, left, right) && of(b, right, left) {
        Some((a.clone(), b.clone()))
    } else if of(b, left, right) && of(a, right, left) {
        Some((b.clone(), a.clone()))
    } else {
        None
    }
}

/// The base table of a side, with the predicates on it.
fn as_scan(plan: LogicalPlan) -> std::result::Result<(Scan, Vec<Expr>), LogicalPlan> {
    match plan {
        LogicalPlan::Scan { table, at, columns, key, temporal } => {
            Ok((Scan { table, at, columns, key, temporal }, Vec::new()))
        }
        LogicalPlan::Filter { input, predicate } => match *input {
            LogicalPlan::Scan { table, at, columns, key, temporal } => {
                let mut predicates = Vec::new();
                conjuncts(predicate, &mut predicates);
                Ok((Scan { table, at, columns, key, temporal }, predicates))
            }
            input => Err(LogicalPlan::Filter { input: Box::new(input), predicate }),
        },
        other => Err(other),
    }
}

/// Whether to look rows of the right side up by key for each row of the left.
fn looks_up(
    left: &LogicalPlan,
    right: &LogicalPlan,
    conditions: &[Expr],
    cx: &PlanContext,
) -> bool {
    let Ok((scan, mut predicates)) = as_scan(right.clone()) else { return false };
    let without_join = has_path(&scan, &predicates, cx);
    predicates.extend(conditions.iter().cloned());
    let by_key = has_path(&scan, &predicates, cx) && !without_join;
    by_key && guess_rows(left) * LOOKUP_COST < guess_rows(right)
}

fn look_up(
    kind: JoinKind,
    left: LogicalPlan,
    right: LogicalPlan,
    conditions: Vec<Expr>,
    frame: &mut Frame,
    cx: &PlanContext,
) -> Result<Lowered> {
    let (scan, mut predicates) = match as_scan(right) {
        Ok(parts) => parts,
        Err(right) => return apply(kind, left, right, conditions, frame, cx),
    };
    predicates.extend(conditions);
    let left = lower(left, frame, cx)?;
    let mut inner = Frame::default();
    let right = lower_scan(&scan, predicates, &mut inner, cx)?;
    finish_apply(kind, left, right, inner, Vec::new(), frame, cx)
}

fn apply(
    kind: JoinKind,
    left: LogicalPlan,
    right: LogicalPlan,
    conditions: Vec<Expr>,
    frame: &mut Frame,
    cx: &PlanContext,
) -> Result<Lowered> {
    let left = lower(left, frame, cx)?;
    let mut inner = Frame::default();
    let right = lower(right, &mut inner, cx)?;
    finish_apply(kind, left, right, inner, conditions, frame, cx)
}

fn finish_apply(
    kind: JoinKind,
    left: Lowered,
    right: Lowered,
    inner: Frame,
    conditions: Vec<Expr>,
    frame: &mut Frame,
    cx: &PlanContext,
) -> Result<Lowered> {
    let outer = inner.into_exprs(&left.columns, frame, cx)?;
    let (on, columns) = joined(kind, &left, &right, conditions, frame, cx)?;
    let plan = PhysicalPlan::Apply {
        kind,
        left: Box::new(left.plan),
        right: Box::new(right.plan),
        outer,
        on,
    };
    Ok(Lowered { plan, columns, order: left.order })
}

fn loop_over(
    kind: JoinKind,
    left: LogicalPlan,
    right: LogicalPlan,
    conditions: Vec<Expr>,
    frame: &mut Frame,
    cx: &PlanContext,
) -> Result<Lowered> {
    let left = lower(left, frame, cx)?;
    let right = lower(right, frame, cx)?;
    let (on, columns) = joined(kind, &left, &right, conditions, frame, cx)?;
    let (left_plan, right_plan) = (Box::new(left.plan), Box::new(right.plan));
    let plan = PhysicalPlan::NestedLoopJoin { kind, left: left_plan, right: right_plan, on };
    let order = if keeps_left_order(kind) { left.order } else { Vec::new() };
    Ok(Lowered { plan, columns, order })
}

fn hash(
    kind: JoinKind,
    left: LogicalPlan,
    right: LogicalPlan,
    keys: Keys,
    conditions: Vec<Expr>,
    frame: &mut Frame,
    cx: &PlanContext,
) -> Result<Lowered> {
    let left = lower(left, frame, cx)?;
    let right = lower(right, frame, cx)?;
    let left_keys = resolve_all(keys.left, &left.columns, frame, cx)?;
    let right_keys = resolve_all(keys.right, &right.columns, frame, cx)?;
    let (residual, columns) = joined(kind, &left, &right, conditions, frame, cx)?;
    let plan = PhysicalPlan::HashJoin {
        kind,
        left: Box::new(left.plan),
        right: Box::new(right.plan),
        left_keys,
        right_keys,
        residual,
    };
    let order = if keeps_left_order(kind) { left.order } else { Vec::new() };
    Ok(Lowered { plan, columns, order })
}

/// The condition over both rows, and the columns that the join yields.
fn joined(
    kind: JoinKind,
    left: &Lowered,
    right: &Lowered,
    conditions: Vec<Expr>,
    frame: &mut Frame,
    cx: &PlanContext,
) -> Result<(Option<Expr>, Vec<OutputColumn>)> {
    let both = [left.columns.as_slice(), &right.columns].concat();
    let on = conjoin(conditions).map(|on| resolve(on, &both, frame, cx)).transpose()?;
    let is_left_only = matches!(kind, JoinKind::Semi | JoinKind::Anti);
    Ok((on, if is_left_only { left.columns.clone() } else { both }))
}
