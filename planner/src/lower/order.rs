//! Orders that come for free, and sorts where they do not.

use driftdb_query::{
    ColId, Expr, LogicalPlan, PhysicalPlan, PhysicalSortKey, PlanContext, Result, SortKey,
};

use super::resolve::{Frame, resolve};
use super::{Lowered, lower};

/// One key of an order that rows already have; NULLs come last, or first where it descends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ordering {
    pub(super) id: ColId,
    pub(super) descending: bool,
}

/// The part of an order that survives a projection.
pub(super) fn through_projection(order: &[Ordering], exprs: &[(ColId, Expr)]) -> Vec<Ordering> {
    order
        .iter()
        .map_while(|key| {
            let kept = exprs
                .iter()
                .find(|(_, expr)| matches!(expr, Expr::Column { id, .. } if *id == key.id));
            kept.map(|(id, _)| Ordering { id: *id, ..*key })
        })
        .collect()
}

/// Lowers a sort of which only the first `top` rows are needed (all, if empty).
pub(super) fn lower_sort(
    input: LogicalPlan,
    keys: Vec<SortKey>,
    top: Vec<Expr>,
    frame: &mut Frame,
    cx: &PlanContext,
) -> Result<Lowered> {
    let mut input = lower(input, frame, cx)?;
    let wanted: Vec<Option<Ordering>> = keys.iter().map(as_ordering).collect();
    if provides(&input.order, &wanted, false) {
        return Ok(input);
    }
    if provides(&input.order, &wanted, true) && reverse(&mut input.plan) {
        input.order.iter_mut().for_each(|key| key.descending = !key.descending);
        return Ok(input);
    }
    let keys = keys
        .into_iter()
        .map(|key| {
            Ok(PhysicalSortKey {
                expr: resolve(key.expr, &input.columns, frame, cx)?,
                descending: key.descending,
                nulls_first: key.nulls_first,
            })
        })
        .collect::<Result<_>>()?;
    let plan = PhysicalPlan::Sort { input: Box::new(input.plan), keys, top };
    let order = wanted.into_iter().map_while(|key| key).collect();
    Ok(Lowered { plan, columns: input.columns, order })
}

/// A sort key that stored order can satisfy.
fn as_ordering(key: &SortKey) -> Option<Ordering> {
    match key.expr {
        Expr::Column { id, .. } if key.nulls_first == key.descending => {
            Some(Ordering { id, descending: key.descending })
        }
        _ => None,
    }
}

fn provides(have: &[Ordering], wanted: &[Option<Ordering>], reversed: bool) -> bool {
    wanted.len() <= have.len()
        && wanted.iter().zip(have).all(|(wanted, have)| {
            *wanted == Some(Ordering { id: have.id, descending: have.descending != reversed })
        })
}

/// Turns the scan around from which the order comes, if nothing in between minds.
fn reverse(plan: &mut PhysicalPlan) -> bool {
    match plan {
        PhysicalPlan::Access(access) => {
            access.reverse = !access.reverse;
            true
        }
        PhysicalPlan::Filter { input, .. } | PhysicalPlan::Project { input, .. } => reverse(input),
        _ => false,
    }
}
