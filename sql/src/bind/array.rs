//! Arrays: `ARRAY[…]`, `ARRAY(…)`, subscripts and slices, ANY and ALL of an array.

use driftdb_query::{AggregateCall, Expr, LogicalPlan, Result, SqlError, Subquery, SubqueryKind};
use driftdb_types::{
    Array, ArrayOperation, CastContext, DataType, SqlState, Value, can_cast, common_type,
    resolve_aggregate, resolve_operator,
};
use sqlparser::ast;

use super::Binder;
use super::names::ident;
use super::position::{Placed, bare, position};

impl Binder<'_> {
    /// `ARRAY[…]`; `target` is the array type and modifier that a cast around it asks for.
    pub(crate) fn array(
        &mut self,
        array: &ast::Array,
        target: Option<(DataType, i32)>,
    ) -> Result<Expr> {
        let mut items = Vec::with_capacity(array.elem.len());
        let mut is_nested = false;
        for item in &array.elem {
            let bound = match bare(item) {
                ast::Expr::Array(inner) => self.deeper(1, |binder| binder.array(inner, target))?,
                _ => self.expr(item)?,
            };
            is_nested |= matches!(bound.ty(), DataType::Array(_));
            items.push(bound);
        }
        let (ty, typmod, context) = match target {
            Some((ty, typmod)) => (ty, typmod, CastContext::Explicit),
            None if items.is_empty() => {
                let message = "cannot determine type of empty array";
                return Err(SqlError::new(SqlState::IndeterminateDatatype, message).with_hint(
                    "Explicitly cast to the desired type, for example ARRAY[]::integer[].",
                ));
            }
            None => {
                let types: Vec<DataType> = items.iter().map(Expr::ty).collect();
                let common = common_type(&types).map_err(|differ| {
                    let error = SqlError::from(differ.error("ARRAY"));
                    let other = types.iter().position(|ty| *ty == differ.right);
                    match other.and_then(|index| position(&array.elem[index])) {
                        Some(place) => error.at(place),
                        None => error,
                    }
                })?;
                let ty = common.array().ok_or_else(|| {
                    let message = format!("could not find array type for data type {common}");
                    SqlError::new(SqlState::UndefinedObject, message)
                })?;
                (ty, -1, CastContext::Implicit)
            }
        };
        let item_type = if is_nested { ty } else { ty.element().unwrap_or(ty) };
        let mut args = Vec::with_capacity(items.len());
        for (bound, item) in items.into_iter().zip(&array.elem) {
            if !can_cast(bound.ty(), item_type, context) {
                let message = format!("cannot cast type {} to {item_type}", bound.ty());
                return Err(SqlError::new(SqlState::CannotCoerce, message)).at_expr(item);
            }
            args.push(self.coerce(bound, item_type, typmod, context).at_expr(item)?);
        }
        let operation =
            if is_nested { ArrayOperation::ConstructNested } else { ArrayOperation::Construct };
        Ok(Expr::Call { function: operation.function(), args, ty })
    }

    /// `ARRAY(SELECT …)`: its one column, in the order of the rows.
    pub(crate) fn array_subquery(&mut self, query: &ast::Query) -> Result<Expr> {
        let mut rows = self.query(query)?;
        if rows.columns.len() != 1 {
            return Err(SqlError::new(
                SqlState::SyntaxError,
                "subquery must return only one column",
            ));
        }
        self.decide_columns(&mut rows)?;
        let (id, ty) = (rows.columns[0].id, rows.columns[0].ty);
        let resolved = resolve_aggregate("array_agg", &[ty], false)
            .ok_or_else(|| SqlError::internal("array_agg is an aggregate"))??;
        let (collected, output) = (self.column_id(), self.column_id());
        let ty = resolved.result;
        let call = AggregateCall {
            output: collected,
            aggregate: resolved.id,
            args: vec![Expr::Column { id, ty: rows.columns[0].ty }],
            distinct: false,
            filter: None,
            order_by: Vec::new(),
            ty,
        };
        let plan = LogicalPlan::Aggregate {
            input: Box::new(rows.plan),
            groups: Vec::new(),
            aggregates: vec![call],
        };
        let empty = Array::empty(ty.element().unwrap_or(ty));
        let args =
            vec![Expr::Column { id: collected, ty }, Expr::constant(Value::array(empty), ty)];
        let plan = LogicalPlan::Project {
            input: Box::new(plan),
            exprs: vec![(output, Expr::Coalesce { args, ty })],
        };
        Ok(Expr::Subquery(Box::new(Subquery { kind: SubqueryKind::Scalar, plan, ty })))
    }

    /// `x[i]`, `x[i:j][k:l]`, and columns qualified before the brackets.
    /// `(row).column`, if what stands in front is a row.
    fn row_column(&mut self, root: &ast::Expr, fields: &[ast::AccessExpr]) -> Result<Option<Expr>> {
        let is_parameter = matches!(root, ast::Expr::Value(value)
            if matches!(value.value, ast::Value::Placeholder(_)));
        if !is_parameter && !matches!(root, ast::Expr::Nested(_)) {
            return Ok(None);
        }
        // A name in brackets may be a relation's.
        let mut row = match (self.expr(root), bare(root)) {
            (Ok(row), _) => row,
            (Err(_), ast::Expr::Identifier(_) | ast::Expr::CompoundIdentifier(_)) => {
                return Ok(None);
            }
            (Err(error), _) => return Err(error),
        };
        for field in fields {
            let ast::AccessExpr::Dot(ast::Expr::Identifier(name)) = field else {
                return Ok(None);
            };
            row = match self.column_of_row(row, &ident(name)) {
                // A function called as a column.
                Err(error) if error.state == SqlState::UndefinedColumn && fields.len() == 1 => {
                    let error = no_such_column(root, &ident(name), error);
                    self.as_function(&ident(name), root)?.ok_or(error)?
                }
                column => column?,
            };
        }
        Ok(Some(row))
    }

    pub(crate) fn field_access(
        &mut self,
        root: &ast::Expr,
        chain: &[ast::AccessExpr],
    ) -> Result<Expr> {
        let split = chain
            .iter()
            .position(|access| matches!(access, ast::AccessExpr::Subscript(_)))
            .unwrap_or(chain.len());
        let (fields, rest) = chain.split_at(split);
        let base = if fields.is_empty() {
            self.expr(root)?
        } else {
            match (self.row_column(root, fields)?, qualified(root, fields)) {
                (Some(column), _) => column,
                (None, Some(parts)) => self.expr(&ast::Expr::CompoundIdentifier(parts))?,
                (None, None) => return Err(SqlError::unsupported("a field of a row value")),
            }
        };
        let subscripts = subscripts(rest)?;
        if subscripts.is_empty() {
            return Ok(base);
        }
        let ty = base.ty();
        if let (DataType::Name, [ast::Subscript::Index { index }]) = (ty, &subscripts[..]) {
            return self.character(base, index);
        }
        let Some(element) = ty.element() else {
            let message =
                format!("cannot subscript type {ty} because it does not support subscripting");
            return Err(SqlError::new(SqlState::DatatypeMismatch, message)).at_expr(root);
        };
        let (bounds, is_slice) = self.bounds(&subscripts)?;
        let (operation, ty) = if is_slice {
            (ArrayOperation::Slice, element.array().unwrap_or(ty))
        } else {
            (ArrayOperation::Subscript, element)
        };
        let args = std::iter::once(base).chain(bounds).collect();
        Ok(Expr::Call { function: operation.function(), args, ty })
    }

    /// A byte of a `name`, counted from zero; of what is beyond ASCII, the character it is part of.
    fn character(&mut self, name: Expr, index: &ast::Expr) -> Result<Expr> {
        let index = self.subscript(index)?;
        let one = Expr::constant(Value::Int4(1), DataType::Int4);
        let from = self.operator("+", index, one.clone())?;
        let text = self.coerce(name, DataType::Text, -1, CastContext::Implicit)?;
        let types = [DataType::Text, DataType::Int4, DataType::Int4];
        let substring = driftdb_types::resolve_function("substr", &types)?;
        let character = self.resolved_call(&substring, vec![text, from, one])?;
        self.coerce(character, DataType::Char, -1, CastContext::Explicit)
    }

    /// Subscripts as arguments: each alone, or lower and upper bounds if one is a slice.
    pub(crate) fn bounds(&mut self, subscripts: &[&ast::Subscript]) -> Result<(Vec<Expr>, bool)> {
        if subscripts.len() > 6 {
            let count = subscripts.len();
            let message =
                format!("number of array dimensions ({count}) exceeds the maximum allowed (6)");
            return Err(SqlError::new(SqlState::ProgramLimitExceeded, message));
        }
        let is_slice =
            subscripts.iter().any(|subscript| matches!(subscript, ast::Subscript::Slice { .. }));
        let mut bounds = Vec::with_capacity(subscripts.len() * 2);
        let absent = || Expr::constant(Value::Void, DataType::Void);
        for subscript in subscripts {
            match subscript {
                ast::Subscript::Index { index } => {
                    // Among slices a single number is an upper bound.
                    if is_slice {
                        bounds.push(Expr::constant(Value::Int4(1), DataType::Int4));
                    }
                    bounds.push(self.subscript(index)?);
                }
                ast::Subscript::Slice { lower_bound, upper_bound, stride: None } => {
                    for bound in [lower_bound, upper_bound] {
                        bounds.push(match bound {
                            Some(bound) => self.subscript(bound)?,
                            None => absent(),
                        });
                    }
                }
                ast::Subscript::Slice { .. } => {
                    let message = "syntax error at or near \":\"";
                    return Err(SqlError::new(SqlState::SyntaxError, message));
                }
            }
        }
        Ok((bounds, is_slice))
    }

    fn subscript(&mut self, index: &ast::Expr) -> Result<Expr> {
        let bound = self.expr(index)?;
        if bound.ty() != DataType::Unknown
            && !can_cast(bound.ty(), DataType::Int4, CastContext::Assignment)
        {
            let message = "array subscript must have type integer";
            return Err(SqlError::new(SqlState::DatatypeMismatch, message)).at_expr(index);
        }
        self.coerce(bound, DataType::Int4, -1, CastContext::Assignment).at_expr(index)
    }

    /// `x op ANY (array)`, `x op ALL (array)`
    pub(crate) fn quantified_array(
        &mut self,
        left: &ast::Expr,
        symbol: &str,
        right: &ast::Expr,
        all: bool,
    ) -> Result<Expr> {
        let (input, array) = (self.expr(left)?, self.expr(right)?);
        let wrong =
            |message: &str| Err(SqlError::new(SqlState::WrongObjectType, message)).at_expr(left);
        let element = match array.ty() {
            DataType::Unknown => DataType::Unknown,
            ty => match ty.element() {
                Some(element) => element,
                None => return wrong("op ANY/ALL (array) requires array on right side"),
            },
        };
        let resolved = resolve_operator(symbol, Some(input.ty()), Some(element))
            .map_err(SqlError::from)
            .at_expr(left)?;
        if resolved.result != DataType::Bool {
            return wrong("op ANY/ALL (array) requires operator to yield boolean");
        }
        let [left_ty, right_ty] = resolved.arg_types[..] else {
            return Err(SqlError::internal("a comparison of two sides"));
        };
        let Some(array_ty) = right_ty.array() else {
            let message = format!("could not find array type for data type {right_ty}");
            return Err(SqlError::new(SqlState::UndefinedObject, message));
        };
        let input = self.coerce(input, left_ty, -1, CastContext::Implicit).at_expr(left)?;
        // An array whose elements are what the operator takes is taken as it is, a vector too.
        let array = if element == right_ty {
            array
        } else {
            self.coerce(array, array_ty, -1, CastContext::Implicit).at_expr(right)?
        };
        Ok(Expr::Quantified {
            input: Box::new(input),
            array: Box::new(array),
            operator: resolved.id,
            all,
        })
    }
}

/// The error for a column that a relation's row, `(t)`, does not have.
fn no_such_column(root: &ast::Expr, column: &str, error: SqlError) -> SqlError {
    match bare(root) {
        ast::Expr::Identifier(name) if error.message.starts_with("column \"") => {
            let message = format!("column {}.{column} does not exist", ident(name));
            SqlError { message, ..error }
        }
        _ => error,
    }
}

/// The parts of a qualified column that stands before brackets.
fn qualified(root: &ast::Expr, fields: &[ast::AccessExpr]) -> Option<Vec<ast::Ident>> {
    let mut parts = match root {
        ast::Expr::Identifier(name) => vec![name.clone()],
        ast::Expr::CompoundIdentifier(parts) => parts.clone(),
        _ => return None,
    };
    for field in fields {
        match field {
            ast::AccessExpr::Dot(ast::Expr::Identifier(name)) => parts.push(name.clone()),
            _ => return None,
        }
    }
    Some(parts)
}

/// The subscripts of a chain.
pub(crate) fn subscripts(chain: &[ast::AccessExpr]) -> Result<Vec<&ast::Subscript>> {
    chain
        .iter()
        .map(|access| match access {
            ast::AccessExpr::Subscript(subscript) => Ok(subscript),
            ast::AccessExpr::Dot(_) => Err(SqlError::unsupported("a field of a row value")),
        })
        .collect()
}
