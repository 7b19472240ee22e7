//! Predicates with their own syntax: IS, LIKE, SIMILAR TO, BETWEEN.

use driftdb_query::{BoolTest, Expr, Result};
use driftdb_types::{
    CastContext, DataType, Resolved, asks_catalog, function, resolve_function, resolve_operator,
};
use sqlparser::ast;

use super::Binder;
use super::position::{Placed, bare};

impl Binder<'_> {
    pub(crate) fn is_null(&mut self, input: &ast::Expr, negated: bool) -> Result<Expr> {
        let test = |expr: Expr| {
            let test = Expr::IsNull(Box::new(expr));
            if negated { Expr::Not(Box::new(test)) } else { test }
        };
        // A row is (not) null if every one of its fields is (not) null.
        if let Some(fields) = row_fields(input) {
            let tests = fields
                .iter()
                .map(|field| Ok(test(self.decided_expr(field)?)))
                .collect::<Result<Vec<_>>>()?;
            return Ok(all_of(tests));
        }
        let input = self.decided_expr(input)?;
        if input.ty().is_row() {
            return Ok(self.row_is_null(input, negated));
        }
        Ok(test(input))
    }

    pub(crate) fn is_bool(
        &mut self,
        input: &ast::Expr,
        test: BoolTest,
        negated: bool,
    ) -> Result<Expr> {
        let construct = match (test, negated) {
            (BoolTest::True, false) => "IS TRUE",
            (BoolTest::True, true) => "IS NOT TRUE",
            (BoolTest::False, false) => "IS FALSE",
            (BoolTest::False, true) => "IS NOT FALSE",
            (BoolTest::Unknown, false) => "IS UNKNOWN",
            (BoolTest::Unknown, true) => "IS NOT UNKNOWN",
        };
        let input = Box::new(self.predicate(input, construct)?);
        Ok(Expr::IsBool { input, test, negated })
    }

    /// `negated`: IS NOT DISTINCT FROM.
    pub(crate) fn is_distinct(
        &mut self,
        left: &ast::Expr,
        right: &ast::Expr,
        negated: bool,
    ) -> Result<Expr> {
        if let Some(rows) = self.row_operands(left, right) {
            let (left, right) = rows?;
            let tests = left
                .iter()
                .zip(right)
                .map(|(left, right)| self.is_distinct(left, right, negated))
                .collect::<Result<Vec<_>>>()?;
            return Ok(if negated { all_of(tests) } else { any_of(tests) });
        }
        let (left_bound, right_bound) = (self.expr(left)?, self.expr(right)?);
        let resolved = resolve_operator("=", Some(left_bound.ty()), Some(right_bound.ty()))?;
        let [left_ty, right_ty] = resolved.arg_types[..] else {
            return Err(driftdb_query::SqlError::internal("an equality of two sides"));
        };
        let left = self.coerce(left_bound, left_ty, -1, CastContext::Implicit).at_expr(left)?;
        let right = self.coerce(right_bound, right_ty, -1, CastContext::Implicit).at_expr(right)?;
        Ok(Expr::IsDistinct {
            left: Box::new(left),
            right: Box::new(right),
            equal: resolved.id,
            negated,
        })
    }

    pub(crate) fn like(
        &mut self,
        input: &ast::Expr,
        pattern: &ast::Expr,
        escape: Option<&ast::Expr>,
        symbol: &str,
    ) -> Result<Expr> {
        // The parser takes ALL and SOME for functions here.
        if let (ast::Expr::Function(function), None) = (bare(pattern), escape)
            && let ast::FunctionArguments::List(list) = &function.args
            && let [ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(array))] = &list.args[..]
        {
            match function.name.to_string().to_ascii_lowercase().as_str() {
                "all" => return self.quantified_array(input, symbol, array, true),
                "some" => return self.quantified_array(input, symbol, array, false),
                _ => {}
            }
        }
        let input_bound = self.expr(input)?;
        let pattern_bound = match escape {
            None => self.expr(pattern)?,
            Some(escape) => self.named_call("like_escape", &[pattern, escape])?,
        };
        self.operator_at(symbol, Some((input, input_bound)), (pattern, pattern_bound))
    }

    pub(crate) fn similar_to(
        &mut self,
        input: &ast::Expr,
        pattern: &ast::Expr,
        escape: Option<&ast::Expr>,
        negated: bool,
    ) -> Result<Expr> {
        let input_bound = self.expr(input)?;
        let pattern_bound = match escape {
            None => self.named_call("similar_to_escape", &[pattern])?,
            Some(escape) => self.named_call("similar_to_escape", &[pattern, escape])?,
        };
        let symbol = if negated { "!~" } else { "~" };
        self.operator_at(symbol, Some((input, input_bound)), (pattern, pattern_bound))
    }

    /// A call of a function by name.
    pub(crate) fn named_call(&mut self, name: &str, args: &[&ast::Expr]) -> Result<Expr> {
        let bound = args.iter().map(|arg| self.expr(arg)).collect::<Result<Vec<_>>>()?;
        let types: Vec<DataType> = bound.iter().map(Expr::ty).collect();
        let resolved = resolve_function(name, &types)?;
        self.call_of(&resolved, bound, args)
    }

    /// A call of what was resolved; literals that cannot be read are reported where they stand.
    pub(crate) fn call_of(
        &mut self,
        resolved: &Resolved,
        bound: Vec<Expr>,
        args: &[&ast::Expr],
    ) -> Result<Expr> {
        let mut converted = Vec::with_capacity(args.len());
        for ((arg, bound), ty) in args.iter().zip(bound).zip(&resolved.arg_types) {
            converted.push(self.coerce(bound, *ty, -1, CastContext::Assignment).at_expr(arg)?);
        }
        if asks_catalog(function(resolved.id)) {
            self.catalog.is_asked()?;
        }
        Ok(Expr::Call { function: resolved.id, args: converted, ty: resolved.result })
    }

    pub(crate) fn between(
        &mut self,
        input: &ast::Expr,
        low: &ast::Expr,
        high: &ast::Expr,
        negated: bool,
    ) -> Result<Expr> {
        let mut within = |low: &ast::Expr, high: &ast::Expr| -> Result<Expr> {
            let (above, below) = if negated { ("<", ">") } else { (">=", "<=") };
            let mut sides = Vec::with_capacity(2);
            for (symbol, bound) in [(above, low), (below, high)] {
                // The input is bound once for each side, so that the columns of subqueries in it stay
                // unique.
                let (left, right) = (self.expr(input)?, self.expr(bound)?);
                sides.push(self.operator_at(symbol, Some((input, left)), (bound, right))?);
            }
            Ok(if negated { any_of(sides) } else { all_of(sides) })
        };
        if !is_symmetric(low) {
            return within(low, high);
        }
        let both = vec![within(low, high)?, within(high, low)?];
        Ok(if negated { all_of(both) } else { any_of(both) })
    }
}

/// Whether the marker of BETWEEN SYMMETRIC stands before a lower bound.
fn is_symmetric(low: &ast::Expr) -> bool {
    let mut expr = low;
    loop {
        expr = match expr {
            ast::Expr::UnaryOp { op: ast::UnaryOperator::AtDashAt, .. } => return true,
            ast::Expr::BinaryOp { left, .. } => left,
            ast::Expr::Cast { expr, .. } => expr,
            ast::Expr::AtTimeZone { timestamp, .. } => timestamp,
            _ => return false,
        };
    }
}

/// The fields of a row constructor.
pub(crate) fn row_fields(expr: &ast::Expr) -> Option<Vec<&ast::Expr>> {
    match bare(expr) {
        ast::Expr::Tuple(fields) => Some(fields.iter().collect()),
        ast::Expr::Function(function) if function.name.to_string().eq_ignore_ascii_case("row") => {
            let ast::FunctionArguments::List(list) = &function.args else { return None };
            list.args
                .iter()
                .map(|arg| match arg {
                    ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => Some(expr),
                    _ => None,
                })
                .collect()
        }
        _ => None,
    }
}

/// A conjunction, flat.
pub(crate) fn all_of(mut terms: Vec<Expr>) -> Expr {
    match terms.len() {
        0 => Expr::truth(),
        1 => terms.pop().unwrap_or_else(Expr::truth),
        _ => Expr::And(terms),
    }
}

/// A disjunction, flat; of at least one term.
pub(crate) fn any_of(mut terms: Vec<Expr>) -> Expr {
    match terms.len() {
        1 => terms.pop().unwrap_or_else(Expr::truth),
        _ => Expr::Or(terms),
    }
}
