//! Loading a store into another engine.
//!
//! The source is opened as a restart would open it, so that its engine holds all of the log too. Then
//! every version that it still has, of every keyspace it knows, goes into a new engine, with the same
//! timestamps; the new log begins where the old one ends. So every time that could be read before can be
//! read after, and gives the same.

use std::path::Path;

use driftdb_env::Env;
use driftdb_storage::{
    Cursor, Engine, FileEngine, KeyRange, Loader, Result, ScanSpec, Snapshot, StorageError, Visible,
};
use driftdb_wal::Wal;

use crate::StoreOptions;
use crate::clock::HybridClock;
use crate::{erase, recovery};

/// How far a conversion is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ConvertProgress {
    /// Keyspaces done.
    pub keyspaces: u64,
    /// Keyspaces in all.
    pub keyspace_count: u64,
    /// Versions loaded so far.
    pub versions: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
}

/// Versions between two reports of progress.
const REPORT_EVERY: u64 = 4096;

/// Loads the store in `from`, of engine `S`, into the new directory `to`, for engine `T`. Nobody may have
/// `from` open; it is not changed but for what recovery does. `to` can be opened when this has returned.
///
/// # Errors
/// Those of opening and reading the source; I/O; `to` is not empty.
pub fn convert<S: Engine, T: FileEngine>(
    env: &Env,
    from: &Path,
    to: &Path,
    options: &StoreOptions,
    progress: &mut dyn FnMut(ConvertProgress),
) -> Result<ConvertProgress> {
    if env.disk().exists(&erase::path(from))? {
        return Err(StorageError::WrongDirectory {
            dir: from.display().to_string(),
            found: "an erasure that is not finished".to_owned(),
            expected: "a database that was opened since".to_owned(),
        });
    }
    let engine = S::open(env, &from.join("engine"), &options.engine)?;
    let wal = Wal::open(env, &from.join("wal"), &options.wal)?;
    let end = recovery::replay(&engine, &wal, &HybridClock::new(env))?.commit;
    driftdb_env::directory::create_empty_dir(env.disk(), to)?;
    let mut loader = T::loader(env, &to.join("engine"), &options.engine)?;
    let done = load(&engine.snapshot(), &mut loader, progress)?;
    loader.finish(end)?;
    Wal::create_at(env, &to.join("wal"), &options.wal, end.lsn)?;
    env.disk().sync_dir(to)?;
    Ok(done)
}

/// Copies every version of every keyspace.
fn load<S: Snapshot, L: Loader>(
    snapshot: &S,
    loader: &mut L,
    progress: &mut dyn FnMut(ConvertProgress),
) -> Result<ConvertProgress> {
    let keyspaces = snapshot.keyspaces();
    let keyspace_count = keyspaces.len() as u64;
    let mut done = ConvertProgress { keyspace_count, ..ConvertProgress::default() };
    for keyspace in &keyspaces {
        loader.keyspace(keyspace)?;
        let spec = ScanSpec { range: KeyRange::ALL, visible: Visible::All, reverse: false };
        let mut cursor = snapshot.cursor(keyspace.id, &spec)?;
        while cursor.next()? {
            let entry = cursor.entry();
            loader.add(entry)?;
            done.versions += 1;
            done.bytes += (entry.key.len() + entry.value.map_or(0, <[u8]>::len)) as u64;
            if done.versions.is_multiple_of(REPORT_EVERY) {
                progress(done);
            }
        }
        done.keyspaces += 1;
        progress(done);
    }
    Ok(done)
}
