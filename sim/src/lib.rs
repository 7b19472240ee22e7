//! The deterministic simulator: kernel, faults, workloads, oracles.

mod bugs;
pub mod cli;
mod fault;
pub mod kernel;
mod memory;
mod node;
mod oracle;
mod plan;
mod scenario;
pub mod spec;
mod sql;
mod workload;

pub use bugs::BUGS;
pub use fault::FaultCounts;
pub use scenario::{Scenario, SeedOptions, SeedReport, run_seed};
