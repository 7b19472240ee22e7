//! A file in memory, mapped: for immutable files only.
#![expect(unsafe_code, reason = "a mapping is only as immutable as its file")]

use std::fs;
use std::io;

use memmap2::Mmap;

/// A whole file.
pub(super) struct Map {
    bytes: Mmap,
}

impl Map {
    /// Maps a file; `None` for an empty one, of which there is nothing to map.
    pub(super) fn new(file: &fs::File) -> io::Result<Option<Self>> {
        if file.metadata()?.len() == 0 {
            return Ok(None);
        }
        // SAFETY: files of kind Table are complete and synced before they are opened for reading, and never
        // written again (the contract of `FileKind::Table`); the data directory's lock keeps other
        // processes of ours away. If somebody else changes the file all the same, checksums of what is
        // copied out fail, or the process ends by SIGBUS; `copy_at` never keeps a reference.
        let bytes = unsafe { Mmap::map(file)? };
        Ok(Some(Self { bytes }))
    }

    /// Copies bytes out; fewer only at the end of the file.
    pub(super) fn copy_at(&self, offset: u64, buf: &mut [u8]) -> usize {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.bytes.len());
        let len = buf.len().min(self.bytes.len() - start);
        buf[..len].copy_from_slice(&self.bytes[start..start + len]);
        len
    }
}
