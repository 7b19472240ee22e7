//! A copy of the durable tree: its pages, then superblocks that lead to them.
//!
//! The pin keeps checkpoints from reusing what is copied; free pages are left out, as a hole where the
//! file system can. Both superblocks of the copy say the same, one generation apart, so that it opens as
//! any page file does.

use std::path::Path;

use driftdb_env::{File, FileKind, OpenHow, directory};
use driftdb_storage::{BackupReport, Result};

use crate::engine::PageFile;
use crate::open::{name_file, new_path, read_free_pages, superblock_area};
use crate::superblock::Superblock;

/// Bytes copied at a time, at least one page.
const COPY_BYTES: usize = 1 << 20;

impl PageFile {
    pub(crate) fn back_up(&self, dir: &Path) -> Result<BackupReport> {
        directory::create_empty_dir(self.env.disk(), dir)?;
        let copied = self.copy_into(dir);
        if copied.is_err() {
            // Best effort: the error that the caller gets is the first.
            drop(directory::remove_dir_all(self.env.disk(), dir));
        }
        copied
    }

    fn copy_into(&self, dir: &Path) -> Result<BackupReport> {
        let (superblock, _pin) = self.readers.lock().pin_durable();
        let file = self.env.disk().open(&new_path(dir), OpenHow::CreateNew, FileKind::Pages)?;
        let mut copied_bytes = self.copy_pages(&*file, &superblock)?;
        // A file must hold all its pages, also the free ones at its end.
        file.set_len(self.pager.file_len(superblock.page_count))?;
        let before = Superblock { generation: superblock.generation - 1, ..superblock };
        let area = superblock_area(before, superblock);
        file.write_at(0, &area)?;
        copied_bytes += area.len() as u64;
        file.sync_data()?;
        name_file(&self.env, dir)?;
        Ok(BackupReport { at: superblock.commit, copied_bytes, linked_bytes: 0 })
    }

    /// Copies every page that is in use, neighbours together. Returns the bytes.
    fn copy_pages(&self, to: &dyn File, superblock: &Superblock) -> Result<u64> {
        let (free, _) = read_free_pages(&self.pager, superblock)?;
        let page_size = self.pager.page_size;
        let mut buffer = vec![0; COPY_BYTES.max(page_size)];
        let pages_at_once = (buffer.len() / page_size) as u64;
        let mut copied_bytes = 0;
        let mut next = 1;
        while next <= superblock.page_count {
            if free.contains(&next) {
                next += 1;
                continue;
            }
            let end = free.range(next..).next().copied().unwrap_or(superblock.page_count + 1);
            let count = (end - next).min(pages_at_once);
            let bytes = &mut buffer[..count as usize * page_size];
            let read = self.pager.file().read_at(self.pager.offset(next), bytes)?;
            if read < bytes.len() {
                return Err(self.pager.damage(next, "page beyond the end of the file"));
            }
            to.write_at(self.pager.offset(next), bytes)?;
            copied_bytes += read as u64;
            next += count;
        }
        Ok(copied_bytes)
    }
}
