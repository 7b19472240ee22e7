//! The deterministic simulator: kernel, faults, workloads, oracles.

mod bugs;
pub mod cli;
mod fault;
pub mod kernel;
mod node;
mod oracle;
mod pipe;
mod plan;
mod scenario;
mod shrink;
mod sites;
pub mod spec;
mod sql;
mod wire;
mod workload;

pub use bugs::{BUGS, CLIENT_BUGS, ISOLATION_BUGS};
pub use fault::{FAULTS, FaultCounts, RESULTS};
pub use scenario::{
    IsolationHistory, Scenario, SeedOptions, SeedReport, isolation_history, plan_text, run_seed,
};
pub use shrink::{Shrunk, shrink};
pub use sites::{RARE, SITES, SiteCounts};
