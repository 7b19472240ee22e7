//! Order and hashing of values.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

use crate::{DataType, Interval, Value};

/// PostgreSQL's order of two floats: NaN equals itself and is above everything, zeros are equal.
pub(crate) fn compare_floats(a: f64, b: f64) -> Ordering {
    match (a.is_nan(), b.is_nan()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) => a.partial_cmp(&b).expect("neither is NaN"),
    }
}

/// The order of two values of one type; text by its bytes (the `C` collation).
///
/// NULL is above all values, as an index keeps it. Values of different variants, which binding does
/// not bring together, are ordered by number if they are integers or floats, else by their type.
pub fn compare(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Int4(a), Value::Int4(b)) => a.cmp(b),
        (Value::Int8(a), Value::Int8(b)) => a.cmp(b),
        (Value::Text(a), Value::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
        (Value::Null, Value::Null) | (Value::Void, Value::Void) => Ordering::Equal,
        (Value::Null, _) => Ordering::Greater,
        (_, Value::Null) => Ordering::Less,
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Numeric(a), Value::Numeric(b)) => a.compare(b),
        (Value::Bytea(a), Value::Bytea(b)) => a.cmp(b),
        (Value::Interval(a), Value::Interval(b)) => a.span().cmp(&b.span()),
        (Value::Uuid(a), Value::Uuid(b)) => a.cmp(b),
        (Value::Char(a), Value::Char(b)) => a.cmp(b),
        (Value::Json(a), Value::Json(b)) => a.as_bytes().cmp(b.as_bytes()),
        (Value::Jsonb(a), Value::Jsonb(b)) => a.compare(b),
        (Value::Array(a), Value::Array(b)) => a.compare(b),
        (Value::Timetz(a), Value::Timetz(b)) => a.compare(*b),
        (Value::Bits(a), Value::Bits(b)) => a.compare(b),
        (Value::Money(a), Value::Money(b)) => a.cmp(b),
        (Value::Inet(a), Value::Inet(b)) => a.compare(b),
        (Value::Macaddr(a), Value::Macaddr(b)) => a.cmp(b),
        (Value::Macaddr8(a), Value::Macaddr8(b)) => a.cmp(b),
        (Value::Lsn(a), Value::Lsn(b)) => a.cmp(b),
        (Value::Jsonpath(a), Value::Jsonpath(b)) => a.text().cmp(&b.text()),
        (Value::Range(a), Value::Range(b)) => a.compare(b),
        (Value::Multirange(a), Value::Multirange(b)) => a.compare(b),
        (Value::Enum(_, a), Value::Enum(_, b)) => a.cmp(b),
        (Value::Record(a), Value::Record(b)) => a.compare(b),
        _ => match (a.as_int(), b.as_int(), a.as_float(), b.as_float()) {
            (Some(a), Some(b), ..) => a.cmp(&b),
            (.., Some(a), Some(b)) => compare_floats(a, b),
            _ => a.data_type().cmp(&b.data_type()),
        },
    }
}

/// Like [`compare`], knowing the type: `character(n)` ignores trailing blanks.
pub fn compare_typed(ty: DataType, a: &Value, b: &Value) -> Ordering {
    match (ty.base(), a, b) {
        (DataType::Bpchar, Value::Text(a), Value::Text(b)) => {
            trim_blanks(a).as_bytes().cmp(trim_blanks(b).as_bytes())
        }
        _ => compare(a, b),
    }
}

/// A `character(n)` without its padding.
pub(crate) fn trim_blanks(text: &str) -> &str {
    text.trim_end_matches(' ')
}

/// Hashes a value such that equal values hash alike: 1.0 and 1.00, -0.0 and 0.0, one day and 24 hours.
/// Integers of all widths hash alike, and floats of both. For `character(n)` use [`hash_typed`].
pub fn hash_value(value: &Value, hasher: &mut impl Hasher) {
    match value {
        Value::Null => hasher.write_u8(0),
        Value::Void => hasher.write_u8(1),
        Value::Bool(v) => v.hash(hasher),
        Value::Float4(_) | Value::Float8(_) => {
            let v = value.as_float().expect("a float");
            let canonical = if v == 0.0 {
                0.0
            } else if v.is_nan() {
                f64::NAN
            } else {
                v
            };
            hasher.write_u64(canonical.to_bits());
        }
        Value::Numeric(v) => v.hash_canonical(hasher),
        Value::Text(v) => {
            hasher.write(v.as_bytes());
            hasher.write_u8(0xff);
        }
        Value::Bytea(v) => {
            hasher.write(v);
            hasher.write_usize(v.len());
        }
        Value::Interval(v) => hasher.write_i128(v.span()),
        Value::Uuid(v) => hasher.write(v),
        Value::Char(v) => hasher.write_u8(*v),
        Value::Json(v) => hasher.write(v.as_bytes()),
        Value::Jsonb(v) => v.hash_into(hasher),
        Value::Array(v) => v.hash_into(hasher),
        Value::Timetz(v) => {
            hasher.write_i64(v.utc_micros());
            hasher.write_i32(v.west);
        }
        Value::Bits(v) => {
            hasher.write(v.bytes());
            hasher.write_usize(v.len());
        }
        Value::Money(v) => hasher.write_i64(*v),
        Value::Inet(v) => {
            hasher.write_u8(v.bits);
            hasher.write(v.bytes());
        }
        Value::Macaddr(v) => hasher.write(v),
        Value::Macaddr8(v) => hasher.write(v),
        Value::Lsn(v) => hasher.write_u64(*v),
        Value::Jsonpath(v) => hasher.write(v.text().as_bytes()),
        Value::Range(v) => v.hash_into(hasher),
        Value::Multirange(v) => v.hash_into(hasher),
        Value::Enum(_, v) => hasher.write_u64(*v),
        Value::Record(v) => v.hash_into(hasher),
        Value::Int2(_)
        | Value::Int4(_)
        | Value::Int8(_)
        | Value::Oid(_)
        | Value::Date(_)
        | Value::Time(_)
        | Value::Timestamp(_)
        | Value::Timestamptz(_) => hasher.write_i64(value.as_int().expect("integer-like")),
    }
}

/// Like [`hash_value`], knowing the type: `character(n)` ignores trailing blanks.
pub fn hash_typed(ty: DataType, value: &Value, hasher: &mut impl Hasher) {
    match (ty.base(), value) {
        (DataType::Bpchar, Value::Text(v)) => {
            hasher.write(trim_blanks(v).as_bytes());
            hasher.write_u8(0xff);
        }
        _ => hash_value(value, hasher),
    }
}

impl Interval {
    /// The length in microseconds with months of 30 days and days of 24 hours, which is what intervals
    /// are compared by.
    pub fn span(self) -> i128 {
        let days = i128::from(self.months) * 30 + i128::from(self.days);
        days * 86_400_000_000 + i128::from(self.micros)
    }
}
