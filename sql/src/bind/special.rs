//! Functions with a syntax of their own: EXTRACT, SUBSTRING, TRIM, AT TIME ZONE and their kin.

use driftdb_query::{Expr, Result, SqlError};
use driftdb_types::{CastContext, DataType, Value, resolve_function};
use sqlparser::ast;

use super::Binder;
use super::position::Placed;

impl Binder<'_> {
    pub(crate) fn special(&mut self, expr: &ast::Expr) -> Result<Expr> {
        use ast::Expr as E;
        match expr {
            E::Extract { field, expr, .. } => {
                let field = match field {
                    ast::DateTimeField::Custom(name) => name.value.to_lowercase(),
                    other => other.to_string().to_lowercase(),
                };
                let input = self.expr(expr)?;
                let field = Expr::constant(Value::text(field), DataType::Text);
                let resolved = resolve_function("extract", &[DataType::Text, input.ty()])?;
                self.resolved_call(&resolved, vec![field, input]).at_expr(expr)
            }
            E::Ceil { expr, field } => self.rounding("ceil", expr, field),
            E::Floor { expr, field } => self.rounding("floor", expr, field),
            E::Position { expr, r#in } => self.named_call("position", &[r#in, expr]),
            E::Substring { expr, substring_from, substring_for, .. } => {
                self.substring(expr, substring_from.as_deref(), substring_for.as_deref())
            }
            E::Trim { trim_where, trim_what, expr, trim_characters } => {
                let name = match trim_where {
                    None | Some(ast::TrimWhereField::Both) => "btrim",
                    Some(ast::TrimWhereField::Leading) => "ltrim",
                    Some(ast::TrimWhereField::Trailing) => "rtrim",
                };
                let mut args = vec![&**expr];
                args.extend(trim_what.as_deref());
                args.extend(trim_characters.iter().flatten());
                self.named_call(name, &args)
            }
            E::Overlay { expr, overlay_what, overlay_from, overlay_for } => {
                let mut args: Vec<&ast::Expr> = vec![expr, overlay_what, overlay_from];
                args.extend(overlay_for.as_deref());
                self.named_call("overlay", &args)
            }
            E::AtTimeZone { timestamp, time_zone } => {
                self.named_call("timezone", &[time_zone, timestamp])
            }
            _ => Err(SqlError::internal("a special form without a binding")),
        }
    }

    fn rounding(
        &mut self,
        name: &str,
        input: &ast::Expr,
        field: &ast::CeilFloorKind,
    ) -> Result<Expr> {
        match field {
            ast::CeilFloorKind::DateTimeField(ast::DateTimeField::NoDateTime) => {
                self.named_call(name, &[input])
            }
            _ => Err(SqlError::unsupported(format!("{name} with a second argument"))),
        }
    }

    fn substring(
        &mut self,
        input: &ast::Expr,
        from: Option<&ast::Expr>,
        length: Option<&ast::Expr>,
    ) -> Result<Expr> {
        match (from, length) {
            (Some(from), Some(length)) => self.named_call("substring", &[input, from, length]),
            (Some(from), None) => self.named_call("substring", &[input, from]),
            (None, Some(length)) => {
                let (input_bound, length_bound) = (self.expr(input)?, self.expr(length)?);
                let length =
                    self.coerce(length_bound, DataType::Int4, -1, CastContext::Implicit)?;
                let one = Expr::constant(Value::Int4(1), DataType::Int4);
                let types = [input_bound.ty(), DataType::Int4, DataType::Int4];
                let resolved = resolve_function("substring", &types)?;
                self.resolved_call(&resolved, vec![input_bound, one, length])
            }
            (None, None) => self.named_call("substring", &[input]),
        }
    }
}
