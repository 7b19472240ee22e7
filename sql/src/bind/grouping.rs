//! GROUP BY: expressions, and sets of them.
//!
//! ROLLUP, CUBE and GROUPING SETS each stand for sets; the items of a GROUP BY are multiplied. Without any
//! of them there is one set.
//!
//! Sources: PostgreSQL 15, parser/parse_agg.c (expand_grouping_sets), parser/parse_clause.c.

use driftdb_query::{ColId, Expr, Result, SqlError};
use driftdb_types::{DataType, SqlState};
use sqlparser::ast;

use super::Binder;
use super::call::arguments;
use super::names::object_name;
use super::order::check_equality;
use super::position::{Placed, bare};
use super::scope::{Clause, column_of};
use super::target::Target;
use crate::front::grouping::{CUBE, DISTINCT, EMPTY, ROLLUP, SETS};

/// No grouping has more sets.
const MAX_SETS: usize = 4096;

/// What GROUP BY asks for.
#[derive(Debug, Default)]
pub(crate) struct GroupBy {
    /// The expressions and the columns they become.
    pub(crate) groups: Vec<(ColId, Expr)>,
    /// The sets, as places among the groups; `None`: one of all.
    pub(crate) sets: Option<Vec<Vec<usize>>>,
}

/// The function that a call is of, if it is one of ours.
fn called<'e>(expr: &'e ast::Expr, name: &str) -> Option<&'e ast::FunctionArgumentList> {
    let ast::Expr::Function(function) = expr else { return None };
    let ast::FunctionArguments::List(list) = &function.args else { return None };
    (object_name(&function.name).ok()?.name == name).then_some(list)
}

fn is_marker(expr: &ast::Expr, name: &str) -> bool {
    matches!(expr, ast::Expr::Identifier(ident) if ident.value == name)
}

fn too_many() -> SqlError {
    let message = format!("too many grouping sets present (maximum {MAX_SETS})");
    SqlError::new(SqlState::StatementTooComplex, message)
}

impl Binder<'_> {
    /// GROUP BY: `None` if absent.
    pub(crate) fn groups(
        &mut self,
        select: &ast::Select,
        targets: &mut [Target],
    ) -> Result<Option<GroupBy>> {
        let ast::GroupByExpr::Expressions(exprs, modifiers) = &select.group_by else {
            return Err(SqlError::unsupported("GROUP BY ALL"));
        };
        if !modifiers.is_empty() {
            return Err(SqlError::unsupported("GROUP BY with a modifier"));
        }
        if exprs.is_empty() {
            return Ok(None);
        }
        let distinct = is_marker(&exprs[0], DISTINCT);
        let mut by = GroupBy::default();
        let mut sets: Vec<Vec<usize>> = vec![Vec::new()];
        let mut is_plain = true;
        for expr in &exprs[usize::from(distinct)..] {
            is_plain &= !is_set(bare(expr));
            let own = self.deeper(1, |binder| binder.sets_of(expr, targets, &mut by.groups))?;
            if sets.len() * own.len() > MAX_SETS {
                return Err(too_many());
            }
            let mut product = Vec::with_capacity(sets.len() * own.len());
            for set in &sets {
                for more in &own {
                    let mut both = set.clone();
                    both.extend(more.iter().filter(|place| !set.contains(place)));
                    product.push(both);
                }
            }
            sets = product;
        }
        if distinct {
            let mut seen: Vec<Vec<usize>> = Vec::new();
            sets.retain(|set| {
                let mut sorted = set.clone();
                sorted.sort_unstable();
                let is_new = !seen.contains(&sorted);
                if is_new {
                    seen.push(sorted);
                }
                is_new
            });
        }
        if !is_plain {
            by.sets = Some(sets);
        }
        Ok(Some(by))
    }

    /// The sets that one item stands for.
    fn sets_of(
        &mut self,
        expr: &ast::Expr,
        targets: &mut [Target],
        groups: &mut Vec<(ColId, Expr)>,
    ) -> Result<Vec<Vec<usize>>> {
        let expr = bare(expr);
        if is_marker(expr, EMPTY) {
            return Ok(vec![Vec::new()]);
        }
        if let Some(list) = called(expr, SETS) {
            let mut sets = Vec::new();
            for member in arguments(list)? {
                sets.extend(self.deeper(1, |binder| binder.sets_of(member, targets, groups))?);
                if sets.len() > MAX_SETS {
                    return Err(too_many());
                }
            }
            return Ok(sets);
        }
        if let Some(list) = called(expr, ROLLUP) {
            let members = self.members(list, targets, groups)?;
            return Ok((0..=members.len()).rev().map(|count| merged(&members[..count])).collect());
        }
        if let Some(list) = called(expr, CUBE) {
            let members = self.members(list, targets, groups)?;
            if members.len() > 12 {
                let message = "CUBE is limited to 12 elements";
                return Err(SqlError::new(SqlState::TooManyColumns, message)).at_expr(expr);
            }
            let count = members.len();
            let chosen = |set: usize| {
                let own = (0..count).filter(|place| set & (1 << (count - 1 - place)) != 0);
                merged(&own.map(|place| members[place].clone()).collect::<Vec<_>>())
            };
            return Ok((0..1usize << count).rev().map(chosen).collect());
        }
        Ok(vec![self.one_set(expr, targets, groups)?])
    }

    /// The members of a ROLLUP or CUBE, each a set.
    fn members(
        &mut self,
        list: &ast::FunctionArgumentList,
        targets: &mut [Target],
        groups: &mut Vec<(ColId, Expr)>,
    ) -> Result<Vec<Vec<usize>>> {
        let members = arguments(list)?;
        members.into_iter().map(|member| self.one_set(member, targets, groups)).collect()
    }

    /// An expression, or several in brackets.
    fn one_set(
        &mut self,
        expr: &ast::Expr,
        targets: &mut [Target],
        groups: &mut Vec<(ColId, Expr)>,
    ) -> Result<Vec<usize>> {
        let mut set = Vec::new();
        let mut pending = vec![expr];
        while let Some(expr) = pending.pop() {
            if let ast::Expr::Tuple(fields) = bare(expr) {
                pending.extend(fields.iter().rev());
                continue;
            }
            let place = self.group(expr, targets, groups)?;
            if !set.contains(&place) {
                set.push(place);
            }
        }
        Ok(set)
    }

    /// The place of an expression among the groups.
    fn group(
        &mut self,
        expr: &ast::Expr,
        targets: &mut [Target],
        groups: &mut Vec<(ColId, Expr)>,
    ) -> Result<usize> {
        let bound = match self.named_target(expr, targets, Clause::GroupBy)? {
            Some(index) => {
                let refused =
                    |message: &str, state| Err(SqlError::new(state, message)).at_expr(expr);
                if self.has_aggregate(&targets[index].expr) {
                    let message = "aggregate functions are not allowed in GROUP BY";
                    return refused(message, SqlState::GroupingError);
                }
                if self.has_window(&targets[index].expr) {
                    let message = "window functions are not allowed in GROUP BY";
                    return refused(message, SqlState::WindowingError);
                }
                let target = std::mem::replace(&mut targets[index].expr, Expr::truth());
                targets[index].expr = self.decided(target)?;
                targets[index].expr.clone()
            }
            None => self.in_clause(Clause::GroupBy, |b| b.decided_expr(expr))?,
        };
        check_equality(bound.ty()).at_expr(expr)?;
        if let Some(place) = groups.iter().position(|(_, group)| *group == bound) {
            return Ok(place);
        }
        // A bare column keeps its identity, so that subqueries above the grouping find it; an
        // outer query's column has that identity there.
        let own = column_of(&bound).filter(|id| self.scope().display(*id).is_some());
        let id = own.unwrap_or_else(|| self.column_id());
        groups.push((id, bound));
        Ok(groups.len() - 1)
    }

    fn has_aggregate(&mut self, expr: &Expr) -> bool {
        let scope = self.scope();
        let mut found = false;
        super::aggregate::for_each_column(expr, &mut |id| {
            found |= scope.aggregates.iter().any(|call| call.output == id);
        });
        found
    }

    fn has_window(&mut self, expr: &Expr) -> bool {
        let scope = self.scope();
        let mut found = false;
        super::aggregate::for_each_column(expr, &mut |id| {
            found |= scope.window_calls.iter().any(|(_, call)| call.output == id);
        });
        found
    }

    /// GROUPING(…): the column that the grouping yields for it.
    pub(crate) fn grouping_call(&mut self, list: &ast::FunctionArgumentList) -> Result<Expr> {
        let scope = self.scope();
        if !scope.clause.is_grouped() {
            let message = format!("grouping operations are not allowed in {}", scope.clause.name());
            return Err(SqlError::new(SqlState::GroupingError, message));
        }
        let exprs = arguments(list)?;
        if exprs.is_empty() {
            let message = "syntax error at or near \")\"";
            return Err(SqlError::new(SqlState::SyntaxError, message));
        }
        if exprs.len() > 31 {
            let message = "GROUPING must have fewer than 32 arguments";
            return Err(SqlError::new(SqlState::TooManyArguments, message));
        }
        let args = exprs.iter().map(|expr| self.decided_expr(expr)).collect::<Result<Vec<_>>>()?;
        let ty = DataType::Int4;
        if let Some((id, _)) = self.scope().groupings.iter().find(|(_, known)| *known == args) {
            return Ok(Expr::Column { id: *id, ty });
        }
        let id = self.column_id();
        self.scope().groupings.push((id, args));
        Ok(Expr::Column { id, ty })
    }
}

fn is_set(expr: &ast::Expr) -> bool {
    is_marker(expr, EMPTY)
        || [SETS, ROLLUP, CUBE].into_iter().any(|name| called(expr, name).is_some())
}

fn merged(members: &[Vec<usize>]) -> Vec<usize> {
    let mut set: Vec<usize> = Vec::new();
    for place in members.iter().flatten() {
        if !set.contains(place) {
            set.push(*place);
        }
    }
    set
}
