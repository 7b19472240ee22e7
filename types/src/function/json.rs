//! Taking JSON apart: `->`, `->>`, `#>`, `#>>`, containment, and what a value is.
//!
//! An operator gives what it finds in the type that it looked in: of `json` the text as it stands there.

use super::table::Builder;
use super::{Kernel, arg, mistyped};
use crate::DataType::{self, Bool, Int4, Text};
use crate::json::{Json, Reader, place, scalar_text, write_json, write_pretty};
use crate::{Array, Element, EvalContext, SqlState, Value, ValueError};

pub(super) const TEXTS: DataType = DataType::Array(Element::Text);
const JSONS: DataType = DataType::Array(Element::Json);
const JSONBS: DataType = DataType::Array(Element::Jsonb);

/// What is looked for.
enum Step<'a> {
    Key(&'a str),
    Index(i64),
}

/// The members of an object, as they stand in a text; nothing if it is none.
pub(super) fn raw_fields(text: &str) -> Result<Option<Vec<(String, &str)>>, ValueError> {
    let mut reader = Reader::new(text);
    if !reader.accept(b'{') {
        return Ok(None);
    }
    let mut fields = Vec::new();
    while !reader.accept(b'}') {
        reader.accept(b',');
        reader.peek();
        let key = reader.string(true)?;
        reader.accept(b':');
        fields.push((key, reader.raw()?));
    }
    Ok(Some(fields))
}

/// The elements of an array, as they stand in a text; nothing if it is none.
pub(super) fn raw_elements(text: &str) -> Result<Option<Vec<&str>>, ValueError> {
    let mut reader = Reader::new(text);
    if !reader.accept(b'[') {
        return Ok(None);
    }
    let mut elements = Vec::new();
    while !reader.accept(b']') {
        reader.accept(b',');
        elements.push(reader.raw()?);
    }
    Ok(Some(elements))
}

fn raw_step<'a>(text: &'a str, step: &Step<'_>) -> Result<Option<&'a str>, ValueError> {
    Ok(match step {
        Step::Key(key) => raw_fields(text)?.and_then(|fields| {
            fields.into_iter().rev().find(|(known, _)| known == key).map(|(_, raw)| raw)
        }),
        Step::Index(index) => raw_elements(text)?
            .and_then(|elements| place(*index, elements.len()).map(|at| elements[at])),
    })
}

fn step<'a>(json: &'a Json, step: &Step<'_>) -> Option<&'a Json> {
    match step {
        Step::Key(key) => json.field(key),
        Step::Index(index) => json.element(*index),
    }
}

/// A found value in the type of what it was found in, or as text.
fn found_raw(raw: Option<&str>, as_text: bool) -> Result<Value, ValueError> {
    Ok(match raw {
        None => Value::Null,
        Some(raw) if as_text => scalar_text(raw)?.map_or(Value::Null, Value::text),
        Some(raw) => Value::Json(raw.into()),
    })
}

/// A value as `->>` gives it.
pub(super) fn text_of(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::String(text) => Value::Text(text.clone()),
        other => {
            let mut out = Vec::new();
            write_json(other, &mut out);
            super::string::into_text(out)
        }
    }
}

fn found(json: Option<&Json>, as_text: bool) -> Value {
    match json {
        None => Value::Null,
        Some(json) if as_text => text_of(json),
        Some(json) => Value::jsonb(json.clone()),
    }
}

fn get<const AS_TEXT: bool>(args: &[Value], _: &EvalContext) -> Result<Value, ValueError> {
    let sought = match &args[1] {
        Value::Text(key) => Step::Key(key),
        other => Step::Index(other.as_int().ok_or_else(|| mistyped(other))?),
    };
    match &args[0] {
        Value::Json(text) => found_raw(raw_step(text, &sought)?, AS_TEXT),
        // A scalar by itself counts as an array of one.
        Value::Jsonb(json) if !json.is_container() => {
            let is_there = matches!(sought, Step::Index(0 | -1));
            Ok(found(Some(&**json).filter(|_| is_there), AS_TEXT))
        }
        Value::Jsonb(json) => Ok(found(step(json, &sought), AS_TEXT)),
        other => Err(mistyped(other)),
    }
}

/// The parts of a path; `None` if one is NULL.
fn path(value: &Value) -> Result<Option<Vec<&str>>, ValueError> {
    let array = value.as_array().ok_or_else(|| mistyped(value))?;
    Ok(array.values().iter().map(Value::as_str).collect())
}

fn walk(from: &Value, path: &[&str], as_text: bool) -> Result<Value, ValueError> {
    match from {
        Value::Json(text) => {
            let mut at: &str = text.trim_matches([' ', '\t', '\n', '\r']);
            for part in path {
                let sought = if at.starts_with('[') {
                    let Ok(index) = part.trim().parse() else { return Ok(Value::Null) };
                    Step::Index(index)
                } else {
                    Step::Key(part)
                };
                match raw_step(at, &sought)? {
                    Some(next) => at = next,
                    None => return Ok(Value::Null),
                }
            }
            found_raw(Some(at), as_text)
        }
        Value::Jsonb(json) => {
            let mut at: &Json = json;
            for part in path {
                let next = match at {
                    Json::Array(_) => part.trim().parse().ok().and_then(|index| at.element(index)),
                    _ => at.field(part),
                };
                match next {
                    Some(next) => at = next,
                    None => return Ok(Value::Null),
                }
            }
            Ok(found(Some(at), as_text))
        }
        other => Err(mistyped(other)),
    }
}

fn get_path<const AS_TEXT: bool>(args: &[Value], _: &EvalContext) -> Result<Value, ValueError> {
    match path(&args[1])? {
        Some(path) => walk(&args[0], &path, AS_TEXT),
        None => Ok(Value::Null),
    }
}

fn extract<const AS_TEXT: bool>(args: &[Value], _: &EvalContext) -> Result<Value, ValueError> {
    match args[1..].iter().map(Value::as_str).collect::<Option<Vec<&str>>>() {
        Some(path) => walk(&args[0], &path, AS_TEXT),
        None => Ok(Value::Null),
    }
}

/// The kind of a text's value.
fn raw_kind(text: &str) -> &'static str {
    match Reader::new(text).peek() {
        Some(b'{') => "object",
        Some(b'[') => "array",
        Some(b'"') => "string",
        Some(b't' | b'f') => "boolean",
        Some(b'n') => "null",
        _ => "number",
    }
}

fn kind(args: &[Value], _: &EvalContext) -> Result<Value, ValueError> {
    match &args[0] {
        Value::Json(text) => Ok(Value::text(raw_kind(text))),
        Value::Jsonb(json) => Ok(Value::text(json.kind())),
        other => Err(mistyped(other)),
    }
}

fn refused(message: impl Into<String>) -> ValueError {
    ValueError::new(SqlState::InvalidParameterValue, message)
}

fn length(args: &[Value], _: &EvalContext) -> Result<Value, ValueError> {
    let (count, kind) = match &args[0] {
        Value::Json(text) => (raw_elements(text)?.map(|elements| elements.len()), raw_kind(text)),
        Value::Jsonb(json) => match &**json {
            Json::Array(items) => (Some(items.len()), "array"),
            other => (None, other.kind()),
        },
        other => return Err(mistyped(other)),
    };
    match (count, kind) {
        (Some(count), _) => Value::from_int(Int4, count as i64),
        (None, "object") => Err(refused("cannot get array length of a non-array")),
        (None, _) => Err(refused("cannot get array length of a scalar")),
    }
}

/// The elements as an array, for `json_array_elements` and its kin.
fn elements<const AS_TEXT: bool>(args: &[Value], _: &EvalContext) -> Result<Value, ValueError> {
    let name = if AS_TEXT { "json_array_elements_text" } else { "json_array_elements" };
    match &args[0] {
        Value::Json(text) => {
            let Some(elements) = raw_elements(text)? else {
                return Err(refused(match raw_kind(text) {
                    "object" => format!("cannot call {name} on a non-array"),
                    _ => format!("cannot call {name} on a scalar"),
                }));
            };
            let values: Vec<Value> = elements
                .into_iter()
                .map(|raw| found_raw(Some(raw), AS_TEXT))
                .collect::<Result<_, _>>()?;
            let element = if AS_TEXT { Text } else { DataType::Json };
            Ok(Value::array(Array::from_values(element, values)?))
        }
        Value::Jsonb(json) => {
            let Json::Array(items) = &**json else {
                return Err(refused(if json.is_container() {
                    "cannot extract elements from an object"
                } else {
                    "cannot extract elements from a scalar"
                }));
            };
            let values = items.iter().map(|item| found(Some(item), AS_TEXT)).collect();
            let element = if AS_TEXT { Text } else { DataType::Jsonb };
            Ok(Value::array(Array::from_values(element, values)?))
        }
        other => Err(mistyped(other)),
    }
}

/// The keys of an object, and the values beside them, as arrays: for `json_each` and its kin.
fn members(
    value: &Value,
    name: &str,
    pick: impl Fn(&str, Member<'_>) -> Result<Value, ValueError>,
    element: DataType,
) -> Result<Value, ValueError> {
    let of = |kind: &str| {
        let article = if kind == "array" { "an array" } else { "a scalar" };
        refused(match name {
            "object_keys" => format!("cannot call json_object_keys on {article}"),
            _ if kind == "array" => "cannot deconstruct an array as an object".to_owned(),
            _ => "cannot deconstruct a scalar".to_owned(),
        })
    };
    let values: Vec<Value> = match value {
        Value::Json(text) => raw_fields(text)?
            .ok_or_else(|| of(raw_kind(text)))?
            .iter()
            .map(|(key, raw)| pick(key, Member::Raw(raw)))
            .collect::<Result<_, _>>()?,
        Value::Jsonb(json) => match &**json {
            Json::Object(pairs) => pairs
                .iter()
                .map(|(key, value)| pick(key, Member::Tree(value)))
                .collect::<Result<_, _>>()?,
            other if name == "object_keys" => {
                let article = if other.kind() == "array" { "an array" } else { "a scalar" };
                return Err(refused(format!("cannot call jsonb_object_keys on {article}")));
            }
            _ => {
                let function = if name == "each_text" { "jsonb_each_text" } else { "jsonb_each" };
                return Err(refused(format!("cannot call {function} on a non-object")));
            }
        },
        other => return Err(mistyped(other)),
    };
    Ok(Value::array(Array::from_values(element, values)?))
}

/// A member's value.
enum Member<'a> {
    Raw(&'a str),
    Tree(&'a Json),
}

impl Member<'_> {
    fn value(&self, as_text: bool) -> Result<Value, ValueError> {
        match self {
            Self::Raw(raw) => found_raw(Some(raw), as_text),
            Self::Tree(json) => Ok(found(Some(json), as_text)),
        }
    }
}

fn keys(args: &[Value], _: &EvalContext) -> Result<Value, ValueError> {
    members(&args[0], "object_keys", |key, _| Ok(Value::text(key)), Text)
}

fn each_key<const AS_TEXT: bool>(args: &[Value], _: &EvalContext) -> Result<Value, ValueError> {
    let name = if AS_TEXT { "each_text" } else { "each" };
    members(&args[0], name, |key, _| Ok(Value::text(key)), Text)
}

fn each_value<const AS_TEXT: bool>(args: &[Value], _: &EvalContext) -> Result<Value, ValueError> {
    let (name, element) = match &args[0] {
        _ if AS_TEXT => ("each_text", Text),
        Value::Json(_) => ("each", DataType::Json),
        _ => ("each", DataType::Jsonb),
    };
    members(&args[0], name, |_, member| member.value(AS_TEXT), element)
}

/// Whether a string is a key of an object or a string in an array.
fn exists(json: &Json, key: &str) -> bool {
    match json {
        Json::Object(_) => json.field(key).is_some(),
        Json::Array(items) => {
            items.iter().any(|item| matches!(item, Json::String(text) if **text == *key))
        }
        Json::String(text) => **text == *key,
        _ => false,
    }
}

/// The strings in an array; NULLs are in nothing and are left out.
fn sought(args: &[Value]) -> Result<impl Iterator<Item = &str>, ValueError> {
    Ok(arg::array(args, 1)?.values().iter().filter_map(Value::as_str))
}

pub(super) fn add(t: &mut Builder) {
    for (ty, of_key, of_index, of_path) in [
        (
            DataType::Json,
            &[DataType::Json, Text][..],
            &[DataType::Json, Int4][..],
            &[DataType::Json, TEXTS][..],
        ),
        (
            DataType::Jsonb,
            &[DataType::Jsonb, Text],
            &[DataType::Jsonb, Int4],
            &[DataType::Jsonb, TEXTS],
        ),
    ] {
        for args in [of_key, of_index] {
            t.add("->", args, ty, Kernel::Values(get::<false>));
            t.add("->>", args, Text, Kernel::Values(get::<true>));
        }
        t.add("#>", of_path, ty, Kernel::Values(get_path::<false>));
        t.add("#>>", of_path, Text, Kernel::Values(get_path::<true>));
    }
    const JSON: &[DataType] = &[DataType::Json];
    const JSONB: &[DataType] = &[DataType::Jsonb];
    for (name, args, result, kernel) in [
        ("json_extract_path", JSON, DataType::Json, Kernel::Values(extract::<false>)),
        ("jsonb_extract_path", JSONB, DataType::Jsonb, Kernel::Values(extract::<false>)),
        ("json_extract_path_text", JSON, Text, Kernel::Values(extract::<true>)),
        ("jsonb_extract_path_text", JSONB, Text, Kernel::Values(extract::<true>)),
    ] {
        t.add(name, args, result, kernel).variadic = Some(Text);
    }
    for (name, args, result, kernel) in [
        ("json_typeof", JSON, Text, Kernel::Values(kind)),
        ("jsonb_typeof", JSONB, Text, Kernel::Values(kind)),
        ("json_array_length", JSON, Int4, Kernel::Values(length)),
        ("jsonb_array_length", JSONB, Int4, Kernel::Values(length)),
        // As arrays: the binder unnests them. No statement can spell these names.
        ("*json_array_elements", JSON, JSONS, Kernel::Values(elements::<false>)),
        ("*jsonb_array_elements", JSONB, JSONBS, Kernel::Values(elements::<false>)),
        ("*json_array_elements_text", JSON, TEXTS, Kernel::Values(elements::<true>)),
        ("*jsonb_array_elements_text", JSONB, TEXTS, Kernel::Values(elements::<true>)),
        ("*json_object_keys", JSON, TEXTS, Kernel::Values(keys)),
        ("*jsonb_object_keys", JSONB, TEXTS, Kernel::Values(keys)),
        ("*json_each key", JSON, TEXTS, Kernel::Values(each_key::<false>)),
        ("*json_each value", JSON, JSONS, Kernel::Values(each_value::<false>)),
        ("*jsonb_each key", JSONB, TEXTS, Kernel::Values(each_key::<false>)),
        ("*jsonb_each value", JSONB, JSONBS, Kernel::Values(each_value::<false>)),
        ("*json_each_text key", JSON, TEXTS, Kernel::Values(each_key::<true>)),
        ("*json_each_text value", JSON, TEXTS, Kernel::Values(each_value::<true>)),
        ("*jsonb_each_text key", JSONB, TEXTS, Kernel::Values(each_key::<true>)),
        ("*jsonb_each_text value", JSONB, TEXTS, Kernel::Values(each_value::<true>)),
    ] {
        t.add(name, args, result, kernel);
    }
    t.add(
        "jsonb_pretty",
        JSONB,
        Text,
        Kernel::Values(|args, _| {
            let mut out = Vec::new();
            write_pretty(arg::json(args, 0)?, 0, &mut out);
            Ok(super::string::into_text(out))
        }),
    );
    containment(t);
}

fn containment(t: &mut Builder) {
    const TWO: &[DataType] = &[DataType::Jsonb, DataType::Jsonb];
    for name in ["@>", "jsonb_contains"] {
        t.add(
            name,
            TWO,
            Bool,
            Kernel::Values(|args, _| {
                Ok(Value::Bool(arg::json(args, 0)?.contains(arg::json(args, 1)?)))
            }),
        );
    }
    for name in ["<@", "jsonb_contained"] {
        t.add(
            name,
            TWO,
            Bool,
            Kernel::Values(|args, _| {
                Ok(Value::Bool(arg::json(args, 1)?.contains(arg::json(args, 0)?)))
            }),
        );
    }
    for name in ["?", "jsonb_exists"] {
        t.add(
            name,
            &[DataType::Jsonb, Text],
            Bool,
            Kernel::Values(|args, _| {
                Ok(Value::Bool(exists(arg::json(args, 0)?, arg::text(args, 1)?)))
            }),
        );
    }
    for name in ["?|", "jsonb_exists_any"] {
        t.add(
            name,
            &[DataType::Jsonb, TEXTS],
            Bool,
            Kernel::Values(|args, _| {
                let json = arg::json(args, 0)?;
                Ok(Value::Bool(sought(args)?.any(|key| exists(json, key))))
            }),
        );
    }
    for name in ["?&", "jsonb_exists_all"] {
        t.add(
            name,
            &[DataType::Jsonb, TEXTS],
            Bool,
            Kernel::Values(|args, _| {
                let json = arg::json(args, 0)?;
                Ok(Value::Bool(sought(args)?.all(|key| exists(json, key))))
            }),
        );
    }
}
