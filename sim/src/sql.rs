//! A client of the simulated node: a session, its answers as numbers and text, and its errors sorted
//! by what they leave of the transaction.

use std::sync::Arc;

use driftdb_query::SqlError;
use driftdb_server::{Node, Session, SessionOptions};
use driftdb_types::{SqlState, Value};

/// Why a statement or transaction was refused.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// Conflict or deadlock: nothing of it is there; trying again makes sense.
    Retry,
    /// The store does not go on: nothing of it is there.
    Unavailable,
    /// It may be there.
    Unknown,
    /// The past is no longer promised.
    TooOld,
    /// Crashes, full and failing disks can never explain this.
    Violation(String),
}

impl From<SqlError> for Refusal {
    fn from(error: SqlError) -> Self {
        match error.state {
            SqlState::SerializationFailure | SqlState::DeadlockDetected => Self::Retry,
            SqlState::IoError | SqlState::DiskFull | SqlState::AdminShutdown => Self::Unavailable,
            SqlState::TransactionResolutionUnknown => Self::Unknown,
            SqlState::SnapshotTooOld => Self::TooOld,
            state => Self::Violation(format!("unexpected error {}: {error}", state.code())),
        }
    }
}

/// A client's connection.
pub(crate) struct Client {
    session: Session,
}

impl Client {
    pub(crate) fn new(node: &Arc<Node>) -> Result<Self, Refusal> {
        Ok(Self { session: Session::new(node, &SessionOptions::default())? })
    }

    /// Runs one statement with parameters; its rows.
    pub(crate) fn run(&mut self, text: &str, params: &[Value]) -> Result<Vec<Vec<Value>>, Refusal> {
        Ok(self.session.execute_with(text, params)?.rows)
    }

    /// Whether a query names a table that there is not.
    pub(crate) fn is_missing(&mut self, query: &str) -> Result<bool, Refusal> {
        match self.session.execute_with(query, &[]) {
            Ok(_) => Ok(false),
            Err(error) if error.state == SqlState::UndefinedTable => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// Runs statements as one string.
    pub(crate) fn script(&mut self, text: &str) -> Result<(), Refusal> {
        self.session.query(text)?;
        Ok(())
    }

    /// Runs `body` between BEGIN with `modes` and COMMIT; rolls back when it is refused.
    pub(crate) fn transaction<T>(
        &mut self,
        modes: &str,
        body: impl FnOnce(&mut Self) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        self.run(&format!("BEGIN {modes}"), &[])?;
        match body(self) {
            Ok(value) => {
                self.run("COMMIT", &[])?;
                Ok(value)
            }
            Err(refusal) => {
                self.run("ROLLBACK", &[])?;
                Err(refusal)
            }
        }
    }
}

/// A whole number of any width.
pub(crate) fn integer(value: &Value) -> Result<i64, Refusal> {
    match value {
        Value::Int4(number) => Ok(i64::from(*number)),
        Value::Int8(number) => Ok(*number),
        other => Err(Refusal::Violation(format!("{other:?} is not a whole number"))),
    }
}

/// A text.
pub(crate) fn text(value: &Value) -> Result<&str, Refusal> {
    match value {
        Value::Text(text) => Ok(text),
        other => Err(Refusal::Violation(format!("{other:?} is not a text"))),
    }
}
