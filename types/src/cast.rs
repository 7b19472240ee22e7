//! Conversions between types: which exist (pg_cast), where they apply, and what they do.

mod length;
mod number;

use std::sync::Arc;

use crate::io::{parse_text, write_text};
use crate::{
    Bits, DataType, EvalContext, Inet, Json, Multirange, Numeric, Range, Record, SqlState,
    TypeCategory, Value, ValueError, datetime, mac,
};

pub(crate) use length::coerce_length;

/// Where a conversion is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CastContext {
    /// Within an expression, unasked.
    Implicit,
    /// Storing into a column.
    Assignment,
    /// `CAST(x AS type)` and `x::type`.
    Explicit,
}

/// The weakest context in which pg_cast has a conversion.
fn catalog(from: DataType, to: DataType) -> Option<CastContext> {
    use CastContext::{Assignment as A, Explicit as E, Implicit as I};
    use DataType as T;
    if from.is_reg() || to.is_reg() {
        return match (from, to) {
            (T::Oid | T::Int2 | T::Int4 | T::Int8, _)
            | (_, T::Oid)
            | (T::Text | T::Varchar, T::Regclass)
            | (T::Regproc, T::Regprocedure)
            | (T::Regprocedure, T::Regproc) => Some(I),
            (_, T::Int4 | T::Int8) => Some(A),
            _ => None,
        };
    }
    Some(match (from, to) {
        (T::Int2, T::Int4 | T::Int8 | T::Oid | T::Float4 | T::Float8 | T::Numeric)
        | (T::Int4, T::Int8 | T::Oid | T::Float4 | T::Float8 | T::Numeric)
        | (T::Int8, T::Oid | T::Float4 | T::Float8 | T::Numeric)
        | (T::Float4, T::Float8)
        | (T::Numeric, T::Float4 | T::Float8)
        | (T::Text, T::Name | T::Bpchar | T::Varchar)
        | (T::Varchar, T::Name | T::Bpchar | T::Text)
        | (T::Bpchar, T::Name | T::Varchar | T::Text)
        | (T::Name | T::Char, T::Text)
        | (T::Date, T::Timestamp | T::Timestamptz)
        | (T::Timestamp, T::Timestamptz)
        | (T::Time, T::Interval | T::Timetz)
        | (T::Bit, T::Varbit)
        | (T::Varbit, T::Bit)
        | (T::Cidr, T::Inet)
        | (T::Macaddr, T::Macaddr8)
        | (T::Macaddr8, T::Macaddr) => I,
        (T::Int4 | T::Int8, T::Int2)
        | (T::Int8, T::Int4)
        | (T::Oid, T::Int4 | T::Int8)
        | (T::Float4 | T::Float8 | T::Numeric, T::Int2 | T::Int4 | T::Int8)
        | (T::Float4, T::Numeric)
        | (T::Float8, T::Float4 | T::Numeric)
        | (T::Bool, T::Text | T::Varchar | T::Bpchar)
        | (T::Name | T::Char, T::Varchar | T::Bpchar)
        | (T::Text | T::Varchar | T::Bpchar, T::Char)
        | (T::Timestamp | T::Timestamptz, T::Date | T::Time)
        | (T::Timestamptz, T::Timestamp)
        | (T::Timestamptz, T::Timetz)
        | (T::Timetz, T::Time)
        | (T::Money, T::Numeric)
        | (T::Numeric | T::Int4 | T::Int8, T::Money)
        | (T::Inet, T::Cidr)
        | (T::Interval, T::Time) => A,
        (T::Json, T::Jsonb) | (T::Jsonb, T::Json) => A,
        (T::Jsonb, T::Bool | T::Numeric | T::Int2 | T::Int4 | T::Int8 | T::Float4 | T::Float8) => E,
        (T::Bool | T::Char, T::Int4) | (T::Int4, T::Bool | T::Char) => E,
        (T::Int4 | T::Int8, T::Bit) | (T::Bit, T::Int4 | T::Int8) => E,
        _ if from.is_range() && to.is_multirange() && from.subtype() == to.subtype() => E,
        _ => return None,
    })
}

/// Whether a value of a type can be converted to another in a context. Undecided literals can be
/// converted to everything.
pub fn can_cast(from: DataType, to: DataType, context: CastContext) -> bool {
    let (from, to) = (from.base(), to.base());
    if from == to || from == DataType::Unknown {
        return !to.is_pseudo() || from == to;
    }
    // What a function that gives nothing gives is an empty text.
    if (from.is_pseudo() && from != DataType::Void) || to.is_pseudo() {
        return false;
    }
    if let Some(needed) = catalog(from, to) {
        return context >= needed;
    }
    // Rows of a named type are rows; whether a row is one of a named type says its columns.
    if from.is_row() && to.is_row() {
        return from == DataType::Record || to == DataType::Record;
    }
    // Arrays as their elements; nothing but text becomes one of the catalog's vectors.
    if let (Some(from), DataType::Array(to)) = (from.element(), to) {
        return can_cast(from, to.data_type(), context);
    }
    // Through text: to strings on assignment, from strings when asked for.
    match (from.category(), to.category()) {
        (_, TypeCategory::String) => context >= CastContext::Assignment,
        (TypeCategory::String, _) => context >= CastContext::Explicit,
        _ => false,
    }
}

/// Converts a value, then fits it to the modifier of the type.
///
/// # Errors
/// 42846 when there is no such conversion in the context, and what the conversion raises.
pub fn cast(
    value: Value,
    from: DataType,
    to: DataType,
    typmod: i32,
    context: CastContext,
    ctx: &EvalContext,
) -> Result<Value, ValueError> {
    if from == to && typmod < 0 {
        return Ok(value);
    }
    if let Some(domain) = to.as_domain() {
        let (base, typmod) = to.base_with_typmod(typmod);
        let value = cast(value, from, base, typmod, context, ctx).map_err(|error| {
            let is_ours = error.state == SqlState::CannotCoerce;
            if is_ours { cannot_cast(from, to) } else { error }
        })?;
        domain.check(&value, ctx)?;
        return Ok(value);
    }
    if value.is_null() {
        return Ok(Value::Null);
    }
    let given = from;
    let from = from.base();
    if from == to && typmod < 0 {
        return Ok(value);
    }
    if !can_cast(from, to, context) {
        return Err(cannot_cast(given, to));
    }
    if from == DataType::Unknown
        && let Value::Text(text) = &value
    {
        // A literal is read without its modifier and fitted after, so that an explicit cast truncates.
        let typed = parse_text(to, if to == DataType::Interval { typmod } else { -1 }, text, ctx)?;
        return coerce_length(typed, to, typmod, context);
    }
    if to == DataType::Bit
        && let (DataType::Int4 | DataType::Int8, Some(v)) = (from, value.as_int())
    {
        // The length is part of the conversion: the sign is repeated at the left.
        return Ok(Value::bits(Bits::from_int(v, usize::try_from(typmod).unwrap_or(1))?));
    }
    let converted = if from == to { value } else { convert(value, from, to, ctx)? };
    coerce_length(converted, to, typmod, context)
}

fn cannot_cast(from: DataType, to: DataType) -> ValueError {
    ValueError::new(SqlState::CannotCoerce, format!("cannot cast type {from} to {to}"))
}

/// The conversion proper, of a value that is not NULL.
#[expect(clippy::too_many_lines, reason = "one arm for each pair of types")]
fn convert(
    value: Value,
    from: DataType,
    to: DataType,
    ctx: &EvalContext,
) -> Result<Value, ValueError> {
    use DataType as T;
    if let (Some(element), T::Array(target), Value::Array(array)) = (from.element(), to, &value) {
        let target = target.data_type();
        // The context was judged for the arrays.
        let convert =
            |value: &Value| cast(value.clone(), element, target, -1, CastContext::Explicit, ctx);
        return Ok(Value::array(array.map(target, convert)?));
    }
    if let (Value::Record(record), true) = (&value, to.is_row()) {
        return row(record, to, ctx);
    }
    match (from, to) {
        (T::Bool, T::Int4) => Ok(Value::Int4(i32::from(value == Value::Bool(true)))),
        (T::Int4, T::Bool) => Ok(Value::Bool(value != Value::Int4(0))),
        (T::Bool, T::Text | T::Varchar | T::Bpchar) => {
            Ok(Value::text(if value == Value::Bool(true) { "true" } else { "false" }))
        }
        _ if from.is_oid() && to.is_oid() => Ok(value),
        _ if from.is_reg() && to.is_numeric() => number::convert(value, T::Oid, to),
        _ if from.is_numeric() && to.is_reg() => number::convert(value, from, T::Oid),
        _ if from.is_numeric() && to.is_numeric() => number::convert(value, from, to),
        (T::Bpchar, T::Text | T::Varchar | T::Name) => match value {
            Value::Text(text) => {
                let trimmed = crate::compare::trim_blanks(&text);
                let text = if trimmed.len() == text.len() { text } else { trimmed.into() };
                Ok(Value::Text(if to == T::Name { length::name(text) } else { text }))
            }
            other => Err(crate::function::mistyped(&other)),
        },
        (T::Char, T::Int4) => match value {
            Value::Char(v) => Ok(Value::Int4(i32::from(v as i8))),
            other => Err(crate::function::mistyped(&other)),
        },
        (T::Int4, T::Char) => match value {
            Value::Int4(v) => match i8::try_from(v) {
                Ok(v) => Ok(Value::Char(v as u8)),
                Err(_) => Err(ValueError::out_of_range("\"char\"")),
            },
            other => Err(crate::function::mistyped(&other)),
        },
        (T::Json, T::Jsonb) => match &value {
            Value::Json(text) => parse_text(to, -1, text, ctx),
            other => Err(crate::function::mistyped(other)),
        },
        (T::Jsonb, T::Json) => {
            let mut out = Vec::new();
            write_text(&value, from, ctx, &mut out);
            Ok(Value::Json(String::from_utf8_lossy(&out).into_owned().into()))
        }
        (T::Jsonb, _) if !to.is_string() => from_json(&value, to, ctx),
        (T::Text | T::Varchar, T::Name) => match value {
            Value::Text(text) => Ok(Value::Text(length::name(text))),
            other => Err(crate::function::mistyped(&other)),
        },
        (T::Bit | T::Varbit, T::Bit | T::Varbit) => Ok(value),
        (T::Bit, T::Int4 | T::Int8) => {
            let Value::Bits(bits) = &value else { return Err(crate::function::mistyped(&value)) };
            let width = if to == T::Int4 { 32 } else { 64 };
            let v = bits.to_int(width).ok_or_else(|| ValueError::out_of_range(to.sql_name()))?;
            Value::from_int(to, v)
        }
        (T::Inet | T::Cidr, T::Inet | T::Cidr) => match value {
            Value::Inet(v) if to == T::Cidr => {
                Ok(Value::Inet(Inet { is_cidr: true, ..v.network() }))
            }
            Value::Inet(v) => Ok(Value::Inet(Inet { is_cidr: false, ..v })),
            other => Err(crate::function::mistyped(&other)),
        },
        // As text an address always shows its prefix.
        (T::Inet, _) if to.is_string() => match value {
            Value::Inet(v) => {
                let mut out = Vec::new();
                write_text(&Value::Inet(Inet { is_cidr: true, ..v }), T::Cidr, ctx, &mut out);
                Ok(Value::text(String::from_utf8_lossy(&out).into_owned()))
            }
            other => Err(crate::function::mistyped(&other)),
        },
        (T::Macaddr, T::Macaddr8) => match value {
            Value::Macaddr(v) => Ok(Value::Macaddr8(mac::macaddr_to_8(v))),
            other => Err(crate::function::mistyped(&other)),
        },
        (T::Macaddr8, T::Macaddr) => match value {
            Value::Macaddr8(v) => Ok(Value::Macaddr(mac::macaddr_from_8(v)?)),
            other => Err(crate::function::mistyped(&other)),
        },
        (T::Money, T::Numeric) => match value {
            Value::Money(v) => {
                let cents = Numeric::from(100i64);
                Ok(Value::Numeric(Numeric::from(v).div(&cents)?.round(2)))
            }
            other => Err(crate::function::mistyped(&other)),
        },
        (T::Numeric, T::Money) => match value {
            Value::Numeric(v) => {
                let cents = v.mul(&Numeric::from(100i64))?;
                match number::convert(Value::Numeric(cents), T::Numeric, T::Int8)? {
                    Value::Int8(v) => Ok(Value::Money(v)),
                    other => Err(crate::function::mistyped(&other)),
                }
            }
            other => Err(crate::function::mistyped(&other)),
        },
        (T::Int4 | T::Int8, T::Money) => {
            let cents = value.as_int().and_then(|v| v.checked_mul(100));
            cents.map(Value::Money).ok_or_else(|| ValueError::out_of_range("bigint"))
        }
        _ if from.is_range() && to.is_multirange() => match value {
            Value::Range(range) => {
                let ranges = vec![Range::clone(&range)];
                Ok(Value::multirange(Multirange::new(range.element(), ranges)))
            }
            other => Err(crate::function::mistyped(&other)),
        },
        _ if from.is_string() && to.is_string() => Ok(value),
        _ if from.is_string() => match &value {
            Value::Text(text) => parse_text(to, -1, text, ctx),
            other => Err(crate::function::mistyped(other)),
        },
        _ if to.is_string() => {
            let mut out = Vec::new();
            write_text(&value, from, ctx, &mut out);
            let text = String::from_utf8_lossy(&out).into_owned().into_boxed_str();
            Ok(Value::Text(if to == T::Name { length::name(text) } else { text }))
        }
        _ => datetime::convert(value, to, ctx),
    }
}

/// A row as one of a named type, or as one of none.
fn row(record: &Record, to: DataType, ctx: &EvalContext) -> Result<Value, ValueError> {
    let Some(fields) = to.fields() else {
        let record = Record::anonymous(Arc::clone(record.fields()), record.values().to_vec());
        return Ok(Value::record(record));
    };
    let (have, want) = (record.fields().len(), fields.len());
    if have != want {
        let few = if have < want { "few" } else { "many" };
        let error = cannot_cast(record.ty(), to);
        return Err(error.with_detail(format!("Input has too {few} columns.")));
    }
    let values =
        record.pairs().zip(fields.iter()).enumerate().map(|(index, ((of, value), field))| {
            let context = CastContext::Explicit;
            if !can_cast(of.ty, field.ty, context) {
                let detail =
                    format!("Cannot cast type {} to {} in column {}.", of.ty, field.ty, index + 1);
                return Err(cannot_cast(record.ty(), to).with_detail(detail));
            }
            cast(value.clone(), of.ty, field.ty, field.typmod, context, ctx)
        });
    let values = values.collect::<Result<Vec<_>, _>>()?;
    Record::of_type(to, values).map(Value::record).ok_or_else(|| cannot_cast(record.ty(), to))
}

/// A scalar of `jsonb` as a truth value or number.
fn from_json(value: &Value, to: DataType, ctx: &EvalContext) -> Result<Value, ValueError> {
    let Value::Jsonb(json) = value else { return Err(crate::function::mistyped(value)) };
    match (&**json, to) {
        (Json::Bool(v), DataType::Bool) => Ok(Value::Bool(*v)),
        (Json::Number(number), to) if to.is_numeric() => {
            let number = Value::Numeric(number.clone());
            cast(number, DataType::Numeric, to, -1, CastContext::Explicit, ctx)
        }
        (json, to) => {
            let kind = match json {
                Json::Number(_) => "numeric",
                other => other.kind(),
            };
            let message = format!("cannot cast jsonb {kind} to type {to}");
            Err(ValueError::new(SqlState::InvalidParameterValue, message))
        }
    }
}

/// Two types that cannot be made one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TypesDiffer {
    /// The type so far.
    pub left: DataType,
    /// The one that does not go with it.
    pub right: DataType,
}

impl TypesDiffer {
    /// The error for a construct: `UNION`, `CASE`, `COALESCE`, `IN`, `VALUES`.
    pub fn error(self, construct: &str) -> ValueError {
        let Self { left, right } = self;
        let message = format!("{construct} types {left} and {right} cannot be matched");
        ValueError::new(SqlState::DatatypeMismatch, message)
    }
}

/// The one type of the branches of UNION, CASE, COALESCE and VALUES (`select_common_type`).
///
/// # Errors
/// The pair that cannot be matched.
pub fn common_type(types: &[DataType]) -> Result<DataType, TypesDiffer> {
    let mut decided = types.iter().filter(|ty| **ty != DataType::Unknown);
    if let Some(first) = decided.next()
        && decided.all(|ty| ty == first)
    {
        return Ok(*first);
    }
    // Domains that are not all the same are what they are over.
    let types: &[DataType] = &types.iter().map(|ty| ty.base()).collect::<Vec<_>>();
    let mut common = DataType::Unknown;
    for ty in types.iter().copied() {
        if ty == DataType::Unknown || ty == common {
            continue;
        }
        if common == DataType::Unknown {
            common = ty;
        } else if ty.category() != common.category() {
            return Err(TypesDiffer { left: common, right: ty });
        } else if !common.is_preferred()
            && can_cast(common, ty, CastContext::Implicit)
            && !can_cast(ty, common, CastContext::Implicit)
        {
            common = ty;
        }
    }
    if common == DataType::Unknown {
        return Ok(DataType::Text);
    }
    match types.iter().find(|ty| !can_cast(**ty, common, CastContext::Implicit)) {
        Some(other) => Err(TypesDiffer { left: common, right: *other }),
        None => Ok(common),
    }
}
