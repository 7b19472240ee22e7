//! The one log: segmented, checksummed, group-committed.
//!
//! Every commit of the system is one record here, whatever the engine; engines keep no log of their
//! own and say from which position they need replay. A record is opaque bytes and is named by its
//! [`Lsn`], the position just after it.
//!
//! * [`Wal::append`] copies a record into memory and names it; [`Wal::wait_durable`] returns when it
//!   is on disk. Whoever waits first flushes for all (group commit), with one sync per group.
//! * Segments are zero-filled once and used again, so that a sync writes data and no metadata.
//! * Checksums cover the place of a record, so that torn, misdirected and stale records fail; each
//!   record also says up to where the log was synced when it was appended, by which recovery
//!   tells a torn tail (cut) from damage in the middle (refused).
//! * The first failed write or sync poisons the log: nothing more is acknowledged, nothing is
//!   retried. A disk too full for the next segment is only an error of the append that needs it.
//! * [`WalReader`]s follow the log and pin what they have not read.
//!
//! One process at a time may open a directory; the server's directory lock sees to that.
//! Format: `docs/formats/wal.md`. Sources: research/storage.md D10, D11, 3.3-3.5; [Mohan92] for the
//! rule that the log comes first, [DeWitt84] for group commit, [Rebello20] for failed syncs.

mod begun;
mod cursor;
mod flush;
mod format;
mod log;
mod options;
mod reader;
mod recovery;
mod salvage;
mod segment;
mod verify;

use std::path::Path;
use std::sync::Arc;

use driftdb_env::Env;
use driftdb_env::sync::atomic::Ordering;
use driftdb_storage::{LogBarrier, Lsn, Result, StorageError};

use crate::format::FIRST_LSN;
use crate::log::Log;
pub use crate::options::WalOptions;
pub use crate::reader::{WalReader, WalStep};
use crate::recovery::Extent;
use crate::segment::segment_numbers;

/// An open log. Shared by reference between threads.
pub struct Wal {
    log: Arc<Log>,
}

impl std::fmt::Debug for Wal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wal").field("dir", &self.log.dir).finish_non_exhaustive()
    }
}

impl Wal {
    /// Opens the log in `dir`, creating it when there is none. Reads all of it to find its end,
    /// cuts what a crash left half-written, and makes both durable before it returns.
    ///
    /// # Errors
    /// I/O, also while reading: an unreadable record is not the end of the log. Damage before the
    /// end. A newer format.
    pub fn open(env: &Env, dir: &Path, options: &WalOptions) -> Result<Self> {
        Ok(Self { log: Arc::new(Log::open(env, dir, options, FIRST_LSN, Extent::Whole)?) })
    }

    /// As [`Wal::open`], but reads the records of the last segment only. For a caller that goes on with
    /// [`Wal::replay`], which reads and checks the records it visits: together they read the log once.
    /// Damage to records that are not replayed is left for [`Wal::verify`] to find.
    ///
    /// # Errors
    /// As [`Wal::open`]; damage to records before the last segment is not among them.
    pub fn open_to_replay(env: &Env, dir: &Path, options: &WalOptions) -> Result<Self> {
        let extent = Extent::LastSegment;
        Ok(Self { log: Arc::new(Log::open(env, dir, options, FIRST_LSN, extent)?) })
    }

    /// Makes a new, empty log in `dir` whose first record will begin at `lsn` (or at the first position
    /// there is): for an engine that is complete up to there already, a copy or a converted one.
    ///
    /// # Errors
    /// I/O; there is a log already.
    pub fn create_at(env: &Env, dir: &Path, options: &WalOptions, lsn: Lsn) -> Result<Self> {
        env.disk().create_dir_all(dir)?;
        if let Some(number) = segment_numbers(env, dir)?.first() {
            return Err(StorageError::WrongDirectory {
                dir: dir.display().to_string(),
                found: format!("log segment {number:08x}"),
                expected: "no log yet".to_owned(),
            });
        }
        Ok(Self { log: Arc::new(Log::open(env, dir, options, lsn.max(FIRST_LSN), Extent::Whole)?) })
    }

    /// Calls `visit` with each record whose end is after `after`, in order: its end and payload.
    /// Sees what is durable when it gets there.
    ///
    /// # Errors
    /// Those of `visit`, at once. Damage, and also when the log does not reach `after`, or no longer
    /// has what follows it: then something acknowledged is missing.
    pub fn replay(
        &self,
        after: Lsn,
        visit: &mut dyn FnMut(Lsn, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut reader = self.reader(after)?;
        loop {
            match reader.step()? {
                WalStep::Record { end, payload } => visit(end, payload)?,
                WalStep::CaughtUp(_) => return Ok(()),
                WalStep::Gone { oldest } => {
                    let dir = self.log.dir.display().to_string();
                    let what = format!("the log begins at {oldest}, but is needed from {after}");
                    return Err(StorageError::corruption(dir, 0, what));
                }
            }
        }
    }

    /// Adds one record, the concatenation of `payload`, and returns the position after it. The
    /// record is in memory only until [`Wal::wait_durable`]. Costs a checksum outside and a copy
    /// under the latch; rarely a flush (buffer full) or a new segment.
    ///
    /// # Errors
    /// More than 1 GiB; a poisoned log. [`StorageError::Io`] with a full disk if there is no room
    /// for another segment: nothing was added, and a later append may succeed.
    pub fn append(&self, payload: &[&[u8]]) -> Result<Lsn> {
        self.log.append(payload)
    }

    /// Returns when every record that ends at or before `lsn` is durable; flushes if nobody does.
    ///
    /// # Errors
    /// The log is poisoned: whether the record is durable is unknown until the log is reopened.
    /// `lsn` lies past the end.
    pub fn wait_durable(&self, lsn: Lsn) -> Result<()> {
        self.log.wait_durable(lsn)
    }

    /// The position up to which the log is durable.
    pub fn durable(&self) -> Lsn {
        Lsn(self.log.durable.load(Ordering::Acquire))
    }

    /// The position after the last record appended.
    pub fn tail(&self) -> Lsn {
        self.log.state.lock().tail
    }

    /// Gives up segments that hold only records ending at or before `lsn` and that no reader
    /// needs. Their files become spares or are removed, durably and oldest first.
    ///
    /// # Errors
    /// I/O, which poisons the log; a poisoned log.
    pub fn release_before(&self, lsn: Lsn) -> Result<()> {
        self.log.release_before(lsn)
    }

    /// The first half of forgetting bytes: the next record begins a segment in a file that never held
    /// another one; spares and prepared segments are removed, durably. Then, once a record was appended and
    /// everything before it is needed no more, [`Wal::forget_before`].
    ///
    /// # Errors
    /// I/O, which poisons the log; a poisoned log.
    pub fn begin_afresh(&self) -> Result<()> {
        self.log.begin_afresh()
    }

    /// As [`Wal::release_before`], but no file becomes a spare. Whether no byte is left in the directory of
    /// records from before [`Wal::begin_afresh`]: not if `lsn` lies before the next record after it, that
    /// record is not durable, or a reader pins the log.
    ///
    /// # Errors
    /// As [`Wal::release_before`].
    pub fn forget_before(&self, lsn: Lsn) -> Result<bool> {
        self.log.forget_before(lsn)
    }

    /// A reader of the records whose end is after `after`. It pins them while it lives; if they are
    /// gone already, its first step says so.
    ///
    /// # Errors
    /// [`StorageError::Corruption`] if the log does not reach `after`.
    pub fn reader(&self, after: Lsn) -> Result<WalReader> {
        WalReader::open(Arc::clone(&self.log), after)
    }

    /// Reports figures since open: `syncs`, `bytes` (written, headers included), `records`
    /// (appended), `waits` (calls that found their record not yet durable).
    pub fn stats(&self, out: &mut dyn FnMut(&'static str, u64)) {
        let counts = &self.log.counts;
        out("syncs", counts.syncs.load(Ordering::Relaxed));
        out("bytes", counts.bytes.load(Ordering::Relaxed));
        out("records", counts.records.load(Ordering::Relaxed));
        out("waits", counts.waits.load(Ordering::Relaxed));
    }
}

impl LogBarrier for Wal {
    fn wait_durable(&self, lsn: Lsn) -> Result<()> {
        Self::wait_durable(self, lsn)
    }
}
