//! Checking what is on disk, and telling how far the check is.

use driftdb_storage::{Damage, Result, StorageError, VerifyDepth, VerifyReport};

use crate::engine::LsmEngine;
use crate::manifest;
use crate::table;

/// A check under way.
pub(crate) struct Checking<'a> {
    pub(crate) depth: VerifyDepth,
    report: &'a mut dyn VerifyReport,
    done_bytes: u64,
    total_bytes: u64,
}

impl<'a> Checking<'a> {
    pub(crate) fn new(
        depth: VerifyDepth,
        report: &'a mut dyn VerifyReport,
        total_bytes: u64,
    ) -> Self {
        Self { depth, report, done_bytes: 0, total_bytes }
    }

    pub(crate) fn damage(&mut self, damage: Damage) {
        self.report.damage(damage);
    }

    /// Reports damage; gives what is whole; passes other errors.
    pub(crate) fn whole<T>(&mut self, result: Result<T>) -> Result<Option<T>> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(StorageError::Corruption(damage)) => {
                self.report.damage(damage);
                Ok(None)
            }
            Err(other) => Err(other),
        }
    }

    /// So many more bytes have been checked.
    pub(crate) fn advance(&mut self, bytes: u64) {
        self.done_bytes = self.total_bytes.min(self.done_bytes + bytes);
        self.report.progress(self.done_bytes, self.total_bytes);
    }
}

impl LsmEngine {
    pub(crate) fn check(&self, depth: VerifyDepth, report: &mut dyn VerifyReport) -> Result<()> {
        // No step may replace the manifest between reading it and comparing.
        let state = self.maintenance.lock();
        let on_disk = manifest::load(&self.env, &self.dir);
        let version = self.present.version();
        let total_bytes = version.tables().map(|table| table.meta().size_bytes).sum();
        let mut checking = Checking::new(depth, report, total_bytes);
        match checking.whole(on_disk)? {
            Some(Some(on_disk)) if on_disk.generation == state.manifest.generation => {}
            Some(_) => {
                let file = self.dir.join(manifest::NAME).display().to_string();
                let what = "the manifest is not the one that was written last";
                checking.damage(Damage::new(file, 0, what));
            }
            None => {}
        }
        drop(state);
        let mut before_bytes = 0;
        for table in version.tables() {
            table::check_table(table, &mut checking)?;
            before_bytes += table.meta().size_bytes;
            let rest_bytes = before_bytes.saturating_sub(checking.done_bytes);
            checking.advance(rest_bytes);
        }
        Ok(())
    }
}
