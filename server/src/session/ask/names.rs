//! Names in texts that functions are given, and names that they give.

use driftdb_query::SYSTEM_SCHEMA;
use driftdb_types::{DataType, SqlState, Value, ValueError};

use crate::session::system::{fixed_functions, fixed_type_name, fixed_type_named};

/// A name with an optional schema.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Qualified {
    pub(super) schema: Option<String>,
    pub(super) name: String,
}

impl Qualified {
    /// As messages say it.
    pub(super) fn display(&self) -> String {
        match &self.schema {
            Some(schema) => format!("{schema}.{}", self.name),
            None => self.name.clone(),
        }
    }
}

/// Reads `a`, `"A"`, `s.a`, `d.s.a`.
///
/// # Errors
/// 42602 for what is no name.
pub(super) fn qualified(text: &str) -> Result<Qualified, ValueError> {
    let invalid = || ValueError::new(SqlState::InvalidName, "invalid name syntax");
    let mut parts = Vec::new();
    let mut rest = text.trim();
    loop {
        let (part, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_part(quoted).ok_or_else(invalid)?,
            None => {
                let end = rest.find(['.', '"']).unwrap_or(rest.len());
                let word = rest[..end].trim();
                let is_name = |c: char| c == '_' || c == '$' || c.is_alphanumeric();
                if word.is_empty() || !word.chars().all(is_name) {
                    return Err(invalid());
                }
                (word.to_ascii_lowercase(), &rest[end..])
            }
        };
        parts.push(part);
        let after = after.trim_start();
        if after.is_empty() {
            break;
        }
        rest = after.strip_prefix('.').ok_or_else(invalid)?.trim_start();
    }
    if parts.len() > 3 {
        let message = "improper relation name (too many dotted names)";
        return Err(ValueError::new(SqlState::SyntaxError, message));
    }
    let name = parts.pop().ok_or_else(invalid)?;
    Ok(Qualified { schema: parts.pop(), name })
}

/// A part in quotes, from after the first of them; and what follows.
fn quoted_part(text: &str) -> Option<(String, &str)> {
    let mut part = String::new();
    let mut rest = text;
    loop {
        let end = rest.find('"')?;
        part.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(after) => {
                part.push('"');
                rest = after;
            }
            None if part.is_empty() => return None,
            None => return Some((part, rest)),
        }
    }
}

/// A type by its identifier, as signatures name it.
pub(super) fn type_name(oid: u32) -> String {
    match (DataType::from_oid(oid), oid) {
        (Some(ty), _) => ty.sql_name().to_owned(),
        (None, 2276) => "\"any\"".to_owned(),
        (None, 2275) => "cstring".to_owned(),
        (None, 2281) => "internal".to_owned(),
        _ => "???".to_owned(),
    }
}

/// A type by name, of those too that this build only knows by name.
pub(super) fn type_oid(text: &str) -> Option<u32> {
    let name = text.trim();
    let name = name.strip_prefix("pg_catalog.").unwrap_or(name).to_ascii_lowercase();
    DataType::from_name(&name).map(DataType::oid).or_else(|| fixed_type_named(&name))
}

/// The name of a type that this build only knows by name.
pub(super) fn other_type_name(oid: u32) -> Option<&'static str> {
    fixed_type_name(oid)
}

/// A function by a name that only one has.
///
/// # Errors
/// 42883 for none, 42725 for several.
pub(super) fn function_oid(text: &str) -> Result<Value, ValueError> {
    let name = qualified(text)?;
    let of_system = name.schema.as_deref().is_none_or(|schema| schema == SYSTEM_SCHEMA);
    let mut found = fixed_functions().iter().filter(|f| of_system && f.name == name.name);
    match (found.next(), found.next()) {
        (Some(function), None) => Ok(Value::Oid(function.oid)),
        (None, _) => {
            let message = format!("function \"{}\" does not exist", name.display());
            Err(ValueError::new(SqlState::UndefinedFunction, message))
        }
        _ => {
            let message = format!("more than one function named \"{}\"", name.display());
            Err(ValueError::new(SqlState::AmbiguousFunction, message))
        }
    }
}

/// A function by `name(type, …)`.
///
/// # Errors
/// 42883 for none, 22P02 for what is no signature.
pub(super) fn procedure_oid(text: &str) -> Result<Value, ValueError> {
    let undefined = || {
        let message = format!("function \"{text}\" does not exist");
        ValueError::new(SqlState::UndefinedFunction, message)
    };
    let (name, args) = text.trim().split_once('(').ok_or_else(|| {
        ValueError::new(SqlState::InvalidTextRepresentation, "expected a left parenthesis")
    })?;
    let name = qualified(name)?;
    let args = args.trim_end().strip_suffix(')').ok_or_else(|| {
        ValueError::new(SqlState::InvalidTextRepresentation, "expected a right parenthesis")
    })?;
    let args = match args.trim() {
        "" => Some(Vec::new()),
        args => args.split(',').map(type_oid).collect(),
    };
    let found = args.and_then(|args| {
        fixed_functions()
            .iter()
            .find(|function| function.name == name.name && function.args == args)
    });
    found.map(|function| Value::Oid(function.oid)).ok_or_else(undefined)
}

/// A function's name; with its schema where others have the name.
pub(super) fn function_name(oid: u32) -> Option<String> {
    let function = fixed_functions().iter().find(|function| function.oid == oid)?;
    let name = super::definition::quoted(function.name);
    let count = fixed_functions().iter().filter(|other| other.name == function.name).count();
    Some(if count == 1 { name } else { format!("{SYSTEM_SCHEMA}.{name}") })
}

/// The types of arguments, without blanks.
pub(super) fn type_list_tight(oids: &[u32]) -> String {
    oids.iter().map(|oid| type_name(*oid)).collect::<Vec<_>>().join(",")
}

/// The types of arguments.
pub(super) fn type_list(oids: &[u32]) -> String {
    oids.iter().map(|oid| type_name(*oid)).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, schema: Option<&str>, name: &str) {
        let expected = Qualified { schema: schema.map(str::to_owned), name: name.to_owned() };
        assert_eq!(qualified(text).unwrap(), expected, "{text}");
    }

    #[test]
    fn names_are_read_as_in_postgres() {
        check("Tab", None, "tab");
        check(" \"Tab\" ", None, "Tab");
        check("public . \"a\"\"b.c\"", Some("public"), "a\"b.c");
        check("driftdb.public.t", Some("public"), "t");
        for text in ["", ".", "a.", "a b", "\"a", "\"\"", "a.b.c.d", "a-b", "\"a\"b"] {
            assert!(qualified(text).is_err(), "{text}");
        }
    }
}
