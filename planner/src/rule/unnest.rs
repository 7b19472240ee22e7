//! Subqueries in WHERE become joins where their shape allows it.
//!
//! EXISTS and IN among the conjuncts of a filter become semi-joins, NOT EXISTS an anti-join, when all
//! that ties the subquery to the outer row stands in its own WHERE. Everything else stays a subplan,
//! run again for each row (once, if it is not correlated). The general unnesting of [Neumann15] takes
//! this rule's place when the cost-based planner comes.

use std::collections::{BTreeMap, BTreeSet};

use driftdb_env::planted;
use driftdb_query::{ColId, Expr, JoinKind, LogicalPlan, Subquery, SubqueryKind};
use driftdb_types::DataType;

use super::{column_set, in_subqueries, replace};
use crate::expr::{compare_parts, conjoin, conjuncts, is_volatile, substitute, uses_any};
use crate::walk;

/// Applies the rule everywhere in a plan.
pub(crate) fn unnest(mut plan: LogicalPlan) -> LogicalPlan {
    walk::for_each_input_mut(&mut plan, &mut |input| replace(input, unnest));
    walk::for_each_expr_mut(&mut plan, &mut |expr| in_subqueries(expr, &unnest));
    let LogicalPlan::Filter { input, predicate } = plan else { return plan };
    let mut parts = Vec::new();
    conjuncts(predicate, &mut parts);
    let mut joined = *input;
    let mut rest = Vec::new();
    for part in parts {
        match as_join(part, &joined) {
            Ok((kind, right, on)) => {
                let (left, right) = (Box::new(joined), Box::new(right));
                joined = LogicalPlan::Join { kind, left, right, on, lateral: false };
            }
            Err(part) => rest.push(part),
        }
    }
    match conjoin(rest) {
        Some(predicate) => LogicalPlan::Filter { input: Box::new(joined), predicate },
        None => joined,
    }
}

/// The join that a conjunct is, or the conjunct back.
fn as_join(part: Expr, outer: &LogicalPlan) -> Result<(JoinKind, LogicalPlan, Expr), Expr> {
    let (kind, subquery) = match &part {
        Expr::Subquery(subquery) => (JoinKind::Semi, subquery),
        Expr::Not(inner) => match &**inner {
            // NOT IN is not an anti-join: a NULL on either side makes it unknown.
            Expr::Subquery(subquery)
                if subquery.kind == SubqueryKind::Exists
                    || planted!("planner.not-in-is-an-anti-join") =>
            {
                (JoinKind::Anti, subquery)
            }
            _ => return Err(part),
        },
        _ => return Err(part),
    };
    match decorrelate(subquery, &column_set(outer)) {
        Some((right, on)) => Ok((kind, right, on)),
        None => Err(part),
    }
}

/// The subquery's rows without what ties them to the outer row, and the condition that does.
fn decorrelate(subquery: &Subquery, outer: &BTreeSet<ColId>) -> Option<(LogicalPlan, Expr)> {
    let comparison = compare_parts(&subquery.kind);
    if matches!(comparison, Some((_, _, true))) || subquery.kind == SubqueryKind::Scalar {
        return None;
    }
    let outputs = subquery.plan.columns();
    let (rows, mapping) = strip_projection(subquery.plan.clone())?;
    let mut tied = Vec::new();
    let right = pull_up(rows, outer, &mut tied)?;
    if let Some((left, operators, _)) = comparison {
        for ((left, operator), output) in left.iter().zip(operators).zip(outputs) {
            let mut column = Expr::Column { id: output.id, ty: output.ty };
            substitute(&mut column, &mapping);
            let args = vec![left.clone(), column];
            tied.push(Expr::Call { function: *operator, args, ty: DataType::Bool });
        }
    }
    Some((right, conjoin(tied).unwrap_or_else(Expr::truth)))
}

/// Takes a projection off the top; what it computed is given as a substitution.
fn strip_projection(plan: LogicalPlan) -> Option<(LogicalPlan, BTreeMap<ColId, Expr>)> {
    match plan {
        LogicalPlan::Project { input, exprs } => {
            if exprs.iter().any(|(_, expr)| is_volatile(expr)) {
                return None;
            }
            let (rows, below) = strip_projection(*input)?;
            let mapping = exprs
                .into_iter()
                .map(|(id, mut expr)| {
                    substitute(&mut expr, &below);
                    (id, expr)
                })
                .collect();
            Some((rows, mapping))
        }
        other => Some((other, BTreeMap::new())),
    }
}

/// Moves conjuncts that name outer columns out of the filters at the top; `None` if outer columns are
/// named anywhere else.
fn pull_up(
    plan: LogicalPlan,
    outer: &BTreeSet<ColId>,
    tied: &mut Vec<Expr>,
) -> Option<LogicalPlan> {
    match plan {
        LogicalPlan::Filter { input, predicate } => {
            let mut parts = Vec::new();
            conjuncts(predicate, &mut parts);
            let (up, stay): (Vec<_>, Vec<_>) =
                parts.into_iter().partition(|part| uses_any(part, outer));
            tied.extend(up);
            let input = pull_up(*input, outer, tied)?;
            Some(match conjoin(stay) {
                Some(predicate) => LogicalPlan::Filter { input: Box::new(input), predicate },
                None => input,
            })
        }
        // What an inner join demands can be demanded above it.
        LogicalPlan::Join { kind: JoinKind::Inner, left, right, on, lateral: false } => {
            let mut parts = Vec::new();
            conjuncts(on, &mut parts);
            let (up, stay): (Vec<_>, Vec<_>) =
                parts.into_iter().partition(|part| uses_any(part, outer));
            tied.extend(up);
            let left = Box::new(pull_up(*left, outer, tied)?);
            let right = Box::new(pull_up(*right, outer, tied)?);
            let on = conjoin(stay).unwrap_or_else(Expr::truth);
            Some(LogicalPlan::Join { kind: JoinKind::Inner, left, right, on, lateral: false })
        }
        other => {
            let mut is_tied = false;
            walk::for_each_expr_deep(&other, &mut |expr| {
                is_tied |= matches!(expr, Expr::Column { id, .. } if outer.contains(id));
            });
            (!is_tied).then_some(other)
        }
    }
}
