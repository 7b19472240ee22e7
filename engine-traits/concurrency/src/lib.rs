//! The concurrency contract: transactions over an engine.
