//! Type names as SQL writes them, and the modifiers in brackets after them.

use crate::{DataType, SqlState, ValueError};

/// The typmod of a type without modifier.
pub const NO_TYPMOD: i32 = -1;
/// The typmod's offset for lengths (PostgreSQL's VARHDRSZ).
const HEADER: i32 = 4;
/// The longest `varchar(n)` and `char(n)`.
const MAX_LENGTH: i32 = 10_485_760;

/// `numeric(precision, scale)` of a typmod, or nothing where it is unconstrained.
pub fn numeric_typmod(typmod: i32) -> Option<(i32, i32)> {
    if typmod < HEADER {
        return None;
    }
    let packed = typmod - HEADER;
    Some(((packed >> 16) & 0xffff, ((packed & 0x7ff) ^ 1024) - 1024))
}

/// The length of `varchar(n)` or `char(n)`.
pub fn length_typmod(typmod: i32) -> Option<usize> {
    if typmod < HEADER { None } else { usize::try_from(typmod - HEADER).ok() }
}

/// The fractional digits of an interval's typmod.
pub(crate) fn interval_precision(typmod: i32) -> Option<i32> {
    let precision = typmod & 0xffff;
    if typmod < 0 || precision == 0xffff { None } else { Some(precision) }
}

/// The name of a type as PostgreSQL's `format_type` prints it: `character varying(10)`.
pub fn type_name_with_typmod(ty: DataType, typmod: i32) -> String {
    let name = ty.sql_name();
    match ty {
        DataType::Array(element) => {
            format!("{}[]", type_name_with_typmod(element.data_type(), typmod))
        }
        DataType::Bpchar if typmod < 0 => "bpchar".to_owned(),
        DataType::Varchar | DataType::Bpchar if typmod >= HEADER => {
            format!("{name}({})", typmod - HEADER)
        }
        DataType::Numeric => match numeric_typmod(typmod) {
            Some((precision, scale)) => format!("numeric({precision},{scale})"),
            None => name.to_owned(),
        },
        DataType::Time if typmod >= 0 => format!("time({typmod}) without time zone"),
        DataType::Timetz if typmod >= 0 => format!("time({typmod}) with time zone"),
        DataType::Bit | DataType::Varbit if typmod >= 0 => format!("{name}({typmod})"),
        DataType::Timestamp if typmod >= 0 => format!("timestamp({typmod}) without time zone"),
        DataType::Timestamptz if typmod >= 0 => format!("timestamp({typmod}) with time zone"),
        DataType::Interval => match interval_precision(typmod) {
            Some(precision) => format!("interval({precision})"),
            None => name.to_owned(),
        },
        _ => name.to_owned(),
    }
}

/// Packs the modifiers written after a type's name, as in `numeric(10, 2)`.
///
/// # Errors
/// 22023 and 42601 with PostgreSQL's texts, when they do not suit the type.
pub fn make_typmod(ty: DataType, modifiers: &[i64]) -> Result<i32, ValueError> {
    let invalid = |text: String| ValueError::new(SqlState::InvalidParameterValue, text);
    if modifiers.is_empty() {
        // char is char(1); the type called bpchar has no length, which the caller knows by its name.
        return Ok(NO_TYPMOD);
    }
    match ty {
        DataType::Array(element) => make_typmod(element.data_type(), modifiers),
        DataType::Varchar | DataType::Bpchar => {
            let name = if ty == DataType::Varchar { "varchar" } else { "char" };
            let [length] = modifiers else { return Err(invalid("invalid type modifier".into())) };
            match i32::try_from(*length) {
                Ok(length) if length > MAX_LENGTH => {
                    Err(invalid(format!("length for type {name} cannot exceed {MAX_LENGTH}")))
                }
                Ok(length) if length >= 1 => Ok(length + HEADER),
                _ => Err(invalid(format!("length for type {name} must be at least 1"))),
            }
        }
        DataType::Bit | DataType::Varbit => {
            const MAX_BITS: i32 = 83_886_080;
            let name = if ty == DataType::Bit { "bit" } else { "varbit" };
            let [length] = modifiers else { return Err(invalid("invalid type modifier".into())) };
            match i32::try_from(*length) {
                Ok(length) if (1..=MAX_BITS).contains(&length) => Ok(length),
                Ok(length) if length < 1 => {
                    Err(invalid(format!("length for type {name} must be at least 1")))
                }
                _ => Err(invalid(format!("length for type {name} cannot exceed {MAX_BITS}"))),
            }
        }
        DataType::Numeric => {
            let (precision, scale) = match modifiers {
                [precision] => (*precision, 0),
                [precision, scale] => (*precision, *scale),
                _ => return Err(invalid("invalid NUMERIC type modifier".into())),
            };
            if !(1..=1000).contains(&precision) {
                let text = format!("NUMERIC precision {precision} must be between 1 and 1000");
                return Err(invalid(text));
            }
            if !(-1000..=1000).contains(&scale) {
                let text = format!("NUMERIC scale {scale} must be between -1000 and 1000");
                return Err(invalid(text));
            }
            Ok((((precision as i32) << 16) | ((scale as i32) & 0x7ff)) + HEADER)
        }
        DataType::Time
        | DataType::Timetz
        | DataType::Timestamp
        | DataType::Timestamptz
        | DataType::Interval => {
            let [precision] = modifiers else {
                return Err(invalid("invalid type modifier".into()));
            };
            if *precision < 0 {
                let (name, zone) = match ty {
                    DataType::Time => ("TIME", ""),
                    DataType::Timetz => ("TIME", " WITH TIME ZONE"),
                    DataType::Timestamp => ("TIMESTAMP", ""),
                    DataType::Timestamptz => ("TIMESTAMP", " WITH TIME ZONE"),
                    _ => ("INTERVAL", ""),
                };
                let text = format!("{name}({precision}){zone} precision must not be negative");
                return Err(invalid(text));
            }
            let precision = (*precision).min(6) as i32;
            if ty == DataType::Interval { Ok((0x7fff << 16) | precision) } else { Ok(precision) }
        }
        _ => Err(ValueError::new(
            SqlState::SyntaxError,
            format!("type modifier is not allowed for type \"{}\"", ty.name()),
        )),
    }
}

impl DataType {
    /// The type with an SQL name: `int4`, `integer`, `int`, `character varying`. Case does not
    /// matter, nor does how many blanks are between the words.
    pub fn from_name(name: &str) -> Option<Self> {
        let words: Vec<String> = name.split_whitespace().map(str::to_ascii_lowercase).collect();
        let name = words.join(" ");
        let name = name.strip_prefix("pg_catalog.").unwrap_or(&name);
        if let Some(element) = name.strip_suffix("[]") {
            return Self::from_name(element)?.array();
        }
        Some(match name {
            "int" | "integer" => Self::Int4,
            "smallint" => Self::Int2,
            "bigint" => Self::Int8,
            "boolean" => Self::Bool,
            "real" => Self::Float4,
            "float" | "double precision" => Self::Float8,
            "decimal" | "dec" => Self::Numeric,
            "character varying" | "char varying" => Self::Varchar,
            "character" | "char" => Self::Bpchar,
            "time without time zone" => Self::Time,
            "time with time zone" => Self::Timetz,
            "bit varying" => Self::Varbit,
            "timestamp without time zone" => Self::Timestamp,
            "timestamp with time zone" => Self::Timestamptz,
            "\"char\"" => Self::Char,
            "unknown" => Self::Unknown,
            _ => return Self::all().find(|ty| ty.name() == name),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_find_their_types_and_print_back() {
        for ty in DataType::all() {
            // `char` without quotes is `character`.
            let expected = if ty == DataType::Char { DataType::Bpchar } else { ty };
            assert_eq!(DataType::from_name(ty.name()), Some(expected));
            assert_eq!(DataType::from_name(ty.sql_name()), Some(ty));
        }
        assert_eq!(DataType::from_name("Character  Varying"), Some(DataType::Varchar));
        assert_eq!(DataType::from_name("polygon"), None);
    }

    #[test]
    fn typmods_print_as_format_type_does() {
        let cases: &[(DataType, &[i64], &str)] = &[
            (DataType::Varchar, &[10], "character varying(10)"),
            (DataType::Bpchar, &[3], "character(3)"),
            (DataType::Bpchar, &[], "bpchar"),
            (DataType::Numeric, &[10, 2], "numeric(10,2)"),
            (DataType::Numeric, &[5], "numeric(5,0)"),
            (DataType::Numeric, &[3, -2], "numeric(3,-2)"),
            (DataType::Timestamptz, &[3], "timestamp(3) with time zone"),
            (DataType::Time, &[0], "time(0) without time zone"),
            (DataType::Interval, &[2], "interval(2)"),
            (DataType::Int4, &[], "integer"),
        ];
        for (ty, modifiers, expected) in cases {
            let typmod = make_typmod(*ty, modifiers).unwrap();
            assert_eq!(type_name_with_typmod(*ty, typmod), *expected);
        }
        let error = make_typmod(DataType::Numeric, &[1001]).unwrap_err();
        assert_eq!(error.message, "NUMERIC precision 1001 must be between 1 and 1000");
        make_typmod(DataType::Int4, &[3]).unwrap_err();
    }
}
