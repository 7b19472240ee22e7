//! Comparisons of rows, with lists, and with ANY and ALL.

use driftdb_query::{Expr, Result, SqlError};
use driftdb_types::{CastContext, DataType, SqlState, common_type, resolve_operator};
use sqlparser::ast;

use super::Binder;
use super::expr::operator_symbol;
use super::position::{Placed, bare};
use super::predicate::{all_of, any_of, row_fields};

/// The fields of two rows.
type Rows<'e> = (Vec<&'e ast::Expr>, Vec<&'e ast::Expr>);

impl Binder<'_> {
    /// Both operands as rows, if one is; an error if the other is not or has another length.
    pub(crate) fn row_operands<'e>(
        &self,
        left: &'e ast::Expr,
        right: &'e ast::Expr,
    ) -> Option<Result<Rows<'e>>> {
        match (row_fields(left), row_fields(right)) {
            (None, None) => None,
            (Some(left), Some(right)) if left.len() == right.len() => Some(Ok((left, right))),
            (Some(_), Some(_)) => Some(Err(SqlError::new(
                SqlState::SyntaxError,
                "unequal number of entries in row expressions",
            ))),
            _ if [left, right].iter().any(|side| matches!(bare(side), ast::Expr::Subquery(_))) => {
                Some(Err(SqlError::unsupported("comparing a row with a subquery")))
            }
            // A row that is a value already.
            _ => None,
        }
    }

    /// `(a, b) op (c, d)`
    pub(crate) fn row_comparison(&mut self, symbol: &str, rows: Result<Rows<'_>>) -> Result<Expr> {
        let (left, right) = rows?;
        let pairs: Vec<_> = left.into_iter().zip(right).collect();
        match symbol {
            "=" => {
                let terms = self.pairwise("=", &pairs)?;
                Ok(all_of(terms))
            }
            "<>" => {
                let terms = self.pairwise("<>", &pairs)?;
                Ok(any_of(terms))
            }
            _ => self.lexicographic(symbol, pairs.len(), &mut |binder, symbol, index| {
                binder.pair(symbol, pairs[index].0, pairs[index].1)
            }),
        }
    }

    fn pairwise(&mut self, symbol: &str, pairs: &[(&ast::Expr, &ast::Expr)]) -> Result<Vec<Expr>> {
        pairs.iter().map(|(left, right)| self.pair(symbol, left, right)).collect()
    }

    fn pair(&mut self, symbol: &str, left: &ast::Expr, right: &ast::Expr) -> Result<Expr> {
        let (left_bound, right_bound) = (self.expr(left)?, self.expr(right)?);
        self.operator_at(symbol, Some((left, left_bound)), (right, right_bound))
    }

    /// The first pair that differs decides: a < c OR (a = c AND (b < d OR …)), written flat.
    /// `pair` compares the pair of a number by an operator.
    pub(crate) fn lexicographic(
        &mut self,
        symbol: &str,
        count: usize,
        pair: &mut dyn FnMut(&mut Self, &str, usize) -> Result<Expr>,
    ) -> Result<Expr> {
        if !matches!(symbol, "<" | "<=" | ">" | ">=") {
            pair(self, symbol, 0)?;
            return Err(SqlError::new(
                SqlState::FeatureNotSupported,
                format!("could not determine interpretation of row comparison operator {symbol}"),
            ));
        }
        let strict = symbol.trim_end_matches('=');
        let mut alternatives = Vec::with_capacity(count);
        for index in 0..count {
            let before = (0..index).map(|index| pair(self, "=", index));
            let mut terms = before.collect::<Result<Vec<_>>>()?;
            let last = index + 1 == count;
            terms.push(pair(self, if last { symbol } else { strict }, index)?);
            alternatives.push(all_of(terms));
        }
        Ok(any_of(alternatives))
    }

    pub(crate) fn in_list(
        &mut self,
        input: &ast::Expr,
        list: &[ast::Expr],
        negated: bool,
    ) -> Result<Expr> {
        if row_fields(input).is_some() {
            let mut alternatives = Vec::with_capacity(list.len());
            for candidate in list {
                alternatives.push(match self.row_operands(input, candidate) {
                    Some(rows) => self.row_comparison("=", rows)?,
                    None => self.pair("=", input, candidate)?,
                });
            }
            let any = any_of(alternatives);
            return Ok(if negated { Expr::Not(Box::new(any)) } else { any });
        }
        let input_bound = self.expr(input)?;
        let bound = list.iter().map(|item| self.expr(item)).collect::<Result<Vec<_>>>()?;
        let types: Vec<DataType> =
            std::iter::once(&input_bound).chain(&bound).map(Expr::ty).collect();
        if bound.len() > 1
            && let Ok(common) = common_type(&types)
            && let Ok(resolved) = resolve_operator("=", Some(common), Some(common))
            && let [left_ty, right_ty] = resolved.arg_types[..]
        {
            let fit = |binder: &mut Self, bound: Expr, ty, at: &ast::Expr| {
                let bound = binder.coerce(bound, common, -1, CastContext::Implicit).at_expr(at)?;
                binder.coerce(bound, ty, -1, CastContext::Implicit)
            };
            let input = Box::new(fit(self, input_bound, left_ty, input)?);
            let list = bound
                .into_iter()
                .zip(list)
                .map(|(bound, item)| fit(self, bound, right_ty, item))
                .collect::<Result<_>>()?;
            return Ok(Expr::InList { input, list, equal: resolved.id, negated });
        }
        // No one type: each candidate is compared by itself.
        let symbol = if negated { "<>" } else { "=" };
        let mut terms = Vec::with_capacity(list.len());
        for (item, bound) in list.iter().zip(bound) {
            let left = if terms.is_empty() { input_bound.clone() } else { self.expr(input)? };
            terms.push(self.operator_at(symbol, Some((input, left)), (item, bound))?);
        }
        Ok(if negated { all_of(terms) } else { any_of(terms) })
    }

    /// `x op ANY (…)`, `x op ALL (…)`
    pub(crate) fn quantified(
        &mut self,
        left: &ast::Expr,
        op: &ast::BinaryOperator,
        right: &ast::Expr,
        all: bool,
    ) -> Result<Expr> {
        let symbol = operator_symbol(op);
        match bare(right) {
            ast::Expr::Subquery(query) => self.compare_subquery(left, &symbol, query, all),
            // Written out, its members may be looked up.
            ast::Expr::Array(array)
                if symbol == "="
                    && !all
                    && !array.elem.is_empty()
                    && !array.elem.iter().any(|item| matches!(bare(item), ast::Expr::Array(_))) =>
            {
                self.in_list(left, &array.elem, false)
            }
            _ => self.quantified_array(left, &symbol, right, all),
        }
    }
}
