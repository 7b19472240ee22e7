//! Dates, times, timestamps and intervals.
//!
//! A date is a count of days and a timestamp a count of microseconds since 2000-01-01 in the Gregorian
//! calendar without end in either direction. `jiff` is asked only for the rules of time zones; it ends
//! at the year 9999, PostgreSQL at 294276, so later years borrow the rules of the 400-year cycle.

mod arithmetic;
mod calendar;
mod field;
mod input;
mod interval_input;
mod interval_output;
mod keyword;
mod output;
mod pattern;
mod pattern_input;
mod timetz;
mod zone;

pub(crate) use arithmetic::{
    add_interval, add_interval_tz, age, date_to_timestamp, date_to_timestamptz, interval_add,
    interval_div, interval_mul, interval_neg, interval_sub, justify_days, justify_hours,
    justify_interval, time_add, timestamp_diff, timestamp_to_timestamptz, timestamptz_to_timestamp,
};
pub(crate) use calendar::{
    DAY_MICROS, HOUR_MICROS, MINUTE_MICROS, SECOND_MICROS, checked_date, is_day, valid_date,
    valid_timestamp,
};
pub(crate) use field::{
    Subject, date_bin, date_trunc, date_trunc_interval, extract, extract_float,
};
pub(crate) use input::{parse_date, parse_time, parse_timestamp, parse_timestamptz};
pub(crate) use interval_input::parse_interval;
pub(crate) use interval_output::write_interval;
pub(crate) use output::{write_date, write_time, write_timestamp, write_timestamptz};
pub(crate) use pattern::{Moment, format_moment};
pub(crate) use pattern_input::{to_date, to_timestamp};
pub use timetz::Timetz;
pub(crate) use timetz::{parse_timetz, write_timetz};
pub use zone::TimeZone;

use crate::function::mistyped;
use crate::{DataType, EvalContext, Interval, SqlState, Value, ValueError};

/// `timestamp out of range`
pub(crate) fn timestamp_out_of_range() -> ValueError {
    ValueError::new(SqlState::DatetimeFieldOverflow, "timestamp out of range")
}

/// `date out of range for timestamp` and its like.
pub(crate) fn date_out_of_range(rest: &str) -> ValueError {
    ValueError::new(SqlState::DatetimeFieldOverflow, format!("date out of range{rest}"))
}

/// `interval out of range`
pub(crate) fn interval_out_of_range() -> ValueError {
    ValueError::new(SqlState::DatetimeFieldOverflow, "interval out of range")
}

/// Rounds microseconds to a number of decimals of a second, ties away from zero.
pub(crate) fn round_micros(v: i64, precision: i32) -> i64 {
    if !(0..6).contains(&precision) {
        return v;
    }
    let unit = 10i64.pow((6 - precision).unsigned_abs());
    let half = unit / 2;
    let rounded = if v >= 0 { v.saturating_add(half) } else { v.saturating_sub(half) };
    rounded / unit * unit
}

/// The same for a timestamp, leaving infinities alone.
pub(crate) fn round_timestamp(v: i64, precision: i32) -> i64 {
    if v == i64::MIN || v == i64::MAX { v } else { round_micros(v, precision) }
}

/// Conversions among the date and time types.
pub(crate) fn convert(value: Value, to: DataType, ctx: &EvalContext) -> Result<Value, ValueError> {
    let zone = &ctx.time_zone;
    Ok(match (&value, to) {
        (Value::Date(date), DataType::Timestamp) => Value::Timestamp(date_to_timestamp(*date)?),
        (Value::Date(date), DataType::Timestamptz) => {
            Value::Timestamptz(date_to_timestamptz(*date, zone)?)
        }
        (Value::Timestamp(v), DataType::Timestamptz) => {
            Value::Timestamptz(timestamp_to_timestamptz(*v, zone)?)
        }
        (Value::Timestamptz(v), DataType::Timestamp) => {
            Value::Timestamp(timestamptz_to_timestamp(*v, zone)?)
        }
        (Value::Timestamp(v), DataType::Date) => Value::Date(timestamp_to_date(*v)),
        (Value::Timestamptz(v), DataType::Date) => {
            Value::Date(timestamp_to_date(timestamptz_to_timestamp(*v, zone)?))
        }
        (Value::Timestamp(v), DataType::Time) => timestamp_to_time(*v),
        (Value::Timestamptz(v), DataType::Time) => {
            timestamp_to_time(timestamptz_to_timestamp(*v, zone)?)
        }
        (Value::Time(v), DataType::Interval) => {
            Value::Interval(Interval { months: 0, days: 0, micros: *v })
        }
        (Value::Time(v), DataType::Timetz) => Value::Timetz(Timetz::local(*v, ctx)),
        (Value::Timetz(v), DataType::Time) => Value::Time(v.micros),
        (Value::Timestamptz(v), DataType::Timetz) => {
            Timetz::of_instant(*v, ctx).map_or(Value::Null, Value::Timetz)
        }
        (Value::Interval(v), DataType::Time) => Value::Time(v.micros.rem_euclid(DAY_MICROS)),
        _ => return Err(mistyped(&value)),
    })
}

/// The day of a timestamp; infinities stay.
pub(crate) fn timestamp_to_date(v: i64) -> i32 {
    match v {
        i64::MIN => i32::MIN,
        i64::MAX => i32::MAX,
        // All timestamps are within the range of dates.
        _ => v.div_euclid(DAY_MICROS) as i32,
    }
}

fn timestamp_to_time(v: i64) -> Value {
    if v == i64::MIN || v == i64::MAX { Value::Null } else { Value::Time(v.rem_euclid(DAY_MICROS)) }
}
