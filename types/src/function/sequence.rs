//! Functions of sequences: the session has them.

use super::table::Builder;
use super::{Kernel, Volatility, arg};
use crate::DataType::{self, Bool, Int8, Regclass};
use crate::actions::SequenceCall;
use crate::{Array, Element, EvalContext, Value, ValueError};

/// What a sequence holds, for `SELECT … FROM` it: the last value, how many more are logged, and whether the last
/// was given (1).
pub const SEQUENCE_STATE: &str = "driftdb_sequence_state";

type Call = fn(&[Value], &EvalContext) -> Result<Value, ValueError>;

fn oid(args: &[Value]) -> u32 {
    args.first().and_then(Value::as_int).unwrap_or_default() as u32
}

fn set(args: &[Value], ctx: &EvalContext) -> Result<Value, ValueError> {
    let value = arg::int(args, 1)?;
    let is_called = args.get(2) != Some(&Value::Bool(false));
    let call = SequenceCall::Set { sequence: oid(args), value, is_called };
    ctx.actions.sequence(call).map(Value::Int8)
}

fn last_value(args: &[Value], ctx: &EvalContext) -> Result<Value, ValueError> {
    let state = ctx.actions.sequence_state(oid(args))?;
    let given = state.filter(|state| state.is_called);
    Ok(given.map_or(Value::Null, |state| Value::Int8(state.last_value)))
}

fn state(args: &[Value], ctx: &EvalContext) -> Result<Value, ValueError> {
    let Some(state) = ctx.actions.sequence_state(oid(args))? else { return Ok(Value::Null) };
    let values = [state.last_value, state.log_count, i64::from(state.is_called)];
    let values = values.into_iter().map(Value::Int8).collect();
    Ok(Value::array(Array::from_values(Int8, values)?))
}

/// Whether a function needs the definitions of sequences.
pub(super) fn is_of_sequences(name: &str) -> bool {
    matches!(
        name,
        "nextval" | "currval" | "lastval" | "setval" | "pg_sequence_last_value" | SEQUENCE_STATE
    )
}

pub(super) fn add(t: &mut Builder) {
    const ONE: &[DataType] = &[Regclass];
    let all: [(&str, &[DataType], DataType, Call); 7] = [
        ("nextval", ONE, Int8, |args, ctx| {
            ctx.actions.sequence(SequenceCall::Next(oid(args))).map(Value::Int8)
        }),
        ("currval", ONE, Int8, |args, ctx| {
            ctx.actions.sequence(SequenceCall::Current(oid(args))).map(Value::Int8)
        }),
        ("lastval", &[], Int8, |_, ctx| ctx.actions.sequence(SequenceCall::Last).map(Value::Int8)),
        ("setval", &[Regclass, Int8], Int8, set),
        ("setval", &[Regclass, Int8, Bool], Int8, set),
        ("pg_sequence_last_value", ONE, Int8, last_value),
        (SEQUENCE_STATE, ONE, DataType::Array(Element::Int8), state),
    ];
    for (name, args, result, call) in all {
        t.add(name, args, result, Kernel::Values(call)).volatility = Volatility::Volatile;
    }
}
