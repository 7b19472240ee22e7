//! Functions and operators of ranges and multiranges.

use super::table::Builder;
use super::{Kernel, arg, mistyped};
use crate::DataType::{
    self, AnyElement, AnyMultirange, AnyRange, Bool, Date, Datemultirange, Daterange, Int4,
    Int4multirange, Int4range, Int8, Int8multirange, Int8range, Numeric as Num, Nummultirange,
    Numrange, Text, Timestamp, Timestamptz, Tsmultirange, Tsrange, Tstzmultirange, Tstzrange,
};
use crate::range::RangeSet;
use crate::{Array, Bound, Element, EvalContext, Multirange, Range, SqlState, Value, ValueError};

type General = fn(&[Value], &EvalContext) -> Result<Value, ValueError>;

fn set(args: &[Value], index: usize) -> Result<RangeSet<'_>, ValueError> {
    RangeSet::of(&args[index]).ok_or_else(|| mistyped(&args[index]))
}

fn range(args: &[Value], index: usize) -> Result<&Range, ValueError> {
    match &args[index] {
        Value::Range(range) => Ok(range),
        other => Err(mistyped(other)),
    }
}

/// `int4range(lower, upper [, bounds])`
fn construct(args: &[Value], ty: DataType, _: &EvalContext) -> Result<Value, ValueError> {
    let subtype = ty.subtype().ok_or_else(|| mistyped(&Value::Null))?;
    let flags = match args.get(2) {
        None => "[)",
        Some(Value::Null) => {
            let message = "range constructor flags argument must not be null";
            return Err(ValueError::new(SqlState::DataException, message));
        }
        Some(_) => arg::text(args, 2)?,
    };
    let (lower, upper) = match flags {
        "[]" => (true, true),
        "[)" => (true, false),
        "(]" => (false, true),
        "()" => (false, false),
        _ => {
            return Err(ValueError::new(SqlState::SyntaxError, "invalid range bound flags")
                .with_hint("Valid values are \"[]\", \"[)\", \"(]\", and \"()\"."));
        }
    };
    let bound = |value: &Value, inclusive: bool| Bound {
        value: Some(value.clone()).filter(|value| !value.is_null()),
        inclusive,
    };
    Ok(Value::range(Range::new(subtype, bound(&args[0], lower), bound(&args[1], upper))?))
}

/// `int4multirange(range, …)`
fn construct_multirange(
    args: &[Value],
    ty: DataType,
    _: &EvalContext,
) -> Result<Value, ValueError> {
    let subtype = ty.subtype().ok_or_else(|| mistyped(&Value::Null))?;
    let values = match args {
        [Value::Array(array)] => {
            if array.dimensions().len() > 1 {
                return Err(ValueError::new(
                    SqlState::CardinalityViolation,
                    "multiranges cannot be constructed from multidimensional arrays",
                ));
            }
            array.values()
        }
        args => args,
    };
    let ranges = values
        .iter()
        .map(|value| match value {
            Value::Range(range) => Ok(Range::clone(range)),
            Value::Null => Err(ValueError::new(
                SqlState::NullValueNotAllowed,
                "multirange values cannot contain null members",
            )),
            other => Err(mistyped(other)),
        })
        .collect::<Result<_, _>>()?;
    Ok(Value::multirange(Multirange::new(subtype, ranges)))
}

/// The bound at one end, if there is one.
fn end(args: &[Value], upper: bool) -> Result<Option<&Bound>, ValueError> {
    Ok(set(args, 0)?.ends().map(|(first, last)| if upper { last } else { first }))
}

fn bound_value(args: &[Value], upper: bool) -> Result<Value, ValueError> {
    Ok(end(args, upper)?.and_then(|bound| bound.value.clone()).unwrap_or(Value::Null))
}

/// A property of the bound at one end.
fn bound_is(args: &[Value], upper: bool, of: fn(&Bound) -> bool) -> Result<Value, ValueError> {
    Ok(Value::Bool(end(args, upper)?.is_some_and(of)))
}

/// One range of what must be one.
fn one(ty: DataType, mut ranges: Vec<Range>, what: &str) -> Result<Value, ValueError> {
    if ranges.len() > 1 {
        let message = format!("result of range {what} would not be contiguous");
        return Err(ValueError::new(SqlState::DataException, message));
    }
    Ok(Value::range(ranges.pop().unwrap_or_else(|| Range::empty(ty))))
}

fn union(args: &[Value], _: &EvalContext) -> Result<Value, ValueError> {
    let (a, b) = (set(args, 0)?, set(args, 1)?);
    let both = Multirange::new(a.ty, [a.ranges, b.ranges].concat());
    match &args[0] {
        Value::Range(_) => one(a.ty, both.ranges().to_vec(), "union"),
        _ => Ok(Value::multirange(both)),
    }
}

fn intersection(args: &[Value], _: &EvalContext) -> Result<Value, ValueError> {
    let (a, b) = (set(args, 0)?, set(args, 1)?);
    let common = a.intersection(b);
    match &args[0] {
        Value::Range(_) => one(a.ty, common, "intersection"),
        _ => Ok(Value::multirange(Multirange::new(a.ty, common))),
    }
}

fn difference(args: &[Value], _: &EvalContext) -> Result<Value, ValueError> {
    let (a, b) = (set(args, 0)?, set(args, 1)?);
    let rest = a.difference(b);
    match &args[0] {
        Value::Range(_) => one(a.ty, rest, "difference"),
        _ => Ok(Value::multirange(Multirange::new(a.ty, rest))),
    }
}

/// The smallest range that holds both arguments, or all of one.
fn merge(args: &[Value], _: &EvalContext) -> Result<Value, ValueError> {
    let a = set(args, 0)?;
    if args.len() == 1 {
        return Ok(Value::range(a.hull()));
    }
    let both = [a.ranges, set(args, 1)?.ranges].concat();
    let both = both.into_iter().reduce(|a, b| crate::range::hull(&a, &b));
    Ok(Value::range(both.unwrap_or_else(|| Range::empty(a.ty))))
}

fn holds(f: fn(RangeSet<'_>, RangeSet<'_>) -> bool, args: &[Value]) -> Result<Value, ValueError> {
    Ok(Value::Bool(f(set(args, 0)?, set(args, 1)?)))
}

/// The operators between two sets, each a range or a multirange.
fn set_operators(t: &mut Builder) {
    let operators: [(&'static str, General); 8] = [
        ("&&", |args, _| holds(|a, b| a.overlaps(b), args)),
        ("@>", |args, _| holds(|a, b| a.contains(b), args)),
        ("<@", |args, _| holds(|a, b| b.contains(a), args)),
        ("<<", |args, _| holds(|a, b| a.is_before(b), args)),
        (">>", |args, _| holds(|a, b| b.is_before(a), args)),
        ("&<", |args, _| holds(|a, b| a.is_over_left(b), args)),
        ("&>", |args, _| holds(|a, b| a.is_over_right(b), args)),
        ("-|-", |args, _| holds(|a, b| a.is_adjacent(b), args)),
    ];
    let sides: [&'static [DataType]; 4] = [
        &[AnyRange, AnyRange],
        &[AnyRange, AnyMultirange],
        &[AnyMultirange, AnyRange],
        &[AnyMultirange, AnyMultirange],
    ];
    for (name, kernel) in operators {
        for args in sides {
            t.add(name, args, Bool, Kernel::Values(kernel));
        }
    }
    let with_element: [(&'static str, &'static [DataType], General); 4] = [
        ("@>", &[AnyRange, AnyElement], |args, _| {
            Ok(Value::Bool(set(args, 0)?.contains_value(&args[1])))
        }),
        ("@>", &[AnyMultirange, AnyElement], |args, _| {
            Ok(Value::Bool(set(args, 0)?.contains_value(&args[1])))
        }),
        ("<@", &[AnyElement, AnyRange], |args, _| {
            Ok(Value::Bool(set(args, 1)?.contains_value(&args[0])))
        }),
        ("<@", &[AnyElement, AnyMultirange], |args, _| {
            Ok(Value::Bool(set(args, 1)?.contains_value(&args[0])))
        }),
    ];
    for (name, args, kernel) in with_element {
        t.add(name, args, Bool, Kernel::Values(kernel));
    }
    let algebra: [(&'static str, &'static str, &'static str, General); 3] = [
        ("+", "range_union", "multirange_union", union),
        ("*", "range_intersect", "multirange_intersect", intersection),
        ("-", "range_minus", "multirange_minus", difference),
    ];
    for (symbol, of_ranges, of_multiranges, kernel) in algebra {
        let kernel = Kernel::Values(kernel);
        t.add(symbol, &[AnyRange, AnyRange], AnyRange, kernel);
        t.add(of_ranges, &[AnyRange, AnyRange], AnyRange, kernel);
        t.add(symbol, &[AnyMultirange, AnyMultirange], AnyMultirange, kernel);
        t.add(of_multiranges, &[AnyMultirange, AnyMultirange], AnyMultirange, kernel);
    }
}

/// What is asked of a range or a multirange.
fn questions(t: &mut Builder, args: &'static [DataType]) {
    let mut ask = |name: &'static str, result, kernel: General| {
        t.add(name, args, result, Kernel::Values(kernel));
    };
    ask("lower", AnyElement, |args, _| bound_value(args, false));
    ask("upper", AnyElement, |args, _| bound_value(args, true));
    ask("isempty", Bool, |args, _| Ok(Value::Bool(set(args, 0)?.ranges.is_empty())));
    ask("lower_inc", Bool, |args, _| bound_is(args, false, |bound| bound.inclusive));
    ask("upper_inc", Bool, |args, _| bound_is(args, true, |bound| bound.inclusive));
    ask("lower_inf", Bool, |args, _| bound_is(args, false, |bound| bound.value.is_none()));
    ask("upper_inf", Bool, |args, _| bound_is(args, true, |bound| bound.value.is_none()));
}

/// A range type: name, arguments of its constructor, itself, and the same of its multirange.
struct Family {
    name: &'static str,
    bounds: &'static [DataType],
    range: DataType,
    multirange_name: &'static str,
    ranges: &'static [DataType],
    array: &'static [DataType],
    multirange: DataType,
}

macro_rules! family {
    ($name:literal, $multirange_name:literal, $subtype:ident, $range:ident, $multirange:ident) => {
        Family {
            name: $name,
            bounds: &[$subtype, $subtype, Text],
            range: $range,
            multirange_name: $multirange_name,
            ranges: &[$range],
            array: &[DataType::Array(Element::$range)],
            multirange: $multirange,
        }
    };
}

const FAMILIES: [Family; 6] = [
    family!("int4range", "int4multirange", Int4, Int4range, Int4multirange),
    family!("int8range", "int8multirange", Int8, Int8range, Int8multirange),
    family!("numrange", "nummultirange", Num, Numrange, Nummultirange),
    family!("tsrange", "tsmultirange", Timestamp, Tsrange, Tsmultirange),
    family!("tstzrange", "tstzmultirange", Timestamptz, Tstzrange, Tstzmultirange),
    family!("daterange", "datemultirange", Date, Daterange, Datemultirange),
];

/// The name of the entry that takes an array in place of the arguments.
fn spread_name(multirange: DataType) -> &'static str {
    match multirange {
        Int4multirange => "*variadic int4multirange",
        Int8multirange => "*variadic int8multirange",
        Nummultirange => "*variadic nummultirange",
        Tsmultirange => "*variadic tsmultirange",
        Tstzmultirange => "*variadic tstzmultirange",
        _ => "*variadic datemultirange",
    }
}

pub(super) fn add(t: &mut Builder) {
    for family in &FAMILIES {
        let make = Kernel::Typed(construct);
        t.add(family.name, &family.bounds[..2], family.range, make).strict = false;
        t.add(family.name, family.bounds, family.range, make).strict = false;
        let make = Kernel::Typed(construct_multirange);
        t.add(family.multirange_name, &[], family.multirange, make);
        t.add(family.multirange_name, family.ranges, family.multirange, make);
        let many = t.add(family.multirange_name, family.ranges, family.multirange, make);
        many.variadic = Some(family.range);
        t.add(spread_name(family.multirange), family.array, family.multirange, make);
    }
    questions(t, &[AnyRange]);
    questions(t, &[AnyMultirange]);
    set_operators(t);
    t.add("range_merge", &[AnyRange, AnyRange], AnyRange, Kernel::Values(merge));
    t.add("range_merge", &[AnyMultirange], AnyRange, Kernel::Values(merge));
    t.add(
        "multirange",
        &[AnyRange],
        AnyMultirange,
        Kernel::Values(|args, _| {
            let range = range(args, 0)?;
            Ok(Value::multirange(Multirange::new(range.element(), vec![range.clone()])))
        }),
    );
    // Under a name that no statement can spell: what unnest gives one by one.
    for family in &FAMILIES {
        let args: &'static [DataType] = match family.multirange {
            Int4multirange => &[Int4multirange],
            Int8multirange => &[Int8multirange],
            Nummultirange => &[Nummultirange],
            Tsmultirange => &[Tsmultirange],
            Tstzmultirange => &[Tstzmultirange],
            _ => &[Datemultirange],
        };
        t.add(
            "*unnest",
            args,
            family.array[0],
            Kernel::Typed(|args, ty, _| {
                let set = set(args, 0)?;
                let ranges = set.ranges.iter().cloned().map(Value::range).collect();
                let element = ty.element().ok_or_else(|| mistyped(&args[0]))?;
                Ok(Value::array(Array::from_values(element, ranges)?))
            }),
        );
    }
}
