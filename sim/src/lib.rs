//! The deterministic simulator: kernel, faults, workloads, oracles.
