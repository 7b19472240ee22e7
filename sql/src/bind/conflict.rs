//! ON CONFLICT.

use std::sync::Arc;

use driftdb_query::{ColId, ConflictAction, ConflictTarget, Index, Result, SqlError, Table};
use driftdb_types::SqlState;
use sqlparser::ast;

use super::Binder;
use super::names::{ident, ident_position, object_name};
use super::scope::{Clause, Scope};
use super::stored::{named_row, relation};

impl Binder<'_> {
    /// `name`: what the table is called in the statement; `row`: the row proposed for insertion.
    pub(crate) fn on_conflict(
        &mut self,
        table: &Arc<Table>,
        name: &str,
        row: &[ColId],
        conflict: &ast::OnConflict,
    ) -> Result<ConflictAction> {
        let target = match &conflict.conflict_target {
            None => ConflictTarget::Any,
            Some(target) => self.conflict_target(table, target)?,
        };
        refuse_deferrable(table, &target)?;
        let existing = self.row_ids(table);
        let update = match &conflict.action {
            ast::OnConflictAction::DoNothing => None,
            ast::OnConflictAction::DoUpdate(_) if target == ConflictTarget::Any => {
                return Err(SqlError::new(
                    SqlState::SyntaxError,
                    "ON CONFLICT DO UPDATE requires inference specification or constraint name",
                )
                .with_hint("For example, ON CONFLICT (column_name)."));
            }
            ast::OnConflictAction::DoUpdate(update) => Some(update),
        };
        let Some(update) = update else {
            return Ok(ConflictAction { target, existing, update: None, filter: None });
        };
        let relations = vec![
            relation(name, named_row(table, &existing)),
            relation("excluded", named_row(table, row)),
        ];
        let visible = relations.iter().flat_map(|r| r.columns.iter().cloned()).collect();
        self.scopes.push(Scope::with(Clause::Update, relations, visible));
        let assignments = self.assignments(table, &update.assignments)?;
        let filter = match &update.selection {
            Some(condition) => {
                Some(self.in_clause(Clause::Where, |b| b.predicate(condition, "WHERE"))?)
            }
            None => None,
        };
        self.scopes.pop();
        Ok(ConflictAction { target, existing, update: Some(assignments), filter })
    }

    fn conflict_target(
        &self,
        table: &Table,
        target: &ast::ConflictTarget,
    ) -> Result<ConflictTarget> {
        match target {
            ast::ConflictTarget::OnConstraint(name) => {
                let name = object_name(name)?;
                let named = |index: &&Index| index.constraint && index.name == name.name;
                match table.indexes.iter().find(named) {
                    Some(index) => Ok(ConflictTarget::Indexes(vec![index.id])),
                    None => Err(SqlError::new(
                        SqlState::UndefinedObject,
                        format!(
                            "constraint \"{}\" for table \"{}\" does not exist",
                            name.name, table.name
                        ),
                    )),
                }
            }
            ast::ConflictTarget::Columns(names) => {
                let mut wanted = Vec::with_capacity(names.len());
                for name in names {
                    let Some((position, _)) = table.column(&ident(name)) else {
                        let message = format!("column \"{}\" does not exist", ident(name));
                        return Err(SqlError::new(SqlState::UndefinedColumn, message)
                            .at(ident_position(name)));
                    };
                    wanted.push(table.columns[position].id);
                }
                wanted.sort_unstable();
                wanted.dedup();
                let fits = |index: &&Index| {
                    let mut columns: Vec<_> = index.columns.iter().map(|c| c.column).collect();
                    columns.sort_unstable();
                    index.unique && columns == wanted
                };
                let indexes: Vec<_> =
                    table.indexes.iter().filter(fits).map(|index| index.id).collect();
                if indexes.is_empty() {
                    return Err(SqlError::new(
                        SqlState::InvalidColumnReference,
                        "there is no unique or exclusion constraint matching the ON CONFLICT \
                         specification",
                    ));
                }
                Ok(ConflictTarget::Indexes(indexes))
            }
        }
    }
}

/// A key that may repeat for a while decides nothing.
fn refuse_deferrable(table: &Table, target: &ConflictTarget) -> Result<()> {
    let is_meant = |index: &&Index| match target {
        ConflictTarget::Any => index.unique,
        ConflictTarget::Indexes(indexes) => indexes.contains(&index.id),
    };
    let mut meant = table.indexes.iter().filter(is_meant);
    if let Some(index) = meant.find(|index| index.deferral.is_deferrable()) {
        let message = "ON CONFLICT does not support deferrable unique constraints/exclusion \
                       constraints as arbiters";
        return Err(SqlError::new(SqlState::ObjectNotInPrerequisiteState, message)
            .with_constraint(&table.name, &index.name));
    }
    Ok(())
}
