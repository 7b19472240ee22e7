//! MERGE.
//!
//! Sources: PostgreSQL 15, parser/parse_merge.c, whose rules and texts these are.

use driftdb_query::{
    CatalogAt, Expr, JoinKind, LogicalPlan, Merge, MergeAction, MergeClause, ObjectKind, Result,
    Rights, SqlError,
};
use driftdb_types::SqlState;
use sqlparser::ast;

use super::Binder;
use super::foreign::Change;
use super::from::check_names;
use super::generated::{Overriding, check_inserted, is_overridden, stored_positions};
use super::materialized::refuse_operation;
use super::names::object_name;
use super::position::Placed;
use super::returning::is_default;
use super::scope::{Clause, Relation, Scope};
use super::updatable;
use super::update::Changed;

fn foreign() -> SqlError {
    SqlError::new(SqlState::SyntaxError, "this form of MERGE is not PostgreSQL's")
}

impl Binder<'_> {
    pub(crate) fn merge_statement(&mut self, merge: &ast::Merge) -> Result<Merge> {
        let is_foreign = merge.output.is_some() || !merge.optimizer_hints.is_empty();
        if is_foreign || !merge.into || merge.clauses.is_empty() {
            return Err(foreign());
        }
        check_reachable(&merge.clauses)?;
        self.check_mergeable(&merge.table)?;
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
        if source.relations.len() == 1 && source.relations[0].name == changed.name {
            let message = format!("name \"{}\" specified more than once", changed.name);
            return Err(SqlError::new(SqlState::DuplicateAlias, message)
                .with_detail("The name is used both as MERGE target table and data source."));
        }
        check_names(&target.relations, &source.relations)?;
        let bare = |relations: &[Relation], visible: &[_]| {
            Scope::with(Clause::JoinCondition, relations.to_vec(), visible.to_vec())
        };
        let relations = [&target.relations[..], &source.relations[..]].concat();
        let visible = [&target.visible[..], &source.visible[..]].concat();
        self.scopes.push(bare(&relations, &visible));
        let on = self.predicate(&merge.on, "JOIN/ON");
        self.scopes.pop();
        let on = on?;
        let mut clauses = Vec::with_capacity(merge.clauses.len());
        for clause in &merge.clauses {
            let matched = is_matched(clause)?;
            // Where there is no row of the target, none can be named.
            self.scopes.push(if matched {
                bare(&relations, &visible)
            } else {
                bare(&source.relations, &source.visible)
            });
            let bound = self.merge_clause(clause, &changed);
            self.scopes.pop();
            let (condition, action) = bound?;
            clauses.push(MergeClause { matched, condition, action });
        }
        for clause in &clauses {
            let (right, columns) = match &clause.action {
                MergeAction::Nothing => continue,
                MergeAction::Insert(_) => (Rights::INSERT, Vec::new()),
                MergeAction::Update(assignments) => {
                    (Rights::UPDATE, assignments.iter().map(|(at, _)| *at).collect())
                }
                MergeAction::Delete => (Rights::DELETE, Vec::new()),
            };
            self.ask_columns(changed.asked, &changed.table, None, right, columns.into_iter());
        }
        let plan = std::mem::replace(&mut changed.plan, LogicalPlan::one_row());
        let source = LogicalPlan::Join {
            kind: JoinKind::Left,
            left: Box::new(source.plan),
            right: Box::new(plan),
            on: on.clone(),
            lateral: false,
        };
        let Changed { table, key, old, system, .. } = changed;
        let row = self.row_ids(&table);
        let checks = self.checks(&table, &row)?;
        let related = {
            let mut updated: Vec<usize> = Vec::new();
            for clause in &clauses {
                if let MergeAction::Update(assignments) = &clause.action {
                    updated.extend(assignments.iter().map(|(at, _)| *at));
                    updated.extend(stored_positions(&table));
                }
            }
            let does = |wanted: fn(&MergeAction) -> bool| clauses.iter().any(|c| wanted(&c.action));
            let inserts = does(|action| matches!(action, MergeAction::Insert(_)));
            let deletes = does(|action| matches!(action, MergeAction::Delete));
            self.related(&table, Change::Merge { inserts, updated: &updated, deletes })?
        };
        Ok(Merge { table, source, key, old, system, on, clauses, row, checks, related })
    }

    /// The target is a table.
    fn check_mergeable(&mut self, target: &ast::TableFactor) -> Result<()> {
        let ast::TableFactor::Table { name, .. } = target else { return Err(foreign()) };
        let name = object_name(name)?;
        let schema = name.schema.as_deref();
        if let Some(table) = self.catalog.table(schema, &name.name, CatalogAt::Statement)? {
            let refused = refuse_operation(&table, |name| {
                format!("cannot execute MERGE on relation \"{name}\"")
            });
            let state = SqlState::FeatureNotSupported;
            return refused.map_err(|error| SqlError { state, ..error });
        }
        let Some(object) = self.relation_named(schema, &name.name, CatalogAt::Statement)? else {
            return Ok(());
        };
        let message = format!("cannot execute MERGE on relation \"{}\"", object.name);
        let kinds = match &object.kind {
            ObjectKind::View(_) => "views",
            ObjectKind::Sequence(_) => "sequences",
            _ => return Ok(()),
        };
        let detail = format!("This operation is not supported for {kinds}.");
        Err(SqlError::new(SqlState::FeatureNotSupported, message).with_detail(detail))
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
        let table = &changed.table;
        let action = match &clause.action {
            ast::MergeAction::DoNothing { .. } => MergeAction::Nothing,
            ast::MergeAction::Delete { .. } => MergeAction::Delete,
            ast::MergeAction::Update(update) => {
                let ast::MergeUpdateKind::Set(assignments) = &update.kind else {
                    return Err(foreign());
                };
                if update.update_predicate.is_some() || update.delete_predicate.is_some() {
                    return Err(foreign());
                }
                let bound = self
                    .in_clause(Clause::Update, |binder| binder.assignments(table, assignments))?;
                MergeAction::Update(bound)
            }
            ast::MergeAction::Insert(insert) => {
                let ast::MergeInsertKind::Values(values) = &insert.kind else {
                    return Err(foreign());
                };
                let [given] = &values.rows[..] else { return Err(foreign()) };
                if insert.insert_predicate.is_some() {
                    return Err(foreign());
                }
                let overriding = self.overriding(insert.insert_token.0.span.start.column as u32);
                MergeAction::Insert(self.in_clause(Clause::Values, |binder| {
                    binder.merged_row(changed, &insert.columns, &given.content, overriding)
                })?)
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
        overriding: Option<Overriding>,
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
        if let Some(more) = values.get(columns.len()) {
            let message = "INSERT has more expressions than target columns";
            return Err(SqlError::new(SqlState::SyntaxError, message)).at_expr(more);
        }
        if let Some(more) = names.get(values.len()) {
            let message = "INSERT has more target columns than expressions";
            return Err(
                SqlError::new(SqlState::SyntaxError, message).at(object_name(more)?.position)
            );
        }
        let mut row = Vec::with_capacity(table.columns.len());
        for (position, column) in table.columns.iter().enumerate() {
            let given = columns.iter().position(|at| *at == position);
            let value = match given.and_then(|given| values.get(given)) {
                Some(value) if !is_default(value) => {
                    let bound = self.expr(value)?;
                    check_inserted(column, overriding)?;
                    let assigned = self.assign(bound, column).at_expr(value)?;
                    (!is_overridden(column, overriding)).then_some(assigned)
                }
                _ => None,
            };
            let value = match value {
                Some(value) => value,
                None => self.default_of(column)?,
            };
            row.push(value);
        }
        Ok(row)
    }
}

fn is_matched(clause: &ast::MergeClause) -> Result<bool> {
    match clause.clause_kind {
        ast::MergeClauseKind::Matched => Ok(true),
        ast::MergeClauseKind::NotMatched => Ok(false),
        ast::MergeClauseKind::NotMatchedByTarget | ast::MergeClauseKind::NotMatchedBySource => {
            Err(SqlError::new(SqlState::SyntaxError, "syntax error at or near \"BY\""))
        }
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
