//! The comparison operators of all types.

use std::cmp::Ordering;

use super::table::Builder;
use super::{Kernel, mistyped};
use crate::DataType::{
    self, AnyArray, Bool, Bpchar, Bytea, Char, Date, Float4, Float8, Int2, Int4, Int8, Interval,
    Name, Numeric, Oid, Text, Time, Timestamp, Timestamptz, Uuid,
};
use crate::compare::compare_floats;
use crate::{EvalContext, Value, ValueError, datetime};

/// The six operators over integers.
fn ints(t: &mut Builder, args: &'static [DataType]) {
    let kernels: [(&'static str, fn(i64, i64) -> bool); 6] = [
        ("=", |a, b| a == b),
        ("<>", |a, b| a != b),
        ("<", |a, b| a < b),
        ("<=", |a, b| a <= b),
        (">", |a, b| a > b),
        (">=", |a, b| a >= b),
    ];
    for (name, kernel) in kernels {
        t.add(name, args, Bool, Kernel::IntCompare(kernel));
    }
}

fn floats(t: &mut Builder, args: &'static [DataType]) {
    let kernels: [(&'static str, fn(f64, f64) -> bool); 6] = [
        ("=", |a, b| compare_floats(a, b).is_eq()),
        ("<>", |a, b| compare_floats(a, b).is_ne()),
        ("<", |a, b| compare_floats(a, b).is_lt()),
        ("<=", |a, b| compare_floats(a, b).is_le()),
        (">", |a, b| compare_floats(a, b).is_gt()),
        (">=", |a, b| compare_floats(a, b).is_ge()),
    ];
    for (name, kernel) in kernels {
        t.add(name, args, Bool, Kernel::FloatCompare(kernel));
    }
}

fn texts(t: &mut Builder, args: &'static [DataType]) {
    let kernels: [(&'static str, fn(&str, &str) -> bool); 6] = [
        ("=", |a, b| a == b),
        ("<>", |a, b| a != b),
        ("<", |a, b| a < b),
        ("<=", |a, b| a <= b),
        (">", |a, b| a > b),
        (">=", |a, b| a >= b),
    ];
    for (name, kernel) in kernels {
        t.add(name, args, Bool, Kernel::TextCompare(kernel));
    }
}

fn others(t: &mut Builder, args: &'static [DataType]) {
    let kernels: [(&'static str, fn(Ordering) -> bool); 6] = [
        ("=", Ordering::is_eq),
        ("<>", Ordering::is_ne),
        ("<", Ordering::is_lt),
        ("<=", Ordering::is_le),
        (">", Ordering::is_gt),
        (">=", Ordering::is_ge),
    ];
    for (name, kernel) in kernels {
        t.add(name, args, Bool, Kernel::Compare(kernel));
    }
}

/// The order of two different kinds of day or time; instants are reached through the session's zone.
fn mixed_order(args: &[Value], ctx: &EvalContext) -> Result<Ordering, ValueError> {
    let zone = &ctx.time_zone;
    let with_zone = args.iter().any(|value| matches!(value, Value::Timestamptz(_)));
    let place = |value: &Value| -> Result<i64, ValueError> {
        Ok(match value {
            // Dates reach further than timestamps: beyond them a date is at its own end.
            Value::Date(v) => {
                let beyond = if *v < 0 { i64::MIN + 1 } else { i64::MAX - 1 };
                let at = if with_zone {
                    datetime::date_to_timestamptz(*v, zone)
                } else {
                    datetime::date_to_timestamp(*v)
                };
                at.unwrap_or(beyond)
            }
            // At the ends of time the zone may lead beyond them.
            Value::Timestamp(v) if with_zone => {
                let beyond = if *v < 0 { i64::MIN + 1 } else { i64::MAX - 1 };
                datetime::timestamp_to_timestamptz(*v, zone).unwrap_or(beyond)
            }
            Value::Timestamp(v) | Value::Timestamptz(v) => *v,
            other => return Err(mistyped(other)),
        })
    };
    Ok(place(&args[0])?.cmp(&place(&args[1])?))
}

fn mixed(t: &mut Builder, args: &'static [DataType]) {
    type General = fn(&[Value], &EvalContext) -> Result<Value, ValueError>;
    let kernels: [(&'static str, General); 6] = [
        ("=", |args, ctx| Ok(Value::Bool(mixed_order(args, ctx)?.is_eq()))),
        ("<>", |args, ctx| Ok(Value::Bool(mixed_order(args, ctx)?.is_ne()))),
        ("<", |args, ctx| Ok(Value::Bool(mixed_order(args, ctx)?.is_lt()))),
        ("<=", |args, ctx| Ok(Value::Bool(mixed_order(args, ctx)?.is_le()))),
        (">", |args, ctx| Ok(Value::Bool(mixed_order(args, ctx)?.is_gt()))),
        (">=", |args, ctx| Ok(Value::Bool(mixed_order(args, ctx)?.is_ge()))),
    ];
    for (name, kernel) in kernels {
        if args.contains(&Timestamptz) {
            t.stable(name, args, Bool, Kernel::Values(kernel));
        } else {
            t.add(name, args, Bool, Kernel::Values(kernel));
        }
    }
}

pub(super) fn add(t: &mut Builder) {
    ints(t, &[Int4, Int4]);
    ints(t, &[Int8, Int8]);
    ints(t, &[Int2, Int2]);
    ints(t, &[Int2, Int4]);
    ints(t, &[Int4, Int2]);
    ints(t, &[Int2, Int8]);
    ints(t, &[Int8, Int2]);
    ints(t, &[Int4, Int8]);
    ints(t, &[Int8, Int4]);
    ints(t, &[Oid, Oid]);
    ints(t, &[Date, Date]);
    ints(t, &[Time, Time]);
    ints(t, &[Timestamp, Timestamp]);
    ints(t, &[Timestamptz, Timestamptz]);
    floats(t, &[Float8, Float8]);
    floats(t, &[Float4, Float4]);
    floats(t, &[Float4, Float8]);
    floats(t, &[Float8, Float4]);
    texts(t, &[Text, Text]);
    texts(t, &[Name, Name]);
    texts(t, &[Name, Text]);
    texts(t, &[Text, Name]);
    others(t, &[Bool, Bool]);
    others(t, &[Bpchar, Bpchar]);
    others(t, &[Numeric, Numeric]);
    others(t, &[Bytea, Bytea]);
    others(t, &[Interval, Interval]);
    others(t, &[Uuid, Uuid]);
    others(t, &[Char, Char]);
    others(t, &[DataType::Jsonb, DataType::Jsonb]);
    others(t, &[DataType::Timetz, DataType::Timetz]);
    others(t, &[DataType::Bit, DataType::Bit]);
    others(t, &[DataType::Varbit, DataType::Varbit]);
    others(t, &[DataType::Money, DataType::Money]);
    others(t, &[DataType::Inet, DataType::Inet]);
    others(t, &[DataType::Macaddr, DataType::Macaddr]);
    others(t, &[DataType::Macaddr8, DataType::Macaddr8]);
    others(t, &[DataType::PgLsn, DataType::PgLsn]);
    others(t, &[DataType::AnyRange, DataType::AnyRange]);
    others(t, &[DataType::AnyMultirange, DataType::AnyMultirange]);
    others(t, &[AnyArray, AnyArray]);
    others(t, &[DataType::AnyEnum, DataType::AnyEnum]);
    mixed(t, &[Date, Timestamp]);
    mixed(t, &[Timestamp, Date]);
    mixed(t, &[Date, Timestamptz]);
    mixed(t, &[Timestamptz, Date]);
    mixed(t, &[Timestamp, Timestamptz]);
    mixed(t, &[Timestamptz, Timestamp]);
}
