//! Sums and differences of dates, times and intervals.

use super::calendar::{
    Civil, CivilTime, DAY_MICROS, SECOND_MICROS, days_in_month, split_timestamp, valid_timestamp,
};
use super::input::local_civil;
use super::{TimeZone, date_out_of_range, interval_out_of_range, timestamp_out_of_range};
use crate::{Interval, ValueError};

fn is_infinite(v: i64) -> bool {
    v == i64::MIN || v == i64::MAX
}

/// Midnight of a date.
pub(crate) fn date_to_timestamp(date: i32) -> Result<i64, ValueError> {
    match date {
        i32::MIN => Ok(i64::MIN),
        i32::MAX => Ok(i64::MAX),
        _ => i64::from(date)
            .checked_mul(DAY_MICROS)
            .filter(|v| valid_timestamp(*v))
            .ok_or_else(|| date_out_of_range(" for timestamp")),
    }
}

/// Midnight of a date in a zone.
pub(crate) fn date_to_timestamptz(date: i32, zone: &TimeZone) -> Result<i64, ValueError> {
    timestamp_to_timestamptz(date_to_timestamp(date)?, zone)
        .map_err(|_| date_out_of_range(" for timestamp"))
}

/// The instant of a local time.
pub(crate) fn timestamp_to_timestamptz(local: i64, zone: &TimeZone) -> Result<i64, ValueError> {
    if is_infinite(local) {
        return Ok(local);
    }
    local
        .checked_sub(i64::from(zone.offset_of_local(local)) * SECOND_MICROS)
        .filter(|v| valid_timestamp(*v))
        .ok_or_else(timestamp_out_of_range)
}

/// The local time of an instant.
pub(crate) fn timestamptz_to_timestamp(utc: i64, zone: &TimeZone) -> Result<i64, ValueError> {
    if is_infinite(utc) {
        return Ok(utc);
    }
    utc.checked_add(i64::from(zone.offset_at(utc)) * SECOND_MICROS)
        .filter(|v| valid_timestamp(*v))
        .ok_or_else(timestamp_out_of_range)
}

/// A calendar date moved by months; the day is held within the new month.
fn add_months(civil: CivilTime, months: i32) -> Result<CivilTime, ValueError> {
    let total =
        i64::from(civil.date.year) * 12 + i64::from(civil.date.month - 1) + i64::from(months);
    let year = i32::try_from(total.div_euclid(12)).map_err(|_| timestamp_out_of_range())?;
    let month = total.rem_euclid(12) as i32 + 1;
    let day = civil.date.day.min(days_in_month(year, month));
    Ok(CivilTime { date: Civil { year, month, day }, ..civil })
}

/// A timestamp plus an interval: months, then days, then microseconds.
pub(crate) fn add_interval(mut v: i64, span: Interval) -> Result<i64, ValueError> {
    if is_infinite(v) {
        return Ok(v);
    }
    if span.months != 0 {
        let moved = add_months(split_timestamp(v), span.months)?;
        v = moved.timestamp().ok_or_else(timestamp_out_of_range)?;
    }
    i64::from(span.days)
        .checked_mul(DAY_MICROS)
        .and_then(|days| v.checked_add(days))
        .and_then(|v| v.checked_add(span.micros))
        .filter(|v| valid_timestamp(*v))
        .ok_or_else(timestamp_out_of_range)
}

/// The same with months and days counted in local time.
pub(crate) fn add_interval_tz(
    mut v: i64,
    span: Interval,
    zone: &TimeZone,
) -> Result<i64, ValueError> {
    if is_infinite(v) {
        return Ok(v);
    }
    let back = |local: CivilTime| {
        let local = local.timestamp().ok_or_else(timestamp_out_of_range)?;
        timestamp_to_timestamptz(local, zone)
    };
    if span.months != 0 {
        v = back(add_months(local_civil(v, zone).0, span.months)?)?;
    }
    if span.days != 0 {
        let mut local = local_civil(v, zone).0;
        let days = local.date.days() + i64::from(span.days);
        local.date = super::calendar::civil_from_days(days);
        v = back(local)?;
    }
    v.checked_add(span.micros).filter(|v| valid_timestamp(*v)).ok_or_else(timestamp_out_of_range)
}

/// The time between two timestamps in days and microseconds.
pub(crate) fn timestamp_diff(a: i64, b: i64) -> Result<Interval, ValueError> {
    if is_infinite(a) || is_infinite(b) {
        return Err(timestamp_out_of_range().with_message("cannot subtract infinite timestamps"));
    }
    let micros = a.checked_sub(b).ok_or_else(interval_out_of_range)?;
    justify_hours(Interval { months: 0, days: 0, micros })
}

/// A time of day moved by an interval's microseconds, around midnight.
pub(crate) fn time_add(time: i64, span: Interval, negative: bool) -> i64 {
    let micros = span.micros % DAY_MICROS;
    (if negative { time - micros } else { time + micros }).rem_euclid(DAY_MICROS)
}

/// The sum, part by part.
pub(crate) fn interval_add(a: Interval, b: Interval) -> Result<Interval, ValueError> {
    let add = || {
        Some(Interval {
            months: a.months.checked_add(b.months)?,
            days: a.days.checked_add(b.days)?,
            micros: a.micros.checked_add(b.micros)?,
        })
    };
    add().ok_or_else(interval_out_of_range)
}

/// The difference, part by part.
pub(crate) fn interval_sub(a: Interval, b: Interval) -> Result<Interval, ValueError> {
    let sub = || {
        Some(Interval {
            months: a.months.checked_sub(b.months)?,
            days: a.days.checked_sub(b.days)?,
            micros: a.micros.checked_sub(b.micros)?,
        })
    };
    sub().ok_or_else(interval_out_of_range)
}

/// The opposite.
pub(crate) fn interval_neg(a: Interval) -> Result<Interval, ValueError> {
    interval_sub(Interval::default(), a)
}

/// Rounds a fraction of a day to microseconds of a second (PostgreSQL's TSROUND).
fn round_to_micros(v: f64) -> f64 {
    (v * 1_000_000.0).round_ties_even() / 1_000_000.0
}

/// Distributes scaled parts downwards: fractions of months become days, of days microseconds.
fn scale(span: Interval, apply: impl Fn(f64) -> f64) -> Result<Interval, ValueError> {
    let limit = |v: f64| {
        let fits = v.is_finite() && v >= f64::from(i32::MIN) && v <= f64::from(i32::MAX);
        if fits { Ok(v as i32) } else { Err(interval_out_of_range()) }
    };
    let months = limit(apply(f64::from(span.months)))?;
    let mut days = limit(apply(f64::from(span.days)))?;
    let month_rest = (apply(f64::from(span.months)) - f64::from(months)) * 30.0;
    let month_rest = round_to_micros(month_rest);
    let day_rest = apply(f64::from(span.days)) - f64::from(days) + month_rest - month_rest.trunc();
    let mut seconds = round_to_micros(day_rest * 86_400.0);
    if seconds.abs() >= 86_400.0 {
        days = days.checked_add((seconds / 86_400.0) as i32).ok_or_else(interval_out_of_range)?;
        seconds -= (seconds / 86_400.0).trunc() * 86_400.0;
    }
    let days = days.checked_add(month_rest as i32).ok_or_else(interval_out_of_range)?;
    let micros = (apply(span.micros as f64) + seconds * 1_000_000.0).round_ties_even();
    if micros.is_nan() || micros.abs() >= 9_223_372_036_854_775_807.0 {
        return Err(interval_out_of_range());
    }
    Ok(Interval { months, days, micros: micros as i64 })
}

/// An interval times a number.
pub(crate) fn interval_mul(span: Interval, factor: f64) -> Result<Interval, ValueError> {
    scale(span, |part| part * factor)
}

/// An interval over a number.
pub(crate) fn interval_div(span: Interval, divisor: f64) -> Result<Interval, ValueError> {
    if divisor == 0.0 {
        return Err(ValueError::division_by_zero());
    }
    scale(span, |part| part / divisor)
}

/// Moves whole days from the microseconds to the days, and makes the signs agree.
pub(crate) fn justify_hours(mut v: Interval) -> Result<Interval, ValueError> {
    let days = (v.micros / DAY_MICROS) as i32;
    v.micros %= DAY_MICROS;
    v.days = v.days.checked_add(days).ok_or_else(interval_out_of_range)?;
    if v.days > 0 && v.micros < 0 {
        v.micros += DAY_MICROS;
        v.days -= 1;
    } else if v.days < 0 && v.micros > 0 {
        v.micros -= DAY_MICROS;
        v.days += 1;
    }
    Ok(v)
}

/// Moves months of thirty days from the days to the months, and makes the signs agree.
pub(crate) fn justify_days(mut v: Interval) -> Result<Interval, ValueError> {
    v.months = v.months.checked_add(v.days / 30).ok_or_else(interval_out_of_range)?;
    v.days %= 30;
    if v.months > 0 && v.days < 0 {
        v.days += 30;
        v.months -= 1;
    } else if v.months < 0 && v.days > 0 {
        v.days -= 30;
        v.months += 1;
    }
    Ok(v)
}

/// Both, with all signs agreeing.
pub(crate) fn justify_interval(mut v: Interval) -> Result<Interval, ValueError> {
    // Days first when they would cancel, so that nothing overflows on the way.
    if (v.days > 0 && v.micros > 0) || (v.days < 0 && v.micros < 0) {
        v.months = v.months.checked_add(v.days / 30).ok_or_else(interval_out_of_range)?;
        v.days %= 30;
    }
    let days = (v.micros / DAY_MICROS) as i32;
    v.micros %= DAY_MICROS;
    v.days = v.days.checked_add(days).ok_or_else(interval_out_of_range)?;
    v.months = v.months.checked_add(v.days / 30).ok_or_else(interval_out_of_range)?;
    v.days %= 30;
    if v.months > 0 && (v.days < 0 || (v.days == 0 && v.micros < 0)) {
        v.days += 30;
        v.months -= 1;
    } else if v.months < 0 && (v.days > 0 || (v.days == 0 && v.micros > 0)) {
        v.days -= 30;
        v.months += 1;
    }
    if v.days > 0 && v.micros < 0 {
        v.micros += DAY_MICROS;
        v.days -= 1;
    } else if v.days < 0 && v.micros > 0 {
        v.micros -= DAY_MICROS;
        v.days += 1;
    }
    Ok(v)
}

/// The time from `b` to `a` in years, months, days and microseconds of the calendar.
pub(crate) fn age(a: i64, b: i64) -> Result<Interval, ValueError> {
    if is_infinite(a) || is_infinite(b) {
        return Err(timestamp_out_of_range());
    }
    let negative = a < b;
    let (late, early) = if negative { (b, a) } else { (a, b) };
    let (x, y) = (split_timestamp(late), split_timestamp(early));
    let mut micros = x.time() - y.time();
    let mut days = x.date.day - y.date.day;
    let mut months = (x.date.year - y.date.year) * 12 + x.date.month - y.date.month;
    if micros < 0 {
        micros += DAY_MICROS;
        days -= 1;
    }
    while days < 0 {
        // The borrowed month is that of the earlier date, whichever way one counts.
        days += days_in_month(y.date.year, y.date.month);
        months -= 1;
    }
    let sign = if negative { -1 } else { 1 };
    Ok(Interval { months: months * sign, days: days * sign, micros: micros * i64::from(sign) })
}
