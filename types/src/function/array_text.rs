//! Arrays joined to strings, and strings split to arrays.

use super::table::Builder;
use super::{Kernel, Volatility, arg};
use crate::DataType::{self, AnyArray, Text};
use crate::io::write_text;
use crate::{Array, EvalContext, Value, ValueError};

const TEXTS: DataType = DataType::Array(crate::Element::Text);

/// `array_to_string`: NULLs are left out, or stand as the third argument.
fn join(args: &[Value], ctx: &EvalContext) -> Result<Value, ValueError> {
    if args[0].is_null() || args[1].is_null() {
        return Ok(Value::Null);
    }
    let array = arg::array(args, 0)?;
    let delimiter = arg::text(args, 1)?;
    let null = args.get(2).and_then(Value::as_str);
    let mut out = Vec::new();
    let mut is_first = true;
    for value in array.values() {
        if value.is_null() && null.is_none() {
            continue;
        }
        if !std::mem::take(&mut is_first) {
            out.extend(delimiter.as_bytes());
        }
        match null {
            Some(null) if value.is_null() => out.extend(null.as_bytes()),
            _ => write_text(value, array.element(), ctx, &mut out),
        }
    }
    Ok(super::string::into_text(out))
}

/// The parts of a text: the characters without a delimiter, the whole with an empty one.
pub(crate) fn split<'a>(text: &'a str, delimiter: Option<&'a str>) -> Vec<&'a str> {
    match delimiter {
        _ if text.is_empty() => Vec::new(),
        None => text.char_indices().map(|(at, c)| &text[at..at + c.len_utf8()]).collect(),
        Some("") => vec![text],
        Some(delimiter) => text.split(delimiter).collect(),
    }
}

/// `string_to_array`: parts that are the third argument become NULL.
fn divide(args: &[Value], _: &EvalContext) -> Result<Value, ValueError> {
    if args[0].is_null() {
        return Ok(Value::Null);
    }
    let null = args.get(2).and_then(Value::as_str);
    let parts = split(arg::text(args, 0)?, args[1].as_str());
    let value = |part: &str| if null == Some(part) { Value::Null } else { Value::text(part) };
    Ok(Value::array(Array::from_values(Text, parts.into_iter().map(value).collect())?))
}

pub(super) fn add(t: &mut Builder) {
    for args in [&[AnyArray, Text][..], &[AnyArray, Text, Text]] {
        let entry = t.add("array_to_string", args, Text, Kernel::Values(join));
        entry.strict = false;
        entry.volatility = Volatility::Stable;
    }
    for args in [&[Text, Text][..], &[Text, Text, Text]] {
        t.add("string_to_array", args, TEXTS, Kernel::Values(divide)).strict = false;
    }
}
