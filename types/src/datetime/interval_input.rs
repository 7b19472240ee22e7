//! Reading intervals: `1 day 02:03`, `P1DT2H`, `1-2 3 4:05:06`.
//!
//! As in datetime.c, fields are read from the last to the first, because a number's unit follows it.

use super::calendar::{DAY_MICROS, HOUR_MICROS, MINUTE_MICROS, SECOND_MICROS};
use super::input::{Field, Form, fraction_micros, split};
use super::keyword::unit;
use crate::{Interval, IntervalStyle, SqlState, ValueError};

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

fn read(text: &str, style: IntervalStyle) -> Result<Interval, Problem> {
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
    // The standard's leading sign goes for all that have none of their own.
    let is_signed = |field: &Field| field.text.starts_with(['-', '+']);
    if style == IntervalStyle::SqlStandard
        && fields[0].text.starts_with('-')
        && !fields[1..].iter().any(is_signed)
    {
        let negative = |v: i64| if v > 0 { -v } else { v };
        sum = Sum {
            years: negative(sum.years),
            months: negative(sum.months),
            days: negative(sum.days),
            micros: if sum.micros > 0 { -sum.micros } else { sum.micros },
        };
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

/// What is left of an ISO 8601 interval.
struct Iso<'a> {
    rest: &'a str,
}

impl<'a> Iso<'a> {
    /// A number as C's `strtod` reads it: its whole part and what is beyond, and its digits before the point.
    fn number(&mut self) -> Result<(i64, f64, usize), Problem> {
        let unsigned = self.rest.strip_prefix('-').unwrap_or(self.rest);
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let width = digits(unsigned);
        let mut end = width;
        if unsigned[end..].starts_with('.') {
            end += 1 + digits(&unsigned[end + 1..]);
        }
        if let Some(exponent) = unsigned[end..].strip_prefix(['e', 'E']) {
            let sign = usize::from(exponent.starts_with(['-', '+']));
            let count = digits(&exponent[sign..]);
            end += if count > 0 { 1 + sign + count } else { 0 };
        }
        end += self.rest.len() - unsigned.len();
        let value: f64 = self.rest[..end].parse().map_err(|_| Problem::Format)?;
        if value.abs() > 1.0e15 {
            return Err(Problem::Overflow);
        }
        self.rest = &self.rest[end..];
        Ok((value.trunc() as i64, value.fract(), width))
    }

    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let c = chars.next();
        self.rest = chars.as_str();
        c
    }
}

/// ISO 8601: `P1Y2M3DT4H5M6S`, `P0001-02-03T04:05:06`, `P00010203T040506`.
fn read_iso(text: &str) -> Result<Interval, Problem> {
    let mut sum = Sum::default();
    let mut iso = Iso { rest: &text[1..] };
    if iso.rest.is_empty() {
        return Err(Problem::Format);
    }
    let (mut in_time, mut any) = (false, false);
    while !iso.rest.is_empty() {
        if let Some(after) = iso.rest.strip_prefix('T') {
            iso.rest = after;
            (in_time, any) = (true, false);
            continue;
        }
        let (whole, fraction, width) = iso.number()?;
        let unit = iso.next();
        match (unit, in_time) {
            (Some('Y'), false) => sum.add("year", whole, fraction)?,
            (Some('M'), false) => sum.add("month", whole, fraction)?,
            (Some('W'), false) => sum.add("week", whole, fraction)?,
            (Some('D'), false) => sum.add("day", whole, fraction)?,
            (Some('T') | None, false) if width == 8 && !any => {
                sum.add("year", whole / 10_000, 0.0)?;
                sum.add("month", whole / 100 % 100, 0.0)?;
                sum.add("day", whole % 100, fraction)?;
                in_time = true;
                continue;
            }
            (Some('T' | '-') | None, false) if !any => {
                sum.add("year", whole, fraction)?;
                let mut last = unit;
                for name in ["month", "day"] {
                    if last == Some('-') {
                        let (whole, fraction, _) = iso.number()?;
                        sum.add(name, whole, fraction)?;
                        last = iso.next();
                    }
                }
                if last.is_some_and(|c| c != 'T') {
                    return Err(Problem::Format);
                }
                in_time = true;
                continue;
            }
            (Some('H'), true) => sum.add("hour", whole, fraction)?,
            (Some('M'), true) => sum.add("minute", whole, fraction)?,
            (Some('S'), true) => sum.add("second", whole, fraction)?,
            (None, true) if width == 6 && !any => {
                sum.add("hour", whole / 10_000, 0.0)?;
                sum.add("minute", whole / 100 % 100, 0.0)?;
                sum.add("second", whole % 100, fraction)?;
            }
            (Some(':') | None, true) if !any => {
                sum.add("hour", whole, fraction)?;
                let mut last = unit;
                for name in ["minute", "second"] {
                    if last == Some(':') {
                        let (whole, fraction, _) = iso.number()?;
                        sum.add(name, whole, fraction)?;
                        last = iso.next();
                    }
                }
                return if last.is_none() { sum.interval() } else { Err(Problem::Format) };
            }
            _ => return Err(Problem::Format),
        }
        any = true;
    }
    sum.interval()
}

/// Reads an interval.
///
/// # Errors
/// 22007 and 22015 with PostgreSQL's texts.
pub(crate) fn parse_interval(text: &str, style: IntervalStyle) -> Result<Interval, ValueError> {
    let trimmed = text.trim();
    let result = if trimmed.starts_with('P') { read_iso(trimmed) } else { read(text, style) };
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
