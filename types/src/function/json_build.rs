//! Making and changing JSON.

use super::table::Builder;
use super::{Kernel, Volatility, arg, mistyped};
use crate::DataType::{self, AnyArray, AnyElement, Bool, Int4, Text, Unknown};
use crate::json::{
    Json, MAX_DEPTH, place, scalar_text, to_json, too_deep, write_json_value, write_quoted,
};
use crate::{EvalContext, SqlState, Value, ValueError};

use super::json::{TEXTS, raw_elements, raw_fields};

fn json_text(out: Vec<u8>) -> Value {
    Value::Json(String::from_utf8_lossy(&out).into_owned().into())
}

/// A tree that a function built.
fn built(json: Json) -> Result<Value, ValueError> {
    if json.depth() > MAX_DEPTH { Err(too_deep()) } else { Ok(Value::jsonb(json)) }
}

fn refused(message: impl Into<String>) -> ValueError {
    ValueError::new(SqlState::InvalidParameterValue, message)
}

/// An argument as the key of an object.
fn key_text(value: &Value, position: usize, ctx: &EvalContext) -> Result<String, ValueError> {
    match value {
        Value::Null => Err(refused(format!("argument {position}: key must not be null"))),
        Value::Array(_) | Value::Json(_) | Value::Jsonb(_) | Value::Record(_) => {
            Err(refused("key value must be scalar, not array, composite, or json"))
        }
        Value::Text(text) => Ok(text.to_string()),
        // Truth values and numbers are as JSON has them.
        other => {
            let mut out = Vec::new();
            write_json_value(other, ctx, &mut out);
            let text = String::from_utf8_lossy(&out).into_owned();
            Ok(text.trim_matches('"').to_owned())
        }
    }
}

fn odd(name: &str) -> ValueError {
    refused("argument list must have even number of elements").with_hint(format!(
        "The arguments of {name}() must consist of alternating keys and values."
    ))
}

pub(super) fn build_object(args: &[Value], ctx: &EvalContext) -> Result<Value, ValueError> {
    if args.len() % 2 == 1 {
        return Err(odd("json_build_object"));
    }
    let mut out = b"{".to_vec();
    for (index, pair) in args.chunks_exact(2).enumerate() {
        if index > 0 {
            out.extend(b", ");
        }
        if pair[0].is_null() {
            let message = format!("argument {} cannot be null", index * 2 + 1);
            return Err(refused(message).with_hint("Object keys should be text."));
        }
        write_quoted(&key_text(&pair[0], index * 2 + 1, ctx)?, &mut out);
        out.extend(b" : ");
        write_json_value(&pair[1], ctx, &mut out);
    }
    out.push(b'}');
    Ok(json_text(out))
}

pub(super) fn build_object_tree(args: &[Value], ctx: &EvalContext) -> Result<Value, ValueError> {
    if args.len() % 2 == 1 {
        return Err(odd("jsonb_build_object"));
    }
    let mut pairs = Vec::with_capacity(args.len() / 2);
    for (index, pair) in args.chunks_exact(2).enumerate() {
        let key = key_text(&pair[0], index * 2 + 1, ctx)?;
        pairs.push((key.into(), to_json(&pair[1], ctx)?));
    }
    built(Json::object(pairs))
}

pub(super) fn build_array(args: &[Value], ctx: &EvalContext) -> Result<Value, ValueError> {
    let mut out = b"[".to_vec();
    for (index, value) in args.iter().enumerate() {
        if index > 0 {
            out.extend(b", ");
        }
        write_json_value(value, ctx, &mut out);
    }
    out.push(b']');
    Ok(json_text(out))
}

pub(super) fn build_array_tree(args: &[Value], ctx: &EvalContext) -> Result<Value, ValueError> {
    let items = args.iter().map(|value| to_json(value, ctx)).collect::<Result<_, _>>()?;
    built(Json::Array(items))
}

/// `a || b`
fn concat(args: &[Value], _: &EvalContext) -> Result<Value, ValueError> {
    let (a, b) = (arg::json(args, 0)?.clone(), arg::json(args, 1)?.clone());
    built(match (a, b) {
        (Json::Object(mut a), Json::Object(b)) => {
            a.extend(b);
            Json::object(a)
        }
        (Json::Array(mut a), Json::Array(b)) => {
            a.extend(b);
            Json::Array(a)
        }
        (Json::Array(mut a), b) => {
            a.push(b);
            Json::Array(a)
        }
        (a, Json::Array(mut b)) => {
            b.insert(0, a);
            Json::Array(b)
        }
        (a, b) => Json::Array(vec![a, b]),
    })
}

/// `json - key`, `json - keys`
fn without(json: &Json, is_gone: impl Fn(&str) -> bool) -> Result<Json, ValueError> {
    match json {
        Json::Object(pairs) => {
            Ok(Json::Object(pairs.iter().filter(|(key, _)| !is_gone(key)).cloned().collect()))
        }
        Json::Array(items) => Ok(Json::Array(
            items
                .iter()
                .filter(|item| !matches!(item, Json::String(text) if is_gone(text)))
                .cloned()
                .collect(),
        )),
        _ => Err(refused("cannot delete from scalar")),
    }
}

fn without_index(json: &Json, index: i64) -> Result<Json, ValueError> {
    match json {
        Json::Object(_) => Err(refused("cannot delete from object using integer index")),
        Json::Array(items) => {
            let mut items = items.clone();
            if let Some(at) = place(index, items.len()) {
                items.remove(at);
            }
            Ok(Json::Array(items))
        }
        _ => Err(refused("cannot delete from scalar")),
    }
}

/// What happens at the end of a path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    /// Replace what is there; add it where nothing is, if so told.
    Set {
        creates: bool,
    },
    Delete,
    Insert {
        after: bool,
    },
}

/// A value with the end of a path changed.
fn change(
    json: &Json,
    path: &[Option<&str>],
    level: usize,
    new: &Json,
    how: Change,
) -> Result<Json, ValueError> {
    let Some(part) = path[level] else {
        return Err(ValueError::new(
            SqlState::NullValueNotAllowed,
            format!("path element at position {} is null", level + 1),
        ));
    };
    let is_last = level + 1 == path.len();
    match json {
        Json::Object(pairs) => {
            let mut pairs = pairs.clone();
            let known = pairs.iter().position(|(key, _)| **key == *part);
            match (known, is_last, how) {
                (Some(at), true, Change::Set { .. }) => pairs[at].1 = new.clone(),
                (Some(at), true, Change::Delete) => {
                    pairs.remove(at);
                }
                (Some(_), true, Change::Insert { .. }) => {
                    return Err(refused("cannot replace existing key")
                        .with_hint("Try using the function jsonb_set to replace key value."));
                }
                (None, true, Change::Set { creates: true } | Change::Insert { .. }) => {
                    pairs.push((part.into(), new.clone()));
                    return Ok(Json::object(pairs));
                }
                (Some(at), false, _) => {
                    pairs[at].1 = change(&pairs[at].1, path, level + 1, new, how)?;
                }
                _ => {}
            }
            Ok(Json::Object(pairs))
        }
        Json::Array(items) => {
            let Ok(index) = part.trim().parse::<i32>() else {
                let position = level + 1;
                return Err(ValueError::new(
                    SqlState::InvalidTextRepresentation,
                    format!("path element at position {position} is not an integer: \"{part}\""),
                ));
            };
            let mut items = items.clone();
            let at = place(i64::from(index), items.len());
            match (at, is_last, how) {
                (Some(at), true, Change::Set { .. }) => items[at] = new.clone(),
                (Some(at), true, Change::Delete) => {
                    items.remove(at);
                }
                (Some(at), true, Change::Insert { after }) => {
                    items.insert(at + usize::from(after), new.clone());
                }
                (None, true, Change::Set { creates: true } | Change::Insert { .. }) => {
                    // Beyond the ends it goes to them.
                    let at = if index < 0 { 0 } else { items.len() };
                    items.insert(at, new.clone());
                }
                (Some(at), false, _) => {
                    items[at] = change(&items[at], path, level + 1, new, how)?;
                }
                _ => {}
            }
            Ok(Json::Array(items))
        }
        scalar => Ok(scalar.clone()),
    }
}

/// The elements of an array of one dimension.
fn flat(args: &[Value], index: usize) -> Result<&[Value], ValueError> {
    let array = arg::array(args, index)?;
    if array.dimensions().len() > 1 {
        let message = "wrong number of array subscripts";
        return Err(ValueError::new(SqlState::ArraySubscriptError, message));
    }
    Ok(array.values())
}

/// `jsonb_set`, `jsonb_insert` and `#-`: the value, the path, then what is new.
fn changed(args: &[Value], new: &Json, how: Change) -> Result<Value, ValueError> {
    let json = arg::json(args, 0)?;
    let path: Vec<Option<&str>> = flat(args, 1)?.iter().map(Value::as_str).collect();
    if !json.is_container() {
        return Err(refused(match how {
            Change::Delete => "cannot delete path in scalar",
            _ => "cannot set path in scalar",
        }));
    }
    let is_empty = match json {
        Json::Array(items) => items.is_empty(),
        Json::Object(pairs) => pairs.is_empty(),
        _ => false,
    };
    let finds_only = matches!(how, Change::Delete | Change::Set { creates: false });
    if path.is_empty() || (is_empty && finds_only) {
        return Ok(args[0].clone());
    }
    built(change(json, &path, 0, new, how)?)
}

fn strip_nulls(json: &Json) -> Json {
    match json {
        Json::Object(pairs) => Json::Object(
            pairs
                .iter()
                .filter(|(_, value)| *value != Json::Null)
                .map(|(key, value)| (key.clone(), strip_nulls(value)))
                .collect(),
        ),
        Json::Array(items) => Json::Array(items.iter().map(strip_nulls).collect()),
        scalar => scalar.clone(),
    }
}

/// The same of a text, which loses its blanks.
fn strip_raw_nulls(raw: &str, out: &mut Vec<u8>) -> Result<(), ValueError> {
    if let Some(fields) = raw_fields(raw)? {
        out.push(b'{');
        let mut is_first = true;
        for (key, value) in fields.into_iter().filter(|(_, value)| *value != "null") {
            if !std::mem::take(&mut is_first) {
                out.push(b',');
            }
            write_quoted(&key, out);
            out.push(b':');
            strip_raw_nulls(value, out)?;
        }
        out.push(b'}');
    } else if let Some(elements) = raw_elements(raw)? {
        out.push(b'[');
        for (index, element) in elements.into_iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            strip_raw_nulls(element, out)?;
        }
        out.push(b']');
    } else {
        let scalar = raw.trim_matches([' ', '\t', '\n', '\r']);
        match scalar_text(scalar)? {
            Some(text) if scalar.starts_with('"') => write_quoted(&text, out),
            _ => out.extend(scalar.as_bytes()),
        }
    }
    Ok(())
}

/// `json_object` of keys and values in one array, or in two.
fn pairs_of(args: &[Value]) -> Result<Vec<(String, Option<String>)>, ValueError> {
    let subscript = |message: &str| ValueError::new(SqlState::ArraySubscriptError, message);
    let null_key =
        || ValueError::new(SqlState::NullValueNotAllowed, "null value not allowed for object key");
    let first = arg::array(args, 0)?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    if args.len() == 2 {
        let second = arg::array(args, 1)?;
        let (one, other) = (first.dimensions().len(), second.dimensions().len());
        if one > 1 || one != other {
            return Err(subscript("wrong number of array subscripts"));
        }
        if first.values().len() != second.values().len() {
            return Err(subscript("mismatched array dimensions"));
        }
        return first
            .values()
            .iter()
            .zip(second.values())
            .map(|(key, value)| Ok((text(key).ok_or_else(null_key)?, text(value))))
            .collect();
    }
    match first.dimensions() {
        [] => {}
        [only] if only.length % 2 == 0 => {}
        [_] => return Err(subscript("array must have even number of elements")),
        [_, second] if second.length == 2 => {}
        [_, _] => return Err(subscript("array must have two columns")),
        _ => return Err(subscript("wrong number of array subscripts")),
    }
    first
        .values()
        .chunks_exact(2)
        .map(|pair| Ok((text(&pair[0]).ok_or_else(null_key)?, text(&pair[1]))))
        .collect()
}

fn object_of(args: &[Value], _: &EvalContext) -> Result<Value, ValueError> {
    let mut out = b"{".to_vec();
    for (index, (key, value)) in pairs_of(args)?.into_iter().enumerate() {
        if index > 0 {
            out.extend(b", ");
        }
        write_quoted(&key, &mut out);
        out.extend(b" : ");
        match value {
            Some(value) => write_quoted(&value, &mut out),
            None => out.extend(b"null"),
        }
    }
    out.push(b'}');
    Ok(json_text(out))
}

fn object_tree_of(args: &[Value], _: &EvalContext) -> Result<Value, ValueError> {
    let pairs = pairs_of(args)?.into_iter().map(|(key, value)| {
        (key.into(), value.map_or(Json::Null, |value| Json::String(value.into())))
    });
    built(Json::object(pairs.collect()))
}

fn whether(value: Option<&Value>, default: bool) -> Result<bool, ValueError> {
    match value {
        None => Ok(default),
        Some(Value::Bool(v)) => Ok(*v),
        Some(other) => Err(mistyped(other)),
    }
}

pub(super) fn add(t: &mut Builder) {
    const JSONB: DataType = DataType::Jsonb;
    let stable = |t: &mut Builder, name, args, variadic, result, kernel| {
        let entry = t.add(name, args, result, Kernel::Values(kernel));
        entry.volatility = Volatility::Stable;
        entry.strict = false;
        entry.variadic = variadic;
    };
    stable(t, "json_build_object", &[], None, DataType::Json, build_object);
    stable(t, "json_build_object", &[], Some(Unknown), DataType::Json, build_object);
    stable(t, "jsonb_build_object", &[], None, JSONB, build_object_tree);
    stable(t, "jsonb_build_object", &[], Some(Unknown), JSONB, build_object_tree);
    stable(t, "json_build_array", &[], None, DataType::Json, build_array);
    stable(t, "json_build_array", &[], Some(Unknown), DataType::Json, build_array);
    stable(t, "jsonb_build_array", &[], None, JSONB, build_array_tree);
    stable(t, "jsonb_build_array", &[], Some(Unknown), JSONB, build_array_tree);
    t.stable(
        "to_json",
        &[AnyElement],
        DataType::Json,
        Kernel::Values(|args, ctx| {
            let mut out = Vec::new();
            write_json_value(&args[0], ctx, &mut out);
            Ok(json_text(out))
        }),
    );
    t.stable(
        "array_to_json",
        &[AnyArray],
        DataType::Json,
        Kernel::Values(|args, ctx| {
            let mut out = Vec::new();
            write_json_value(&args[0], ctx, &mut out);
            Ok(json_text(out))
        }),
    );
    t.stable(
        "to_jsonb",
        &[AnyElement],
        JSONB,
        Kernel::Values(|args, ctx| built(to_json(&args[0], ctx)?)),
    );
    for args in [&[TEXTS][..], &[TEXTS, TEXTS]] {
        t.add("json_object", args, DataType::Json, Kernel::Values(object_of));
        t.add("jsonb_object", args, JSONB, Kernel::Values(object_tree_of));
    }
    t.add(
        "jsonb_strip_nulls",
        &[JSONB],
        JSONB,
        Kernel::Values(|args, _| Ok(Value::jsonb(strip_nulls(arg::json(args, 0)?)))),
    );
    t.add(
        "json_strip_nulls",
        &[DataType::Json],
        DataType::Json,
        Kernel::Values(|args, _| {
            let Value::Json(text) = &args[0] else { return Err(mistyped(&args[0])) };
            let mut out = Vec::new();
            strip_raw_nulls(text, &mut out)?;
            Ok(json_text(out))
        }),
    );
    changes(t);
}

fn changes(t: &mut Builder) {
    const JSONB: DataType = DataType::Jsonb;
    for name in ["||", "jsonb_concat"] {
        t.add(name, &[JSONB, JSONB], JSONB, Kernel::Values(concat));
    }
    for name in ["-", "jsonb_delete"] {
        t.add(
            name,
            &[JSONB, Text],
            JSONB,
            Kernel::Values(|args, _| {
                let key = arg::text(args, 1)?;
                Ok(Value::jsonb(without(arg::json(args, 0)?, |known| known == key)?))
            }),
        );
        t.add(
            name,
            &[JSONB, Int4],
            JSONB,
            Kernel::Values(|args, _| {
                Ok(Value::jsonb(without_index(arg::json(args, 0)?, arg::int(args, 1)?)?))
            }),
        );
        t.add(
            name,
            &[JSONB, TEXTS],
            JSONB,
            Kernel::Values(|args, _| {
                let keys = flat(args, 1)?;
                let is_gone = |known: &str| keys.iter().any(|key| key.as_str() == Some(known));
                Ok(Value::jsonb(without(arg::json(args, 0)?, is_gone)?))
            }),
        );
    }
    for name in ["#-", "jsonb_delete_path"] {
        t.add(
            name,
            &[JSONB, TEXTS],
            JSONB,
            Kernel::Values(|args, _| changed(args, &Json::Null, Change::Delete)),
        );
    }
    for args in [&[JSONB, TEXTS, JSONB][..], &[JSONB, TEXTS, JSONB, Bool]] {
        t.add(
            "jsonb_set",
            args,
            JSONB,
            Kernel::Values(|args, _| {
                let creates = whether(args.get(3), true)?;
                changed(args, arg::json(args, 2)?, Change::Set { creates })
            }),
        );
        t.add(
            "jsonb_insert",
            args,
            JSONB,
            Kernel::Values(|args, _| {
                let after = whether(args.get(3), false)?;
                changed(args, arg::json(args, 2)?, Change::Insert { after })
            }),
        );
    }
}
