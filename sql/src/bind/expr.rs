//! Expressions: the parser's tree to typed [`Expr`]s.

use driftdb_query::{BoolTest, Expr, Result, SqlError};
use driftdb_types::{CastContext, SqlState, can_cast, resolve_operator};
use sqlparser::ast;

use super::Binder;
use super::position::{Placed, bare, position};

impl Binder<'_> {
    /// Binds an expression; its type may still be undecided.
    pub(crate) fn expr(&mut self, expr: &ast::Expr) -> Result<Expr> {
        let expr = bare(expr);
        if self.recorder.is_none() {
            return self.bare_expr(expr);
        }
        let level = self.record_level(|level| level + 1);
        let bound = self.bare_expr(expr);
        self.record_level(|_| level);
        let bound = bound?;
        if level == 0
            && let Some(recorder) = &mut self.recorder
        {
            recorder.exprs.insert(super::record::address(expr), bound.clone());
        }
        Ok(bound)
    }

    /// Changes how deep in a clause's expression a recorder is; gives what was.
    pub(crate) fn record_level(&mut self, change: impl FnOnce(u32) -> u32) -> u32 {
        self.recorder.as_mut().map_or(0, |recorder| {
            let level = recorder.level;
            recorder.level = change(level);
            level
        })
    }

    fn bare_expr(&mut self, expr: &ast::Expr) -> Result<Expr> {
        // Names and literals are most of what there is, and have no depth.
        match expr {
            // The parser takes this reserved word for a name.
            ast::Expr::Identifier(name)
                if name.quote_style.is_none()
                    && name.value.eq_ignore_ascii_case("current_schema") =>
            {
                return self.bare_function("current_schema");
            }
            ast::Expr::Identifier(name) => return self.bare_column(name),
            ast::Expr::CompoundIdentifier(parts) => return self.qualified_column(parts),
            ast::Expr::Value(value) => return self.literal(value),
            _ => {}
        }
        self.deeper(1, |binder| binder.compound(expr)).at_expr(expr)
    }

    /// Binds an expression and decides its type.
    pub(crate) fn decided_expr(&mut self, expr: &ast::Expr) -> Result<Expr> {
        let bound = self.expr(expr)?;
        self.decided(bound)
    }

    /// Binds a condition.
    pub(crate) fn predicate(&mut self, expr: &ast::Expr, construct: &str) -> Result<Expr> {
        let bound = self.expr(expr)?;
        self.condition(bound, construct).at_expr(expr)
    }

    fn compound(&mut self, expr: &ast::Expr) -> Result<Expr> {
        use ast::Expr as E;
        match expr {
            E::BinaryOp { op: ast::BinaryOperator::And | ast::BinaryOperator::Or, .. } => {
                self.connective(expr)
            }
            E::BinaryOp { .. } => self.chain(expr, false),
            E::UnaryOp { op, expr: operand } => self.unary(op, operand),
            E::Cast { kind, expr: input, data_type, .. } => self.cast(kind, input, data_type),
            E::TypedString(typed) => self.typed_literal(typed),
            E::Interval(interval) => self.interval(interval),
            E::Function(function) => self.function(function),
            E::Case { operand, conditions, else_result, .. } => {
                self.without_sets("CASE", expr, |binder| {
                    binder.case(operand.as_deref(), conditions, else_result.as_deref())
                })
            }
            E::Subquery(query) => self.scalar_subquery(query),
            E::Exists { subquery, negated } => self.exists(subquery, *negated),
            E::InSubquery { expr, subquery, negated } => self.in_subquery(expr, subquery, *negated),
            E::InList { expr, list, negated } => self.in_list(expr, list, *negated),
            E::Between { expr, negated, low, high } => self.between(expr, low, high, *negated),
            E::AnyOp { left, compare_op, right, .. } => {
                self.quantified(left, compare_op, right, false)
            }
            E::AllOp { left, compare_op, right } => self.quantified(left, compare_op, right, true),
            E::IsNull(input) => self.is_null(input, false),
            E::IsNotNull(input) => self.is_null(input, true),
            E::IsTrue(input) => self.is_bool(input, BoolTest::True, false),
            E::IsNotTrue(input) => self.is_bool(input, BoolTest::True, true),
            E::IsFalse(input) => self.is_bool(input, BoolTest::False, false),
            E::IsNotFalse(input) => self.is_bool(input, BoolTest::False, true),
            E::IsUnknown(input) => self.is_bool(input, BoolTest::Unknown, false),
            E::IsNotUnknown(input) => self.is_bool(input, BoolTest::Unknown, true),
            E::IsDistinctFrom(left, right) => self.is_distinct(left, right, false),
            E::IsNotDistinctFrom(left, right) => self.is_distinct(left, right, true),
            E::Like { negated, any: true, expr, pattern, escape_char: None } => {
                self.quantified_array(expr, if *negated { "!~~" } else { "~~" }, pattern, false)
            }
            E::ILike { negated, any: true, expr, pattern, escape_char: None } => {
                self.quantified_array(expr, if *negated { "!~~*" } else { "~~*" }, pattern, false)
            }
            E::Like { negated, any: false, expr, pattern, escape_char } => self.like(
                expr,
                pattern,
                escape_char.as_deref(),
                if *negated { "!~~" } else { "~~" },
            ),
            E::ILike { negated, any: false, expr, pattern, escape_char } => {
                let symbol = if *negated { "!~~*" } else { "~~*" };
                self.like(expr, pattern, escape_char.as_deref(), symbol)
            }
            E::SimilarTo { negated, expr, pattern, escape_char } => {
                self.similar_to(expr, pattern, escape_char.as_deref(), *negated)
            }
            E::Extract { .. }
            | E::Ceil { .. }
            | E::Floor { .. }
            | E::Position { .. }
            | E::Substring { .. }
            | E::Trim { .. }
            | E::Overlay { .. }
            | E::AtTimeZone { .. } => self.special(expr),
            E::Collate { expr, .. } => self.expr(expr),
            E::Tuple(fields) => self.row_value(&fields.iter().collect::<Vec<_>>()),
            E::Array(array) => {
                check_named(array).at_expr(expr)?;
                self.array(array, None)
            }
            E::CompoundFieldAccess { root, access_chain } => self.field_access(root, access_chain),
            E::JsonAccess { .. } => Err(SqlError::unsupported("JSON")),
            E::GroupingSets(_) | E::Cube(_) | E::Rollup(_) => {
                Err(SqlError::unsupported("GROUPING SETS, CUBE or ROLLUP"))
            }
            E::Wildcard(_) | E::QualifiedWildcard(..) => {
                Err(SqlError::new(SqlState::SyntaxError, "\"*\" is not allowed in this context"))
            }
            other => Err(SqlError::unsupported(format!("the expression {}", brief(other)))),
        }
    }

    /// AND and OR: chains become one node.
    fn connective(&mut self, expr: &ast::Expr) -> Result<Expr> {
        let ast::Expr::BinaryOp { op, .. } = expr else { return self.expr(expr) };
        let construct = if *op == ast::BinaryOperator::And { "AND" } else { "OR" };
        let mut operands = Vec::new();
        let mut rest = expr;
        loop {
            match rest {
                ast::Expr::BinaryOp { left, op: same, right } if same == op => {
                    operands.push(&**right);
                    rest = left;
                }
                _ => break operands.push(rest),
            }
        }
        let operands = operands
            .into_iter()
            .rev()
            .map(|operand| self.predicate(operand, construct))
            .collect::<Result<Vec<_>>>()?;
        Ok(if *op == ast::BinaryOperator::And { Expr::And(operands) } else { Expr::Or(operands) })
    }

    /// Binary operators: the left spine is walked, not recursed into. With `negate`, a minus stands
    /// before the leftmost operand, to which it binds more tightly than `^`.
    fn chain(&mut self, expr: &ast::Expr, negate: bool) -> Result<Expr> {
        let mut spine = Vec::new();
        let mut first = expr;
        while let ast::Expr::BinaryOp { left, op, right } = first {
            if matches!(op, ast::BinaryOperator::And | ast::BinaryOperator::Or) {
                break;
            }
            spine.push((&**left, op, &**right));
            first = left;
        }
        spine.reverse();
        let levels = spine.len() as u32;
        let mut steps = spine.into_iter();
        // The lowest step may compare rows; the steps above it have its value on their left.
        let Some((left, op, right)) = steps.next() else { return self.expr(expr) };
        let symbol = operator_symbol(op);
        let mut bound = if let Some(rows) = self.row_operands(left, right) {
            self.row_comparison(&symbol, rows)?
        } else {
            let left_bound = self.deeper(levels, |binder| {
                if negate {
                    binder.unary(&ast::UnaryOperator::Minus, left)
                } else {
                    binder.expr(left)
                }
            })?;
            self.step(left, left_bound, op, right)?
        };
        for (left, op, right) in steps {
            bound = self.step(left, bound, op, right)?;
        }
        Ok(bound)
    }

    fn step(
        &mut self,
        left: &ast::Expr,
        left_bound: Expr,
        op: &ast::BinaryOperator,
        right: &ast::Expr,
    ) -> Result<Expr> {
        let right_bound = self.expr(right)?;
        self.operator_at(&operator_symbol(op), Some((left, left_bound)), (right, right_bound))
    }

    /// An operator; literals that cannot be read are reported where they stand.
    pub(crate) fn operator_at(
        &mut self,
        symbol: &str,
        left: Option<(&ast::Expr, Expr)>,
        right: (&ast::Expr, Expr),
    ) -> Result<Expr> {
        let place = self.operator_position(symbol, right.0).or_else(|| match &left {
            Some((left, _)) => position(left),
            None => position(right.0),
        });
        let resolved = resolve_operator(
            symbol,
            left.as_ref().map(|(_, bound)| bound.ty()),
            Some(right.1.ty()),
        )
        .map_err(|error| {
            let error = SqlError::from(error);
            match place {
                Some(place) => error.at(place),
                None => error,
            }
        })?;
        let mut args = Vec::with_capacity(2);
        for ((expr, bound), ty) in left.into_iter().chain([right]).zip(&resolved.arg_types) {
            args.push(self.coerce(bound, *ty, -1, CastContext::Assignment).at_expr(expr)?);
        }
        Ok(Expr::Call { function: resolved.id, args, ty: resolved.result })
    }

    /// Where an operator's symbol stands: before its right operand. The tree does not remember it.
    fn operator_position(&self, symbol: &str, right: &ast::Expr) -> Option<u32> {
        let (text, from) = self.text.filter(|_| self.content.is_some())?;
        let count = position(right)?.checked_sub(from)? as usize;
        let end = text.char_indices().nth(count)?.0;
        let is_open = |c: char| c.is_whitespace() || c == '(' || c == '[';
        let mut before = text[..end].trim_end_matches(is_open);
        // An array is known by its first member.
        if text[before.len()..end].contains('[')
            && let Some((rest, word)) = before.split_at_checked(before.len().saturating_sub(5))
            && word.eq_ignore_ascii_case("array")
        {
            before = rest.trim_end_matches(is_open);
        }
        let left = before.strip_suffix(symbol).or_else(|| match symbol {
            "<>" => before.strip_suffix("!="),
            _ => None,
        })?;
        Some(from + left.chars().count() as u32)
    }

    /// An operator between bound operands.
    pub(crate) fn operator(&mut self, symbol: &str, left: Expr, right: Expr) -> Result<Expr> {
        let resolved = resolve_operator(symbol, Some(left.ty()), Some(right.ty()))?;
        self.resolved_call(&resolved, vec![left, right])
    }

    fn unary(&mut self, op: &ast::UnaryOperator, operand: &ast::Expr) -> Result<Expr> {
        let symbol = match op {
            ast::UnaryOperator::Not => {
                let operand = self.predicate(operand, "NOT")?;
                return Ok(Expr::Not(Box::new(operand)));
            }
            // The marker of BETWEEN SYMMETRIC, which `between` has looked at.
            ast::UnaryOperator::AtDashAt => return self.expr(operand),
            ast::UnaryOperator::Minus => match operand {
                _ if let Some((negative, digits)) = signed_number(operand) => {
                    let sign = if negative { "" } else { "-" };
                    return self.number(&format!("{sign}{digits}"));
                }
                ast::Expr::BinaryOp { op: ast::BinaryOperator::PGExp, .. } => {
                    return self.chain(operand, true);
                }
                _ => "-",
            },
            ast::UnaryOperator::Plus => "+",
            ast::UnaryOperator::BitwiseNot => "~",
            ast::UnaryOperator::PGAbs => "@",
            ast::UnaryOperator::PGSquareRoot => "|/",
            ast::UnaryOperator::PGCubeRoot => "||/",
            other => return Err(SqlError::unsupported(format!("the operator {other}"))),
        };
        let bound = self.expr(operand)?;
        self.operator_at(symbol, None, (operand, bound))
    }

    fn cast(
        &mut self,
        kind: &ast::CastKind,
        input: &ast::Expr,
        data_type: &ast::DataType,
    ) -> Result<Expr> {
        if !matches!(kind, ast::CastKind::Cast | ast::CastKind::DoubleColon) {
            return Err(SqlError::unsupported("TRY_CAST"));
        }
        let (ty, typmod) = self.type_name(data_type)?;
        if let (ast::Expr::Array(array), driftdb_types::DataType::Array(_)) = (bare(input), ty) {
            check_named(array).at_expr(input)?;
            return self.array(array, Some((ty, typmod)));
        }
        let bound = self.expr(input)?;
        if !can_cast(bound.ty(), ty, CastContext::Explicit) {
            let message = format!("cannot cast type {} to {ty}", bound.ty());
            return Err(SqlError::new(SqlState::CannotCoerce, message));
        }
        self.coerce(bound, ty, typmod, CastContext::Explicit).at_expr(input)
    }
}

/// Brackets are an array only after ARRAY, or within such brackets.
fn check_named(array: &ast::Array) -> Result<()> {
    match array.named {
        true => Ok(()),
        false => Err(SqlError::new(SqlState::SyntaxError, "syntax error at or near \"[\"")),
    }
}

/// The symbol of an operator, as the table of functions has it.
pub(crate) fn operator_symbol(op: &ast::BinaryOperator) -> String {
    match op {
        ast::BinaryOperator::NotEq => "<>".to_owned(),
        ast::BinaryOperator::PGCustomBinaryOperator(parts) => {
            parts.last().cloned().unwrap_or_default()
        }
        ast::BinaryOperator::Custom(symbol) => symbol.clone(),
        other => other.to_string(),
    }
}

/// The start of an expression's text, for messages about what is not supported.
fn brief(expr: &ast::Expr) -> String {
    let text = expr.to_string();
    let short: String = text.chars().take(40).collect();
    if short.len() < text.len() { format!("{short}...") } else { short }
}

/// A number with any signs and brackets: whether it is negative, and its digits. It is one literal, so that
/// `- (-2147483648)` is a `bigint` rather than an overflow.
fn signed_number(expr: &ast::Expr) -> Option<(bool, &str)> {
    match expr {
        ast::Expr::Value(ast::ValueWithSpan { value: ast::Value::Number(digits, _), .. }) => {
            Some((false, digits))
        }
        ast::Expr::Nested(inner) => signed_number(inner),
        ast::Expr::UnaryOp { op: ast::UnaryOperator::Minus, expr } => {
            let (negative, digits) = signed_number(expr)?;
            Some((!negative, digits))
        }
        _ => None,
    }
}
