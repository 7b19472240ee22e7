//! The planner without statistics.

use driftdb_query::{
    ColId, LogicalPlan, PhysicalStatement, PlanContext, Planner, Result, Statement,
};

use crate::expr::has_subquery;
use crate::lower::lower_statement;
use crate::rule::join_order::order_joins;
use crate::rule::postpone::postpone;
use crate::rule::prune::prune;
use crate::rule::pushdown::push_down;
use crate::rule::simplify::simplify;
use crate::rule::unnest::unnest;

/// Rules in a fixed order, then the best key for each table and the cheapest-looking join method.
#[derive(Debug, Clone, Copy, Default)]
pub struct HeuristicPlanner;

impl Planner for HeuristicPlanner {
    fn name(&self) -> &'static str {
        "heuristic"
    }

    fn plan(&self, statement: Statement, context: &PlanContext) -> Result<PhysicalStatement> {
        lower_statement(statement, context)
    }
}

/// Applies all rules to a plan of which `outputs` are wanted.
pub(crate) fn optimize(plan: LogicalPlan, outputs: impl IntoIterator<Item = ColId>) -> LogicalPlan {
    let mut plan = push_down(unnest(postpone(simplify(plan))));
    // A subquery in a join's ON is a filter only now.
    if asks_subquery(&plan) {
        plan = push_down(unnest(plan));
    }
    let mut plan = order_joins(plan);
    prune(&mut plan, outputs);
    plan
}

/// Whether a filter of the plan asks a subquery.
fn asks_subquery(plan: &LogicalPlan) -> bool {
    let mut found =
        matches!(plan, LogicalPlan::Filter { predicate, .. } if has_subquery(predicate));
    plan.for_each_input(&mut |input| found = found || asks_subquery(input));
    found
}
