//! Type names and their modifiers.

use driftdb_query::{Result, SqlError};
use driftdb_types::{DataType, SqlState, UserKind, make_typmod};
use sqlparser::ast;
use sqlparser::ast::DataType as D;

use super::Binder;
use super::names::{ident, object_name};
use crate::front::tokens::{Source, tokenize};
use crate::front::tree::parse_all;

/// Reads a type's name, as [`Binder::type_name`].
///
/// # Errors
/// 42601; as for a type in a statement.
pub fn resolve_type(text: &str, cx: &mut super::BindContext<'_>) -> Result<(DataType, i32)> {
    let source = Source::new(text);
    let tokens = tokenize(&source)?;
    let tree = parse_all(&source, tokens, None, sqlparser::parser::Parser::parse_data_type)?;
    let mut types = Vec::new();
    let mut binder = Binder::new(&mut *cx.catalog, cx.eval, &mut types, None, None);
    binder.type_name(&tree)
}

/// Reads the name of a type that is built in.
///
/// # Errors
/// 42601; as for a type in a statement.
pub fn parse_type(text: &str) -> Result<(DataType, i32)> {
    let source = Source::new(text);
    let tokens = tokenize(&source)?;
    let tree = parse_all(&source, tokens, None, sqlparser::parser::Parser::parse_data_type)?;
    type_name(&tree)
}

impl Binder<'_> {
    /// A type and its modifier.
    pub(crate) fn type_name(&mut self, name: &D) -> Result<(DataType, i32)> {
        if let D::Array(
            ast::ArrayElemTypeDef::SquareBracket(element, _)
            | ast::ArrayElemTypeDef::Qualified(element, _),
        ) = name
        {
            let (element, typmod) = self.type_name(element)?;
            return match element.array() {
                Some(array) => Ok((array, typmod)),
                None => Err(SqlError::unsupported(format!("an array of {element}"))),
            };
        }
        match (type_name(name), name) {
            (Err(error), D::Custom(named, modifiers))
                if error.state == SqlState::UndefinedObject =>
            {
                let parsed = object_name(named)?;
                let schema = parsed.schema.as_deref();
                let Some(ty) = self.user_type_named(schema, &parsed.name)? else {
                    return Err(match self.missing_schema(schema)? {
                        Some(schema) => super::schema::no_such_schema(&schema).at(parsed.position),
                        None => error,
                    });
                };
                if is_shell(ty) {
                    let message = format!("type \"{}\" is only a shell", parsed.name);
                    return Err(
                        SqlError::new(SqlState::UndefinedObject, message).at(parsed.position)
                    );
                }
                if !modifiers.is_empty() {
                    let name = &parsed.name;
                    let message = format!("type modifier is not allowed for type \"{name}\"");
                    return Err(SqlError::new(SqlState::SyntaxError, message).at(parsed.position));
                }
                if let Some(user) = ty.user() {
                    let definition = user.definition();
                    // Rows of a relation, and arrays by their own names, are named as they are written.
                    let is_object = definition.name == parsed.name
                        && !matches!(
                            &definition.kind,
                            UserKind::Composite { relation: Some(_), .. }
                        );
                    if is_object {
                        self.note_object(named, definition.oid);
                    }
                }
                Ok((ty, -1))
            }
            (found, _) => found,
        }
    }
}

/// Whether there is a type's name only.
fn is_shell(ty: DataType) -> bool {
    matches!(ty, DataType::User(user) if user.definition().kind == UserKind::Shell)
}

/// A type and its modifier, of those that are built in.
///
/// # Errors
/// 42704 if there is no such type, 0A000 if this build lacks it, 22023 for bad modifiers.
pub(crate) fn type_name(name: &D) -> Result<(DataType, i32)> {
    use DataType as T;
    let (ty, modifiers) = match name {
        D::Bool | D::Boolean => (T::Bool, Vec::new()),
        D::Int2(None) | D::SmallInt(None) => (T::Int2, Vec::new()),
        D::Int(None) | D::Int4(None) | D::Integer(None) => (T::Int4, Vec::new()),
        D::Int8(None) | D::BigInt(None) => (T::Int8, Vec::new()),
        D::Real | D::Float4 => (T::Float4, Vec::new()),
        D::Float8 | D::DoublePrecision | D::Double(ast::ExactNumberInfo::None) => {
            (T::Float8, Vec::new())
        }
        D::Float(ast::ExactNumberInfo::None) => (T::Float8, Vec::new()),
        D::Float(ast::ExactNumberInfo::Precision(bits)) => (float(*bits)?, Vec::new()),
        D::Numeric(info) | D::Decimal(info) | D::Dec(info) => (T::Numeric, numeric(info)),
        D::Text => (T::Text, Vec::new()),
        D::Varchar(length) | D::CharacterVarying(length) | D::CharVarying(length) => {
            (T::Varchar, length_modifier(length.as_ref()))
        }
        D::Char(length) | D::Character(length) => {
            let mut modifiers = length_modifier(length.as_ref());
            if modifiers.is_empty() {
                modifiers.push(1);
            }
            (T::Bpchar, modifiers)
        }
        D::Bytea => (T::Bytea, Vec::new()),
        D::Regclass => (T::Regclass, Vec::new()),
        D::Uuid => (T::Uuid, Vec::new()),
        D::JSON => (T::Json, Vec::new()),
        D::JSONB => (T::Jsonb, Vec::new()),
        D::Date => (T::Date, Vec::new()),
        D::Time(precision, zone) if !has_zone(zone) => (T::Time, precision_modifier(*precision)),
        D::Timestamp(precision, zone) => {
            let ty = if has_zone(zone) { T::Timestamptz } else { T::Timestamp };
            (ty, precision_modifier(*precision))
        }
        D::Time(precision, _) => (T::Timetz, precision_modifier(*precision)),
        D::Bit(length) => {
            (T::Bit, vec![length.map_or(1, |v| i64::try_from(v).unwrap_or(i64::MAX))])
        }
        D::BitVarying(length) | D::VarBit(length) => (T::Varbit, precision_modifier(*length)),
        D::Interval { fields: None, precision } => (T::Interval, precision_modifier(*precision)),
        D::Array(
            ast::ArrayElemTypeDef::SquareBracket(element, _)
            | ast::ArrayElemTypeDef::Qualified(element, _),
        ) => {
            let (element, typmod) = type_name(element)?;
            return match element.array() {
                Some(array) => Ok((array, typmod)),
                None => Err(SqlError::unsupported(format!("an array of {element}"))),
            };
        }
        D::Custom(name, modifiers) => return custom(name, modifiers),
        other => return Err(SqlError::unsupported(format!("type {}", short_name(other)))),
    };
    Ok((ty, make_typmod(ty, &modifiers)?))
}

fn has_zone(zone: &ast::TimezoneInfo) -> bool {
    matches!(zone, ast::TimezoneInfo::WithTimeZone | ast::TimezoneInfo::Tz)
}

fn float(bits: u64) -> Result<DataType> {
    let invalid = |message: &str| Err(SqlError::new(SqlState::InvalidParameterValue, message));
    match bits {
        0 => invalid("precision for type float must be at least 1 bit"),
        1..=24 => Ok(DataType::Float4),
        25..=53 => Ok(DataType::Float8),
        _ => invalid("precision for type float must be less than 54 bits"),
    }
}

fn numeric(info: &ast::ExactNumberInfo) -> Vec<i64> {
    let clamp = |v: u64| i64::try_from(v).unwrap_or(i64::MAX);
    match info {
        ast::ExactNumberInfo::None => Vec::new(),
        ast::ExactNumberInfo::Precision(precision) => vec![clamp(*precision)],
        ast::ExactNumberInfo::PrecisionAndScale(precision, scale) => {
            vec![clamp(*precision), *scale]
        }
    }
}

fn length_modifier(length: Option<&ast::CharacterLength>) -> Vec<i64> {
    match length {
        Some(ast::CharacterLength::IntegerLength { length, .. }) => {
            vec![i64::try_from(*length).unwrap_or(i64::MAX)]
        }
        _ => Vec::new(),
    }
}

fn precision_modifier(precision: Option<u64>) -> Vec<i64> {
    precision.into_iter().map(|p| i64::try_from(p).unwrap_or(i64::MAX)).collect()
}

/// A name that the parser does not know.
fn custom(name: &ast::ObjectName, modifiers: &[String]) -> Result<(DataType, i32)> {
    use DataType as T;
    let parsed = object_name(name)?;
    let place = |error: SqlError| error.at(parsed.position);
    let lower = parsed.name.to_ascii_lowercase();
    if parsed.schema.as_deref().is_none_or(|schema| schema == "pg_catalog") {
        // In quotes it is the type of one byte.
        let quoted = name
            .0
            .last()
            .and_then(|part| part.as_ident())
            .is_some_and(|last| last.quote_style.is_some() && last.value == "char");
        let known = if quoted { Some(T::Char) } else { DataType::from_name(&parsed.name) };
        if let Some(ty) = known.filter(|ty| !ty.is_pseudo() || *ty == T::Void) {
            let modifiers = modifiers
                .iter()
                .map(|text| text.trim().parse::<i64>())
                .collect::<std::result::Result<Vec<_>, _>>()
                .map_err(|_| {
                    place(SqlError::new(
                        SqlState::SyntaxError,
                        "type modifiers must be simple constants or identifiers",
                    ))
                })?;
            let typmod = make_typmod(ty, &modifiers).map_err(|error| place(error.into()))?;
            return Ok((ty, typmod));
        }
        const KNOWN: &[&str] = &[
            "serial",
            "bigserial",
            "smallserial",
            "serial2",
            "serial4",
            "serial8",
            "xml",
            "point",
            "box",
            "circle",
            "line",
            "lseg",
            "path",
            "polygon",
            "tsvector",
            "tsquery",
            "txid_snapshot",
            "pg_snapshot",
            "refcursor",
            "tid",
            "cid",
        ];
        if KNOWN.contains(&lower.as_str()) {
            let error = SqlError::unsupported(format!("type {lower}"));
            return Err(place(if lower.contains("serial") {
                error.with_hint("Declare the column as bigint and supply its values.")
            } else {
                error
            }));
        }
    }
    let shown = super::as_of::qualified(parsed.schema.as_deref(), &parsed.name);
    let message = format!("type \"{shown}\" does not exist");
    Err(place(SqlError::new(SqlState::UndefinedObject, message)))
}

/// The short name of a type (pg_type.typname), which also names a column that is only a cast.
pub(crate) fn short_name(name: &D) -> String {
    match name {
        D::Custom(name, _) => match name.0.last().and_then(|part| part.as_ident()) {
            Some(last) => ident(last),
            None => name.to_string(),
        },
        D::Array(
            ast::ArrayElemTypeDef::SquareBracket(element, _)
            | ast::ArrayElemTypeDef::Qualified(element, _),
        ) => short_name(element),
        D::Time(_, zone) if has_zone(zone) => "timetz".to_owned(),
        D::Interval { .. } => "interval".to_owned(),
        other => match type_name_only(other) {
            Some(ty) => ty.name().to_owned(),
            None => other.to_string().to_lowercase(),
        },
    }
}

fn type_name_only(name: &D) -> Option<DataType> {
    // `type_name` calls back here only for types that it lacks.
    match name {
        D::Bool
        | D::Boolean
        | D::Int2(None)
        | D::SmallInt(None)
        | D::Int(None)
        | D::Int4(None)
        | D::Integer(None)
        | D::Int8(None)
        | D::BigInt(None)
        | D::Real
        | D::Float4
        | D::Float8
        | D::DoublePrecision
        | D::Float(_)
        | D::Numeric(_)
        | D::Decimal(_)
        | D::Dec(_)
        | D::Text
        | D::Varchar(_)
        | D::CharacterVarying(_)
        | D::CharVarying(_)
        | D::Char(_)
        | D::Character(_)
        | D::Bytea
        | D::Uuid
        | D::Regclass
        | D::Date
        | D::Time(..)
        | D::Bit(_)
        | D::BitVarying(_)
        | D::VarBit(_)
        | D::Timestamp(..) => type_name(name).ok().map(|(ty, _)| ty),
        _ => None,
    }
}
