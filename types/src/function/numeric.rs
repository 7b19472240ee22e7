//! Operators and functions of `numeric`.

use super::table::Builder;
use super::{Kernel, arg};
use crate::DataType::{self, Int4, Numeric as Num};
use crate::{Numeric, SqlState, Value, ValueError};

fn binary(
    t: &mut Builder,
    name: &'static str,
    kernel: fn(&[Value], &crate::EvalContext) -> Result<Value, ValueError>,
) {
    t.add(name, &[Num, Num], Num, Kernel::Values(kernel));
}

/// Defines the general kernel of a numeric method of one or two operands.
macro_rules! numeric {
    ($method:ident, 1) => {
        |args, _| Ok(Value::Numeric(arg::numeric(args, 0)?.$method()))
    };
    ($method:ident, 1?) => {
        |args, _| Ok(Value::Numeric(arg::numeric(args, 0)?.$method()?))
    };
    ($method:ident, 2?) => {
        |args, _| Ok(Value::Numeric(arg::numeric(args, 0)?.$method(arg::numeric(args, 1)?)?))
    };
}

fn places(args: &[Value]) -> Result<i32, ValueError> {
    // PostgreSQL bounds the scale that round and trunc are given.
    Ok(arg::int(args, 1)?.clamp(-131_073, 16_383) as i32)
}

fn width_bucket(args: &[Value]) -> Result<Value, ValueError> {
    let invalid =
        |text: &str| Err(ValueError::new(SqlState::InvalidArgumentForWidthBucketFunction, text));
    let (v, low, high) = (arg::numeric(args, 0)?, arg::numeric(args, 1)?, arg::numeric(args, 2)?);
    let count = arg::int(args, 3)?;
    if count <= 0 {
        return invalid("count must be greater than zero");
    }
    if [v, low, high].iter().any(|number| matches!(number, Numeric::NaN)) {
        return invalid("operand, lower bound, and upper bound cannot be NaN");
    }
    if !low.is_finite() || !high.is_finite() {
        return invalid("lower and upper bounds must be finite");
    }
    let order = low.compare(high);
    if order.is_eq() {
        return invalid("lower bound cannot equal upper bound");
    }
    let (below, above) = if order.is_lt() {
        (v.compare(low).is_lt(), v.compare(high).is_ge())
    } else {
        (v.compare(low).is_gt(), v.compare(high).is_le())
    };
    let bucket = if below {
        0
    } else if above {
        count + 1
    } else {
        let position = v.sub(low)?.mul(&Numeric::from(count))?;
        position.div_trunc(&high.sub(low)?)?.to_i64().unwrap_or(0) + 1
    };
    i32::try_from(bucket).map(Value::Int4).map_err(|_| ValueError::out_of_range("integer"))
}

pub(super) fn add(t: &mut Builder) {
    binary(t, "+", numeric!(add, 2?));
    binary(t, "-", numeric!(sub, 2?));
    binary(t, "*", numeric!(mul, 2?));
    binary(t, "/", numeric!(div, 2?));
    binary(t, "%", numeric!(rem, 2?));
    binary(t, "mod", numeric!(rem, 2?));
    binary(t, "div", numeric!(div_trunc, 2?));
    binary(t, "gcd", numeric!(gcd, 2?));
    binary(t, "lcm", numeric!(lcm, 2?));
    for name in ["^", "power", "pow"] {
        binary(t, name, numeric!(power, 2?));
    }
    binary(t, "log", |args, _| {
        Ok(Value::Numeric(Numeric::log(arg::numeric(args, 0)?, arg::numeric(args, 1)?)?))
    });
    let mut one = |name: &'static str, kernel| {
        t.add(name, &[Num], Num, Kernel::Values(kernel));
    };
    one("+", |args, _| Ok(args[0].clone()));
    one("-", numeric!(neg, 1));
    one("@", numeric!(abs, 1));
    one("abs", numeric!(abs, 1));
    one("ceil", numeric!(ceil, 1));
    one("ceiling", numeric!(ceil, 1));
    one("floor", numeric!(floor, 1));
    one("sqrt", numeric!(sqrt, 1?));
    one("exp", numeric!(exp, 1?));
    one("ln", numeric!(ln, 1?));
    for name in ["log", "log10"] {
        one(name, |args, _| {
            Ok(Value::Numeric(Numeric::log(&Numeric::from(10), arg::numeric(args, 0)?)?))
        });
    }
    one("sign", |args, _| {
        let number = arg::numeric(args, 0)?;
        Ok(Value::Numeric(match number {
            Numeric::NaN => Numeric::NaN,
            _ => Numeric::from(i64::from(number.signum())),
        }))
    });
    one("round", |args, _| Ok(Value::Numeric(arg::numeric(args, 0)?.round(0))));
    one("trunc", |args, _| Ok(Value::Numeric(arg::numeric(args, 0)?.trunc(0))));
    one("trim_scale", |args, _| Ok(Value::Numeric(arg::numeric(args, 0)?.clone().trim_scale())));
    const WITH_PLACES: &[DataType] = &[Num, Int4];
    t.add(
        "round",
        WITH_PLACES,
        Num,
        Kernel::Values(|args, _| Ok(Value::Numeric(arg::numeric(args, 0)?.round(places(args)?)))),
    );
    t.add(
        "trunc",
        WITH_PLACES,
        Num,
        Kernel::Values(|args, _| Ok(Value::Numeric(arg::numeric(args, 0)?.trunc(places(args)?)))),
    );
    t.add(
        "scale",
        &[Num],
        Int4,
        Kernel::Values(|args, _| {
            let number = arg::numeric(args, 0)?;
            Ok(if number.is_finite() {
                Value::Int4(i32::from(number.scale()))
            } else {
                Value::Null
            })
        }),
    );
    t.add(
        "min_scale",
        &[Num],
        Int4,
        Kernel::Values(|args, _| {
            let number = arg::numeric(args, 0)?.clone().trim_scale();
            Ok(if number.is_finite() {
                Value::Int4(i32::from(number.scale()))
            } else {
                Value::Null
            })
        }),
    );
    t.add(
        "width_bucket",
        &[Num, Num, Num, Int4],
        Int4,
        Kernel::Values(|args, _| width_bucket(args)),
    );
}
