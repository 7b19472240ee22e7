//! MERGE: what to do to the rows of a table, one by one, as they match rows of a source.

use std::sync::Arc;

use crate::{
    ColId, Expr, LogicalPlan, PhysicalDelete, PhysicalPlan, PhysicalUpdate, Related, RowRules,
    SystemColumn, Table,
};

/// MERGE. Of the clauses of a row's kind the first one whose condition holds counts.
#[derive(Debug, Clone, PartialEq)]
pub struct Merge {
    /// Into.
    pub table: Arc<Table>,
    /// Yields the source's rows, with the target's storage key and row where one matches and NULLs where
    /// none does.
    pub source: LogicalPlan,
    /// The storage key's identity.
    pub key: ColId,
    /// The target row's identities, one per table column.
    pub old: Vec<ColId>,
    /// The target's system columns, as far as the source has them.
    pub system: Vec<(ColId, SystemColumn)>,
    /// The condition of the join, over the source: for a row that changed while it was waited for.
    pub on: Expr,
    /// WHEN.
    pub clauses: Vec<MergeClause<MergeAction>>,
    /// The new row's identities, one per table column.
    pub row: Vec<ColId>,
    /// Over the new row.
    pub checks: RowRules,
    /// The tables that the changes reach through foreign keys.
    pub related: Arc<Related>,
}

/// One WHEN.
#[derive(Debug, Clone, PartialEq)]
pub struct MergeClause<A> {
    /// Of rows that match, or of those that do not.
    pub matched: bool,
    /// AND, over the source.
    pub condition: Option<Expr>,
    /// What to do.
    pub action: A,
}

/// What MERGE does to a row; expressions are over the source.
#[derive(Debug, Clone, PartialEq)]
pub enum MergeAction {
    /// DO NOTHING
    Nothing,
    /// UPDATE: the positions that are assigned to, and what.
    Update(Vec<(usize, Expr)>),
    /// DELETE
    Delete,
    /// INSERT: the whole new row.
    Insert(Vec<Expr>),
}

/// A MERGE, ready to run.
#[derive(Debug, Clone, PartialEq)]
pub struct PhysicalMerge {
    /// Into.
    pub table: Arc<Table>,
    /// Yields the target's storage key (NULL if no row matches), its row, and the rest.
    pub source: PhysicalPlan,
    /// Where the source has which system columns of the target.
    pub system: Vec<(usize, SystemColumn)>,
    /// Over the source row.
    pub on: Expr,
    /// WHEN; conditions are over the source row.
    pub clauses: Vec<MergeClause<PhysicalMergeAction>>,
    /// Over the new row.
    pub checks: RowRules,
    /// As [`Merge::related`].
    pub related: Arc<Related>,
}

/// As [`MergeAction`]; expressions are over the source row. The sources of the statements mean nothing.
#[derive(Debug, Clone, PartialEq)]
pub enum PhysicalMergeAction {
    /// DO NOTHING
    Nothing,
    /// UPDATE
    Update(Box<PhysicalUpdate>),
    /// DELETE
    Delete(Box<PhysicalDelete>),
    /// INSERT
    Insert(Vec<Expr>),
}
