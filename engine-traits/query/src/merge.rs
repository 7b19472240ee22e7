//! MERGE: what to do to the rows of a table, one by one, as they match rows of a source.

use std::sync::Arc;

use crate::{
    ColId, Delete, Expr, Insert, LogicalPlan, PhysicalDelete, PhysicalInsert, PhysicalPlan,
    PhysicalUpdate, Table, Update,
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
    /// The condition of the join, over the source: for a row that changed while it was waited for.
    pub on: Expr,
    /// WHEN.
    pub clauses: Vec<MergeClause>,
}

/// One WHEN.
#[derive(Debug, Clone, PartialEq)]
pub struct MergeClause {
    /// Of rows that match, or of those that do not.
    pub matched: bool,
    /// AND, over the source.
    pub condition: Option<Expr>,
    /// What to do.
    pub action: MergeAction,
}

/// What MERGE does to a row. The sources of the statements mean nothing; their expressions are over the
/// source of the MERGE.
#[derive(Debug, Clone, PartialEq)]
pub enum MergeAction {
    /// DO NOTHING
    Nothing,
    /// UPDATE
    Update(Box<Update>),
    /// DELETE
    Delete(Box<Delete>),
    /// INSERT, with the new row over the source.
    Insert(Box<Insert>, Vec<Expr>),
}

/// A MERGE, ready to run.
#[derive(Debug, Clone, PartialEq)]
pub struct PhysicalMerge {
    /// Into.
    pub table: Arc<Table>,
    /// Yields the target's storage key (NULL if no row matches), its row, and the rest.
    pub source: PhysicalPlan,
    /// Over the source row.
    pub on: Expr,
    /// WHEN.
    pub clauses: Vec<PhysicalMergeClause>,
}

/// One WHEN, ready to run.
#[derive(Debug, Clone, PartialEq)]
pub struct PhysicalMergeClause {
    /// As [`MergeClause::matched`].
    pub matched: bool,
    /// Over the source row.
    pub condition: Option<Expr>,
    /// What to do.
    pub action: PhysicalMergeAction,
}

/// As [`MergeAction`]; expressions are over the source row.
#[derive(Debug, Clone, PartialEq)]
pub enum PhysicalMergeAction {
    /// DO NOTHING
    Nothing,
    /// UPDATE
    Update(Box<PhysicalUpdate>),
    /// DELETE
    Delete(Box<PhysicalDelete>),
    /// INSERT
    Insert(Box<PhysicalInsert>, Vec<Expr>),
}
