//! Assigning to elements and slices: the column is set to itself with a part replaced.

use driftdb_query::{Column, Expr, Result, SqlError};
use driftdb_types::{ArrayOperation, CastContext, DataType, SqlState, can_cast};
use sqlparser::ast;

use super::Binder;
use super::array::subscripts;
use super::position::Placed;

impl<'a> Binder<'a> {
    /// The subscripts after the target at a position.
    pub(crate) fn target_subscripts(&self, position: u32) -> Option<&'a [ast::AccessExpr]> {
        let content = self.content?;
        content.lifted.subscripts.get(&position).map(Vec::as_slice)
    }

    /// `base` with the part at `chain` replaced by a value.
    pub(crate) fn with_part(
        &mut self,
        base: Expr,
        column: &Column,
        chain: &[ast::AccessExpr],
        value: Expr,
        at: &ast::Expr,
    ) -> Result<Expr> {
        let ty = column.ty;
        let Some(element) = ty.element() else {
            let message =
                format!("cannot subscript type {ty} because it does not support subscripting");
            return Err(SqlError::new(SqlState::DatatypeMismatch, message));
        };
        let (bounds, is_slice) = self.bounds(&subscripts(chain)?)?;
        let (wanted, operation) = if is_slice {
            (ty, ArrayOperation::AssignSlice)
        } else {
            (element, ArrayOperation::Assign)
        };
        let from = value.ty();
        if from != DataType::Unknown && !can_cast(from, wanted, CastContext::Assignment) {
            let message = format!(
                "subscripted assignment to \"{}\" requires type {wanted} but expression is of type {from}",
                column.name
            );
            return Err(SqlError::new(SqlState::DatatypeMismatch, message)
                .with_hint("You will need to rewrite or cast the expression."))
            .at_expr(at);
        }
        let value =
            self.coerce(value, wanted, column.typmod, CastContext::Assignment).at_expr(at)?;
        let args = [base, value].into_iter().chain(bounds).collect();
        Ok(Expr::Call { function: operation.function(), args, ty })
    }
}

/// An element cannot be set to DEFAULT.
pub(crate) fn no_default(position: u32) -> SqlError {
    let message = "cannot set an array element to DEFAULT";
    SqlError::new(SqlState::FeatureNotSupported, message).at(position)
}
