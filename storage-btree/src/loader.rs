//! Filling a new engine from outside: ordinary inserts in ascending order, and checkpoints whenever the
//! write buffer is full, into a file that gets its name at the end. They come key by key, so leaves are not
//! split by time: all versions lie in leaves until writes of the present split those.

use std::path::{Path, PathBuf};

use driftdb_env::{DiskLock, Env, directory};
use driftdb_storage::{
    Commit, EngineOptions, Entry, FileEngine, Keyspace, KeyspaceId, LoadOrder, Loader, LogBarrier,
    Lsn, Result, SalvageSink,
};

use crate::BtreeEngine;
use crate::engine::PageFile;
use crate::key::VersionKey;
use crate::open::{lock, name_file, open_new};
use crate::salvage;

/// Fills a new B+tree engine.
pub struct BtreeLoader {
    env: Env,
    dir: PathBuf,
    engine: PageFile,
    _lock: Box<dyn DiskLock>,
    space: KeyspaceId,
    order: LoadOrder,
}

impl std::fmt::Debug for BtreeLoader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BtreeLoader").field("dir", &self.dir).finish_non_exhaustive()
    }
}

/// There is no log that a new engine could be ahead of.
struct NoLog;

impl LogBarrier for NoLog {
    fn wait_durable(&self, _lsn: Lsn) -> Result<()> {
        Ok(())
    }
}

impl FileEngine for BtreeEngine {
    type Loader = BtreeLoader;

    fn loader(env: &Env, dir: &Path, options: &EngineOptions) -> Result<BtreeLoader> {
        directory::create_empty_dir(env.disk(), dir)?;
        let lock = lock(env, dir)?;
        let engine = open_new(env, dir, options)?;
        engine.state.lock().history.turn_off();
        let (space, order) = (KeyspaceId::default(), LoadOrder::default());
        let (env, dir) = (env.clone(), dir.to_owned());
        Ok(BtreeLoader { env, dir, engine, _lock: lock, space, order })
    }

    fn salvage(
        env: &Env,
        dir: &Path,
        options: &EngineOptions,
        sink: &mut dyn SalvageSink,
    ) -> Result<()> {
        salvage::salvage(env, dir, options, sink)
    }
}

impl Loader for BtreeLoader {
    fn keyspace(&mut self, space: &Keyspace) -> Result<()> {
        self.order.keyspace(space.id)?;
        self.engine.change_facts(|facts| facts.load(space));
        self.space = space.id;
        Ok(())
    }

    fn add(&mut self, entry: Entry<'_>) -> Result<()> {
        self.order.entry(entry)?;
        self.engine.load(self.space, entry)
    }

    fn finish(self, at: Commit) -> Result<()> {
        self.engine.end_load(at)?;
        drop(self.engine);
        name_file(&self.env, &self.dir)
    }
}

/// What fills a page file.
impl PageFile {
    /// Adds a version; the next is not before it in the order of keys.
    pub(crate) fn load(&self, space: KeyspaceId, entry: Entry<'_>) -> Result<()> {
        let key = VersionKey::at(space, entry.key, entry.ts);
        self.change(|root, writer| writer.insert(root, key, entry.value))?;
        if self.state.lock().dirty_bytes >= self.write_buffer_bytes {
            self.checkpoint_dirty(&NoLog)?;
        }
        Ok(())
    }

    /// Makes it durable, as complete up to `at`.
    pub(crate) fn end_load(&self, at: Commit) -> Result<()> {
        {
            let mut state = self.state.lock();
            state.applied = at;
            state.changed = true;
            state.view = None;
        }
        self.checkpoint_dirty(&NoLog)
    }
}
