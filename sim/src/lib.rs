//! The deterministic simulator: kernel, faults, workloads, oracles.

pub mod ablation;
mod bugs;
pub mod cli;
mod cut;
mod fault;
pub mod kernel;
mod leaks;
pub mod network;
mod node;
mod operations;
mod oracle;
mod pipe;
mod plan;
mod report;
mod scenario;
mod script;
mod shipping;
mod shrink;
mod sites;
pub mod spec;
mod sql;
mod wire;
mod without;
mod workload;

pub use bugs::{BUGS, CLIENT_BUGS, ISOLATION_BUGS, LEAK_BUGS, NETWORK_BUGS, QUERY_BUGS, place};
pub use fault::{FAULTS, FaultCounts, RESULTS};
pub use report::seed_report;
pub use scenario::{
    IsolationHistory, Scenario, SeedOptions, SeedReport, isolation_history, plan_text, run_seed,
};
pub use script::{Script, write_script};
pub use shrink::{Shrunk, shrink};
pub use sites::{RARE, SITES, SiteCounts};
