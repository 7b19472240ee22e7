//! Byte strings changed: trimmed, overlaid, and single bits.

use super::bytes::substring;
use super::string::overlay_end;
use super::table::Builder;
use super::{Kernel, arg};
use crate::DataType::{Bytea, Int4, Int8};
use crate::{EvalContext, SqlState, Value, ValueError};

fn trim<const LEFT: bool, const RIGHT: bool>(
    args: &[Value],
    _: &EvalContext,
) -> Result<Value, ValueError> {
    let set = arg::bytes(args, 1)?;
    let mut bytes = arg::bytes(args, 0)?;
    while LEFT && bytes.first().is_some_and(|byte| set.contains(byte)) {
        bytes = &bytes[1..];
    }
    while RIGHT && bytes.last().is_some_and(|byte| set.contains(byte)) {
        bytes = &bytes[..bytes.len() - 1];
    }
    Ok(Value::Bytea(bytes.into()))
}

/// `overlay(bytes placing new from start [for length])`
fn overlay(args: &[Value], _: &EvalContext) -> Result<Value, ValueError> {
    let (bytes, new, start) = (arg::bytes(args, 0)?, arg::bytes(args, 1)?, arg::int(args, 2)?);
    let length = if args.len() > 3 { arg::int(args, 3)? } else { new.len() as i64 };
    if start <= 0 {
        let message = "negative substring length not allowed";
        return Err(ValueError::new(SqlState::SubstringError, message));
    }
    let end = overlay_end(start, length)?;
    let head = substring(bytes, 1, Some(start - 1))?;
    let tail = substring(bytes, end, None)?;
    Ok(Value::Bytea([head, new, tail].concat().into()))
}

/// The byte that a bit is in, and its place there.
fn bit_index(args: &[Value]) -> Result<(usize, u32), ValueError> {
    let (bytes, index) = (arg::bytes(args, 0)?, arg::int(args, 1)?);
    let count = bytes.len() as i64 * 8;
    if !(0..count).contains(&index) {
        let message = format!("index {index} out of valid range, 0..{}", count - 1);
        return Err(ValueError::new(SqlState::ArraySubscriptError, message));
    }
    Ok((index as usize / 8, (index % 8) as u32))
}

fn get_bit(args: &[Value], _: &EvalContext) -> Result<Value, ValueError> {
    let (byte, bit) = bit_index(args)?;
    Ok(Value::Int4(i32::from(arg::bytes(args, 0)?[byte] >> bit & 1)))
}

fn set_bit(args: &[Value], _: &EvalContext) -> Result<Value, ValueError> {
    let (byte, bit) = bit_index(args)?;
    let new = arg::int(args, 2)?;
    if new != 0 && new != 1 {
        return Err(ValueError::invalid_parameter("new bit must be 0 or 1"));
    }
    let mut bytes = arg::bytes(args, 0)?.to_vec();
    bytes[byte] = bytes[byte] & !(1 << bit) | (new as u8) << bit;
    Ok(Value::Bytea(bytes.into()))
}

pub(super) fn add(t: &mut Builder) {
    t.add("btrim", &[Bytea, Bytea], Bytea, Kernel::Values(trim::<true, true>));
    t.add("ltrim", &[Bytea, Bytea], Bytea, Kernel::Values(trim::<true, false>));
    t.add("rtrim", &[Bytea, Bytea], Bytea, Kernel::Values(trim::<false, true>));
    t.add("overlay", &[Bytea, Bytea, Int4], Bytea, Kernel::Values(overlay));
    t.add("overlay", &[Bytea, Bytea, Int4, Int4], Bytea, Kernel::Values(overlay));
    t.add("get_bit", &[Bytea, Int8], Int4, Kernel::Values(get_bit));
    t.add("set_bit", &[Bytea, Int8, Int4], Bytea, Kernel::Values(set_bit));
}
