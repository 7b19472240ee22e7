//! Keys: values as bytes whose order is the values' order.
//!
//! The encoding of a value is self-delimiting, and the bytewise order of concatenated encodings is the
//! order of the tuples. Equal values have equal encodings, so `1.0` and `1.00` are one key: a row keeps
//! its own copy of the value. NULL is above all values. docs/formats/value.md has the bytes.

use num_bigint::{BigInt, Sign};

use crate::compare::trim_blanks;
use crate::json::{decode_json_key, encode_json_key};
use crate::jsonpath::parse_path;
use crate::range::{
    decode_multirange_key, decode_range_key, encode_multirange_key, encode_range_key,
};
use crate::{
    Array, Bits, DataType, Dimension, Inet, Numeric, Record, SqlState, Timetz, Value, ValueError,
};

/// After the last element of an array: before all that begins an element.
const END: u8 = 0x00;
const VALUE: u8 = 0x01;
const NULL: u8 = 0x02;
const SIGN_64: u64 = 1 << 63;
const SIGN_32: u32 = 1 << 31;

const NEGATIVE_INFINITY: u8 = 0x10;
const NEGATIVE: u8 = 0x20;
const ZERO: u8 = 0x30;
const POSITIVE: u8 = 0x40;
const INFINITY: u8 = 0x50;
const NOT_A_NUMBER: u8 = 0x60;

/// Whether [`decode_key`] gives back exactly what was encoded.
pub fn key_is_lossless(ty: DataType) -> bool {
    let ty = ty.base();
    let ty = ty.element().unwrap_or(ty).base();
    !ty.is_row()
        && !matches!(
            ty,
            DataType::Numrange
                | DataType::Nummultirange
                | DataType::Numeric
                | DataType::Bpchar
                | DataType::Jsonb
                | DataType::Interval
                | DataType::Float4
                | DataType::Float8
        )
}

/// Appends the key of a value.
///
/// # Panics
/// If the value is not of the type: our mistake.
pub fn encode_key(value: &Value, ty: DataType, out: &mut Vec<u8>) {
    if value.is_null() {
        out.push(NULL);
        return;
    }
    out.push(VALUE);
    match value {
        Value::Null => unreachable!("handled above"),
        Value::Void => {}
        Value::Bool(v) => out.push(u8::from(*v)),
        Value::Int2(v) => out.extend(((*v as u16) ^ (1 << 15)).to_be_bytes()),
        Value::Int4(v) | Value::Date(v) => out.extend(((*v as u32) ^ SIGN_32).to_be_bytes()),
        Value::Oid(v) => out.extend(v.to_be_bytes()),
        Value::Int8(v) | Value::Time(v) | Value::Timestamp(v) | Value::Timestamptz(v) => {
            out.extend(((*v as u64) ^ SIGN_64).to_be_bytes());
        }
        Value::Float4(v) => {
            let v = if v.is_nan() { f32::NAN.abs() } else { v + 0.0 };
            let bits = v.to_bits();
            let ordered = if bits & SIGN_32 == 0 { bits ^ SIGN_32 } else { !bits };
            out.extend(ordered.to_be_bytes());
        }
        Value::Float8(v) => {
            let v = if v.is_nan() { f64::NAN.abs() } else { v + 0.0 };
            let bits = v.to_bits();
            let ordered = if bits & SIGN_64 == 0 { bits ^ SIGN_64 } else { !bits };
            out.extend(ordered.to_be_bytes());
        }
        Value::Numeric(v) => encode_numeric(v, out),
        Value::Text(v) if ty.base() == DataType::Bpchar => {
            encode_bytes(trim_blanks(v).as_bytes(), out);
        }
        Value::Text(v) => encode_bytes(v.as_bytes(), out),
        Value::Bytea(v) => encode_bytes(v, out),
        Value::Interval(v) => {
            out.extend(((v.span() as u128) ^ (1 << 127)).to_be_bytes());
        }
        Value::Uuid(v) => out.extend(v),
        Value::Char(v) => out.push(*v),
        Value::Json(v) => encode_bytes(v.as_bytes(), out),
        Value::Jsonb(v) => encode_json_key(v, out),
        Value::Array(v) => encode_array(v, out),
        Value::Timetz(v) => {
            out.extend(((v.utc_micros() as u64) ^ SIGN_64).to_be_bytes());
            out.extend(((v.west as u32) ^ SIGN_32).to_be_bytes());
        }
        Value::Bits(v) => {
            encode_bytes(v.bytes(), out);
            out.extend((v.len() as u32).to_be_bytes());
        }
        Value::Money(v) => out.extend(((*v as u64) ^ SIGN_64).to_be_bytes()),
        Value::Inet(v) => v.encode_key(out),
        Value::Macaddr(v) => out.extend(v),
        Value::Macaddr8(v) => out.extend(v),
        Value::Lsn(v) => out.extend(v.to_be_bytes()),
        Value::Jsonpath(v) => encode_bytes(v.text().as_bytes(), out),
        Value::Range(v) => encode_range_key(v, out),
        Value::Multirange(v) => encode_multirange_key(v, out),
        Value::Enum(_, v) => out.extend(v.to_be_bytes()),
        Value::Record(v) => {
            v.pairs().for_each(|(field, value)| encode_key(value, field.ty.base(), out));
            out.push(END);
        }
    }
}

/// The elements, an end, and then what decides between arrays of the same elements: the number of
/// dimensions, their lengths, their lower bounds.
fn encode_array(array: &Array, out: &mut Vec<u8>) {
    array.values().iter().for_each(|value| encode_key(value, array.element(), out));
    out.push(END);
    out.push(array.dimensions().len() as u8);
    for dimension in array.dimensions() {
        out.extend((dimension.length as u32).to_be_bytes());
    }
    for dimension in array.dimensions() {
        out.extend(((dimension.lower as u32) ^ SIGN_32).to_be_bytes());
    }
}

/// A zero byte is followed by 0xff inside, by 0x01 at the end.
pub(crate) fn encode_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    for byte in bytes {
        out.push(*byte);
        if *byte == 0 {
            out.push(0xff);
        }
    }
    out.extend([0, 1]);
}

/// The sign, the position of the point in pairs of decimal digits, the pairs plus one, and a zero;
/// all but the sign inverted for negative numbers.
pub(crate) fn encode_numeric(number: &Numeric, out: &mut Vec<u8>) {
    let (digits, negative, scale) = match number {
        Numeric::NaN => return out.push(NOT_A_NUMBER),
        Numeric::Infinity => return out.push(INFINITY),
        Numeric::NegInfinity => return out.push(NEGATIVE_INFINITY),
        Numeric::Small { digits: 0, .. } => return out.push(ZERO),
        Numeric::Small { digits, scale } => {
            (digits.unsigned_abs().to_string(), *digits < 0, *scale)
        }
        Numeric::Large(large) => {
            let (digits, scale) = &**large;
            (digits.magnitude().to_string(), digits.sign() == Sign::Minus, *scale)
        }
    };
    // Pad so that the point is between pairs, on the left and on the right.
    let fraction = usize::from(scale);
    let mut padded = String::with_capacity(digits.len() + fraction + 4);
    if digits.len() < fraction {
        padded.extend(std::iter::repeat_n('0', fraction - digits.len()));
    }
    padded.push_str(&digits);
    if (padded.len() - fraction) % 2 == 1 {
        padded.insert(0, '0');
    }
    if fraction % 2 == 1 {
        padded.push('0');
    }
    let point = (padded.len() - fraction.div_ceil(2) * 2) / 2;
    let pairs: Vec<u8> = padded
        .as_bytes()
        .chunks_exact(2)
        .map(|pair| (pair[0] - b'0') * 10 + (pair[1] - b'0'))
        .collect();
    let leading = pairs.iter().take_while(|pair| **pair == 0).count();
    let trailing = pairs.iter().rev().take_while(|pair| **pair == 0).count();
    let exponent = point as i32 - leading as i32;
    out.push(if negative { NEGATIVE } else { POSITIVE });
    let start = out.len();
    out.extend(((exponent as u32) ^ SIGN_32).to_be_bytes());
    out.extend(pairs[leading..pairs.len() - trailing].iter().map(|pair| pair + 1));
    out.push(0);
    if negative {
        out[start..].iter_mut().for_each(|byte| *byte = !*byte);
    }
}

fn damaged() -> ValueError {
    ValueError::new(SqlState::DataCorrupted, "malformed key")
}

pub(crate) fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Result<&'a [u8], ValueError> {
    let (head, tail) = bytes.split_at_checked(count).ok_or_else(damaged)?;
    *bytes = tail;
    Ok(head)
}

fn array<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], ValueError> {
    take(bytes, N)?.try_into().map_err(|_| damaged())
}

/// Reads the key of a value and moves past it. See [`key_is_lossless`]: a number comes back without
/// trailing zeros, a `character(n)` without padding, a float with its zero positive, and an interval
/// (as its span in days and microseconds) only equal to the original.
///
/// # Errors
/// XX001 when the bytes are not a key of the type.
pub fn decode_key(ty: DataType, bytes: &mut &[u8]) -> Result<Value, ValueError> {
    match array::<1>(bytes)? {
        [NULL] => return Ok(Value::Null),
        [VALUE] => {}
        _ => return Err(damaged()),
    }
    Ok(match ty.base() {
        DataType::Bool => match array::<1>(bytes)? {
            [0] => Value::Bool(false),
            [1] => Value::Bool(true),
            _ => return Err(damaged()),
        },
        DataType::Int2 => Value::Int2((u16::from_be_bytes(array(bytes)?) ^ (1 << 15)) as i16),
        DataType::Int4 => Value::Int4((u32::from_be_bytes(array(bytes)?) ^ SIGN_32) as i32),
        DataType::Date => Value::Date((u32::from_be_bytes(array(bytes)?) ^ SIGN_32) as i32),
        ty if ty.is_oid() => Value::Oid(u32::from_be_bytes(array(bytes)?)),
        DataType::Int8 => Value::Int8(decode_i64(bytes)?),
        DataType::Time => Value::Time(decode_i64(bytes)?),
        DataType::Timestamp => Value::Timestamp(decode_i64(bytes)?),
        DataType::Timestamptz => Value::Timestamptz(decode_i64(bytes)?),
        DataType::Float4 => {
            let bits = u32::from_be_bytes(array(bytes)?);
            Value::Float4(f32::from_bits(if bits & SIGN_32 == 0 { !bits } else { bits ^ SIGN_32 }))
        }
        DataType::Float8 => {
            let bits = u64::from_be_bytes(array(bytes)?);
            Value::Float8(f64::from_bits(if bits & SIGN_64 == 0 { !bits } else { bits ^ SIGN_64 }))
        }
        DataType::Numeric => Value::Numeric(decode_numeric(bytes)?),
        DataType::Text
        | DataType::Varchar
        | DataType::Bpchar
        | DataType::Name
        | DataType::Unknown => {
            let text = String::from_utf8(decode_bytes(bytes)?).map_err(|_| damaged())?;
            Value::text(text)
        }
        DataType::Bytea => Value::Bytea(decode_bytes(bytes)?.into()),
        DataType::Interval => {
            let span = (u128::from_be_bytes(array(bytes)?) ^ (1 << 127)) as i128;
            let days = i32::try_from(span / 86_400_000_000).ok();
            // Days beyond the field are given back as months of thirty.
            let (months, days) = match days {
                Some(days) => (0, days),
                None => {
                    let days = span / 86_400_000_000;
                    let months = i32::try_from(days / 30).map_err(|_| damaged())?;
                    (months, (days % 30) as i32)
                }
            };
            let micros = (span % 86_400_000_000) as i64;
            Value::Interval(crate::Interval { months, days, micros })
        }
        DataType::Uuid => Value::Uuid(array(bytes)?),
        DataType::Json => {
            let text = String::from_utf8(decode_bytes(bytes)?).map_err(|_| damaged())?;
            Value::Json(text.into())
        }
        DataType::Jsonb => Value::jsonb(decode_json_key(bytes)?),
        DataType::Char => Value::Char(u8::from_be_bytes(array(bytes)?)),
        DataType::Array(_) | DataType::Int2vector | DataType::Oidvector => {
            Value::array(decode_array(ty.element().ok_or_else(damaged)?, bytes)?)
        }
        DataType::Void => Value::Void,
        DataType::Timetz => {
            let utc = decode_i64(bytes)?;
            let west = (u32::from_be_bytes(array(bytes)?) ^ SIGN_32) as i32;
            Value::Timetz(Timetz { micros: utc - i64::from(west) * 1_000_000, west })
        }
        DataType::Bit | DataType::Varbit => {
            let held = decode_bytes(bytes)?;
            let length = u32::from_be_bytes(array(bytes)?);
            Value::bits(Bits::from_bytes(length, &held).ok_or_else(damaged)?)
        }
        DataType::Money => Value::Money(decode_i64(bytes)?),
        DataType::Inet | DataType::Cidr => decode_inet(ty == DataType::Cidr, bytes)?,
        DataType::Macaddr => Value::Macaddr(array(bytes)?),
        DataType::Macaddr8 => Value::Macaddr8(array(bytes)?),
        DataType::PgLsn => Value::Lsn(u64::from_be_bytes(array(bytes)?)),
        DataType::Jsonpath => {
            let text = String::from_utf8(decode_bytes(bytes)?).map_err(|_| damaged())?;
            Value::Jsonpath(parse_path(&text).map_err(|_| damaged())?.into())
        }
        DataType::User(user) if user.labels().is_some() => {
            Value::Enum(user, u64::from_be_bytes(array(bytes)?))
        }
        ty if ty.is_row() => Value::record(decode_record(ty, bytes)?),
        ty => match ty.subtype() {
            Some(subtype) if ty.is_range() => Value::range(decode_range_key(subtype, bytes)?),
            Some(subtype) => Value::multirange(decode_multirange_key(subtype, bytes)?),
            None => return Err(damaged()),
        },
    })
}

/// A row; its last columns may have been added after it was written.
fn decode_record(ty: DataType, bytes: &mut &[u8]) -> Result<Record, ValueError> {
    let fields = ty.fields().ok_or_else(damaged)?;
    let mut values = Vec::with_capacity(fields.len());
    for field in fields.iter() {
        let is_there = bytes.first().is_some_and(|byte| *byte != END);
        values.push(if is_there { decode_key(field.ty, bytes)? } else { Value::Null });
    }
    match array::<1>(bytes)? {
        [END] => Record::of_type(ty, values).ok_or_else(damaged),
        _ => Err(damaged()),
    }
}

fn decode_inet(is_cidr: bool, bytes: &mut &[u8]) -> Result<Value, ValueError> {
    let is_v6 = array::<1>(bytes)? == [1];
    let mut bits = 0u8;
    loop {
        let [byte] = array::<1>(bytes)?;
        bits = bits.checked_add(Inet::symbols(byte)).ok_or_else(damaged)?;
        if byte & 3 == 0 {
            break;
        }
    }
    let address = take(bytes, if is_v6 { 16 } else { 4 })?;
    Inet::from_parts(is_cidr, is_v6, bits, address).map(Value::Inet).ok_or_else(damaged)
}

fn decode_array(element: DataType, bytes: &mut &[u8]) -> Result<Array, ValueError> {
    let mut values = Vec::new();
    while bytes.first().is_some_and(|byte| *byte != END) {
        values.push(decode_key(element, bytes)?);
    }
    let [_, count] = array::<2>(bytes)?;
    let mut lengths = Vec::new();
    for _ in 0..count {
        lengths.push(u32::from_be_bytes(array(bytes)?) as i32);
    }
    let mut dimensions = Vec::new();
    for length in lengths {
        let lower = (u32::from_be_bytes(array(bytes)?) ^ SIGN_32) as i32;
        dimensions.push(Dimension { length, lower });
    }
    Array::from_stored(element, dimensions, values).ok_or_else(damaged)
}

fn decode_i64(bytes: &mut &[u8]) -> Result<i64, ValueError> {
    Ok((u64::from_be_bytes(array(bytes)?) ^ SIGN_64) as i64)
}

pub(crate) fn decode_bytes(bytes: &mut &[u8]) -> Result<Vec<u8>, ValueError> {
    let mut out = Vec::new();
    loop {
        let zero = bytes.iter().position(|byte| *byte == 0).ok_or_else(damaged)?;
        out.extend(take(bytes, zero)?);
        match array::<2>(bytes)? {
            [0, 1] => return Ok(out),
            [0, 0xff] => out.push(0),
            _ => return Err(damaged()),
        }
    }
}

pub(crate) fn decode_numeric(bytes: &mut &[u8]) -> Result<Numeric, ValueError> {
    let negative = match array::<1>(bytes)? {
        [NOT_A_NUMBER] => return Ok(Numeric::NaN),
        [INFINITY] => return Ok(Numeric::Infinity),
        [NEGATIVE_INFINITY] => return Ok(Numeric::NegInfinity),
        [ZERO] => return Ok(Numeric::Small { digits: 0, scale: 0 }),
        [NEGATIVE] => true,
        [POSITIVE] => false,
        _ => return Err(damaged()),
    };
    let flip = |byte: u8| if negative { !byte } else { byte };
    let exponent = array::<4>(bytes)?.map(flip);
    let exponent = (u32::from_be_bytes(exponent) ^ SIGN_32) as i32;
    let end = bytes.iter().position(|byte| flip(*byte) == 0).ok_or_else(damaged)?;
    let pairs: Vec<u8> = take(bytes, end)?.iter().map(|byte| flip(*byte)).collect();
    take(bytes, 1)?;
    // The widest number has 131072 digits before the point and 16383 after it.
    let in_bounds = (-8192..=65_536).contains(&exponent) && pairs.len() <= 73_728;
    if !in_bounds || pairs.is_empty() || pairs.iter().any(|pair| *pair > 100) {
        return Err(damaged());
    }
    let mut digits = String::with_capacity(pairs.len() * 2);
    for pair in &pairs {
        digits.push(char::from(b'0' + (pair - 1) / 10));
        digits.push(char::from(b'0' + (pair - 1) % 10));
    }
    let places = pairs.len() as i32 - exponent;
    let mut unscaled: BigInt = digits.parse().map_err(|_| damaged())?;
    if negative {
        unscaled = -unscaled;
    }
    if places < 0 {
        unscaled *= BigInt::from(100u8).pow(places.unsigned_abs());
    }
    let scale = u16::try_from(places.max(0) * 2).map_err(|_| damaged())?;
    if scale > 16_384 {
        return Err(damaged());
    }
    Ok(Numeric::from_big(unscaled, scale).trim_scale())
}
