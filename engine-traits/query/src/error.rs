//! An SQL error: everything PostgreSQL's ErrorResponse can say.

use driftdb_concurrency::TxnError;
use driftdb_storage::{StorageError, Timestamp};
use driftdb_types::{DataType, EvalContext, SqlState, Value, ValueError, write_text};

use crate::timestamptz_of;

/// The result of an SQL call.
pub type Result<T> = std::result::Result<T, SqlError>;

/// An error (or notice) on its way to the user.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SqlError {
    /// The condition.
    pub state: SqlState,
    /// Lower case, no full stop.
    pub message: String,
    /// A sentence.
    pub detail: Option<Box<str>>,
    /// A sentence that says what to do.
    pub hint: Option<Box<str>>,
    /// Where in the statement's text: characters from 1.
    pub position: Option<u32>,
    /// The table concerned.
    pub table: Option<Box<str>>,
    /// The column concerned.
    pub column: Option<Box<str>>,
    /// The constraint concerned.
    pub constraint: Option<Box<str>>,
    /// What was being done (COPY's line number).
    pub context: Option<Box<str>>,
}

impl SqlError {
    /// An error with a condition and a message.
    pub fn new(state: SqlState, message: impl Into<String>) -> Self {
        Self {
            state,
            message: message.into(),
            detail: None,
            hint: None,
            position: None,
            table: None,
            column: None,
            constraint: None,
            context: None,
        }
    }

    /// Something PostgreSQL does and this build does not: says what.
    pub fn unsupported(what: impl std::fmt::Display) -> Self {
        Self::new(SqlState::FeatureNotSupported, format!("{what} is not supported"))
    }

    /// A broken invariant of ours.
    pub fn internal(what: impl std::fmt::Display) -> Self {
        Self::new(SqlState::InternalError, format!("internal error: {what}"))
    }

    /// Adds a detail.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<Box<str>>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds a hint.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<Box<str>>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says which table it is whose history does not reach back so far; other errors stay as they are.
    #[must_use]
    pub fn about_table(mut self, table: &str) -> Self {
        if self.state == SqlState::SnapshotTooOld && self.table.is_none() {
            let read = format!("cannot read table \"{table}\" as of");
            self.message = self.message.replacen("cannot read as of", &read, 1);
            self.table = Some(table.into());
        }
        self
    }

    /// Adds a position, unless a more precise one is there.
    #[must_use]
    pub fn at(mut self, position: u32) -> Self {
        self.position.get_or_insert(position);
        self
    }

    /// Adds the constraint and its table.
    #[must_use]
    pub fn with_constraint(mut self, table: &str, constraint: &str) -> Self {
        self.table = Some(table.into());
        self.constraint = Some(constraint.into());
        self
    }

    /// Adds what was being done.
    #[must_use]
    pub fn with_context(mut self, context: impl Into<Box<str>>) -> Self {
        self.context = Some(context.into());
        self
    }
}

impl From<ValueError> for SqlError {
    fn from(error: ValueError) -> Self {
        let mut sql = Self::new(error.state, error.message);
        sql.detail = error.detail.map(Into::into);
        sql.hint = error.hint.map(Into::into);
        sql
    }
}

impl From<StorageError> for SqlError {
    fn from(error: StorageError) -> Self {
        let message = error.to_string();
        match error {
            StorageError::Io(io) if io.is_disk_full() => Self::new(SqlState::DiskFull, message)
                .with_hint("Free some space; the database goes on by itself."),
            StorageError::Io(_) => Self::new(SqlState::IoError, message),
            StorageError::Poisoned { .. } => Self::new(SqlState::IoError, message)
                .with_hint("Restart the server; recovery reads what is durable."),
            StorageError::Corruption(_) => Self::new(SqlState::DataCorrupted, message)
                .with_hint("Run driftdb verify --data DIR and restore what it names."),
            StorageError::SnapshotTooOld { requested, oldest } => Self::new(
                SqlState::SnapshotTooOld,
                format!(
                    "cannot read as of {}: history is kept since {}",
                    shown(requested),
                    shown(oldest)
                ),
            ),
            StorageError::UnknownKeyspace { .. } | StorageError::Internal(_) => {
                Self::new(SqlState::InternalError, message)
            }
            StorageError::TooLarge { .. } => Self::new(SqlState::ProgramLimitExceeded, message),
            StorageError::FormatVersion { .. } | StorageError::WrongDirectory { .. } => {
                Self::new(SqlState::ObjectNotInPrerequisiteState, message)
            }
        }
    }
}

impl From<TxnError> for SqlError {
    fn from(error: TxnError) -> Self {
        let message = error.to_string();
        match error {
            TxnError::Storage(error) => error.into(),
            TxnError::ConcurrentUpdate => Self::new(SqlState::SerializationFailure, message),
            TxnError::ReadWriteDependency { detail } => {
                Self::new(SqlState::SerializationFailure, message)
                    .with_detail(detail)
                    .with_hint("The transaction might succeed if retried.")
            }
            TxnError::Deadlock { detail } => {
                Self::new(SqlState::DeadlockDetected, message).with_detail(detail)
            }
            TxnError::LockNotAvailable | TxnError::LockTimeout => {
                Self::new(SqlState::LockNotAvailable, message)
            }
            TxnError::Canceled => Self::new(SqlState::QueryCanceled, message),
            TxnError::ReadOnly => Self::new(SqlState::ReadOnlySqlTransaction, message),
            TxnError::OutcomeUnknown { .. } => {
                Self::new(SqlState::TransactionResolutionUnknown, message)
                    .with_hint("After the restart, look whether its effects are there.")
            }
            TxnError::ErasureUnfinished { source } => {
                let state = Self::from(source).state;
                Self::new(state, message)
                    .with_hint("CHECKPOINT finishes it, as does the next start of the server.")
            }
            TxnError::FutureTime { requested } => Self::new(
                SqlState::InvalidParameterValue,
                format!("cannot read as of {}: it is in the future", shown(requested)),
            ),
            TxnError::UnknownSequence { .. } => Self::new(SqlState::InvalidParameterValue, message),
            TxnError::ShuttingDown => Self::new(SqlState::AdminShutdown, message),
        }
    }
}

/// The time of a commit for people: in UTC, to the microsecond.
fn shown(ts: Timestamp) -> String {
    let mut text = Vec::new();
    let value = Value::Timestamptz(timestamptz_of(ts));
    write_text(&value, DataType::Timestamptz, &EvalContext::default(), &mut text);
    String::from_utf8_lossy(&text).into_owned()
}
