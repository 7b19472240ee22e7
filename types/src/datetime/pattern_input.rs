//! Reading dates and times by a pattern (`to_date`, `to_timestamp`).

use super::calendar::{
    Civil, DAY_MICROS, EPOCH_JULIAN, civil_from_days, date_from_civil, days_from_civil,
    days_in_month, iso_week_start,
};
use super::input::time_of;
use super::keyword::{MONTHS, WEEKDAYS};
use super::pattern::{Node, parse_pattern};
use super::timestamp_out_of_range;
use crate::{EvalContext, SqlState, ValueError};

/// What has been read.
#[derive(Default)]
struct Parts {
    year: Option<i32>,
    month: Option<i32>,
    day: Option<i32>,
    day_of_year: Option<i32>,
    iso_year: Option<i32>,
    iso_week: Option<i32>,
    iso_day: Option<i32>,
    week: Option<i32>,
    week_of_month: Option<i32>,
    julian: Option<i32>,
    century: Option<i32>,
    bc: bool,
    hour: i32,
    twelve: bool,
    pm: Option<bool>,
    minute: i32,
    second: i32,
    micros: i64,
    seconds_of_day: Option<i32>,
    zone_sign: i32,
    zone: Option<i32>,
}

fn invalid(message: String, detail: &str) -> ValueError {
    let error = ValueError::new(SqlState::InvalidDatetimeFormat, message);
    if detail.is_empty() { error } else { error.with_detail(detail) }
}

/// The number of digits a word takes when digits follow it directly.
fn width(word: &str) -> Option<usize> {
    Some(match word {
        "YYYY" | "IYYY" => 4,
        "YYY" | "IYY" | "DDD" | "IDDD" | "MS" | "FF3" => 3,
        "YY" | "IY" | "MM" | "DD" | "HH" | "HH12" | "HH24" | "MI" | "SS" | "WW" | "IW" | "CC"
        | "TZH" | "TZM" | "FF2" => 2,
        "Y" | "I" | "D" | "ID" | "W" | "Q" | "FF1" => 1,
        "US" | "FF6" => 6,
        "FF4" => 4,
        "FF5" | "SSSS" | "SSSSS" => 5,
        "J" => 9,
        "Y,YYY" => 5,
        _ => return None,
    })
}

struct Scanner<'a> {
    rest: &'a str,
    parts: Parts,
}

impl Scanner<'_> {
    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start();
    }

    /// Reads a number: as wide as the word if more digits belong to the next, else all of it.
    fn number(
        &mut self,
        word: &str,
        bounded: bool,
        signed: bool,
    ) -> Result<(i32, usize), ValueError> {
        let limit = width(word).unwrap_or(9);
        let sign = usize::from(signed && self.rest.starts_with(['-', '+']));
        let digits = self.rest[sign..].bytes().take_while(u8::is_ascii_digit).count();
        let taken = sign + if bounded { digits.min(limit) } else { digits };
        let text = &self.rest[..taken];
        if taken == sign {
            let shown: String = self.rest.chars().take(limit).collect();
            return Err(invalid(
                format!("invalid value \"{shown}\" for \"{word}\""),
                "Value must be an integer.",
            ));
        }
        let v = text.parse::<i32>().map_err(|_| {
            let range = "Value must be in the range -2147483648 to 2147483647.";
            let message = format!("value for \"{word}\" in source string is out of range");
            ValueError::new(SqlState::DatetimeFieldOverflow, message).with_detail(range)
        })?;
        self.rest = &self.rest[taken..];
        Ok((v, taken - sign))
    }

    /// Reads one of some names, full or by its first three letters.
    fn name(&mut self, names: &[&str], word: &str) -> Result<i32, ValueError> {
        let matching = |name: &&str, length: usize| {
            self.rest.get(..length).is_some_and(|head| head.eq_ignore_ascii_case(&name[..length]))
        };
        for (index, name) in names.iter().enumerate() {
            for length in [name.len(), 3] {
                let wanted = if word == "MON" || word == "DY" { 3 } else { length };
                if matching(name, wanted) {
                    self.rest = &self.rest[wanted..];
                    return Ok(index as i32);
                }
            }
        }
        let shown: String = self.rest.chars().take(word.len()).collect();
        Err(invalid(
            format!("invalid value \"{shown}\" for \"{word}\""),
            "The given value did not match any of the allowed values for this field.",
        ))
    }

    /// Reads one of two markers, such as AM and PM; whether it was the second.
    fn marker(&mut self, first: &[&str], second: &[&str], word: &str) -> Result<bool, ValueError> {
        for (is_second, names) in [(false, first), (true, second)] {
            for name in names {
                let head = self.rest.get(..name.len());
                if head.is_some_and(|head| head.eq_ignore_ascii_case(name)) {
                    self.rest = &self.rest[name.len()..];
                    return Ok(is_second);
                }
            }
        }
        let shown: String = self.rest.chars().take(word.len()).collect();
        Err(invalid(
            format!("invalid value \"{shown}\" for \"{word}\""),
            "The given value did not match any of the allowed values for this field.",
        ))
    }

    fn fraction(&mut self, word: &str, bounded: bool) -> Result<(), ValueError> {
        let (v, digits) = self.number(word, bounded, false)?;
        if digits > 6 || (word == "MS" && digits > 3) {
            return Err(field_range_of(word));
        }
        self.parts.micros += i64::from(v) * 10i64.pow(6 - digits as u32);
        Ok(())
    }

    fn word(&mut self, word: &str, bounded: bool) -> Result<(), ValueError> {
        let signed = matches!(word, "YYYY" | "YYY" | "YY" | "Y" | "IYYY");
        match word {
            "MONTH" | "MON" => self.parts.month = Some(self.name(&MONTHS, word)? + 1),
            "DAY" | "DY" => {
                self.name(&WEEKDAYS, word)?;
            }
            "AM" | "PM" | "A.M." | "P.M." => {
                let pm = self.marker(&["A.M.", "AM"], &["P.M.", "PM"], word)?;
                self.parts.pm = Some(pm);
                self.parts.twelve = true;
            }
            "BC" | "AD" | "B.C." | "A.D." => {
                self.parts.bc = self.marker(&["A.D.", "AD"], &["B.C.", "BC"], word)?;
            }
            "RM" => self.roman()?,
            "TZH" => {
                self.parts.zone_sign = if self.rest.starts_with('-') { -1 } else { 1 };
                self.rest = self.rest.strip_prefix(['+', '-', ' ']).unwrap_or(self.rest);
                let (v, _) = self.number(word, true, false)?;
                self.parts.zone = Some(v * 3600);
            }
            "TZM" => {
                let (v, _) = self.number(word, true, false)?;
                self.parts.zone = Some(self.parts.zone.unwrap_or(0) + v * 60);
            }
            "TZ" | "OF" => {
                return Err(ValueError::new(
                    SqlState::FeatureNotSupported,
                    format!("formatting field \"{word}\" is only supported in to_char"),
                ));
            }
            "MS" | "US" | "FF1" | "FF2" | "FF3" | "FF4" | "FF5" | "FF6" => {
                self.fraction(word, bounded)?;
            }
            "Y,YYY" => {
                let (thousands, _) = self.number("Y", false, false)?;
                self.rest = self.rest.strip_prefix(',').unwrap_or(self.rest);
                let (rest, _) = self.number("YYY", true, false)?;
                self.parts.year = Some(thousands.saturating_mul(1000).saturating_add(rest));
            }
            _ => {
                let (v, digits) = self.number(word, bounded, signed)?;
                self.set(word, v, digits);
            }
        }
        Ok(())
    }

    fn roman(&mut self) -> Result<(), ValueError> {
        const NAMES: [&str; 12] =
            ["VIII", "VII", "III", "XII", "II", "IV", "VI", "IX", "XI", "I", "V", "X"];
        const MONTH: [i32; 12] = [8, 7, 3, 12, 2, 4, 6, 9, 11, 1, 5, 10];
        let index = self.name_exact(&NAMES)?;
        self.parts.month = Some(MONTH[index]);
        Ok(())
    }

    fn name_exact(&mut self, names: &[&str]) -> Result<usize, ValueError> {
        let found = names.iter().position(|name| {
            self.rest.get(..name.len()).is_some_and(|head| head.eq_ignore_ascii_case(name))
        });
        let index = found.ok_or_else(|| {
            let shown: String = self.rest.chars().take(4).collect();
            invalid(format!("invalid value \"{shown}\" for \"RM\""), "")
        })?;
        self.rest = &self.rest[names[index].len()..];
        Ok(index)
    }

    fn set(&mut self, word: &str, v: i32, digits: usize) {
        let parts = &mut self.parts;
        match word {
            "YYYY" => parts.year = Some(v),
            "YYY" | "YY" | "Y" => parts.year = Some(expand_year(v, digits)),
            "IYYY" => parts.iso_year = Some(v),
            "IYY" | "IY" | "I" => parts.iso_year = Some(expand_year(v, digits)),
            "MM" => parts.month = Some(v),
            "DD" => parts.day = Some(v),
            "DDD" => parts.day_of_year = Some(v),
            "IW" => parts.iso_week = Some(v),
            "ID" => parts.iso_day = Some(v),
            "WW" => parts.week = Some(v),
            "W" => parts.week_of_month = Some(v),
            "J" => parts.julian = Some(v),
            "CC" => parts.century = Some(v),
            "HH24" => parts.hour = v,
            "HH" | "HH12" => {
                parts.hour = v;
                parts.twelve = true;
            }
            "MI" => parts.minute = v,
            "SS" => parts.second = v,
            "SSSS" | "SSSSS" => parts.seconds_of_day = Some(v),
            // Weekdays and quarters are read and ignored.
            _ => {}
        }
    }
}

/// Years of fewer than four digits are near 2020.
fn expand_year(v: i32, digits: usize) -> i32 {
    if digits > 3 {
        return v;
    }
    match v {
        0..70 => v + 2000,
        70..100 => v + 1900,
        100..520 => v + 2000,
        520..1000 => v + 1000,
        _ => v,
    }
}

fn field_range_of(word: &str) -> ValueError {
    let message = format!("value for \"{word}\" in source string is out of range");
    ValueError::new(SqlState::DatetimeFieldOverflow, message)
}

fn scan(text: &str, pattern: &str) -> Result<Parts, ValueError> {
    let nodes = parse_pattern(pattern);
    let mut scanner = Scanner { rest: text, parts: Parts { zone_sign: 1, ..Parts::default() } };
    for (index, node) in nodes.iter().enumerate() {
        match node {
            Node::Char(c, quoted) => {
                let separator = |c: char| !c.is_alphanumeric();
                let Some(next) = scanner.rest.chars().next() else { break };
                if c.is_whitespace() || (!quoted && separator(*c)) {
                    // One separator of the pattern matches any one of the text, or none.
                    if c.is_whitespace() {
                        scanner.skip_blanks();
                    } else if next.is_whitespace() {
                        scanner.skip_blanks();
                        if let Some(after) = scanner.rest.strip_prefix(*c) {
                            scanner.rest = after;
                        }
                    }
                    if let Some(next) = scanner.rest.chars().next()
                        && separator(next)
                        && !(next == '-' || next == '+')
                    {
                        scanner.rest = &scanner.rest[next.len_utf8()..];
                    } else if let Some(after) = scanner.rest.strip_prefix(['-', '+'])
                        && !sign_belongs(&nodes, index)
                    {
                        scanner.rest = after;
                    }
                } else {
                    // Other characters pass over one character of the text.
                    scanner.rest = &scanner.rest[next.len_utf8()..];
                }
            }
            Node::Word { word: "FX", .. } => {}
            Node::Word { word, ordinal, .. } => {
                scanner.skip_blanks();
                if scanner.rest.is_empty() {
                    break;
                }
                let bounded = matches!(
                    nodes.get(index + 1),
                    Some(Node::Word { word, .. }) if width(word).is_some()
                );
                scanner.word(word, bounded)?;
                if ordinal.is_some() {
                    let after = scanner.rest.get(2..).unwrap_or("");
                    scanner.rest = after;
                }
            }
        }
    }
    Ok(scanner.parts)
}

/// Whether a sign in the text belongs to the word after a separator.
fn sign_belongs(nodes: &[Node], index: usize) -> bool {
    matches!(nodes.get(index + 1), Some(Node::Word { word: "TZH", .. }))
}

fn field_range(text: &str) -> ValueError {
    let message = format!("date/time field value out of range: \"{text}\"");
    ValueError::new(SqlState::DatetimeFieldOverflow, message)
}

/// The date that the parts give; missing ones are those of 0001-01-01 BC.
fn date_of(parts: &Parts, text: &str) -> Result<Civil, ValueError> {
    if let Some(julian) = parts.julian {
        return Ok(civil_from_days(i64::from(julian) - i64::from(EPOCH_JULIAN)));
    }
    let mut year = parts.year.unwrap_or(0);
    if let Some(century) = parts.century {
        let rest = if parts.year.is_some() { year % 100 } else { 1 };
        year = if rest == 0 {
            century.saturating_mul(100)
        } else {
            (century - 1).saturating_mul(100) + rest
        };
    }
    if parts.bc && year > 0 {
        year = 1 - year;
    } else if year < 0 {
        // A negative year is BC: there is no year 0.
        year += 1;
    }
    if parts.iso_week.is_some() || parts.iso_year.is_some() {
        if parts.year.is_some() || parts.month.is_some() || parts.day.is_some() {
            return Err(invalid("invalid combination of date conventions".to_owned(), "")
                .with_hint(
                    "Do not mix Gregorian and ISO week date conventions in a formatting template.",
                ));
        }
        let (week, day) = (parts.iso_week.unwrap_or(1), parts.iso_day.unwrap_or(1));
        if !(1..=53).contains(&week) || !(1..=7).contains(&day) {
            return Err(field_range(text));
        }
        let start = iso_week_start(parts.iso_year.unwrap_or(0), week);
        return Ok(civil_from_days(start + i64::from(day - 1)));
    }
    let first = days_from_civil(i64::from(year), 1, 1);
    if let Some(day) = parts.day_of_year
        && parts.month.is_none()
    {
        let length = if super::calendar::is_leap(year) { 366 } else { 365 };
        if !(1..=length).contains(&day) {
            return Err(field_range(text));
        }
        return Ok(civil_from_days(first + i64::from(day - 1)));
    }
    if let Some(week) = parts.week
        && parts.month.is_none()
    {
        if !(1..=53).contains(&week) {
            return Err(field_range(text));
        }
        return Ok(civil_from_days(first + i64::from(week - 1) * 7));
    }
    let month = parts.month.unwrap_or(1);
    let day = match (parts.day, parts.week_of_month) {
        (Some(day), _) => day,
        (None, Some(week)) => (week.clamp(1, 5) - 1) * 7 + 1,
        (None, None) => 1,
    };
    if !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
        return Err(field_range(text));
    }
    Ok(Civil { year, month, day })
}

fn time_of_parts(parts: &Parts, text: &str) -> Result<i64, ValueError> {
    let range = |_| field_range(text);
    if let Some(seconds) = parts.seconds_of_day {
        let (hour, minute) = (seconds / 3600, seconds / 60 % 60);
        return time_of(hour, minute, seconds % 60, parts.micros).map_err(range);
    }
    let mut hour = parts.hour;
    if parts.twelve {
        if !(1..=12).contains(&hour) {
            let message = format!("hour \"{hour}\" is invalid for the 12-hour clock");
            return Err(invalid(message, "")
                .with_hint("Use the 24-hour clock, or give an hour between 1 and 12."));
        }
        match parts.pm {
            Some(true) if hour < 12 => hour += 12,
            Some(false) if hour == 12 => hour = 0,
            _ => {}
        }
    }
    if hour < 0 || parts.minute < 0 || parts.second < 0 || hour > 23 || parts.second > 59 {
        return Err(field_range(text));
    }
    time_of(hour, parts.minute, parts.second, parts.micros).map_err(range)
}

/// Reads a date by a pattern.
///
/// # Errors
/// 22007 and 22008 with PostgreSQL's texts.
pub(crate) fn to_date(text: &str, pattern: &str, _: &EvalContext) -> Result<i32, ValueError> {
    let parts = scan(text, pattern)?;
    time_of_parts(&parts, text)?;
    let date = date_of(&parts, text)?;
    date_from_civil(date).ok_or_else(|| {
        let message = format!("date out of range: \"{text}\"");
        ValueError::new(SqlState::DatetimeFieldOverflow, message)
    })
}

/// Reads an instant by a pattern; without a zone the session's holds.
///
/// # Errors
/// As [`to_date`].
pub(crate) fn to_timestamp(
    text: &str,
    pattern: &str,
    ctx: &EvalContext,
) -> Result<i64, ValueError> {
    let parts = scan(text, pattern)?;
    let date = date_of(&parts, text)?;
    let time = time_of_parts(&parts, text)?;
    let local = date.days().checked_mul(DAY_MICROS).and_then(|days| days.checked_add(time));
    let local = local.ok_or_else(timestamp_out_of_range)?;
    let offset = match parts.zone {
        Some(seconds) => seconds * parts.zone_sign,
        None => ctx.time_zone.offset_of_local(local),
    };
    let utc = local - i64::from(offset) * 1_000_000;
    if super::valid_timestamp(utc) { Ok(utc) } else { Err(timestamp_out_of_range()) }
}
