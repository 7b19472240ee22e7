//! Erasing from all history: the commit, and what follows it until no file holds a byte.
//!
//! ```text
//! under the latch:  the file `erasing` (which commit, what goes) → the commit's record in the log
//! then, claims released:  the log begins afresh → the engine erases → the log before goes → the file goes
//! ```
//!
//! Readers stop seeing what was erased when the engine has done its part; what happens twice, after a
//! crash, changes nothing. The file says that it is to happen: opening looks whether its commit came to be,
//! and then finishes it before anybody is let in. So an erasure whose commit is durable comes to its
//! end, and one whose commit is not never happens. The record of the commit names the keys that went,
//! and so goes too.
//!
//! Whoever read before the commit may still see what was erased, until his transaction ends. He must not
//! write it back: a commit into a keyspace that lost something since its snapshot fails.
//!
//! One erasure at a time; one that could not be finished (a full disk, a reader that pins the log) is
//! finished first by the next, by a checkpoint, or by opening. Latches: `pending` before that of
//! maintenance before that of the pipeline.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use driftdb_concurrency::{ConcurrencyControl, Result, TxnError};
use driftdb_env::kernel::preemption_point;
use driftdb_env::sync::Mutex;
use driftdb_env::{Env, FileKind, IoError, IoOp, OpenHow, planted};
use driftdb_storage::{Engine, Erasure, KeyspaceId, StorageError, Timestamp, WriteBatch};

use crate::store::Shared;
use crate::write_set::Changes;

const NAME: &str = "erasing";
const MAGIC: &[u8; 8] = b"DriftERA";
/// Magic, checksum, sequence number.
const HEADER_BYTES: usize = 20;

/// How long a reader of the log, such as a backup, is waited for.
const READER_WAIT: Duration = Duration::from_secs(10);
const READER_LOOK: Duration = Duration::from_millis(20);

/// What a store knows of erasures.
pub(crate) struct Erasing {
    path: PathBuf,
    /// Committed, and not finished.
    pub(crate) pending: Mutex<Option<Erasure>>,
    /// The last erasure from each keyspace since opening.
    erased: Mutex<BTreeMap<KeyspaceId, Timestamp>>,
}

impl Erasing {
    pub(crate) fn new(dir: &Path) -> Self {
        Self { path: path(dir), pending: Mutex::default(), erased: Mutex::default() }
    }

    /// Writes down what the commit of that number erases.
    pub(crate) fn note(&self, env: &Env, sequence: u64, erasure: &Erasure) -> Result<()> {
        write(env, &self.path, &encode(sequence, erasure)).map_err(|error| {
            drop(env.disk().remove(&self.path));
            TxnError::from(StorageError::from(error))
        })
    }

    /// The commit did not come to be. Should the file stay, opening finds that out again.
    pub(crate) fn forget_note(&self, env: &Env) {
        drop(env.disk().remove(&self.path));
    }

    /// The commit is in the log, at that time.
    pub(crate) fn note_committed(&self, erasure: &Erasure, ts: Timestamp) {
        let mut erased = self.erased.lock();
        erased.extend(erasure.keyspaces().map(|space| (space, ts)));
    }

    /// Refuses writes of who may have read what was erased since.
    pub(crate) fn check(&self, changes: &Changes, snapshot: Timestamp) -> Result<()> {
        if planted!("mvcc.erased-rows-come-back") {
            return Ok(());
        }
        let erased = self.erased.lock();
        let is_late = |space| erased.get(space).is_some_and(|ts| *ts > snapshot);
        if !erased.is_empty() && changes.needed.iter().any(is_late) {
            return Err(TxnError::ConcurrentUpdate);
        }
        Ok(())
    }
}

/// Where a store notes an erasure under way.
pub(crate) fn path(dir: &Path) -> PathBuf {
    dir.join(NAME)
}

fn encode(sequence: u64, erasure: &Erasure) -> Vec<u8> {
    let body = [&sequence.to_le_bytes()[..], &erasure.encode()].concat();
    [&MAGIC[..], &crc32c::crc32c(&body).to_le_bytes(), &body].concat()
}

fn decode(bytes: &[u8]) -> Option<(u64, Erasure)> {
    let (head, rest) = bytes.split_first_chunk::<HEADER_BYTES>()?;
    let crc = u32::from_le_bytes(head[8..12].try_into().ok()?);
    if head[..8] != *MAGIC || crc32c::crc32c(&bytes[12..]) != crc {
        return None;
    }
    let sequence = u64::from_le_bytes(head[12..].try_into().ok()?);
    Some((sequence, Erasure::decode(rest)?))
}

fn write(env: &Env, path: &Path, bytes: &[u8]) -> std::result::Result<(), IoError> {
    let file = env.disk().open(path, OpenHow::OpenOrCreate, FileKind::Meta)?;
    file.set_len(0)?;
    file.write_at(0, bytes)?;
    file.sync_data()?;
    env.disk().sync_dir(path.parent().unwrap_or(path))
}

fn read(env: &Env, path: &Path) -> std::result::Result<Option<Vec<u8>>, IoError> {
    if !env.disk().exists(path)? {
        return Ok(None);
    }
    let file = env.disk().open(path, OpenHow::Read, FileKind::Meta)?;
    let len = usize::try_from(file.len()?).unwrap_or(usize::MAX);
    let mut bytes = vec![0; len];
    let read = file.read_at(0, &mut bytes)?;
    bytes.truncate(read);
    Ok(Some(bytes))
}

/// What a salvage finds of an erasure under way.
pub(crate) enum Noted {
    /// There is none.
    Nothing,
    /// The file cannot be read.
    Damaged,
    /// The commit that makes it be, and the file.
    Of { commit: (u64, Timestamp), bytes: Vec<u8> },
}

/// Reads the note of a store that nobody has open.
pub(crate) fn noted(env: &Env, dir: &Path) -> std::result::Result<Noted, IoError> {
    let Some(bytes) = read(env, &path(dir))? else { return Ok(Noted::Nothing) };
    Ok(match decode(&bytes) {
        Some((sequence, erasure)) => Noted::Of { commit: (sequence, erasure.up_to), bytes },
        None => Noted::Damaged,
    })
}

/// Writes a note, to be followed by who opens the store.
pub(crate) fn write_note(env: &Env, dir: &Path, bytes: &[u8]) -> std::result::Result<(), IoError> {
    write(env, &path(dir), bytes)
}

impl<E: Engine, C: ConcurrencyControl> Shared<E, C> {
    /// Finishes the erasure that is committed, if one is.
    ///
    /// # Errors
    /// Storage, or somebody still reads the log: it stays pending.
    pub(crate) fn finish_erasure(
        &self,
        pending: &mut Option<Erasure>,
    ) -> driftdb_storage::Result<()> {
        let Some(erasure) = pending else { return Ok(()) };
        self.erase_bytes(erasure)?;
        preemption_point("mvcc.erase-before-note-goes");
        let disk = self.env.disk();
        let path = &self.erasing.path;
        match disk.remove(path) {
            Err(error) if !error.is_not_found() => return Err(error.into()),
            _ => {}
        }
        disk.sync_dir(path.parent().unwrap_or(path))?;
        *pending = None;
        Ok(())
    }

    /// As [`Shared::finish_erasure`], of whatever is pending.
    pub(crate) fn finish_pending_erasure(&self) -> driftdb_storage::Result<()> {
        self.finish_erasure(&mut self.erasing.pending.lock())
    }

    fn erase_bytes(&self, erasure: &Erasure) -> driftdb_storage::Result<()> {
        let mut checkpoints = self.maintenance.maintaining.lock();
        self.refresh_retention();
        preemption_point("mvcc.erase-begin");
        self.wal.begin_afresh()?;
        // A record of its own, so that the segment before can go whether or not anybody commits.
        self.commit_system(WriteBatch::new()).map_err(storage_error)?;
        preemption_point("mvcc.erase-log-begun");
        self.engine.erase(erasure, &self.wal)?;
        preemption_point("mvcc.erase-engine-done");
        let durable = self.engine.durable().lsn;
        if planted!("mvcc.erased-log-stays") {
            return Ok(());
        }
        let start = self.env.now();
        while !self.wal.forget_before(durable)? {
            if self.env.now().saturating_sub(start) > READER_WAIT {
                let why = "somebody still reads the log";
                let busy = io::Error::new(io::ErrorKind::ResourceBusy, why);
                return Err(IoError::new(IoOp::Remove, &self.erasing.path, busy).into());
            }
            self.env.sleep(READER_LOOK);
        }
        checkpoints.released = checkpoints.released.max(durable);
        Ok(())
    }

    /// What a crash left of an erasure: it is finished if its commit came to be. Nobody reads yet.
    pub(crate) fn recover_erasure(&self) -> driftdb_storage::Result<()> {
        let path = &self.erasing.path;
        let Some(bytes) = read(&self.env, path)? else { return Ok(()) };
        // One that was not written wholly has no commit.
        if let Some((sequence, erasure)) = decode(&bytes) {
            let is_committed = match self.timestamp_of_sequence(sequence) {
                Ok(ts) => ts == erasure.up_to,
                Err(TxnError::UnknownSequence { .. }) => false,
                Err(error) => return Err(storage_error(error)),
            };
            if is_committed && E::HAS_FILES {
                let mut pending = self.erasing.pending.lock();
                *pending = Some(erasure);
                return match self.finish_erasure(&mut pending) {
                    // It must not keep the database shut: nobody reads what was erased through history
                    // that is complete, and a checkpoint tries again.
                    Err(StorageError::Io(error)) if error.is_disk_full() => Ok(()),
                    finished => finished,
                };
            }
        }
        self.env.disk().remove(path)?;
        Ok(self.env.disk().sync_dir(path.parent().unwrap_or(path))?)
    }
}

/// What a system commit fails with: nothing of a transaction is among it.
fn storage_error(error: TxnError) -> StorageError {
    match error {
        TxnError::Storage(error) | TxnError::OutcomeUnknown { source: error } => error,
        other => StorageError::Internal(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_wholly_or_not() {
        let mut erasure = Erasure::default();
        erasure.add_key(KeyspaceId(1024), b"k");
        let erasure = erasure.limited_to(Timestamp(7));
        let bytes = encode(3, &erasure);
        assert_eq!(decode(&bytes), Some((3, erasure)));
        for len in 0..bytes.len() {
            assert_eq!(decode(&bytes[..len]), None);
        }
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            assert_eq!(decode(&flipped), None);
        }
    }
}
