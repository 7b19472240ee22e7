//! FOR UPDATE and its kin: which scans yield their keys to be locked.
//!
//! A clause means the tables it names, or all in FROM. On a subquery in FROM it means what it would
//! inside that subquery, so it is handed down when the subquery is bound ([`Binder::handed_down`]).
//! Several clauses on one table add up: the strongest lock; NOWAIT before SKIP LOCKED before waiting.
//!
//! Sources: PostgreSQL 15, parser/analyze.c (transformLockingClause, CheckSelectLocking).

use driftdb_concurrency::{LockStrength, ReadAt, WaitPolicy};
use driftdb_query::{ColId, JoinKind, LockClause, LogicalPlan, Result, Span, SqlError};
use driftdb_types::SqlState;
use sqlparser::ast;

use super::Binder;
use super::aggregate::for_each_column;
use super::materialized::refuse;
use super::names::{ident, object_name};
use super::scope::{Relation, column_of};
use crate::front::rewrite::{LockRequest, lock_index};

/// One clause, as it applies to one SELECT.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Locking<'a> {
    request: &'a LockRequest,
    /// It came from an outer query, for everything in FROM.
    is_handed_down: bool,
}

impl Locking<'_> {
    fn is_for_all(&self) -> bool {
        self.is_handed_down || self.request.of.is_empty()
    }

    fn means(&self, relation: &str) -> bool {
        self.is_for_all() || self.request.of.iter().any(|name| name.name == relation)
    }
}

/// `FOR UPDATE`
fn clause_name(strength: LockStrength) -> &'static str {
    match strength {
        LockStrength::KeyShare => "FOR KEY SHARE",
        LockStrength::Share => "FOR SHARE",
        LockStrength::NoKeyUpdate => "FOR NO KEY UPDATE",
        LockStrength::Update => "FOR UPDATE",
    }
}

fn refused(locking: &Locking<'_>, what: &str) -> SqlError {
    let message = format!("{} {what}", clause_name(locking.request.strength));
    SqlError::new(SqlState::FeatureNotSupported, message)
}

impl<'a> Binder<'a> {
    /// The clauses of a query: its own, and those handed down to it.
    pub(crate) fn lockings(&mut self, clauses: &[ast::LockClause]) -> Result<Vec<Locking<'a>>> {
        let mut lockings = std::mem::take(&mut self.handed_down);
        let Some(content) = self.content else { return Ok(lockings) };
        for clause in clauses {
            let request = clause.of.as_ref().and_then(lock_index);
            let Some(request) = request.and_then(|index| content.lifted.locks.get(index)) else {
                return Err(SqlError::internal("a lock clause that was not lifted"));
            };
            if let Some(name) = request.of.iter().find(|name| name.schema.is_some()) {
                let clause = clause_name(request.strength);
                let message = format!("{clause} must specify unqualified relation names");
                return Err(SqlError::new(SqlState::SyntaxError, message).at(name.position));
            }
            lockings.push(Locking { request, is_handed_down: false });
        }
        Ok(lockings)
    }

    /// Fails if a query that is not a plain SELECT is to be locked.
    pub(crate) fn refuse_lockings(body: &ast::SetExpr, lockings: &[Locking<'_>]) -> Result<()> {
        let Some(locking) = lockings.first() else { return Ok(()) };
        Err(match body {
            ast::SetExpr::Values(_) => refused(locking, "cannot be applied to VALUES"),
            _ => refused(locking, "is not allowed with UNION/INTERSECT/EXCEPT"),
        })
    }

    /// Before a subquery in FROM is bound: what the clauses of the SELECT around it mean for it.
    pub(crate) fn hand_down(&mut self, alias: Option<&ast::TableAlias>) {
        let Some(alias) = alias else { return };
        let name = ident(&alias.name);
        let meant = self.locking.iter().filter(|locking| locking.means(&name));
        self.handed_down =
            meant.map(|locking| Locking { is_handed_down: true, ..*locking }).collect();
    }

    /// What the clauses of the SELECT mean for a view in its FROM.
    pub(crate) fn handed_to(&self, name: &str) -> Vec<Locking<'a>> {
        let meant = self.locking.iter().filter(|locking| locking.means(name));
        meant.map(|locking| Locking { is_handed_down: true, ..*locking }).collect()
    }

    /// Row locks: the scans concerned yield their keys.
    pub(crate) fn locks(
        &mut self,
        lockings: &[Locking<'_>],
        plan: &mut LogicalPlan,
        select: &ast::Select,
        grouped: bool,
    ) -> Result<Vec<LockClause>> {
        let mut locks: Vec<LockClause> = Vec::new();
        for locking in lockings {
            let conflict = if select.distinct.is_some() {
                Some("DISTINCT clause")
            } else if grouped {
                Some("GROUP BY clause")
            } else if select.having.is_some() {
                Some("HAVING clause")
            } else if !self.scope().aggregates.is_empty() {
                Some("aggregate functions")
            } else if !self.scope().window_calls.is_empty() {
                Some("window functions")
            } else {
                None
            };
            if let Some(conflict) = conflict {
                return Err(refused(locking, &format!("is not allowed with {conflict}")));
            }
            let relations = self.scope().relations.clone();
            check_names(locking, &relations, select)?;
            for relation in relations.iter().filter(|relation| locking.means(&relation.name)) {
                self.lock_relation(locking, relation, plan, &mut locks)?;
            }
        }
        Ok(locks)
    }

    fn lock_relation(
        &mut self,
        locking: &Locking<'_>,
        relation: &Relation,
        plan: &mut LogicalPlan,
        locks: &mut Vec<LockClause>,
    ) -> Result<()> {
        let (Some(table), Some(key)) = (&relation.table, relation.lockable) else { return Ok(()) };
        refuse(table, |name| format!("cannot lock rows in materialized view \"{name}\""))?;
        let request = locking.request;
        if let Some(lock) = locks.iter_mut().find(|lock| lock.key == key) {
            lock.strength = lock.strength.max(request.strength);
            if request.no_wait {
                (lock.wait, lock.skip_locked) = (WaitPolicy::NoWait, false);
            } else if request.skip_locked && lock.wait != WaitPolicy::NoWait {
                (lock.wait, lock.skip_locked) = (WaitPolicy::NoWait, true);
            }
            return Ok(());
        }
        let first = relation.columns.first().and_then(|column| column_of(&column.expr));
        let found = first.and_then(|first| {
            let columns: Vec<ColId> =
                relation.columns.iter().filter_map(|column| column_of(&column.expr)).collect();
            yield_key(plan, first, key, &columns)
        });
        match found {
            Some(Place { is_nullable: true }) => {
                let what = "cannot be applied to the nullable side of an outer join";
                return Err(refused(locking, what));
            }
            Some(Place { is_nullable: false }) => {}
            None => return Err(refused(locking, "cannot be applied to a table read in the past")),
        }
        self.catalog.rows_are_locked(table);
        self.ask_lock(table);
        let waits = !(request.no_wait || request.skip_locked);
        locks.push(LockClause {
            table: table.clone(),
            key,
            strength: request.strength,
            wait: if waits { WaitPolicy::Wait(None) } else { WaitPolicy::NoWait },
            skip_locked: request.skip_locked && !request.no_wait,
        });
        Ok(())
    }
}

/// OF names what can be locked.
fn check_names(locking: &Locking<'_>, relations: &[Relation], select: &ast::Select) -> Result<()> {
    if locking.is_for_all() {
        return Ok(());
    }
    for name in &locking.request.of {
        let kind = select.from.iter().find_map(|item| kind_of_item(item, &name.name));
        let found = relations.iter().find(|relation| relation.name == name.name);
        let error = match (found, kind) {
            (Some(relation), _) if relation.lockable.is_some() => continue,
            (_, Some(Kind::Subquery)) => continue,
            (_, Some(Kind::Other(kind))) => {
                refused(locking, &format!("cannot be applied to {kind}"))
            }
            (_, None) => {
                let clause = clause_name(locking.request.strength);
                let name = &name.name;
                let message =
                    format!("relation \"{name}\" in {clause} clause not found in FROM clause");
                SqlError::new(SqlState::UndefinedTable, message)
            }
        };
        return Err(error.at(name.position));
    }
    Ok(())
}

/// What a name in FROM is, other than a table.
enum Kind {
    Subquery,
    Other(&'static str),
}

fn kind_of_item(item: &ast::TableWithJoins, name: &str) -> Option<Kind> {
    let joined = item.joins.iter().map(|join| &join.relation);
    std::iter::once(&item.relation).chain(joined).find_map(|factor| kind_of_factor(factor, name))
}

fn kind_of_factor(factor: &ast::TableFactor, wanted: &str) -> Option<Kind> {
    use ast::TableFactor as F;
    let is_called = |alias: &Option<ast::TableAlias>, own: Option<&ast::ObjectName>| match alias {
        Some(alias) => ident(&alias.name) == wanted,
        None => own.and_then(|own| object_name(own).ok()).is_some_and(|own| own.name == wanted),
    };
    match factor {
        F::Derived { alias, .. } if is_called(alias, None) => Some(Kind::Subquery),
        F::Table { name, alias, args: Some(_), .. } | F::Function { name, alias, .. }
            if is_called(alias, Some(name)) =>
        {
            Some(Kind::Other("a function"))
        }
        F::Table { name, alias, .. } if is_called(alias, Some(name)) => {
            Some(Kind::Other("a WITH query"))
        }
        F::NestedJoin { alias, .. } if is_called(alias, None) => Some(Kind::Other("a join")),
        F::NestedJoin { table_with_joins, alias: None } => kind_of_item(table_with_joins, wanted),
        _ => None,
    }
}

/// Where the scan was found.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// An outer join may give rows without it.
    is_nullable: bool,
}

/// Makes the scan with a certain first column yield its key; not one of the past.
fn yield_key(
    plan: &mut LogicalPlan,
    first: ColId,
    wanted: ColId,
    columns: &[ColId],
) -> Option<Place> {
    match plan {
        LogicalPlan::Scan { columns, key, at, temporal, .. } => {
            let is_it = columns.first().is_some_and(|column| column.id == first)
                && temporal.span == Span::Once
                && !matches!(at, ReadAt::AsOf(_));
            is_it.then(|| {
                *key = Some(wanted);
                Place { is_nullable: false }
            })
        }
        LogicalPlan::Filter { input, predicate } => {
            let place = yield_key(input, first, wanted, columns)?;
            // A condition on the table may leave no row without it, as PostgreSQL's planner finds
            // out; rows without it are passed over in any case.
            let mut is_mentioned = false;
            for_each_column(predicate, &mut |id| is_mentioned |= columns.contains(&id));
            Some(Place { is_nullable: place.is_nullable && !is_mentioned })
        }
        LogicalPlan::Join { kind, left, right, .. } => {
            let (place, kinds) = match yield_key(left, first, wanted, columns) {
                Some(place) => (place, [JoinKind::Right, JoinKind::Full]),
                None => {
                    (yield_key(right, first, wanted, columns)?, [JoinKind::Left, JoinKind::Full])
                }
            };
            Some(Place { is_nullable: place.is_nullable || kinds.contains(kind) })
        }
        _ => None,
    }
}
