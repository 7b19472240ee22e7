//! Printing intervals in the four styles of `IntervalStyle`.

use super::calendar::{HOUR_MICROS, MINUTE_MICROS, SECOND_MICROS};
use crate::Interval;
use crate::context::IntervalStyle;

/// The parts that are printed.
struct Parts {
    years: i32,
    months: i32,
    days: i32,
    hours: i64,
    minutes: i64,
    seconds: i64,
    micros: i64,
}

impl Parts {
    fn new(v: Interval) -> Self {
        Self {
            years: v.months / 12,
            months: v.months % 12,
            days: v.days,
            hours: v.micros / HOUR_MICROS,
            minutes: v.micros / MINUTE_MICROS % 60,
            seconds: v.micros / SECOND_MICROS % 60,
            micros: v.micros % SECOND_MICROS,
        }
    }

    fn time_negative(&self) -> bool {
        self.hours < 0 || self.minutes < 0 || self.seconds < 0 || self.micros < 0
    }

    fn time_zero(&self) -> bool {
        self.hours == 0 && self.minutes == 0 && self.seconds == 0 && self.micros == 0
    }

    /// The seconds with their fraction, at least `width` digits before the point, without sign.
    fn write_seconds(&self, width: usize, out: &mut Vec<u8>) {
        let seconds = self.seconds.unsigned_abs();
        out.extend(format!("{seconds:0width$}").as_bytes());
        super::output::write_fraction(self.micros as i32, out);
    }

    fn write_clock(&self, hour_width: usize, out: &mut Vec<u8>) {
        let (hours, minutes) = (self.hours.unsigned_abs(), self.minutes.unsigned_abs());
        out.extend(format!("{hours:0hour_width$}:{minutes:02}:").as_bytes());
        self.write_seconds(2, out);
    }
}

/// Appends an interval.
pub(crate) fn write_interval(v: Interval, style: IntervalStyle, out: &mut Vec<u8>) {
    let parts = Parts::new(v);
    match style {
        IntervalStyle::Postgres => write_postgres(&parts, out),
        IntervalStyle::PostgresVerbose => write_verbose(&parts, out),
        IntervalStyle::SqlStandard => write_sql(&parts, out),
        IntervalStyle::Iso8601 => write_iso(&parts, out),
    }
}

fn write_postgres(parts: &Parts, out: &mut Vec<u8>) {
    let start = out.len();
    let mut before_negative = false;
    let units = [(parts.years, "year"), (parts.months, "mon"), (parts.days, "day")];
    for (v, unit) in units {
        if v == 0 {
            continue;
        }
        let space = if out.len() > start { " " } else { "" };
        // A plus is needed where the part before was negative.
        let plus = if before_negative && v > 0 { "+" } else { "" };
        let plural = if v == 1 { "" } else { "s" };
        out.extend(format!("{space}{plus}{v} {unit}{plural}").as_bytes());
        before_negative = v < 0;
    }
    if out.len() > start && parts.time_zero() {
        return;
    }
    if out.len() > start {
        out.push(b' ');
    }
    if parts.time_negative() {
        out.push(b'-');
    } else if before_negative {
        out.push(b'+');
    }
    parts.write_clock(2, out);
}

fn write_verbose(parts: &Parts, out: &mut Vec<u8>) {
    out.push(b'@');
    let start = out.len();
    let mut first_negative = None;
    let mut put = |v: i64, unit: &str, out: &mut Vec<u8>| {
        if v == 0 {
            return;
        }
        let negative = *first_negative.get_or_insert(v < 0);
        let v = if negative { -v } else { v };
        let plural = if v == 1 { "" } else { "s" };
        out.extend(format!(" {v} {unit}{plural}").as_bytes());
    };
    put(i64::from(parts.years), "year", out);
    put(i64::from(parts.months), "mon", out);
    put(i64::from(parts.days), "day", out);
    put(parts.hours, "hour", out);
    put(parts.minutes, "min", out);
    if parts.seconds != 0 || parts.micros != 0 {
        let second_negative = parts.seconds < 0 || parts.micros < 0;
        let negative = *first_negative.get_or_insert(second_negative);
        out.push(b' ');
        if negative != second_negative {
            out.push(b'-');
        }
        parts.write_seconds(1, out);
        let one = parts.seconds.abs() == 1 && parts.micros == 0;
        out.extend(if one { &b" sec"[..] } else { b" secs" });
    }
    if out.len() == start {
        out.extend(b" 0");
    }
    if first_negative == Some(true) {
        out.extend(b" ago");
    }
}

fn write_sql(parts: &Parts, out: &mut Vec<u8>) {
    let has_year_month = parts.years != 0 || parts.months != 0;
    let has_day = parts.days != 0;
    let has_time = !parts.time_zero();
    let has_negative =
        parts.years < 0 || parts.months < 0 || parts.days < 0 || parts.time_negative();
    let has_positive = parts.years > 0
        || parts.months > 0
        || parts.days > 0
        || (has_time && !parts.time_negative());
    if !has_year_month && !has_day && !has_time {
        out.push(b'0');
        return;
    }
    let sign = |negative: bool| if negative { '-' } else { '+' };
    let mixed = (has_negative && has_positive) || (has_year_month && (has_day || has_time));
    if mixed {
        let (years, months) = (parts.years.abs(), parts.months.abs());
        let year_sign = sign(parts.years < 0 || parts.months < 0);
        let day_sign = sign(parts.days < 0);
        let days = parts.days.unsigned_abs();
        let time_sign = sign(parts.time_negative());
        out.extend(format!("{year_sign}{years}-{months} {day_sign}{days} {time_sign}").as_bytes());
        parts.write_clock(1, out);
        return;
    }
    if has_negative {
        out.push(b'-');
    }
    if has_year_month {
        out.extend(format!("{}-{}", parts.years.abs(), parts.months.abs()).as_bytes());
        return;
    }
    if has_day {
        out.extend(format!("{} ", parts.days.unsigned_abs()).as_bytes());
    }
    parts.write_clock(1, out);
}

fn write_iso(parts: &Parts, out: &mut Vec<u8>) {
    out.push(b'P');
    let start = out.len();
    let put = |v: i64, unit: char, out: &mut Vec<u8>| {
        if v != 0 {
            out.extend(format!("{v}{unit}").as_bytes());
        }
    };
    put(i64::from(parts.years), 'Y', out);
    put(i64::from(parts.months), 'M', out);
    put(i64::from(parts.days), 'D', out);
    if !parts.time_zero() {
        out.push(b'T');
    }
    put(parts.hours, 'H', out);
    put(parts.minutes, 'M', out);
    if parts.seconds != 0 || parts.micros != 0 {
        if parts.seconds < 0 || parts.micros < 0 {
            out.push(b'-');
        }
        parts.write_seconds(1, out);
        out.push(b'S');
    }
    if out.len() == start {
        out.extend(b"T0S");
    }
}
