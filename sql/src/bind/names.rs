//! Names: their case, their length, their parts.

use driftdb_query::{Result, SqlError};
use driftdb_types::SqlState;
use sqlparser::ast;

/// The longest name, in bytes (NAMEDATALEN - 1).
pub(crate) const MAX_NAME_BYTES: usize = 63;

/// A name as the catalog has it: lower case unless quoted, cut to 63 bytes.
pub(crate) fn fold(text: &str, quote: Option<char>) -> String {
    let name = if quote.is_none() { text.to_ascii_lowercase() } else { text.to_owned() };
    truncate(name)
}

/// Cuts a name to its longest length at a character.
pub(crate) fn truncate(mut name: String) -> String {
    if name.len() > MAX_NAME_BYTES {
        let cut = (0..=MAX_NAME_BYTES).rev().find(|at| name.is_char_boundary(*at)).unwrap_or(0);
        name.truncate(cut);
    }
    name
}

/// The name in an identifier.
pub(crate) fn ident(ident: &ast::Ident) -> String {
    fold(&ident.value, ident.quote_style)
}

/// Where an identifier stands.
pub(crate) fn ident_position(ident: &ast::Ident) -> u32 {
    ident.span.start.column as u32
}

/// A name with an optional schema.
pub(crate) struct ObjectName {
    pub(crate) schema: Option<String>,
    pub(crate) name: String,
    /// Where it begins.
    pub(crate) position: u32,
    /// Where its last part begins.
    pub(crate) last: u32,
}

/// Splits a name into schema and name; the database may be named, too.
pub(crate) fn object_name(name: &ast::ObjectName) -> Result<ObjectName> {
    let parts: Option<Vec<&ast::Ident>> = name.0.iter().map(|part| part.as_ident()).collect();
    let parts = parts.unwrap_or_default();
    let (Some(first), Some(last)) = (parts.first(), parts.last()) else {
        return Err(SqlError::new(SqlState::InvalidName, format!("invalid name \"{name}\"")));
    };
    if parts.len() > 3 {
        return Err(SqlError::new(
            SqlState::SyntaxError,
            format!("improper qualified name (too many dotted names): {name}"),
        )
        .at(ident_position(first)));
    }
    Ok(ObjectName {
        schema: parts.len().checked_sub(2).map(|index| ident(parts[index])),
        name: ident(last),
        position: ident_position(first),
        last: ident_position(last),
    })
}

/// Fails if a name says another database than the one we are in.
///
/// # Errors
/// 0A000
pub(crate) fn check_database(name: &ast::ObjectName, database: &str) -> Result<()> {
    let parts: Option<Vec<String>> = name.0.iter().map(|part| part.as_ident().map(ident)).collect();
    match parts.as_deref() {
        Some([first, _, _]) if first != database => {
            let shown = parts.unwrap_or_default().join(".");
            let message = format!("cross-database references are not implemented: \"{shown}\"");
            let error = SqlError::new(SqlState::FeatureNotSupported, message);
            Err(match name.0.first().and_then(|part| part.as_ident()) {
                Some(first) => error.at(ident_position(first)),
                None => error,
            })
        }
        _ => Ok(()),
    }
}

/// The one part of a name that cannot have a schema.
pub(crate) fn simple_name(name: &ast::ObjectName) -> Result<(String, u32)> {
    let name = object_name(name)?;
    Ok((name.name, name.position))
}
