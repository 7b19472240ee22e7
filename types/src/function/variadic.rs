//! `VARIADIC array`: a call with an array in place of the last arguments.
//!
//! Each function that takes any number of arguments of any type has a second entry under a name that no
//! statement can spell, of the fixed arguments and an array, whose elements it takes for the others.

use super::table::Builder;
use super::{Kernel, Volatility, json_build, session, string, string_format};
use crate::DataType::{self, AnyArray, Int4, Json, Jsonb, Text};
use crate::{EvalContext, Value, ValueError};

type Call = fn(&[Value], &EvalContext) -> Result<Value, ValueError>;

/// The arguments with the array's elements in its place; `None` if it is NULL.
fn spread(args: &[Value]) -> Option<Vec<Value>> {
    let (array, fixed) = args.split_last()?;
    let array = array.as_array()?;
    Some(fixed.iter().chain(array.values()).cloned().collect())
}

macro_rules! spread {
    ($call:path) => {{
        fn call(args: &[Value], ctx: &EvalContext) -> Result<Value, ValueError> {
            match spread(args) {
                Some(args) => $call(&args, ctx),
                None => Ok(Value::Null),
            }
        }
        call
    }};
}

/// `format` takes NULL for no arguments.
fn format(args: &[Value], ctx: &EvalContext) -> Result<Value, ValueError> {
    match spread(args) {
        Some(args) => string_format::format(&args, ctx),
        None => string_format::format(&args[..1], ctx),
    }
}

pub(super) fn add(t: &mut Builder) {
    const ONE: &[DataType] = &[AnyArray];
    const TWO: &[DataType] = &[Text, AnyArray];
    let entries: [(&'static str, &'static [DataType], DataType, Call); 9] = [
        ("*variadic concat", ONE, Text, spread!(string::concat)),
        ("*variadic concat_ws", TWO, Text, spread!(string::concat_ws)),
        ("*variadic format", TWO, Text, format),
        ("*variadic num_nulls", ONE, Int4, spread!(session::num_nulls)),
        ("*variadic num_nonnulls", ONE, Int4, spread!(session::num_nonnulls)),
        ("*variadic json_build_array", ONE, Json, spread!(json_build::build_array)),
        ("*variadic json_build_object", ONE, Json, spread!(json_build::build_object)),
        ("*variadic jsonb_build_array", ONE, Jsonb, spread!(json_build::build_array_tree)),
        ("*variadic jsonb_build_object", ONE, Jsonb, spread!(json_build::build_object_tree)),
    ];
    for (name, args, result, kernel) in entries {
        let entry = t.add(name, args, result, Kernel::Values(kernel));
        entry.strict = false;
        entry.volatility = Volatility::Stable;
    }
}
