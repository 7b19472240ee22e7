//! Functions of strings.

use super::table::Builder;
use super::{Kernel, arg};
use crate::DataType::{self, AnyNonArray, Bool, Bpchar, Bytea, Int4, Text, Unknown};
use crate::{EvalContext, SqlState, Value, ValueError, write_text};

/// No string may be longer (PostgreSQL's MaxAllocSize).
pub(super) const MAX_BYTES: usize = 0x3fff_ffff - 4;

/// `requested length too large`
pub(super) fn too_long() -> ValueError {
    ValueError::new(SqlState::ProgramLimitExceeded, "requested length too large")
}

fn negative_length() -> ValueError {
    ValueError::new(SqlState::SubstringError, "negative substring length not allowed")
}

fn count(text: &str) -> Result<i64, ValueError> {
    Ok(if text.is_ascii() { text.len() } else { text.chars().count() } as i64)
}

/// The byte position of a character, or the end.
fn byte_at(text: &str, character: usize) -> usize {
    if text.is_ascii() {
        return character.min(text.len());
    }
    text.char_indices().nth(character).map_or(text.len(), |(at, _)| at)
}

/// The characters from `start` (counting from 1), `length` of them or all.
pub(super) fn substring(text: &str, start: i64, length: Option<i64>) -> Result<&str, ValueError> {
    let end = match length {
        Some(length) if length < 0 => return Err(negative_length()),
        Some(length) => start.saturating_add(length),
        None => i64::MAX,
    };
    let first = start.max(1);
    if end <= first {
        return Ok("");
    }
    let from = byte_at(text, usize::try_from(first - 1).unwrap_or(usize::MAX));
    let rest = &text[from..];
    let to = byte_at(rest, usize::try_from(end - first).unwrap_or(usize::MAX));
    Ok(&rest[..to])
}

/// `overlay(text placing new from start for length)`
fn overlay(text: &str, new: &str, start: i64, length: i64) -> Result<Value, ValueError> {
    if start <= 0 {
        return Err(negative_length());
    }
    let end = overlay_end(start, length)?;
    let head = substring(text, 1, Some(start - 1))?;
    let tail = substring(text, end, None)?;
    Ok(Value::text(format!("{head}{new}{tail}")))
}

/// Where what follows the replaced part begins.
///
/// # Errors
/// 22003 beyond the range of `int4`.
pub(super) fn overlay_end(start: i64, length: i64) -> Result<i64, ValueError> {
    let end = start.saturating_add(length);
    match i32::try_from(end) {
        Ok(_) => Ok(end),
        Err(_) => Err(ValueError::out_of_range("integer")),
    }
}

/// The number of characters `left` and `right` keep; negative counts leave off at the other end.
fn kept(text: &str, n: i64) -> Result<i64, ValueError> {
    Ok(if n >= 0 { n } else { (count(text)? + n).max(0) })
}

fn pad(args: &[Value], at_left: bool) -> Result<Value, ValueError> {
    let text = arg::text(args, 0)?;
    let length = arg::int(args, 1)?.max(0);
    let fill = if args.len() > 2 { arg::text(args, 2)? } else { " " };
    let present = count(text)?;
    if present >= length {
        return Ok(Value::text(substring(text, 1, Some(length))?));
    }
    if fill.is_empty() {
        return Ok(Value::text(text));
    }
    let missing = (length - present) as usize;
    let widest = fill.chars().map(char::len_utf8).max().unwrap_or(1);
    if missing.saturating_mul(widest).saturating_add(text.len()) > MAX_BYTES {
        return Err(too_long());
    }
    let padding: String = fill.chars().cycle().take(missing).collect();
    Ok(Value::text(if at_left { padding + text } else { format!("{text}{padding}") }))
}

fn trim(args: &[Value], left: bool, right: bool) -> Result<Value, ValueError> {
    let text = arg::text(args, 0)?;
    let set = if args.len() > 1 { arg::text(args, 1)? } else { " " };
    let text = if left { text.trim_start_matches(|c| set.contains(c)) } else { text };
    let text = if right { text.trim_end_matches(|c| set.contains(c)) } else { text };
    Ok(Value::text(text))
}

fn initcap(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut in_word = false;
    for c in text.chars() {
        if in_word {
            out.extend(c.to_lowercase());
        } else {
            out.extend(c.to_uppercase());
        }
        in_word = c.is_alphanumeric();
    }
    out
}

fn position(text: &str, part: &str) -> Result<i64, ValueError> {
    Ok(match text.find(part) {
        Some(at) => count(&text[..at])? + 1,
        None => 0,
    })
}

fn repeat(text: &str, times: i64) -> Result<Value, ValueError> {
    let times = usize::try_from(times.max(0)).unwrap_or(0);
    if text.len().saturating_mul(times) > MAX_BYTES {
        return Err(too_long());
    }
    Ok(Value::text(text.repeat(times)))
}

fn replace(text: &str, from: &str, to: &str) -> Result<Value, ValueError> {
    if from.is_empty() {
        return Ok(Value::text(text));
    }
    if to.len() > from.len() {
        let growth = text.matches(from).count().saturating_mul(to.len() - from.len());
        if growth.saturating_add(text.len()) > MAX_BYTES {
            return Err(too_long());
        }
    }
    Ok(Value::text(text.replace(from, to)))
}

fn translate(text: &str, from: &str, to: &str) -> String {
    let from: Vec<char> = from.chars().collect();
    let to: Vec<char> = to.chars().collect();
    let map = |c: char| match from.iter().position(|other| *other == c) {
        Some(index) => to.get(index).copied(),
        None => Some(c),
    };
    text.chars().filter_map(map).collect()
}

fn split_part(text: &str, delimiter: &str, field: i64) -> Result<Value, ValueError> {
    if field == 0 {
        return Err(ValueError::invalid_parameter("field position must not be zero"));
    }
    if text.is_empty() {
        return Ok(Value::text(""));
    }
    if delimiter.is_empty() {
        return Ok(Value::text(if field == 1 || field == -1 { text } else { "" }));
    }
    let index = usize::try_from(field.unsigned_abs() - 1).unwrap_or(usize::MAX);
    let part = if field > 0 {
        text.split(delimiter).nth(index)
    } else {
        text.rsplit(delimiter).nth(index)
    };
    Ok(Value::text(part.unwrap_or("")))
}

fn chr(code: i64) -> Result<Value, ValueError> {
    let limit = |text: String| ValueError::new(SqlState::ProgramLimitExceeded, text);
    if code < 0 {
        return Err(ValueError::invalid_parameter("character number must be positive"));
    }
    if code == 0 {
        return Err(limit("null character not permitted".to_owned()));
    }
    if code > 0x10_ffff {
        return Err(limit(format!("requested character too large for encoding: {code}")));
    }
    match u32::try_from(code).ok().and_then(char::from_u32) {
        Some(c) => Ok(Value::text(c.to_string())),
        None => Err(limit(format!("requested character not valid for encoding: {code}"))),
    }
}

/// Appends the text of any value.
pub(super) fn append(value: &Value, ctx: &EvalContext, out: &mut Vec<u8>) {
    write_text(value, value.data_type(), ctx, out);
}

/// Bytes that were written as text.
pub(super) fn into_text(out: Vec<u8>) -> Value {
    Value::text(String::from_utf8_lossy(&out).into_owned())
}

pub(super) fn concat(args: &[Value], ctx: &EvalContext) -> Result<Value, ValueError> {
    let mut out = Vec::new();
    args.iter().for_each(|value| append(value, ctx, &mut out));
    Ok(into_text(out))
}

pub(super) fn concat_ws(args: &[Value], ctx: &EvalContext) -> Result<Value, ValueError> {
    let Value::Text(separator) = &args[0] else { return Ok(Value::Null) };
    let mut out = Vec::new();
    let mut first = true;
    for value in args[1..].iter().filter(|value| !value.is_null()) {
        if !first {
            out.extend(separator.as_bytes());
        }
        first = false;
        append(value, ctx, &mut out);
    }
    Ok(into_text(out))
}

fn lengths(t: &mut Builder) {
    for name in ["length", "char_length", "character_length"] {
        t.add(name, &[Text], Int4, Kernel::TextToInt(count));
        t.add(
            name,
            &[Bpchar],
            Int4,
            Kernel::TextToInt(|text| count(crate::compare::trim_blanks(text))),
        );
    }
    t.add("octet_length", &[Text], Int4, Kernel::TextToInt(|text| Ok(text.len() as i64)));
    t.add("octet_length", &[Bpchar], Int4, Kernel::TextToInt(|text| Ok(text.len() as i64)));
    t.add("bit_length", &[Text], Int4, Kernel::TextToInt(|text| Ok(text.len() as i64 * 8)));
    t.add(
        "ascii",
        &[Text],
        Int4,
        Kernel::TextToInt(|text| Ok(text.chars().next().map_or(0, |c| i64::from(u32::from(c))))),
    );
}

pub(super) fn add(t: &mut Builder) {
    lengths(t);
    let mut text = |name: &'static str, args: &'static [DataType], kernel| {
        t.add(name, args, Text, Kernel::Values(kernel));
    };
    const ONE: &[DataType] = &[Text];
    const TWO: &[DataType] = &[Text, Text];
    const COUNTED: &[DataType] = &[Text, Int4];
    text("lower", ONE, |args, _| Ok(Value::text(arg::text(args, 0)?.to_lowercase())));
    text("upper", ONE, |args, _| Ok(Value::text(arg::text(args, 0)?.to_uppercase())));
    text("initcap", ONE, |args, _| Ok(Value::text(initcap(arg::text(args, 0)?))));
    text("reverse", ONE, |args, _| {
        Ok(Value::text(arg::text(args, 0)?.chars().rev().collect::<String>()))
    });
    for name in ["substr", "substring"] {
        text(name, COUNTED, |args, _| {
            Ok(Value::text(substring(arg::text(args, 0)?, arg::int(args, 1)?, None)?))
        });
        text(name, &[Text, Int4, Int4], |args, _| {
            let length = arg::int(args, 2)?;
            Ok(Value::text(substring(arg::text(args, 0)?, arg::int(args, 1)?, Some(length))?))
        });
    }
    text("left", COUNTED, |args, _| {
        let text = arg::text(args, 0)?;
        Ok(Value::text(substring(text, 1, Some(kept(text, arg::int(args, 1)?)?))?))
    });
    text("right", COUNTED, |args, _| {
        let text = arg::text(args, 0)?;
        let start = count(text)? - kept(text, arg::int(args, 1)?)?;
        Ok(Value::text(substring(text, start.max(0) + 1, None)?))
    });
    text("lpad", COUNTED, |args, _| pad(args, true));
    text("lpad", &[Text, Int4, Text], |args, _| pad(args, true));
    text("rpad", COUNTED, |args, _| pad(args, false));
    text("rpad", &[Text, Int4, Text], |args, _| pad(args, false));
    for args in [ONE, TWO] {
        text("btrim", args, |args, _| trim(args, true, true));
        text("ltrim", args, |args, _| trim(args, true, false));
        text("rtrim", args, |args, _| trim(args, false, true));
    }
    text("repeat", COUNTED, |args, _| repeat(arg::text(args, 0)?, arg::int(args, 1)?));
    text("replace", &[Text, Text, Text], |args, _| {
        replace(arg::text(args, 0)?, arg::text(args, 1)?, arg::text(args, 2)?)
    });
    text("translate", &[Text, Text, Text], |args, _| {
        let (from, to) = (arg::text(args, 1)?, arg::text(args, 2)?);
        Ok(Value::text(translate(arg::text(args, 0)?, from, to)))
    });
    text("split_part", &[Text, Text, Int4], |args, _| {
        split_part(arg::text(args, 0)?, arg::text(args, 1)?, arg::int(args, 2)?)
    });
    text("overlay", &[Text, Text, Int4], |args, _| {
        let new = arg::text(args, 1)?;
        overlay(arg::text(args, 0)?, new, arg::int(args, 2)?, count(new)?)
    });
    text("overlay", &[Text, Text, Int4, Int4], |args, _| {
        let (start, length) = (arg::int(args, 2)?, arg::int(args, 3)?);
        overlay(arg::text(args, 0)?, arg::text(args, 1)?, start, length)
    });
    text("chr", &[Int4], |args, _| chr(arg::int(args, 0)?));
    text("||", TWO, |args, _| Ok(Value::text([arg::text(args, 0)?, arg::text(args, 1)?].concat())));
    for name in ["position", "strpos"] {
        t.add(
            name,
            TWO,
            Int4,
            Kernel::Values(|args, _| {
                Value::from_int(Int4, position(arg::text(args, 0)?, arg::text(args, 1)?)?)
            }),
        );
    }
    for name in ["starts_with", "^@"] {
        t.add(name, TWO, Bool, Kernel::TextCompare(|text, start| text.starts_with(start)));
    }
    // Strings joined to anything: the other side is printed.
    t.stable("||", &[Text, AnyNonArray], Text, Kernel::Values(concat));
    t.stable("||", &[AnyNonArray, Text], Text, Kernel::Values(concat));
    t.add(
        "||",
        &[Bytea, Bytea],
        Bytea,
        Kernel::Values(|args, _| {
            Ok(Value::Bytea([arg::bytes(args, 0)?, arg::bytes(args, 1)?].concat().into()))
        }),
    );
    let all = t.add("concat", &[], Text, Kernel::Values(concat));
    all.variadic = Some(Unknown);
    all.strict = false;
    all.volatility = super::Volatility::Stable;
    let joined = t.add("concat_ws", ONE, Text, Kernel::Values(concat_ws));
    joined.variadic = Some(Unknown);
    joined.strict = false;
    joined.volatility = super::Volatility::Stable;
}
