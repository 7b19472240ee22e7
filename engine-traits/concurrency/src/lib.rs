//! The concurrency contract: transactions over an engine.
//!
//! Two seams meet here. Below, generic and static: a [`ConcurrencyControl`] decides who may read and
//! write what and when (`ssi`, `locking`, …); it sees keys and ranges, never SQL, and keeps its own
//! state beside the engine's records, so that any protocol runs on any engine. Above, object-safe:
//! [`Store`] and [`Transaction`] are what the executor calls, once per point or per batch of rows.
//! `mvcc` joins the two: timestamps, private write sets, savepoints, the commit pipeline.
//!
//! Invariants
//! * Uncommitted writes live in the transaction; the engine sees committed versions only.
//! * Order of visibility = order of timestamps = order in the log.
//! * A commit is visible to others, and acknowledged, only once the log has it durably.
//! * A read-only or historical transaction never waits and never makes others wait.
//!
//! Sources: [Berenson95] and [Adya99] for the levels, [Cahill08] for `ssi`, research/storage.md 1.3.

mod cancel;
mod control;
mod delegate;
mod error;
mod hashes;
mod isolation;
mod object_lock;
mod provenance;
mod rows;
mod rules;
mod store;
mod visible;

pub use cancel::CancelToken;
pub use control::{Begin, ConcurrencyControl, LockStrength, WaitPolicy, Writes};
pub use error::{Result, TxnError};
pub use hashes::CommitHashes;
pub use isolation::IsolationLevel;
pub use object_lock::{
    LockEntry, LockMode, LockObject, LockedThing, ObjectLocked, ObjectLocks, SessionLocks,
    WaitEntry,
};
pub use provenance::{CommitNote, Provenance, StatementKinds};
pub use rows::{RowBatch, RowRef};
pub use rules::{HistoryRules, Keep};
pub use store::{
    BeginOptions, Committed, Counter, LockIntent, Locked, ReadAt, SavepointId, ScanRequest,
    ScanState, Store, Transaction, TxnId, VersionScan,
};
pub use visible::VisibleClock;

/// What [`delegate_transaction!`] names.
#[doc(hidden)]
pub mod delegated {
    pub use driftdb_storage::{Erasure, KeyRange, KeyspaceId, Timestamp};
}
