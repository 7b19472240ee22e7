//! Expressions that the catalog keeps as text: DEFAULT and CHECK.

use driftdb_query::{ColId, Column, Expr, Generated, Result, RowRules, SqlError, Table};
use driftdb_types::{CastContext, DataType};
use sqlparser::ast;
use sqlparser::parser::Parser;

use super::scope::{Clause, Named, Relation, Scope};
use super::target::NO_META;
use super::whole_row::Whole;
use super::{BindContext, Binder, Meta};
use crate::front::limits::{depth, with_room};
use crate::front::tokens::{Source, tokenize};
use crate::front::tree::parse_all;

/// Binds the DEFAULT of a column, converted to its type.
///
/// # Errors
/// The text does not parse or bind.
pub fn bind_default(sql: &str, column: &Column, cx: &mut BindContext<'_>) -> Result<Expr> {
    let mut types = Vec::new();
    let mut binder = Binder::new(&mut *cx.catalog, cx.eval, &mut types, None, None);
    binder.default_text(sql, column)
}

/// Binds the DEFAULT of a column as it is written: of the type that it has by itself, or of the column's
/// if that is open.
///
/// # Errors
/// The text does not parse or bind.
pub(crate) fn bound_default(sql: &str, column: &Column, cx: &mut BindContext<'_>) -> Result<Expr> {
    bound_default_of(sql, column.ty, cx)
}

/// Binds a DEFAULT for a type as it is written.
///
/// # Errors
/// The text does not parse or bind.
pub(crate) fn bound_default_of(sql: &str, ty: DataType, cx: &mut BindContext<'_>) -> Result<Expr> {
    let mut types = Vec::new();
    let mut binder = Binder::new(&mut *cx.catalog, cx.eval, &mut types, None, None);
    binder.stored_in(sql, Scope::new(Clause::Default), |binder, tree| {
        let bound = binder.expr(tree)?;
        if bound.ty() == DataType::Unknown {
            return binder.coerce(bound, ty, -1, CastContext::Assignment);
        }
        Ok(bound)
    })
}

/// Binds a generated column's expression as it is written, over a row of its table.
///
/// # Errors
/// The text does not parse or bind.
pub(crate) fn bound_generated(
    sql: &str,
    column: &Column,
    table: &Table,
    row: &[ColId],
    cx: &mut BindContext<'_>,
) -> Result<Expr> {
    let mut types = Vec::new();
    let mut binder = Binder::new(&mut *cx.catalog, cx.eval, &mut types, None, None);
    let columns = named_row(table, row);
    let relations = vec![relation(&table.name, columns.clone())];
    binder.stored_in(sql, Scope::with(Clause::Generated, relations, columns), |binder, tree| {
        let bound = binder.expr(tree)?;
        if bound.ty() == DataType::Unknown {
            return binder.coerce(bound, column.ty, -1, CastContext::Assignment);
        }
        Ok(bound)
    })
}

/// Binds a CHECK condition over a row of a table, its columns named by `row`.
///
/// # Errors
/// The text does not parse or bind.
pub fn bind_check(
    sql: &str,
    table: &Table,
    row: &[ColId],
    cx: &mut BindContext<'_>,
) -> Result<Expr> {
    let mut types = Vec::new();
    let mut binder = Binder::new(&mut *cx.catalog, cx.eval, &mut types, None, None);
    binder.check_text(sql, table, row)
}

/// A table's columns under identities.
pub(crate) fn named_row(table: &Table, row: &[ColId]) -> Vec<Named> {
    let columns = table.columns.iter().zip(row);
    columns
        .map(|(column, id)| Named {
            name: column.name.clone(),
            expr: Expr::Column { id: *id, ty: column.ty },
        })
        .collect()
}

/// A relation of a table's columns.
pub(crate) fn relation(name: &str, columns: Vec<Named>) -> Relation {
    Relation {
        name: name.to_owned(),
        schema: None,
        columns,
        table: None,
        lockable: None,
        hidden: None,
        tableoid: None,
        whole: Whole::default(),
    }
}

/// Whether a domain, or one below it, has a DEFAULT.
pub(crate) fn has_domain_default(ty: DataType) -> bool {
    let mut below = ty.as_domain();
    while let Some(domain) = below.and_then(driftdb_types::UserType::domain) {
        if domain.default.is_some() {
            return true;
        }
        below = domain.base.as_domain();
    }
    false
}

/// What gets a new name.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Renaming {
    /// The column at a position.
    Column(usize),
    /// The table.
    Table,
}

/// A name in a stored text and what it names.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NamedPart {
    from: u32,
    to: u32,
    /// The column; `None` for a table.
    column: Option<ColId>,
}

impl NamedPart {
    pub(crate) fn new(ident: &ast::Ident, column: Option<ColId>) -> Self {
        let span = ident.span;
        Self { from: span.start.column as u32, to: span.end.column as u32, column }
    }
}

/// A name as a text says it: in quotes, where only so it is read back.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

impl Binder<'_> {
    /// Parses and binds a stored text in a scope of its own.
    pub(crate) fn stored_in(
        &mut self,
        sql: &str,
        scope: Scope,
        work: impl FnOnce(&mut Self, &ast::Expr) -> Result<Expr>,
    ) -> Result<Expr> {
        let source = Source::new(sql);
        let tokens = tokenize(&source)?;
        let depth = depth(&tokens)?;
        // Its names and positions are not the statement's.
        let outside = std::mem::replace(&mut self.scopes, vec![scope]);
        let content = self.content.take();
        let recorder = self.recorder.take();
        let result = with_room(depth, || {
            let tree = parse_all(&source, tokens, None, Parser::parse_expr)?;
            work(self, &tree)
        });
        self.scopes = outside;
        self.content = content;
        self.recorder = recorder;
        result.map_err(|error| SqlError { position: None, ..error })
    }

    /// The default of an argument.
    pub(crate) fn argument_default(&mut self, sql: &str, ty: DataType) -> Result<Expr> {
        let variables = self.variables.take();
        let bound = self.stored_in(sql, Scope::new(Clause::Default), |binder, tree| {
            let bound = binder.expr(tree)?;
            binder.coerce(bound, ty, -1, CastContext::Assignment)
        });
        self.variables = variables;
        bound
    }

    /// The DEFAULT of a column, or NULL.
    pub(crate) fn default_of(&mut self, column: &Column) -> Result<Expr> {
        if let Some(Generated::Identity { sequence, .. }) = &column.generated {
            return self.next_value(*sequence, column);
        }
        match &column.default {
            Some(sql) => self.default_text(sql, column),
            None => match column.ty.as_domain() {
                Some(domain) => self.domain_default_of(domain, column),
                None => Ok(Expr::constant(driftdb_types::Value::Null, column.ty)),
            },
        }
    }

    /// What a column of a domain has where nothing is said: the default of the domain, or of the one below.
    fn domain_default_of(
        &mut self,
        domain: driftdb_types::UserType,
        column: &Column,
    ) -> Result<Expr> {
        let mut below = Some(domain);
        while let Some(domain) = below.and_then(driftdb_types::UserType::domain) {
            if let Some(sql) = &domain.default {
                return self.default_text(sql, column);
            }
            below = domain.base.as_domain();
        }
        self.assign(super::literal::null(), column)
    }

    fn default_text(&mut self, sql: &str, column: &Column) -> Result<Expr> {
        self.stored_in(sql, Scope::new(Clause::Default), |binder, tree| {
            let bound = binder.expr(tree)?;
            binder.assign(bound, column)
        })
    }

    fn check_text(&mut self, sql: &str, table: &Table, row: &[ColId]) -> Result<Expr> {
        self.condition_text(sql, &table.name, named_row(table, row))
    }

    /// A CHECK's text after a column or the table got a new name.
    pub(crate) fn renamed_in(
        &mut self,
        sql: &str,
        table: &Table,
        renaming: Renaming,
        new: &str,
    ) -> Result<String> {
        let row = self.row_ids(table);
        self.renamed(sql, &row, renaming, new, |binder| binder.check_text(sql, table, &row))
    }

    /// A stored text after what is named in it got a new name; `bind` binds it over a row.
    pub(crate) fn renamed(
        &mut self,
        sql: &str,
        row: &[ColId],
        renaming: Renaming,
        new: &str,
        bind: impl FnOnce(&mut Self) -> Result<Expr>,
    ) -> Result<String> {
        self.named_parts = Some(Vec::new());
        let bound = bind(self);
        let mut parts = self.named_parts.take().unwrap_or_default();
        bound?;
        parts.sort_by_key(|part| part.from);
        let source = Source::new(sql);
        let (mut out, mut end) = (String::new(), 1);
        for part in parts {
            let is_meant = match renaming {
                Renaming::Column(position) => part.column == Some(row[position]),
                Renaming::Table => part.column.is_none(),
            };
            // A subexpression may be bound more than once.
            if is_meant && part.from >= end {
                out.push_str(source.slice(end, part.from));
                out.push_str(&quoted(new));
                end = part.to;
            }
        }
        out.push_str(source.slice(end, source.end));
        Ok(out)
    }

    /// A stored condition over some columns.
    pub(crate) fn condition_text(
        &mut self,
        sql: &str,
        table: &str,
        columns: Vec<Named>,
    ) -> Result<Expr> {
        let relations = vec![relation(table, columns.clone())];
        let scope = Scope::with(Clause::Check, relations, columns);
        self.stored_in(sql, scope, |binder, tree| binder.predicate(tree, "CHECK"))
    }

    /// What new rows of a table go through: generated columns and CHECKs, over a row.
    pub(crate) fn checks(&mut self, table: &Table, row: &[ColId]) -> Result<RowRules> {
        let mut rules = RowRules::default();
        for (position, column) in table.columns.iter().enumerate() {
            if let Some(Generated::Stored(sql)) = &column.generated {
                let value = self.generated_text(sql, column, &table.name, named_row(table, row))?;
                rules.generated.push((position, value));
            }
        }
        for check in &table.checks {
            let condition = self.check_text(&check.condition, table, row)?;
            rules.checks.push((check.name.clone(), condition));
        }
        Ok(rules)
    }

    /// A generated column's value over the other columns.
    pub(crate) fn generated_text(
        &mut self,
        sql: &str,
        column: &Column,
        table: &str,
        columns: Vec<Named>,
    ) -> Result<Expr> {
        let relations = vec![relation(table, columns.clone())];
        let scope = Scope::with(Clause::Generated, relations, columns);
        self.stored_in(sql, scope, |binder, tree| {
            let bound = binder.expr(tree)?;
            binder.assign(bound, column)
        })
    }

    /// New identities for the columns of a table's row.
    pub(crate) fn row_ids(&mut self, table: &Table) -> Vec<ColId> {
        table
            .columns
            .iter()
            .map(|column| {
                let id = self.column_id();
                let origin = (table.id.0, column.id.0);
                self.meta.insert(id, Meta { typmod: column.typmod, origin });
                id
            })
            .collect()
    }

    /// An identity for a storage key.
    pub(crate) fn key_id(&mut self) -> ColId {
        let id = self.column_id();
        self.meta.insert(id, NO_META);
        id
    }
}
