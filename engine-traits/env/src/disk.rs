//! Files and directories.
//!
//! The contract is POSIX's weakest reading. After a crash, bytes written but not synced may be
//! present, absent, or torn at any 512-byte sector, in any order; a created, renamed or removed name
//! is durable only after [`Disk::sync_dir`] of its directory. After a failed sync the fate of
//! everything unsynced is unknown, and a later sync that succeeds proves nothing about it
//! [Rebello20]: callers must poison themselves and never retry.

use std::path::Path;
use std::sync::Arc;

use crate::IoError;
use crate::kernel::preemption_point;

/// What a file is for: the simulator gives each kind its own faults, and statistics come for free.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileKind {
    /// A segment of the write-ahead log.
    Log,
    /// An immutable sorted table.
    Table,
    /// A file of pages that are replaced.
    Pages,
    /// A manifest, a superblock, a setting: small and precious.
    Meta,
    /// Spill and scratch: worthless after a crash.
    Temp,
}

/// How to open a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenHow {
    /// Existing, for reading only.
    Read,
    /// Existing, for reading and writing.
    ReadWrite,
    /// Must not exist yet; for reading and writing.
    CreateNew,
    /// Existing or new; for reading and writing.
    OpenOrCreate,
}

/// One entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirEntry {
    /// The bare name, without its directory.
    pub name: String,
    /// Whether it is a directory.
    pub is_dir: bool,
}

/// One read of many.
#[derive(Debug)]
pub struct ReadRequest<'a> {
    /// Where, in bytes.
    pub offset: u64,
    /// Where to; how many bytes to read.
    pub buf: &'a mut [u8],
    /// How many bytes were read; fewer than asked for only at the end of the file.
    pub read: usize,
}

/// An open file. Offsets are in bytes from the start; there is no shared position.
pub trait File: Send + Sync {
    /// Reads up to `buf.len()` bytes at `offset`; fewer only at the end of the file.
    ///
    /// # Errors
    /// The read failed; nothing is known about `buf`.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize, IoError>;

    /// Does several reads, in any order and perhaps all at once.
    ///
    /// # Errors
    /// One of the reads failed; nothing is known about any of the buffers.
    fn read_many(&self, requests: &mut [ReadRequest<'_>]) -> Result<(), IoError> {
        for request in requests {
            request.read = self.read_at(request.offset, request.buf)?;
        }
        Ok(())
    }

    /// Writes all of `data` at `offset`, growing the file if needed. Not durable until synced.
    ///
    /// # Errors
    /// The write failed, perhaps in part.
    fn write_at(&self, offset: u64, data: &[u8]) -> Result<(), IoError>;

    /// Makes written bytes (and a grown length) durable.
    ///
    /// # Errors
    /// The sync failed: treat everything unsynced in this file as lost, and do not retry.
    fn sync_data(&self) -> Result<(), IoError>;

    /// Writes all of `data` at `offset` and makes it durable, in as few calls as the world can.
    ///
    /// # Errors
    /// As [`File::write_at`] and [`File::sync_data`].
    fn write_sync(&self, offset: u64, data: &[u8]) -> Result<(), IoError> {
        self.write_at(offset, data)?;
        preemption_point("file.written-not-synced");
        self.sync_data()
    }

    /// Makes the file at least `len` bytes long, with real blocks of the disk behind all of them. What is
    /// new reads as zeroes.
    ///
    /// # Errors
    /// The disk is too full, or the write failed.
    fn reserve(&self, len: u64) -> Result<(), IoError> {
        const ZEROES: &[u8] = &[0; 64 << 10];
        let mut end = self.len()?;
        while end < len {
            let piece = (len - end).min(ZEROES.len() as u64);
            self.write_at(end, &ZEROES[..piece as usize])?;
            end += piece;
        }
        Ok(())
    }

    /// Cuts or extends (with zeroes) to `len` bytes.
    ///
    /// # Errors
    /// The length is unchanged or unknown.
    fn set_len(&self, len: u64) -> Result<(), IoError>;

    /// The length in bytes.
    ///
    /// # Errors
    /// The file could not be asked.
    fn len(&self) -> Result<u64, IoError>;

    /// Whether the file has no bytes.
    ///
    /// # Errors
    /// As [`File::len`].
    fn is_empty(&self) -> Result<bool, IoError> {
        Ok(self.len()? == 0)
    }
}

/// Held while a process owns a directory; released when dropped or when the process dies.
pub trait DiskLock: Send + Sync {}

/// A tree of directories and files.
pub trait Disk: Send + Sync {
    /// Opens or creates a file. A created name is durable only after [`Disk::sync_dir`].
    ///
    /// # Errors
    /// Not there, already there, no permission, or no space.
    fn open(&self, path: &Path, how: OpenHow, kind: FileKind) -> Result<Arc<dyn File>, IoError>;

    /// Renames a file over another, atomically for readers; durable after [`Disk::sync_dir`].
    ///
    /// # Errors
    /// `from` is not there, or the directory refuses.
    fn rename(&self, from: &Path, to: &Path) -> Result<(), IoError>;

    /// Gives a file a second name, in the same file system; durable after [`Disk::sync_dir`]. Both
    /// names are the same file from then on: only for files that never change.
    ///
    /// # Errors
    /// `from` is not there, `to` is, or the file system cannot (kind `CrossesDevices` or
    /// `Unsupported`): copy instead.
    fn hard_link(&self, from: &Path, to: &Path) -> Result<(), IoError>;

    /// Removes a file; durable after [`Disk::sync_dir`]. Open handles stay usable.
    ///
    /// # Errors
    /// Not there, or the directory refuses.
    fn remove(&self, path: &Path) -> Result<(), IoError>;

    /// The entries of a directory, sorted by name.
    ///
    /// # Errors
    /// Not there or not a directory.
    fn list(&self, dir: &Path) -> Result<Vec<DirEntry>, IoError>;

    /// Creates a directory and its missing parents, and makes the new names durable.
    ///
    /// # Errors
    /// The parent refuses.
    fn create_dir_all(&self, dir: &Path) -> Result<(), IoError>;

    /// Removes an empty directory, and makes that durable.
    ///
    /// # Errors
    /// Not there, not empty, or the parent refuses.
    fn remove_dir(&self, dir: &Path) -> Result<(), IoError>;

    /// Makes creations, renames and removals in `dir` durable.
    ///
    /// # Errors
    /// As for [`File::sync_data`].
    fn sync_dir(&self, dir: &Path) -> Result<(), IoError>;

    /// Whether a file or directory of that name exists.
    ///
    /// # Errors
    /// The parent could not be asked.
    fn exists(&self, path: &Path) -> Result<bool, IoError>;

    /// Takes the exclusive lock file at `path`, creating it; fails at once if another holds it.
    ///
    /// # Errors
    /// Held by another process (kind `WouldBlock`), or the file could not be made.
    fn lock(&self, path: &Path) -> Result<Box<dyn DiskLock>, IoError>;

    /// Bytes that an unprivileged process may still write to the file system of `path`.
    ///
    /// # Errors
    /// The file system could not be asked.
    fn free_bytes(&self, path: &Path) -> Result<u64, IoError>;
}
