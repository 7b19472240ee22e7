//! One value, and the interval type.

use std::sync::Arc;

use crate::{
    Array, Bits, DataType, Inet, Json, JsonPath, Multirange, Numeric, Range, Record, SqlState,
    Timetz, UserType, ValueError,
};

/// A value of some [`crate::DataType`]. The variant follows from the type: all string types are `Text`.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// SQL NULL, of any type.
    Null,
    /// `boolean`
    Bool(bool),
    /// `smallint`
    Int2(i16),
    /// `integer`
    Int4(i32),
    /// `bigint`
    Int8(i64),
    /// `oid`
    Oid(u32),
    /// `real`
    Float4(f32),
    /// `double precision`
    Float8(f64),
    /// `numeric`
    Numeric(Numeric),
    /// `text`, `varchar`, `char(n)` (padded), `name`, and undecided literals
    Text(Box<str>),
    /// `bytea`
    Bytea(Box<[u8]>),
    /// `date`: days since 2000-01-01; `i32::MIN` and `i32::MAX` are the infinities
    Date(i32),
    /// `time`: microseconds since midnight, up to and including 24:00:00
    Time(i64),
    /// `timestamp`: microseconds since 2000-01-01 00:00:00; `i64::MIN` and `i64::MAX` are the infinities
    Timestamp(i64),
    /// `timestamptz`: microseconds since 2000-01-01 00:00:00 UTC; infinities as above
    Timestamptz(i64),
    /// `interval`
    Interval(Interval),
    /// `uuid`
    Uuid([u8; 16]),
    /// `"char"`: zero is the empty string
    Char(u8),
    /// `json`: its text
    Json(Box<str>),
    /// `jsonb`
    Jsonb(Arc<Json>),
    /// An array, `int2vector` and `oidvector` among them
    Array(Arc<Array>),
    /// `timetz`
    Timetz(Timetz),
    /// `bit` and `bit varying`
    Bits(Arc<Bits>),
    /// `money`: cents
    Money(i64),
    /// `inet` and `cidr`
    Inet(Inet),
    /// `macaddr`
    Macaddr([u8; 6]),
    /// `macaddr8`
    Macaddr8([u8; 8]),
    /// `pg_lsn`
    Lsn(u64),
    /// `jsonpath`
    Jsonpath(Arc<JsonPath>),
    /// A range
    Range(Arc<Range>),
    /// A multirange
    Multirange(Arc<Multirange>),
    /// A value of an enumeration: the key of its label
    Enum(UserType, u64),
    /// A row
    Record(Arc<Record>),
    /// The value of type `void`
    Void,
}

/// A span of time. The three parts are kept apart, as in PostgreSQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Interval {
    /// Months (and years as twelve).
    pub months: i32,
    /// Days (and weeks as seven).
    pub days: i32,
    /// Everything below a day.
    pub micros: i64,
}

impl Value {
    /// Whether this is SQL NULL.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// A `jsonb` value.
    pub fn jsonb(json: Json) -> Self {
        Self::Jsonb(Arc::new(json))
    }

    /// A bit string.
    pub fn bits(bits: Bits) -> Self {
        Self::Bits(Arc::new(bits))
    }

    /// A range.
    pub fn range(range: Range) -> Self {
        Self::Range(Arc::new(range))
    }

    /// A multirange.
    pub fn multirange(multirange: Multirange) -> Self {
        Self::Multirange(Arc::new(multirange))
    }

    /// A row.
    pub fn record(record: Record) -> Self {
        Self::Record(Arc::new(record))
    }

    /// A text value.
    pub fn text(text: impl Into<Box<str>>) -> Self {
        Self::Text(text.into())
    }
}

impl Value {
    /// The type a value has by its variant: `text` for all strings, `unknown` for NULL.
    pub fn data_type(&self) -> DataType {
        match self {
            Self::Null => DataType::Unknown,
            Self::Bool(_) => DataType::Bool,
            Self::Int2(_) => DataType::Int2,
            Self::Int4(_) => DataType::Int4,
            Self::Int8(_) => DataType::Int8,
            Self::Oid(_) => DataType::Oid,
            Self::Float4(_) => DataType::Float4,
            Self::Float8(_) => DataType::Float8,
            Self::Numeric(_) => DataType::Numeric,
            Self::Text(_) => DataType::Text,
            Self::Bytea(_) => DataType::Bytea,
            Self::Date(_) => DataType::Date,
            Self::Time(_) => DataType::Time,
            Self::Timestamp(_) => DataType::Timestamp,
            Self::Timestamptz(_) => DataType::Timestamptz,
            Self::Interval(_) => DataType::Interval,
            Self::Uuid(_) => DataType::Uuid,
            Self::Char(_) => DataType::Char,
            Self::Json(_) => DataType::Json,
            Self::Jsonb(_) => DataType::Jsonb,
            // Never of another: only what can be stored is an element.
            Self::Array(array) => array.element().array().unwrap_or(DataType::Unknown),
            Self::Timetz(_) => DataType::Timetz,
            Self::Bits(_) => DataType::Varbit,
            Self::Money(_) => DataType::Money,
            Self::Inet(v) => {
                if v.is_cidr {
                    DataType::Cidr
                } else {
                    DataType::Inet
                }
            }
            Self::Macaddr(_) => DataType::Macaddr,
            Self::Macaddr8(_) => DataType::Macaddr8,
            Self::Lsn(_) => DataType::PgLsn,
            Self::Jsonpath(_) => DataType::Jsonpath,
            // Never of another: only what has a range type is a bound.
            Self::Range(v) => DataType::range_of(v.element()).unwrap_or(DataType::Unknown),
            Self::Multirange(v) => {
                DataType::multirange_of(v.element()).unwrap_or(DataType::Unknown)
            }
            Self::Enum(ty, _) => DataType::User(*ty),
            Self::Record(record) => record.ty(),
            Self::Void => DataType::Void,
        }
    }

    /// The number in a value that travels as `i64`: integers, `oid`, dates and times.
    pub fn as_int(&self) -> Option<i64> {
        Some(match self {
            Self::Int2(v) => i64::from(*v),
            Self::Int4(v) | Self::Date(v) => i64::from(*v),
            Self::Int8(v) | Self::Time(v) | Self::Timestamp(v) | Self::Timestamptz(v) => *v,
            Self::Oid(v) => i64::from(*v),
            _ => return None,
        })
    }

    /// The value of an integer-like type that travels as `i64`.
    ///
    /// # Errors
    /// 22003 when the number is outside the type; XX000 when the type is not integer-like.
    pub fn from_int(ty: DataType, v: i64) -> Result<Self, ValueError> {
        let range = |_| ValueError::out_of_range(ty.sql_name());
        Ok(match ty {
            DataType::Int2 => Self::Int2(i16::try_from(v).map_err(range)?),
            DataType::Int4 => Self::Int4(i32::try_from(v).map_err(range)?),
            DataType::Int8 => Self::Int8(v),
            ty if ty.is_oid() => {
                Self::Oid(u32::try_from(v).map_err(|_| ValueError::out_of_range("OID"))?)
            }
            DataType::Date => Self::Date(i32::try_from(v).map_err(range)?),
            DataType::Time => Self::Time(v),
            DataType::Timestamp => Self::Timestamp(v),
            DataType::Timestamptz => Self::Timestamptz(v),
            _ => {
                let text = format!("type {ty} does not travel as an integer");
                return Err(ValueError::new(SqlState::InternalError, text));
            }
        })
    }

    /// The number in a float.
    pub fn as_float(&self) -> Option<f64> {
        match self {
            Self::Float4(v) => Some(f64::from(*v)),
            Self::Float8(v) => Some(*v),
            _ => None,
        }
    }

    /// The string in a string.
    pub fn as_str(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The truth value; `None` for NULL and everything else.
    pub fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(v) = self { Some(*v) } else { None }
    }

    /// An estimate of the memory a value takes beyond its own size.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Bytea(bytes) => bytes.len(),
            Self::Json(text) => text.len(),
            Self::Jsonb(json) => json.heap_bytes(),
            Self::Array(array) => array.heap_bytes(),
            Self::Bits(bits) => bits.bytes().len() + size_of::<Bits>(),
            Self::Jsonpath(path) => path.text().len() * 4,
            Self::Range(range) => range.heap_bytes(),
            Self::Multirange(multirange) => multirange.heap_bytes(),
            Self::Record(record) => record.heap_bytes(),
            Self::Numeric(Numeric::Large(large)) => 40 + (large.0.bits() / 8) as usize,
            _ => 0,
        }
    }
}
