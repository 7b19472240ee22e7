//! Logical to physical: access paths, join methods, positions.

mod access;
mod aggregate;
mod guess;
mod join;
mod merge;
mod order;
mod resolve;
mod statement;
mod system;
mod window;

use driftdb_query::{
    ColId, Expr, JoinKind, LogicalPlan, OutputColumn, PhysicalPlan, PlanContext, Result, SqlError,
};
use driftdb_types::DataType;

pub(crate) use guess::guess_rows;
pub(crate) use statement::lower_statement;

use crate::expr::conjuncts;
use order::Ordering;
use resolve::Frame;

/// A physical plan, what its columns are, and what order its rows come in.
#[derive(Debug)]
struct Lowered {
    plan: PhysicalPlan,
    columns: Vec<OutputColumn>,
    order: Vec<Ordering>,
}

impl Lowered {
    fn unordered(plan: PhysicalPlan, columns: Vec<OutputColumn>) -> Self {
        Self { plan, columns, order: Vec::new() }
    }

    /// The same rows with exactly these columns, in this order.
    fn arranged(self, wanted: &[OutputColumn]) -> Result<Self> {
        if self.columns == wanted {
            return Ok(self);
        }
        let mut frame = Frame::default();
        let exprs = wanted
            .iter()
            .map(|column| {
                let column = Expr::Column { id: column.id, ty: column.ty };
                resolve::resolve(column, &self.columns, &mut frame, &PlanContext::default())
            })
            .collect::<Result<_>>()?;
        frame.expect_empty()?;
        let plan = PhysicalPlan::Project { input: Box::new(self.plan), exprs };
        Ok(Self { plan, columns: wanted.to_vec(), order: self.order })
    }
}

/// Lowers one plan; columns that it does not yield itself are taken from the frame.
fn lower(plan: LogicalPlan, frame: &mut Frame, cx: &PlanContext) -> Result<Lowered> {
    /// Room for one level of recursion in a debug build, and what to grow by.
    const RED_ZONE: usize = 128 << 10;
    const GROW_BY: usize = 2 << 20;
    stacker::maybe_grow(RED_ZONE, GROW_BY, || lower_node(plan, frame, cx))
}

fn lower_node(plan: LogicalPlan, frame: &mut Frame, cx: &PlanContext) -> Result<Lowered> {
    match plan {
        LogicalPlan::Values { columns, rows } => {
            let rows = rows
                .into_iter()
                .map(|row| resolve::resolve_all(row, &[], frame, cx))
                .collect::<Result<_>>()?;
            let types = columns.iter().map(|column| column.ty).collect();
            Ok(Lowered::unordered(PhysicalPlan::Values { rows, types }, columns))
        }
        LogicalPlan::Scan { table, at, columns, key, temporal } => {
            let scan = access::Scan { table, at, columns, key, temporal };
            access::lower_scan(&scan, Vec::new(), frame, cx)
        }
        LogicalPlan::FunctionScan { function, args, columns } => {
            let args = resolve::resolve_all(args, &[], frame, cx)?;
            let types = columns.iter().map(|column| column.ty).collect();
            let plan = PhysicalPlan::FunctionScan { function, args, types };
            Ok(Lowered::unordered(plan, columns))
        }
        LogicalPlan::Filter { input, predicate } => lower_filter(*input, predicate, frame, cx),
        LogicalPlan::Project { input, exprs } => lower_project(*input, exprs, frame, cx),
        LogicalPlan::Join { kind, left, right, on, lateral } => join::lower_join(
            join::Join { kind, left: *left, right: *right, on, lateral },
            frame,
            cx,
        ),
        LogicalPlan::Aggregate { input, groups, aggregates } => {
            aggregate::lower_aggregate(*input, groups, aggregates, frame, cx)
        }
        LogicalPlan::GroupingSets { input, groups, sets, aggregates, groupings } => {
            let groups = (groups, sets);
            aggregate::lower_grouping_sets(*input, groups, aggregates, groupings, frame, cx)
        }
        LogicalPlan::Window { input, partition, order, calls } => {
            window::lower_window(*input, partition, order, calls, frame, cx)
        }
        LogicalPlan::Recursive { table, all, seed, step, columns } => {
            let seed = Box::new(lower_in_order(*seed, frame, cx)?);
            let step = Box::new(lower_in_order(*step, frame, cx)?);
            let plan = PhysicalPlan::Recursive { table, all, seed, step };
            Ok(Lowered::unordered(plan, columns))
        }
        LogicalPlan::Change { change, columns } => {
            let types = columns.iter().map(|column| column.ty).collect();
            let change = Box::new(lower_statement(*change, cx)?);
            Ok(Lowered::unordered(PhysicalPlan::Change { change, types }, columns))
        }
        LogicalPlan::WorkingTable { table, columns } => {
            let types = columns.iter().map(|column| column.ty).collect();
            Ok(Lowered::unordered(PhysicalPlan::WorkingTable { table, types }, columns))
        }
        LogicalPlan::Sort { input, keys } => order::lower_sort(*input, keys, Vec::new(), frame, cx),
        LogicalPlan::Limit { input, count, offset } => {
            lower_limit(*input, count, offset, frame, cx)
        }
        LogicalPlan::Distinct { input, on } => {
            let input = lower(*input, frame, cx)?;
            let on = resolve::resolve_all(on.unwrap_or_default(), &input.columns, frame, cx)?;
            let plan = PhysicalPlan::Distinct { input: Box::new(input.plan), on };
            Ok(Lowered { plan, ..input })
        }
        LogicalPlan::SetOp { kind, all, left, right, columns } => {
            let left = lower_in_order(*left, frame, cx)?;
            let right = lower_in_order(*right, frame, cx)?;
            let (left, right) = (Box::new(left), Box::new(right));
            let plan = PhysicalPlan::SetOp { kind, all, left, right };
            Ok(Lowered::unordered(plan, columns))
        }
        LogicalPlan::With { ctes, body } => {
            let ctes = ctes
                .into_iter()
                .map(|(id, plan)| Ok((id, lower_in_order(plan, frame, cx)?)))
                .collect::<Result<_>>()?;
            let body = lower(*body, frame, cx)?;
            let plan = PhysicalPlan::With { ctes, body: Box::new(body.plan) };
            Ok(Lowered { plan, ..body })
        }
        LogicalPlan::CteScan { cte, columns } => {
            let types = columns.iter().map(|column| column.ty).collect();
            Ok(Lowered::unordered(PhysicalPlan::CteScan { cte, types }, columns))
        }
        LogicalPlan::Lock { input, clauses } => lower_lock(*input, clauses, frame, cx),
    }
}

/// A plan whose columns are taken by position: in the logical plan's order.
fn lower_in_order(plan: LogicalPlan, frame: &mut Frame, cx: &PlanContext) -> Result<PhysicalPlan> {
    let wanted = plan.columns();
    Ok(lower(plan, frame, cx)?.arranged(&wanted)?.plan)
}

/// A whole query: every column comes from inside.
fn lower_query(plan: LogicalPlan, cx: &PlanContext) -> Result<PhysicalPlan> {
    let mut frame = Frame::default();
    let plan = lower_in_order(plan, &mut frame, cx)?;
    frame.expect_empty()?;
    Ok(plan)
}

fn lower_filter(
    input: LogicalPlan,
    predicate: Expr,
    frame: &mut Frame,
    cx: &PlanContext,
) -> Result<Lowered> {
    let mut predicates = Vec::new();
    conjuncts(predicate, &mut predicates);
    if let LogicalPlan::Scan { table, at, columns, key, temporal } = input {
        let scan = access::Scan { table, at, columns, key, temporal };
        return access::lower_scan(&scan, predicates, frame, cx);
    }
    let input = lower(system::bounded(input, &predicates), frame, cx)?;
    filter(input, predicates, frame, cx)
}

fn filter(
    input: Lowered,
    predicates: Vec<Expr>,
    frame: &mut Frame,
    cx: &PlanContext,
) -> Result<Lowered> {
    let Some(predicate) = crate::expr::conjoin(predicates) else { return Ok(input) };
    let predicate = resolve::resolve(predicate, &input.columns, frame, cx)?;
    let plan = PhysicalPlan::Filter { input: Box::new(input.plan), predicate };
    Ok(Lowered { plan, ..input })
}

fn lower_project(
    input: LogicalPlan,
    exprs: Vec<(ColId, Expr)>,
    frame: &mut Frame,
    cx: &PlanContext,
) -> Result<Lowered> {
    let input = lower(input, frame, cx)?;
    let columns: Vec<OutputColumn> =
        exprs.iter().map(|(id, expr)| OutputColumn { id: *id, ty: expr.ty() }).collect();
    let order = order::through_projection(&input.order, &exprs);
    if is_identity(&exprs, &input.columns) {
        return Ok(Lowered { plan: input.plan, columns, order });
    }
    let exprs = exprs
        .into_iter()
        .map(|(_, expr)| resolve::resolve(expr, &input.columns, frame, cx))
        .collect::<Result<_>>()?;
    let plan = PhysicalPlan::Project { input: Box::new(input.plan), exprs };
    Ok(Lowered { plan, columns, order })
}

/// Whether a projection only passes its input on.
fn is_identity(exprs: &[(ColId, Expr)], input: &[OutputColumn]) -> bool {
    exprs.len() == input.len()
        && exprs
            .iter()
            .zip(input)
            .all(|((_, expr), column)| matches!(expr, Expr::Column { id, .. } if *id == column.id))
}

fn lower_limit(
    input: LogicalPlan,
    count: Option<Expr>,
    offset: Option<Expr>,
    frame: &mut Frame,
    cx: &PlanContext,
) -> Result<Lowered> {
    let count = count.map(|expr| resolve::resolve(expr, &[], frame, cx)).transpose()?;
    let offset = offset.map(|expr| resolve::resolve(expr, &[], frame, cx)).transpose()?;
    // Only so many rows of an order are needed; a projection above the sort does not change that.
    let top: Vec<Expr> = match &count {
        Some(count) => std::iter::once(count.clone()).chain(offset.clone()).collect(),
        None => Vec::new(),
    };
    let input = match input {
        LogicalPlan::Sort { input, keys } => order::lower_sort(*input, keys, top, frame, cx)?,
        LogicalPlan::Project { input, exprs } if matches!(*input, LogicalPlan::Sort { .. }) => {
            lower_sorted_projection(*input, exprs, top, frame, cx)?
        }
        other => lower(other, frame, cx)?,
    };
    let plan = PhysicalPlan::Limit { input: Box::new(input.plan), count, offset };
    Ok(Lowered { plan, ..input })
}

fn lower_sorted_projection(
    sort: LogicalPlan,
    exprs: Vec<(ColId, Expr)>,
    top: Vec<Expr>,
    frame: &mut Frame,
    cx: &PlanContext,
) -> Result<Lowered> {
    let LogicalPlan::Sort { input, keys } = sort else {
        return Err(SqlError::internal("a sort was expected"));
    };
    let sorted = order::lower_sort(*input, keys, top, frame, cx)?;
    let columns = exprs.iter().map(|(id, expr)| OutputColumn { id: *id, ty: expr.ty() }).collect();
    let order = order::through_projection(&sorted.order, &exprs);
    let exprs = exprs
        .into_iter()
        .map(|(_, expr)| resolve::resolve(expr, &sorted.columns, frame, cx))
        .collect::<Result<_>>()?;
    let plan = PhysicalPlan::Project { input: Box::new(sorted.plan), exprs };
    Ok(Lowered { plan, columns, order })
}

fn lower_lock(
    input: LogicalPlan,
    clauses: Vec<driftdb_query::LockClause>,
    frame: &mut Frame,
    cx: &PlanContext,
) -> Result<Lowered> {
    // A row that changed while it was waited for must still pass the predicates that its columns
    // decide; they stand on the scan or in filters above it.
    let scans = clauses.iter().map(|clause| locked_scan(&input, clause.key)).collect::<Vec<_>>();
    let input = lower(input, frame, cx)?;
    let position = |id: ColId| input.columns.iter().position(|column| column.id == id);
    let mut locks = Vec::new();
    for (clause, scan) in clauses.into_iter().zip(scans) {
        let Locked { columns: scanned, predicates, has_system_columns } = scan.unwrap_or_default();
        if has_system_columns {
            // A row that was waited for is read again: these would still be the old version's.
            return Err(SqlError::unsupported("FOR UPDATE with a table's system columns"));
        }
        let key = position(clause.key)
            .ok_or_else(|| SqlError::internal("the key of a locked row is not there"))?;
        let columns = scanned
            .iter()
            .filter_map(|column| Some((position(column.id)?, column.position)))
            .collect();
        let visible = |expr: &Expr| {
            let mut all = true;
            crate::expr::for_each_column(expr, &mut |id| all &= position(id).is_some());
            all
        };
        let recheck = crate::expr::conjoin(predicates.into_iter().filter(visible).collect())
            .map(|expr| resolve::resolve(expr, &input.columns, frame, cx))
            .transpose()?;
        locks.push(driftdb_query::PhysicalLock {
            table: clause.table,
            key,
            columns,
            strength: clause.strength,
            wait: clause.wait,
            skip_locked: clause.skip_locked,
            recheck,
        });
    }
    let plan = PhysicalPlan::Lock { input: Box::new(input.plan), clauses: locks };
    Ok(Lowered { plan, ..input })
}

/// What is locked.
#[derive(Default)]
struct Locked {
    columns: Vec<driftdb_query::ScanColumn>,
    predicates: Vec<Expr>,
    has_system_columns: bool,
}

/// The scan that yields `key`, with the predicates directly above it.
fn locked_scan(plan: &LogicalPlan, key: ColId) -> Option<Locked> {
    match plan {
        LogicalPlan::Scan { columns, key: Some(found), temporal, .. } if *found == key => {
            Some(Locked {
                columns: columns.clone(),
                predicates: Vec::new(),
                has_system_columns: !temporal.system.is_empty(),
            })
        }
        LogicalPlan::Filter { input, predicate } => {
            let mut locked = locked_scan(input, key)?;
            conjuncts(predicate.clone(), &mut locked.predicates);
            Some(locked)
        }
        other => {
            let mut found = None;
            other.for_each_input(&mut |input| {
                found = found.take().or_else(|| locked_scan(input, key));
            });
            if let LogicalPlan::Join { kind: JoinKind::Inner, on, .. } = other
                && let Some(locked) = &mut found
            {
                conjuncts(on.clone(), &mut locked.predicates);
            }
            found
        }
    }
}

/// Whether a join keeps the order of its left side.
fn keeps_left_order(kind: JoinKind) -> bool {
    matches!(kind, JoinKind::Inner | JoinKind::Left | JoinKind::Semi | JoinKind::Anti)
}

/// The storage key's column.
fn key_column(id: ColId) -> OutputColumn {
    OutputColumn { id, ty: DataType::Bytea }
}
