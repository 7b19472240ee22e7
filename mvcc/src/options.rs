//! Settings of a store.

use std::time::Duration;

use driftdb_storage::EngineOptions;
use driftdb_wal::WalOptions;

/// Plain values; the defaults suit a server.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Settings of the engine.
    pub engine: EngineOptions,
    /// Settings of the log.
    pub wal: WalOptions,
    /// How far back every time stays readable; `None`: for ever.
    pub retention: Option<Duration>,
    /// Whether exceptions from the period will be told ([`driftdb_concurrency::Store::set_history_rules`]).
    /// Until they are, nothing is forgotten: the period alone may be too short.
    pub awaits_history_rules: bool,
    /// How much log the engine may leave to replay before a checkpoint is made, in bytes.
    pub checkpoint_log_bytes: u64,
    /// How much log is written between two looks of the background task, in bytes.
    pub maintain_log_bytes: u64,
    /// How far the engine may fall behind the log before commits wait for it, in bytes.
    pub stall_log_bytes: u64,
    /// How much memory the writes of one transaction may take before they go to disk, in bytes.
    pub transaction_memory_bytes: usize,
    /// Space kept aside for a full disk, in bytes; 0: none.
    pub ballast_bytes: u64,
    /// Whether to start the background task. Without it nothing is flushed or dropped but by
    /// [`driftdb_concurrency::Store::checkpoint`].
    pub background: bool,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            engine: EngineOptions::default(),
            wal: WalOptions::default(),
            retention: None,
            awaits_history_rules: false,
            checkpoint_log_bytes: 256 << 20,
            maintain_log_bytes: 1 << 20,
            stall_log_bytes: 512 << 20,
            transaction_memory_bytes: 64 << 20,
            ballast_bytes: 64 << 20,
            background: true,
        }
    }
}

impl StoreOptions {
    /// Values so small that a few hundred writes reach every part; for tests and the simulator.
    pub fn tiny() -> Self {
        Self {
            engine: EngineOptions::tiny(),
            wal: WalOptions::tiny(),
            retention: None,
            awaits_history_rules: false,
            checkpoint_log_bytes: 16 << 10,
            maintain_log_bytes: 1 << 10,
            stall_log_bytes: 64 << 10,
            transaction_memory_bytes: 16 << 10,
            ballast_bytes: 0,
            background: true,
        }
    }
}
