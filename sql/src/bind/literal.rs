//! Literals, typed literals, intervals and parameters.

use driftdb_query::{Expr, Result, SqlError};
use driftdb_types::{CastContext, DataType, Interval, Numeric, SqlState, Value, parse_text};
use sqlparser::ast;

use super::Binder;
use crate::parsed::parameter_index;

/// An undecided literal.
pub(crate) fn unknown(text: impl Into<Box<str>>) -> Expr {
    Expr::constant(Value::Text(text.into()), DataType::Unknown)
}

/// NULL of no decided type.
pub(crate) fn null() -> Expr {
    Expr::constant(Value::Null, DataType::Unknown)
}

impl Binder<'_> {
    pub(crate) fn literal(&mut self, value: &ast::ValueWithSpan) -> Result<Expr> {
        let position = value.span.start.column as u32;
        let place = |error: SqlError| if position > 0 { error.at(position) } else { error };
        match &value.value {
            ast::Value::Number(digits, _) => self.number(digits).map_err(place),
            ast::Value::SingleQuotedString(text)
            | ast::Value::EscapedStringLiteral(text)
            | ast::Value::UnicodeStringLiteral(text)
            | ast::Value::NationalStringLiteral(text) => Ok(unknown(text.as_str())),
            ast::Value::DollarQuotedString(text) => Ok(unknown(text.value.as_str())),
            ast::Value::Boolean(truth) => Ok(Expr::constant(Value::Bool(*truth), DataType::Bool)),
            ast::Value::Null => Ok(null()),
            ast::Value::Placeholder(name) => {
                if let Some(variable) = self.variable(std::slice::from_ref(name))? {
                    return Ok(variable);
                }
                let index = parameter_index(name).map_err(place)?;
                if self.content.is_none() {
                    let message = format!("there is no parameter {name}");
                    return Err(place(SqlError::new(SqlState::UndefinedParameter, message)));
                }
                if self.param_types.len() <= index {
                    self.param_types.resize(index + 1, DataType::Unknown);
                }
                Ok(Expr::Param { index, ty: self.param_types[index] })
            }
            ast::Value::SingleQuotedByteStringLiteral(digits) => {
                self.bits('b', digits).map_err(place)
            }
            ast::Value::HexStringLiteral(digits) => self.bits('x', digits).map_err(place),
            other => Err(place(SqlError::unsupported(format!("the literal {other}")))),
        }
    }

    /// A bit string, `B'101'` or `X'1F'`.
    fn bits(&self, kind: char, digits: &str) -> Result<Expr> {
        let value = parse_text(DataType::Bit, -1, &format!("{kind}{digits}"), self.eval)?;
        Ok(Expr::constant(value, DataType::Bit))
    }

    /// A number without sign, or with a minus in front: int4, int8 or numeric, whichever holds it first.
    pub(crate) fn number(&self, digits: &str) -> Result<Expr> {
        if let Ok(v) = digits.parse::<i32>() {
            return Ok(Expr::constant(Value::Int4(v), DataType::Int4));
        }
        if let Ok(v) = digits.parse::<i64>() {
            return Ok(Expr::constant(Value::Int8(v), DataType::Int8));
        }
        let value: Numeric = match parse_text(DataType::Numeric, -1, digits, self.eval)? {
            Value::Numeric(value) => value,
            _ => return Err(SqlError::internal("a number was read as something else")),
        };
        Ok(Expr::constant(Value::Numeric(value), DataType::Numeric))
    }

    /// `date '2020-01-01'`
    pub(crate) fn typed_literal(&mut self, typed: &ast::TypedString) -> Result<Expr> {
        let (ty, typmod) = self.type_name(&typed.data_type)?;
        let literal = self.literal(&typed.value)?;
        let position = typed.value.span.start.column as u32;
        self.coerce(literal, ty, typmod, CastContext::Explicit)
            .map_err(|error| if position > 0 { error.at(position) } else { error })
    }

    /// `interval '1' day`, `interval '1 day'`
    pub(crate) fn interval(&mut self, interval: &ast::Interval) -> Result<Expr> {
        let ast::Expr::Value(value) = &*interval.value else {
            return Err(SqlError::new(SqlState::SyntaxError, "INTERVAL needs a string literal"));
        };
        let mut text = match self.literal(value)? {
            Expr::Const { value: Value::Text(text), .. } => text.into_string(),
            Expr::Const { value: Value::Null, .. } => {
                return Ok(Expr::constant(Value::Null, DataType::Interval));
            }
            _ => {
                return Err(SqlError::new(
                    SqlState::SyntaxError,
                    "INTERVAL needs a string literal",
                ));
            }
        };
        // A bare number counts the (last) field that is named.
        let field = interval.last_field.as_ref().or(interval.leading_field.as_ref());
        if let Some(field) = field
            && text.split_whitespace().last().is_some_and(|last| last.parse::<f64>().is_ok())
        {
            text = format!("{} {}", text.trim(), field.to_string().to_lowercase());
        }
        if interval.leading_field == Some(ast::DateTimeField::Minute)
            && interval.last_field == Some(ast::DateTimeField::Second)
        {
            text = minutes_to_seconds(&text);
        }
        let precision = interval.fractional_seconds_precision.or(interval.leading_precision);
        let modifiers: Vec<i64> = precision.into_iter().map(|p| p as i64).collect();
        let typmod = driftdb_types::make_typmod(DataType::Interval, &modifiers)?;
        let position = value.span.start.column as u32;
        let bound = self
            .coerce(unknown(text), DataType::Interval, typmod, CastContext::Explicit)
            .map_err(|error| if position > 0 { error.at(position) } else { error })?;
        Ok(match bound {
            Expr::Const { value: Value::Interval(value), ty } => {
                Expr::constant(Value::Interval(within_fields(value, field)), ty)
            }
            other => other,
        })
    }
}

/// What is left of an interval when the fields after the last one named are cut off; days go with
/// years and months.
fn within_fields(value: Interval, last: Option<&ast::DateTimeField>) -> Interval {
    use ast::DateTimeField as F;
    const MINUTE_MICROS: i64 = 60_000_000;
    let to = |unit: i64| value.micros / unit * unit;
    match last {
        Some(F::Year) => Interval { months: value.months / 12 * 12, days: 0, micros: 0 },
        Some(F::Month) => Interval { days: 0, micros: 0, ..value },
        Some(F::Day) => Interval { micros: 0, ..value },
        Some(F::Hour) => Interval { micros: to(60 * MINUTE_MICROS), ..value },
        Some(F::Minute) => Interval { micros: to(MINUTE_MICROS), ..value },
        _ => value,
    }
}

/// In MINUTE TO SECOND, `2:03` has no hours.
fn minutes_to_seconds(text: &str) -> String {
    let words = text.split_whitespace().map(|word| {
        let digits = word.trim_start_matches(['+', '-']);
        let sign = &word[..word.len() - digits.len()];
        let is_short = digits.bytes().filter(|byte| *byte == b':').count() == 1;
        if is_short { format!("{sign}0:{digits}") } else { word.to_owned() }
    });
    words.collect::<Vec<_>>().join(" ")
}
