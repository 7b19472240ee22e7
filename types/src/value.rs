//! One value, and the interval type.

use crate::Numeric;

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

    /// A text value.
    pub fn text(text: impl Into<Box<str>>) -> Self {
        Self::Text(text.into())
    }
}
