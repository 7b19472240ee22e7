//! Window functions: a sort by partition and order, unless the rows come so, then the functions.

use driftdb_query::{
    Expr, LogicalPlan, OutputColumn, PhysicalPlan, PhysicalSortKey, PlanContext, Result, SortKey,
    WindowCall,
};

use super::resolve::{Frame, resolve, resolve_all};
use super::{Lowered, lower, order};

/// Lowers the functions of one window.
pub(super) fn lower_window(
    input: LogicalPlan,
    partition: Vec<Expr>,
    order: Vec<SortKey>,
    calls: Vec<WindowCall>,
    frame: &mut Frame,
    cx: &PlanContext,
) -> Result<Lowered> {
    let sorted_by: Vec<SortKey> = partition
        .iter()
        .map(|expr| SortKey { expr: expr.clone(), descending: false, nulls_first: false })
        .chain(order.iter().cloned())
        .collect();
    let input = if sorted_by.is_empty() {
        lower(input, frame, cx)?
    } else {
        order::lower_sort(input, sorted_by, Vec::new(), frame, cx)?
    };
    let mut columns = input.columns.clone();
    let mut keys = Vec::with_capacity(order.len());
    for key in order {
        keys.push(PhysicalSortKey {
            expr: resolve(key.expr, &input.columns, frame, cx)?,
            descending: key.descending,
            nulls_first: key.nulls_first,
        });
    }
    let partition = resolve_all(partition, &input.columns, frame, cx)?;
    let mut lowered = Vec::with_capacity(calls.len());
    for mut call in calls {
        for expr in call.exprs_mut() {
            let taken = std::mem::replace(expr, Expr::truth());
            *expr = resolve(taken, &input.columns, frame, cx)?;
        }
        columns.push(OutputColumn { id: call.output, ty: call.ty });
        lowered.push(call);
    }
    if lowered.is_empty() {
        return Ok(input);
    }
    let plan = PhysicalPlan::Window {
        input: Box::new(input.plan),
        partition,
        order: keys,
        calls: lowered,
    };
    Ok(Lowered { plan, columns, order: input.order })
}
