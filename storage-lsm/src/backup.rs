//! A copy of what is durable: tables as hard links, and a manifest that names them.

use std::io::ErrorKind;
use std::path::Path;

use driftdb_env::{FileKind, IoError, OpenHow, directory};
use driftdb_storage::{BackupReport, Result};

use crate::engine::LsmEngine;
use crate::flush::record;
use crate::health::Failure;
use crate::keyspaces;
use crate::manifest::{self, Manifest};
use crate::table::{TableMeta, path_of};
use crate::version::Version;

impl LsmEngine {
    pub(crate) fn back_up(&self, dir: &Path, base: Option<&Path>) -> Result<BackupReport> {
        directory::create_empty_dir(self.env.disk(), dir)?;
        let copied = self.copy_into(dir, base);
        if copied.is_err() {
            // Best effort: the error that the caller gets is the first.
            drop(directory::remove_dir_all(self.env.disk(), dir));
        }
        copied
    }

    fn copy_into(&self, dir: &Path, base: Option<&Path>) -> Result<BackupReport> {
        // Tables stay on disk while a version that has them is held, unless something is erased.
        let _names = self.names.lock();
        let version = self.present.version();
        let mut report = BackupReport { at: version.durable, ..BackupReport::default() };
        for table in version.tables() {
            self.copy_table(table.meta(), dir, base, &mut report)?;
        }
        self.env.disk().sync_dir(dir)?;
        let manifest = manifest_of(&version);
        report.copied_bytes +=
            manifest::save(&self.env, dir, &manifest).map_err(Failure::into_error)?;
        Ok(report)
    }

    fn copy_table(
        &self,
        meta: &TableMeta,
        dir: &Path,
        base: Option<&Path>,
        report: &mut BackupReport,
    ) -> Result<()> {
        let (from, to) = (path_of(&self.dir, meta.file_id), path_of(dir, meta.file_id));
        if self.link(&from, &to)? {
            report.linked_bytes += meta.size_bytes;
            return Ok(());
        }
        let earlier = base.map(|base| path_of(base, meta.file_id));
        if let Some(earlier) = earlier
            && self.is_same_table(&from, &earlier, meta)?
            && self.link(&earlier, &to)?
        {
            report.linked_bytes += meta.size_bytes;
            return Ok(());
        }
        let copied =
            directory::copy_file(self.env.disk(), &from, &to, FileKind::Table, &mut |_| {})?;
        report.copied_bytes += copied;
        Ok(())
    }

    /// Makes a hard link; false if the file systems cannot.
    fn link(&self, from: &Path, to: &Path) -> Result<bool> {
        match self.env.disk().hard_link(from, to) {
            Ok(()) => Ok(true),
            Err(error) if cannot_link(&error) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether an earlier copy has the very table. Numbers begin anew in every database, so the tail
    /// is compared: index and footer name every block, and hold keys and timestamps to the nanosecond.
    fn is_same_table(&self, ours: &Path, theirs: &Path, meta: &TableMeta) -> Result<bool> {
        const TAIL_BYTES: u64 = 64 << 10;
        let disk = self.env.disk();
        if !disk.exists(theirs)? {
            return Ok(false);
        }
        let len = TAIL_BYTES.min(meta.size_bytes);
        let tail = |path: &Path| -> std::result::Result<(u64, Vec<u8>), IoError> {
            let file = disk.open(path, OpenHow::Read, FileKind::Table)?;
            let mut bytes = vec![0; len as usize];
            let read = file.read_at(meta.size_bytes - len, &mut bytes)?;
            bytes.truncate(read);
            Ok((file.len()?, bytes))
        };
        Ok(tail(ours)? == tail(theirs)?)
    }
}

fn cannot_link(error: &IoError) -> bool {
    matches!(
        error.source.kind(),
        ErrorKind::CrossesDevices
            | ErrorKind::Unsupported
            | ErrorKind::PermissionDenied
            | ErrorKind::TooManyLinks
    )
}

/// What a manifest says of a version.
fn manifest_of(version: &Version) -> Manifest {
    let last_file_id = version.tables().map(|table| table.meta().file_id).max();
    Manifest {
        generation: 1,
        durable: version.durable,
        next_file_id: last_file_id.unwrap_or(0) + 1,
        runs: version.runs.iter().map(|run| record(run)).collect(),
        keyspaces: keyspaces::known_at(&version.keyspaces, version.durable.ts),
        floors: (*version.floors).clone(),
    }
}
