//! `jsonb_path_exists` and its kin, `@?` and `@@`.

use super::table::Builder;
use super::{Kernel, Volatility, arg, mistyped};
use crate::DataType::{self, Bool, Jsonb, Jsonpath};
use crate::jsonpath::{Found, Question, run};
use crate::{Array, Element, EvalContext, Json, SqlState, Value, ValueError};

/// What a function asks: of the whole, only whether something is there, and across time zones.
fn asked(
    args: &[Value],
    only_exists: bool,
    with_zone: bool,
    is_operator: bool,
    ctx: &EvalContext,
) -> Result<Found, ValueError> {
    let Value::Jsonpath(path) = &args[1] else { return Err(mistyped(&args[1])) };
    let variables = if args.len() > 2 { Some(arg::json(args, 2)?) } else { None };
    let silent = is_operator || args.get(3) == Some(&Value::Bool(true));
    let target = arg::json(args, 0)?;
    run(path, Question { target, variables, silent, with_zone, only_exists }, ctx)
}

/// Whether something is there; nobody knows after an error.
fn is_there(found: &Found) -> Value {
    if found.failed { Value::Null } else { Value::Bool(!found.items.is_empty()) }
}

fn exists<const ZONE: bool>(args: &[Value], ctx: &EvalContext) -> Result<Value, ValueError> {
    Ok(is_there(&asked(args, true, ZONE, false, ctx)?))
}

/// The one truth value that a path yields.
fn only(found: &Found, silent: bool) -> Result<Value, ValueError> {
    match &found.items[..] {
        [Json::Bool(v)] => Ok(Value::Bool(*v)),
        [Json::Null] => Ok(Value::Null),
        _ if silent => Ok(Value::Null),
        _ => Err(ValueError::new(
            SqlState::SingletonSqlJsonItemRequired,
            "single boolean result is expected",
        )),
    }
}

fn matches<const ZONE: bool>(args: &[Value], ctx: &EvalContext) -> Result<Value, ValueError> {
    let silent = args.get(3) == Some(&Value::Bool(true));
    only(&asked(args, false, ZONE, false, ctx)?, silent)
}

fn query<const ZONE: bool>(args: &[Value], ctx: &EvalContext) -> Result<Value, ValueError> {
    let found = asked(args, false, ZONE, false, ctx)?.items;
    let values = found.into_iter().map(Value::jsonb).collect();
    Ok(Value::array(Array::from_values(Jsonb, values)?))
}

fn query_array<const ZONE: bool>(args: &[Value], ctx: &EvalContext) -> Result<Value, ValueError> {
    let found = asked(args, false, ZONE, false, ctx)?.items;
    Ok(Value::jsonb(Json::Array(found)))
}

fn query_first<const ZONE: bool>(args: &[Value], ctx: &EvalContext) -> Result<Value, ValueError> {
    let found = asked(args, false, ZONE, false, ctx)?.items;
    Ok(found.into_iter().next().map_or(Value::Null, Value::jsonb))
}

pub(super) fn add(t: &mut Builder) {
    type General = fn(&[Value], &EvalContext) -> Result<Value, ValueError>;
    const ARGS: &[DataType] = &[Jsonb, Jsonpath, Jsonb, Bool];
    const JSONBS: DataType = DataType::Array(Element::Jsonb);
    let entries: [(&'static str, DataType, bool, General); 10] = [
        ("jsonb_path_exists", Bool, false, exists::<false>),
        ("jsonb_path_exists_tz", Bool, true, exists::<true>),
        ("jsonb_path_match", Bool, false, matches::<false>),
        ("jsonb_path_match_tz", Bool, true, matches::<true>),
        ("*jsonb_path_query", JSONBS, false, query::<false>),
        ("*jsonb_path_query_tz", JSONBS, true, query::<true>),
        ("jsonb_path_query_array", Jsonb, false, query_array::<false>),
        ("jsonb_path_query_array_tz", Jsonb, true, query_array::<true>),
        ("jsonb_path_query_first", Jsonb, false, query_first::<false>),
        ("jsonb_path_query_first_tz", Jsonb, true, query_first::<true>),
    ];
    for (name, result, is_stable, kernel) in entries {
        for count in 2..=4 {
            let entry = t.add(name, &ARGS[..count], result, Kernel::Values(kernel));
            if is_stable {
                entry.volatility = Volatility::Stable;
            }
        }
    }
    let operators: [(&'static str, General); 4] = [
        ("@?", |args, ctx| Ok(is_there(&asked(args, true, false, true, ctx)?))),
        ("jsonb_path_exists_opr", |args, ctx| Ok(is_there(&asked(args, true, false, true, ctx)?))),
        ("@@", |args, ctx| only(&asked(args, false, false, true, ctx)?, true)),
        ("jsonb_path_match_opr", |args, ctx| only(&asked(args, false, false, true, ctx)?, true)),
    ];
    for (name, kernel) in operators {
        t.add(name, &[Jsonb, Jsonpath], Bool, Kernel::Values(kernel));
    }
}
