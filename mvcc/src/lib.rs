//! Transactions over any engine: timestamps, write sets, savepoints, retention, concurrency controls.
//!
//! [`MvccStore`] joins an engine, the one log and a [`driftdb_concurrency::ConcurrencyControl`] into
//! the object-safe [`driftdb_concurrency::Store`]. A transaction reads the engine at a timestamp and
//! keeps its writes to itself; a commit goes through one pipeline (`commit.rs`): validate, fix the
//! timestamp, log, apply, wait until the log has it, publish.
//!
//! Invariants
//! * Order of visibility = order of timestamps = order in the log.
//! * `visible` never passes what the log has durably; readers read at or below it, so a commit that
//!   was applied but is not yet durable is seen by nobody.
//! * The engine is never asked to remember less than the oldest registered reader needs.
//! * A record reaches the log only if the engine will accept its batch, so replay cannot fail on it.
//!
//! Latch order: `erasing.pending` → `maintaining` → `counters` → `pipeline` → a control's own latches → `readers`.
//!
//! Sources: [Berenson95], [Adya99] for the levels, [Kulkarni14] for the clock, research/storage.md
//! 1.3 and 1.5.

mod backup;
mod ballast;
mod branch;
mod clock;
mod commit;
pub mod control;
mod convert;
mod counters;
mod erase;
mod followers;
mod hashes;
mod lock_table;
mod maintenance;
mod merge;
mod options;
mod pending;
mod provenance;
mod readers;
mod record;
mod recovery;
mod retention;
mod salvage;
mod sequence;
mod session_locks;
mod spill;
mod store;
mod system;
mod transaction;
mod verify;
mod view;
mod write_set;

pub use branch::{BRANCHES, Branch, BranchError, BranchStore, Branches, NewBranch};
pub use control::{LockingControl, OccControl, SsiControl, SsnControl};
pub use convert::{ConvertProgress, convert};
pub use hashes::HASHES;
pub use options::StoreOptions;
pub use record::{CommitRecord, RecordKind};
pub use salvage::{SalvageReport, Salvaged, salvage};
pub use store::MvccStore;
pub use system::{COMMITS, COUNTERS};
