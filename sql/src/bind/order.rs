//! ORDER BY, LIMIT and the names and positions that ORDER BY, GROUP BY and DISTINCT ON may use.

use driftdb_query::{Expr, LogicalPlan, Result, SortKey, SqlError};
use driftdb_types::{CastContext, DataType, SqlState, can_cast};
use sqlparser::ast;

use super::Binder;
use super::names::{ident, ident_position};
use super::position::{Placed, bare};
use super::scope::{Clause, Relation, Scope};
use super::target::{NO_META, Rows, Target};
use super::whole_row::Whole;
use crate::front::rewrite::FETCH;

/// A sort key with its direction.
///
/// # Errors
/// 42883 for a type without order.
pub(crate) fn sort_key(expr: Expr, options: &ast::OrderByOptions) -> Result<SortKey> {
    if !expr.ty().is_comparable() {
        let message = format!("could not identify an ordering operator for type {}", expr.ty());
        return Err(SqlError::new(SqlState::UndefinedFunction, message)
            .with_hint("Use an explicit ordering operator or modify the query."));
    }
    let descending = match &options.sort {
        None | Some(ast::OrderBySort::Asc) => false,
        Some(ast::OrderBySort::Desc) => true,
        Some(ast::OrderBySort::Using(operator)) => match operator.to_string().as_str() {
            "<" => false,
            ">" => true,
            other => return Err(SqlError::unsupported(format!("ORDER BY USING {other}"))),
        },
    };
    Ok(SortKey { expr, descending, nulls_first: options.nulls_first.unwrap_or(descending) })
}

/// What is grouped by, or made distinct, needs an equality.
///
/// # Errors
/// 42883
pub(crate) fn check_equality(ty: DataType) -> Result<()> {
    if ty.is_comparable() {
        return Ok(());
    }
    let message = format!("could not identify an equality operator for type {ty}");
    Err(SqlError::new(SqlState::UndefinedFunction, message))
}

/// The keys of an ORDER BY as written.
pub(crate) fn order_keys(order_by: Option<&ast::OrderBy>) -> Result<&[ast::OrderByExpr]> {
    match order_by {
        None => Ok(&[]),
        Some(ast::OrderBy { kind: ast::OrderByKind::Expressions(keys), .. }) => Ok(keys),
        Some(_) => Err(SqlError::new(SqlState::SyntaxError, "syntax error at or near \"ALL\"")),
    }
}

impl Binder<'_> {
    /// The target that a key means by its output name or position; `None`: it is an expression.
    pub(crate) fn named_target(
        &mut self,
        key: &ast::Expr,
        targets: &[Target],
        clause: Clause,
    ) -> Result<Option<usize>> {
        match bare(key) {
            ast::Expr::Identifier(name) => {
                let (text, position) = (ident(name), ident_position(name));
                if clause == Clause::GroupBy && self.scope().visible.iter().any(|c| c.name == text)
                {
                    return Ok(None);
                }
                let mut found = targets.iter().enumerate().filter(|(_, t)| t.name == text);
                let Some((first, target)) = found.next() else { return Ok(None) };
                if found.any(|(_, other)| other.expr != target.expr) {
                    let message = format!("{} \"{text}\" is ambiguous", clause.name());
                    return Err(SqlError::new(SqlState::AmbiguousColumn, message).at(position));
                }
                Ok(Some(first))
            }
            ast::Expr::Value(value) => {
                let position = value.span.start.column as u32;
                let ast::Value::Number(digits, _) = &value.value else {
                    if matches!(value.value, ast::Value::Placeholder(_)) {
                        return Ok(None);
                    }
                    let message = format!("non-integer constant in {}", clause.name());
                    return Err(SqlError::new(SqlState::SyntaxError, message).at(position));
                };
                match digits.parse::<usize>() {
                    Ok(number) if (1..=targets.len()).contains(&number) => Ok(Some(number - 1)),
                    Ok(number) => {
                        let message =
                            format!("{} position {number} is not in select list", clause.name());
                        Err(SqlError::new(SqlState::InvalidColumnReference, message).at(position))
                    }
                    Err(_) => {
                        let message = format!("non-integer constant in {}", clause.name());
                        Err(SqlError::new(SqlState::SyntaxError, message).at(position))
                    }
                }
            }
            _ => Ok(None),
        }
    }

    /// The target that a key is; an expression that is in no target is added behind them.
    pub(crate) fn key_target(
        &mut self,
        key: &ast::Expr,
        targets: &mut Vec<Target>,
        visible: usize,
        clause: Clause,
    ) -> Result<usize> {
        let named = self.named_target(key, &targets[..visible], clause)?;
        let index = match named {
            Some(index) => index,
            None => {
                let expr =
                    self.in_clause(clause, |binder| binder.decided_expr(key)).at_expr(key)?;
                match targets.iter().position(|target| target.expr == expr) {
                    Some(index) => index,
                    None => {
                        targets.push(Target { name: String::new(), expr, meta: NO_META });
                        targets.len() - 1
                    }
                }
            }
        };
        if targets[index].expr.ty() == DataType::Unknown {
            let expr = std::mem::replace(&mut targets[index].expr, Expr::truth());
            targets[index].expr = self.decided(expr)?;
        }
        Ok(index)
    }

    /// Sorts a finished query by its output columns; `strict`: only by names and positions.
    pub(crate) fn sort_rows(
        &mut self,
        mut rows: Rows,
        keys: &[ast::OrderByExpr],
        strict: bool,
    ) -> Result<Rows> {
        if keys.is_empty() {
            return Ok(rows);
        }
        self.decide_columns(&mut rows)?;
        let targets: Vec<Target> = rows
            .columns
            .iter()
            .map(|column| Target {
                name: column.name.clone(),
                expr: Expr::Column { id: column.id, ty: column.ty },
                meta: column.meta,
            })
            .collect();
        let columns: Vec<_> = rows.columns.iter().map(super::from::named_column).collect();
        let relation = Relation {
            name: String::new(),
            schema: None,
            columns: columns.clone(),
            table: None,
            lockable: None,
            hidden: None,
            tableoid: None,
            whole: Whole::default(),
        };
        self.scopes.push(Scope::with(Clause::OrderBy, vec![relation], columns));
        let mut sorted = Vec::with_capacity(keys.len());
        for key in keys {
            let expr = match self.named_target(&key.expr, &targets, Clause::OrderBy)? {
                Some(index) => targets[index].expr.clone(),
                None if strict => {
                    return Err(SqlError::new(
                        SqlState::FeatureNotSupported,
                        "invalid UNION/INTERSECT/EXCEPT ORDER BY clause",
                    )
                    .with_detail(
                        "Only result column names can be used, not expressions or functions.",
                    )
                    .with_hint(
                        "Add the expression/function to every SELECT, or move the UNION into a \
                         FROM clause.",
                    ))
                    .at_expr(&key.expr);
                }
                None => self.in_clause(Clause::Values, |b| b.decided_expr(&key.expr))?,
            };
            sorted.push(sort_key(expr, &key.options)?);
        }
        self.scopes.pop();
        rows.plan = LogicalPlan::Sort { input: Box::new(rows.plan), keys: sorted };
        Ok(rows)
    }

    /// LIMIT, OFFSET and FETCH of a query.
    pub(crate) fn limit(&mut self, query: &ast::Query, plan: LogicalPlan) -> Result<LogicalPlan> {
        let (mut count, mut offset) = match &query.limit_clause {
            None => (None, None),
            Some(ast::LimitClause::LimitOffset { limit, offset, limit_by }) => {
                if !limit_by.is_empty() {
                    return Err(SqlError::new(
                        SqlState::SyntaxError,
                        "syntax error at or near \"BY\"",
                    ));
                }
                (limit.as_ref(), offset.as_ref().map(|offset| &offset.value))
            }
            Some(ast::LimitClause::OffsetCommaLimit { .. }) => {
                return Err(SqlError::new(
                    SqlState::SyntaxError,
                    "LIMIT #,# syntax is not supported",
                )
                .with_hint("Use separate LIMIT and OFFSET clauses."));
            }
        };
        let mut one = None;
        if let Some(fetch) = &query.fetch {
            if fetch.percent {
                return Err(SqlError::unsupported("FETCH ... PERCENT"));
            }
            match &fetch.quantity {
                Some(ast::Expr::Value(value))
                    if value.value == ast::Value::Placeholder(FETCH.to_owned()) =>
                {
                    let position = value.span.start.column as u32;
                    count = self.content.and_then(|all| all.lifted.fetches.get(&position));
                }
                Some(quantity) => count = Some(quantity),
                None => {
                    let value = driftdb_types::Value::Int8(1);
                    one = Some(Expr::constant(value, DataType::Int8));
                }
            }
        }
        if let Some(ast::Expr::Value(value)) = count
            && value.value == ast::Value::Null
        {
            count = None;
        }
        let mut bind = |expr: Option<&ast::Expr>, name: &str| match expr {
            Some(expr) => self.row_count(expr, name).map(Some),
            None => Ok(None),
        };
        let count = match one {
            Some(one) => Some(one),
            None => bind(count.take(), "LIMIT")?,
        };
        let offset = bind(offset.take(), "OFFSET")?;
        if query.fetch.as_ref().is_some_and(|fetch| fetch.with_ties) {
            return self.with_ties(plan, count, offset);
        }
        if count.is_none() && offset.is_none() {
            return Ok(plan);
        }
        Ok(LogicalPlan::Limit { input: Box::new(plan), count, offset })
    }

    fn row_count(&mut self, expr: &ast::Expr, name: &str) -> Result<Expr> {
        self.scopes.push(Scope::new(Clause::Limit));
        let bound = self.expr(expr);
        self.scopes.pop();
        let bound = bound?;
        let ty = bound.ty();
        if ty != DataType::Unknown && !can_cast(ty, DataType::Int8, CastContext::Assignment)
            || ty.is_string()
        {
            let message = format!("argument of {name} must be type bigint, not type {ty}");
            return Err(SqlError::new(SqlState::DatatypeMismatch, message)).at_expr(expr);
        }
        self.coerce(bound, DataType::Int8, -1, CastContext::Assignment).at_expr(expr)
    }
}
