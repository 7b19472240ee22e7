//! What can go wrong in storage, with the evidence.

use driftdb_env::IoError;

use crate::{Damage, KeyspaceId, Timestamp};

/// The result of a storage call.
pub type Result<T> = std::result::Result<T, StorageError>;

/// What the caller can do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Conflict or deadlock victim: run the transaction again.
    Retry,
    /// The request is wrong: change it.
    Invalid,
    /// Disk full or shutting down: later, or elsewhere.
    Unavailable,
    /// Stored bytes are not what was written: stop, then repair.
    Corruption,
    /// Our mistake: report it.
    Internal,
}

/// An error of an engine or of the log.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StorageError {
    /// The world refused.
    #[error(transparent)]
    Io(#[from] IoError),
    /// Stored bytes are not what was written.
    #[error("corrupt data in {0}")]
    Corruption(Damage),
    /// The asked time is no longer remembered.
    #[error("cannot read as of {requested}: history is kept since {oldest}")]
    SnapshotTooOld {
        /// The time asked for.
        requested: Timestamp,
        /// The oldest time that can be read.
        oldest: Timestamp,
    },
    /// The keyspace does not exist at that time.
    #[error("keyspace {space} does not exist as of {at}")]
    UnknownKeyspace {
        /// Which.
        space: KeyspaceId,
        /// When.
        at: Timestamp,
    },
    /// A request is larger than the storage takes.
    #[error("{what} of {size_bytes} bytes exceeds the limit of {limit_bytes} bytes")]
    TooLarge {
        /// What, as a noun.
        what: &'static str,
        /// Its size.
        size_bytes: u64,
        /// The most that is taken.
        limit_bytes: u64,
    },
    /// An earlier write or sync failed; nothing more is accepted until reopened.
    #[error("storage stopped after an earlier failure: {first}")]
    Poisoned {
        /// The first error, as text.
        first: String,
    },
    /// The files are of a format this program does not read.
    #[error("{file}: format version {found} is not supported (this program reads {supported})")]
    FormatVersion {
        /// The file.
        file: String,
        /// Its version.
        found: u32,
        /// What this program reads.
        supported: u32,
    },
    /// The directory holds something else.
    #[error("\"{dir}\" holds {found}, not {expected}")]
    WrongDirectory {
        /// The directory.
        dir: String,
        /// What is in it.
        found: String,
        /// What was asked for.
        expected: String,
    },
    /// A broken invariant of ours.
    #[error("internal error: {0}")]
    Internal(String),
}

impl StorageError {
    /// What the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Io(_) | Self::Poisoned { .. } => ErrorKind::Unavailable,
            Self::Corruption(_) => ErrorKind::Corruption,
            Self::SnapshotTooOld { .. }
            | Self::UnknownKeyspace { .. }
            | Self::TooLarge { .. }
            | Self::FormatVersion { .. }
            | Self::WrongDirectory { .. } => ErrorKind::Invalid,
            Self::Internal(_) => ErrorKind::Internal,
        }
    }

    /// Damage at a place.
    pub fn corruption(file: impl Into<String>, offset_bytes: u64, what: impl Into<String>) -> Self {
        Self::Corruption(Damage::new(file, offset_bytes, what))
    }
}
