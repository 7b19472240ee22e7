//! Filling a new engine from outside: one run of tables, then the manifest that names them.
//!
//! Until the manifest is there the directory is none of an engine: `open` refuses tables without one.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use driftdb_env::{Env, directory};
use driftdb_storage::{
    Commit, EngineOptions, Entry, FileEngine, Keyspace, KeyspaceId, LoadOrder, Loader, Result,
    Retention, SalvageSink, Timestamp,
};

use crate::LsmEngine;
use crate::health::Failure;
use crate::keyspaces::Life;
use crate::manifest::{self, Manifest, RunRecord};
use crate::salvage;
use crate::table::{TableContext, TableWriter};

/// Fills a new LSM engine.
#[derive(Debug)]
pub struct LsmLoader {
    env: Env,
    dir: PathBuf,
    options: EngineOptions,
    context: Arc<TableContext>,
    manifest: Manifest,
    space: KeyspaceId,
    order: LoadOrder,
    writer: Option<TableWriter>,
}

impl FileEngine for LsmEngine {
    type Loader = LsmLoader;

    fn loader(env: &Env, dir: &Path, options: &EngineOptions) -> Result<LsmLoader> {
        directory::create_empty_dir(env.disk(), dir)?;
        Ok(LsmLoader {
            env: env.clone(),
            dir: dir.to_owned(),
            options: options.clone(),
            context: Arc::new(TableContext::new(options.cache_bytes)),
            manifest: Manifest { next_file_id: 1, ..Manifest::default() },
            space: KeyspaceId::default(),
            order: LoadOrder::default(),
            writer: None,
        })
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

impl Loader for LsmLoader {
    fn keyspace(&mut self, space: &Keyspace) -> Result<()> {
        let Keyspace { id, created, dropped, ref kept } = *space;
        self.order.keyspace(id)?;
        self.manifest.keyspaces.insert(id, Life { created, dropped });
        if *kept != Retention::FOREVER {
            self.manifest.floors.insert(id, kept.clone());
        }
        self.space = id;
        Ok(())
    }

    fn add(&mut self, entry: Entry<'_>) -> Result<()> {
        self.order.entry(entry)?;
        if self.writer.is_none() {
            let file_id = self.manifest.next_file_id;
            self.manifest.next_file_id += 1;
            let (env, dir, options) = (&self.env, &self.dir, &self.options);
            self.writer = Some(TableWriter::create(env, dir, file_id, options, &self.context)?);
        }
        let writer = self.writer.as_mut().expect("made above");
        writer.add(self.space, entry)
    }

    fn finish(mut self, at: Commit) -> Result<()> {
        if let Some(mut writer) = self.writer.take() {
            let meta = writer.finish(Timestamp::MIN)?;
            let parts = vec![(meta, writer.bounds())];
            self.manifest.runs.push(RunRecord { parts, ..RunRecord::default() });
            writer.sync()?;
        }
        self.env.disk().sync_dir(&self.dir)?;
        self.manifest.durable = at;
        manifest::save(&self.env, &self.dir, &self.manifest).map_err(Failure::into_error)?;
        Ok(())
    }
}
