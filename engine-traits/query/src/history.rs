//! Statements that operate on history.

use std::sync::Arc;

use driftdb_concurrency::ReadAt;
use driftdb_storage::Timestamp;

use crate::{Expr, Related, RowRules, Table};

/// A table at a moment.
#[derive(Debug, Clone, PartialEq)]
pub struct TableAt {
    /// The table, with the schema of the moment.
    pub table: Arc<Table>,
    /// The moment.
    pub at: ReadAt,
}

/// A table whose rows are put back, as it is now.
#[derive(Debug, Clone, PartialEq)]
pub struct RestoredTable {
    /// The table.
    pub table: Arc<Table>,
    /// What new rows have to go through, over the whole row (`Expr::Slot`).
    pub checks: RowRules,
    /// The tables that it refers to, and those that refer to it.
    pub related: Arc<Related>,
}

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
    /// RESTORE TABLE, RESTORE DATABASE
    Restore {
        /// Each table, with what it was.
        tables: Vec<(RestoredTable, Arc<Table>)>,
        /// To when.
        at: Timestamp,
        /// Whether these are all tables.
        is_database: bool,
        /// Tables that did not exist then: they go.
        created: Vec<Arc<Table>>,
        /// Tables that exist no more: they come back.
        dropped: Vec<Arc<Table>>,
    },
    /// ERASE
    Erase {
        /// From.
        table: Arc<Table>,
        /// The tables that it refers to, and those that refer to it.
        related: Arc<Related>,
        /// WHERE, over the whole row (`Expr::Slot`).
        filter: Option<Expr>,
    },
    /// UNDROP TABLE
    Undrop {
        /// What it was.
        was: Arc<Table>,
        /// When.
        at: Timestamp,
        /// Its name from now on.
        name: String,
    },
    /// UNDO TRANSACTION
    Undo {
        /// The commit's sequence number.
        sequence: u64,
        /// The commit's time.
        ts: Timestamp,
        /// Each table that the commit may have changed, with what it was just after the commit.
        tables: Vec<(RestoredTable, Arc<Table>)>,
        /// Tables that it may have changed and that are no more.
        gone: Vec<Arc<Table>>,
        /// ON CONFLICT SKIP: rows that were changed since stay as they are.
        skip_conflicts: bool,
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
            Self::Restore { is_database: false, .. } => "RESTORE TABLE",
            Self::Restore { is_database: true, .. } => "RESTORE DATABASE",
            Self::Erase { .. } => "ERASE",
            Self::Undo { .. } => "UNDO TRANSACTION",
            Self::Undrop { .. } => "UNDROP TABLE",
            Self::DropRestorePoint { .. } => "DROP RESTORE POINT",
        }
    }
}
