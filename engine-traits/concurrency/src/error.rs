//! What can end a transaction, with the evidence.

use driftdb_storage::{ErrorKind, StorageError, Timestamp};

/// The result of a transactional call.
pub type Result<T> = std::result::Result<T, TxnError>;

/// An error of a transaction. After any of them the transaction can only be rolled back (wholly or
/// to a savepoint).
#[derive(Debug, Clone, thiserror::Error)]
pub enum TxnError {
    /// The engine or the log.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A row was changed by a transaction that committed after this one's snapshot (40001).
    #[error("could not serialize access due to concurrent update")]
    ConcurrentUpdate,
    /// No serial order explains what was read and written (40001).
    #[error("could not serialize access due to read/write dependencies among transactions")]
    ReadWriteDependency {
        /// Which edge of the pattern closed it.
        detail: String,
    },
    /// Chosen as the victim of a deadlock (40P01).
    #[error("deadlock detected")]
    Deadlock {
        /// Who waited for whom.
        detail: String,
    },
    /// A lock is held by another and the caller did not want to wait (55P03).
    #[error("could not obtain lock on row")]
    LockNotAvailable,
    /// Waited for a lock longer than `lock_timeout` (55P03).
    #[error("canceling statement due to lock timeout")]
    LockTimeout,
    /// The user or a timeout asked to stop (57014).
    #[error("canceling statement due to user request")]
    Canceled,
    /// A write in a read-only or historical transaction (25006).
    #[error("cannot write in a read-only transaction")]
    ReadOnly,
    /// The log failed while this commit was on its way: it may or may not be durable (08007).
    #[error("the outcome of the commit is unknown: {source}")]
    OutcomeUnknown {
        /// What the log reported.
        source: StorageError,
    },
    /// An erasure is committed, so that nobody reads what was erased, but bytes of it are still in files.
    #[error("the rows are erased, but not yet from every file: {source}")]
    ErasureUnfinished {
        /// What stands in the way.
        source: StorageError,
    },
    /// A time that has not been reached.
    #[error("cannot read as of {requested}: it is in the future")]
    FutureTime {
        /// The time asked for.
        requested: Timestamp,
    },
    /// A commit sequence number that was never given out.
    #[error("commit sequence number {requested} does not exist: the newest is {newest}")]
    UnknownSequence {
        /// The number asked for.
        requested: u64,
        /// The newest there is.
        newest: u64,
    },
    /// The store is closing.
    #[error("the database is shutting down")]
    ShuttingDown,
}

impl TxnError {
    /// What the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Storage(error) => error.kind(),
            Self::ConcurrentUpdate | Self::ReadWriteDependency { .. } | Self::Deadlock { .. } => {
                ErrorKind::Retry
            }
            Self::LockNotAvailable
            | Self::LockTimeout
            | Self::OutcomeUnknown { .. }
            | Self::ErasureUnfinished { .. }
            | Self::ShuttingDown => ErrorKind::Unavailable,
            Self::Canceled
            | Self::ReadOnly
            | Self::FutureTime { .. }
            | Self::UnknownSequence { .. } => ErrorKind::Invalid,
        }
    }
}
