//! Cells: values as the bytes of a row. Compact, lossless and stable on disk.
//!
//! A cell is a varint header and a payload. Header 0 is NULL; otherwise the payload has header − 1
//! bytes, so a cell can be skipped without knowing its type. docs/formats/value.md has the bytes.

use num_bigint::BigInt;

use crate::json::{parse_json, write_json};
use crate::jsonpath::parse_path;
use crate::range::{
    multirange_payload, range_payload, read_multirange_payload, read_range_payload,
};
use crate::{
    Array, Bits, DataType, Dimension, Inet, Interval, Numeric, Record, SqlState, Timetz, Value,
    ValueError,
};

const FINITE: u8 = 0;
const NOT_A_NUMBER: u8 = 1;
const INFINITY: u8 = 2;
const NEGATIVE_INFINITY: u8 = 3;

/// Appends the cell of a value. The type is that of the column, and decides nothing today that the
/// value's variant does not.
pub fn encode_value(value: &Value, _ty: DataType, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.push(0),
        Value::Void => out.push(1),
        Value::Bool(v) => out.extend([2, u8::from(*v)]),
        Value::Int2(_)
        | Value::Int4(_)
        | Value::Int8(_)
        | Value::Oid(_)
        | Value::Date(_)
        | Value::Time(_)
        | Value::Timestamp(_)
        | Value::Timestamptz(_) => {
            let v = value.as_int().expect("these variants travel as integers");
            let length = int_length(v);
            out.push(length as u8 + 1);
            out.extend(&v.to_le_bytes()[..length]);
        }
        Value::Float4(v) => payload(&v.to_le_bytes(), out),
        Value::Float8(v) => payload(&v.to_le_bytes(), out),
        Value::Text(v) => payload(v.as_bytes(), out),
        Value::Bytea(v) => payload(v, out),
        Value::Uuid(v) => payload(v, out),
        Value::Char(v) => payload(&[*v], out),
        Value::Json(v) => payload(v.as_bytes(), out),
        Value::Jsonb(v) => {
            let mut text = Vec::new();
            write_json(v, &mut text);
            payload(&text, out);
        }
        Value::Array(v) => payload(&array_payload(v), out),
        Value::Timetz(v) => {
            let mut bytes = [0; 12];
            bytes[..8].copy_from_slice(&v.micros.to_le_bytes());
            bytes[8..].copy_from_slice(&v.west.to_le_bytes());
            payload(&bytes, out);
        }
        Value::Bits(v) => {
            let mut bytes = (v.len() as u32).to_le_bytes().to_vec();
            bytes.extend(v.bytes());
            payload(&bytes, out);
        }
        Value::Money(v) => payload(&v.to_le_bytes(), out),
        Value::Inet(v) => {
            let mut bytes = vec![v.bits];
            bytes.extend(v.bytes());
            payload(&bytes, out);
        }
        Value::Macaddr(v) => payload(v, out),
        Value::Macaddr8(v) => payload(v, out),
        Value::Lsn(v) => payload(&v.to_le_bytes(), out),
        Value::Jsonpath(v) => payload(v.text().as_bytes(), out),
        Value::Range(v) => {
            let mut bytes = Vec::new();
            range_payload(v, &mut bytes);
            payload(&bytes, out);
        }
        Value::Multirange(v) => {
            let mut bytes = Vec::new();
            multirange_payload(v, &mut bytes);
            payload(&bytes, out);
        }
        Value::Enum(_, v) => payload(&v.to_le_bytes(), out),
        Value::Record(v) => payload(&record_payload(v), out),
        Value::Interval(v) => {
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(&v.micros.to_le_bytes());
            bytes[8..12].copy_from_slice(&v.days.to_le_bytes());
            bytes[12..].copy_from_slice(&v.months.to_le_bytes());
            payload(&bytes, out);
        }
        Value::Numeric(v) => match v {
            Numeric::NaN => payload(&[NOT_A_NUMBER], out),
            Numeric::Infinity => payload(&[INFINITY], out),
            Numeric::NegInfinity => payload(&[NEGATIVE_INFINITY], out),
            Numeric::Small { digits, scale } => {
                let bytes = digits.to_le_bytes();
                let length = signed_length(&bytes);
                numeric_payload(*scale, &bytes[..length], out);
            }
            Numeric::Large(large) => {
                numeric_payload(large.1, &large.0.to_signed_bytes_le(), out);
            }
        },
    }
}

/// The number of dimensions, the length and the lower bound of each, and the cells of the elements.
fn array_payload(array: &Array) -> Vec<u8> {
    let mut out = vec![array.dimensions().len() as u8];
    for dimension in array.dimensions() {
        write_varint(dimension.length as u64, &mut out);
        out.extend(dimension.lower.to_le_bytes());
    }
    array.values().iter().for_each(|value| encode_value(value, array.element(), &mut out));
    out
}

/// The cells of the columns from number 1 on, NULL for those that are not there.
fn record_payload(record: &Record) -> Vec<u8> {
    let (mut out, mut next) = (Vec::new(), 1);
    for (field, value) in record.pairs() {
        out.extend(std::iter::repeat_n(0, usize::from(field.number.saturating_sub(next))));
        encode_value(value, field.ty, &mut out);
        next = field.number + 1;
    }
    out
}

/// A row from the cells of columns; those that were added after it was written are NULL.
fn read_record(ty: DataType, payload: &[u8]) -> Result<Record, ValueError> {
    let fields = ty.fields().ok_or_else(damaged)?;
    let (mut rest, mut next) = (payload, 1);
    let mut values = Vec::with_capacity(fields.len());
    for field in fields.iter() {
        while next < field.number && !rest.is_empty() {
            skip_value(&mut rest)?;
            next += 1;
        }
        values.push(if rest.is_empty() { Value::Null } else { decode_value(field.ty, &mut rest)? });
        next = field.number + 1;
    }
    while !rest.is_empty() {
        skip_value(&mut rest)?;
    }
    Record::of_type(ty, values).ok_or_else(damaged)
}

/// The bytes of a two's complement number without those that only repeat its sign; none for zero.
fn signed_length(bytes: &[u8]) -> usize {
    let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
    let fill = if negative { 0xff } else { 0 };
    let mut length = bytes.len();
    while length > 0 && bytes[length - 1] == fill {
        let next_negative = length > 1 && bytes[length - 2] & 0x80 != 0;
        if next_negative != negative {
            break;
        }
        length -= 1;
    }
    length
}

fn int_length(v: i64) -> usize {
    if v == 0 {
        return 0;
    }
    // The sign needs a bit of its own.
    let magnitude = if v < 0 { !v } else { v };
    (65 - magnitude.leading_zeros() as usize).div_ceil(8)
}

fn payload(bytes: &[u8], out: &mut Vec<u8>) {
    write_varint(bytes.len() as u64 + 1, out);
    out.extend(bytes);
}

fn numeric_payload(scale: u16, digits: &[u8], out: &mut Vec<u8>) {
    write_varint(digits.len() as u64 + 4, out);
    out.push(FINITE);
    out.extend(scale.to_le_bytes());
    out.extend(digits);
}

fn write_varint(mut v: u64, out: &mut Vec<u8>) {
    while v >= 0x80 {
        out.push(v as u8 | 0x80);
        v >>= 7;
    }
    out.push(v as u8);
}

fn damaged() -> ValueError {
    ValueError::new(SqlState::DataCorrupted, "malformed value")
}

#[inline]
fn read_varint(bytes: &mut &[u8]) -> Result<u64, ValueError> {
    // Nearly all are short.
    if let [byte @ ..0x80, rest @ ..] = *bytes {
        *bytes = rest;
        return Ok(u64::from(*byte));
    }
    read_long_varint(bytes)
}

fn read_long_varint(bytes: &mut &[u8]) -> Result<u64, ValueError> {
    let mut v = 0u64;
    for shift in (0..63).step_by(7) {
        let (byte, rest) = bytes.split_first().ok_or_else(damaged)?;
        *bytes = rest;
        v |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(v);
        }
    }
    Err(damaged())
}

/// The payload of the cell at the front, and moves past it; nothing for NULL.
#[inline]
fn read_payload<'a>(bytes: &mut &'a [u8]) -> Result<Option<&'a [u8]>, ValueError> {
    let header = read_varint(bytes)?;
    let Some(length) = header.checked_sub(1) else { return Ok(None) };
    let length = usize::try_from(length).map_err(|_| damaged())?;
    let (head, tail) = bytes.split_at_checked(length).ok_or_else(damaged)?;
    *bytes = tail;
    Ok(Some(head))
}

/// Moves past a cell of any type without reading it.
///
/// # Errors
/// XX001 when the bytes are not a cell.
pub fn skip_value(bytes: &mut &[u8]) -> Result<(), ValueError> {
    read_payload(bytes).map(|_| ())
}

/// Reads the cell of a value and moves past it.
///
/// # Errors
/// XX001 when the bytes are not a cell of the type.
pub fn decode_value(ty: DataType, bytes: &mut &[u8]) -> Result<Value, ValueError> {
    let Some(payload) = read_payload(bytes)? else { return Ok(Value::Null) };
    let ty = match ty {
        DataType::User(_) => ty.base(),
        ty => ty,
    };
    Ok(match ty {
        DataType::Bool => match payload {
            [0] => Value::Bool(false),
            [1] => Value::Bool(true),
            _ => return Err(damaged()),
        },
        DataType::Int2
        | DataType::Int4
        | DataType::Int8
        | DataType::Date
        | DataType::Time
        | DataType::Timestamp
        | DataType::Timestamptz => {
            Value::from_int(ty, read_int(payload)?).map_err(|_| damaged())?
        }
        ty if ty.is_oid() => Value::from_int(ty, read_int(payload)?).map_err(|_| damaged())?,
        DataType::Float4 => Value::Float4(f32::from_le_bytes(array(payload)?)),
        DataType::Float8 => Value::Float8(f64::from_le_bytes(array(payload)?)),
        DataType::Numeric => Value::Numeric(read_numeric(payload)?),
        DataType::Text
        | DataType::Varchar
        | DataType::Bpchar
        | DataType::Name
        | DataType::Unknown => Value::text(std::str::from_utf8(payload).map_err(|_| damaged())?),
        DataType::Bytea => Value::Bytea(payload.into()),
        DataType::Interval => {
            let bytes: [u8; 16] = array(payload)?;
            Value::Interval(Interval {
                micros: i64::from_le_bytes(array(&bytes[..8])?),
                days: i32::from_le_bytes(array(&bytes[8..12])?),
                months: i32::from_le_bytes(array(&bytes[12..])?),
            })
        }
        DataType::Uuid => Value::Uuid(array(payload)?),
        DataType::Json => Value::Json(str_of(payload)?.into()),
        DataType::Jsonb => Value::jsonb(parse_json(str_of(payload)?).map_err(|_| damaged())?),
        DataType::Char => Value::Char(u8::from_le_bytes(array(payload)?)),
        DataType::Array(_) | DataType::Int2vector | DataType::Oidvector => {
            Value::array(read_array(ty.element().ok_or_else(damaged)?, payload)?)
        }
        DataType::Void if payload.is_empty() => Value::Void,
        DataType::Timetz => {
            let bytes: [u8; 12] = array(payload)?;
            let micros = i64::from_le_bytes(array(&bytes[..8])?);
            Value::Timetz(Timetz { micros, west: i32::from_le_bytes(array(&bytes[8..])?) })
        }
        DataType::Bit | DataType::Varbit => {
            let (length, bytes) = payload.split_at_checked(4).ok_or_else(damaged)?;
            let length = u32::from_le_bytes(array(length)?);
            Value::bits(Bits::from_bytes(length, bytes).ok_or_else(damaged)?)
        }
        DataType::Money => Value::Money(i64::from_le_bytes(array(payload)?)),
        DataType::Inet | DataType::Cidr => {
            let (bits, bytes) = payload.split_first().ok_or_else(damaged)?;
            let (is_cidr, is_v6) = (ty == DataType::Cidr, bytes.len() == 16);
            Value::Inet(Inet::from_parts(is_cidr, is_v6, *bits, bytes).ok_or_else(damaged)?)
        }
        DataType::Macaddr => Value::Macaddr(array(payload)?),
        DataType::Macaddr8 => Value::Macaddr8(array(payload)?),
        DataType::PgLsn => Value::Lsn(u64::from_le_bytes(array(payload)?)),
        DataType::Jsonpath => {
            Value::Jsonpath(parse_path(str_of(payload)?).map_err(|_| damaged())?.into())
        }
        DataType::User(user) if user.labels().is_some() => {
            Value::Enum(user, u64::from_le_bytes(array(payload)?))
        }
        ty if ty.is_row() => Value::record(read_record(ty, payload)?),
        ty => match ty.subtype() {
            Some(subtype) if ty.is_range() => {
                let mut bytes = payload;
                let range = read_range_payload(subtype, &mut bytes)?;
                if !bytes.is_empty() {
                    return Err(damaged());
                }
                Value::range(range)
            }
            Some(subtype) => Value::multirange(read_multirange_payload(subtype, payload)?),
            None => return Err(damaged()),
        },
    })
}

/// The number in the cell of an [integer-like](Value::from_int) type, without the detour of a [`Value`];
/// nothing for NULL.
///
/// # Errors
/// XX001 when the bytes are not a cell of the type.
#[inline]
pub fn decode_int(ty: DataType, mut bytes: &[u8]) -> Result<Option<i64>, ValueError> {
    let Some(payload) = read_payload(&mut bytes)? else { return Ok(None) };
    let v = read_int(payload)?;
    let fits = match ty {
        DataType::Int2 => i16::try_from(v).is_ok(),
        DataType::Int4 | DataType::Date => i32::try_from(v).is_ok(),
        ty if ty.is_oid() => u32::try_from(v).is_ok(),
        _ => true,
    };
    if fits { Ok(Some(v)) } else { Err(damaged()) }
}

/// The string in the cell of a string's type, where it lies; nothing for NULL.
///
/// # Errors
/// XX001 when the bytes are not a cell of the type.
#[inline]
pub fn decode_str(mut bytes: &[u8]) -> Result<Option<&str>, ValueError> {
    read_payload(&mut bytes)?.map(str_of).transpose()
}

fn array<const N: usize>(bytes: &[u8]) -> Result<[u8; N], ValueError> {
    bytes.try_into().map_err(|_| damaged())
}

fn str_of(payload: &[u8]) -> Result<&str, ValueError> {
    std::str::from_utf8(payload).map_err(|_| damaged())
}

fn read_array(element: DataType, payload: &[u8]) -> Result<Array, ValueError> {
    let (count, mut rest) = payload.split_first().ok_or_else(damaged)?;
    let mut dimensions = Vec::new();
    for _ in 0..*count {
        let length = i32::try_from(read_varint(&mut rest)?).map_err(|_| damaged())?;
        let (lower, tail) = rest.split_at_checked(4).ok_or_else(damaged)?;
        dimensions.push(Dimension { length, lower: i32::from_le_bytes(array(lower)?) });
        rest = tail;
    }
    let mut values = Vec::new();
    while !rest.is_empty() {
        values.push(decode_value(element, &mut rest)?);
    }
    Array::from_stored(element, dimensions, values).ok_or_else(damaged)
}

#[inline]
fn read_int(payload: &[u8]) -> Result<i64, ValueError> {
    let missing = match payload.len() {
        0 => return Ok(0),
        length @ 1..=8 => 64 - 8 * length,
        _ => return Err(damaged()),
    };
    let joined = payload.iter().rev().fold(0u64, |joined, byte| joined << 8 | u64::from(*byte));
    // The last byte has the sign.
    Ok((joined << missing).cast_signed() >> missing)
}

fn read_numeric(payload: &[u8]) -> Result<Numeric, ValueError> {
    match payload {
        [NOT_A_NUMBER] => Ok(Numeric::NaN),
        [INFINITY] => Ok(Numeric::Infinity),
        [NEGATIVE_INFINITY] => Ok(Numeric::NegInfinity),
        [FINITE, low, high, digits @ ..] => {
            let scale = u16::from_le_bytes([*low, *high]);
            // 131072 + 16383 decimal digits are 61,244 bytes.
            if scale > 16_383 || digits.len() > 61_250 {
                return Err(damaged());
            }
            if digits.len() <= 15 {
                let negative = digits.last().is_some_and(|byte| byte & 0x80 != 0);
                let mut bytes = if negative { [0xff; 16] } else { [0; 16] };
                bytes[..digits.len()].copy_from_slice(digits);
                return Ok(Numeric::Small { digits: i128::from_le_bytes(bytes), scale });
            }
            Ok(Numeric::from_big(BigInt::from_signed_bytes_le(digits), scale))
        }
        _ => Err(damaged()),
    }
}
