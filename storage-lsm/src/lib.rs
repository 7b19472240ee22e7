//! The log-structured merge-tree engine.
//!
//! A batch is inserted into the *memtable*, an ordered map in memory. A memtable that has grown
//! past its budget is *frozen* and later *flushed* to an immutable *table* file; the *manifest*
//! names the tables that count. Merging adjacent tables keeps their number small and drops the
//! history that retention no longer covers.
//!
//! ```text
//!   apply ──► active memtable ──freeze──► frozen memtables ──flush──► tables ──merge──► fewer tables
//!                        newest commits ◄──────────────────────────────────────► oldest commits
//! ```
//!
//! Invariants
//! * Memtables and tables are *runs* in order of age: every version in a newer run has a larger
//!   timestamp than every version in an older one. The first run that holds a version at or below
//!   the asked time therefore has the answer.
//! * Nothing is on disk that the log does not hold durably (a flush waits for the log first), and
//!   the manifest names no table that is not durable (a table is synced before it is named).
//! * The manifest is replaced whole, by one rename. So it is never torn, and every failed checksum
//!   in it is damage.
//! * A table file is removed only when no snapshot refers to it any more.
//!
//! Files and bytes: `docs/formats/lsm.md`. Sources: \[ONeil96\] for the tree, \[Luo20\] for merges
//! of adjacent runs (tiering), research/storage.md 1.4 and 3 for versions and faults.

mod backup;
mod cache;
mod compaction;
mod cursor;
mod engine;
mod erase;
mod flush;
mod format;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod health;
mod history;
mod keyspaces;
mod loader;
mod maintenance;
mod manifest;
mod memtable;
mod pressure;
mod run;
mod salvage;
mod snapshot;
mod span;
mod stats;
mod table;
mod verify;
mod version;

pub use cursor::LsmCursor;
pub use engine::LsmEngine;
pub use loader::LsmLoader;
pub use snapshot::LsmSnapshot;
