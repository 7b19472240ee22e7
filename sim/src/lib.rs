//! The deterministic simulator: kernel, faults, workloads, oracles.

mod bugs;
pub mod cli;
mod cut;
mod fault;
pub mod kernel;
mod node;
mod operations;
mod oracle;
mod plan;
mod report;
mod scenario;
mod script;
mod shrink;
pub mod spec;
mod sql;
mod workload;

pub use bugs::{BUGS, ISOLATION_BUGS};
pub use fault::{FAULTS, FaultCounts, RESULTS};
pub use report::seed_report;
pub use scenario::{
    IsolationHistory, Scenario, SeedOptions, SeedReport, isolation_history, plan_text, run_seed,
};
pub use script::{Script, write_script};
pub use shrink::{Shrunk, shrink};
