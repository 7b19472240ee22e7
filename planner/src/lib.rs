//! Bound statement to physical plan.
