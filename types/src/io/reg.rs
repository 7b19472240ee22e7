//! Identifiers that are read and shown as names: `regclass` and its kin.
//!
//! Digits are an identifier and `-` is none. Anything else is a name, which the session looks up
//! ([`CatalogQuestion::Read`]); an identifier of nothing is shown as its digits.

use super::integer::{parse_oid, write_int};
use crate::actions::CatalogQuestion;
use crate::{DataType, EvalContext, Value, ValueError};

/// Reads one.
///
/// # Errors
/// There is no such object.
pub(super) fn parse_reg(ty: DataType, text: &str, ctx: &EvalContext) -> Result<Value, ValueError> {
    let trimmed = text.trim();
    if trimmed == "-" {
        return Ok(Value::Oid(0));
    }
    if !trimmed.is_empty() && trimmed.bytes().all(|byte| byte.is_ascii_digit()) {
        return parse_oid(trimmed).map(Value::Oid);
    }
    if ty == DataType::Regtype
        && let Some(named) = DataType::from_name(trimmed)
    {
        return Ok(Value::Oid(named.oid()));
    }
    ctx.actions.ask(CatalogQuestion::Read(ty), &[Value::text(trimmed)])
}

/// Appends one.
pub(super) fn write_reg(oid: u32, ty: DataType, ctx: &EvalContext, out: &mut Vec<u8>) {
    if oid == 0 {
        return out.push(b'-');
    }
    if ty == DataType::Regtype
        && let Some(named) = DataType::from_oid(oid)
    {
        return out.extend(named.sql_name().as_bytes());
    }
    match ctx.actions.ask(CatalogQuestion::Name(ty), &[Value::Oid(oid)]) {
        Ok(Value::Text(name)) => out.extend(name.as_bytes()),
        _ => write_int(i64::from(oid), out),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{parse_text, write_text};
    use super::*;

    fn check(ty: DataType, text: &str, oid: u32, shown: &str) {
        let ctx = EvalContext::default();
        let value = parse_text(ty, -1, text, &ctx).unwrap();
        assert_eq!(value, Value::Oid(oid), "{text}");
        let mut out = Vec::new();
        write_text(&value, ty, &ctx, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), shown);
    }

    #[test]
    fn what_needs_no_catalog_is_read_and_shown() {
        check(DataType::Regclass, " 12 ", 12, "12");
        check(DataType::Regclass, "-", 0, "-");
        check(DataType::Regtype, "int4", 23, "integer");
        check(DataType::Regtype, "1043", 1043, "character varying");
        check(DataType::Regtype, "character varying", 1043, "character varying");
        check(DataType::Regtype, "text[]", 1009, "text[]");
        let error = parse_text(DataType::Regclass, -1, "t", &EvalContext::default()).unwrap_err();
        assert_eq!(error.state.code(), "0A000");
    }
}
