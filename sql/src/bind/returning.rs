//! RETURNING, and the tables that INSERT, UPDATE and DELETE change.

use std::sync::Arc;

use driftdb_query::{CatalogAt, Expr, Field, Result, SqlError, Table};
use driftdb_types::SqlState;
use sqlparser::ast;

use super::Binder;
use super::as_of::no_such_table;
use super::names::{ObjectName, check_database, ident_position, object_name};
use super::scope::{Clause, Relation, Scope};
use super::updatable::{Change, Through};

impl Binder<'_> {
    /// A table as it is now.
    pub(crate) fn table_now(&mut self, name: &ObjectName) -> Result<Arc<Table>> {
        let place = |error: SqlError| error.at(name.position);
        let schema = name.schema.as_deref();
        let found = self.catalog.table(schema, &name.name, CatalogAt::Statement).map_err(place)?;
        match found {
            Some(table) => self.with_terms(table),
            None if self.relation_named(schema, &name.name, CatalogAt::Statement)?.is_some() => {
                let message = format!("\"{}\" is not a table", name.name);
                Err(SqlError::new(SqlState::WrongObjectType, message))
            }
            None => Err(place(no_such_table(schema, &name.name))),
        }
    }

    /// The table or view that a statement changes: now, never in the past.
    pub(crate) fn changed_table(
        &mut self,
        name: &ast::ObjectName,
        alias: Option<&ast::Ident>,
        change: Change,
    ) -> Result<(Arc<Table>, Option<Through>)> {
        check_database(name, &self.eval.database)?;
        let parsed = object_name(name)?;
        if let Some(content) = self.content {
            let places = [Some(parsed.last), alias.map(ident_position)];
            let clause = places.into_iter().flatten().find_map(|p| content.lifted.times.get(&p));
            if let Some(clause) = clause {
                return Err(SqlError::new(
                    SqlState::FeatureNotSupported,
                    format!(
                        "the past cannot be changed: {} is for tables that are read",
                        clause.range.name()
                    ),
                )
                .at(clause.position));
            }
        }
        if parsed.schema.is_none() && self.ctes.iter().any(|cte| cte.name == parsed.name) {
            let message = format!(
                "relation \"{}\" cannot be the target of a modifying statement",
                parsed.name
            );
            return Err(SqlError::new(SqlState::UndefinedTable, message).at(parsed.position));
        }
        self.target_of(&parsed, change)
    }

    /// RETURNING over some relations.
    pub(crate) fn returning(
        &mut self,
        items: Option<&[ast::SelectItem]>,
        relations: Vec<Relation>,
    ) -> Result<(Option<Vec<Expr>>, Vec<Field>)> {
        let Some(items) = items else { return Ok((None, Vec::new())) };
        let visible = relations.iter().flat_map(|r| r.columns.iter().cloned()).collect();
        self.scopes.push(Scope::with(Clause::Returning, relations, visible));
        let targets = self.targets(items);
        self.scopes.pop();
        let mut exprs = Vec::new();
        let mut fields = Vec::new();
        for target in targets? {
            let expr = self.decided(target.expr)?;
            fields.push(Field {
                name: target.name,
                ty: expr.ty(),
                typmod: target.meta.typmod,
                origin: target.meta.origin,
            });
            exprs.push(expr);
        }
        Ok((Some(exprs), fields))
    }

    /// The position of a column of a table.
    pub(crate) fn table_column(&self, table: &Table, name: &str, position: u32) -> Result<usize> {
        table.column(name).map(|(index, _)| index).ok_or_else(|| {
            let message =
                format!("column \"{name}\" of relation \"{}\" does not exist", table.name);
            SqlError::new(SqlState::UndefinedColumn, message).at(position)
        })
    }
}

/// Whether an expression is the word DEFAULT.
pub(crate) fn is_default(expr: &ast::Expr) -> bool {
    matches!(expr, ast::Expr::Identifier(name)
        if name.quote_style.is_none() && name.value.eq_ignore_ascii_case("default"))
}
