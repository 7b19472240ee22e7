//! The storage contract: versions of keys in keyspaces.
//!
//! An engine stores the pair (key bytes, commit timestamp) → value or tombstone, in bytewise key
//! order, newest version first, inside a *keyspace* (one per table and index). It knows versions,
//! not transactions: uncommitted writes never reach it. It owns no log: [`Engine::apply`] keeps a
//! batch in memory, [`Engine::maintain`] makes it durable in the engine's own time, and
//! [`Engine::durable`] says from where recovery must replay the one log (`wal/`).
//!
//! How a batch lives: the transaction builds a [`WriteBatch`]; `mvcc` fixes its [`Commit`], appends
//! its bytes to the log as they are, and applies it; readers see it through [`Snapshot`]s at its
//! timestamp; when the promise of [`Retention`] has passed, the shared [`Fold`] lets it go.
//!
//! Invariants
//! * Order of `apply` = order of timestamps = order of log positions.
//! * A read at *t* answers the same whenever asked, until *t* is past retention; then it is
//!   [`StorageError::SnapshotTooOld`], never another answer.
//! * Replay is idempotent: applying a batch a second time at the same [`Commit`] changes nothing.
//!
//! Sources: research/storage.md 1.5 (the cuts, and what they cost others), [TiKV21], [FDB21].

mod batch;
mod damage;
mod engine;
mod erasure;
mod error;
mod files;
mod ids;
mod load_order;
mod options;
mod range_delete;
mod retention;

pub use batch::{BatchError, Operation, Operations, WriteBatch, read_varint, write_varint};
pub use damage::{Damage, DamagedKeys, VerifyDepth, VerifyReport};
pub use engine::{
    BackupReport, Cursor, Engine, Entry, KeyRange, Keyspace, LogBarrier, Maintained, ScanSpec,
    Snapshot, Visible,
};
pub use erasure::Erasure;
pub use error::{ErrorKind, Result, StorageError};
pub use files::{FileEngine, Loader, SalvageSink};
pub use ids::{Commit, KeyspaceId, Lsn, Timestamp};
pub use load_order::LoadOrder;
pub use options::{Compaction, Compression, EngineOptions, FilterKind};
pub use range_delete::expand_range_deletes;
pub use retention::{Fold, Retention, RetentionPolicy, Verdict};
