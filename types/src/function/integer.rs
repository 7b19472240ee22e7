//! Operators and functions of `smallint`, `integer` and `bigint`.

use super::Kernel;
use super::table::Builder;
use crate::DataType::{self, Bytea, Date, Float8, Int2, Int4, Int8, Numeric as Num, Text};
use crate::{Numeric, Value, ValueError};

type Outcome = Result<i64, ValueError>;

fn in_int2(v: i64) -> Outcome {
    i16::try_from(v).map(i64::from).map_err(|_| ValueError::out_of_range("smallint"))
}

fn in_int4(v: i64) -> Outcome {
    i32::try_from(v).map(i64::from).map_err(|_| ValueError::out_of_range("integer"))
}

fn in_int8(v: Option<i64>) -> Outcome {
    v.ok_or_else(|| ValueError::out_of_range("bigint"))
}

fn divide(a: i64, b: i64) -> Result<Option<i64>, ValueError> {
    if b == 0 { Err(ValueError::division_by_zero()) } else { Ok(a.checked_div(b)) }
}

fn modulo(a: i64, b: i64) -> Outcome {
    // The remainder by -1 is zero, also for the most negative number.
    if b == 0 { Err(ValueError::division_by_zero()) } else { Ok(a.wrapping_rem(b)) }
}

/// The five operations whose result has the wider type of their operands.
fn arithmetic(t: &mut Builder, args: &'static [DataType], result: DataType) {
    let kernels: [(&'static str, fn(i64, i64) -> Outcome); 4] = match result {
        Int2 => [
            ("+", |a, b| in_int2(a + b)),
            ("-", |a, b| in_int2(a - b)),
            ("*", |a, b| in_int2(a * b)),
            ("/", |a, b| in_int2(in_int8(divide(a, b)?)?)),
        ],
        Int4 => [
            ("+", |a, b| in_int4(a + b)),
            ("-", |a, b| in_int4(a - b)),
            ("*", |a, b| in_int4(a * b)),
            ("/", |a, b| in_int4(in_int8(divide(a, b)?)?)),
        ],
        _ => [
            ("+", |a, b| in_int8(a.checked_add(b))),
            ("-", |a, b| in_int8(a.checked_sub(b))),
            ("*", |a, b| in_int8(a.checked_mul(b))),
            ("/", |a, b| in_int8(divide(a, b)?)),
        ],
    };
    for (name, kernel) in kernels {
        t.add(name, args, result, Kernel::Int2(kernel));
    }
}

fn same_type(
    t: &mut Builder,
    one: &'static [DataType],
    two: &'static [DataType],
    shift: &'static [DataType],
) {
    let ty = one[0];
    t.add("%", two, ty, Kernel::Int2(modulo));
    t.add("mod", two, ty, Kernel::Int2(modulo));
    t.add("&", two, ty, Kernel::Int2(|a, b| Ok(a & b)));
    t.add("|", two, ty, Kernel::Int2(|a, b| Ok(a | b)));
    t.add("#", two, ty, Kernel::Int2(|a, b| Ok(a ^ b)));
    t.add("~", one, ty, Kernel::Int1(|a| Ok(!a)));
    t.add("+", one, ty, Kernel::Int1(Ok));
    // Shifts take the count modulo the width, as C on common machines.
    let (left, right): (fn(i64, i64) -> Outcome, fn(i64, i64) -> Outcome) = match ty {
        Int2 => (
            |a, b| Ok(i64::from((i32::try_from(a).unwrap_or(0)).wrapping_shl(b as u32) as i16)),
            |a, b| Ok(i64::from((a as i32).wrapping_shr(b as u32) as i16)),
        ),
        Int4 => (
            |a, b| Ok(i64::from((a as i32).wrapping_shl(b as u32))),
            |a, b| Ok(i64::from((a as i32).wrapping_shr(b as u32))),
        ),
        _ => (|a, b| Ok(a.wrapping_shl(b as u32)), |a, b| Ok(a.wrapping_shr(b as u32))),
    };
    t.add("<<", shift, ty, Kernel::Int2(left));
    t.add(">>", shift, ty, Kernel::Int2(right));
    let (negate, absolute): (fn(i64) -> Outcome, fn(i64) -> Outcome) = match ty {
        Int2 => (|a| in_int2(-a), |a| in_int2(a.abs())),
        Int4 => (|a| in_int4(-a), |a| in_int4(a.abs())),
        _ => (|a| in_int8(a.checked_neg()), |a| in_int8(a.checked_abs())),
    };
    t.add("-", one, ty, Kernel::Int1(negate));
    t.add("@", one, ty, Kernel::Int1(absolute));
    t.add("abs", one, ty, Kernel::Int1(absolute));
}

fn gcd(a: i64, b: i64) -> Option<i64> {
    let (mut a, mut b) = (a.unsigned_abs(), b.unsigned_abs());
    while b != 0 {
        (a, b) = (b, a % b);
    }
    i64::try_from(a).ok()
}

fn lcm(a: i64, b: i64) -> Option<i64> {
    if a == 0 || b == 0 {
        return Some(0);
    }
    (a / gcd(a, b)?).checked_mul(b)?.checked_abs()
}

fn move_date(date: i64, days: i64) -> Outcome {
    if date == i64::from(i32::MIN) || date == i64::from(i32::MAX) {
        return Ok(date);
    }
    i32::try_from(date + days)
        .ok()
        .filter(|v| crate::datetime::valid_date(*v))
        .map(i64::from)
        .ok_or_else(|| crate::datetime::date_out_of_range(""))
}

pub(super) fn add(t: &mut Builder) {
    arithmetic(t, &[Int2, Int2], Int2);
    arithmetic(t, &[Int4, Int4], Int4);
    arithmetic(t, &[Int8, Int8], Int8);
    arithmetic(t, &[Int2, Int4], Int4);
    arithmetic(t, &[Int4, Int2], Int4);
    arithmetic(t, &[Int2, Int8], Int8);
    arithmetic(t, &[Int8, Int2], Int8);
    arithmetic(t, &[Int4, Int8], Int8);
    arithmetic(t, &[Int8, Int4], Int8);
    same_type(t, &[Int2], &[Int2, Int2], &[Int2, Int4]);
    same_type(t, &[Int4], &[Int4, Int4], &[Int4, Int4]);
    same_type(t, &[Int8], &[Int8, Int8], &[Int8, Int4]);
    t.add("gcd", &[Int4, Int4], Int4, Kernel::Int2(|a, b| in_int4(in_int8(gcd(a, b))?)));
    t.add("gcd", &[Int8, Int8], Int8, Kernel::Int2(|a, b| in_int8(gcd(a, b))));
    t.add("lcm", &[Int4, Int4], Int4, Kernel::Int2(|a, b| in_int4(in_int8(lcm(a, b))?)));
    t.add("lcm", &[Int8, Int8], Int8, Kernel::Int2(|a, b| in_int8(lcm(a, b))));
    t.add(
        "factorial",
        &[Int8],
        Num,
        Kernel::Values(|args, _| {
            Ok(Value::Numeric(Numeric::factorial(super::arg::int(args, 0)?)?))
        }),
    );
    t.add(
        "to_hex",
        &[Int4],
        Text,
        Kernel::Values(|args, _| {
            Ok(Value::text(format!("{:x}", super::arg::int(args, 0)? as u32)))
        }),
    );
    t.add(
        "to_hex",
        &[Int8],
        Text,
        Kernel::Values(|args, _| Ok(Value::text(format!("{:x}", super::arg::int(args, 0)?)))),
    );
    t.add(
        "bit_count",
        &[Bytea],
        Int8,
        Kernel::Values(|args, _| {
            let bytes = super::arg::bytes(args, 0)?;
            Ok(Value::Int8(bytes.iter().map(|byte| i64::from(byte.count_ones())).sum()))
        }),
    );
    t.add(
        "width_bucket",
        &[Float8, Float8, Float8, Int4],
        Int4,
        Kernel::Values(|args, _| {
            let float = |index| super::arg::float(args, index);
            super::float::width_bucket(float(0)?, float(1)?, float(2)?, super::arg::int(args, 3)?)
        }),
    );
    // Dates move by days.
    t.add("+", &[Date, Int4], Date, Kernel::Int2(move_date));
    t.add("+", &[Int4, Date], Date, Kernel::Int2(|days, date| move_date(date, days)));
    t.add("-", &[Date, Int4], Date, Kernel::Int2(|date, days| move_date(date, -days)));
    t.add(
        "-",
        &[Date, Date],
        Int4,
        Kernel::Int2(|a, b| {
            let infinite = |v: i64| v == i64::from(i32::MIN) || v == i64::from(i32::MAX);
            if infinite(a) || infinite(b) {
                let error = crate::datetime::date_out_of_range("");
                return Err(error.with_message("cannot subtract infinite dates"));
            }
            in_int4(a - b)
        }),
    );
}
