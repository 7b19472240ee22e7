//! The engine as the contract has it: a page file, in whose place an erasure puts another.
//!
//! Freed pages keep their bytes, and a page of history holds copies of versions that live on elsewhere.
//! So what is erased is not looked for: everything else is loaded into a new file, in the order of keys,
//! which then takes the old one's name. A crash leaves the one or the other. Snapshots made before go on
//! with the old file, which has no name any more. History begins anew in the leaves, as after a load
//! ([`crate::loader`]).
//!
//! Batches wait meanwhile: they would have to be in both files.
//!
//! Latches: `applying` before `current` before those of the file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use driftdb_env::kernel::preemption_point;
use driftdb_env::sync::{Mutex, RwLock};
use driftdb_env::{DiskLock, Env, planted};
use driftdb_storage::{
    BackupReport, Commit, Cursor, Engine, EngineOptions, Entry, Erasure, KeyRange, Keyspace,
    LogBarrier, Maintained, Result, RetentionPolicy, ScanSpec, Snapshot, Timestamp, VerifyDepth,
    VerifyReport, Visible, WriteBatch,
};

use crate::engine::PageFile;
use crate::open;
use crate::snapshot::BtreeSnapshot;

/// The copy-on-write B+tree engine.
///
/// Of [`EngineOptions`] it reads `write_buffer_bytes` (dirty nodes beyond it make
/// [`Engine::maintain`] begin a checkpoint), `step_bytes` (how much of it one call writes),
/// `cache_bytes` (clean nodes kept), and, for a new directory, `block_size_bytes` (the page size: a
/// power of two from 512 to 65,536).
pub struct BtreeEngine {
    env: Env,
    dir: PathBuf,
    options: EngineOptions,
    /// One batch at a time, and none while another file takes its place.
    applying: Mutex<()>,
    current: RwLock<Arc<PageFile>>,
    /// Keeps a second process out.
    _lock: Box<dyn DiskLock>,
}

impl std::fmt::Debug for BtreeEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BtreeEngine")
    }
}

impl BtreeEngine {
    fn current(&self) -> Arc<PageFile> {
        Arc::clone(&self.current.read())
    }

    /// Fills a new file with what is left of everything that is applied.
    fn load_rest(
        &self,
        old: &PageFile,
        erasure: &Erasure,
        options: &EngineOptions,
    ) -> Result<PageFile> {
        let snapshot = old.snapshot();
        let new = open::open_new(&self.env, &self.dir, options)?;
        new.state.lock().history.turn_off();
        for keyspace in snapshot.keyspaces() {
            new.change_facts(|facts| facts.load(&keyspace));
            load_keyspace(&snapshot, &keyspace, erasure, &new)?;
        }
        new.end_load(snapshot.at())?;
        drop(new);
        // Not under its name yet: an error leaves the old file in force.
        open::reopen_new(&self.env, &self.dir, options)
    }
}

/// Loads what is left of one keyspace.
fn load_keyspace(
    snapshot: &BtreeSnapshot,
    keyspace: &Keyspace,
    erasure: &Erasure,
    new: &PageFile,
) -> Result<()> {
    let space = keyspace.id;
    let spec = ScanSpec { range: KeyRange::ALL, visible: Visible::All, reverse: false };
    let mut cursor = snapshot.cursor(space, &spec)?;
    let mut has_entry = cursor.next()?;
    while has_entry {
        let Entry { key, ts, value } = cursor.entry();
        if !erasure.may_touch_key(space, key) {
            new.load(space, Entry { key, ts, value })?;
            has_entry = cursor.next()?;
            continue;
        }
        let key = key.to_vec();
        let mut versions: Vec<(Timestamp, Option<Vec<u8>>)> = Vec::new();
        while has_entry && cursor.entry().key == key {
            let Entry { ts, value, .. } = cursor.entry();
            versions.push((ts, value.map(<[u8]>::to_vec)));
            has_entry = cursor.next()?;
        }
        erasure.apply(space, &key, &mut versions);
        for (ts, value) in &versions {
            new.load(space, Entry { key: &key, ts: *ts, value: value.as_deref() })?;
        }
    }
    Ok(())
}

impl Engine for BtreeEngine {
    const NAME: &'static str = "btree";

    type Snapshot = BtreeSnapshot;

    fn open(env: &Env, dir: &Path, options: &EngineOptions) -> Result<Self> {
        env.disk().create_dir_all(dir)?;
        let lock = open::lock(env, dir)?;
        let file = open::open(env, dir, options)?;
        Ok(Self {
            env: env.clone(),
            dir: dir.to_owned(),
            options: options.clone(),
            applying: Mutex::new(()),
            current: RwLock::new(Arc::new(file)),
            _lock: lock,
        })
    }

    fn durable(&self) -> Commit {
        self.current().durable()
    }

    fn applied(&self) -> Commit {
        self.current().applied()
    }

    fn apply(&self, batch: &WriteBatch, at: Commit) -> Result<()> {
        let _one_at_a_time = self.applying.lock();
        self.current().apply(batch, at)
    }

    fn snapshot(&self) -> BtreeSnapshot {
        self.current.read().snapshot()
    }

    fn set_retention(&self, policy: Arc<RetentionPolicy>) {
        // Not while the file is replaced: the next one would not know.
        self.current.read().set_retention(policy);
    }

    fn maintain(&self, log: &dyn LogBarrier) -> Result<Maintained> {
        self.current().maintain(log)
    }

    fn write_pressure(&self) -> u32 {
        self.current.read().write_pressure()
    }

    fn checkpoint(&self, log: &dyn LogBarrier) -> Result<Commit> {
        self.current().checkpoint(log)
    }

    fn erase(&self, erasure: &Erasure, log: &dyn LogBarrier) -> Result<()> {
        let old = self.current();
        // What the promise does not cover any more goes first.
        old.checkpoint(log)?;
        let _nobody_applies = self.applying.lock();
        log.wait_durable(old.applied().lsn)?;
        let page_size = old.pager.page_size;
        let options = EngineOptions { block_size_bytes: page_size, ..self.options.clone() };
        let mut new = match self.load_rest(&old, erasure, &options) {
            Ok(new) => new,
            Err(error) => {
                // Best effort: the next one overwrites it.
                drop(self.env.disk().remove(&open::new_path(&self.dir)));
                return Err(error);
            }
        };
        new.keep_counting(&old);
        preemption_point("btree.erase-before-rename");
        if planted!("btree.erased-file-stays") {
            return Ok(());
        }
        open::name_file(&self.env, &self.dir).map_err(|error| old.health.poison(error))?;
        let mut current = self.current.write();
        new.set_retention(Arc::clone(&old.state.lock().policy));
        *current = Arc::new(new);
        Ok(())
    }

    fn verify(&self, depth: VerifyDepth, report: &mut dyn VerifyReport) -> Result<()> {
        self.current().verify(depth, report)
    }

    fn backup(&self, dir: &Path, base: Option<&Path>) -> Result<BackupReport> {
        self.current().backup(dir, base)
    }

    fn stats(&self, out: &mut dyn FnMut(&'static str, u64)) {
        self.current().stats(out);
    }
}
