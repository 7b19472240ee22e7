//! Where write sets go that are too large for memory.
//!
//! Each file is unlinked as soon as it is made and lives as long as its handle: a transaction's end or
//! a process's leaves nothing. A crash between the two steps leaves a name, which the next open removes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use driftdb_env::sync::atomic::{AtomicU64, Ordering};
use driftdb_env::{Env, File, FileKind, OpenHow, planted};
use driftdb_storage::Result;

/// Blocks of runs are no longer than this, single large writes excepted.
const BLOCK_BYTES_MAX: usize = 8 << 10;

/// The directory for spilled writes, and when to spill.
pub(crate) struct Spill {
    env: Env,
    dir: PathBuf,
    budget_bytes: usize,
    next_file: AtomicU64,
    count: AtomicU64,
}

impl Spill {
    /// The directory in the store's, emptied. It is made once it is needed.
    pub(crate) fn open(env: &Env, store_dir: &Path, budget_bytes: usize) -> Result<Self> {
        let dir = store_dir.join("spill");
        let disk = env.disk();
        if disk.exists(&dir)? {
            for left in disk.list(&dir)? {
                disk.remove(&dir.join(left.name))?;
            }
        }
        let (next_file, count) = (AtomicU64::new(1), AtomicU64::new(0));
        Ok(Self { env: env.clone(), dir, budget_bytes, next_file, count })
    }

    /// How much memory the writes of one transaction may take, in bytes.
    pub(crate) fn budget_bytes(&self) -> usize {
        self.budget_bytes
    }

    /// Where a block of a run ends.
    pub(crate) fn block_bytes(&self) -> usize {
        (self.budget_bytes / 64).clamp(128, BLOCK_BYTES_MAX)
    }

    /// How large one record of a commit in parts is, about.
    pub(crate) fn part_bytes(&self) -> usize {
        (self.budget_bytes / 16).clamp(16, 4 << 20)
    }

    /// Runs written so far.
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// A new file without a name.
    pub(crate) fn create(&self) -> Result<Arc<dyn File>> {
        let disk = self.env.disk();
        if !disk.exists(&self.dir)? {
            disk.create_dir_all(&self.dir)?;
        }
        let number = self.next_file.fetch_add(1, Ordering::Relaxed);
        let path = self.dir.join(format!("{number:016x}.run"));
        let file = disk.open(&path, OpenHow::CreateNew, FileKind::Temp)?;
        disk.remove(&path)?;
        self.count.fetch_add(1, Ordering::Relaxed);
        if planted!("mvcc.spilled-file-stays-open") {
            std::mem::forget(Arc::clone(&file));
        }
        Ok(file)
    }
}
