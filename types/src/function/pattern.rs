//! `to_char`, `to_date` and `to_timestamp` with patterns.

use super::table::Builder;
use super::{Kernel, arg, mistyped};
use crate::DataType::{
    Date, Float4, Float8, Int4, Int8, Interval, Numeric as Num, Text, Timestamp, Timestamptz,
};
use crate::datetime::{self as dt, Moment};
use crate::numeric::{format_number, to_number};
use crate::{EvalContext, Numeric, Value, ValueError};

/// `to_char` of a point or span of time.
fn moment(args: &[Value], ctx: &EvalContext) -> Result<Value, ValueError> {
    let zone = &ctx.time_zone;
    let moment = match &args[0] {
        Value::Timestamp(i64::MIN | i64::MAX) | Value::Timestamptz(i64::MIN | i64::MAX) => {
            return Ok(Value::Null);
        }
        Value::Timestamp(v) => Moment::local(*v),
        Value::Timestamptz(v) => Moment::zoned(*v, zone),
        Value::Interval(v) => Moment::span(*v),
        other => return Err(mistyped(other)),
    };
    let pattern = arg::text(args, 1)?;
    if pattern.is_empty() {
        return Ok(Value::Null);
    }
    Ok(Value::text(dt::format_moment(&moment, pattern)?))
}

/// `to_char` of a number.
fn number(args: &[Value], _: &EvalContext) -> Result<Value, ValueError> {
    let number = match &args[0] {
        Value::Numeric(v) => v.clone(),
        Value::Float4(v) => Numeric::from_float(f64::from(*v), 6),
        Value::Float8(v) => Numeric::from_float(*v, 15),
        value => Numeric::from(value.as_int().ok_or_else(|| mistyped(value))?),
    };
    Ok(Value::text(format_number(&number, arg::text(args, 1)?)?))
}

pub(super) fn add(t: &mut Builder) {
    t.stable("to_char", &[Timestamp, Text], Text, Kernel::Values(moment));
    t.stable("to_char", &[Timestamptz, Text], Text, Kernel::Values(moment));
    t.stable("to_char", &[Interval, Text], Text, Kernel::Values(moment));
    for args in [&[Int4, Text], &[Int8, Text], &[Float4, Text], &[Float8, Text], &[Num, Text]] {
        t.stable("to_char", args, Text, Kernel::Values(number));
    }
    t.stable(
        "to_number",
        &[Text, Text],
        Num,
        Kernel::Values(|args, _| {
            let pattern = arg::text(args, 1)?;
            if pattern.is_empty() {
                return Ok(Value::Null);
            }
            Ok(Value::Numeric(to_number(arg::text(args, 0)?, pattern)?))
        }),
    );
    t.stable(
        "to_date",
        &[Text, Text],
        Date,
        Kernel::Values(|args, ctx| {
            Ok(Value::Date(dt::to_date(arg::text(args, 0)?, arg::text(args, 1)?, ctx)?))
        }),
    );
    t.stable(
        "to_timestamp",
        &[Text, Text],
        Timestamptz,
        Kernel::Values(|args, ctx| {
            Ok(Value::Timestamptz(dt::to_timestamp(arg::text(args, 0)?, arg::text(args, 1)?, ctx)?))
        }),
    );
}
