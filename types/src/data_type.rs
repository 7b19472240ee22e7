//! The types, their names, object identifiers and categories.
//!
//! Each type that can be stored has an array type beside it. An array of arrays is an array of more
//! dimensions, so the elements of an array are never arrays but for the two vector types of the catalog.

use std::fmt;

use crate::UserType;

/// One row of what PostgreSQL keeps in pg_type.
pub(crate) struct Row {
    pub(crate) oid: u32,
    pub(crate) name: &'static str,
    pub(crate) sql_name: &'static str,
    pub(crate) category: TypeCategory,
    pub(crate) len: i16,
}

/// Defines the types from one table: `Name, oid, oid of the array type, short name, SQL name,
/// category, width`; those that stand only for other types have no array type.
macro_rules! types {
    (
        stored {
            $($(#[doc = $doc:literal])*
            $name:ident, $oid:literal, $array:literal, $short:literal, $sql:literal, $category:ident, $len:literal;)*
        }
        pseudo {
            $($(#[doc = $pseudo_doc:literal])*
            $pseudo:ident, $pseudo_oid:literal, $pseudo_short:literal, $pseudo_category:ident, $pseudo_len:literal;)*
        }
    ) => {
        /// A type. Length, precision and scale are in a separate `typmod`, as in PostgreSQL.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum DataType {
            $($(#[doc = $doc])* $name,)*
            $($(#[doc = $pseudo_doc])* $pseudo,)*
            /// An array, of any number of dimensions.
            Array(Element),
            /// A type that a user made.
            User(UserType),
        }

        /// What an array can be of: every type that can be stored and is not an array.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Element {
            $($(#[doc = $doc])* $name,)*
            /// A type that a user made.
            User(UserType),
        }

        impl Element {
            /// The type of the elements.
            pub const fn data_type(self) -> DataType {
                match self {
                    $(Self::$name => DataType::$name,)*
                    Self::User(user) => DataType::User(user),
                }
            }

            /// The row of the array type.
            const fn row(self) -> &'static Row {
                match self {
                    $(Self::$name => &Row {
                        oid: $array,
                        name: concat!("_", $short),
                        sql_name: concat!($sql, "[]"),
                        category: TypeCategory::Array,
                        len: -1,
                    },)*
                    Self::User(user) => user.array_row(),
                }
            }
        }

        impl DataType {
            const fn row(self) -> &'static Row {
                match self {
                    $(Self::$name => &Row {
                        oid: $oid,
                        name: $short,
                        sql_name: $sql,
                        category: TypeCategory::$category,
                        len: $len,
                    },)*
                    $(Self::$pseudo => &Row {
                        oid: $pseudo_oid,
                        name: $pseudo_short,
                        sql_name: $pseudo_short,
                        category: TypeCategory::$pseudo_category,
                        len: $pseudo_len,
                    },)*
                    Self::Array(element) => element.row(),
                    Self::User(user) => user.row(),
                }
            }

            /// Itself as what an array is of, if there can be arrays of it.
            pub const fn as_element(self) -> Option<Element> {
                match self {
                    $(Self::$name => Some(Element::$name),)*
                    Self::User(user) => Some(Element::User(user)),
                    _ => None,
                }
            }

            /// Every type that is built in.
            pub fn all() -> impl Iterator<Item = Self> {
                const STORED: &[Element] = &[$(Element::$name,)*];
                const PSEUDO: &[DataType] = &[$(DataType::$pseudo,)*];
                let stored = STORED.iter().map(|element| element.data_type());
                let arrays = STORED.iter().map(|element| Self::Array(*element));
                stored.chain(PSEUDO.iter().copied()).chain(arrays)
            }
        }
    };
}

types! {
    stored {
        /// `boolean`
        Bool, 16, 1000, "bool", "boolean", Boolean, 1;
        /// `smallint`
        Int2, 21, 1005, "int2", "smallint", Numeric, 2;
        /// `integer`
        Int4, 23, 1007, "int4", "integer", Numeric, 4;
        /// `bigint`
        Int8, 20, 1016, "int8", "bigint", Numeric, 8;
        /// `oid`
        Oid, 26, 1028, "oid", "oid", Numeric, 4;
        /// `real`
        Float4, 700, 1021, "float4", "real", Numeric, 4;
        /// `double precision`
        Float8, 701, 1022, "float8", "double precision", Numeric, 8;
        /// `numeric`; typmod = ((precision << 16) | scale) + 4
        Numeric, 1700, 1231, "numeric", "numeric", Numeric, -1;
        /// `text`
        Text, 25, 1009, "text", "text", String, -1;
        /// `character varying`; typmod = length + 4
        Varchar, 1043, 1015, "varchar", "character varying", String, -1;
        /// `character`, blank-padded; typmod = length + 4
        Bpchar, 1042, 1014, "bpchar", "character", String, -1;
        /// `name`
        Name, 19, 1003, "name", "name", String, 64;
        /// `bytea`
        Bytea, 17, 1001, "bytea", "bytea", User, -1;
        /// `date`
        Date, 1082, 1182, "date", "date", DateTime, 4;
        /// `time without time zone`; typmod = fractional digits
        Time, 1083, 1183, "time", "time without time zone", DateTime, 8;
        /// `timestamp without time zone`; typmod = fractional digits
        Timestamp, 1114, 1115, "timestamp", "timestamp without time zone", DateTime, 8;
        /// `timestamp with time zone`; typmod = fractional digits
        Timestamptz, 1184, 1185, "timestamptz", "timestamp with time zone", DateTime, 8;
        /// `interval`
        Interval, 1186, 1187, "interval", "interval", Timespan, 16;
        /// `uuid`
        Uuid, 2950, 2951, "uuid", "uuid", User, 16;
        /// `json`: checked text
        Json, 114, 199, "json", "json", User, -1;
        /// `jsonb`
        Jsonb, 3802, 3807, "jsonb", "jsonb", User, -1;
        /// `"char"`: one byte
        Char, 18, 1002, "char", "\"char\"", Internal, 1;
        /// `int2vector`: an array of `smallint` counted from zero, as the catalog has it
        Int2vector, 22, 1006, "int2vector", "int2vector", Array, -1;
        /// `oidvector`: an array of `oid` counted from zero
        Oidvector, 30, 1013, "oidvector", "oidvector", Array, -1;
        /// `regproc`: a function's identifier, shown as its name
        Regproc, 24, 1008, "regproc", "regproc", Numeric, 4;
        /// `regprocedure`: likewise, shown with the types of its arguments
        Regprocedure, 2202, 2207, "regprocedure", "regprocedure", Numeric, 4;
        /// `regclass`: a table's or index's identifier, shown as its name
        Regclass, 2205, 2210, "regclass", "regclass", Numeric, 4;
        /// `regtype`: a type's
        Regtype, 2206, 2211, "regtype", "regtype", Numeric, 4;
        /// `regnamespace`: a schema's
        Regnamespace, 4089, 4090, "regnamespace", "regnamespace", Numeric, 4;
        /// `regrole`: a role's
        Regrole, 4096, 4097, "regrole", "regrole", Numeric, 4;
        /// `time with time zone`; typmod = fractional digits
        Timetz, 1266, 1270, "timetz", "time with time zone", DateTime, 12;
        /// `bit`; typmod = length
        Bit, 1560, 1561, "bit", "bit", BitString, -1;
        /// `bit varying`; typmod = length
        Varbit, 1562, 1563, "varbit", "bit varying", BitString, -1;
        /// `money`: cents
        Money, 790, 791, "money", "money", Numeric, 8;
        /// `inet`
        Inet, 869, 1041, "inet", "inet", Network, -1;
        /// `cidr`
        Cidr, 650, 651, "cidr", "cidr", Network, -1;
        /// `macaddr`
        Macaddr, 829, 1040, "macaddr", "macaddr", User, 6;
        /// `macaddr8`
        Macaddr8, 774, 775, "macaddr8", "macaddr8", User, 8;
        /// `pg_lsn`: a position in a log
        PgLsn, 3220, 3221, "pg_lsn", "pg_lsn", User, 8;
        /// `jsonpath`
        Jsonpath, 4072, 4073, "jsonpath", "jsonpath", User, -1;
        /// `int4range`
        Int4range, 3904, 3905, "int4range", "int4range", Range, -1;
        /// `int8range`
        Int8range, 3926, 3927, "int8range", "int8range", Range, -1;
        /// `numrange`
        Numrange, 3906, 3907, "numrange", "numrange", Range, -1;
        /// `tsrange`: of `timestamp`
        Tsrange, 3908, 3909, "tsrange", "tsrange", Range, -1;
        /// `tstzrange`: of `timestamptz`
        Tstzrange, 3910, 3911, "tstzrange", "tstzrange", Range, -1;
        /// `daterange`
        Daterange, 3912, 3913, "daterange", "daterange", Range, -1;
        /// `int4multirange`
        Int4multirange, 4451, 6150, "int4multirange", "int4multirange", Range, -1;
        /// `int8multirange`
        Int8multirange, 4536, 6157, "int8multirange", "int8multirange", Range, -1;
        /// `nummultirange`
        Nummultirange, 4532, 6151, "nummultirange", "nummultirange", Range, -1;
        /// `tsmultirange`
        Tsmultirange, 4533, 6152, "tsmultirange", "tsmultirange", Range, -1;
        /// `tstzmultirange`
        Tstzmultirange, 4534, 6153, "tstzmultirange", "tstzmultirange", Range, -1;
        /// `datemultirange`
        Datemultirange, 4535, 6155, "datemultirange", "datemultirange", Range, -1;
        /// `xid`: a transaction's number, as the catalog has it
        Xid, 28, 1011, "xid", "xid", User, 4;
        /// `record`: a row of no named type
        Record, 2249, 2287, "record", "record", Pseudo, -1;
    }
    pseudo {
        /// A literal or parameter whose type is not yet decided.
        Unknown, 705, "unknown", Unknown, -2;
        /// The result of a function called for its effect.
        Void, 2278, "void", Pseudo, 4;
        /// In signatures: any type, the same wherever it or `AnyArray` stands.
        AnyElement, 2283, "anyelement", Pseudo, 4;
        /// In signatures: the array of `AnyElement`.
        AnyArray, 2277, "anyarray", Pseudo, -1;
        /// In signatures: as `AnyElement`, but no array.
        AnyNonArray, 2776, "anynonarray", Pseudo, 4;
        /// In signatures: as `AnyElement`, but an enumeration.
        AnyEnum, 3500, "anyenum", Pseudo, 4;
        /// In signatures: the range of `AnyElement`.
        AnyRange, 3831, "anyrange", Pseudo, -1;
        /// In signatures: the multirange of `AnyElement`.
        AnyMultirange, 4537, "anymultirange", Pseudo, -1;
        /// In signatures: any type, wherever it stands converted to one that all fit.
        AnyCompatible, 5077, "anycompatible", Pseudo, 4;
        /// In signatures: the array of `AnyCompatible`.
        AnyCompatibleArray, 5078, "anycompatiblearray", Pseudo, -1;
    }
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
    /// `A`
    Array,
    /// `V`
    BitString,
    /// `I`
    Network,
    /// `R`
    Range,
    /// `E`
    Enum,
    /// `C`
    Composite,
    /// `Z`
    Internal,
    /// `X`
    Unknown,
    /// `P`
    Pseudo,
}

impl TypeCategory {
    /// The letter in pg_type.typcategory.
    pub fn letter(self) -> char {
        match self {
            Self::Boolean => 'B',
            Self::Numeric => 'N',
            Self::String => 'S',
            Self::DateTime => 'D',
            Self::Timespan => 'T',
            Self::User => 'U',
            Self::Array => 'A',
            Self::BitString => 'V',
            Self::Network => 'I',
            Self::Range => 'R',
            Self::Enum => 'E',
            Self::Composite => 'C',
            Self::Internal => 'Z',
            Self::Unknown => 'X',
            Self::Pseudo => 'P',
        }
    }
}

impl DataType {
    /// The array type of a type; of an array, itself; `None` of those that cannot be stored.
    pub const fn array(self) -> Option<Self> {
        match (self, self.as_element()) {
            (Self::Array(_), _) => Some(self),
            (_, Some(element)) => Some(Self::Array(element)),
            _ => None,
        }
    }

    /// The type of an array's elements; `None` of what is no array.
    pub const fn element(self) -> Option<Self> {
        match self {
            Self::Array(element) => Some(element.data_type()),
            Self::Int2vector => Some(Self::Int2),
            Self::Oidvector => Some(Self::Oid),
            _ => None,
        }
    }

    /// The type of the bounds of a range or multirange; `None` of what is neither.
    pub const fn subtype(self) -> Option<Self> {
        Some(match self {
            Self::Int4range | Self::Int4multirange => Self::Int4,
            Self::Int8range | Self::Int8multirange => Self::Int8,
            Self::Numrange | Self::Nummultirange => Self::Numeric,
            Self::Tsrange | Self::Tsmultirange => Self::Timestamp,
            Self::Tstzrange | Self::Tstzmultirange => Self::Timestamptz,
            Self::Daterange | Self::Datemultirange => Self::Date,
            _ => return None,
        })
    }

    /// The range type of a type of bounds.
    pub const fn range_of(subtype: Self) -> Option<Self> {
        Some(match subtype {
            Self::Int4 => Self::Int4range,
            Self::Int8 => Self::Int8range,
            Self::Numeric => Self::Numrange,
            Self::Timestamp => Self::Tsrange,
            Self::Timestamptz => Self::Tstzrange,
            Self::Date => Self::Daterange,
            _ => return None,
        })
    }

    /// The multirange type of a type of bounds.
    pub const fn multirange_of(subtype: Self) -> Option<Self> {
        Some(match subtype {
            Self::Int4 => Self::Int4multirange,
            Self::Int8 => Self::Int8multirange,
            Self::Numeric => Self::Nummultirange,
            Self::Timestamp => Self::Tsmultirange,
            Self::Timestamptz => Self::Tstzmultirange,
            Self::Date => Self::Datemultirange,
            _ => return None,
        })
    }

    /// Whether it is a range.
    pub const fn is_range(self) -> bool {
        matches!(
            self,
            Self::Int4range
                | Self::Int8range
                | Self::Numrange
                | Self::Tsrange
                | Self::Tstzrange
                | Self::Daterange
        )
    }

    /// Whether it is a multirange.
    pub const fn is_multirange(self) -> bool {
        self.subtype().is_some() && !self.is_range()
    }

    /// Whether it stands for other types in signatures.
    pub const fn is_polymorphic(self) -> bool {
        matches!(
            self,
            Self::AnyElement
                | Self::AnyArray
                | Self::AnyNonArray
                | Self::AnyEnum
                | Self::AnyRange
                | Self::AnyMultirange
                | Self::AnyCompatible
                | Self::AnyCompatibleArray
        )
    }

    /// Whether its values can be compared: all but `json` and `jsonpath`, of which there is no
    /// equality.
    pub const fn is_comparable(self) -> bool {
        !matches!(
            self,
            Self::Json | Self::Jsonpath | Self::Array(Element::Json | Element::Jsonpath)
        )
    }

    /// Whether no value is of it.
    pub const fn is_pseudo(self) -> bool {
        self.as_element().is_none() && !matches!(self, Self::Array(_))
    }

    /// PostgreSQL's object identifier.
    pub fn oid(self) -> u32 {
        self.row().oid
    }

    /// The type that is built in with an object identifier.
    pub fn from_oid(oid: u32) -> Option<Self> {
        Self::all().find(|ty| ty.oid() == oid)
    }

    /// The short name, as in pg_type (`int4`, `_int4`).
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The standard's name (`integer`, `integer[]`), as messages print it.
    pub fn sql_name(self) -> &'static str {
        self.row().sql_name
    }

    /// The category for implicit conversion.
    pub fn category(self) -> TypeCategory {
        self.row().category
    }

    /// The width in bytes that the wire protocol reports; negative for variable width.
    pub fn wire_len(self) -> i16 {
        self.row().len
    }

    /// Whether values are held as [`crate::Value::Text`].
    pub fn is_string(self) -> bool {
        self.category() == TypeCategory::String
    }

    /// Whether the category prefers this type (pg_type.typispreferred).
    pub fn is_preferred(self) -> bool {
        matches!(
            self,
            Self::Bool
                | Self::Text
                | Self::Oid
                | Self::Float8
                | Self::Timestamptz
                | Self::Interval
                | Self::Varbit
                | Self::Inet
        ) || self.is_reg()
            || matches!(self, Self::User(_)) && self.base() != self && self.base().is_preferred()
    }

    /// Whether this is a number.
    pub fn is_numeric(self) -> bool {
        self.category() == TypeCategory::Numeric && !self.is_reg() && self != Self::Money
    }

    /// Whether this is an identifier of a kind of object, shown as the object's name.
    pub const fn is_reg(self) -> bool {
        matches!(
            self,
            Self::Regproc
                | Self::Regprocedure
                | Self::Regclass
                | Self::Regtype
                | Self::Regnamespace
                | Self::Regrole
        )
    }

    /// Whether values are held as [`crate::Value::Oid`].
    pub const fn is_oid(self) -> bool {
        matches!(self, Self::Oid | Self::Xid) || self.is_reg()
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sql_name())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn identifiers_are_unique_and_found() {
        let mut seen = BTreeSet::new();
        for ty in DataType::all() {
            assert!(seen.insert(ty.oid()), "{ty}");
            assert_eq!(DataType::from_oid(ty.oid()), Some(ty));
        }
    }

    #[test]
    fn arrays_and_elements_find_each_other() {
        for ty in DataType::all().filter(|ty| !ty.is_pseudo()) {
            let array = ty.array().unwrap();
            assert_eq!(array.array(), Some(array));
            if !matches!(ty, DataType::Array(_)) {
                assert_eq!(array.element(), Some(ty));
            }
        }
        assert_eq!(DataType::Void.array(), None);
    }
}
