//! Reading intervals: `1 day 02:03`, `P1DT2H`, `1-2 3 4:05:06`.
//!
//! As in datetime.c, fields are read from the last to the first, because a number's unit follows it.

use super::calendar::{DAY_MICROS, HOUR_MICROS, MINUTE_MICROS, SECOND_MICROS};
use super::input::{Field, Form, fraction_micros, split};
use super::keyword::unit;
use crate::{Interval, SqlState, ValueError};

/// Why a text could not be read.
enum Problem {
    Format,
    Overflow,
    /// Years and months fit, but not together.
    Range,
}

/// What has been summed up.
#[derive(Default)]
struct Sum {
    years: i64,
    months: i64,
    days: i64,
    micros: i128,
}

impl Sum {
    fn add_micros(&mut self, v: f64) -> Result<(), Problem> {
        if !v.is_finite() || v.abs() > 1e30 {
            return Err(Problem::Overflow);
        }
        self.micros += v.round_ties_even() as i128;
        Ok(())
    }

    fn add_days(&mut self, whole: i64, fraction: f64) -> Result<(), Problem> {
        self.days = self.days.checked_add(whole).ok_or(Problem::Overflow)?;
        self.add_micros(fraction * DAY_MICROS as f64)
    }

    fn add_months(&mut self, whole: i64, fraction: f64) -> Result<(), Problem> {
        self.months = self.months.checked_add(whole).ok_or(Problem::Overflow)?;
        let days = fraction * 30.0;
        self.add_days(days.trunc() as i64, days.fract())
    }

    fn add_years(&mut self, whole: i64, per_unit: i64, fraction: f64) -> Result<(), Problem> {
        let whole = whole.checked_mul(per_unit).ok_or(Problem::Overflow)?;
        self.years = self.years.checked_add(whole).ok_or(Problem::Overflow)?;
        // Fractions of years are rounded to months.
        let months = (fraction * per_unit as f64 * 12.0).round_ties_even() as i64;
        self.months = self.months.checked_add(months).ok_or(Problem::Overflow)?;
        Ok(())
    }

    /// Adds `whole + fraction` of a unit.
    fn add(&mut self, unit: &str, whole: i64, fraction: f64) -> Result<(), Problem> {
        let clock = |sum: &mut Self, size: i64| {
            sum.micros += i128::from(whole) * i128::from(size);
            sum.add_micros(fraction * size as f64)
        };
        match unit {
            "microsecond" => clock(self, 1),
            "millisecond" => clock(self, 1000),
            "second" => clock(self, SECOND_MICROS),
            "minute" => clock(self, MINUTE_MICROS),
            "hour" => clock(self, HOUR_MICROS),
            "day" => self.add_days(whole, fraction),
            "week" => {
                let days = fraction * 7.0;
                let whole = whole.checked_mul(7).ok_or(Problem::Overflow)?;
                let whole = whole.checked_add(days.trunc() as i64).ok_or(Problem::Overflow)?;
                self.add_days(whole, days.fract())
            }
            "month" => self.add_months(whole, fraction),
            "year" => self.add_years(whole, 1, fraction),
            "decade" => self.add_years(whole, 10, fraction),
            "century" => self.add_years(whole, 100, fraction),
            "millennium" => self.add_years(whole, 1000, fraction),
            _ => Err(Problem::Format),
        }
    }

    fn interval(self) -> Result<Interval, Problem> {
        let (Ok(years), Ok(months)) = (i32::try_from(self.years), i32::try_from(self.months))
        else {
            return Err(Problem::Overflow);
        };
        let total = i64::from(years) * 12 + i64::from(months);
        let build = || {
            Some(Interval {
                months: i32::try_from(total).ok()?,
                days: i32::try_from(self.days).ok()?,
                micros: i64::try_from(self.micros).ok()?,
            })
        };
        if i32::try_from(total).is_err() {
            return Err(Problem::Range);
        }
        build().ok_or(Problem::Overflow)
    }
}

/// A number with a sign and a fraction: its whole part and its fraction, both signed.
fn number(text: &str) -> Result<(i64, f64), Problem> {
    let (negative, body) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let (whole, fraction) = body.split_once('.').unwrap_or((body, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !digits(whole) || !digits(fraction) {
        return Err(Problem::Format);
    }
    // With its sign: there is one more negative number.
    let sign = if negative { "-" } else { "" };
    let whole: i64 = if whole.is_empty() {
        0
    } else {
        format!("{sign}{whole}").parse().map_err(|_| Problem::Overflow)?
    };
    let fraction: f64 = if fraction.is_empty() {
        0.0
    } else {
        format!("0.{fraction}").parse().map_err(|_| Problem::Format)?
    };
    Ok((whole, if negative { -fraction } else { fraction }))
}

/// `[h]h:mm[:ss[.f]]` or `mm:ss.f`, without bound on the hours.
fn clock(text: &str) -> Result<i128, Problem> {
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => (whole, fraction_micros(fraction).map_err(|_| Problem::Format)?),
        None => (text, 0),
    };
    let part = |part: &str, limit: i128| {
        let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits {
            return Err(Problem::Format);
        }
        let v: i128 = part.parse().map_err(|_| Problem::Overflow)?;
        if v > limit { Err(Problem::Overflow) } else { Ok(v) }
    };
    let parts: Vec<&str> = whole.split(':').collect();
    let (hours, minutes, seconds) = match parts[..] {
        [minutes, seconds] if text.contains('.') => (0, part(minutes, 59)?, part(seconds, 60)?),
        [hours, minutes] => (part(hours, i128::from(i64::MAX))?, part(minutes, 59)?, 0),
        [hours, minutes, seconds] => {
            (part(hours, i128::from(i64::MAX))?, part(minutes, 59)?, part(seconds, 60)?)
        }
        _ => return Err(Problem::Format),
    };
    Ok(hours * i128::from(HOUR_MICROS)
        + minutes * i128::from(MINUTE_MICROS)
        + seconds * i128::from(SECOND_MICROS)
        + i128::from(fraction))
}

/// `y-m`: years and months.
fn years_months(text: &str, sum: &mut Sum) -> Result<(), Problem> {
    let (negative, body) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let (years, months) = body.split_once('-').ok_or(Problem::Format)?;
    let parse = |part: &str| {
        let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if digits {
            part.parse::<i64>().map_err(|_| Problem::Overflow)
        } else {
            Err(Problem::Format)
        }
    };
    let (years, months) = (parse(years)?, parse(months)?);
    if months >= 12 {
        return Err(Problem::Overflow);
    }
    let signed = |v: i64| if negative { -v } else { v };
    sum.years = sum.years.checked_add(signed(years)).ok_or(Problem::Overflow)?;
    sum.months = sum.months.checked_add(signed(months)).ok_or(Problem::Overflow)?;
    Ok(())
}

fn read(text: &str) -> Result<Interval, Problem> {
    if text.len() > 1024 {
        return Err(Problem::Format);
    }
    let fields = split(text).map_err(|_| Problem::Format)?;
    if fields.is_empty() {
        return Err(Problem::Format);
    }
    let mut sum = Sum::default();
    let mut pending: Option<&'static str> = None;
    let mut seen: Vec<&'static str> = Vec::new();
    let mut ago = false;
    let mut any = false;
    for Field { form, text } in fields.iter().rev() {
        let text = text.as_str();
        match form {
            Form::Word if text == "ago" => {
                ago = true;
                // No number may have this for its unit.
                pending = Some("ago");
            }
            Form::Word => pending = Some(unit(text).ok_or(Problem::Format)?),
            Form::Time => {
                sum.micros += clock(text)?;
                any = true;
                // A number before a time without a unit is days.
                pending = Some("day");
                mark(&mut seen, "time")?;
            }
            Form::Offset if text.contains(':') => {
                let micros = clock(&text[1..])?;
                sum.micros += if text.starts_with('-') { -micros } else { micros };
                any = true;
                pending = Some("day");
                mark(&mut seen, "time")?;
            }
            Form::Date | Form::Offset | Form::Number => {
                if text.get(1..).is_some_and(|rest| rest.contains('-')) {
                    years_months(text, &mut sum)?;
                    mark(&mut seen, "month")?;
                    pending = None;
                } else {
                    let (whole, fraction) = number(text)?;
                    let unit = pending.take().unwrap_or("second");
                    sum.add(unit, whole, fraction)?;
                    mark(&mut seen, unit)?;
                    // The fraction of a second is milliseconds and microseconds.
                    if unit == "second" && fraction != 0.0 {
                        mark(&mut seen, "millisecond")?;
                        mark(&mut seen, "microsecond")?;
                    }
                    // A number without a unit before hours is days, else of the same unit.
                    pending = Some(if unit == "hour" { "day" } else { unit });
                }
                any = true;
            }
            Form::Special => return Err(Problem::Format),
        }
    }
    if !any {
        return Err(Problem::Format);
    }
    if ago {
        let Sum { years, months, days, micros } = sum;
        let negated = |v: i64| v.checked_neg().ok_or(Problem::Overflow);
        sum = Sum {
            years: negated(years)?,
            months: negated(months)?,
            days: negated(days)?,
            micros: -micros,
        };
    }
    sum.interval()
}

fn mark(seen: &mut Vec<&'static str>, unit: &'static str) -> Result<(), Problem> {
    let clock =
        |unit: &str| matches!(unit, "hour" | "minute" | "second" | "millisecond" | "microsecond");
    let clash = seen.contains(&unit)
        || (unit == "time" && seen.iter().any(|other| clock(other)))
        || (clock(unit) && seen.contains(&"time"));
    if clash {
        return Err(Problem::Format);
    }
    seen.push(unit);
    Ok(())
}

/// ISO 8601: `P1Y2M3DT4H5M6S` and `P0001-02-03T04:05:06`.
fn read_iso(text: &str) -> Result<Interval, Problem> {
    let mut sum = Sum::default();
    let mut rest = text.get(1..).ok_or(Problem::Format)?;
    let mut in_time = false;
    let mut any = false;
    if rest.is_empty() {
        return Err(Problem::Format);
    }
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('T') {
            in_time = true;
            rest = after;
            continue;
        }
        let end = rest
            .char_indices()
            .find(|(at, c)| {
                !(c.is_ascii_digit() || *c == '.' || (*at == 0 && (*c == '-' || *c == '+')))
            })
            .map_or(rest.len(), |(at, _)| at);
        let (digits, after) = rest.split_at(end);
        if after.starts_with('-') && !in_time && !any {
            return read_iso_alternative(text);
        }
        if after.starts_with(':') || (after.is_empty() && !any) {
            return read_iso_alternative(text);
        }
        let (whole, fraction) = number(digits)?;
        let mut chars = after.chars();
        let unit = match (chars.next(), in_time) {
            (Some('Y'), false) => "year",
            (Some('M'), false) => "month",
            (Some('W'), false) => "week",
            (Some('D'), false) => "day",
            (Some('H'), true) => "hour",
            (Some('M'), true) => "minute",
            (Some('S'), true) => "second",
            _ => return Err(Problem::Format),
        };
        sum.add(unit, whole, fraction)?;
        any = true;
        rest = chars.as_str();
    }
    sum.interval()
}

fn read_iso_alternative(text: &str) -> Result<Interval, Problem> {
    let mut sum = Sum::default();
    let (date, time) = match text[1..].split_once('T') {
        Some((date, time)) => (date, Some(time)),
        None => (&text[1..], None),
    };
    if !date.is_empty() {
        let names = ["year", "month", "day"];
        let basic = date.len() == 8 && date.bytes().all(|byte| byte.is_ascii_digit());
        let parts: Vec<&str> = if basic {
            vec![&date[..4], &date[4..6], &date[6..]]
        } else {
            date.split('-').collect()
        };
        for (index, part) in parts.into_iter().enumerate() {
            let unit = names.get(index).ok_or(Problem::Format)?;
            let (whole, fraction) = number(part)?;
            sum.add(unit, whole, fraction)?;
        }
    }
    if let Some(time) = time {
        let names = ["hour", "minute", "second"];
        let digits = time.bytes().take_while(u8::is_ascii_digit).count();
        let basic = digits == 6 && time[6..].chars().next().is_none_or(|c| c == '.');
        let parts: Vec<&str> = if basic {
            vec![&time[..2], &time[2..4], &time[4..]]
        } else {
            time.split(':').collect()
        };
        for (index, part) in parts.into_iter().enumerate() {
            let unit = names.get(index).ok_or(Problem::Format)?;
            let (whole, fraction) = number(part)?;
            sum.add(unit, whole, fraction)?;
        }
    }
    sum.interval()
}

/// Reads an interval.
///
/// # Errors
/// 22007 and 22015 with PostgreSQL's texts.
pub(crate) fn parse_interval(text: &str) -> Result<Interval, ValueError> {
    let trimmed = text.trim();
    let result = if trimmed.starts_with('P') { read_iso(trimmed) } else { read(text) };
    result.map_err(|problem| match problem {
        Problem::Format => {
            let message = format!("invalid input syntax for type interval: \"{text}\"");
            ValueError::new(SqlState::InvalidDatetimeFormat, message)
        }
        Problem::Range => super::interval_out_of_range(),
        Problem::Overflow => {
            let message = format!("interval field value out of range: \"{text}\"");
            ValueError::new(SqlState::IntervalFieldOverflow, message)
        }
    })
}
