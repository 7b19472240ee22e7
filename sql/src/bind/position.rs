//! Where an expression stands, for error messages.

use sqlparser::ast;

use super::names::ident_position;

/// Where an expression's first token is, as far as its tree remembers. Never recurses: trees are deep.
pub(crate) fn position(expr: &ast::Expr) -> Option<u32> {
    use ast::Expr as E;
    let mut expr = expr;
    let found = loop {
        expr = match expr {
            E::Identifier(ident) => break ident_position(ident),
            E::CompoundIdentifier(parts) => break parts.first().map_or(0, ident_position),
            E::Value(value) => break value.span.start.column as u32,
            E::TypedString(typed) => break typed.value.span.start.column as u32,
            E::Case { case_token, .. } => break case_token.0.span.start.column as u32,
            E::Function(function) => {
                let ident = function.name.0.first().and_then(|part| part.as_ident());
                break ident.map_or(0, ident_position);
            }
            E::BinaryOp { left, .. } | E::AnyOp { left, .. } | E::AllOp { left, .. } => left,
            E::Nested(inner)
            | E::IsFalse(inner)
            | E::IsNotFalse(inner)
            | E::IsTrue(inner)
            | E::IsNotTrue(inner)
            | E::IsNull(inner)
            | E::IsNotNull(inner)
            | E::IsUnknown(inner)
            | E::IsNotUnknown(inner)
            | E::IsDistinctFrom(inner, _)
            | E::IsNotDistinctFrom(inner, _) => inner,
            E::InList { expr, .. }
            | E::InSubquery { expr, .. }
            | E::Between { expr, .. }
            | E::Like { expr, .. }
            | E::ILike { expr, .. }
            | E::SimilarTo { expr, .. }
            | E::UnaryOp { expr, .. }
            | E::Cast { expr, .. }
            | E::Extract { expr, .. }
            | E::Ceil { expr, .. }
            | E::Floor { expr, .. }
            | E::Position { expr, .. }
            | E::Substring { expr, .. }
            | E::Trim { expr, .. }
            | E::Overlay { expr, .. }
            | E::Collate { expr, .. }
            | E::CompoundFieldAccess { root: expr, .. } => expr,
            E::Array(array) => array.elem.first()?,
            E::AtTimeZone { timestamp, .. } => timestamp,
            E::Interval(interval) => &interval.value,
            E::Tuple(items) => items.first()?,
            E::Subquery(query) | E::Exists { subquery: query, .. } => {
                return query_position(query);
            }
            _ => return None,
        };
    };
    (found > 0).then_some(found)
}

/// Where a query's first word is.
pub(crate) fn query_position(query: &ast::Query) -> Option<u32> {
    if let Some(with) = &query.with {
        return Some(with.with_token.0.span.start.column as u32).filter(|p| *p > 0);
    }
    let mut body = &*query.body;
    loop {
        body = match body {
            ast::SetExpr::Select(select) => {
                let place = select.select_token.0.span.start.column as u32;
                return (place > 0).then_some(place);
            }
            ast::SetExpr::SetOperation { left, .. } => left,
            ast::SetExpr::Query(query) => return query_position(query),
            ast::SetExpr::Values(values) => {
                let first = values.rows.first()?;
                return position(first.content.first()?);
            }
            _ => return None,
        };
    }
}

/// An expression without the brackets around it.
pub(crate) fn bare(expr: &ast::Expr) -> &ast::Expr {
    let mut expr = expr;
    while let ast::Expr::Nested(inner) = expr {
        expr = inner;
    }
    expr
}

/// Puts a position on an error that has none yet.
pub(crate) trait Placed {
    /// The result with the position of an expression, if it is known.
    #[must_use]
    fn at_expr(self, expr: &ast::Expr) -> Self;
}

impl<T> Placed for driftdb_query::Result<T> {
    fn at_expr(self, expr: &ast::Expr) -> Self {
        self.map_err(|error| match position(expr) {
            Some(place) => error.at(place),
            None => error,
        })
    }
}
