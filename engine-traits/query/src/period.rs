//! Application time: when a row is true, as its users say, beside when it was written.
//!
//! A table may have one application-time period: two of its columns, of one type, the first less than the
//! second. A row holds from the first on up to, not including, the second. Reading at a time is a
//! predicate over the two columns, so planner and executor know nothing of it; changing a *portion* of
//! time leaves the rest of each row as rows of their own.
//!
//! Sources: [Kulkarni12]; docs/design/0019-history-and-valid-time.md.

use crate::{ColId, ColumnId, Expr, RowRules};

/// A table's application-time period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplicationPeriod {
    /// Its name.
    pub name: String,
    /// The column with which a row begins to hold.
    pub start: ColumnId,
    /// The column with which it ends.
    pub end: ColumnId,
    /// The name of the CHECK that keeps the first less than the second.
    pub check: String,
}

/// A period to be created: by names, since the columns may come with it. That its columns are NOT NULL,
/// and its CHECK, are said besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeriodSpec {
    /// Its name.
    pub name: String,
    /// The column with which a row begins to hold.
    pub start: String,
    /// The column with which it ends.
    pub end: String,
    /// The name of its CHECK.
    pub check: String,
}

/// FOR PORTION OF: what is left of a row before and after the portion that is changed. The source has only
/// rows that have a part in the portion, and an UPDATE assigns that part.
#[derive(Debug, Clone, PartialEq)]
pub struct Portion {
    /// The position of the column with which a row begins to hold.
    pub start: usize,
    /// The position of the column with which it ends.
    pub end: usize,
    /// The portion's beginning, of the columns' type: free of columns.
    pub from: Expr,
    /// The portion's end.
    pub to: Expr,
    /// Over the source: whether the row holds before the portion, too.
    pub is_before: Expr,
    /// Over the source: whether the row holds after the portion, too.
    pub is_after: Expr,
    /// The identities under which `checks` name the columns of what is left.
    pub row: Vec<ColId>,
    /// What new rows have to go through, over `row`.
    pub checks: RowRules,
}
