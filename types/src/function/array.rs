//! Arrays: made, taken apart, put together.
//!
//! What has its own syntax (`ARRAY[…]`, subscripts and slices, assignment to them) is a function too,
//! under a symbol that no statement can spell: [`ArrayOperation`] finds it.

use super::table::Builder;
use super::{FunctionId, Kernel, arg, mistyped};
use crate::DataType::{
    self, AnyArray, AnyCompatible, AnyCompatibleArray, AnyElement, Int4, Text, Unknown,
};
use crate::array::{Bounds, MAX_DIMENSIONS, checked_count, target, too_many_dimensions};
use crate::{Array, Dimension, EvalContext, SqlState, Value, ValueError};

/// What is written with brackets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArrayOperation {
    /// `ARRAY[a, b, …]` of elements.
    Construct,
    /// `ARRAY[a, b, …]` of arrays: one dimension more.
    ConstructNested,
    /// `a[i][j]…`: the array, then the subscripts.
    Subscript,
    /// `a[i:j]…`: the array, then lower and upper bounds; a `void` is a bound that is left out.
    Slice,
    /// The array with an element replaced: the array, the element, then the subscripts.
    Assign,
    /// The array with a slice replaced: the array, the other array, then the bounds.
    AssignSlice,
}

impl ArrayOperation {
    const fn symbol(self) -> &'static str {
        match self {
            Self::Construct => "{}",
            Self::ConstructNested => "{{}}",
            Self::Subscript => "[]",
            Self::Slice => "[:]",
            Self::Assign => "[]=",
            Self::AssignSlice => "[:]=",
        }
    }

    /// Its function.
    ///
    /// # Panics
    /// Never: the table has all of them.
    pub fn function(self) -> FunctionId {
        super::table::named(self.symbol()).next().expect("an entry of the table").id
    }
}

pub(super) fn element_type(array: DataType) -> Result<DataType, ValueError> {
    array.element().ok_or_else(|| mistyped(&Value::Null))
}

fn construct(args: &[Value], ty: DataType, _: &EvalContext) -> Result<Value, ValueError> {
    Ok(Value::array(Array::from_values(element_type(ty)?, args.to_vec())?))
}

fn construct_nested(args: &[Value], ty: DataType, _: &EvalContext) -> Result<Value, ValueError> {
    let element = element_type(ty)?;
    Ok(Value::array(nested(element, args.iter().filter_map(Value::as_array), args.len())?))
}

/// The array of `count` arrays, all of the same dimensions; a NULL is one without elements.
pub(crate) fn nested<'a>(
    element: DataType,
    parts: impl Iterator<Item = &'a Array> + Clone,
    count: usize,
) -> Result<Array, ValueError> {
    let mut full = parts.clone().filter(|part| !part.is_empty());
    let Some(first) = full.next() else { return Ok(Array::empty(element)) };
    let differs = full.any(|part| part.dimensions() != first.dimensions());
    let is_whole = parts.clone().filter(|part| !part.is_empty()).count() == count;
    if differs || !is_whole {
        return Err(ValueError::new(
            SqlState::ArraySubscriptError,
            "multidimensional arrays must have array expressions with matching dimensions",
        ));
    }
    if first.dimensions().len() == MAX_DIMENSIONS {
        return Err(too_many_dimensions(MAX_DIMENSIONS + 1));
    }
    let length = i32::try_from(count).map_err(|_| ValueError::out_of_range("integer"))?;
    let mut dimensions = vec![Dimension { length, lower: 1 }];
    dimensions.extend(first.dimensions());
    checked_count(&dimensions)?;
    let values = parts.flat_map(|part| part.values().iter().cloned()).collect();
    Array::new(element, dimensions, values)
}

fn subscript(args: &[Value], _: &EvalContext) -> Result<Value, ValueError> {
    let array = arg::array(args, 0)?;
    let subscripts = subscripts(&args[1..])?;
    Ok(array.get(&subscripts).cloned().unwrap_or(Value::Null))
}

fn subscripts(args: &[Value]) -> Result<Vec<i32>, ValueError> {
    args.iter()
        .map(|value| match value {
            Value::Int4(v) => Ok(*v),
            Value::Null => Err(ValueError::new(
                SqlState::NullValueNotAllowed,
                "array subscript in assignment must not be null",
            )),
            other => Err(mistyped(other)),
        })
        .collect()
}

fn bounds(args: &[Value]) -> Result<Vec<Bounds>, ValueError> {
    let bound = |value: &Value| match value {
        Value::Void => Ok(None),
        value => subscripts(std::slice::from_ref(value)).map(|bounds| Some(bounds[0])),
    };
    args.chunks(2)
        .map(|pair| match pair {
            [lower, upper] => Ok(Bounds { lower: bound(lower)?, upper: bound(upper)? }),
            _ => Err(mistyped(&pair[0])),
        })
        .collect()
}

fn slice(args: &[Value], _: &EvalContext) -> Result<Value, ValueError> {
    Ok(Value::array(arg::array(args, 0)?.slice(&bounds(&args[1..])?)))
}

fn assign(args: &[Value], ty: DataType, _: &EvalContext) -> Result<Value, ValueError> {
    let [array, value, rest @ ..] = args else { return Err(mistyped(&Value::Null)) };
    let array = target(array, element_type(ty)?);
    Ok(Value::array(array.with_value(&subscripts(rest)?, value.clone())?))
}

fn assign_slice(args: &[Value], ty: DataType, _: &EvalContext) -> Result<Value, ValueError> {
    let [array, source, rest @ ..] = args else { return Err(mistyped(&Value::Null)) };
    let bounds = bounds(rest)?;
    match source {
        // Assigning NULL to a slice changes nothing.
        Value::Null => Ok(array.clone()),
        source => {
            let source = source.as_array().ok_or_else(|| mistyped(source))?;
            Ok(Value::array(target(array, element_type(ty)?).with_slice(&bounds, source)?))
        }
    }
}

/// The dimension that a number names, counted from 1.
fn dimension(args: &[Value]) -> Result<Option<Dimension>, ValueError> {
    let index = arg::int(args, 1)?;
    let index = usize::try_from(index).ok().and_then(|index| index.checked_sub(1));
    let dimensions = arg::array(args, 0)?.dimensions();
    Ok(index.and_then(|index| dimensions.get(index)).copied())
}

fn int_or_null(v: Option<i32>) -> Value {
    v.map_or(Value::Null, Value::Int4)
}

fn at_end(args: &[Value], ty: DataType, appends: bool) -> Result<Value, ValueError> {
    let (array, value) = if appends { (&args[0], &args[1]) } else { (&args[1], &args[0]) };
    let element = element_type(ty)?;
    let array = target(array, element).with_element(element);
    let (lower, at) = match array.dimensions() {
        [] => (1, Some(1)),
        [only] if appends => (only.lower, only.upper().checked_add(1)),
        [only] => (only.lower, only.lower.checked_sub(1)),
        _ => {
            let message = "argument must be empty or one-dimensional array";
            return Err(ValueError::new(SqlState::DataException, message));
        }
    };
    let at = at.ok_or_else(|| ValueError::out_of_range("integer"))?;
    let grown = array.with_value(&[at], value.clone())?;
    let length = grown.dimensions()[0].length;
    Ok(Value::array(Array::new(element, vec![Dimension { length, lower }], grown.into_values())?))
}

fn append(args: &[Value], ty: DataType, _: &EvalContext) -> Result<Value, ValueError> {
    at_end(args, ty, true)
}

fn prepend(args: &[Value], ty: DataType, _: &EvalContext) -> Result<Value, ValueError> {
    at_end(args, ty, false)
}

fn cat(args: &[Value], ty: DataType, _: &EvalContext) -> Result<Value, ValueError> {
    let (a, b) = match (&args[0], &args[1]) {
        (Value::Null, other) | (other, Value::Null) => return Ok(other.clone()),
        _ => (arg::array(args, 0)?, arg::array(args, 1)?),
    };
    if a.is_empty() || b.is_empty() {
        return Ok(if a.is_empty() { args[1].clone() } else { args[0].clone() });
    }
    let refuse = |detail: String| {
        ValueError::new(SqlState::ArraySubscriptError, "cannot concatenate incompatible arrays")
            .with_detail(detail)
    };
    let (left, right) = (a.dimensions(), b.dimensions());
    let longer = |first: Dimension, more: i32| -> Result<Dimension, ValueError> {
        let length = first.length.checked_add(more);
        let length = length.ok_or_else(|| ValueError::out_of_range("integer"))?;
        Ok(Dimension { length, ..first })
    };
    let mut dimensions;
    if left.len() == right.len() {
        if left[1..] != right[1..] {
            let detail =
                "Arrays with differing element dimensions are not compatible for concatenation.";
            return Err(refuse(detail.to_owned()));
        }
        dimensions = left.to_vec();
        dimensions[0] = longer(left[0], right[0].length)?;
    } else {
        let (part, whole) = if left.len() < right.len() { (left, right) } else { (right, left) };
        if part.len() + 1 != whole.len() {
            return Err(refuse(format!(
                "Arrays of {} and {} dimensions are not compatible for concatenation.",
                left.len(),
                right.len()
            )));
        }
        if *part != whole[1..] {
            let detail = "Arrays with differing dimensions are not compatible for concatenation.";
            return Err(refuse(detail.to_owned()));
        }
        dimensions = whole.to_vec();
        dimensions[0] = longer(whole[0], 1)?;
    }
    checked_count(&dimensions)?;
    let values = a.values().iter().chain(b.values()).cloned().collect();
    Ok(Value::array(Array::new(element_type(ty)?, dimensions, values)?))
}

/// The numbers in an array of dimensions or lower bounds.
fn numbers(value: &Value) -> Result<Vec<i32>, ValueError> {
    let null = |message: &str| ValueError::new(SqlState::NullValueNotAllowed, message);
    let array = match value {
        Value::Null => return Err(null("dimension array or low bound array cannot be null")),
        value => value.as_array().ok_or_else(|| mistyped(value))?,
    };
    if array.dimensions().len() > 1 {
        return Err(ValueError::new(
            SqlState::ArraySubscriptError,
            "wrong number of array subscripts",
        )
        .with_detail("Dimension array must be one dimensional."));
    }
    array
        .values()
        .iter()
        .map(|value| match value {
            Value::Int4(v) => Ok(*v),
            _ => Err(null("dimension values cannot be null")),
        })
        .collect()
}

fn fill(args: &[Value], ty: DataType, _: &EvalContext) -> Result<Value, ValueError> {
    let element = element_type(ty)?;
    let lengths = numbers(&args[1])?;
    if lengths.len() > MAX_DIMENSIONS {
        return Err(too_many_dimensions(lengths.len()));
    }
    let lowers = match args.get(2) {
        Some(lowers) => numbers(lowers)?,
        None => vec![1; lengths.len()],
    };
    if lowers.len() != lengths.len() {
        return Err(ValueError::new(
            SqlState::ArraySubscriptError,
            "wrong number of array subscripts",
        )
        .with_detail("Low bound array has different size than dimensions array."));
    }
    let dimensions: Vec<Dimension> = lengths
        .into_iter()
        .zip(lowers)
        .map(|(length, lower)| Dimension { length, lower })
        .collect();
    let count = checked_count(&dimensions)?;
    Ok(Value::array(Array::new(element, dimensions, vec![args[0].clone(); count])?))
}

fn trim(args: &[Value], ty: DataType, _: &EvalContext) -> Result<Value, ValueError> {
    let array = arg::array(args, 0)?;
    let count = arg::int(args, 1)?;
    let length = array.dimensions().first().map_or(0, |first| first.length);
    if !(0..=i64::from(length)).contains(&count) {
        return Err(ValueError::new(
            SqlState::ArraySubscriptError,
            format!("number of elements to trim must be between 0 and {length}"),
        ));
    }
    let Some(first) = array.dimensions().first() else {
        return Ok(Value::array(Array::empty(element_type(ty)?)));
    };
    let upper = i64::from(first.upper()) - count;
    // Below every lower bound there is nothing to keep.
    let upper = i32::try_from(upper).unwrap_or(i32::MIN);
    Ok(Value::array(array.slice(&[Bounds { lower: None, upper: Some(upper) }])))
}

pub(super) fn add(t: &mut Builder) {
    let mut typed = |name, args, variadic, result, kernel| {
        let entry = t.add(name, args, result, Kernel::Typed(kernel));
        entry.strict = false;
        entry.variadic = variadic;
    };
    typed("{}", &[], Some(Unknown), AnyArray, construct);
    typed("{{}}", &[], Some(Unknown), AnyArray, construct_nested);
    typed("[]=", &[AnyArray, AnyElement], Some(Int4), AnyArray, assign);
    typed("[:]=", &[AnyArray, AnyArray], Some(Int4), AnyArray, assign_slice);
    for name in ["array_append", "||"] {
        typed(name, &[AnyCompatibleArray, AnyCompatible], None, AnyCompatibleArray, append);
    }
    for name in ["array_prepend", "||"] {
        typed(name, &[AnyCompatible, AnyCompatibleArray], None, AnyCompatibleArray, prepend);
    }
    for name in ["array_cat", "||"] {
        typed(name, &[AnyCompatibleArray, AnyCompatibleArray], None, AnyCompatibleArray, cat);
    }
    const INTS: DataType = DataType::Array(crate::Element::Int4);
    typed("array_fill", &[AnyElement, INTS], None, AnyArray, fill);
    typed("array_fill", &[AnyElement, INTS, INTS], None, AnyArray, fill);
    t.add("trim_array", &[AnyArray, Int4], AnyArray, Kernel::Typed(trim));
    t.add("[]", &[AnyArray], AnyElement, Kernel::Values(subscript)).variadic = Some(Int4);
    t.add("[:]", &[AnyArray], AnyArray, Kernel::Values(slice)).variadic = Some(Int4);
    t.add(
        "array_length",
        &[AnyArray, Int4],
        Int4,
        Kernel::Values(|args, _| Ok(int_or_null(dimension(args)?.map(|found| found.length)))),
    );
    t.add(
        "array_lower",
        &[AnyArray, Int4],
        Int4,
        Kernel::Values(|args, _| Ok(int_or_null(dimension(args)?.map(|found| found.lower)))),
    );
    t.add(
        "array_upper",
        &[AnyArray, Int4],
        Int4,
        Kernel::Values(|args, _| Ok(int_or_null(dimension(args)?.map(Dimension::upper)))),
    );
    t.add(
        "array_ndims",
        &[AnyArray],
        Int4,
        Kernel::Values(|args, _| {
            let count = arg::array(args, 0)?.dimensions().len() as i32;
            Ok(int_or_null(Some(count).filter(|count| *count > 0)))
        }),
    );
    t.add(
        "cardinality",
        &[AnyArray],
        Int4,
        Kernel::Values(|args, _| Ok(Value::Int4(arg::array(args, 0)?.values().len() as i32))),
    );
    t.add(
        "array_dims",
        &[AnyArray],
        Text,
        Kernel::Values(|args, _| {
            let dimensions = arg::array(args, 0)?.dimensions();
            let shown: String = dimensions
                .iter()
                .map(|dimension| format!("[{}:{}]", dimension.lower, dimension.upper()))
                .collect();
            Ok(if shown.is_empty() { Value::Null } else { Value::text(shown) })
        }),
    );
}
