//! Conversions among the numeric types.

use crate::function::mistyped;
use crate::{DataType, Numeric, Value, ValueError};

/// `smallint out of range` and its like, when a number does not fit an integer type.
pub(crate) fn int_in_range(ty: DataType, v: i64) -> Result<Value, ValueError> {
    Value::from_int(ty, v)
}

/// Rounds to the nearest integer, ties to even, as `rint` does.
pub(crate) fn float_to_int(ty: DataType, v: f64) -> Result<Value, ValueError> {
    let rounded = v.round_ties_even();
    // The upper bound of bigint is not a float; 2^63 is the first that does not fit.
    let limit = 9_223_372_036_854_775_808.0;
    if rounded.is_nan() || rounded >= limit || rounded < -limit {
        return Err(ValueError::out_of_range(ty.sql_name()));
    }
    Value::from_int(ty, rounded as i64)
}

pub(super) fn convert(value: Value, from: DataType, to: DataType) -> Result<Value, ValueError> {
    match &value {
        Value::Numeric(number) => from_numeric(number, to),
        Value::Float4(_) | Value::Float8(_) => {
            let v = value.as_float().ok_or_else(|| mistyped(&value))?;
            match to {
                DataType::Float8 => Ok(Value::Float8(v)),
                DataType::Float4 => to_float4(v),
                DataType::Numeric => {
                    let digits = if from == DataType::Float4 { 6 } else { 15 };
                    Ok(Value::Numeric(Numeric::from_float(v, digits)))
                }
                _ => float_to_int(to, v),
            }
        }
        _ => {
            let v = value.as_int().ok_or_else(|| mistyped(&value))?;
            match to {
                DataType::Float8 => Ok(Value::Float8(v as f64)),
                DataType::Float4 => Ok(Value::Float4(v as f32)),
                DataType::Numeric => Ok(Value::Numeric(Numeric::from(v))),
                // int4 and oid share their bits; int2 is extended with its sign.
                DataType::Oid if matches!(from, DataType::Int2 | DataType::Int4) => {
                    Ok(Value::Oid(v as i32 as u32))
                }
                DataType::Int4 if from == DataType::Oid => Ok(Value::Int4(v as u32 as i32)),
                _ => int_in_range(to, v),
            }
        }
    }
}

/// Narrows, with errors where the value would become infinite or zero.
pub(crate) fn to_float4(v: f64) -> Result<Value, ValueError> {
    let narrow = v as f32;
    if narrow.is_infinite() && !v.is_infinite() {
        return Err(ValueError::out_of_range("value").overflow());
    }
    if narrow == 0.0 && v != 0.0 {
        return Err(ValueError::out_of_range("value").underflow());
    }
    Ok(Value::Float4(narrow))
}

fn from_numeric(number: &Numeric, to: DataType) -> Result<Value, ValueError> {
    match to {
        DataType::Float8 => {
            let v = number.to_f64();
            if (v.is_infinite() && number.is_finite()) || (v == 0.0 && !number.is_zero()) {
                let message = format!("\"{number}\" is out of range for type double precision");
                return Err(ValueError::out_of_range("").with_message(message));
            }
            Ok(Value::Float8(v))
        }
        DataType::Float4 => {
            let v = number.to_f32();
            if (v.is_infinite() && number.is_finite()) || (v == 0.0 && !number.is_zero()) {
                let message = format!("\"{number}\" is out of range for type real");
                return Err(ValueError::out_of_range("").with_message(message));
            }
            Ok(Value::Float4(v))
        }
        _ => {
            if !number.is_finite() {
                let what = if matches!(number, Numeric::NaN) { "NaN" } else { "infinity" };
                let message = format!("cannot convert {what} to {to}");
                return Err(ValueError::new(crate::SqlState::FeatureNotSupported, message));
            }
            let v = number.to_i64().ok_or_else(|| ValueError::out_of_range(to.sql_name()))?;
            int_in_range(to, v)
        }
    }
}
