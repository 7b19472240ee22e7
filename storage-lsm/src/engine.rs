//! The engine: opening, applying, and the contract's calls.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use driftdb_env::sync::atomic::{AtomicBool, Ordering};
use driftdb_env::sync::{Mutex, MutexGuard};
use driftdb_env::{Env, buggify, kernel, planted_order, sometimes};
use driftdb_storage::{
    BackupReport, Commit, Engine, EngineOptions, Erasure, LogBarrier, Maintained, Result,
    RetentionPolicy, StorageError, VerifyDepth, VerifyReport, WriteBatch, expand_range_deletes,
};

use crate::health::{Failure, Health};
use crate::keyspaces;
use crate::maintenance::Maintenance;
use crate::manifest::{self, Manifest, RunRecord};
use crate::memtable::Memtable;
use crate::run::{Part, SortedRun};
use crate::snapshot::LsmSnapshot;
use crate::table::{self, Table, TableContext};
use crate::version::{Present, PresentCell, Version};

/// A log-structured merge-tree in one directory.
///
/// Of [`EngineOptions`], `write_buffer_bytes` is the size at which a memtable is frozen. `apply`
/// never waits: if `maintain` is not called, or fails, frozen memtables pile up; the figure
/// `memtable_bytes_now` shows it, and the caller (the background task of `mvcc`) holds writers back.
pub struct LsmEngine {
    pub(crate) env: Env,
    pub(crate) dir: PathBuf,
    pub(crate) options: EngineOptions,
    pub(crate) context: Arc<TableContext>,
    pub(crate) present: PresentCell,
    pub(crate) health: Health,
    /// Held while a batch goes in and while a memtable is frozen.
    writer: Mutex<()>,
    /// No snapshot was made of what was applied since opening, so that it need not be in order yet.
    is_replaying: AtomicBool,
    /// Held during a step. Taken before `writer`.
    pub(crate) maintenance: Mutex<Maintenance>,
    /// Held while tables are found by their names, or lose names that a version still counts on.
    pub(crate) names: Mutex<()>,
}

impl std::fmt::Debug for LsmEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LsmEngine").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl LsmEngine {
    /// Freezes the active memtable if it holds a commit.
    pub(crate) fn freeze(&self) {
        let _writer = self.writer.lock();
        if self.present.version().active.last().is_some() {
            self.present.update(|present| {
                present.version = Arc::new(present.version.freeze(self.empty_memtable()));
            });
        }
    }

    /// What comes after a full memtable. Under `writer`.
    fn empty_memtable(&self) -> Memtable {
        let buffer_bytes = self.options.write_buffer_bytes;
        // Relaxed: whoever ends the replay holds `writer`.
        if self.is_replaying.load(Ordering::Relaxed) {
            Memtable::for_replay(buffer_bytes)
        } else {
            Memtable::new(buffer_bytes)
        }
    }

    /// A snapshot while there may be a replay. It ends the replay, unless it comes before: then what is
    /// gathered is newer than it sees.
    fn first_snapshot(&self) -> LsmSnapshot {
        let writer = self.writer.lock();
        if self.present.version().active.last().is_some() {
            self.end_replay(&writer);
        }
        LsmSnapshot::new(self.present.get())
    }

    fn end_replay(&self, _writer: &MutexGuard<'_, ()>) {
        self.present.version().active.settle();
        self.is_replaying.store(false, Ordering::Release);
    }

    fn memtable_bytes(&self) -> usize {
        self.present.version().memtables().map(|memtable| memtable.bytes()).sum()
    }
}

impl Engine for LsmEngine {
    const NAME: &'static str = "lsm";

    type Snapshot = LsmSnapshot;

    fn open(env: &Env, dir: &Path, options: &EngineOptions) -> Result<Self> {
        env.disk().create_dir_all(dir)?;
        let mut manifest = match manifest::load(env, dir)? {
            Some(manifest) => {
                // A process may have died between a rename and the directory's sync: what only the
                // manifest before names is removed below, so this one must be here to stay.
                env.disk().sync_dir(dir)?;
                manifest
            }
            None => create(env, dir)?,
        };
        let names = names_in(env, dir)?;
        remove_leftovers(env, dir, &names, &manifest)?;
        let highest = names.iter().filter_map(|name| table::id_of(name)).max().unwrap_or(0);
        manifest.next_file_id = manifest.next_file_id.max(highest.saturating_add(1));
        let context = Arc::new(TableContext::new(options.cache_bytes));
        let runs = manifest.runs.iter();
        let runs = runs.map(|record| open_run(env, dir, record, &context).map(Arc::new));
        let version = Version {
            active: Arc::new(Memtable::for_replay(options.write_buffer_bytes)),
            frozen: Vec::new(),
            runs: runs.collect::<Result<_>>()?,
            keyspaces: Arc::new(manifest.keyspaces.clone()),
            floors: Arc::new(manifest.floors.clone()),
            durable: manifest.durable,
        };
        let applied = version.durable;
        let policy = Arc::new(RetentionPolicy::default());
        context.stats.manifest_bytes.set(manifest::size_bytes(&manifest));
        let engine = Self {
            env: env.clone(),
            dir: dir.to_owned(),
            options: options.clone(),
            context,
            present: PresentCell::new(Present { version: Arc::new(version), applied, policy }),
            health: Health::default(),
            writer: Mutex::new(()),
            is_replaying: AtomicBool::new(true),
            maintenance: Mutex::new(Maintenance::new(manifest)),
            names: Mutex::new(()),
        };
        engine.note_debt();
        Ok(engine)
    }

    fn durable(&self) -> Commit {
        self.present.version().durable
    }

    fn applied(&self) -> Commit {
        self.present.applied()
    }

    fn apply(&self, batch: &WriteBatch, at: Commit) -> Result<()> {
        self.health.check()?;
        let writer = self.writer.lock();
        let applied = self.present.applied();
        if at.ts <= applied.ts && at.lsn <= applied.lsn {
            // Replayed: it is here already.
            return Ok(());
        }
        if at.ts < applied.ts || at.lsn <= applied.lsn {
            let text = format!("commit {at:?} is applied after {applied:?}");
            return Err(StorageError::Internal(text));
        }
        let version = self.present.version();
        let keyspaces = keyspaces::check_batch(&version.keyspaces, batch, at.ts)?.map(Arc::new);
        let user_bytes = batch.content_bytes() as u64;
        if batch.has_range_delete() {
            self.end_replay(&writer);
        }
        let expanded = expand_range_deletes(batch, &LsmSnapshot::new(self.present.get()))?;
        let batch = expanded.map_or(Cow::Borrowed(batch), Cow::Owned);
        let buffer_bytes = self.options.write_buffer_bytes;
        if planted_order!("lsm.applied-before-insert") {
            self.present.update(|present| present.applied = at);
        }
        let large = if Memtable::is_large(&batch, buffer_bytes) {
            Some(Arc::new(Memtable::of_batch(batch.into_owned(), at)))
        } else {
            version.active.insert(&batch, at);
            None
        };
        sometimes!("lsm.batch-is-a-memtable", large.is_some());
        let is_full = version.active.is_full() || buggify!("lsm.freeze-early");
        let freezes = large.is_some() || is_full;
        sometimes!("lsm.frozen-behind-another", freezes && !version.frozen.is_empty());
        self.context.stats.user_bytes_written.add(user_bytes);
        kernel::preemption_point("lsm.apply-before-publish");
        self.present.update(|present| {
            present.applied = at;
            if keyspaces.is_none() && !freezes {
                return;
            }
            let mut next = if freezes {
                present.version.freeze(self.empty_memtable())
            } else {
                Version::clone(&present.version)
            };
            if let Some(large) = large {
                // Newer than all that was there, older than all that comes.
                next.frozen.insert(0, large);
            }
            if let Some(keyspaces) = keyspaces {
                next.keyspaces = keyspaces;
            }
            present.version = Arc::new(next);
        });
        Ok(())
    }

    fn snapshot(&self) -> LsmSnapshot {
        // Acquire: what was put in order is seen to be.
        if self.is_replaying.load(Ordering::Acquire) {
            return self.first_snapshot();
        }
        let mut present = self.present.get();
        if planted_order!("lsm.time-read-after-version") {
            present.applied = self.present.applied();
        }
        LsmSnapshot::new(present)
    }

    fn set_retention(&self, policy: Arc<RetentionPolicy>) {
        self.present.update(|present| present.policy = policy);
    }

    fn maintain(&self, log: &dyn LogBarrier) -> Result<Maintained> {
        self.health.check()?;
        let mut state = self.maintenance.lock();
        let has_worked = self.work(&mut state, log)?;
        Ok(if has_worked { Maintained::Worked } else { Maintained::Idle })
    }

    fn write_pressure(&self) -> u32 {
        self.pressure()
    }

    fn checkpoint(&self, log: &dyn LogBarrier) -> Result<Commit> {
        self.health.check()?;
        let mut state = self.maintenance.lock();
        self.work_all(&mut state, log)?;
        Ok(self.durable())
    }

    fn erase(&self, erasure: &Erasure, log: &dyn LogBarrier) -> Result<()> {
        self.health.check()?;
        self.erase_now(&mut self.maintenance.lock(), erasure, log)
    }

    fn backup(&self, dir: &Path, base: Option<&Path>) -> Result<BackupReport> {
        self.back_up(dir, base)
    }

    fn verify(&self, depth: VerifyDepth, report: &mut dyn VerifyReport) -> Result<()> {
        self.check(depth, report)
    }

    fn stats(&self, out: &mut dyn FnMut(&'static str, u64)) {
        self.context.stats.report(out);
        let version = self.present.version();
        let sizes = || version.tables().map(|table| table.meta().size_bytes);
        out("run_count", version.runs.len() as u64);
        out("table_count", version.tables().count() as u64);
        out("frozen_memtable_count", version.frozen.len() as u64);
        out("table_bytes_now", sizes().sum());
        out("disk_bytes_now", sizes().sum::<u64>() + self.context.stats.manifest_bytes.get());
        out("memtable_bytes_now", self.memtable_bytes() as u64);
        out("cache_bytes_now", self.context.cache.used_bytes() as u64);
        out("pinned_bytes_now", self.context.pinned_bytes() as u64);
    }
}

fn open_run(
    env: &Env,
    dir: &Path,
    record: &RunRecord,
    context: &Arc<TableContext>,
) -> Result<SortedRun> {
    let parts = record.parts.iter().map(|(meta, bounds)| {
        let table = Arc::new(Table::open(env, dir, *meta, context)?);
        Ok(Part { table, bounds: bounds.clone() })
    });
    let (level, is_merging) = (record.level, record.is_merging);
    Ok(SortedRun { level, is_merging, parts: parts.collect::<Result<_>>()? })
}

pub(crate) fn names_in(env: &Env, dir: &Path) -> Result<Vec<String>> {
    let entries = env.disk().list(dir)?;
    Ok(entries.into_iter().filter(|entry| !entry.is_dir).map(|entry| entry.name).collect())
}

/// Writes the first manifest, if the directory is ours to use.
fn create(env: &Env, dir: &Path) -> Result<Manifest> {
    let names = names_in(env, dir)?;
    if names.iter().any(|name| table::id_of(name).is_some()) {
        // The first manifest is durable before the first table is made.
        let name = dir.join(manifest::NAME).display().to_string();
        return Err(StorageError::corruption(name, 0, "the manifest is missing, tables are not"));
    }
    if let Some(foreign) = names.iter().find(|name| *name != manifest::NEW_NAME) {
        return Err(StorageError::WrongDirectory {
            dir: dir.display().to_string(),
            found: format!("\"{foreign}\""),
            expected: "files of engine \"lsm\"".to_owned(),
        });
    }
    let manifest = Manifest { next_file_id: 1, ..Manifest::default() };
    manifest::save(env, dir, &manifest).map_err(Failure::into_error)?;
    Ok(manifest)
}

/// Removes what a crash left: tables that the manifest does not name, and a manifest not yet
/// renamed.
fn remove_leftovers(env: &Env, dir: &Path, names: &[String], manifest: &Manifest) -> Result<()> {
    let named: BTreeSet<u64> = manifest.tables().map(|table| table.file_id).collect();
    for name in names {
        let is_orphan = table::id_of(name).is_some_and(|id| !named.contains(&id));
        sometimes!("lsm.orphan-removed", is_orphan);
        sometimes!("lsm.half-made-manifest-removed", name == manifest::NEW_NAME);
        if is_orphan || name == manifest::NEW_NAME {
            env.disk().remove(&dir.join(name))?;
        }
    }
    Ok(())
}
