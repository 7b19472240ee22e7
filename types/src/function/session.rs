//! Functions of the session: who, where, and randomness.

use super::table::Builder;
use super::{Kernel, Volatility};
use crate::DataType::{Float8, Int4, Name, Text, Unknown, Uuid};
use crate::{EvalContext, Value, ValueError};

pub(super) fn num_nulls(args: &[Value], _: &EvalContext) -> Result<Value, ValueError> {
    Value::from_int(Int4, args.iter().filter(|value| value.is_null()).count() as i64)
}

pub(super) fn num_nonnulls(args: &[Value], _: &EvalContext) -> Result<Value, ValueError> {
    Value::from_int(Int4, args.iter().filter(|value| !value.is_null()).count() as i64)
}

pub(super) fn add(t: &mut Builder) {
    t.stable("version", &[], Text, Kernel::Values(|_, ctx| Ok(Value::text(&*ctx.version))));
    t.stable(
        "current_database",
        &[],
        Name,
        Kernel::Values(|_, ctx| Ok(Value::text(&*ctx.database))),
    );
    for name in ["current_user", "user", "current_role"] {
        t.stable(name, &[], Name, Kernel::Values(|_, ctx| Ok(Value::text(&*ctx.user))));
    }
    t.stable(
        "session_user",
        &[],
        Name,
        Kernel::Values(|_, ctx| Ok(Value::text(&*ctx.session_user))),
    );
    t.stable(
        "pg_backend_pid",
        &[],
        Int4,
        Kernel::Values(|_, ctx| Ok(Value::Int4(ctx.backend_pid))),
    );
    t.add(
        "random",
        &[],
        Float8,
        Kernel::Values(|_, ctx| {
            Ok(Value::Float8(((ctx.random)() >> 11) as f64 / (1u64 << 53) as f64))
        }),
    )
    .volatility = Volatility::Volatile;
    t.add(
        "gen_random_uuid",
        &[],
        Uuid,
        Kernel::Values(|_, ctx| {
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(&(ctx.random)().to_be_bytes());
            bytes[8..].copy_from_slice(&(ctx.random)().to_be_bytes());
            // Version 4, variant 1 [RFC4122].
            bytes[6] = bytes[6] & 0x0f | 0x40;
            bytes[8] = bytes[8] & 0x3f | 0x80;
            Ok(Value::Uuid(bytes))
        }),
    )
    .volatility = Volatility::Volatile;
    let nulls = t.add("num_nulls", &[], Int4, Kernel::Values(num_nulls));
    nulls.variadic = Some(Unknown);
    nulls.strict = false;
    let others = t.add("num_nonnulls", &[], Int4, Kernel::Values(num_nonnulls));
    others.variadic = Some(Unknown);
    others.strict = false;
}
