//! Space kept aside for the day on which the disk is full.
//!
//! A full disk would stop just what makes room again: a flush or a checkpoint, after which log is let go.
//! So the data directory holds a file of real blocks and no use. When maintenance meets a full disk the
//! file is removed, maintenance gets by with what that gives, and writers are refused (but for deletions)
//! until there is room for the file again.
//!
//! Invariant: the file is there and of full length, or the store knows that it is not.

use std::path::{Path, PathBuf};

use driftdb_env::sync::Mutex;
use driftdb_env::{Env, FileKind, IoError, OpenHow, sometimes};
use driftdb_storage::{Operation, StorageError, WriteBatch};

const NAME: &str = "ballast";

pub(crate) struct Ballast {
    env: Env,
    path: PathBuf,
    /// 0: none is kept.
    bytes: u64,
    is_held: Mutex<bool>,
}

impl Ballast {
    /// The ballast of the store in `dir`, there or not: [`Ballast::fill`] sees to that.
    pub(crate) fn new(env: &Env, dir: &Path, bytes: u64) -> Self {
        Self { env: env.clone(), path: dir.join(NAME), bytes, is_held: Mutex::new(false) }
    }

    /// Gives up the file of a store that cannot be opened for want of space; whether there was one.
    pub(crate) fn give_up(env: &Env, dir: &Path) -> bool {
        let has_removed = remove(env, &dir.join(NAME)).is_ok();
        sometimes!("mvcc.ballast-given-up-to-open", has_removed);
        has_removed
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives up the file; whether that made room.
    pub(crate) fn release(&self) -> bool {
        let mut is_held = self.is_held.lock();
        // Also one that an earlier run left, and this one has not looked at yet.
        let has_removed = remove(&self.env, &self.path).is_ok();
        *is_held = false;
        sometimes!("mvcc.ballast-given-up", has_removed);
        has_removed
    }

    /// Makes the file if there is room for it and as much again; whether it is there now.
    pub(crate) fn fill(&self) -> bool {
        let mut is_held = self.is_held.lock();
        if !*is_held {
            *is_held = self.try_fill().unwrap_or(false);
            if !*is_held {
                // Half a ballast would only be in the way.
                sometimes!("mvcc.no-room-for-the-ballast");
                drop(remove(&self.env, &self.path));
            }
        }
        *is_held
    }

    fn try_fill(&self) -> Result<bool, IoError> {
        let disk = self.env.disk();
        if self.bytes == 0 {
            drop(remove(&self.env, &self.path));
            return Ok(true);
        }
        let dir = self.path.parent().unwrap_or(&self.path);
        let file = disk.open(&self.path, OpenHow::OpenOrCreate, FileKind::Temp)?;
        if file.len()? == self.bytes {
            return Ok(true);
        }
        if disk.free_bytes(dir)? < self.bytes.saturating_mul(2) {
            return Ok(false);
        }
        file.set_len(0)?;
        file.reserve(self.bytes)?;
        Ok(true)
    }
}

fn remove(env: &Env, path: &Path) -> Result<(), IoError> {
    env.disk().remove(path)?;
    // For the room alone: whether the name is gone after a crash makes no difference.
    Ok(())
}

/// Whether an error says that the disk is full.
pub(crate) fn is_full(error: &StorageError) -> bool {
    matches!(error, StorageError::Io(error) if error.is_disk_full())
}

/// Whether a batch takes nothing but room in the log: such commits are let through on a full disk, since
/// they are what may end it.
pub(crate) fn only_deletes(batch: &WriteBatch) -> bool {
    batch.operations().all(|operation| match operation {
        Operation::Delete { .. } | Operation::DeleteRange { .. } | Operation::DropKeyspace(_) => {
            true
        }
        Operation::Put { .. } | Operation::CreateKeyspace(_) => false,
    })
}
