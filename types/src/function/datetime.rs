//! Operators and functions of dates, times, timestamps and intervals.

use super::table::Builder;
use super::{Kernel, Volatility, arg, mistyped};
use crate::DataType::{
    self, Bool, Date, Float8, Int4, Interval as Span, Numeric as Num, Text, Time, Timestamp,
    Timestamptz, Timetz,
};
use crate::datetime::{
    self as dt, DAY_MICROS, HOUR_MICROS, MINUTE_MICROS, SECOND_MICROS, Subject, TimeZone,
};
use crate::{EvalContext, Interval, Value, ValueError};

type General = fn(&[Value], &EvalContext) -> Result<Value, ValueError>;

fn interval(v: Result<Interval, ValueError>) -> Result<Value, ValueError> {
    v.map(Value::Interval)
}

/// Midnight of a date argument.
fn midnight(args: &[Value], index: usize) -> Result<i64, ValueError> {
    dt::date_to_timestamp(arg::int(args, index)? as i32)
}

fn date_and_time(date: i64, time: i64) -> Result<Value, ValueError> {
    let at = dt::date_to_timestamp(date as i32)?;
    if at == i64::MIN || at == i64::MAX {
        return Ok(Value::Timestamp(at));
    }
    let at = at.checked_add(time).filter(|v| dt::valid_timestamp(*v));
    at.map(Value::Timestamp).ok_or_else(dt::timestamp_out_of_range)
}

fn operators(t: &mut Builder) {
    let mut op = |name: &'static str, args: &'static [DataType], result, kernel: General| {
        t.add(name, args, result, Kernel::Values(kernel));
    };
    op("+", &[Span, Span], Span, |args, _| {
        interval(dt::interval_add(arg::interval(args, 0)?, arg::interval(args, 1)?))
    });
    op("-", &[Span, Span], Span, |args, _| {
        interval(dt::interval_sub(arg::interval(args, 0)?, arg::interval(args, 1)?))
    });
    op("-", &[Span], Span, |args, _| interval(dt::interval_neg(arg::interval(args, 0)?)));
    op("*", &[Span, Float8], Span, |args, _| {
        interval(dt::interval_mul(arg::interval(args, 0)?, arg::float(args, 1)?))
    });
    op("*", &[Float8, Span], Span, |args, _| {
        interval(dt::interval_mul(arg::interval(args, 1)?, arg::float(args, 0)?))
    });
    op("/", &[Span, Float8], Span, |args, _| {
        interval(dt::interval_div(arg::interval(args, 0)?, arg::float(args, 1)?))
    });
    op("+", &[Timestamp, Span], Timestamp, |args, _| {
        Ok(Value::Timestamp(dt::add_interval(arg::int(args, 0)?, arg::interval(args, 1)?)?))
    });
    op("+", &[Span, Timestamp], Timestamp, |args, _| {
        Ok(Value::Timestamp(dt::add_interval(arg::int(args, 1)?, arg::interval(args, 0)?)?))
    });
    op("-", &[Timestamp, Span], Timestamp, |args, _| {
        let back = dt::interval_neg(arg::interval(args, 1)?)?;
        Ok(Value::Timestamp(dt::add_interval(arg::int(args, 0)?, back)?))
    });
    op("+", &[Date, Span], Timestamp, |args, _| {
        Ok(Value::Timestamp(dt::add_interval(midnight(args, 0)?, arg::interval(args, 1)?)?))
    });
    op("+", &[Span, Date], Timestamp, |args, _| {
        Ok(Value::Timestamp(dt::add_interval(midnight(args, 1)?, arg::interval(args, 0)?)?))
    });
    op("-", &[Date, Span], Timestamp, |args, _| {
        let back = dt::interval_neg(arg::interval(args, 1)?)?;
        Ok(Value::Timestamp(dt::add_interval(midnight(args, 0)?, back)?))
    });
    op("+", &[Date, Time], Timestamp, |args, _| {
        date_and_time(arg::int(args, 0)?, arg::int(args, 1)?)
    });
    op("+", &[Time, Date], Timestamp, |args, _| {
        date_and_time(arg::int(args, 1)?, arg::int(args, 0)?)
    });
    op("+", &[Time, Span], Time, |args, _| {
        Ok(Value::Time(dt::time_add(arg::int(args, 0)?, arg::interval(args, 1)?, false)))
    });
    op("+", &[Span, Time], Time, |args, _| {
        Ok(Value::Time(dt::time_add(arg::int(args, 1)?, arg::interval(args, 0)?, false)))
    });
    op("-", &[Time, Span], Time, |args, _| {
        Ok(Value::Time(dt::time_add(arg::int(args, 0)?, arg::interval(args, 1)?, true)))
    });
    op("-", &[Time, Time], Span, |args, _| {
        let micros = arg::int(args, 0)? - arg::int(args, 1)?;
        Ok(Value::Interval(Interval { micros, ..Interval::default() }))
    });
    for args in [&[Timestamp, Timestamp], &[Timestamptz, Timestamptz]] {
        op("-", args, Span, |args, _| {
            interval(dt::timestamp_diff(arg::int(args, 0)?, arg::int(args, 1)?))
        });
    }
    t.stable(
        "+",
        &[Timestamptz, Span],
        Timestamptz,
        Kernel::Values(|args, ctx| {
            let span = arg::interval(args, 1)?;
            Ok(Value::Timestamptz(dt::add_interval_tz(arg::int(args, 0)?, span, &ctx.time_zone)?))
        }),
    );
    t.stable(
        "+",
        &[Span, Timestamptz],
        Timestamptz,
        Kernel::Values(|args, ctx| {
            let span = arg::interval(args, 0)?;
            Ok(Value::Timestamptz(dt::add_interval_tz(arg::int(args, 1)?, span, &ctx.time_zone)?))
        }),
    );
    t.stable(
        "-",
        &[Timestamptz, Span],
        Timestamptz,
        Kernel::Values(|args, ctx| {
            let span = dt::interval_neg(arg::interval(args, 1)?)?;
            Ok(Value::Timestamptz(dt::add_interval_tz(arg::int(args, 0)?, span, &ctx.time_zone)?))
        }),
    );
}

/// What `extract` looks at.
fn subject(value: &Value, ctx: &EvalContext) -> Result<Subject, ValueError> {
    Ok(match value {
        Value::Date(v) => Subject::Date(*v),
        Value::Time(v) => Subject::Time(*v),
        Value::Timetz(v) => Subject::Timetz(*v),
        Value::Timestamp(v) => Subject::Timestamp(*v),
        Value::Timestamptz(v) => Subject::Timestamptz(*v, ctx.time_zone.offset_at(*v)),
        Value::Interval(v) => Subject::Interval(*v),
        other => return Err(mistyped(other)),
    })
}

fn fields(t: &mut Builder) {
    let extract: General = |args, ctx| {
        let found = dt::extract(arg::text(args, 0)?, subject(&args[1], ctx)?)?;
        Ok(found.map_or(Value::Null, Value::Numeric))
    };
    let part: General = |args, ctx| {
        // Unlike extract, date_part sees a date as its midnight.
        let subject = match &args[1] {
            Value::Date(v) => Subject::Timestamp(dt::date_to_timestamp(*v)?),
            other => subject(other, ctx)?,
        };
        let found = dt::extract_float(arg::text(args, 0)?, subject)?;
        Ok(found.map_or(Value::Null, Value::Float8))
    };
    for args in [&[Text, Date], &[Text, Time], &[Text, Timetz], &[Text, Timestamp], &[Text, Span]] {
        t.add("extract", args, Num, Kernel::Values(extract));
        t.add("date_part", args, Float8, Kernel::Values(part));
    }
    t.stable("extract", &[Text, Timestamptz], Num, Kernel::Values(extract));
    t.stable("date_part", &[Text, Timestamptz], Float8, Kernel::Values(part));
    t.add(
        "date_trunc",
        &[Text, Timestamp],
        Timestamp,
        Kernel::Values(|args, _| {
            Ok(Value::Timestamp(dt::date_trunc(arg::text(args, 0)?, arg::int(args, 1)?, None)?))
        }),
    );
    t.add(
        "date_trunc",
        &[Text, Span],
        Span,
        Kernel::Values(|args, _| {
            interval(dt::date_trunc_interval(arg::text(args, 0)?, arg::interval(args, 1)?))
        }),
    );
    t.stable(
        "date_trunc",
        &[Text, Timestamptz],
        Timestamptz,
        Kernel::Values(|args, ctx| {
            let zone = Some(&ctx.time_zone);
            Ok(Value::Timestamptz(dt::date_trunc(arg::text(args, 0)?, arg::int(args, 1)?, zone)?))
        }),
    );
    t.stable(
        "date_trunc",
        &[Text, Timestamptz, Text],
        Timestamptz,
        Kernel::Values(|args, _| {
            let zone = match arg::int(args, 1)? {
                i64::MIN | i64::MAX => TimeZone::utc(),
                _ => TimeZone::parse(arg::text(args, 2)?)?,
            };
            let cut = dt::date_trunc(arg::text(args, 0)?, arg::int(args, 1)?, Some(&zone))?;
            Ok(Value::Timestamptz(cut))
        }),
    );
    t.add(
        "date_bin",
        &[Span, Timestamp, Timestamp],
        Timestamp,
        Kernel::Values(|args, _| {
            let (v, origin) = (arg::int(args, 1)?, arg::int(args, 2)?);
            Ok(Value::Timestamp(dt::date_bin(arg::interval(args, 0)?, v, origin)?))
        }),
    );
    t.add(
        "date_bin",
        &[Span, Timestamptz, Timestamptz],
        Timestamptz,
        Kernel::Values(|args, _| {
            let (v, origin) = (arg::int(args, 1)?, arg::int(args, 2)?);
            Ok(Value::Timestamptz(dt::date_bin(arg::interval(args, 0)?, v, origin)?))
        }),
    );
}

fn clocks(t: &mut Builder) {
    for name in ["now", "transaction_timestamp", "current_timestamp"] {
        t.stable(
            name,
            &[],
            Timestamptz,
            Kernel::Values(|_, ctx| Ok(Value::Timestamptz(ctx.transaction_ts))),
        );
    }
    t.stable(
        "current_timestamp",
        &[Int4],
        Timestamptz,
        Kernel::Values(|args, ctx| {
            let precision = arg::int(args, 0)?.clamp(0, 6) as i32;
            Ok(Value::Timestamptz(dt::round_timestamp(ctx.transaction_ts, precision)))
        }),
    );
    t.stable(
        "statement_timestamp",
        &[],
        Timestamptz,
        Kernel::Values(|_, ctx| Ok(Value::Timestamptz(ctx.statement_ts))),
    );
    t.add(
        "clock_timestamp",
        &[],
        Timestamptz,
        Kernel::Values(|_, ctx| Ok(Value::Timestamptz((ctx.clock)()))),
    )
    .volatility = Volatility::Volatile;
    t.stable(
        "current_date",
        &[],
        Date,
        Kernel::Values(|_, ctx| dt::convert(Value::Timestamptz(ctx.transaction_ts), Date, ctx)),
    );
    t.stable(
        "localtime",
        &[],
        Time,
        Kernel::Values(|_, ctx| dt::convert(Value::Timestamptz(ctx.transaction_ts), Time, ctx)),
    );
    t.stable(
        "localtimestamp",
        &[],
        Timestamp,
        Kernel::Values(|_, ctx| {
            dt::convert(Value::Timestamptz(ctx.transaction_ts), Timestamp, ctx)
        }),
    );
    t.stable(
        "localtimestamp",
        &[Int4],
        Timestamp,
        Kernel::Values(|args, ctx| {
            let local = dt::timestamptz_to_timestamp(ctx.transaction_ts, &ctx.time_zone)?;
            Ok(Value::Timestamp(dt::round_timestamp(local, arg::int(args, 0)?.clamp(0, 6) as i32)))
        }),
    );
}

/// The zone that an interval means.
fn interval_zone(v: Interval) -> Result<TimeZone, ValueError> {
    if v.months != 0 || v.days != 0 {
        let mut text = Vec::new();
        dt::write_interval(v, crate::IntervalStyle::Postgres, &mut text);
        let text = String::from_utf8_lossy(&text).into_owned();
        let message = format!("interval time zone \"{text}\" must not include months or days");
        return Err(ValueError::invalid_parameter(message));
    }
    let seconds = i32::try_from(v.micros / SECOND_MICROS);
    seconds.map(TimeZone::fixed).map_err(|_| ValueError::out_of_range("interval time zone"))
}

/// The zone of `timezone(text, …)`; not looked up for an infinity, which has no zone.
fn zone_for(args: &[Value]) -> Result<TimeZone, ValueError> {
    match arg::int(args, 1)? {
        i64::MIN | i64::MAX => Ok(TimeZone::utc()),
        _ => match &args[0] {
            Value::Interval(v) => interval_zone(*v),
            _ => TimeZone::parse(arg::text(args, 0)?),
        },
    }
}

fn zones(t: &mut Builder) {
    t.add(
        "timezone",
        &[Text, Timestamptz],
        Timestamp,
        Kernel::Values(|args, _| {
            let zone = zone_for(args)?;
            Ok(Value::Timestamp(dt::timestamptz_to_timestamp(arg::int(args, 1)?, &zone)?))
        }),
    );
    t.add(
        "timezone",
        &[Text, Timestamp],
        Timestamptz,
        Kernel::Values(|args, _| {
            let zone = zone_for(args)?;
            Ok(Value::Timestamptz(dt::timestamp_to_timestamptz(arg::int(args, 1)?, &zone)?))
        }),
    );
    t.add(
        "timezone",
        &[Span, Timestamptz],
        Timestamp,
        Kernel::Values(|args, _| {
            let zone = zone_for(args)?;
            Ok(Value::Timestamp(dt::timestamptz_to_timestamp(arg::int(args, 1)?, &zone)?))
        }),
    );
    t.add(
        "timezone",
        &[Span, Timestamp],
        Timestamptz,
        Kernel::Values(|args, _| {
            let zone = zone_for(args)?;
            Ok(Value::Timestamptz(dt::timestamp_to_timestamptz(arg::int(args, 1)?, &zone)?))
        }),
    );
}

fn ages(t: &mut Builder) {
    t.add(
        "age",
        &[Timestamp, Timestamp],
        Span,
        Kernel::Values(|args, _| interval(dt::age(arg::int(args, 0)?, arg::int(args, 1)?))),
    );
    t.stable(
        "age",
        &[Timestamptz, Timestamptz],
        Span,
        Kernel::Values(|args, ctx| {
            let local =
                |index| dt::timestamptz_to_timestamp(arg::int(args, index)?, &ctx.time_zone);
            interval(dt::age(local(0)?, local(1)?))
        }),
    );
    // One argument: from the midnight that begins today.
    t.stable(
        "age",
        &[Timestamp],
        Span,
        Kernel::Values(|args, ctx| interval(dt::age(today(ctx)?, arg::int(args, 0)?))),
    );
    t.stable(
        "age",
        &[Timestamptz],
        Span,
        Kernel::Values(|args, ctx| {
            let local = dt::timestamptz_to_timestamp(arg::int(args, 0)?, &ctx.time_zone)?;
            interval(dt::age(today(ctx)?, local))
        }),
    );
    t.add(
        "justify_hours",
        &[Span],
        Span,
        Kernel::Values(|args, _| interval(dt::justify_hours(arg::interval(args, 0)?))),
    );
    t.add(
        "justify_days",
        &[Span],
        Span,
        Kernel::Values(|args, _| interval(dt::justify_days(arg::interval(args, 0)?))),
    );
    t.add(
        "justify_interval",
        &[Span],
        Span,
        Kernel::Values(|args, _| interval(dt::justify_interval(arg::interval(args, 0)?))),
    );
    for args in [&[Date], &[Timestamp], &[Timestamptz], &[Span]] {
        t.add(
            "isfinite",
            args,
            Bool,
            Kernel::Values(|args, _| {
                Ok(Value::Bool(match &args[0] {
                    Value::Date(v) => *v != i32::MIN && *v != i32::MAX,
                    Value::Timestamp(v) | Value::Timestamptz(v) => *v != i64::MIN && *v != i64::MAX,
                    _ => true,
                }))
            }),
        );
    }
}

fn today(ctx: &EvalContext) -> Result<i64, ValueError> {
    let local = dt::timestamptz_to_timestamp(ctx.transaction_ts, &ctx.time_zone)?;
    Ok(local.div_euclid(DAY_MICROS) * DAY_MICROS)
}

fn field_out_of_range(what: &str, shown: String) -> ValueError {
    dt::date_out_of_range("").with_message(format!("{what} field value out of range: {shown}"))
}

/// The date of three numbers; negative years are BC.
fn make_date(args: &[Value]) -> Result<i32, ValueError> {
    let (year, month, day) = (arg::int(args, 0)?, arg::int(args, 1)?, arg::int(args, 2)?);
    let astronomical = if year < 0 { year + 1 } else { year };
    let shown = || format!("{astronomical}-{month:02}-{day:02}");
    if year == 0 || !dt::is_day(astronomical as i32, month, day) {
        return Err(field_out_of_range("date", shown()));
    }
    dt::checked_date(astronomical as i32, month, day).ok_or_else(|| {
        dt::date_out_of_range("").with_message(format!("date out of range: {}", shown()))
    })
}

/// The time of three numbers, from the argument `first` on.
fn make_time(args: &[Value], first: usize) -> Result<i64, ValueError> {
    let (hour, minute) = (arg::int(args, first)?, arg::int(args, first + 1)?);
    let second = arg::float(args, first + 2)?;
    let invalid =
        || field_out_of_range("time", format!("{hour}:{minute:02}:{}", pad_seconds(second)));
    if !(0..=24).contains(&hour) || !(0..=59).contains(&minute) || !(0.0..=60.0).contains(&second) {
        return Err(invalid());
    }
    let micros = (second * SECOND_MICROS as f64).round_ties_even() as i64;
    let total = hour * HOUR_MICROS + minute * MINUTE_MICROS + micros;
    if total > DAY_MICROS { Err(invalid()) } else { Ok(total) }
}

fn pad_seconds(second: f64) -> String {
    let shown = second.to_string();
    if shown.len() < 2 { format!("0{shown}") } else { shown }
}

fn make_interval(args: &[Value]) -> Result<Value, ValueError> {
    let int = |index: usize| if index < args.len() { arg::int(args, index) } else { Ok(0) };
    let seconds = if args.len() > 6 { arg::float(args, 6)? } else { 0.0 };
    if !seconds.is_finite() {
        return Err(dt::interval_out_of_range());
    }
    let months = int(0)? * 12 + int(1)?;
    let days = int(2)? * 7 + int(3)?;
    let clock = int(4)? * HOUR_MICROS + int(5)? * MINUTE_MICROS;
    let micros = (seconds * SECOND_MICROS as f64).round_ties_even();
    if micros.abs() > 9.0e18 {
        return Err(dt::interval_out_of_range());
    }
    let build = || {
        Some(Interval {
            months: i32::try_from(months).ok()?,
            days: i32::try_from(days).ok()?,
            micros: clock.checked_add(micros as i64)?,
        })
    };
    build().map(Value::Interval).ok_or_else(dt::interval_out_of_range)
}

fn constructors(t: &mut Builder) {
    t.add(
        "make_date",
        &[Int4, Int4, Int4],
        Date,
        Kernel::Values(|args, _| Ok(Value::Date(make_date(args)?))),
    );
    t.add(
        "make_time",
        &[Int4, Int4, Float8],
        Time,
        Kernel::Values(|args, _| Ok(Value::Time(make_time(args, 0)?))),
    );
    const PARTS: &[DataType] = &[Int4, Int4, Int4, Int4, Int4, Float8];
    t.add(
        "make_timestamp",
        PARTS,
        Timestamp,
        Kernel::Values(|args, _| date_and_time(i64::from(make_date(args)?), make_time(args, 3)?)),
    );
    t.stable(
        "make_timestamptz",
        PARTS,
        Timestamptz,
        Kernel::Values(|args, ctx| {
            let local = date_and_time(i64::from(make_date(args)?), make_time(args, 3)?)?;
            dt::convert(local, Timestamptz, ctx)
        }),
    );
    t.stable(
        "make_timestamptz",
        &[Int4, Int4, Int4, Int4, Int4, Float8, Text],
        Timestamptz,
        Kernel::Values(|args, _| {
            let local = date_and_time(i64::from(make_date(args)?), make_time(args, 3)?)?;
            let zone = TimeZone::parse(arg::text(args, 6)?)?;
            Ok(Value::Timestamptz(dt::timestamp_to_timestamptz(arg::int(&[local], 0)?, &zone)?))
        }),
    );
    const SPAN_PARTS: [&[DataType]; 8] = [
        &[],
        &[Int4],
        &[Int4, Int4],
        &[Int4, Int4, Int4],
        &[Int4, Int4, Int4, Int4],
        &[Int4, Int4, Int4, Int4, Int4],
        &[Int4, Int4, Int4, Int4, Int4, Int4],
        &[Int4, Int4, Int4, Int4, Int4, Int4, Float8],
    ];
    for args in SPAN_PARTS {
        t.add("make_interval", args, Span, Kernel::Values(|args, _| make_interval(args)));
    }
    t.add(
        "to_timestamp",
        &[Float8],
        Timestamptz,
        Kernel::Values(|args, _| {
            let seconds = arg::float(args, 0)?;
            if seconds.is_nan() {
                return Err(dt::timestamp_out_of_range().with_message("timestamp cannot be NaN"));
            }
            if seconds.is_infinite() {
                let end = if seconds > 0.0 { i64::MAX } else { i64::MIN };
                return Ok(Value::Timestamptz(end));
            }
            let micros = ((seconds - 946_684_800.0) * 1e6).round_ties_even();
            if micros.abs() > 9.3e18 || !dt::valid_timestamp(micros as i64) {
                let mut shown = Vec::new();
                // Six significant digits, as %g prints.
                crate::io::write_float8(seconds, -9, &mut shown);
                let shown = String::from_utf8_lossy(&shown).into_owned();
                let message = format!("timestamp out of range: \"{shown}\"");
                return Err(dt::timestamp_out_of_range().with_message(message));
            }
            Ok(Value::Timestamptz(micros as i64))
        }),
    );
}

pub(super) fn add(t: &mut Builder) {
    operators(t);
    fields(t);
    clocks(t);
    zones(t);
    ages(t);
    constructors(t);
}
