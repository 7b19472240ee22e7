//! A copy of a running store: the engine's copy, then the log after it.
//!
//! A reader pins the log before the engine is copied, so that nothing which the copy will need is
//! released meanwhile. Log positions are counted in bytes of records, so the copied log has the same
//! positions as this one, and the engine's copy fits it.

use std::path::Path;

use driftdb_concurrency::ConcurrencyControl;
use driftdb_env::directory;
use driftdb_storage::{BackupReport, Engine, Result, StorageError};
use driftdb_wal::{Wal, WalOptions, WalReader, WalStep};

use crate::store::Shared;

/// How often the pin may come too late: each time a checkpoint was quicker.
const PIN_TRIES: usize = 16;

impl<E: Engine, C: ConcurrencyControl> Shared<E, C> {
    /// Copies engine and log into `dir`, which is made. Every commit acknowledged before the call is
    /// in the copy. If it fails, what was made of the copy is removed as far as possible.
    pub(crate) fn back_up(&self, dir: &Path, base: Option<&Path>) -> Result<BackupReport> {
        // The copy would have what is to go, and not know it.
        self.finish_pending_erasure()?;
        let disk = self.env.disk();
        directory::create_empty_dir(disk, dir)?;
        let copied = self.copy_into(dir, base);
        if copied.is_err() {
            // Best effort: the error that the caller gets is the first.
            drop(directory::remove_dir_all(disk, dir));
        }
        copied
    }

    fn copy_into(&self, dir: &Path, base: Option<&Path>) -> Result<BackupReport> {
        let pin = self.pin_log()?;
        let base = base.map(|base| base.join("engine"));
        let mut report = self.engine.backup(&dir.join("engine"), base.as_deref())?;
        // An engine without files made none.
        self.env.disk().create_dir_all(&dir.join("engine"))?;
        let mut reader = self.wal.reader(report.at.lsn)?;
        drop(pin);
        let options = WalOptions { spare_segment_count: 0, ..WalOptions::default() };
        let log = Wal::create_at(&self.env, &dir.join("wal"), &options, report.at.lsn)?;
        let start = log.tail();
        loop {
            match reader.step()? {
                WalStep::Record { payload, .. } => {
                    log.append(&[payload])?;
                }
                WalStep::CaughtUp(_) => break,
                WalStep::Gone { oldest } => {
                    let text = format!("the log was released up to {oldest} under a backup");
                    return Err(StorageError::Internal(text));
                }
            }
        }
        log.wait_durable(log.tail())?;
        report.copied_bytes += log.tail().0 - start.0;
        Ok(report)
    }

    /// A reader of the log from where a restart would begin.
    fn pin_log(&self) -> Result<WalReader> {
        for _ in 0..PIN_TRIES {
            let mut reader = self.wal.reader(self.engine.durable().lsn)?;
            if !matches!(reader.step()?, WalStep::Gone { .. }) {
                return Ok(reader);
            }
        }
        Err(StorageError::Internal("the log is released faster than it can be pinned".to_owned()))
    }
}
