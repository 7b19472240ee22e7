//! Runs physical statements: operators over vectors of columns, and a direct path for points.
//!
//! ```text
//! start(statement, cx) -> Execution;  Execution::next(cx) -> batches;  Execution::tag()
//! Direct::prepare(statement), Direct::run(cx)   a row by its key, without operators
//! CopyIn, CopyOut                     rows to and from COPY's bytes
//! ```
//!
//! A statement runs on one [`driftdb_concurrency::Transaction`], lent anew for each call in an
//! [`ExecContext`]; between calls an [`Execution`] owns everything else, so that a portal can hold it.
//!
//! Invariants
//! * An expression means what `driftdb_query::eval::eval` says; `evaluate` is faster and agrees
//!   (tests/executor/expressions.rs).
//! * Memory that grows with the data (hash tables, sorts, kept rows) is accounted for; beyond
//!   [`ExecContext::memory_limit_bytes`] a statement fails with 53200.
//! * Every loop over batches looks for a request to cancel.

mod batch;
mod context;
mod copy;
mod direct;
mod evaluate;
mod integrity;
mod operator;
mod record_text;
mod routine;
mod statement;
mod subplan;
mod vector;

pub use batch::{BATCH_ROWS, Batch};
pub use context::on_deep_stack;
pub use context::{DEFAULT_MEMORY_LIMIT_BYTES, ExecContext};
pub use copy::{CopyIn, CopyOut};
pub use direct::Direct;
pub use integrity::{PendingChecks, PendingMark, check_pending};
pub use routine::{
    Fired, Firing, NoRoutines, RoutineOutput, Routines, TriggerEvent, evaluate_alone, holds_over,
    run_nested,
};
pub use statement::lock::lock_read_tables;
pub use statement::{CommandTag, Execution, is_stale, start};
pub use vector::{Bitmap, Vector, VectorBuilder};
