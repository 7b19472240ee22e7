//! Rows to JSON and back: `row_to_json`, `json_populate_record`.
//!
//! Source: PostgreSQL 15, src/backend/utils/adt/jsonfuncs.c, whose texts these are.

use super::table::Builder;
use super::{Kernel, Volatility, mistyped};
use crate::DataType::{self, AnyElement, Bool, Json as JsonType, Jsonb, Record as RecordType};
use crate::json::{Json, parse_json, write_json, write_json_value};
use crate::{Array, EvalContext, Record, SqlState, Value, ValueError, parse_text};

fn row_to_json(args: &[Value], ctx: &EvalContext) -> Result<Value, ValueError> {
    let Value::Record(record) = &args[0] else { return Err(mistyped(&args[0])) };
    let separator: &[u8] = if args.get(1) == Some(&Value::Bool(true)) { b",\n " } else { b"," };
    let mut out = vec![b'{'];
    for (index, (field, value)) in record.pairs().enumerate() {
        if index > 0 {
            out.extend_from_slice(separator);
        }
        crate::json::write_quoted(&field.name, &mut out);
        out.push(b':');
        write_json_value(value, ctx, &mut out);
    }
    out.push(b'}');
    Ok(Value::Json(String::from_utf8_lossy(&out).into_owned().into()))
}

/// A row of the type of the first argument, with what the second says of its columns.
fn populate_record(args: &[Value], ty: DataType, ctx: &EvalContext) -> Result<Value, ValueError> {
    let name = match &args[1] {
        Value::Jsonb(_) => "jsonb_populate_record",
        _ => "json_populate_record",
    };
    if !ty.is_row() {
        let message = format!("first argument of {name} must be a row type");
        return Err(ValueError::new(SqlState::DatatypeMismatch, message));
    }
    let json = match &args[1] {
        Value::Null => return Ok(args[0].clone()),
        Value::Json(text) => parse_json(text)?,
        Value::Jsonb(json) => (**json).clone(),
        other => return Err(mistyped(other)),
    };
    if ty.fields().is_none() && !matches!(args[0], Value::Record(_)) {
        let message = format!("could not determine row type for result of {name}");
        return Err(ValueError::new(SqlState::InvalidParameterValue, message).with_hint(
            "Provide a non-null record argument, or call the function in the FROM clause using a \
             column definition list.",
        ));
    }
    let what = match &json {
        Json::Object(_) => return row_of(&args[0], &json, ty, ctx),
        Json::Array(_) => "an array",
        _ => "a scalar",
    };
    let message = format!("cannot call {name} on {what}");
    Err(ValueError::new(SqlState::InvalidParameterValue, message))
}

fn row_of(
    before: &Value,
    json: &Json,
    ty: DataType,
    ctx: &EvalContext,
) -> Result<Value, ValueError> {
    let Json::Object(pairs) = json else {
        let message = format!("cannot call populate_composite on {}", kind_of(json));
        return Err(ValueError::new(SqlState::InvalidParameterValue, message));
    };
    let before = match before {
        Value::Record(record) => Some(record),
        _ => None,
    };
    let fields = match (ty.fields(), before) {
        (Some(fields), _) => fields,
        (None, Some(record)) => record.fields(),
        (None, None) => return Ok(Value::Null),
    };
    let mut values = Vec::with_capacity(fields.len());
    for (place, field) in fields.iter().enumerate() {
        let own = before.map_or(&Value::Null, |record| &record.values()[place]);
        let said = pairs.iter().rev().find(|(key, _)| *key == field.name).map(|(_, said)| said);
        values.push(match said {
            None => fit(own.clone(), field.ty, ctx)?,
            Some(said) => value_of(own, said, field.ty, field.typmod, ctx)?,
        });
    }
    let record = match Record::of_type(ty, values.clone()) {
        Some(record) => record,
        None => Record::anonymous(fields.clone(), values),
    };
    let row = Value::record(record);
    fit(row, ty, ctx)
}

fn kind_of(json: &Json) -> &'static str {
    if matches!(json, Json::Array(_)) { "an array" } else { "a scalar" }
}

/// Asks a domain about a value.
fn fit(value: Value, ty: DataType, ctx: &EvalContext) -> Result<Value, ValueError> {
    if let Some(domain) = ty.as_domain() {
        domain.check(&value, ctx)?;
    }
    Ok(value)
}

/// A value of a type from JSON.
fn value_of(
    before: &Value,
    json: &Json,
    ty: DataType,
    typmod: i32,
    ctx: &EvalContext,
) -> Result<Value, ValueError> {
    let base = ty.base();
    match json {
        Json::Null => fit(Value::Null, ty, ctx),
        _ if base == Jsonb => fit(Value::jsonb(json.clone()), ty, ctx),
        _ if base == JsonType => {
            let mut out = Vec::new();
            write_json(json, &mut out);
            let text = String::from_utf8_lossy(&out).into_owned();
            fit(Value::Json(text.into()), ty, ctx)
        }
        Json::Object(_) if base.is_row() => {
            let row = row_of(before, json, base, ctx)?;
            fit(row, ty, ctx)
        }
        Json::Array(_) if base.element().is_some() => {
            let element = base.element().unwrap_or(base);
            let array = array_of(json, element, typmod, ctx)?;
            fit(array, ty, ctx)
        }
        Json::String(text) => parse_text(ty, typmod, text, ctx),
        _ if base.element().is_some() => {
            let message = "expected JSON array";
            Err(ValueError::new(SqlState::InvalidTextRepresentation, message))
        }
        other => {
            let mut out = Vec::new();
            write_json(other, &mut out);
            parse_text(ty, typmod, &String::from_utf8_lossy(&out), ctx)
        }
    }
}

/// An array of one dimension, or of arrays in JSON as its text.
fn array_of(
    json: &Json,
    element: DataType,
    typmod: i32,
    ctx: &EvalContext,
) -> Result<Value, ValueError> {
    let Json::Array(items) = json else {
        let message = "expected JSON array";
        return Err(ValueError::new(SqlState::InvalidTextRepresentation, message));
    };
    if items.iter().any(|item| matches!(item, Json::Array(_)))
        && !matches!(element.base(), DataType::Json | Jsonb)
    {
        let message = "JSON arrays of more than one dimension as arrays are not supported";
        return Err(ValueError::new(SqlState::FeatureNotSupported, message));
    }
    let values = items.iter().map(|item| value_of(&Value::Null, item, element, typmod, ctx));
    Ok(Value::array(Array::from_values(element, values.collect::<Result<_, _>>()?)?))
}

pub(super) fn add(t: &mut Builder) {
    t.stable("row_to_json", &[RecordType], JsonType, Kernel::Values(row_to_json));
    t.stable("row_to_json", &[RecordType, Bool], JsonType, Kernel::Values(row_to_json));
    let signatures: [(&'static str, &'static [DataType]); 3] = [
        ("json_populate_record", &[AnyElement, JsonType]),
        ("json_populate_record", &[AnyElement, JsonType, Bool]),
        ("jsonb_populate_record", &[AnyElement, Jsonb]),
    ];
    for (name, args) in signatures {
        let entry = t.add(name, args, AnyElement, Kernel::Typed(populate_record));
        (entry.strict, entry.volatility) = (false, Volatility::Stable);
    }
}
