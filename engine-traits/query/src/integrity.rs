//! Constraints between rows: foreign keys, when constraints are checked, and which tables the changes
//! of a statement reach.

use std::sync::Arc;

use crate::{ColumnId, Expr, IndexId, RowRules, Table, TableId};

/// A constraint's object identifier: an index's for UNIQUE and PRIMARY KEY.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConstraintId(pub u32);

/// When a constraint is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Deferral {
    /// NOT DEFERRABLE: uniqueness row by row, references at the end of the statement.
    #[default]
    Never,
    /// DEFERRABLE INITIALLY IMMEDIATE: at the end of the statement, or of the transaction once
    /// SET CONSTRAINTS has said so.
    Immediate,
    /// DEFERRABLE INITIALLY DEFERRED: at the end of the transaction.
    Deferred,
}

impl Deferral {
    /// Whether SET CONSTRAINTS may move the check.
    pub fn is_deferrable(self) -> bool {
        self != Self::Never
    }
}

/// What happens to a referencing row when its referenced row goes or changes its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReferentialAction {
    /// It must not refer to nothing when the constraint is checked.
    #[default]
    NoAction,
    /// It must not be there at the end of the statement; never deferred.
    Restrict,
    /// It goes, or changes, too.
    Cascade,
    /// Its columns become NULL.
    SetNull,
    /// Its columns become their defaults.
    SetDefault,
}

impl ReferentialAction {
    /// Whether referencing rows are changed.
    pub fn changes_rows(self) -> bool {
        !matches!(self, Self::NoAction | Self::Restrict)
    }
}

/// A FOREIGN KEY, as the referencing table has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignKey {
    /// Its identity.
    pub id: ConstraintId,
    /// Its name.
    pub name: String,
    /// The referencing columns.
    pub columns: Vec<ColumnId>,
    /// The referenced table, which may be the same.
    pub referenced: TableId,
    /// The referenced table's unique index that it relies on.
    pub referenced_index: IndexId,
    /// The referenced columns, in the order of `columns`.
    pub referenced_columns: Vec<ColumnId>,
    /// MATCH FULL: all of its columns are NULL, or none.
    pub match_full: bool,
    /// ON DELETE
    pub on_delete: ReferentialAction,
    /// The columns of ON DELETE SET NULL or SET DEFAULT; empty: all.
    pub delete_columns: Vec<ColumnId>,
    /// ON UPDATE
    pub on_update: ReferentialAction,
    /// When it is checked.
    pub deferral: Deferral,
    /// Whether all rows are known to satisfy it (not after NOT VALID).
    pub validated: bool,
}

/// The tables besides its target that a statement's changes may reach through foreign keys: those
/// that are referenced, and those whose rows are looked at or changed because they refer.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Related {
    /// Each once, the target itself included if it refers to itself; in order of identity.
    pub tables: Vec<RelatedTable>,
}

/// One of them, with what changing its rows needs.
#[derive(Debug, Clone, PartialEq)]
pub struct RelatedTable {
    /// Its definition.
    pub table: Arc<Table>,
    /// Whether its rows may be changed; else they are looked at.
    pub is_changed: bool,
    /// What new rows have to go through, over the whole row ([`Expr::Slot`]).
    pub checks: RowRules,
    /// The columns' defaults, if a foreign key of the table may set them; else empty.
    pub defaults: Vec<Expr>,
}

impl Related {
    /// A table by identity.
    pub fn table(&self, id: TableId) -> Option<&RelatedTable> {
        let index = self.tables.binary_search_by_key(&id, |related| related.table.id).ok()?;
        Some(&self.tables[index])
    }
}
