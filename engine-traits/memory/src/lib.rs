//! The in-memory engine: the model that specifies the others.
//!
//! One `BTreeMap` per keyspace, from key to versions, behind one latch; nothing is ever on disk, so
//! [`Engine::durable`] stays [`Commit::default`] and replay rebuilds everything. It exists to be
//! plainly right: the conformance suite and the simulator compare the other engines with it.
//!
//! Snapshots share the contents and hide later commits by their timestamps. A fold never changes
//! contents that a snapshot may hold: it builds the next *generation* and leaves the old one to its
//! snapshots.
//!
//! Invariants
//! * Versions of a key ascend in time and a key has at least one.
//! * Commits go into the newest generation only; snapshots of older ones need none of them.
//!
//! Cost: a fold copies the maps, not the bytes; it runs at a checkpoint, or after
//! [`EngineOptions::write_buffer_bytes`] were written.

mod contents;
mod snapshot;

use std::path::Path;
use std::sync::Arc;

use driftdb_env::Env;
use driftdb_env::sync::{Mutex, RwLock};
use driftdb_storage::{
    BackupReport, Commit, Damage, Engine, EngineOptions, Erasure, LogBarrier, Maintained, Result,
    RetentionPolicy, VerifyDepth, VerifyReport, WriteBatch,
};

use contents::Contents;
pub use snapshot::{MemoryCursor, MemorySnapshot};

/// The model engine.
#[derive(Debug)]
pub struct MemoryEngine {
    state: RwLock<State>,
    fold_after_bytes: usize,
    // Folds come from `maintain` and from `checkpoint`: one at a time.
    folding: Mutex<()>,
}

#[derive(Debug)]
struct State {
    contents: Arc<RwLock<Contents>>,
    applied: Commit,
    policy: Arc<RetentionPolicy>,
    bytes_since_fold: usize,
    bytes_applied: u64,
    fold_count: u64,
}

impl MemoryEngine {
    /// Replaces the contents by a copy that keeps only what is promised.
    fn fold(&self) {
        let _one_at_a_time = self.folding.lock();
        let mut state = self.state.write();
        let folded = state.contents.read().fold(&state.policy);
        state.contents = Arc::new(RwLock::new(folded));
        state.bytes_since_fold = 0;
        state.fold_count += 1;
    }
}

impl Engine for MemoryEngine {
    const NAME: &'static str = "memory";

    const HAS_FILES: bool = false;

    type Snapshot = MemorySnapshot;

    fn open(_env: &Env, _dir: &Path, options: &EngineOptions) -> Result<Self> {
        let state = State {
            contents: Arc::default(),
            applied: Commit::default(),
            policy: Arc::default(),
            bytes_since_fold: 0,
            bytes_applied: 0,
            fold_count: 0,
        };
        Ok(Self {
            state: RwLock::new(state),
            fold_after_bytes: options.write_buffer_bytes,
            folding: Mutex::new(()),
        })
    }

    fn durable(&self) -> Commit {
        Commit::default()
    }

    fn applied(&self) -> Commit {
        self.state.read().applied
    }

    fn apply(&self, batch: &WriteBatch, at: Commit) -> Result<()> {
        let mut state = self.state.write();
        if at <= state.applied {
            // A replay of what is already here.
            return Ok(());
        }
        let mut contents = state.contents.write();
        contents.check(batch, at.ts)?;
        contents.apply(batch, at.ts);
        drop(contents);
        state.applied = at;
        state.bytes_since_fold += batch.as_bytes().len();
        state.bytes_applied += batch.as_bytes().len() as u64;
        Ok(())
    }

    fn snapshot(&self) -> MemorySnapshot {
        let state = self.state.read();
        MemorySnapshot {
            contents: Arc::clone(&state.contents),
            at: state.applied,
            policy: Arc::clone(&state.policy),
        }
    }

    fn set_retention(&self, policy: Arc<RetentionPolicy>) {
        self.state.write().policy = policy;
    }

    fn maintain(&self, _log: &dyn LogBarrier) -> Result<Maintained> {
        if self.state.read().bytes_since_fold < self.fold_after_bytes {
            return Ok(Maintained::Idle);
        }
        self.fold();
        Ok(Maintained::Worked)
    }

    fn write_pressure(&self) -> u32 {
        // Nothing is ever due: what is applied is where it stays.
        0
    }

    fn checkpoint(&self, _log: &dyn LogBarrier) -> Result<Commit> {
        self.fold();
        Ok(self.durable())
    }

    fn erase(&self, erasure: &Erasure, _log: &dyn LogBarrier) -> Result<()> {
        let _one_at_a_time = self.folding.lock();
        let mut state = self.state.write();
        let left = state.contents.read().without(erasure);
        state.contents = Arc::new(RwLock::new(left));
        Ok(())
    }

    fn verify(&self, _depth: VerifyDepth, report: &mut dyn VerifyReport) -> Result<()> {
        let contents = Arc::clone(&self.state.read().contents);
        if let Some(what) = contents.read().check_order() {
            report.damage(Damage::new("memory", 0, what));
        }
        Ok(())
    }

    fn backup(&self, _dir: &Path, _base: Option<&Path>) -> Result<BackupReport> {
        // Nothing of it is ever on disk: the log alone is complete.
        Ok(BackupReport { at: self.durable(), ..BackupReport::default() })
    }

    fn stats(&self, out: &mut dyn FnMut(&'static str, u64)) {
        let (contents, bytes_applied, folds) = {
            let state = self.state.read();
            (Arc::clone(&state.contents), state.bytes_applied, state.fold_count)
        };
        let contents = contents.read();
        let keys = contents.spaces.values().map(|space| space.keys.len() as u64).sum();
        let versions = contents.spaces.values().flat_map(|space| space.keys.values());
        out("bytes_applied", bytes_applied);
        out("folds", folds);
        out("keyspace_count", contents.spaces.len() as u64);
        out("key_count", keys);
        out("version_count", versions.map(|versions| versions.len() as u64).sum());
    }
}
