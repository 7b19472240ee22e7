//! Subqueries inside expressions.

use driftdb_query::{Expr, LogicalPlan, Result, SqlError, Subquery, SubqueryKind};
use driftdb_types::{CastContext, DataType, SqlState, resolve_operator};
use sqlparser::ast;

use super::Binder;
use super::position::Placed;
use super::predicate::row_fields;
use super::record::address;
use super::target::{Rows, RowsColumn};
use super::update::unequal_assignment;

impl Binder<'_> {
    pub(crate) fn scalar_subquery(&mut self, query: &ast::Query) -> Result<Expr> {
        let mut rows = self.query(query)?;
        if rows.columns.len() != 1 {
            return Err(SqlError::new(
                SqlState::SyntaxError,
                "subquery must return only one column",
            ));
        }
        self.decide_columns(&mut rows)?;
        let RowsColumn { ty, name, .. } = &rows.columns[0];
        self.asked = Some((address(query), name.clone()));
        let ty = *ty;
        Ok(subquery(SubqueryKind::Scalar, rows, ty))
    }

    /// One of the `count` columns of a subquery's one row. The subquery is bound, and run, for each.
    pub(crate) fn row_field(
        &mut self,
        query: &ast::Query,
        index: usize,
        count: usize,
    ) -> Result<Expr> {
        let mut rows = self.query(query)?;
        if rows.columns.len() != count {
            return Err(unequal_assignment());
        }
        self.decide_columns(&mut rows)?;
        let RowsColumn { id, ty, .. } = rows.columns[index];
        let exprs = vec![(id, Expr::Column { id, ty })];
        rows.plan = LogicalPlan::Project { input: Box::new(rows.plan), exprs };
        Ok(subquery(SubqueryKind::Scalar, rows, ty))
    }

    pub(crate) fn exists(&mut self, query: &ast::Query, negated: bool) -> Result<Expr> {
        let mut rows = self.query(query)?;
        self.decide_columns(&mut rows)?;
        let exists = subquery(SubqueryKind::Exists, rows, DataType::Bool);
        Ok(if negated { Expr::Not(Box::new(exists)) } else { exists })
    }

    pub(crate) fn in_subquery(
        &mut self,
        left: &ast::Expr,
        query: &ast::Query,
        negated: bool,
    ) -> Result<Expr> {
        let any = self.compare_subquery(left, "=", query, false)?;
        Ok(if negated { Expr::Not(Box::new(any)) } else { any })
    }

    /// `left op ANY (query)`, `left op ALL (query)`
    pub(crate) fn compare_subquery(
        &mut self,
        left: &ast::Expr,
        symbol: &str,
        query: &ast::Query,
        all: bool,
    ) -> Result<Expr> {
        let fields = row_fields(left).unwrap_or_else(|| vec![left]);
        if fields.len() > 1 && symbol == "<>" {
            // Rows differ from all if they are equal to none, and from some if not equal to all.
            let equal = self.compare_subquery(left, "=", query, !all)?;
            return Ok(Expr::Not(Box::new(equal)));
        }
        let mut rows = self.query(query)?;
        let unequal = |what: &str| {
            Err(SqlError::new(SqlState::SyntaxError, format!("subquery has too {what} columns")))
                .at_expr(left)
        };
        if rows.columns.len() > fields.len() {
            return unequal("many");
        }
        if rows.columns.len() < fields.len() {
            return unequal("few");
        }
        if fields.len() > 1 && symbol != "=" {
            return self.compare_in_order(&fields, symbol, rows, all);
        }
        let mut operands = Vec::with_capacity(fields.len());
        let mut operators = Vec::with_capacity(fields.len());
        for (index, field) in fields.into_iter().enumerate() {
            let bound = self.expr(field)?;
            let column = rows.columns[index].ty;
            let resolved = resolve_operator(symbol, Some(bound.ty()), Some(column))
                .map_err(SqlError::from)
                .at_expr(field)?;
            if resolved.result != DataType::Bool {
                return Err(SqlError::new(
                    SqlState::WrongObjectType,
                    "op ANY/ALL requires operator to yield boolean",
                ));
            }
            let [left_ty, right_ty] = resolved.arg_types[..] else {
                return Err(SqlError::internal("a comparison of two sides"));
            };
            operands.push(self.coerce(bound, left_ty, -1, CastContext::Implicit).at_expr(field)?);
            self.coerce_column(&mut rows, index, right_ty, -1, CastContext::Implicit)?;
            operators.push(resolved.id);
        }
        let kind = SubqueryKind::Compare { left: operands, operators, all };
        Ok(subquery(kind, rows, DataType::Bool))
    }

    /// `(a, b) < ANY (query)`: whether true is among what the comparison of rows gives for the query's rows;
    /// of ALL, whether it is all of it.
    fn compare_in_order(
        &mut self,
        fields: &[&ast::Expr],
        symbol: &str,
        mut rows: Rows,
        all: bool,
    ) -> Result<Expr> {
        self.decide_columns(&mut rows)?;
        let columns =
            rows.columns.iter().map(|RowsColumn { id, ty, .. }| Expr::Column { id: *id, ty: *ty });
        let columns: Vec<Expr> = columns.collect();
        let compared = self.lexicographic(symbol, fields.len(), &mut |binder, symbol, index| {
            let left = binder.expr(fields[index])?;
            binder.compared(symbol, left, columns[index].clone()).at_expr(fields[index])
        })?;
        let exprs = vec![(self.column_id(), compared)];
        rows.plan = LogicalPlan::Project { input: Box::new(rows.plan), exprs };
        let equal = resolve_operator("=", Some(DataType::Bool), Some(DataType::Bool))?;
        let (left, operators) = (vec![Expr::truth()], vec![equal.id]);
        Ok(subquery(SubqueryKind::Compare { left, operators, all }, rows, DataType::Bool))
    }

    fn compared(&mut self, symbol: &str, left: Expr, right: Expr) -> Result<Expr> {
        let resolved = resolve_operator(symbol, Some(left.ty()), Some(right.ty()))?;
        let [left_ty, right_ty] = resolved.arg_types[..] else {
            return Err(SqlError::internal("a comparison of two sides"));
        };
        let args = vec![
            self.coerce(left, left_ty, -1, CastContext::Implicit)?,
            self.coerce(right, right_ty, -1, CastContext::Implicit)?,
        ];
        Ok(Expr::Call { function: resolved.id, args, ty: resolved.result })
    }
}

fn subquery(kind: SubqueryKind, rows: Rows, ty: DataType) -> Expr {
    Expr::Subquery(Box::new(Subquery { kind, plan: rows.plan, ty }))
}
