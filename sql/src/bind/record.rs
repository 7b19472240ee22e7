//! What is noted while a view's query is bound: which names in its text mean what.
//!
//! Positions are those of the statement's text. From the notes comes the template that is kept
//! (`view`), and from the bound expressions the text that is shown (`crate::show`).

use std::collections::{BTreeMap, BTreeSet};

use driftdb_query::{AggregateCall, ColId, ColumnId, Expr, Marker};
use sqlparser::ast;

use super::position::bare;

/// The notes of one query.
#[derive(Default)]
pub(crate) struct Recorder {
    /// What stands in the text between two positions, in a template.
    pub(crate) edits: BTreeMap<u32, (u32, String)>,
    /// The columns that are used.
    pub(crate) used: BTreeSet<ColId>,
    /// The relations that are read: tables with their columns, and others.
    pub(crate) relations: Vec<(u32, Vec<(ColId, ColumnId)>)>,
    /// The functions that are called and the types that are named.
    pub(crate) objects: BTreeSet<u32>,
    /// How a column is named: its relation and its name, each as in a template.
    pub(crate) columns: BTreeMap<ColId, (String, String)>,
    /// The tables' columns by their name in a template.
    pub(crate) numbers: BTreeMap<String, (u32, ColumnId)>,
    /// The bound expressions of clauses, by where they are in the parser's tree.
    pub(crate) exprs: BTreeMap<usize, Expr>,
    /// SELECTs, by where they are in the parser's tree.
    pub(crate) selects: BTreeMap<usize, SelectNote>,
    pub(crate) aggregates: BTreeMap<ColId, AggregateCall>,
    /// Queries by the first column of what they yield.
    pub(crate) queries: BTreeMap<ColId, usize>,
    /// What FROM items are, by the position of their name.
    pub(crate) items: BTreeMap<u32, ItemNote>,
    /// Levels of expressions below a clause's own.
    pub(crate) level: u32,
}

/// A SELECT's list and grouping.
#[derive(Clone)]
pub(crate) struct SelectNote {
    /// Names and expressions of its columns.
    pub(crate) targets: Vec<(String, Expr)>,
    pub(crate) groups: Vec<Expr>,
    /// The keys of its ORDER BY.
    pub(crate) keys: Vec<Expr>,
}

/// A relation in FROM.
#[derive(Clone)]
pub(crate) struct ItemNote {
    /// Its name with its schema, as in a template.
    pub(crate) full: String,
    /// The name that it gets because an outer query has one of its own, as in a template.
    pub(crate) alias: Option<String>,
}

/// Where a node of the tree is: the tree stays while it is recorded.
pub(crate) fn address<T>(node: &T) -> usize {
    std::ptr::from_ref(node) as usize
}

/// Where an expression is, brackets aside.
pub(crate) fn place_of(expr: &ast::Expr) -> usize {
    address(bare(expr))
}

impl super::Binder<'_> {
    /// While a view's query is recorded: a function or type of a user's that it names.
    pub(crate) fn note_object(&mut self, name: &ast::ObjectName, id: u32) {
        if let Some(recorder) = &mut self.recorder {
            recorder.object(name, id);
        }
    }
}

impl Recorder {
    /// A relation in FROM, by identity.
    pub(crate) fn relation(
        &mut self,
        name: &ast::ObjectName,
        id: u32,
        columns: Vec<(ColId, ColumnId)>,
    ) {
        self.named(name, Marker::Relation(id).write());
        self.relations.push((id, columns));
    }

    /// What a name in FROM is in a template.
    pub(crate) fn named(&mut self, name: &ast::ObjectName, full: String) {
        let idents = || name.0.iter().filter_map(|part| part.as_ident());
        if let (Some(first), Some(last)) = (idents().next(), idents().next_back()) {
            let (from, to) = (first.span.start.column as u32, last.span.end.column as u32);
            self.edits.insert(from, (to, full.clone()));
            self.items.insert(from, ItemNote { full, alias: None });
        }
    }

    /// A function or type by its name: where it is another search path, it is the same one.
    pub(crate) fn object(&mut self, name: &ast::ObjectName, id: u32) {
        let idents = || name.0.iter().filter_map(|part| part.as_ident());
        if let (Some(first), Some(last)) = (idents().next(), idents().next_back()) {
            let (from, to) = (first.span.start.column as u32, last.span.end.column as u32);
            if from < to {
                self.edits.insert(from, (to, Marker::Relation(id).write()));
            }
        }
        self.objects.insert(id);
    }

    /// What a relation in FROM is called because its name is taken.
    pub(crate) fn called(&mut self, name: &ast::ObjectName, alias: String) {
        let first = name.0.first().and_then(|part| part.as_ident());
        let first = first.map(|ident| ident.span.start.column as u32);
        if let Some(item) = first.and_then(|first| self.items.get_mut(&first)) {
            item.alias = Some(alias);
        }
    }

    /// The columns of an expression are used.
    pub(crate) fn uses(&mut self, expr: &Expr) {
        if let Expr::Column { id, .. } = expr {
            self.used.insert(*id);
        }
        expr.for_each_child(&mut |child| self.uses(child));
    }
}
