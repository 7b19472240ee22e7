//! What a planner implements.

use crate::{PhysicalStatement, Result, Statement};

/// What a planner may ask while it plans.
#[derive(Debug, Clone, Copy, Default)]
pub struct PlanContext {
    /// `enable_hashjoin`: off makes every join a loop (for tests that compare plans).
    pub disable_hash_join: bool,
    /// `enable_indexscan`: off makes every access a full scan (for tests that compare plans).
    pub disable_index_scan: bool,
}

/// Turns a bound statement into one that can run. Pure: the same statement gives the same plan.
/// Every planner must give plans with the same rows (the same order where one is asked for).
pub trait Planner: Send + Sync {
    /// The name in the configuration.
    fn name(&self) -> &'static str;

    /// Plans a statement.
    ///
    /// # Errors
    /// A session statement (which has no plan), or something this planner cannot run.
    fn plan(&self, statement: Statement, context: &PlanContext) -> Result<PhysicalStatement>;
}
