//! The driftdb binary: one command line over server, sim and bench.

fn main() {}
