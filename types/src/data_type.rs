//! The types, their names, object identifiers and categories.

use std::fmt;

/// A type. Length, precision and scale are in a separate `typmod`, as in PostgreSQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DataType {
    /// `boolean`
    Bool,
    /// `smallint`
    Int2,
    /// `integer`
    Int4,
    /// `bigint`
    Int8,
    /// `oid`
    Oid,
    /// `real`
    Float4,
    /// `double precision`
    Float8,
    /// `numeric`; typmod = ((precision << 16) | scale) + 4
    Numeric,
    /// `text`
    Text,
    /// `character varying`; typmod = length + 4
    Varchar,
    /// `character`, blank-padded; typmod = length + 4
    Bpchar,
    /// `name`
    Name,
    /// `bytea`
    Bytea,
    /// `date`
    Date,
    /// `time without time zone`; typmod = fractional digits
    Time,
    /// `timestamp without time zone`; typmod = fractional digits
    Timestamp,
    /// `timestamp with time zone`; typmod = fractional digits
    Timestamptz,
    /// `interval`
    Interval,
    /// `uuid`
    Uuid,
    /// A literal or parameter whose type is not yet decided.
    Unknown,
    /// The result of a function called for its effect.
    Void,
}

/// What implicit conversion prefers to stay within (pg_type.typcategory).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TypeCategory {
    /// `B`
    Boolean,
    /// `N`
    Numeric,
    /// `S`
    String,
    /// `D`
    DateTime,
    /// `T`
    Timespan,
    /// `U`
    User,
    /// `X`
    Unknown,
    /// `P`
    Pseudo,
}

/// One row of what PostgreSQL keeps in pg_type.
struct Row(DataType, u32, &'static str, &'static str, TypeCategory, i16);

const ROWS: [Row; 21] = {
    use DataType as T;
    use TypeCategory as C;
    [
        Row(T::Bool, 16, "bool", "boolean", C::Boolean, 1),
        Row(T::Int2, 21, "int2", "smallint", C::Numeric, 2),
        Row(T::Int4, 23, "int4", "integer", C::Numeric, 4),
        Row(T::Int8, 20, "int8", "bigint", C::Numeric, 8),
        Row(T::Oid, 26, "oid", "oid", C::Numeric, 4),
        Row(T::Float4, 700, "float4", "real", C::Numeric, 4),
        Row(T::Float8, 701, "float8", "double precision", C::Numeric, 8),
        Row(T::Numeric, 1700, "numeric", "numeric", C::Numeric, -1),
        Row(T::Text, 25, "text", "text", C::String, -1),
        Row(T::Varchar, 1043, "varchar", "character varying", C::String, -1),
        Row(T::Bpchar, 1042, "bpchar", "character", C::String, -1),
        Row(T::Name, 19, "name", "name", C::String, 64),
        Row(T::Bytea, 17, "bytea", "bytea", C::User, -1),
        Row(T::Date, 1082, "date", "date", C::DateTime, 4),
        Row(T::Time, 1083, "time", "time without time zone", C::DateTime, 8),
        Row(T::Timestamp, 1114, "timestamp", "timestamp without time zone", C::DateTime, 8),
        Row(T::Timestamptz, 1184, "timestamptz", "timestamp with time zone", C::DateTime, 8),
        Row(T::Interval, 1186, "interval", "interval", C::Timespan, 16),
        Row(T::Uuid, 2950, "uuid", "uuid", C::User, 16),
        Row(T::Unknown, 705, "unknown", "unknown", C::Unknown, -2),
        Row(T::Void, 2278, "void", "void", C::Pseudo, 4),
    ]
};

impl DataType {
    fn row(self) -> &'static Row {
        // The table is in the order of the enum; a test holds it there.
        &ROWS[self as usize]
    }

    /// Every type.
    pub fn all() -> impl Iterator<Item = Self> {
        ROWS.iter().map(|row| row.0)
    }

    /// PostgreSQL's object identifier.
    pub fn oid(self) -> u32 {
        self.row().1
    }

    /// The type with an object identifier.
    pub fn from_oid(oid: u32) -> Option<Self> {
        ROWS.iter().find(|row| row.1 == oid).map(|row| row.0)
    }

    /// The short name, as in pg_type (`int4`).
    pub fn name(self) -> &'static str {
        self.row().2
    }

    /// The standard's name (`integer`), as messages print it.
    pub fn sql_name(self) -> &'static str {
        self.row().3
    }

    /// The category for implicit conversion.
    pub fn category(self) -> TypeCategory {
        self.row().4
    }

    /// The width in bytes that the wire protocol reports; negative for variable width.
    pub fn wire_len(self) -> i16 {
        self.row().5
    }

    /// Whether values are held as [`crate::Value::Text`].
    pub fn is_string(self) -> bool {
        self.category() == TypeCategory::String
    }

    /// Whether the category prefers this type (pg_type.typispreferred).
    pub fn is_preferred(self) -> bool {
        matches!(
            self,
            Self::Bool | Self::Text | Self::Oid | Self::Float8 | Self::Timestamptz | Self::Interval
        )
    }

    /// Whether this is a number.
    pub fn is_numeric(self) -> bool {
        self.category() == TypeCategory::Numeric
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sql_name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_enum() {
        for (index, row) in ROWS.iter().enumerate() {
            assert_eq!(row.0 as usize, index);
            assert_eq!(DataType::from_oid(row.1), Some(row.0));
        }
    }
}
