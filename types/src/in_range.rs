//! Distances along an order: what RANGE frames with an offset ask.
//!
//! `in_range` tells whether a value lies within an offset of another, and cannot overflow: what lies beyond
//! the type's last value lies beyond every value.
//!
//! Sources: PostgreSQL 15, the `in_range` support functions of btree operator classes, whose rules for NaN,
//! the infinities and overflow these are.

use std::cmp::Ordering;

use crate::DataType::{
    self, Date, Float4, Float8, Int2, Int4, Int8, Numeric, Time, Timestamp, Timestamptz,
};
use crate::datetime::{add_interval, add_interval_tz, date_to_timestamp, interval_neg};
use crate::{EvalContext, SqlState, Value, ValueError, compare};

/// The types that an offset along a column may have; none if there are no distances.
pub fn range_offset_types(column: DataType) -> &'static [DataType] {
    match column {
        Int2 | Int4 => &[Int8, Int4, Int2],
        Int8 => &[Int8],
        Numeric => &[Numeric],
        Float4 | Float8 => &[Float8],
        Date | Time | Timestamp | Timestamptz | DataType::Interval => &[DataType::Interval],
        _ => &[],
    }
}

/// Refuses an offset that no distance is.
///
/// # Errors
/// 22013 for one that is negative or not a number.
pub fn check_range_offset(offset: &Value) -> Result<(), ValueError> {
    let is_valid = match offset {
        Value::Float8(v) => *v >= 0.0,
        Value::Numeric(v) => !matches!(v, crate::Numeric::NaN) && v.signum() >= 0,
        Value::Interval(v) => v.span() >= 0,
        value => value.as_int().is_none_or(|v| v >= 0),
    };
    if is_valid {
        return Ok(());
    }
    let message = "invalid preceding or following size in window function";
    Err(ValueError::new(SqlState::InvalidPrecedingOrFollowingSize, message))
}

/// Whether `value` is at most (`less`) or at least `base` moved by `offset`: down (`subtract`) or up. Neither
/// is NULL, and the offset passed [`check_range_offset`].
///
/// # Errors
/// 22008 for a time that no type holds.
pub fn in_range(
    value: &Value,
    base: &Value,
    offset: &Value,
    subtract: bool,
    less: bool,
    ctx: &EvalContext,
) -> Result<bool, ValueError> {
    let holds = |order: Ordering| if less { order.is_le() } else { order.is_ge() };
    Ok(match (value, base, offset) {
        (Value::Float4(_) | Value::Float8(_), ..) => {
            let [value, base, offset] = [value, base, offset].map(|v| v.as_float().unwrap_or(0.0));
            float_in_range(value, base, offset, subtract, less)
        }
        (Value::Numeric(value), Value::Numeric(base), Value::Numeric(offset)) => {
            numeric_in_range(value, base, offset, subtract, less)?
        }
        (Value::Interval(_), Value::Interval(base), Value::Interval(offset)) => {
            let offset = if subtract { interval_neg(*offset)? } else { *offset };
            let sum = crate::datetime::interval_add(*base, offset)?;
            holds(compare(value, &Value::Interval(sum)))
        }
        (Value::Time(value), Value::Time(base), Value::Interval(offset)) => {
            // Beyond midnight is beyond every time: it does not go around.
            let sum = if subtract {
                base.checked_sub(offset.micros)
            } else {
                base.checked_add(offset.micros)
            };
            match sum {
                Some(sum) => holds(value.cmp(&sum)),
                None => subtract != less,
            }
        }
        (_, _, Value::Interval(offset)) => {
            let offset = if subtract { interval_neg(*offset)? } else { *offset };
            let [value, base] = [as_micros(value)?, as_micros(base)?];
            let sum = match base.1 {
                true => add_interval_tz(base.0, offset, &ctx.time_zone)?,
                false => add_interval(base.0, offset)?,
            };
            holds(value.0.cmp(&sum))
        }
        _ => {
            let [value, base, offset] =
                [value, base, offset].map(|v| i128::from(v.as_int().unwrap_or(0)));
            holds(value.cmp(&if subtract { base - offset } else { base + offset }))
        }
    })
}

/// A point of time in microseconds, and whether it is one of the world's.
fn as_micros(value: &Value) -> Result<(i64, bool), ValueError> {
    Ok(match value {
        Value::Date(v) => (date_to_timestamp(*v)?, false),
        Value::Timestamp(v) => (*v, false),
        Value::Timestamptz(v) => (*v, true),
        other => return Err(crate::function::mistyped(other)),
    })
}

fn float_in_range(value: f64, base: f64, offset: f64, subtract: bool, less: bool) -> bool {
    // NaN is equal to itself and above everything, at any distance.
    if value.is_nan() {
        return if base.is_nan() { true } else { !less };
    }
    if base.is_nan() {
        return less;
    }
    // Within an infinite distance of an infinity that it leads away from lies everything.
    if offset.is_infinite()
        && base.is_infinite()
        && (if subtract { base > 0.0 } else { base < 0.0 })
    {
        return true;
    }
    let sum = if subtract { base - offset } else { base + offset };
    if less { value <= sum } else { value >= sum }
}

fn numeric_in_range(
    value: &crate::Numeric,
    base: &crate::Numeric,
    offset: &crate::Numeric,
    subtract: bool,
    less: bool,
) -> Result<bool, ValueError> {
    use crate::Numeric as N;
    if matches!(value, N::NaN) {
        return Ok(if matches!(base, N::NaN) { true } else { !less });
    }
    if matches!(base, N::NaN) {
        return Ok(less);
    }
    let leads_away = if subtract { base.signum() > 0 } else { base.signum() < 0 };
    if !offset.is_finite() && !base.is_finite() && leads_away {
        return Ok(true);
    }
    let sum = if subtract { base.sub(offset)? } else { base.add(offset)? };
    let order = value.compare(&sum);
    Ok(if less { order.is_le() } else { order.is_ge() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(value: Value, base: Value, offset: Value, subtract: bool, less: bool) -> bool {
        in_range(&value, &base, &offset, subtract, less, &EvalContext::default()).unwrap()
    }

    #[test]
    fn integers_do_not_overflow() {
        let (max, one) = (Value::Int4(i32::MAX), Value::Int8(i64::MAX));
        assert!(holds(Value::Int4(5), max.clone(), one.clone(), false, true));
        assert!(!holds(Value::Int4(5), max.clone(), one.clone(), false, false));
        assert!(holds(Value::Int4(i32::MIN), max, one, true, false));
    }

    #[test]
    fn nan_is_near_itself_only() {
        let nan = Value::Float8(f64::NAN);
        assert!(holds(nan.clone(), nan.clone(), Value::Float8(1.0), true, true));
        assert!(holds(nan.clone(), Value::Float8(0.0), Value::Float8(1.0), false, false));
        assert!(!holds(nan.clone(), Value::Float8(0.0), Value::Float8(1.0), false, true));
        assert!(holds(Value::Float8(0.0), nan, Value::Float8(1.0), false, true));
    }

    #[test]
    fn an_infinite_distance_from_an_infinity() {
        let infinity = Value::Float8(f64::INFINITY);
        assert!(holds(Value::Float8(0.0), infinity.clone(), infinity.clone(), true, true));
        assert!(holds(Value::Float8(0.0), infinity.clone(), infinity.clone(), true, false));
        assert!(!holds(Value::Float8(0.0), infinity.clone(), infinity, false, false));
    }

    #[test]
    fn negative_offsets_are_refused() {
        for offset in [Value::Int4(-1), Value::Float8(-0.5), Value::Float8(f64::NAN)] {
            assert!(check_range_offset(&offset).is_err(), "{offset:?}");
        }
        check_range_offset(&Value::Int8(0)).unwrap();
    }
}
