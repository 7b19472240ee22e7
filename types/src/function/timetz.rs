//! Functions of `time with time zone`.

use super::table::Builder;
use super::{Kernel, Volatility, arg, mistyped};
use crate::DataType::{self, Date, Int4, Interval as Span, Text, Time, Timestamptz, Timetz as Tz};
use crate::datetime::{self as dt, DAY_MICROS, SECOND_MICROS};
use crate::{EvalContext, TimeZone, Timetz, Value, ValueError};

fn timetz(args: &[Value], index: usize) -> Result<Timetz, ValueError> {
    match &args[index] {
        Value::Timetz(v) => Ok(*v),
        other => Err(mistyped(other)),
    }
}

fn moved(v: Timetz, args: &[Value], span: usize, back: bool) -> Result<Value, ValueError> {
    let micros = dt::time_add(v.micros, arg::interval(args, span)?, back);
    Ok(Value::Timetz(Timetz { micros, ..v }))
}

/// The instant of a day's time of day.
fn instant(date: i64, v: Timetz) -> Result<Value, ValueError> {
    match i32::try_from(date) {
        Ok(i32::MIN) => return Ok(Value::Timestamptz(i64::MIN)),
        Ok(i32::MAX) => return Ok(Value::Timestamptz(i64::MAX)),
        _ => {}
    }
    let at = i128::from(date) * i128::from(DAY_MICROS) + i128::from(v.utc_micros());
    match i64::try_from(at) {
        Ok(at) if dt::valid_timestamp(at) => Ok(Value::Timestamptz(at)),
        _ => Err(dt::timestamp_out_of_range()),
    }
}

/// `timezone(zone, timetz)`: the zone's offset is that of now.
fn in_zone(args: &[Value], ctx: &EvalContext) -> Result<Value, ValueError> {
    let west = match &args[0] {
        Value::Interval(v) if v.months == 0 && v.days == 0 => {
            -i32::try_from(v.micros / SECOND_MICROS)
                .map_err(|_| ValueError::out_of_range("interval time zone"))?
        }
        Value::Interval(v) => {
            let mut text = Vec::new();
            dt::write_interval(*v, crate::IntervalStyle::Postgres, &mut text);
            let text = String::from_utf8_lossy(&text).into_owned();
            let message = format!("interval time zone \"{text}\" must not include months or days");
            return Err(ValueError::invalid_parameter(message));
        }
        _ => -TimeZone::parse(arg::text(args, 0)?)?.offset_at(ctx.transaction_ts),
    };
    Ok(Value::Timetz(timetz(args, 1)?.in_zone(west)))
}

/// The transaction's time of day in the session's zone.
fn now(args: &[Value], ctx: &EvalContext) -> Result<Value, ValueError> {
    let Some(v) = Timetz::of_instant(ctx.transaction_ts, ctx) else { return Ok(Value::Null) };
    let precision = if args.is_empty() { 6 } else { arg::int(args, 0)?.clamp(0, 6) as i32 };
    Ok(Value::Timetz(Timetz { micros: dt::round_micros(v.micros, precision), ..v }))
}

pub(super) fn add(t: &mut Builder) {
    type General = fn(&[Value], &EvalContext) -> Result<Value, ValueError>;
    let immutable: [(&'static str, &'static [DataType], DataType, General); 8] = [
        ("+", &[Tz, Span], Tz, |args, _| moved(timetz(args, 0)?, args, 1, false)),
        ("+", &[Span, Tz], Tz, |args, _| moved(timetz(args, 1)?, args, 0, false)),
        ("-", &[Tz, Span], Tz, |args, _| moved(timetz(args, 0)?, args, 1, true)),
        ("+", &[Date, Tz], Timestamptz, |args, _| instant(arg::int(args, 0)?, timetz(args, 1)?)),
        ("+", &[Tz, Date], Timestamptz, |args, _| instant(arg::int(args, 1)?, timetz(args, 0)?)),
        ("timestamptz", &[Date, Tz], Timestamptz, |args, _| {
            instant(arg::int(args, 0)?, timetz(args, 1)?)
        }),
        ("timetz_cmp", &[Tz, Tz], Int4, |args, _| {
            Ok(Value::Int4(timetz(args, 0)?.compare(timetz(args, 1)?) as i32))
        }),
        ("timezone", &[Span, Tz], Tz, in_zone),
    ];
    for (name, args, result, kernel) in immutable {
        t.add(name, args, result, Kernel::Values(kernel));
    }
    let stable: [(&'static str, &'static [DataType], DataType, General); 4] = [
        ("timezone", &[Text, Tz], Tz, in_zone),
        ("current_time", &[], Tz, now),
        ("current_time", &[Int4], Tz, now),
        ("localtime", &[Int4], Time, |args, ctx| match now(args, ctx)? {
            Value::Timetz(v) => Ok(Value::Time(v.micros)),
            other => Ok(other),
        }),
    ];
    for (name, args, result, kernel) in stable {
        t.add(name, args, result, Kernel::Values(kernel)).volatility = Volatility::Stable;
    }
}
