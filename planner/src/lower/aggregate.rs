//! Grouping.

use driftdb_query::{
    AggregateCall, ColId, Expr, LogicalPlan, OutputColumn, PhysicalAggregate, PhysicalPlan,
    PhysicalSortKey, PlanContext, Result, SortKey,
};
use driftdb_types::DataType;

use super::resolve::{Frame, resolve, resolve_all};
use super::{Lowered, lower};

/// Lowers a grouping to hashing.
pub(super) fn lower_aggregate(
    input: LogicalPlan,
    groups: Vec<(ColId, Expr)>,
    aggregates: Vec<AggregateCall>,
    frame: &mut Frame,
    cx: &PlanContext,
) -> Result<Lowered> {
    let input = lower(input, frame, cx)?;
    let of_groups = groups.iter().map(|(id, expr)| OutputColumn { id: *id, ty: expr.ty() });
    let of_calls = aggregates.iter().map(|call| OutputColumn { id: call.output, ty: call.ty });
    let columns: Vec<OutputColumn> = of_groups.chain(of_calls).collect();
    let groups = resolve_all(groups.into_iter().map(|(_, expr)| expr), &input.columns, frame, cx)?;
    let aggregates = aggregates
        .into_iter()
        .map(|call| lower_call(call, &input.columns, frame, cx))
        .collect::<Result<_>>()?;
    let plan = PhysicalPlan::Aggregate { input: Box::new(input.plan), groups, aggregates };
    Ok(Lowered::unordered(plan, columns))
}

/// Lowers grouping by several sets.
pub(super) fn lower_grouping_sets(
    input: LogicalPlan,
    (groups, sets): (Vec<(ColId, Expr)>, Vec<Vec<usize>>),
    aggregates: Vec<AggregateCall>,
    groupings: Vec<(ColId, Vec<usize>)>,
    frame: &mut Frame,
    cx: &PlanContext,
) -> Result<Lowered> {
    let input = lower(input, frame, cx)?;
    let of_groups = groups.iter().map(|(id, expr)| OutputColumn { id: *id, ty: expr.ty() });
    let of_calls = aggregates.iter().map(|call| OutputColumn { id: call.output, ty: call.ty });
    let bits = groupings.iter().map(|(id, _)| OutputColumn { id: *id, ty: DataType::Int4 });
    let columns: Vec<OutputColumn> = of_groups.chain(of_calls).chain(bits).collect();
    let groups = resolve_all(groups.into_iter().map(|(_, expr)| expr), &input.columns, frame, cx)?;
    let aggregates = aggregates
        .into_iter()
        .map(|call| lower_call(call, &input.columns, frame, cx))
        .collect::<Result<_>>()?;
    let groupings = groupings.into_iter().map(|(_, places)| places).collect();
    let input = Box::new(input.plan);
    let plan = PhysicalPlan::GroupingSets { input, groups, sets, aggregates, groupings };
    Ok(Lowered::unordered(plan, columns))
}

fn lower_call(
    call: AggregateCall,
    columns: &[OutputColumn],
    frame: &mut Frame,
    cx: &PlanContext,
) -> Result<PhysicalAggregate> {
    let mut sort_key = |key: SortKey| {
        Ok(PhysicalSortKey {
            expr: resolve(key.expr, columns, frame, cx)?,
            descending: key.descending,
            nulls_first: key.nulls_first,
        })
    };
    let order_by = call.order_by.into_iter().map(&mut sort_key).collect::<Result<_>>()?;
    Ok(PhysicalAggregate {
        aggregate: call.aggregate,
        args: resolve_all(call.args, columns, frame, cx)?,
        distinct: call.distinct,
        filter: call.filter.map(|filter| resolve(filter, columns, frame, cx)).transpose()?,
        order_by,
        ty: call.ty,
    })
}
