//! FOR UPDATE and its kin: which scans yield their keys to be locked.

use driftdb_concurrency::{ReadAt, WaitPolicy};
use driftdb_query::{ColId, LockClause, LogicalPlan, Result, Span, SqlError};
use driftdb_types::SqlState;
use sqlparser::ast;

use super::Binder;
use super::scope::column_of;
use crate::front::rewrite::lock_index;

impl Binder<'_> {
    /// Row locks: the scans concerned yield their keys.
    pub(crate) fn locks(
        &mut self,
        clauses: &[ast::LockClause],
        plan: &mut LogicalPlan,
        select: &ast::Select,
        grouped: bool,
    ) -> Result<Vec<LockClause>> {
        let Some(content) = self.content else { return Ok(Vec::new()) };
        let mut locks: Vec<LockClause> = Vec::new();
        for clause in clauses {
            let request = clause.of.as_ref().and_then(lock_index);
            let Some(request) = request.and_then(|index| content.lifted.locks.get(index)) else {
                return Err(SqlError::internal("a lock clause that was not lifted"));
            };
            let conflict = if select.distinct.is_some() {
                Some("DISTINCT clause")
            } else if grouped {
                Some("GROUP BY clause")
            } else if select.having.is_some() {
                Some("HAVING clause")
            } else if !self.scope().aggregates.is_empty() {
                Some("aggregate functions")
            } else {
                None
            };
            if let Some(conflict) = conflict {
                let message = format!("FOR UPDATE is not allowed with {conflict}");
                return Err(SqlError::new(SqlState::FeatureNotSupported, message));
            }
            let relations = self.scope().relations.clone();
            for name in &request.of {
                if !relations.iter().any(|relation| relation.name == name.name) {
                    let message = format!(
                        "relation \"{}\" in FOR UPDATE clause not found in FROM clause",
                        name.name
                    );
                    return Err(SqlError::new(SqlState::UndefinedTable, message).at(name.position));
                }
            }
            for relation in relations {
                let named = request.of.iter().any(|name| name.name == relation.name);
                let (Some(table), Some(key)) = (relation.table, relation.lockable) else {
                    continue;
                };
                if !(request.of.is_empty() || named) || locks.iter().any(|lock| lock.key == key) {
                    continue;
                }
                let first = relation.columns.first().and_then(|column| column_of(&column.expr));
                if !first.is_some_and(|first| yield_key(plan, first, key)) {
                    let message = "FOR UPDATE cannot be applied to a table read in the past";
                    return Err(SqlError::new(SqlState::FeatureNotSupported, message));
                }
                let wait = if request.no_wait || request.skip_locked {
                    WaitPolicy::NoWait
                } else {
                    WaitPolicy::Wait(None)
                };
                locks.push(LockClause {
                    table,
                    key,
                    strength: request.strength,
                    wait,
                    skip_locked: request.skip_locked,
                });
            }
        }
        Ok(locks)
    }
}

/// Makes the scan with a certain first column yield its key; not one of the past.
fn yield_key(plan: &mut LogicalPlan, first: ColId, wanted: ColId) -> bool {
    match plan {
        LogicalPlan::Scan { columns, key, at, temporal, .. } => {
            let found = columns.first().is_some_and(|column| column.id == first)
                && temporal.span == Span::Once
                && !matches!(at, ReadAt::AsOf(_));
            if found {
                *key = Some(wanted);
            }
            found
        }
        LogicalPlan::Filter { input, .. } => yield_key(input, first, wanted),
        LogicalPlan::Join { left, right, .. } => {
            yield_key(left, first, wanted) || yield_key(right, first, wanted)
        }
        _ => false,
    }
}
