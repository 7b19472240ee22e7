//! Operators: each pulls batches from its inputs and gives batches.
//!
//! One file per operator. [`build`] makes the tree from a plan; a tree is owned, so that a portal can
//! hold it between calls, and reaches the transaction through the [`Run`] of each call.

pub(crate) mod access;
pub(crate) mod aggregate;
pub(crate) mod apply;
pub(crate) mod bounds;
pub(crate) mod change;
pub(crate) mod changes;
pub(crate) mod cte;
pub(crate) mod diff_scan;
mod digests;
pub(crate) mod distinct;
pub(crate) mod filter;
pub(crate) mod function_scan;
pub(crate) mod group_table;
pub(crate) mod grouping_sets;
pub(crate) mod hash_join;
pub(crate) mod join;
pub(crate) mod limit;
pub(crate) mod lock;
pub(crate) mod loop_join;
pub(crate) mod meter;
pub(crate) mod outer;
pub(crate) mod project;
pub(crate) mod recursive;
pub(crate) mod routine_scan;
pub(crate) mod set_op;
pub(crate) mod sort;
pub(crate) mod system_columns;
pub(crate) mod system_scan;
pub(crate) mod values;
pub(crate) mod versions;
pub(crate) mod window;

use std::sync::Arc;

use driftdb_query::{PhysicalPlan, Result, SetFunction};

use crate::batch::Batch;
use crate::context::{Run, on_deep_stack};
use meter::{Meter, Metered};

/// A source of batches.
pub(crate) trait Operator: Send {
    /// The next rows; `None` at the end. Batches may be empty before it.
    fn next(&mut self, run: &mut Run<'_, '_>) -> Result<Option<Batch>>;

    /// Starts over, perhaps with other values handed down. What does not depend on them may be kept.
    fn rebind(&mut self, run: &mut Run<'_, '_>);
}

/// Any operator.
pub(crate) type BoxOperator = Box<dyn Operator>;

/// The next batch of an input.
pub(crate) fn pull(operator: &mut BoxOperator, run: &mut Run<'_, '_>) -> Result<Option<Batch>> {
    run.nested(|run| operator.next(run))
}

/// Starts an input over.
pub(crate) fn rebind(operator: &mut BoxOperator, run: &mut Run<'_, '_>) {
    run.nested(|run| operator.rebind(run));
}

/// The operators of a plan.
pub(crate) fn build(plan: &PhysicalPlan) -> BoxOperator {
    Builder { meter: None }.build(plan)
}

/// The operators of a plan, with counters in the order in which EXPLAIN visits the nodes.
pub(crate) fn build_metered(plan: &PhysicalPlan) -> (BoxOperator, Vec<Meter>) {
    let mut builder = Builder { meter: Some(Vec::new()) };
    let operator = builder.build(plan);
    (operator, builder.meter.unwrap_or_default())
}

struct Builder {
    meter: Option<Vec<Meter>>,
}

impl Builder {
    fn build(&mut self, plan: &PhysicalPlan) -> BoxOperator {
        let Some(meters) = &mut self.meter else { return on_deep_stack(|| self.node(plan)) };
        let meter = Meter::default();
        meters.push(meter.clone());
        let inner = on_deep_stack(|| self.node(plan));
        Box::new(Metered::new(inner, meter))
    }

    fn node(&mut self, plan: &PhysicalPlan) -> BoxOperator {
        match plan {
            PhysicalPlan::Values { rows, types } => {
                Box::new(values::Values::new(rows.clone(), types.clone()))
            }
            PhysicalPlan::Access(access) if versions::is_over_versions(access) => {
                // The node's own meter: the last one, as it has no inputs.
                let meter = self.meter.as_ref().and_then(|meters| meters.last()).cloned();
                Box::new(versions::Versions::new(access.clone(), meter))
            }
            PhysicalPlan::Access(access) => Box::new(access::Access::new(access.clone())),
            PhysicalPlan::FunctionScan { function, args, types } => {
                let (args, types) = (args.clone(), types.clone());
                match function {
                    SetFunction::GenerateSeries { .. }
                    | SetFunction::Unnest
                    | SetFunction::UnnestRows
                    | SetFunction::Subscripts
                    | SetFunction::Zip { .. } => {
                        Box::new(function_scan::FunctionScan::new(function, args, types))
                    }
                    SetFunction::Routine { call, ordinality } => {
                        let call = Arc::clone(call);
                        Box::new(routine_scan::RoutineScan::new(call, *ordinality, args, types))
                    }
                    SetFunction::TableDiff { before, after } => {
                        Box::new(diff_scan::DiffScan::new(before.clone(), after.clone(), types))
                    }
                    SetFunction::Changes(scan) => {
                        Box::new(changes::Changes::new(scan.clone(), types))
                    }
                    SetFunction::Digest | SetFunction::VerifyDigest => {
                        Box::new(digests::Digests::new(function, args, types))
                    }
                    SetFunction::System { relation, at } => {
                        Box::new(system_scan::SystemScan::new(relation, *at, args, types))
                    }
                }
            }
            PhysicalPlan::Filter { input, predicate } => {
                Box::new(filter::Filter::new(self.build(input), predicate.clone()))
            }
            PhysicalPlan::Project { input, exprs } => {
                Box::new(project::Project::new(self.build(input), exprs.clone()))
            }
            PhysicalPlan::Limit { input, count, offset } => {
                Box::new(limit::Limit::new(self.build(input), count.clone(), offset.clone()))
            }
            PhysicalPlan::Distinct { input, on } => {
                let types = input.types();
                Box::new(distinct::Distinct::new(self.build(input), on.clone(), types))
            }
            PhysicalPlan::Sort { input, keys, top } => {
                let types = input.types();
                Box::new(sort::Sort::new(self.build(input), keys.clone(), top.clone(), types))
            }
            PhysicalPlan::Aggregate { input, groups, aggregates } => {
                let (groups, calls) = (groups.clone(), aggregates.clone());
                Box::new(aggregate::Aggregate::new(self.build(input), groups, calls))
            }
            PhysicalPlan::SetOp { kind, all, left, right } => {
                let types = plan.types();
                let right_depends = outer::depends_on_frame(right);
                let (left, right) = (self.build(left), self.build(right));
                Box::new(set_op::SetOp::new(*kind, *all, left, right, types, right_depends))
            }
            PhysicalPlan::With { ctes, body } => {
                let is_change = |plan: &PhysicalPlan| matches!(plan, PhysicalPlan::Change { .. });
                let changes = ctes.iter().filter(|(_, plan)| is_change(plan)).map(|(id, _)| *id);
                let changes = changes.collect();
                let ctes = ctes.iter().map(|(id, plan)| (*id, self.build(plan))).collect();
                Box::new(cte::With::new(ctes, changes, self.build(body)))
            }
            PhysicalPlan::CteScan { cte, .. } => Box::new(cte::CteScan::new(*cte)),
            PhysicalPlan::Lock { input, clauses } => {
                let types = input.types();
                Box::new(lock::Lock::new(self.build(input), clauses.clone(), types))
            }
            PhysicalPlan::HashJoin { .. }
            | PhysicalPlan::NestedLoopJoin { .. }
            | PhysicalPlan::Apply { .. } => self.join(plan),
            PhysicalPlan::GroupingSets { .. }
            | PhysicalPlan::Window { .. }
            | PhysicalPlan::Recursive { .. }
            | PhysicalPlan::Change { .. }
            | PhysicalPlan::WorkingTable { .. } => self.rarer(plan),
        }
    }

    /// What most statements have none of.
    fn rarer(&mut self, plan: &PhysicalPlan) -> BoxOperator {
        match plan {
            PhysicalPlan::GroupingSets { input, groups, sets, aggregates, groupings } => {
                Box::new(grouping_sets::GroupingSets::new(
                    self.build(input),
                    groups.clone(),
                    sets.clone(),
                    aggregates.clone(),
                    groupings.clone(),
                ))
            }
            PhysicalPlan::Window { input, partition, order, calls } => {
                let (types, partition) = (input.types(), partition.clone());
                let (order, calls) = (order.clone(), calls.clone());
                Box::new(window::Window::new(self.build(input), partition, order, calls, types))
            }
            PhysicalPlan::Recursive { table, all, seed, step } => {
                let types = plan.types();
                let (seed, step) = (self.build(seed), self.build(step));
                Box::new(recursive::Recursive::new(*table, *all, seed, step, types))
            }
            PhysicalPlan::Change { change, .. } => {
                Box::new(change::Change::new((**change).clone()))
            }
            PhysicalPlan::WorkingTable { table, .. } => {
                Box::new(recursive::WorkingTable::new(*table))
            }
            _ => unreachable!("the caller chose the nodes"),
        }
    }

    fn join(&mut self, plan: &PhysicalPlan) -> BoxOperator {
        match plan {
            PhysicalPlan::HashJoin { kind, left, right, left_keys, right_keys, residual } => {
                let emit = join::Emit::new(*kind, residual.clone(), left.types(), right.types());
                let depends = outer::depends_on_frame(right)
                    || right_keys.iter().any(outer::expr_depends_on_frame);
                let (left, right) = (self.build(left), self.build(right));
                let keys = (left_keys.clone(), right_keys.clone());
                Box::new(hash_join::HashJoin::new(left, right, keys, emit, depends))
            }
            PhysicalPlan::NestedLoopJoin { kind, left, right, on } => {
                let emit = join::Emit::new(*kind, on.clone(), left.types(), right.types());
                let depends = outer::depends_on_frame(right);
                let (left, right) = (self.build(left), self.build(right));
                Box::new(loop_join::LoopJoin::new(left, right, emit, depends))
            }
            PhysicalPlan::Apply { kind, left, right, outer, on } => {
                let emit = join::Emit::new(*kind, on.clone(), left.types(), right.types());
                let (left, right) = (self.build(left), self.build(right));
                Box::new(apply::Apply::new(left, right, outer.clone(), emit))
            }
            _ => unreachable!("the caller chose the joins"),
        }
    }
}
