//! Work on a data directory that no server has open: copies, conversion, salvage.

use std::path::Path;

use driftdb_env::{Env, directory as files};
use driftdb_memory::MemoryEngine;
use driftdb_mvcc::{ConvertProgress, SalvageReport, Salvaged};
use driftdb_storage::{BackupReport, Engine, FileEngine, VerifyDepth, VerifyReport};
use driftdb_storage_btree::BtreeEngine;
use driftdb_storage_lsm::LsmEngine;

use super::directory::{DataDirectory, Found, mark};
use super::{Node, NodeError, open_store, store_options};
use crate::Config;

/// Copies the database of `config` into the new directory `to`, with hard links where the engine's files
/// never change; `base` is an earlier copy whose files may be linked to instead.
///
/// # Errors
/// The database cannot be opened; I/O; `to` is not empty. What was made of `to` is then removed.
pub fn backup(
    env: &Env,
    config: &Config,
    to: &Path,
    base: Option<&Path>,
) -> Result<BackupReport, NodeError> {
    let node = Node::open(env, config)?;
    let report = node.store().backup(to, base)?;
    let marked = node.close().and_then(|()| mark(env, to, &config.engine));
    if let Err(error) = marked {
        // Best effort: the error that the caller gets is the first.
        drop(files::remove_dir_all(env.disk(), to));
        return Err(error);
    }
    Ok(report)
}

/// Changes the storage engine of the database of `config` to `engine`. With `to`, into that new directory,
/// and the old database stays as it is; else in place: the new store is made beside the old one, checked in
/// full, and put in force in one step, and the old one is removed.
///
/// # Errors
/// The database cannot be opened; I/O; damage. Unless the step was done, the old database is in force.
pub fn convert(
    env: &Env,
    config: &Config,
    engine: &str,
    to: Option<&Path>,
    progress: &mut dyn FnMut(ConvertProgress),
) -> Result<ConvertProgress, NodeError> {
    let mut directory = DataDirectory::open(env, &config.data, &config.engine)?;
    let from = directory.store_dir();
    let target = Config { engine: engine.to_owned(), ..config.clone() };
    let Some(to) = to else {
        let old = directory.store().map(str::to_owned);
        let name = directory.new_store(env)?;
        let store = config.data.join(&name);
        let done = convert_store(env, config, &target, &from, &store, progress)?;
        directory.switch_to(env, &name, engine)?;
        directory.remove_store(env, old.as_deref())?;
        return Ok(done);
    };
    files::create_empty_dir(env.disk(), to)?;
    let done = convert_store(env, config, &target, &from, to, progress)?;
    mark(env, to, engine)?;
    Ok(done)
}

/// Loads one store into another directory, and checks what was made.
fn convert_store(
    env: &Env,
    source: &Config,
    target: &Config,
    from: &Path,
    to: &Path,
    progress: &mut dyn FnMut(ConvertProgress),
) -> Result<ConvertProgress, NodeError> {
    let done = match source.engine.as_str() {
        LsmEngine::NAME => convert_from::<LsmEngine>(env, target, from, to, progress)?,
        BtreeEngine::NAME => convert_from::<BtreeEngine>(env, target, from, to, progress)?,
        MemoryEngine::NAME => convert_from::<MemoryEngine>(env, target, from, to, progress)?,
        name => return Err(unknown(name)),
    };
    let mut first = FirstDamage(None);
    open_store(env, to, target)?.verify(VerifyDepth::Full, &mut first)?;
    match first.0 {
        None => Ok(done),
        Some(damage) => Err(driftdb_storage::StorageError::Corruption(damage).into()),
    }
}

fn convert_from<S: Engine>(
    env: &Env,
    target: &Config,
    from: &Path,
    to: &Path,
    progress: &mut dyn FnMut(ConvertProgress),
) -> Result<ConvertProgress, NodeError> {
    let options = &store_options(target);
    match target.engine.as_str() {
        LsmEngine::NAME => {
            Ok(driftdb_mvcc::convert::<S, LsmEngine>(env, from, to, options, progress)?)
        }
        BtreeEngine::NAME => {
            Ok(driftdb_mvcc::convert::<S, BtreeEngine>(env, from, to, options, progress)?)
        }
        MemoryEngine::NAME => Err(no_files(target, "nothing can be converted to it")),
        name => Err(unknown(name)),
    }
}

fn unknown(engine: &str) -> NodeError {
    NodeError::Unknown { what: "storage engine", name: engine.to_owned() }
}

fn no_files(config: &Config, what: &'static str) -> NodeError {
    NodeError::NoFiles { engine: config.engine.clone(), what }
}

struct FirstDamage(Option<driftdb_storage::Damage>);

impl VerifyReport for FirstDamage {
    fn damage(&mut self, damage: driftdb_storage::Damage) {
        self.0.get_or_insert(damage);
    }

    fn progress(&mut self, _done_bytes: u64, _total_bytes: u64) {}
}

/// Saves what verifies of the damaged database of `config` into the new directory `to`, for `engine` if one
/// is given. Nothing in the damaged one is changed.
///
/// # Errors
/// I/O other than damage; `to` is not empty; nothing at all is to be had.
pub fn salvage(
    env: &Env,
    config: &Config,
    engine: Option<&str>,
    to: &Path,
    report: &mut dyn SalvageReport,
) -> Result<Salvaged, NodeError> {
    let found = Found::open(env, &config.data, report)?;
    let target = Config { engine: engine.unwrap_or(&found.engine).to_owned(), ..config.clone() };
    let from = &found.store_dir;
    let done = match found.engine.as_str() {
        LsmEngine::NAME => salvage_from::<LsmEngine>(env, &target, from, to, report)?,
        BtreeEngine::NAME => salvage_from::<BtreeEngine>(env, &target, from, to, report)?,
        MemoryEngine::NAME => return Err(no_files(config, "its log is all there is to save")),
        name => return Err(unknown(name)),
    };
    // The first open replays what came from the log, and shows that the new database is sound.
    open_store(env, to, &target)?.close()?;
    mark(env, to, &target.engine)?;
    Ok(done)
}

fn salvage_from<S: FileEngine>(
    env: &Env,
    target: &Config,
    from: &Path,
    to: &Path,
    report: &mut dyn SalvageReport,
) -> Result<Salvaged, NodeError> {
    let options = &store_options(target);
    match target.engine.as_str() {
        LsmEngine::NAME => {
            Ok(driftdb_mvcc::salvage::<S, LsmEngine>(env, from, to, options, report)?)
        }
        BtreeEngine::NAME => {
            Ok(driftdb_mvcc::salvage::<S, BtreeEngine>(env, from, to, options, report)?)
        }
        MemoryEngine::NAME => Err(no_files(target, "nothing can be saved into it")),
        name => Err(unknown(name)),
    }
}
