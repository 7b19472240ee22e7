//! Functions that act: advisory locks, sleep, other sessions, settings.

use super::table::Builder;
use super::{Kernel, Volatility, arg};
use crate::DataType::{self, Bool, Float8, Int4, Int8, Text, Void};
use crate::{
    AdvisoryKey, AdvisoryRequest, Array, Element, EvalContext, SqlState, Value, ValueError,
};

type Call = fn(&[Value], &EvalContext) -> Result<Value, ValueError>;

fn volatile(
    t: &mut Builder,
    name: &'static str,
    args: &'static [DataType],
    result: DataType,
    call: Call,
) {
    t.add(name, args, result, Kernel::Values(call)).volatility = Volatility::Volatile;
}

/// The lock that one `bigint` or two `int`s name.
fn key(args: &[Value]) -> Result<AdvisoryKey, ValueError> {
    let first = arg::int(args, 0)?;
    Ok(match args {
        [_] => AdvisoryKey { class: (first >> 32) as u32, object: first as u32, form: 1 },
        _ => AdvisoryKey { class: first as u32, object: arg::int(args, 1)? as u32, form: 2 },
    })
}

const SHARED: u8 = 1;
const TRANSACTION: u8 = 2;
const TRY: u8 = 4;

fn take<const HOW: u8>(args: &[Value], ctx: &EvalContext) -> Result<Value, ValueError> {
    let taken = ctx.actions.lock(AdvisoryRequest {
        key: key(args)?,
        is_shared: HOW & SHARED != 0,
        is_for_transaction: HOW & TRANSACTION != 0,
        waits: HOW & TRY == 0,
    })?;
    Ok(if HOW & TRY != 0 { Value::Bool(taken) } else { Value::Void })
}

fn give<const HOW: u8>(args: &[Value], ctx: &EvalContext) -> Result<Value, ValueError> {
    Ok(Value::Bool(ctx.actions.unlock(key(args)?, HOW & SHARED != 0)))
}

fn set_config(args: &[Value], ctx: &EvalContext) -> Result<Value, ValueError> {
    if args[0].is_null() {
        let message = "SET requires parameter name";
        return Err(ValueError::new(SqlState::NullValueNotAllowed, message));
    }
    let value = if args[1].is_null() { None } else { Some(arg::text(args, 1)?) };
    let is_local = args[2] == Value::Bool(true);
    Ok(Value::text(ctx.actions.set(arg::text(args, 0)?, value, is_local)?))
}

fn current_setting(args: &[Value], ctx: &EvalContext) -> Result<Value, ValueError> {
    match ctx.actions.setting(arg::text(args, 0)?) {
        Ok(value) => Ok(Value::text(value)),
        Err(error)
            if error.state == SqlState::UndefinedObject
                && args.get(1) == Some(&Value::Bool(true)) =>
        {
            Ok(Value::Null)
        }
        Err(error) => Err(error),
    }
}

/// NULL is a channel without a name, and an empty payload.
fn notify(args: &[Value], ctx: &EvalContext) -> Result<Value, ValueError> {
    let text = |index: usize| if args[index].is_null() { Ok("") } else { arg::text(args, index) };
    ctx.actions.notify(text(0)?, text(1)?)?;
    Ok(Value::Void)
}

const TEXTS: DataType = DataType::Array(Element::Text);
const PIDS: DataType = DataType::Array(Element::Int4);

pub(super) fn add(t: &mut Builder) {
    const ONE: &[DataType] = &[Int8];
    const TWO: &[DataType] = &[Int4, Int4];
    let takes: [(&str, DataType, Call); 8] = [
        ("pg_advisory_lock", Void, take::<0>),
        ("pg_advisory_lock_shared", Void, take::<SHARED>),
        ("pg_advisory_xact_lock", Void, take::<TRANSACTION>),
        ("pg_advisory_xact_lock_shared", Void, take::<{ TRANSACTION | SHARED }>),
        ("pg_try_advisory_lock", Bool, take::<TRY>),
        ("pg_try_advisory_lock_shared", Bool, take::<{ TRY | SHARED }>),
        ("pg_try_advisory_xact_lock", Bool, take::<{ TRY | TRANSACTION }>),
        ("pg_try_advisory_xact_lock_shared", Bool, take::<{ TRY | TRANSACTION | SHARED }>),
    ];
    for (name, result, call) in takes {
        volatile(t, name, ONE, result, call);
        volatile(t, name, TWO, result, call);
    }
    let gives: [(&str, Call); 2] =
        [("pg_advisory_unlock", give::<0>), ("pg_advisory_unlock_shared", give::<SHARED>)];
    for (name, call) in gives {
        volatile(t, name, ONE, Bool, call);
        volatile(t, name, TWO, Bool, call);
    }
    volatile(t, "pg_advisory_unlock_all", &[], Void, |_, ctx| {
        ctx.actions.unlock_all();
        Ok(Value::Void)
    });
    volatile(t, "pg_sleep", &[Float8], Void, |args, ctx| {
        ctx.actions.sleep(arg::float(args, 0)?)?;
        Ok(Value::Void)
    });
    volatile(t, "pg_cancel_backend", &[Int4], Bool, |args, ctx| {
        ctx.actions.cancel(arg::int(args, 0)? as i32).map(Value::Bool)
    });
    volatile(t, "pg_terminate_backend", &[Int4], Bool, |args, ctx| {
        ctx.actions.terminate(arg::int(args, 0)? as i32).map(Value::Bool)
    });
    volatile(t, "pg_blocking_pids", &[Int4], PIDS, |args, ctx| {
        let pids = ctx.actions.blocking_pids(arg::int(args, 0)? as i32);
        let pids = pids.into_iter().map(Value::Int4).collect();
        Ok(Value::array(Array::from_values(Int4, pids)?))
    });
    volatile(t, "pg_isolation_test_session_is_blocked", &[Int4, PIDS], Bool, |args, ctx| {
        let interesting = arg::array(args, 1)?.values();
        let blockers = ctx.actions.blocking_pids(arg::int(args, 0)? as i32);
        Ok(Value::Bool(blockers.iter().any(|pid| interesting.contains(&Value::Int4(*pid)))))
    });
    let notify = t.add("pg_notify", &[Text, Text], Void, Kernel::Values(notify));
    notify.volatility = Volatility::Volatile;
    notify.strict = false;
    // What waits is bounded by its number for each listener, of which a backlog is a small part.
    volatile(t, "pg_notification_queue_usage", &[], Float8, |_, _| Ok(Value::Float8(0.0)));
    // The binder makes rows of it.
    volatile(t, "pg_listening_channels", &[], TEXTS, |_, ctx| {
        let names = ctx.actions.channels().into_iter().map(Value::text).collect();
        Ok(Value::array(Array::from_values(Text, names)?))
    });
    let set = t.add("set_config", &[Text, Text, Bool], Text, Kernel::Values(set_config));
    set.volatility = Volatility::Volatile;
    set.strict = false;
    // Not folded: another call in the statement may change it.
    volatile(t, "current_setting", &[Text], Text, current_setting);
    volatile(t, "current_setting", &[Text, Bool], Text, current_setting);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_told_apart_as_in_postgres() {
        let one = key(&[Value::Int8(-1)]).unwrap();
        assert_eq!(one, AdvisoryKey { class: u32::MAX, object: u32::MAX, form: 1 });
        let two = key(&[Value::Int4(-1), Value::Int4(-1)]).unwrap();
        assert_eq!(two, AdvisoryKey { class: u32::MAX, object: u32::MAX, form: 2 });
        let large = key(&[Value::Int8((7 << 32) + 9)]).unwrap();
        assert_eq!(large, AdvisoryKey { class: 7, object: 9, form: 1 });
    }
}
