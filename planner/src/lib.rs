//! Bound statement to physical plan.
//!
//! A planner is a list of rules over the logical algebra (each keeps the meaning) and a lowering that
//! chooses access paths and join methods. [`HeuristicPlanner`] needs no statistics: it is fast,
//! predictable, and the oracle against which costlier planners are compared.
//!
//! ```text
//! Statement → simplify → postpone what is volatile → unnest subqueries → push predicates down → order joins → prune columns → lower
//! ```

mod expr;
mod heuristic;
mod lower;
mod rule;
mod walk;

pub use heuristic::HeuristicPlanner;
