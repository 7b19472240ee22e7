//! The feed of changes: what every commit did to rows, in the order of commits.
//!
//! Of one table, with its columns before and after; or of every table, with rows as texts.

use std::sync::Arc;
use std::time::Duration;

use driftdb_storage::Timestamp;
use driftdb_types::DataType;

use crate::Table;

/// A scan of changes.
#[derive(Debug, Clone, PartialEq)]
pub struct ChangesScan {
    /// Of which table, as its rows are shown; `None`: of all.
    pub table: Option<Arc<Table>>,
    /// What was committed later than this.
    pub after: Timestamp,
    /// And not later than this; `None`: up to the statement's snapshot.
    pub up_to: Option<Timestamp>,
    /// Goes on with what is committed from then on, until somebody ends it; and says at least so often up
    /// to where everything has been given.
    pub follow: Option<Duration>,
}

/// Columns that every change has.
const COMMON: [(&str, DataType); 7] = [
    ("seq", DataType::Int8),
    ("ordinal", DataType::Int8),
    ("committed_at", DataType::Timestamptz),
    ("user_name", DataType::Text),
    ("application_name", DataType::Text),
    ("comment", DataType::Text),
    ("op", DataType::Text),
];

/// Columns of a change of any table.
const OF_ANY_TABLE: [(&str, DataType); 3] =
    [("table_name", DataType::Text), ("old", DataType::Text), ("new", DataType::Text)];

impl ChangesScan {
    /// The position of the column that says what happened.
    pub const OP: usize = 6;

    /// Its columns: name, type, and the type's modifier.
    pub fn columns(&self) -> Vec<(String, DataType, i32)> {
        let plain = |(name, ty): &(&str, DataType)| ((*name).to_owned(), *ty, -1);
        let mut columns: Vec<_> = COMMON.iter().map(plain).collect();
        match &self.table {
            None => columns.extend(OF_ANY_TABLE.iter().map(plain)),
            Some(table) => columns.extend(["old", "new"].iter().flat_map(|side| {
                let columns = table.columns.iter();
                columns.map(move |c| (format!("{side}_{}", c.name), c.ty, c.typmod))
            })),
        }
        columns
    }
}
