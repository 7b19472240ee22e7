//! Printing dates, times and timestamps in the styles of `DateStyle`.

use super::calendar::{Civil, CivilTime, civil_from_days, split_time, split_timestamp};
use super::keyword::{MONTHS, WEEKDAYS};
use super::zone::TimeZone;
use crate::EvalContext;
use crate::context::{DateFormat, DateOrder};

/// Appends a number with at least `width` digits.
pub(crate) fn pad(v: i32, width: usize, out: &mut Vec<u8>) {
    let mut buffer = [b'0'; 10];
    let mut rest = v.unsigned_abs();
    let mut start = buffer.len();
    while rest > 0 {
        start -= 1;
        buffer[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    let start = start.min(buffer.len() - width);
    out.extend(&buffer[start..]);
}

fn infinity(negative: bool, out: &mut Vec<u8>) {
    out.extend(if negative { &b"-infinity"[..] } else { b"infinity" });
}

/// The year as it is printed: 0 is 1 BC.
fn display_year(year: i32) -> i32 {
    if year > 0 { year } else { 1 - year }
}

fn write_civil(date: Civil, ctx: &EvalContext, out: &mut Vec<u8>) {
    let year = display_year(date.year);
    let day_first = ctx.date_order == DateOrder::Dmy;
    let (first, second) = if day_first { (date.day, date.month) } else { (date.month, date.day) };
    match ctx.date_format {
        DateFormat::Iso => {
            pad(year, 4, out);
            out.push(b'-');
            pad(date.month, 2, out);
            out.push(b'-');
            pad(date.day, 2, out);
        }
        DateFormat::German => {
            pad(date.day, 2, out);
            out.push(b'.');
            pad(date.month, 2, out);
            out.push(b'.');
            pad(year, 4, out);
        }
        DateFormat::Sql | DateFormat::Postgres => {
            let separator = if ctx.date_format == DateFormat::Sql { b'/' } else { b'-' };
            pad(first, 2, out);
            out.push(separator);
            pad(second, 2, out);
            out.push(separator);
            pad(year, 4, out);
        }
    }
}

fn write_era(date: Civil, out: &mut Vec<u8>) {
    if date.year <= 0 {
        out.extend(b" BC");
    }
}

/// Appends a date.
pub(crate) fn write_date(v: i32, ctx: &EvalContext, out: &mut Vec<u8>) {
    if v == i32::MIN || v == i32::MAX {
        return infinity(v == i32::MIN, out);
    }
    let date = civil_from_days(i64::from(v));
    write_civil(date, ctx, out);
    write_era(date, out);
}

/// Appends a time of day.
pub(crate) fn write_time(v: i64, out: &mut Vec<u8>) {
    write_clock(&split_time(Civil { year: 2000, month: 1, day: 1 }, v), out);
}

fn write_clock(time: &CivilTime, out: &mut Vec<u8>) {
    pad(time.hour, 2, out);
    out.push(b':');
    pad(time.minute, 2, out);
    out.push(b':');
    write_seconds(time.second, time.micros, out);
}

/// Appends seconds with two digits and their fraction without trailing zeros.
pub(crate) fn write_seconds(second: i32, micros: i32, out: &mut Vec<u8>) {
    pad(second, 2, out);
    write_fraction(micros, out);
}

/// Appends the fraction of a second, if there is one.
pub(crate) fn write_fraction(micros: i32, out: &mut Vec<u8>) {
    if micros != 0 {
        out.push(b'.');
        pad(micros, 6, out);
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
}

/// Appends `+hh[:mm[:ss]]`.
pub(crate) fn write_offset(seconds: i32, out: &mut Vec<u8>) {
    let magnitude = seconds.abs();
    out.push(if seconds < 0 { b'-' } else { b'+' });
    pad(magnitude / 3600, 2, out);
    if magnitude % 3600 != 0 {
        out.push(b':');
        pad(magnitude / 60 % 60, 2, out);
        if magnitude % 60 != 0 {
            out.push(b':');
            pad(magnitude % 60, 2, out);
        }
    }
}

/// Appends a timestamp.
pub(crate) fn write_timestamp(v: i64, ctx: &EvalContext, out: &mut Vec<u8>) {
    if v == i64::MIN || v == i64::MAX {
        return infinity(v == i64::MIN, out);
    }
    write_civil_time(&split_timestamp(v), None, ctx, out);
}

/// Appends a timestamp in the session's zone.
pub(crate) fn write_timestamptz(v: i64, ctx: &EvalContext, out: &mut Vec<u8>) {
    if v == i64::MIN || v == i64::MAX {
        return infinity(v == i64::MIN, out);
    }
    let offset = ctx.time_zone.offset_at(v);
    let local = v.saturating_add(i64::from(offset) * 1_000_000);
    let zone = Some((offset, v, &ctx.time_zone));
    write_civil_time(&split_timestamp(local), zone, ctx, out);
}

fn write_civil_time(
    time: &CivilTime,
    zone: Option<(i32, i64, &TimeZone)>,
    ctx: &EvalContext,
    out: &mut Vec<u8>,
) {
    match ctx.date_format {
        DateFormat::Postgres => {
            let weekday = WEEKDAYS[time.date.day_of_week() as usize];
            let month = MONTHS[time.date.month as usize - 1];
            out.extend(&weekday.as_bytes()[..3]);
            out.push(b' ');
            if ctx.date_order == DateOrder::Dmy {
                pad(time.date.day, 2, out);
                out.push(b' ');
                out.extend(&month.as_bytes()[..3]);
            } else {
                out.extend(&month.as_bytes()[..3]);
                out.push(b' ');
                pad(time.date.day, 2, out);
            }
            out.push(b' ');
            write_clock(time, out);
            out.push(b' ');
            pad(display_year(time.date.year), 4, out);
        }
        _ => {
            write_civil(time.date, ctx, out);
            out.push(b' ');
            write_clock(time, out);
        }
    }
    if let Some((offset, utc, zone)) = zone {
        let abbreviation = zone.abbreviation_at(utc);
        let is_name = abbreviation.starts_with(|c: char| c.is_ascii_alphabetic());
        if ctx.date_format == DateFormat::Iso {
            write_offset(offset, out);
        } else if is_name {
            out.push(b' ');
            out.extend(abbreviation.as_bytes());
        } else {
            if ctx.date_format == DateFormat::Postgres {
                out.push(b' ');
            }
            write_offset(offset, out);
        }
    }
    write_era(time.date, out);
}
