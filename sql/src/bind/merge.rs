//! MERGE.
//!
//! Sources: PostgreSQL 15, parser/parse_merge.c, whose rules and texts these are.

use driftdb_query::{
    Delete, Expr, Insert, JoinKind, LogicalPlan, Merge, MergeAction, MergeClause, Result, SqlError,
    Update,
};
use driftdb_types::SqlState;
use sqlparser::ast;

use super::Binder;
use super::foreign::Change;
use super::from::check_names;
use super::generated::{check_inserted, stored_positions};
use super::names::object_name;
use super::position::Placed;
use super::returning::is_default;
use super::scope::{Clause, FromItem, Scope};
use super::updatable;
use super::update::Changed;

impl Binder<'_> {
    pub(crate) fn merge_statement(&mut self, merge: &ast::Merge) -> Result<Merge> {
        if merge.output.is_some() || !merge.optimizer_hints.is_empty() || !merge.into {
            let message = "this form of MERGE is not PostgreSQL's";
            return Err(SqlError::new(SqlState::SyntaxError, message));
        }
        check_reachable(&merge.clauses)?;
        let alone = |relation: &ast::TableFactor| ast::TableWithJoins {
            relation: relation.clone(),
            joins: Vec::new(),
        };
        let mut changed = self.changed(&alone(&merge.table), &[], updatable::Change::Update)?;
        let target = self.scopes.pop().expect("pushed by the call before");
        if changed.portion.is_some() {
            return Err(SqlError::unsupported("FOR PORTION OF in MERGE"));
        }
        let source = self.bind_from(&[alone(&merge.source)])?;
        check_names(&target.relations, &source.relations)?;
        let mut relations = target.relations;
        relations.extend(source.relations.iter().cloned());
        let mut visible = target.visible;
        visible.extend(source.visible.iter().cloned());
        self.scopes.push(Scope::with(Clause::JoinCondition, relations, visible));
        let bound = self.merge_clauses(merge, &source, &changed);
        self.scopes.pop();
        let (on, clauses) = bound?;
        let plan = std::mem::replace(&mut changed.plan, LogicalPlan::one_row());
        let source = LogicalPlan::Join {
            kind: JoinKind::Left,
            left: Box::new(source.plan),
            right: Box::new(plan),
            on: on.clone(),
            lateral: false,
        };
        let Changed { table, key, old, .. } = changed;
        Ok(Merge { table, source, key, old, on, clauses })
    }

    /// The condition and the clauses; in the scope of both sides.
    fn merge_clauses(
        &mut self,
        merge: &ast::Merge,
        source: &FromItem,
        changed: &Changed,
    ) -> Result<(Expr, Vec<MergeClause>)> {
        let on = self.predicate(&merge.on, "JOIN/ON")?;
        let mut clauses = Vec::with_capacity(merge.clauses.len());
        for clause in &merge.clauses {
            let matched = match clause.clause_kind {
                ast::MergeClauseKind::Matched => true,
                ast::MergeClauseKind::NotMatched => false,
                _ => {
                    let message = "syntax error at or near \"BY\"";
                    return Err(SqlError::new(SqlState::SyntaxError, message));
                }
            };
            if matched {
                let (condition, action) = self.merge_clause(clause, changed)?;
                clauses.push(MergeClause { matched, condition, action });
                continue;
            }
            // There is no row of the target that could be named.
            let scope =
                Scope::with(Clause::MergeWhen, source.relations.clone(), source.visible.clone());
            self.scopes.push(scope);
            let bound = self.merge_clause(clause, changed);
            self.scopes.pop();
            let (condition, action) = bound?;
            clauses.push(MergeClause { matched, condition, action });
        }
        Ok((on, clauses))
    }

    fn merge_clause(
        &mut self,
        clause: &ast::MergeClause,
        changed: &Changed,
    ) -> Result<(Option<Expr>, MergeAction)> {
        let condition = match &clause.predicate {
            Some(condition) => Some(
                self.in_clause(Clause::MergeWhen, |binder| binder.predicate(condition, "WHEN"))?,
            ),
            None => None,
        };
        let foreign = || {
            let message = "this form of MERGE is not PostgreSQL's";
            SqlError::new(SqlState::SyntaxError, message)
        };
        let table = &changed.table;
        let action = match &clause.action {
            ast::MergeAction::DoNothing { .. } => MergeAction::Nothing,
            ast::MergeAction::Delete { .. } => MergeAction::Delete(Box::new(Delete {
                table: table.clone(),
                source: LogicalPlan::one_row(),
                key: changed.key,
                old: changed.old.clone(),
                system: Vec::new(),
                recheck: None,
                related: self.related(table, Change::Delete)?,
                portion: None,
                returning: None,
                fields: Vec::new(),
            })),
            ast::MergeAction::Update(update) => {
                let ast::MergeUpdateKind::Set(assignments) = &update.kind else {
                    return Err(foreign());
                };
                if update.update_predicate.is_some() || update.delete_predicate.is_some() {
                    return Err(foreign());
                }
                let assignments = self
                    .in_clause(Clause::Update, |binder| binder.assignments(table, assignments))?;
                let row = self.row_ids(table);
                let checks = self.checks(table, &row)?;
                let assigned = assignments.iter().map(|(at, _)| *at);
                let assigned: Vec<usize> = assigned.chain(stored_positions(table)).collect();
                MergeAction::Update(Box::new(Update {
                    table: table.clone(),
                    source: LogicalPlan::one_row(),
                    key: changed.key,
                    old: changed.old.clone(),
                    system: Vec::new(),
                    assignments,
                    recheck: None,
                    row,
                    checks,
                    related: self.related(table, Change::Update(&assigned))?,
                    portion: None,
                    returning: None,
                    fields: Vec::new(),
                }))
            }
            ast::MergeAction::Insert(insert) => {
                let ast::MergeInsertKind::Values(values) = &insert.kind else {
                    return Err(foreign());
                };
                let [given] = &values.rows[..] else { return Err(foreign()) };
                if insert.insert_predicate.is_some() {
                    return Err(foreign());
                }
                let new = self.in_clause(Clause::Values, |binder| {
                    binder.merged_row(changed, &insert.columns, &given.content)
                })?;
                let row = self.row_ids(table);
                let checks = self.checks(table, &row)?;
                let insert = Insert {
                    table: table.clone(),
                    source: LogicalPlan::one_row(),
                    row,
                    checks,
                    related: self.related(table, Change::Insert)?,
                    on_conflict: None,
                    returning: None,
                    fields: Vec::new(),
                };
                MergeAction::Insert(Box::new(insert), new)
            }
        };
        Ok((condition, action))
    }

    /// A whole new row.
    fn merged_row(
        &mut self,
        changed: &Changed,
        names: &[ast::ObjectName],
        values: &[ast::Expr],
    ) -> Result<Vec<Expr>> {
        let table = &changed.table;
        if let Some(name) = names.iter().find_map(|name| {
            let name = object_name(name).ok()?;
            self.target_subscripts(name.last).is_some().then_some(name)
        }) {
            let error = SqlError::unsupported("INSERT into a part of a column in MERGE");
            return Err(error.at(name.position));
        }
        let columns = self.insert_columns(table, names)?;
        if values.len() > columns.len() || !names.is_empty() && values.len() < columns.len() {
            let what = if values.len() > columns.len() {
                "INSERT has more expressions than target columns"
            } else {
                "INSERT has more target columns than expressions"
            };
            return Err(SqlError::new(SqlState::SyntaxError, what));
        }
        let mut row = Vec::with_capacity(table.columns.len());
        for (position, column) in table.columns.iter().enumerate() {
            let given = columns.iter().position(|at| *at == position);
            let value = match given.and_then(|given| values.get(given)) {
                Some(value) if !is_default(value) => {
                    let bound = self.expr(value)?;
                    check_inserted(column, None)?;
                    self.assign(bound, column).at_expr(value)?
                }
                _ => self.default_of(column)?,
            };
            row.push(value);
        }
        Ok(row)
    }
}

/// Nothing comes after a clause without a condition.
fn check_reachable(clauses: &[ast::MergeClause]) -> Result<()> {
    let mut closed = [false; 2];
    for clause in clauses {
        let kind = usize::from(clause.clause_kind == ast::MergeClauseKind::Matched);
        if closed[kind] {
            let message = "unreachable WHEN clause specified after unconditional WHEN clause";
            return Err(SqlError::new(SqlState::SyntaxError, message));
        }
        closed[kind] |= clause.predicate.is_none();
    }
    Ok(())
}
