//! The executor over a real transactional store: plans written by hand, answers compared with naive
//! computations.
#![expect(clippy::unwrap_used, reason = "clippy exempts only functions that are marked as tests")]

#[path = "executor/support.rs"]
mod support;

#[path = "executor/copy.rs"]
mod copy;
#[path = "executor/direct.rs"]
mod direct;
#[path = "executor/explain.rs"]
mod explain;
#[path = "executor/expressions.rs"]
mod expressions;
#[path = "executor/operators.rs"]
mod operators;
#[path = "executor/relational.rs"]
mod relational;
#[path = "executor/statements.rs"]
mod statements;
#[path = "executor/subqueries.rs"]
mod subqueries;
