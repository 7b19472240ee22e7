//! ON CONFLICT.

use std::sync::Arc;

use driftdb_query::implied::{conjuncts, is_implied};
use driftdb_query::{
    ColId, ConflictAction, ConflictTarget, Expr, Index, IndexColumn, Result, SqlError, Table,
};
use driftdb_types::SqlState;
use sqlparser::ast;

use super::Binder;
use super::names::{ident, ident_position, object_name};
use super::position::bare;
use super::routine_call::slots;
use super::scope::{Clause, Relation, Scope};
use super::stored::{named_row, relation};

impl Binder<'_> {
    /// `name`: what the table is called in the statement; `row`: the row proposed for insertion.
    pub(crate) fn on_conflict(
        &mut self,
        table: &Arc<Table>,
        (schema, name): (&Option<String>, &str),
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
            Relation { schema: schema.clone(), ..relation(name, named_row(table, &existing)) },
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
        &mut self,
        table: &Table,
        target: &ast::ConflictTarget,
    ) -> Result<ConflictTarget> {
        match target {
            ast::ConflictTarget::OnConstraint(name) => {
                let name = object_name(name)?;
                let named = |index: &&Index| index.constraint && index.name == name.name;
                match table.indexes.iter().find(named) {
                    Some(index) => Ok(ConflictTarget::Indexes(vec![index.id])),
                    None if table.checks.iter().any(|check| check.name == name.name)
                        || table.foreign_keys.iter().any(|key| key.name == name.name) =>
                    {
                        let message = "constraint in ON CONFLICT clause has no associated index";
                        Err(SqlError::new(SqlState::WrongObjectType, message))
                    }
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
                let position = names.first().map(ident_position);
                let place = position.unwrap_or(1).saturating_sub(1);
                let lifted = self.content.zip(position);
                let lifted = lifted.and_then(|(content, at)| content.lifted.inferences.get(&at));
                if let Some(inference) = lifted {
                    let predicate = inference.predicate.as_ref();
                    return self.inferred(table, &inference.items, predicate, place + 1);
                }
                let items: Vec<ast::Expr> =
                    names.iter().cloned().map(ast::Expr::Identifier).collect();
                self.inferred(table, &items, None, place)
            }
        }
    }

    /// The unique indexes on these columns and expressions; a partial one only if the predicate implies its
    /// own.
    fn inferred(
        &mut self,
        table: &Table,
        items: &[ast::Expr],
        predicate: Option<&ast::Expr>,
        place: u32,
    ) -> Result<ConflictTarget> {
        let row = self.row_ids(table);
        let (mut columns, mut exprs) = (Vec::new(), Vec::new());
        for item in items {
            let mut item = bare(item);
            if let ast::Expr::Collate { expr, .. } = item {
                item = bare(expr);
            }
            if let ast::Expr::Identifier(name) = item {
                let Some((position, _)) = table.column(&ident(name)) else {
                    let message = format!("column \"{}\" does not exist", ident(name));
                    return Err(SqlError::new(SqlState::UndefinedColumn, message).at(place));
                };
                columns.push(table.columns[position].id);
            } else {
                let mut bound = self.over_table(table, &row, |binder| binder.expr(item))?;
                slots(&mut bound, &row);
                exprs.push(bound);
            }
        }
        columns.sort_unstable();
        columns.dedup();
        let mut given = Vec::new();
        if let Some(predicate) = predicate {
            let mut bound =
                self.over_table(table, &row, |binder| binder.predicate(predicate, "WHERE"))?;
            slots(&mut bound, &row);
            let mut parts = Vec::new();
            conjuncts(&bound, &mut parts);
            given = parts.into_iter().cloned().collect();
        }
        let bound = |id| table.term(id).and_then(|term| term.bound.0.as_deref());
        let fits = |index: &&Index| {
            let (terms, plain): (Vec<&IndexColumn>, Vec<&IndexColumn>) =
                index.columns.iter().partition(|column| column.is_term());
            let mut keys: Vec<_> = plain.iter().map(|column| column.column).collect();
            keys.sort_unstable();
            keys.dedup();
            let terms: Option<Vec<&Expr>> = terms.iter().map(|term| bound(term.column)).collect();
            let same = terms.is_some_and(|terms| {
                exprs.iter().all(|expr| terms.contains(&expr))
                    && terms.iter().all(|term| exprs.contains(term))
            });
            let covers = index.predicate.is_none_or(|term| {
                bound(term).is_some_and(|predicate| is_implied(predicate, &given))
            });
            index.unique && keys == columns && same && covers
        };
        let indexes: Vec<_> = table.indexes.iter().filter(fits).map(|index| index.id).collect();
        if indexes.is_empty() {
            return Err(SqlError::new(
                SqlState::InvalidColumnReference,
                "there is no unique or exclusion constraint matching the ON CONFLICT \
                 specification",
            ));
        }
        Ok(ConflictTarget::Indexes(indexes))
    }

    fn over_table(
        &mut self,
        table: &Table,
        row: &[ColId],
        work: impl FnOnce(&mut Self) -> Result<Expr>,
    ) -> Result<Expr> {
        let columns = named_row(table, row);
        let relations = vec![relation(&table.name, columns.clone())];
        self.scopes.push(Scope::with(Clause::Index, relations, columns));
        let bound = work(self);
        self.scopes.pop();
        bound
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
