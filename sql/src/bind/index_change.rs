//! ALTER INDEX, REINDEX, CLUSTER, and constraints that take over an index.
//!
//! CLUSTER is remembered and shown; rows are stored by key, so their order stays.

use std::sync::Arc;

use driftdb_query::{
    AlterAction, CatalogAt, ConstraintSpec, Index, IndexAction, IndexId, Result, SqlError,
    Statement, Table,
};
use driftdb_types::SqlState;
use sqlparser::ast;

use super::Binder;
use super::alter::{Alteration, skipped};
use super::constraint::deferral;
use super::create::Definition;
use super::index::check_option;
use super::names::ident;
use super::stored::Renaming;
use crate::front::cursor::QualifiedName;
use crate::front::index::{IndexBody, IndexChange};

impl Binder<'_> {
    pub(crate) fn index_statement(&mut self, body: &IndexBody) -> Result<Statement> {
        let (table, action) = match body {
            IndexBody::Alter { index, if_exists, change } => {
                let schema = index.schema.as_deref();
                if let IndexChange::Rename(to) = change
                    && let Some(table) =
                        self.catalog.table(schema, &index.name, CatalogAt::Statement)?
                {
                    // A table may be renamed so, too.
                    let mut alteration = Alteration::new(table);
                    let rename = AlterAction::RenameTable(to.clone());
                    self.rename(&mut alteration, rename, Renaming::Table, to)?;
                    let Alteration { table, actions, .. } = alteration;
                    return Ok(Statement::AlterTable { table, actions });
                }
                let Some((table, id)) = self.index_named(index, *if_exists)? else {
                    return Ok(skipped(&index.name));
                };
                let action = self.index_action(&table, id, change)?;
                (table, AlterAction::Index(id, action))
            }
            IndexBody::Reindex { name, is_table: true, concurrently } => {
                let table = self.one_table(name)?;
                (table, AlterAction::Reindex(None, *concurrently))
            }
            IndexBody::Reindex { name, concurrently, .. } => {
                let (table, id) = self.index_that_is(name)?;
                (table, AlterAction::Reindex(Some(id), *concurrently))
            }
            IndexBody::Cluster { table, index } => {
                let table = self.one_table(table)?;
                let id = match index {
                    Some(index) => clustered_by(&table, index)?,
                    None => {
                        let known = table.indexes.iter().find(|index| index.is_clustered);
                        let none = || {
                            let name = &table.name;
                            let message = format!(
                                "there is no previously clustered index for table \"{name}\""
                            );
                            SqlError::new(SqlState::UndefinedObject, message)
                        };
                        known.ok_or_else(none)?.id
                    }
                };
                (table, AlterAction::Index(id, IndexAction::ClusterNow))
            }
            IndexBody::ClusterOn { table, index } => {
                let table = self.one_table(table)?;
                let (id, is_clustered) = match index {
                    Some(index) => (clustered_by(&table, index)?, true),
                    None => match table.indexes.first() {
                        Some(any) => (any.id, false),
                        None => return Ok(Statement::AlterTable { table, actions: Vec::new() }),
                    },
                };
                (table, AlterAction::Index(id, IndexAction::Cluster(is_clustered)))
            }
        };
        Ok(Statement::AlterTable { table, actions: vec![(action, None)] })
    }

    fn one_table(&mut self, name: &QualifiedName) -> Result<Arc<Table>> {
        let mut tables = self.tables(std::slice::from_ref(name))?;
        tables.pop().ok_or_else(|| SqlError::internal("a table that is none"))
    }

    fn index_named(
        &mut self,
        name: &QualifiedName,
        if_exists: bool,
    ) -> Result<Option<(Arc<Table>, IndexId)>> {
        let schema = name.schema.as_deref();
        if let Some(found) = self.catalog.index(schema, &name.name)? {
            return Ok(Some(found));
        }
        let other = self.catalog.table(schema, &name.name, CatalogAt::Statement)?.is_some()
            || self.relation_named(schema, &name.name, CatalogAt::Statement)?.is_some();
        if other {
            let message = format!("\"{}\" is not an index", name.name);
            return Err(SqlError::new(SqlState::WrongObjectType, message));
        }
        if if_exists {
            return Ok(None);
        }
        let message = format!("relation \"{}\" does not exist", name.name);
        Err(SqlError::new(SqlState::UndefinedTable, message))
    }

    fn index_that_is(&mut self, name: &QualifiedName) -> Result<(Arc<Table>, IndexId)> {
        let found = self.index_named(name, false)?;
        found.ok_or_else(|| SqlError::internal("an index that is none"))
    }

    fn index_action(
        &mut self,
        table: &Table,
        id: IndexId,
        change: &IndexChange,
    ) -> Result<IndexAction> {
        let gone = || SqlError::internal("an index that its table has not");
        let index = table.index(id).ok_or_else(gone)?;
        Ok(match change {
            IndexChange::Rename(to) => IndexAction::Rename(to.clone()),
            IndexChange::Set(options) => {
                for (name, value) in options {
                    check_option(name, value, index.is_hash)?;
                }
                IndexAction::Set(options.clone())
            }
            IndexChange::Reset(names) => IndexAction::Reset(names.clone()),
            IndexChange::Statistics(number) => {
                check_statistics(table, index, *number)?;
                IndexAction::Set(Vec::new())
            }
        })
    }

    /// PRIMARY KEY or UNIQUE USING INDEX.
    pub(crate) fn using_index(
        &mut self,
        definition: &mut Definition,
        table: Option<&Table>,
        constraint: &ast::ConstraintUsingIndex,
        primary: bool,
    ) -> Result<()> {
        let name = ident(&constraint.index_name);
        let invalid = |state: SqlState, message: String| Err(SqlError::new(state, message));
        let Some(table) = table else {
            return Err(SqlError::unsupported("USING INDEX in CREATE TABLE"));
        };
        let Some(index) = table.indexes.iter().find(|index| index.name == name) else {
            if self.catalog.index(Some(&table.schema), &name)?.is_some() {
                let message = format!("\"{name}\" is not an index for table \"{}\"", table.name);
                return invalid(SqlState::ObjectNotInPrerequisiteState, message);
            }
            return invalid(SqlState::UndefinedObject, format!("index \"{name}\" does not exist"));
        };
        if index.constraint {
            let message = format!("index \"{name}\" is already associated with a constraint");
            return invalid(SqlState::ObjectNotInPrerequisiteState, message);
        }
        let wrong = if !index.unique {
            Some(format!("\"{name}\" is not a unique index"))
        } else if index.columns.iter().any(|column| column.is_term()) {
            Some(format!("index \"{name}\" contains expressions"))
        } else if index.predicate.is_some() {
            Some(format!("\"{name}\" is a partial index"))
        } else {
            None
        };
        if let Some(message) = wrong {
            let detail = "Cannot create a primary key or unique constraint using such an index.";
            return Err(SqlError::new(SqlState::WrongObjectType, message).with_detail(detail));
        }
        let usual = |column: &driftdb_query::IndexColumn| {
            !column.descending && !column.nulls_first && !column.by_pattern
        };
        if let Some(place) = index.columns.iter().position(|column| !usual(column)) {
            let message = format!(
                "index \"{name}\" column number {} does not have default sorting behavior",
                place + 1
            );
            let detail = "Cannot create a primary key or unique constraint using such an index.";
            return Err(SqlError::new(SqlState::WrongObjectType, message).with_detail(detail));
        }
        if primary && definition.has_primary {
            let message =
                format!("multiple primary keys for table \"{}\" are not allowed", table.name);
            return invalid(SqlState::InvalidTableDefinition, message);
        }
        definition.has_primary |= primary;
        let given = constraint.name.as_ref().map(ident).unwrap_or_else(|| name.clone());
        if given != name && definition.taken.contains(&given) {
            let message = format!(
                "constraint \"{given}\" for relation \"{}\" already exists",
                definition.table
            );
            return invalid(SqlState::DuplicateObject, message);
        }
        definition.taken.push(given.clone());
        let deferral = deferral(constraint.characteristics.as_ref())?;
        let index = index.id;
        definition.constraints.push(ConstraintSpec::UsingIndex {
            name: given,
            index,
            primary,
            deferral,
        });
        Ok(())
    }
}

/// The index of a table that it is to be clustered on.
fn clustered_by(table: &Table, name: &QualifiedName) -> Result<IndexId> {
    let Some(index) = table.indexes.iter().find(|index| index.name == name.name) else {
        let message =
            format!("index \"{}\" for table \"{}\" does not exist", name.name, table.name);
        return Err(SqlError::new(SqlState::UndefinedObject, message));
    };
    if index.is_hash {
        let message = format!(
            "cannot cluster on index \"{}\" because access method does not support clustering",
            index.name
        );
        return Err(SqlError::new(SqlState::FeatureNotSupported, message));
    }
    if index.predicate.is_some() {
        let message = format!("cannot cluster on partial index \"{}\"", index.name);
        return Err(SqlError::new(SqlState::FeatureNotSupported, message));
    }
    Ok(index.id)
}

/// Statistics are of expressions only.
fn check_statistics(table: &Table, index: &Index, number: usize) -> Result<()> {
    let place = number.checked_sub(1);
    let key = place.and_then(|place| index.columns.get(place));
    if key.is_some_and(|key| key.is_term()) {
        return Ok(());
    }
    let included =
        place.and_then(|place| index.include.get(place.checked_sub(index.columns.len())?));
    let name = |id| table.position(id).map_or("", |at| table.columns[at].name.as_str());
    let unsupported = |message: String| SqlError::new(SqlState::FeatureNotSupported, message);
    Err(match (key, included) {
        (Some(key), _) => unsupported(format!(
            "cannot alter statistics on non-expression column \"{}\" of index \"{}\"",
            name(key.column),
            index.name
        ))
        .with_hint("Alter statistics on table column instead."),
        (None, Some(column)) => unsupported(format!(
            "cannot alter statistics on included column \"{}\" of index \"{}\"",
            name(*column),
            index.name
        )),
        (None, None) => SqlError::new(
            SqlState::UndefinedColumn,
            format!("column number {number} of relation \"{}\" does not exist", index.name),
        ),
    })
}
