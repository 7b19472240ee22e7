//! What can go wrong at the edge: one operation on one path, and the system's own reason.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// The operation that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IoOp {
    /// Opening or creating a file.
    Open,
    /// Reading bytes.
    Read,
    /// Writing bytes.
    Write,
    /// Making written bytes durable.
    Sync,
    /// Changing a file's length.
    SetLen,
    /// Asking for a file's length or existence.
    Stat,
    /// Renaming.
    Rename,
    /// Giving a second name.
    Link,
    /// Removing.
    Remove,
    /// Listing a directory.
    List,
    /// Creating a directory.
    CreateDir,
    /// Making a directory's entries durable.
    SyncDir,
    /// Taking the lock that keeps a second process out.
    Lock,
}

impl fmt::Display for IoOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Read => "read",
            Self::Write => "write",
            Self::Sync => "sync",
            Self::SetLen => "resize",
            Self::Stat => "stat",
            Self::Rename => "rename",
            Self::Link => "link",
            Self::Remove => "remove",
            Self::List => "list",
            Self::CreateDir => "create directory",
            Self::SyncDir => "sync directory",
            Self::Lock => "lock",
        })
    }
}

/// An input or output operation that failed: what, where, why.
#[derive(Debug, thiserror::Error)]
#[error("could not {op} \"{}\": {source}", path.display())]
pub struct IoError {
    /// What was tried.
    pub op: IoOp,
    /// On which file or directory.
    pub path: PathBuf,
    /// The operating system's (or the simulator's) reason.
    #[source]
    pub source: io::Error,
}

impl IoError {
    /// Wraps `source` with what was tried and where.
    pub fn new(op: IoOp, path: &Path, source: io::Error) -> Self {
        Self { op, path: path.to_owned(), source }
    }

    /// Whether the file or directory was not there.
    pub fn is_not_found(&self) -> bool {
        self.source.kind() == io::ErrorKind::NotFound
    }

    /// Whether the disk, or the quota, is full.
    pub fn is_disk_full(&self) -> bool {
        matches!(
            self.source.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
        )
    }
}

impl Clone for IoError {
    /// Keeps kind and text (or the system's error number), so that a poisoned component can report
    /// its first error to every later caller.
    fn clone(&self) -> Self {
        let source = match self.source.raw_os_error() {
            Some(code) => io::Error::from_raw_os_error(code),
            None => io::Error::new(self.source.kind(), self.source.to_string()),
        };
        Self { op: self.op, path: self.path.clone(), source }
    }
}
