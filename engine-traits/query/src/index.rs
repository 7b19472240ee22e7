//! Indexes: what their entries are of, and the expressions that are indexed.
//!
//! An expression that an index is about, and the predicate of a partial index, is a [`Term`] of the table.
//! Terms have numbers like columns, from [`FIRST_TERM`] up, and *places* behind those of the columns: a row
//! with the values of its terms appended is an *extended* row, and whoever makes index entries of rows is
//! given extended ones. So an index column is a number, whatever it is of.
//!
//! Invariants
//! * A term belongs to one index and goes with it.
//! * An extended row is as long as [`Table::width`]. The terms of a partial index are NULL, its predicate
//!   not true, for a row that the index does not cover.

use std::sync::Arc;

use driftdb_storage::KeyspaceId;
use driftdb_types::DataType;

use crate::{ColumnId, ConstraintId, Deferral, Expr, IndexId, Table};

/// The number of the first term: beyond those of columns.
pub const FIRST_TERM: u16 = 0x8000;

/// An index.
#[derive(Debug, Clone, PartialEq)]
pub struct Index {
    /// Its identity.
    pub id: IndexId,
    /// Its name, and its constraint's.
    pub name: String,
    /// Where its entries are; `None` for the primary key of a [`crate::RowKey::Primary`] table, whose
    /// entries are the rows.
    ///
    /// An entry's key is the encoded columns (bitwise inverted where descending), followed by the
    /// row's key unless the index is unique, not deferrable, and no column is NULL (or NULLs are equal); its
    /// value is the row's key. A row that the predicate does not hold for has no entry.
    pub keyspace: Option<KeyspaceId>,
    /// Its columns.
    pub columns: Vec<IndexColumn>,
    /// Whether equal keys are refused.
    pub unique: bool,
    /// Whether it is the primary key.
    pub primary: bool,
    /// Whether it belongs to a constraint (PRIMARY KEY, UNIQUE) rather than to CREATE INDEX.
    pub constraint: bool,
    /// When equal keys are refused.
    pub deferral: Deferral,
    /// The term that holds for the rows that it covers; `None`: it covers all.
    pub predicate: Option<ColumnId>,
    /// INCLUDE: columns that are said to be in it. Entries lead to rows, which have them.
    pub include: Vec<ColumnId>,
    /// NULLS NOT DISTINCT: for uniqueness a NULL equals another.
    pub nulls_equal: bool,
    /// USING hash: it says so; entries are as ever.
    pub is_hash: bool,
    /// CLUSTER said that rows should stand in its order.
    pub is_clustered: bool,
    /// WITH (…): names and values, which change nothing.
    pub options: Vec<(String, String)>,
}

/// One column of an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexColumn {
    /// Which: a column of the table, or a term.
    pub column: ColumnId,
    /// DESC.
    pub descending: bool,
    /// Whether NULLs come first: by default where it descends.
    pub nulls_first: bool,
    /// `text_pattern_ops` or the like was said: by bytes, as texts are ordered anyway.
    pub by_pattern: bool,
}

impl IndexColumn {
    /// A column in its default order of a direction.
    pub fn new(column: ColumnId, descending: bool) -> Self {
        Self { column, descending, nulls_first: descending, by_pattern: false }
    }

    /// Whether it is an expression.
    pub fn is_term(&self) -> bool {
        self.column.0 >= FIRST_TERM
    }
}

impl Index {
    /// An index of plain columns without anything to it.
    pub fn new(
        id: IndexId,
        name: impl Into<String>,
        keyspace: Option<KeyspaceId>,
        columns: Vec<IndexColumn>,
    ) -> Self {
        Self {
            id,
            name: name.into(),
            keyspace,
            columns,
            unique: false,
            primary: false,
            constraint: false,
            deferral: Deferral::Never,
            predicate: None,
            include: Vec::new(),
            nulls_equal: false,
            is_hash: false,
            is_clustered: false,
            options: Vec::new(),
        }
    }

    /// Its constraint's identity.
    pub fn constraint_id(&self) -> ConstraintId {
        ConstraintId(self.id.0)
    }

    /// Whether no two rows of the table agree in its columns: it is unique, covers every row, and has no
    /// expressions.
    pub fn is_key(&self) -> bool {
        self.unique && self.predicate.is_none() && !self.columns.iter().any(IndexColumn::is_term)
    }

    /// Its terms: the predicate first, then the expressions.
    pub fn terms(&self) -> impl Iterator<Item = ColumnId> {
        let columns = self.columns.iter().filter(|column| column.is_term());
        self.predicate.into_iter().chain(columns.map(|column| column.column))
    }

    /// Whether it is about a column of its table, as key, in INCLUDE, or within a term.
    pub fn uses(&self, table: &Table, column: ColumnId) -> bool {
        self.columns.iter().any(|key| key.column == column)
            || self.include.contains(&column)
            || self
                .terms()
                .filter_map(|id| table.term(id))
                .any(|term| term.columns.contains(&column))
    }
}

/// An expression over a table's rows that an index is about.
#[derive(Debug, Clone, PartialEq)]
pub struct Term {
    /// Its number, from [`FIRST_TERM`] up.
    pub id: ColumnId,
    /// What pg_attribute calls it.
    pub name: String,
    /// SQL text, to be bound where it is used.
    pub sql: String,
    /// As PostgreSQL shows it, in brackets where a definition of an index wants them.
    pub shown: String,
    /// Its type.
    pub ty: DataType,
    /// The columns that it uses.
    pub columns: Vec<ColumnId>,
    /// What it was bound to, if it was.
    pub bound: BoundTerm,
}

/// A term over a row of its table ([`Expr::Slot`]), where a binder put it. It is no part of the definition:
/// any two are equal.
#[derive(Debug, Clone, Default)]
pub struct BoundTerm(pub Option<Arc<Expr>>);

impl PartialEq for BoundTerm {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

impl Table {
    /// A term by number.
    pub fn term(&self, id: ColumnId) -> Option<&Term> {
        self.terms.iter().find(|term| term.id == id)
    }

    /// The place of a column or term in an extended row.
    pub fn place(&self, id: ColumnId) -> Option<usize> {
        if id.0 < FIRST_TERM {
            return self.position(id);
        }
        let term = self.terms.iter().position(|term| term.id == id)?;
        Some(self.columns.len() + term)
    }

    /// The type of what stands at a place of an extended row.
    pub fn type_at(&self, place: usize) -> DataType {
        match place.checked_sub(self.columns.len()) {
            None => self.columns[place].ty,
            Some(term) => self.terms[term].ty,
        }
    }

    /// What messages call what stands at a place of an extended row.
    pub fn name_at(&self, place: usize) -> &str {
        match place.checked_sub(self.columns.len()) {
            None => &self.columns[place].name,
            Some(term) => &self.terms[term].shown,
        }
    }

    /// The length of an extended row.
    pub fn width(&self) -> usize {
        self.columns.len() + self.terms.len()
    }

    /// A number for a new term.
    pub fn next_term(&self) -> ColumnId {
        let last = self.terms.iter().map(|term| term.id.0).max();
        ColumnId(last.map_or(FIRST_TERM, |last| last.saturating_add(1)))
    }

    /// Takes an index out of the definition, and its terms.
    pub fn remove_index(&mut self, id: IndexId) {
        let Some(at) = self.indexes.iter().position(|index| index.id == id) else { return };
        let index = self.indexes.remove(at);
        let gone: Vec<ColumnId> = index.terms().collect();
        self.terms.retain(|term| !gone.contains(&term.id));
    }
}
