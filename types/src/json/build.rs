//! Any value as JSON: `to_json`, `to_jsonb`.

use super::{Json, parse_json, write_json, write_quoted};
use crate::io::write_text;
use crate::{Array, DataType, DateFormat, EvalContext, Record, Value, ValueError};

/// The text of a value that becomes a string. Dates and times are written as ISO 8601 has them.
fn string_of(value: &Value, ctx: &EvalContext) -> String {
    let mut out = Vec::new();
    let is_instant = matches!(value, Value::Timestamp(_) | Value::Timestamptz(_));
    if is_instant || matches!(value, Value::Date(_)) {
        let iso = EvalContext { date_format: DateFormat::Iso, ..ctx.clone() };
        write_text(value, value.data_type(), &iso, &mut out);
    } else {
        write_text(value, value.data_type(), ctx, &mut out);
    }
    let text = String::from_utf8_lossy(&out).into_owned();
    if !is_instant {
        return text;
    }
    let mut text = text.replacen(' ', "T", 1);
    // An offset has minutes.
    if matches!(value, Value::Timestamptz(_)) {
        let end = text.find(" BC").unwrap_or(text.len());
        let sign = text[..end].rfind(['+', '-']).filter(|sign| *sign > 10);
        if let Some(sign) = sign
            && !text[sign..end].contains(':')
        {
            text.insert_str(end, ":00");
        }
    }
    text
}

/// Appends a value as `json`.
pub(crate) fn write_json_value(value: &Value, ctx: &EvalContext, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend(b"null"),
        Value::Bool(v) => out.extend(if *v { &b"true"[..] } else { b"false" }),
        Value::Json(text) => out.extend(text.as_bytes()),
        Value::Jsonb(json) => write_json(json, out),
        Value::Array(array) => write_array(array, ctx, out),
        Value::Record(record) => write_record(record, ctx, out),
        Value::Int2(_) | Value::Int4(_) | Value::Int8(_) => {
            write_text(value, value.data_type(), ctx, out);
        }
        Value::Numeric(number) if number.is_finite() => number.write(out),
        Value::Float4(v) if v.is_finite() => write_text(value, DataType::Float4, ctx, out),
        Value::Float8(v) if v.is_finite() => write_text(value, DataType::Float8, ctx, out),
        _ => write_quoted(&string_of(value, ctx), out),
    }
}

/// A row as an object.
fn write_record(record: &Record, ctx: &EvalContext, out: &mut Vec<u8>) {
    out.push(b'{');
    for (index, (field, value)) in record.pairs().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_quoted(&field.name, out);
        out.push(b':');
        write_json_value(value, ctx, out);
    }
    out.push(b'}');
}

fn write_array(array: &Array, ctx: &EvalContext, out: &mut Vec<u8>) {
    if array.is_empty() {
        out.extend(b"[]");
        return;
    }
    let mut sizes: Vec<usize> = Vec::with_capacity(array.dimensions().len());
    for dimension in array.dimensions().iter().rev() {
        sizes.push(sizes.last().copied().unwrap_or(1) * dimension.length as usize);
    }
    for (index, value) in array.values().iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        let opened = sizes.iter().filter(|size| index % **size == 0).count();
        out.extend(std::iter::repeat_n(b'[', opened));
        write_json_value(value, ctx, out);
        let closed = sizes.iter().filter(|size| (index + 1) % **size == 0).count();
        out.extend(std::iter::repeat_n(b']', closed));
    }
}

/// A value as `jsonb`.
///
/// # Errors
/// What reading a `json` raises.
pub(crate) fn to_json(value: &Value, ctx: &EvalContext) -> Result<Json, ValueError> {
    Ok(match value {
        Value::Null => Json::Null,
        Value::Bool(v) => Json::Bool(*v),
        Value::Jsonb(json) => (**json).clone(),
        Value::Numeric(number) if number.is_finite() => Json::Number(number.clone()),
        Value::Text(text) => Json::String(text.clone()),
        other => {
            let mut out = Vec::new();
            write_json_value(other, ctx, &mut out);
            parse_json(&String::from_utf8_lossy(&out))?
        }
    })
}
