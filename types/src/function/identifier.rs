//! Identifiers and escapes as text: `parse_ident`, `unistr`.

use super::table::Builder;
use super::{Kernel, arg};
use crate::DataType::{self, Bool, Text};
use crate::{Array, Element, EvalContext, SqlState, Value, ValueError};

/// The start of an unquoted identifier (`is_ident_start`).
fn starts_identifier(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_' || !c.is_ascii()
}

fn continues_identifier(c: char) -> bool {
    starts_identifier(c) || c.is_ascii_digit() || c == '$'
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0c')
}

/// `parse_ident(text [, strict])`: the parts of a qualified name.
fn parse_ident(args: &[Value], _: &EvalContext) -> Result<Value, ValueError> {
    let text = arg::text(args, 0)?;
    let strict = args.get(1).is_none_or(|strict| *strict == Value::Bool(true));
    let invalid = |detail: Option<&str>| {
        let message = format!("string is not a valid identifier: \"{text}\"");
        let error = ValueError::invalid_parameter(message);
        match detail {
            Some(detail) => error.with_detail(detail),
            None => error,
        }
    };
    let mut parts = Vec::new();
    let mut rest = text.trim_start_matches(is_blank);
    let mut after_dot = false;
    loop {
        let missing = match rest.chars().next() {
            Some('"') => {
                let (part, after) = quoted(&rest[1..])
                    .ok_or_else(|| invalid(Some("String has unclosed double quotes.")))?;
                if part.is_empty() {
                    return Err(invalid(Some("Quoted identifier must not be empty.")));
                }
                parts.push(Value::text(part));
                rest = after;
                false
            }
            Some(c) if starts_identifier(c) => {
                let end = rest.find(|c| !continues_identifier(c)).unwrap_or(rest.len());
                parts.push(Value::text(rest[..end].to_ascii_lowercase()));
                rest = &rest[end..];
                false
            }
            _ => true,
        };
        if missing {
            return Err(match rest.chars().next() {
                Some('.') => invalid(Some("No valid identifier before \".\".")),
                _ if after_dot => invalid(Some("No valid identifier after \".\".")),
                _ => invalid(None),
            });
        }
        rest = rest.trim_start_matches(is_blank);
        match rest.strip_prefix('.') {
            Some(after) => {
                after_dot = true;
                rest = after.trim_start_matches(is_blank);
            }
            None if rest.is_empty() || !strict => break,
            None => return Err(invalid(None)),
        }
    }
    Ok(Value::array(Array::from_values(Text, parts)?))
}

/// What stands between double quotes, of which two are one, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
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
            None => return Some((part, rest)),
        }
    }
}

/// `unistr(text)`: `\XXXX`, `\+XXXXXX`, `\uXXXX`, `\UXXXXXXXX` and `\\`.
fn unistr(args: &[Value], _: &EvalContext) -> Result<Value, ValueError> {
    let invalid = |message: &str| ValueError::new(SqlState::SyntaxError, message);
    let text = arg::text(args, 0)?;
    let mut out = String::with_capacity(text.len());
    let mut high: Option<u32> = None;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if c != '\\' || rest[1..].starts_with('\\') {
            if high.is_some() {
                return Err(invalid("invalid Unicode surrogate pair"));
            }
            out.push(c);
            rest = &rest[if c == '\\' { 2 } else { c.len_utf8() }..];
            continue;
        }
        let after = &rest[1..];
        let (prefix, digits) = match after.bytes().next() {
            Some(b'u') => (1, 4),
            Some(b'U') => (1, 8),
            Some(b'+') => (1, 6),
            _ => (0, 4),
        };
        let code = after
            .get(prefix..prefix + digits)
            .filter(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let code = code.and_then(|hex| u32::from_str_radix(hex, 16).ok()).ok_or_else(|| {
            invalid("invalid Unicode escape")
                .with_hint("Unicode escapes must be \\XXXX, \\+XXXXXX, \\uXXXX, or \\UXXXXXXXX.")
        })?;
        rest = &after[prefix + digits..];
        if code == 0 || code > 0x10_ffff {
            let message = format!("invalid Unicode code point: {code:04X}");
            return Err(ValueError::invalid_parameter(message));
        }
        match (high.take(), code) {
            (None, 0xd800..=0xdbff) => high = Some(code),
            (Some(high), 0xdc00..=0xdfff) => {
                let code = 0x1_0000 + ((high - 0xd800) << 10) + (code - 0xdc00);
                out.extend(char::from_u32(code));
            }
            (Some(_), _) | (None, 0xdc00..=0xdfff) => {
                return Err(invalid("invalid Unicode surrogate pair"));
            }
            (None, _) => out.extend(char::from_u32(code)),
        }
    }
    if high.is_some() {
        return Err(invalid("invalid Unicode surrogate pair"));
    }
    Ok(Value::text(out))
}

pub(super) fn add(t: &mut Builder) {
    const PARTS: DataType = DataType::Array(Element::Text);
    t.add("parse_ident", &[Text], PARTS, Kernel::Values(parse_ident));
    t.add("parse_ident", &[Text, Bool], PARTS, Kernel::Values(parse_ident));
    t.add("unistr", &[Text], Text, Kernel::Values(unistr));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart() {
        let ctx = EvalContext::default();
        let parts = |text: &str| parse_ident(&[Value::text(text)], &ctx);
        let array = parts("Foo.\"Ba\"\"r\" . baz").unwrap();
        let found: Vec<_> =
            array.as_array().unwrap().values().iter().filter_map(Value::as_str).collect();
        assert_eq!(found, ["foo", "Ba\"r", "baz"]);
        for wrong in ["", " ", ".a", "a.", "a b", "1", "\"a", "\"\""] {
            assert_eq!(parts(wrong).unwrap_err().state, SqlState::InvalidParameterValue);
        }
    }
}
