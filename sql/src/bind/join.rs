//! Joins: their conditions, and the columns that USING and NATURAL merge.

use driftdb_query::{Expr, JoinKind, LogicalPlan, Result, SqlError};
use driftdb_types::{CastContext, SqlState, common_type};
use sqlparser::ast;

use super::Binder;
use super::from::check_names;
use super::names::simple_name;
use super::predicate::all_of;
use super::scope::{Clause, FromItem, Named, Relation, Scope};
use super::whole_row::{Whole, note_nullable};

/// What a join's columns are matched by.
enum Condition<'e> {
    None,
    On(&'e ast::Expr),
    Using(Vec<(String, u32)>),
}

impl Binder<'_> {
    pub(crate) fn join(
        &mut self,
        left: FromItem,
        right: FromItem,
        lateral: bool,
        operator: &ast::JoinOperator,
    ) -> Result<FromItem> {
        use ast::JoinOperator as J;
        let (kind, constraint) = match operator {
            J::Join(constraint) | J::Inner(constraint) => (JoinKind::Inner, constraint),
            J::Left(constraint) | J::LeftOuter(constraint) => (JoinKind::Left, constraint),
            J::Right(constraint) | J::RightOuter(constraint) => (JoinKind::Right, constraint),
            J::FullOuter(constraint) => (JoinKind::Full, constraint),
            J::CrossJoin(constraint) => (JoinKind::Inner, constraint),
            _ => return Err(SqlError::unsupported("this kind of join")),
        };
        if lateral && matches!(kind, JoinKind::Right | JoinKind::Full) {
            return Err(SqlError::new(
                SqlState::InvalidColumnReference,
                "invalid reference to FROM-clause entry",
            )
            .with_detail(
                "The combining JOIN type must be INNER or LEFT for a LATERAL reference.",
            ));
        }
        check_names(&left.relations, &right.relations)?;
        let condition = match constraint {
            ast::JoinConstraint::None if matches!(operator, J::CrossJoin(_)) => Condition::None,
            ast::JoinConstraint::None => {
                return Err(SqlError::new(
                    SqlState::SyntaxError,
                    "a join needs ON, USING or NATURAL",
                ));
            }
            ast::JoinConstraint::On(expr) => Condition::On(expr),
            ast::JoinConstraint::Using(names) => {
                Condition::Using(names.iter().map(simple_name).collect::<Result<_>>()?)
            }
            ast::JoinConstraint::Natural => Condition::Using(common_names(&left, &right)),
        };
        let before = left.relations.len();
        let mut relations = left.relations;
        relations.extend(right.relations);
        let merged = match &condition {
            Condition::Using(names) => names.clone(),
            _ => Vec::new(),
        };
        let (on, visible) = match condition {
            Condition::None => {
                (Expr::truth(), left.visible.into_iter().chain(right.visible).collect())
            }
            Condition::On(expr) => {
                let visible: Vec<Named> = left.visible.into_iter().chain(right.visible).collect();
                let scope = Scope::with(Clause::JoinCondition, relations.clone(), visible.clone());
                self.scopes.push(scope);
                let on = self.predicate(expr, "JOIN/ON");
                self.scopes.pop();
                (on?, visible)
            }
            Condition::Using(names) => self.merge(left.visible, right.visible, &names, kind)?,
        };
        let (nullable, rest) = relations.split_at_mut(before);
        note_nullable(kind, nullable, rest);
        let first = merged.first().map_or(0, |(_, position)| *position);
        let alias = self.content.and_then(|content| content.lifted.join_aliases.get(&first));
        if let Some((name, position)) = alias.filter(|_| first > 0) {
            let columns = visible[..merged.len()].to_vec();
            let relation = Relation {
                name: name.clone(),
                schema: None,
                columns,
                table: None,
                lockable: None,
                hidden: None,
                tableoid: None,
                whole: Whole::default(),
            };
            check_names(&relations, std::slice::from_ref(&relation))
                .map_err(|error| error.at(*position))?;
            relations.push(relation);
        }
        let plan = LogicalPlan::Join {
            kind,
            left: Box::new(left.plan),
            right: Box::new(right.plan),
            on,
            lateral,
        };
        Ok(FromItem { plan, relations, visible })
    }

    /// The condition and columns of USING: merged columns first, then the left's, then the right's.
    fn merge(
        &mut self,
        left: Vec<Named>,
        right: Vec<Named>,
        names: &[(String, u32)],
        kind: JoinKind,
    ) -> Result<(Expr, Vec<Named>)> {
        let mut terms = Vec::with_capacity(names.len());
        let mut merged = Vec::with_capacity(names.len());
        for (name, position) in names {
            let place = |error: SqlError| if *position > 0 { error.at(*position) } else { error };
            let l = side(&left, name, "left").map_err(place)?.expr.clone();
            let r = side(&right, name, "right").map_err(place)?.expr.clone();
            if let Some(recorder) = &mut self.recorder {
                recorder.uses(&l);
                recorder.uses(&r);
            }
            self.note_used(&l);
            self.note_used(&r);
            terms.push(self.operator("=", l.clone(), r.clone()).map_err(place)?);
            let differ = |e: driftdb_types::TypesDiffer| place(e.error("JOIN/USING").into());
            let ty = common_type(&[l.ty(), r.ty()]).map_err(differ)?;
            let mut fit = |expr| self.coerce(expr, ty, -1, CastContext::Implicit);
            let expr = match kind {
                JoinKind::Right => fit(r)?,
                JoinKind::Full => Expr::Coalesce { args: vec![fit(l)?, fit(r)?], ty },
                _ => fit(l)?,
            };
            merged.push(Named { name: name.clone(), expr });
        }
        let rest = |columns: Vec<Named>| {
            columns.into_iter().filter(|c| !names.iter().any(|(name, _)| *name == c.name))
        };
        let visible = merged.into_iter().chain(rest(left)).chain(rest(right)).collect();
        Ok((all_of(terms), visible))
    }
}

fn side<'c>(columns: &'c [Named], name: &str, which: &str) -> Result<&'c Named> {
    let mut found = columns.iter().filter(|column| column.name == name);
    let Some(first) = found.next() else {
        let message =
            format!("column \"{name}\" specified in USING clause does not exist in {which} table");
        return Err(SqlError::new(SqlState::UndefinedColumn, message));
    };
    if found.next().is_some() {
        let message =
            format!("common column name \"{name}\" appears more than once in {which} table");
        return Err(SqlError::new(SqlState::AmbiguousColumn, message));
    }
    Ok(first)
}

/// The names that both sides have, in the left's order.
fn common_names(left: &FromItem, right: &FromItem) -> Vec<(String, u32)> {
    left.visible
        .iter()
        .filter(|column| right.visible.iter().any(|other| other.name == column.name))
        .map(|column| (column.name.clone(), 0))
        .collect()
}
