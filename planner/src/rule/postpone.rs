//! Volatile expressions of a select list are computed for the rows that LIMIT lets through, not for all.
//!
//! `SELECT nextval('s'), a FROM t ORDER BY a LIMIT 2` takes two values, in the order of `a`, as in PostgreSQL
//! (`make_sort_input_target` there). LIMIT moves below the projection, for an operator asks for many rows
//! at once; OFFSET stays above it, since PostgreSQL computes the rows that it skips:
//!
//! ```text
//! Limit 2 offset 1 (Sort a (Project a, nextval))  →  Offset 1 (Project a, nextval (Limit 3 (Sort a (Project a))))
//! ```
//!
//! What the order itself looks at stays below. Without LIMIT all rows are computed, but in the order asked for.

use std::collections::BTreeSet;

use driftdb_query::{ColId, Expr, LogicalPlan, SortKey};
use driftdb_types::{DataType, Value};

use super::{in_subqueries, replace};
use crate::expr::{for_each_column, is_volatile};
use crate::walk;

/// Applies the rule to every LIMIT and ORDER BY of a plan, its subqueries' included.
pub(crate) fn postpone(mut plan: LogicalPlan) -> LogicalPlan {
    walk::for_each_expr_mut(&mut plan, &mut |expr| in_subqueries(expr, &postpone));
    plan = match plan {
        LogicalPlan::Limit { input, count, offset } => limited(*input, count, offset),
        LogicalPlan::Sort { input, keys } => match split(*input, Some(&keys)) {
            Split::Whole(input) => LogicalPlan::Sort { input: Box::new(input), keys },
            Split::Parts { early, late } => {
                let input = Box::new(LogicalPlan::Sort { input: Box::new(early), keys });
                LogicalPlan::Project { input, exprs: late }
            }
        },
        other => other,
    };
    walk::for_each_input_mut(&mut plan, &mut |input| replace(input, postpone));
    plan
}

fn limited(input: LogicalPlan, count: Option<Expr>, offset: Option<Expr>) -> LogicalPlan {
    let Some(lowest) = rows_computed(count.as_ref(), offset.as_ref()) else {
        return LogicalPlan::Limit { input: Box::new(input), count, offset };
    };
    let (rows, keys) = match input {
        LogicalPlan::Sort { input, keys } => (*input, Some(keys)),
        other => (other, None),
    };
    let sorted = |rows: LogicalPlan, keys: Option<Vec<SortKey>>| match keys {
        Some(keys) => LogicalPlan::Sort { input: Box::new(rows), keys },
        None => rows,
    };
    match split(rows, keys.as_deref()) {
        Split::Whole(rows) => {
            LogicalPlan::Limit { input: Box::new(sorted(rows, keys)), count, offset }
        }
        Split::Parts { early, late } => {
            let input = Box::new(sorted(early, keys));
            let input = Box::new(LogicalPlan::Limit { input, count: Some(lowest), offset: None });
            let computed = LogicalPlan::Project { input, exprs: late };
            match offset {
                None => computed,
                Some(_) => LogicalPlan::Limit { input: Box::new(computed), count: None, offset },
            }
        }
    }
}

/// The number of rows that are computed, given and skipped ones, if it can be told.
fn rows_computed(count: Option<&Expr>, offset: Option<&Expr>) -> Option<Expr> {
    let number = |expr: &Expr| match expr {
        Expr::Const { value: Value::Int8(number), .. } => Some(*number),
        _ => None,
    };
    match (count?, offset) {
        (count, None) => Some(count.clone()),
        (count, Some(offset)) => {
            // A negative one is refused when it is asked for.
            let (count, offset) = (number(count)?, number(offset).filter(|offset| *offset >= 0)?);
            let sum = Value::Int8(count.saturating_add(if count < 0 { 0 } else { offset }));
            Some(Expr::constant(sum, DataType::Int8))
        }
    }
}

enum Split {
    /// Nothing is volatile, or it is what the order looks at.
    Whole(LogicalPlan),
    /// A projection in two.
    Parts { early: LogicalPlan, late: Vec<(ColId, Expr)> },
}

fn split(plan: LogicalPlan, keys: Option<&[SortKey]>) -> Split {
    let LogicalPlan::Project { input, exprs } = plan else { return Split::Whole(plan) };
    let mut ordering = BTreeSet::new();
    for key in keys.unwrap_or_default() {
        for_each_column(&key.expr, &mut |id| {
            ordering.insert(id);
        });
    }
    let is_late = |(id, expr): &&(ColId, Expr)| is_volatile(expr) && !ordering.contains(id);
    let mut needed = BTreeSet::new();
    for (_, expr) in exprs.iter().filter(is_late) {
        for_each_column(expr, &mut |id| {
            needed.insert(id);
        });
    }
    if !exprs.iter().any(|column| is_late(&column)) {
        return Split::Whole(LogicalPlan::Project { input, exprs });
    }
    let mut early: Vec<_> = exprs.iter().filter(|column| !is_late(column)).cloned().collect();
    let given: BTreeSet<ColId> = early.iter().map(|(id, _)| *id).collect();
    for column in input.columns() {
        if needed.contains(&column.id) && !given.contains(&column.id) {
            early.push((column.id, Expr::Column { id: column.id, ty: column.ty }));
        }
    }
    let late = exprs
        .into_iter()
        .map(|(id, expr)| {
            let expr = match ordering.contains(&id) || !is_volatile(&expr) {
                true => Expr::Column { id, ty: expr.ty() },
                false => expr,
            };
            (id, expr)
        })
        .collect();
    Split::Parts { early: LogicalPlan::Project { input, exprs: early }, late }
}
