//! Filling a new engine from outside: ordinary inserts in ascending order, and checkpoints whenever the
//! write buffer is full, into a file that gets its name at the end. They come key by key, so leaves are not
//! split by time: all versions lie in leaves until writes of the present split those.

use std::path::{Path, PathBuf};

use driftdb_env::{Env, directory};
use driftdb_storage::{
    Commit, EngineOptions, Entry, FileEngine, Keyspace, KeyspaceId, LoadOrder, Loader, LogBarrier,
    Lsn, Result, SalvageSink,
};

use crate::BtreeEngine;
use crate::key::VersionKey;
use crate::open::{name_file, open_new};
use crate::salvage;

/// Fills a new B+tree engine.
#[derive(Debug)]
pub struct BtreeLoader {
    env: Env,
    dir: PathBuf,
    engine: BtreeEngine,
    space: KeyspaceId,
    order: LoadOrder,
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
        let engine = open_new(env, dir, options)?;
        engine.state.lock().history.turn_off();
        let (space, order) = (KeyspaceId::default(), LoadOrder::default());
        Ok(BtreeLoader { env: env.clone(), dir: dir.to_owned(), engine, space, order })
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
        let key = VersionKey::at(self.space, entry.key, entry.ts);
        self.engine.change(|root, writer| writer.insert(root, key, entry.value))?;
        if self.engine.state.lock().dirty_bytes >= self.engine.write_buffer_bytes {
            self.engine.checkpoint_dirty(&NoLog)?;
        }
        Ok(())
    }

    fn finish(self, at: Commit) -> Result<()> {
        {
            let mut state = self.engine.state.lock();
            state.applied = at;
            state.changed = true;
            state.view = None;
        }
        self.engine.checkpoint_dirty(&NoLog)?;
        drop(self.engine);
        name_file(&self.env, &self.dir)
    }
}
