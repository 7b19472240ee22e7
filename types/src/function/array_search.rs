//! Arrays: what is in them, and where.

use super::table::Builder;
use super::{Kernel, arg, mistyped};
use crate::DataType::{self, AnyArray, AnyCompatible, AnyCompatibleArray, Bool, Int4};
use crate::{Array, Dimension, EvalContext, SqlState, Value, ValueError, compare_typed};

const INTS: DataType = DataType::Array(crate::Element::Int4);

/// Whether two elements are the same, NULL and NULL being so.
fn is_same(array: &Array, a: &Value, b: &Value) -> bool {
    compare_typed(array.element(), a, b).is_eq()
}

/// The subscripts of the elements that are the value.
fn places<'a>(
    array: &'a Array,
    value: &'a Value,
) -> Result<impl Iterator<Item = i32> + 'a, ValueError> {
    if array.dimensions().len() > 1 {
        return Err(ValueError::new(
            SqlState::FeatureNotSupported,
            "searching for elements in multidimensional arrays is not supported",
        ));
    }
    let lower = array.dimensions().first().map_or(1, |first| first.lower);
    Ok(array
        .values()
        .iter()
        .enumerate()
        .filter(|(_, element)| is_same(array, element, value))
        .map(move |(index, _)| lower.wrapping_add(index as i32)))
}

fn position(args: &[Value], _: &EvalContext) -> Result<Value, ValueError> {
    if args[0].is_null() {
        return Ok(Value::Null);
    }
    let array = arg::array(args, 0)?;
    let mut found = places(array, &args[1])?;
    if array.is_empty() {
        return Ok(Value::Null);
    }
    let start = match args.get(2) {
        None => i32::MIN,
        Some(Value::Int4(start)) => *start,
        Some(_) => {
            let message = "initial position must not be null";
            return Err(ValueError::new(SqlState::NullValueNotAllowed, message));
        }
    };
    Ok(found.find(|place| *place >= start).map_or(Value::Null, Value::Int4))
}

fn positions(args: &[Value], _: &EvalContext) -> Result<Value, ValueError> {
    if args[0].is_null() {
        return Ok(Value::Null);
    }
    let found = places(arg::array(args, 0)?, &args[1])?.map(Value::Int4).collect();
    Ok(Value::array(Array::from_values(Int4, found)?))
}

fn remove(args: &[Value], _: &EvalContext) -> Result<Value, ValueError> {
    if args[0].is_null() {
        return Ok(Value::Null);
    }
    let array = arg::array(args, 0)?;
    if array.dimensions().len() > 1 {
        return Err(ValueError::new(
            SqlState::FeatureNotSupported,
            "removing elements from multidimensional arrays is not supported",
        ));
    }
    let Some(Dimension { lower, .. }) = array.dimensions().first().copied() else {
        return Ok(args[0].clone());
    };
    let kept: Vec<Value> = array
        .values()
        .iter()
        .filter(|element| !is_same(array, element, &args[1]))
        .cloned()
        .collect();
    let length = kept.len() as i32;
    Ok(Value::array(Array::new(array.element(), vec![Dimension { length, lower }], kept)?))
}

fn replace(args: &[Value], _: &EvalContext) -> Result<Value, ValueError> {
    if args[0].is_null() {
        return Ok(Value::Null);
    }
    let array = arg::array(args, 0)?;
    let replaced = array.map(array.element(), |element| {
        let is_sought = is_same(array, element, &args[1]);
        Ok(if is_sought { args[2].clone() } else { element.clone() })
    })?;
    Ok(Value::array(replaced))
}

/// The elements that are not NULL, in order.
fn sorted(array: &Array) -> Vec<&Value> {
    let mut values: Vec<&Value> = array.values().iter().filter(|value| !value.is_null()).collect();
    values.sort_by(|a, b| compare_typed(array.element(), a, b));
    values
}

/// Whether one of the sorted elements is the value.
fn has(array: &Array, sorted: &[&Value], value: &Value) -> bool {
    sorted.binary_search_by(|probe| compare_typed(array.element(), probe, value)).is_ok()
}

/// Whether every element of `part` is in `whole`. A NULL is in nothing.
fn contains(whole: &Value, part: &Value) -> Result<Value, ValueError> {
    let (Some(whole), Some(part)) = (whole.as_array(), part.as_array()) else {
        return Err(mistyped(whole));
    };
    let there = sorted(whole);
    let mut sought = part.values().iter();
    Ok(Value::Bool(sought.all(|value| !value.is_null() && has(whole, &there, value))))
}

fn overlaps(args: &[Value], _: &EvalContext) -> Result<Value, ValueError> {
    let (a, b) = (arg::array(args, 0)?, arg::array(args, 1)?);
    let there = sorted(a);
    let mut sought = b.values().iter();
    Ok(Value::Bool(sought.any(|value| !value.is_null() && has(a, &there, value))))
}

pub(super) fn add(t: &mut Builder) {
    const ONE: &[DataType] = &[AnyCompatibleArray, AnyCompatible];
    t.add("array_position", ONE, Int4, Kernel::Values(position)).strict = false;
    t.add(
        "array_position",
        &[AnyCompatibleArray, AnyCompatible, Int4],
        Int4,
        Kernel::Values(position),
    )
    .strict = false;
    t.add("array_positions", ONE, INTS, Kernel::Values(positions)).strict = false;
    t.add("array_remove", ONE, AnyCompatibleArray, Kernel::Values(remove)).strict = false;
    t.add(
        "array_replace",
        &[AnyCompatibleArray, AnyCompatible, AnyCompatible],
        AnyCompatibleArray,
        Kernel::Values(replace),
    )
    .strict = false;
    const TWO: &[DataType] = &[AnyArray, AnyArray];
    for name in ["@>", "arraycontains"] {
        t.add(name, TWO, Bool, Kernel::Values(|args, _| contains(&args[0], &args[1])));
    }
    for name in ["<@", "arraycontained"] {
        t.add(name, TWO, Bool, Kernel::Values(|args, _| contains(&args[1], &args[0])));
    }
    for name in ["&&", "arrayoverlap"] {
        t.add(name, TWO, Bool, Kernel::Values(overlaps));
    }
}
