//! Functions of bit strings.

use std::cmp::Ordering;

use super::string::overlay_end;
use super::table::Builder;
use super::{Kernel, arg, mistyped};
use crate::DataType::{self, Bit, Int4, Int8, Varbit};
use crate::{Bits, EvalContext, SqlState, Value, ValueError};

fn bits(args: &[Value], index: usize) -> Result<&Bits, ValueError> {
    match &args[index] {
        Value::Bits(bits) => Ok(bits),
        other => Err(mistyped(other)),
    }
}

/// Two strings of one length, bit by bit.
fn pairwise(args: &[Value], what: &str, f: fn(bool, bool) -> bool) -> Result<Value, ValueError> {
    let (a, b) = (bits(args, 0)?, bits(args, 1)?);
    if a.len() != b.len() {
        let message = format!("cannot {what} bit strings of different sizes");
        return Err(ValueError::new(SqlState::StringDataLengthMismatch, message));
    }
    Ok(Value::bits(Bits::from_bits((0..a.len()).map(|at| f(a.get(at), b.get(at))))?))
}

/// The bits moved to the left by a number, which may be negative; zeros come in.
fn shifted(args: &[Value], left: bool) -> Result<Value, ValueError> {
    let (v, by) = (bits(args, 0)?, arg::int(args, 1)?);
    let by = if left { by } else { -by };
    let at = |at: usize| {
        let from = at as i64 + by;
        usize::try_from(from).is_ok_and(|from| from < v.len() && v.get(from))
    };
    Ok(Value::bits(Bits::from_bits((0..v.len()).map(at))?))
}

fn negative_length() -> ValueError {
    ValueError::new(SqlState::SubstringError, "negative substring length not allowed")
}

/// The bits from `start` (counting from 1), `length` of them or all.
fn part(v: &Bits, start: i64, length: Option<i64>) -> Result<Bits, ValueError> {
    let end = match length {
        Some(length) if length < 0 => return Err(negative_length()),
        Some(length) => start.saturating_add(length),
        None => i64::MAX,
    };
    let clamp = |v: i64| usize::try_from(v.max(1) - 1).unwrap_or(usize::MAX);
    Ok(v.slice(clamp(start), clamp(end)))
}

fn substring(args: &[Value], _: &EvalContext) -> Result<Value, ValueError> {
    let length = if args.len() > 2 { Some(arg::int(args, 2)?) } else { None };
    Ok(Value::bits(part(bits(args, 0)?, arg::int(args, 1)?, length)?))
}

fn overlay(args: &[Value], _: &EvalContext) -> Result<Value, ValueError> {
    let (v, new, start) = (bits(args, 0)?, bits(args, 1)?, arg::int(args, 2)?);
    let length = if args.len() > 3 { arg::int(args, 3)? } else { new.len() as i64 };
    if start <= 0 {
        return Err(negative_length());
    }
    let end = overlay_end(start, length)?;
    let head = part(v, 1, Some(start - 1))?;
    let tail = part(v, end, None)?;
    Ok(Value::bits(head.concat(new)?.concat(&tail)?))
}

fn position(args: &[Value], _: &EvalContext) -> Result<Value, ValueError> {
    let (v, wanted) = (bits(args, 0)?, bits(args, 1)?);
    if v.is_empty() || wanted.len() > v.len() {
        return Ok(Value::Int4(0));
    }
    if wanted.is_empty() {
        return Ok(Value::Int4(1));
    }
    let found = (0..=v.len() - wanted.len())
        .find(|at| (0..wanted.len()).all(|offset| v.get(at + offset) == wanted.get(offset)));
    Value::from_int(Int4, found.map_or(0, |at| at as i64 + 1))
}

fn index(args: &[Value]) -> Result<usize, ValueError> {
    let (v, index) = (bits(args, 0)?, arg::int(args, 1)?);
    usize::try_from(index).ok().filter(|index| *index < v.len()).ok_or_else(|| {
        let message = format!("bit index {index} out of valid range (0..{})", v.len() as i64 - 1);
        ValueError::new(SqlState::ArraySubscriptError, message)
    })
}

fn get_bit(args: &[Value], _: &EvalContext) -> Result<Value, ValueError> {
    Ok(Value::Int4(i32::from(bits(args, 0)?.get(index(args)?))))
}

fn set_bit(args: &[Value], _: &EvalContext) -> Result<Value, ValueError> {
    let (v, index, new) = (bits(args, 0)?, index(args)?, arg::int(args, 2)?);
    if new != 0 && new != 1 {
        return Err(ValueError::invalid_parameter("new bit must be 0 or 1"));
    }
    let at = |at: usize| if at == index { new == 1 } else { v.get(at) };
    Ok(Value::bits(Bits::from_bits((0..v.len()).map(at))?))
}

pub(super) fn add(t: &mut Builder) {
    type General = fn(&[Value], &EvalContext) -> Result<Value, ValueError>;
    let entries: [(&'static str, &'static [DataType], DataType, General); 22] = [
        ("&", &[Bit, Bit], Bit, |args, _| pairwise(args, "AND", |a, b| a && b)),
        ("|", &[Bit, Bit], Bit, |args, _| pairwise(args, "OR", |a, b| a || b)),
        ("#", &[Bit, Bit], Bit, |args, _| pairwise(args, "XOR", |a, b| a != b)),
        ("~", &[Bit], Bit, |args, _| {
            Ok(Value::bits(Bits::from_bits(bits(args, 0)?.iter().map(|bit| !bit))?))
        }),
        ("<<", &[Bit, Int4], Bit, |args, _| shifted(args, true)),
        (">>", &[Bit, Int4], Bit, |args, _| shifted(args, false)),
        ("||", &[Varbit, Varbit], Varbit, |args, _| {
            Ok(Value::bits(bits(args, 0)?.concat(bits(args, 1)?)?))
        }),
        ("substring", &[Bit, Int4], Bit, substring),
        ("substring", &[Bit, Int4, Int4], Bit, substring),
        ("overlay", &[Bit, Bit, Int4], Bit, overlay),
        ("overlay", &[Bit, Bit, Int4, Int4], Bit, overlay),
        ("position", &[Bit, Bit], Int4, position),
        ("get_bit", &[Bit, Int4], Int4, get_bit),
        ("set_bit", &[Bit, Int4, Int4], Bit, set_bit),
        ("length", &[Bit], Int4, |args, _| Value::from_int(Int4, bits(args, 0)?.len() as i64)),
        ("bit_length", &[Bit], Int4, |args, _| Value::from_int(Int4, bits(args, 0)?.len() as i64)),
        ("octet_length", &[Bit], Int4, |args, _| {
            Value::from_int(Int4, bits(args, 0)?.bytes().len() as i64)
        }),
        ("bit_count", &[Bit], Int8, |args, _| {
            Ok(Value::Int8(bits(args, 0)?.iter().filter(|bit| *bit).count() as i64))
        }),
        ("bitcmp", &[Bit, Bit], Int4, order),
        ("varbitcmp", &[Varbit, Varbit], Int4, order),
        ("bitcat", &[Varbit, Varbit], Varbit, |args, _| {
            Ok(Value::bits(bits(args, 0)?.concat(bits(args, 1)?)?))
        }),
        ("bitnot", &[Bit], Bit, |args, _| {
            Ok(Value::bits(Bits::from_bits(bits(args, 0)?.iter().map(|bit| !bit))?))
        }),
    ];
    for (name, args, result, kernel) in entries {
        t.add(name, args, result, Kernel::Values(kernel));
    }
}

fn order(args: &[Value], _: &EvalContext) -> Result<Value, ValueError> {
    let order: Ordering = bits(args, 0)?.compare(bits(args, 1)?);
    Ok(Value::Int4(order as i32))
}
