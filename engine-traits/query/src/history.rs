//! Statements that operate on history.

use driftdb_storage::Timestamp;

/// A statement that operates on history. It needs no plan.
#[derive(Debug, Clone, PartialEq)]
pub enum HistoryStatement {
    /// CREATE RESTORE POINT
    CreateRestorePoint {
        /// Its name.
        name: String,
        /// AS OF; `None`: the statement's snapshot.
        at: Option<Timestamp>,
        /// WITH (pin): its moment stays readable past any retention.
        pin: bool,
    },
    /// DROP RESTORE POINT
    DropRestorePoint {
        /// Its name.
        name: String,
        /// IF EXISTS
        if_exists: bool,
    },
}

impl HistoryStatement {
    /// The command tag, without counts.
    pub fn command(&self) -> &'static str {
        match self {
            Self::CreateRestorePoint { .. } => "CREATE RESTORE POINT",
            Self::DropRestorePoint { .. } => "DROP RESTORE POINT",
        }
    }
}
