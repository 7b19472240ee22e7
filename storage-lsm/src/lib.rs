//! The log-structured merge-tree engine.
