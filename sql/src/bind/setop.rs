//! UNION, INTERSECT, EXCEPT and VALUES.

use driftdb_query::{Expr, LogicalPlan, OutputColumn, Result, SetOpKind, SqlError};
use driftdb_types::{CastContext, DataType, SqlState, common_type};
use sqlparser::ast;

use super::Binder;
use super::position::Placed;
use super::scope::{Clause, Scope};
use super::target::{NO_META, Rows, RowsColumn};

impl Binder<'_> {
    /// A query's body without the clauses around it.
    pub(crate) fn set_expr(&mut self, body: &ast::SetExpr) -> Result<Rows> {
        match body {
            ast::SetExpr::Select(select) => self.plain_select(select),
            ast::SetExpr::Query(query) => self.query(query),
            ast::SetExpr::Values(values) => self.values(values),
            ast::SetExpr::SetOperation { .. } => self.set_operation(body),
            ast::SetExpr::Insert(_)
            | ast::SetExpr::Update(_)
            | ast::SetExpr::Delete(_)
            | ast::SetExpr::Merge(_) => {
                Err(SqlError::unsupported("a data-modifying statement inside a query"))
            }
            ast::SetExpr::Table(_) => Err(SqlError::unsupported("TABLE in this place")),
        }
    }

    /// Chains lean to the left: the spine is walked, not recursed into.
    fn set_operation(&mut self, body: &ast::SetExpr) -> Result<Rows> {
        let mut spine = Vec::new();
        let mut first = body;
        while let ast::SetExpr::SetOperation { left, op, set_quantifier, right } = first {
            spine.push((op, set_quantifier, &**right));
            first = left;
        }
        let levels = spine.len() as u32;
        let mut rows = self.deeper(levels, |binder| binder.set_expr(first))?;
        for (op, quantifier, right) in spine.into_iter().rev() {
            let (kind, name) = match op {
                ast::SetOperator::Union => (SetOpKind::Union, "UNION"),
                ast::SetOperator::Intersect => (SetOpKind::Intersect, "INTERSECT"),
                ast::SetOperator::Except => (SetOpKind::Except, "EXCEPT"),
                ast::SetOperator::Minus => {
                    return Err(SqlError::new(
                        SqlState::SyntaxError,
                        "syntax error at or near \"MINUS\"",
                    ));
                }
            };
            let all = match quantifier {
                ast::SetQuantifier::All => true,
                ast::SetQuantifier::Distinct | ast::SetQuantifier::None => false,
                _ => return Err(SqlError::unsupported(format!("{name} BY NAME"))),
            };
            let other = self.deeper(1, |binder| binder.set_expr(right))?;
            rows = self.combine(kind, name, all, rows, other)?;
        }
        Ok(rows)
    }

    pub(crate) fn combine(
        &mut self,
        kind: SetOpKind,
        name: &str,
        all: bool,
        mut left: Rows,
        mut right: Rows,
    ) -> Result<Rows> {
        if left.columns.len() != right.columns.len() {
            let message = format!("each {name} query must have the same number of columns");
            return Err(SqlError::new(SqlState::SyntaxError, message));
        }
        let mut outputs = Vec::with_capacity(left.columns.len());
        let mut columns = Vec::with_capacity(left.columns.len());
        for index in 0..left.columns.len() {
            let types = [left.columns[index].ty, right.columns[index].ty];
            let ty = common_type(&types).map_err(|differ| differ.error(name))?;
            self.coerce_column(&mut left, index, ty, -1, CastContext::Implicit)?;
            self.coerce_column(&mut right, index, ty, -1, CastContext::Implicit)?;
            let mut meta = NO_META;
            if left.columns[index].meta.typmod == right.columns[index].meta.typmod {
                meta.typmod = left.columns[index].meta.typmod;
            }
            let id = self.column_id();
            self.meta.insert(id, meta);
            if !all || kind != SetOpKind::Union {
                super::order::check_equality(ty)?;
            }
            outputs.push(OutputColumn { id, ty });
            columns.push(RowsColumn { name: left.columns[index].name.clone(), id, ty, meta });
        }
        let plan = LogicalPlan::SetOp {
            kind,
            all,
            left: Box::new(left.plan),
            right: Box::new(right.plan),
            columns: outputs,
        };
        Ok(Rows { plan, columns })
    }

    /// VALUES as a query.
    pub(crate) fn values(&mut self, values: &ast::Values) -> Result<Rows> {
        self.scopes.push(Scope::new(Clause::Values));
        let rows = self.value_rows(values);
        self.scopes.pop();
        let mut rows = rows?;
        let width = rows.first().map_or(0, Vec::len);
        let mut outputs = Vec::with_capacity(width);
        let mut columns = Vec::with_capacity(width);
        for index in 0..width {
            let types: Vec<DataType> = rows.iter().map(|row| row[index].ty()).collect();
            let undecided = types.iter().all(|ty| *ty == DataType::Unknown);
            let mut ty = DataType::Unknown;
            if !undecided {
                ty = common_type(&types).map_err(|differ| differ.error("VALUES"))?;
                for (row, source) in rows.iter_mut().zip(&values.rows) {
                    let cell = std::mem::replace(&mut row[index], Expr::truth());
                    row[index] = self
                        .coerce(cell, ty, -1, CastContext::Implicit)
                        .at_expr(&source.content[index])?;
                }
            }
            let id = self.column_id();
            outputs.push(OutputColumn { id, ty });
            let name = format!("column{}", index + 1);
            columns.push(RowsColumn { name, id, ty, meta: NO_META });
        }
        Ok(Rows { plan: LogicalPlan::Values { columns: outputs, rows }, columns })
    }

    fn value_rows(&mut self, values: &ast::Values) -> Result<Vec<Vec<Expr>>> {
        let width = values.rows.first().map_or(0, |row| row.content.len());
        let mut rows = Vec::with_capacity(values.rows.len());
        for row in &values.rows {
            if row.content.len() != width {
                let message = "VALUES lists must all be the same length";
                let error = Err(SqlError::new(SqlState::SyntaxError, message));
                return match row.content.first() {
                    Some(first) => error.at_expr(first),
                    None => error,
                };
            }
            rows.push(row.content.iter().map(|cell| self.expr(cell)).collect::<Result<_>>()?);
        }
        Ok(rows)
    }
}
