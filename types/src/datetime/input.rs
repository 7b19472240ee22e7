//! Reading dates, times and timestamps, in all the spellings PostgreSQL takes.
//!
//! As in datetime.c, the text is first split into fields by its punctuation, then each field is given
//! its meaning from its form and from what is already known.

use super::calendar::{
    Civil, CivilTime, DAY_MICROS, EPOCH_JULIAN, civil_from_days, date_from_civil, days_in_month,
    split_timestamp,
};
use super::keyword::{Keyword, abbreviation_offset, keyword};
use super::zone::{TimeZone, parse_offset};
use crate::context::DateOrder;
use crate::{EvalContext, SqlState, ValueError};

/// More fields than any date has.
const MAX_FIELDS: usize = 25;

/// Why a text could not be read.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Problem {
    Format,
    Range,
    /// A month that may be a day: the hint says so.
    MonthDay,
    ZoneRange,
    UnknownZone(String),
}

impl Problem {
    pub(super) fn error(self, type_name: &str, text: &str) -> ValueError {
        let range = || {
            let message = format!("date/time field value out of range: \"{text}\"");
            ValueError::new(SqlState::DatetimeFieldOverflow, message)
        };
        match self {
            Self::Format => {
                let message = format!("invalid input syntax for type {type_name}: \"{text}\"");
                ValueError::new(SqlState::InvalidDatetimeFormat, message)
            }
            Self::Range => range(),
            Self::MonthDay => {
                range().with_hint("Perhaps you need a different \"datestyle\" setting.")
            }
            Self::ZoneRange => ValueError::new(
                SqlState::InvalidTimeZoneDisplacementValue,
                format!("time zone displacement out of range: \"{text}\""),
            ),
            Self::UnknownZone(zone) => {
                ValueError::invalid_parameter(format!("time zone \"{zone}\" not recognized"))
            }
        }
    }
}

/// The form of a field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Form {
    Number,
    Word,
    Date,
    Time,
    Offset,
    Special,
}

/// One field.
#[derive(Debug, Clone)]
pub(super) struct Field {
    pub(super) form: Form,
    pub(super) text: String,
}

/// Splits a text into fields (`ParseDateTime`).
pub(super) fn split(text: &str) -> Result<Vec<Field>, Problem> {
    let bytes = text.as_bytes();
    let mut fields = Vec::new();
    let mut at = 0;
    let take = |at: &mut usize, accept: &dyn Fn(u8) -> bool| {
        let start = *at;
        while *at < bytes.len() && accept(bytes[*at]) {
            *at += 1;
        }
        text.get(start..*at).unwrap_or_default().to_ascii_lowercase()
    };
    while at < bytes.len() {
        let byte = bytes[at];
        let next_is = |at: usize, accept: &dyn Fn(u8) -> bool| {
            bytes.get(at).is_some_and(|byte| accept(*byte))
        };
        let digit = |byte: u8| byte.is_ascii_digit();
        let field = if byte.is_ascii_whitespace() || byte == b'\x0b' {
            at += 1;
            continue;
        } else if digit(byte) {
            let mut field = take(&mut at, &digit);
            if next_is(at, &|byte| byte == b':') {
                field += &take(&mut at, &|byte| digit(byte) || byte == b':' || byte == b'.');
                Field { form: Form::Time, text: field }
            } else if next_is(at, &|byte| matches!(byte, b'-' | b'/' | b'.')) {
                let delimiter = bytes[at];
                at += 1;
                field.push(char::from(delimiter));
                let mut form = Form::Date;
                if next_is(at, &digit) {
                    form = if delimiter == b'.' { Form::Number } else { Form::Date };
                    field += &take(&mut at, &digit);
                    if next_is(at, &|byte| byte == delimiter) {
                        form = Form::Date;
                        field += &take(&mut at, &|byte| digit(byte) || byte == delimiter);
                    }
                } else if delimiter == b'.' && !next_is(at, &|byte| byte.is_ascii_alphanumeric()) {
                    // "5." is a number.
                    form = Form::Number;
                } else {
                    field +=
                        &take(&mut at, &|byte| byte.is_ascii_alphanumeric() || byte == delimiter);
                }
                Field { form, text: field }
            } else {
                Field { form: Form::Number, text: field }
            }
        } else if byte == b'.' {
            at += 1;
            Field { form: Form::Number, text: format!(".{}", take(&mut at, &digit)) }
        } else if byte.is_ascii_alphabetic() {
            let mut field = take(&mut at, &|byte| byte.is_ascii_alphabetic());
            let dated = match bytes.get(at) {
                Some(b'-' | b'/' | b'.') => true,
                Some(byte) if *byte == b'+' || digit(*byte) => keyword(&field).is_none(),
                _ => false,
            };
            if dated {
                field += &take(&mut at, &|byte| {
                    byte.is_ascii_alphanumeric()
                        || matches!(byte, b'+' | b'-' | b'/' | b'_' | b'.' | b':')
                });
                Field { form: Form::Date, text: field }
            } else {
                Field { form: Form::Word, text: field }
            }
        } else if byte == b'+' || byte == b'-' {
            let sign = char::from(byte);
            at += 1;
            take(&mut at, &|byte| byte.is_ascii_whitespace());
            if next_is(at, &digit) {
                let rest = take(&mut at, &|byte| digit(byte) || matches!(byte, b':' | b'.' | b'-'));
                Field { form: Form::Offset, text: format!("{sign}{rest}") }
            } else if next_is(at, &|byte| byte.is_ascii_alphabetic()) {
                let rest = take(&mut at, &|byte| byte.is_ascii_alphabetic());
                Field { form: Form::Special, text: format!("{sign}{rest}") }
            } else {
                return Err(Problem::Format);
            }
        } else if byte.is_ascii_punctuation() {
            at += 1;
            continue;
        } else {
            return Err(Problem::Format);
        };
        fields.push(field);
        if fields.len() > MAX_FIELDS {
            return Err(Problem::Format);
        }
    }
    Ok(fields)
}

/// What a text said.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Meaning {
    Civil { date: Option<Civil>, time: Option<i64>, zone: Option<Zone> },
    Infinity,
    NegInfinity,
    Epoch,
    Now,
}

/// The zone a text named.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Zone {
    Offset(i32),
    Named(TimeZone),
}

/// What is known while reading.
#[derive(Default)]
struct Reader {
    year: Option<i32>,
    year_digits: usize,
    month: Option<i32>,
    day: Option<i32>,
    text_month: bool,
    time: Option<i64>,
    zone: Option<Zone>,
    dst_seen: bool,
    bc: bool,
    era_seen: bool,
    meridiem: Option<Keyword>,
    weekday: Option<i32>,
    julian_next: bool,
    time_next: bool,
    special: Option<Keyword>,
    order: DateOrder,
    days: Option<i64>,
}

fn integer(text: &str) -> Result<i32, Problem> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Problem::Format);
    }
    text.parse().map_err(|_| Problem::Range)
}

/// The digits after a point as microseconds, rounded.
pub(super) fn fraction_micros(digits: &str) -> Result<i64, Problem> {
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Problem::Format);
    }
    if digits.is_empty() {
        return Ok(0);
    }
    let fraction: f64 = format!("0.{digits}").parse().map_err(|_| Problem::Format)?;
    Ok((fraction * 1_000_000.0).round_ties_even() as i64)
}

/// `hh:mm[:ss[.ffffff]]` as microseconds.
fn clock(text: &str) -> Result<i64, Problem> {
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => (whole, fraction_micros(fraction)?),
        None => (text, 0),
    };
    let parts: Vec<&str> = whole.split(':').collect();
    let dotted = text.contains('.');
    let (hour, minute, second) = match parts[..] {
        // mm:ss.fff needs its hour.
        [minute, second] if dotted => (0, integer(minute)?, integer(second)?),
        [hour, minute] => (integer(hour)?, integer(minute)?, 0),
        [hour, minute, ""] => (integer(hour)?, integer(minute)?, 0),
        [hour, minute, second] => (integer(hour)?, integer(minute)?, integer(second)?),
        _ => return Err(Problem::Format),
    };
    time_of(hour, minute, second, fraction)
}

/// A time of day, up to 24:00:00; second 60 runs over into the next minute.
pub(super) fn time_of(hour: i32, minute: i32, second: i32, micros: i64) -> Result<i64, Problem> {
    if hour > 24 || minute > 59 || second > 60 || (second == 60 && micros > 0) {
        return Err(Problem::Range);
    }
    let total = i64::from(hour) * 3_600_000_000
        + i64::from(minute) * 60_000_000
        + i64::from(second) * 1_000_000
        + micros;
    if total > DAY_MICROS { Err(Problem::Range) } else { Ok(total) }
}

impl Reader {
    fn has_date(&self) -> bool {
        self.days.is_some() || (self.year.is_some() && self.month.is_some() && self.day.is_some())
    }

    fn set_zone(&mut self, zone: Zone) -> Result<(), Problem> {
        if self.zone.is_some() {
            return Err(Problem::Format);
        }
        self.zone = Some(zone);
        Ok(())
    }

    fn set_time(&mut self, time: i64) -> Result<(), Problem> {
        if self.time.is_some() {
            return Err(Problem::Format);
        }
        self.time = Some(time);
        Ok(())
    }

    fn set_month(&mut self, month: i32, by_name: bool) -> Result<(), Problem> {
        // "1 Jan 2000": a number first taken for the month is the day after all.
        if by_name && self.month.is_some() && !self.text_month && self.day.is_none() {
            self.day = self.month.take();
        }
        if self.month.is_some() {
            return Err(Problem::Format);
        }
        self.month = Some(month);
        self.text_month = by_name;
        Ok(())
    }

    fn set_year(&mut self, text: &str) -> Result<(), Problem> {
        if self.year.is_some() {
            return Err(Problem::Format);
        }
        self.year = Some(integer(text)?);
        self.year_digits = text.len();
        Ok(())
    }

    fn set_day(&mut self, text: &str) -> Result<(), Problem> {
        if self.day.is_some() {
            return Err(Problem::Format);
        }
        self.day = Some(integer(text)?);
        Ok(())
    }

    /// A number that is one part of a date (`DecodeNumber`).
    fn part(&mut self, text: &str) -> Result<(), Problem> {
        let value = integer(text)?;
        // Three digits after a year are the day of the year.
        if text.len() == 3 && self.year.is_some() && self.month.is_none() && self.day.is_none() {
            if !(1..=366).contains(&value) {
                return Err(Problem::Range);
            }
            let year = self.year.unwrap_or_default();
            let first = Civil { year, month: 1, day: 1 };
            let date = civil_from_days(first.days() + i64::from(value) - 1);
            self.month = Some(date.month);
            self.day = Some(date.day);
            return Ok(());
        }
        match (self.year.is_some(), self.month.is_some(), self.day.is_some()) {
            (false, false, false) => {
                if text.len() >= 3 || self.order == DateOrder::Ymd {
                    self.set_year(text)
                } else if self.order == DateOrder::Dmy {
                    self.set_day(text)
                } else {
                    self.set_month(value, false)
                }
            }
            (true, false, false) => self.set_month(value, false),
            (false, true, false) => {
                if self.text_month && (text.len() >= 3 || self.order == DateOrder::Ymd) {
                    self.set_year(text)
                } else {
                    self.set_day(text)
                }
            }
            (true, true, false) => {
                if self.text_month && text.len() >= 3 && self.year_digits <= 2 {
                    // "Feb 1 1998" with the day taken for a year.
                    self.day = self.year.take();
                    self.set_year(text)
                } else {
                    self.set_day(text)
                }
            }
            (false, false, true) => self.set_month(value, false),
            (false, true, true) => self.set_year(text),
            (true, false, true) => self.set_month(value, false),
            (true, true, true) => Err(Problem::Format),
        }
    }

    /// Digits run together: `20010203`, `040506` (`DecodeNumberField`).
    fn run_together(&mut self, text: &str) -> Result<(), Problem> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let split = |from: usize, to: usize| integer(&whole[from..to]);
        if !whole.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Problem::Format);
        }
        if !text.contains('.') && !self.has_date() && whole.len() >= 6 {
            let year_end = whole.len() - 4;
            self.set_year(&whole[..year_end])?;
            self.set_month(split(year_end, year_end + 2)?, false)?;
            return self.set_day(&whole[year_end + 2..]);
        }
        let micros = fraction_micros(fraction)?;
        match whole.len() {
            6 => self.set_time(time_of(split(0, 2)?, split(2, 4)?, split(4, 6)?, micros)?),
            4 if self.time.is_none() => {
                self.set_time(time_of(split(0, 2)?, split(2, 4)?, 0, micros)?)
            }
            _ => Err(Problem::Format),
        }
    }

    /// A field with date punctuation (`DecodeDate`).
    fn date(&mut self, text: &str) -> Result<(), Problem> {
        let parts: Vec<&str> = text
            .split(|c: char| !c.is_ascii_alphanumeric())
            .filter(|part| !part.is_empty())
            .collect();
        // Nothing but a zone may stand before it: `Mon 1999-01-08` is no date.
        let is_first = self.time.is_none()
            && self.weekday.is_none()
            && self.meridiem.is_none()
            && !self.era_seen;
        // Letters and digits may also touch: 99jan08 is not a date, 08-Jan-99 is.
        if parts.is_empty() || parts.len() > 3 || !is_first {
            return Err(Problem::Format);
        }
        // Names first: they decide what the numbers are.
        let mut numbers = Vec::new();
        for part in parts {
            if part.starts_with(|c: char| c.is_ascii_alphabetic()) {
                match keyword(part) {
                    Some(Keyword::Month(month)) => self.set_month(month, true)?,
                    Some(Keyword::Weekday(day)) => self.weekday = Some(day),
                    Some(Keyword::Bc) => self.bc = true,
                    Some(Keyword::Ad) => {}
                    _ => return Err(Problem::Format),
                }
            } else {
                numbers.push(part);
            }
        }
        for part in numbers {
            self.part(part)?;
        }
        // A month of a year, or a day of a month, is no date.
        if self.has_date() { Ok(()) } else { Err(Problem::Format) }
    }

    fn word(&mut self, text: &str) -> Result<(), Problem> {
        match keyword(text) {
            Some(Keyword::Month(month)) => return self.set_month(month, true),
            Some(Keyword::Weekday(day)) => {
                self.weekday = Some(day);
                return Ok(());
            }
            Some(Keyword::Ignore) => return Ok(()),
            Some(Keyword::Ad | Keyword::Bc) => {
                if self.era_seen {
                    return Err(Problem::Format);
                }
                self.era_seen = true;
                self.bc = text == "bc";
                return Ok(());
            }
            Some(meridiem @ (Keyword::Am | Keyword::Pm)) => {
                self.meridiem = Some(meridiem);
                return Ok(());
            }
            Some(Keyword::IsoTime) => {
                if !self.has_date() {
                    return Err(Problem::Format);
                }
                self.time_next = true;
                return Ok(());
            }
            Some(Keyword::Julian) => {
                self.julian_next = true;
                return Ok(());
            }
            Some(Keyword::Dst) => {
                return match &mut self.zone {
                    Some(Zone::Offset(seconds)) if !self.dst_seen => {
                        *seconds += 3600;
                        self.dst_seen = true;
                        Ok(())
                    }
                    _ => Err(Problem::Format),
                };
            }
            Some(Keyword::AllBalls) => {
                self.set_zone(Zone::Offset(0))?;
                return self.set_time(0);
            }
            Some(special) => {
                if self.special.is_some() {
                    return Err(Problem::Format);
                }
                self.special = Some(special);
                return Ok(());
            }
            None => {}
        }
        if let Some((seconds, dst)) = abbreviation_offset(text) {
            self.dst_seen = dst;
            return self.set_zone(Zone::Offset(seconds));
        }
        match TimeZone::named(text) {
            Some(zone) => self.set_zone(Zone::Named(zone)),
            None => Err(Problem::Format),
        }
    }

    fn offset(&mut self, text: &str) -> Result<(), Problem> {
        let seconds = parse_offset(text).ok_or_else(|| {
            let well_formed = text[1..].bytes().all(|byte| byte.is_ascii_digit() || byte == b':');
            if well_formed { Problem::ZoneRange } else { Problem::Format }
        })?;
        self.set_zone(Zone::Offset(seconds))
    }

    fn field(&mut self, field: &Field) -> Result<(), Problem> {
        let text = field.text.as_str();
        if self.julian_next {
            self.julian_next = false;
            let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
            let julian = integer(whole)?;
            self.days = Some(i64::from(julian) - i64::from(EPOCH_JULIAN));
            if !fraction.is_empty() {
                let part: f64 = format!("0.{fraction}").parse().map_err(|_| Problem::Format)?;
                self.set_time((part * DAY_MICROS as f64) as i64)?;
            }
            return Ok(());
        }
        match field.form {
            Form::Time => {
                self.time_next = false;
                self.set_time(clock(text)?)
            }
            Form::Offset => self.offset(text),
            Form::Word => self.word(text),
            Form::Special => match keyword(text) {
                Some(Keyword::NegInfinity) => {
                    self.special = Some(Keyword::NegInfinity);
                    Ok(())
                }
                _ if text == "+infinity" => {
                    self.special = Some(Keyword::Infinity);
                    Ok(())
                }
                _ => Err(Problem::Format),
            },
            Form::Date if self.has_date() => {
                // A zone's name, or digits run together with an offset: 040506-08.
                if let Some(at) = text.find(['-', '+'])
                    && text.starts_with(|c: char| c.is_ascii_digit())
                {
                    self.offset(&text[at..])?;
                    return self.run_together(&text[..at]);
                }
                if !text.starts_with(|c: char| c.is_ascii_alphabetic()) {
                    return Err(Problem::Format);
                }
                match TimeZone::named(text) {
                    Some(zone) => self.set_zone(Zone::Named(zone)),
                    None => Err(Problem::UnknownZone(text.to_owned())),
                }
            }
            Form::Date => {
                // A time may have a zone without a date: 04:05:06 America/New_York.
                if text.starts_with(|c: char| c.is_ascii_alphabetic())
                    && text.contains('/')
                    && let Some(zone) = TimeZone::named(text)
                {
                    return self.set_zone(Zone::Named(zone));
                }
                self.date(text)
            }
            Form::Number if self.time_next => {
                self.time_next = false;
                self.run_together(text)
            }
            Form::Number => {
                if text.contains('.') {
                    let whole = text.find('.').unwrap_or(0);
                    if !self.has_date() && whole < 6 {
                        return self.date(text);
                    }
                    return self.run_together(text);
                }
                if text.len() >= 6 && (!self.has_date() || self.time.is_none()) {
                    return self.run_together(text);
                }
                if self.has_date() && text.len() == 4 && self.time.is_none() {
                    return self.run_together(text);
                }
                self.part(text)
            }
        }
    }

    /// Checks the date and completes its year (`ValidateDate`).
    fn civil(&self) -> Result<Option<Civil>, Problem> {
        if let Some(days) = self.days {
            return Ok(Some(civil_from_days(days)));
        }
        let (Some(mut year), Some(month), Some(day)) = (self.year, self.month, self.day) else {
            let nothing = self.year.is_none() && self.month.is_none() && self.day.is_none();
            return if nothing { Ok(None) } else { Err(Problem::Format) };
        };
        if self.bc {
            if year <= 0 {
                return Err(Problem::Range);
            }
            year = 1 - year;
        } else if self.year_digits <= 2 {
            year += if year < 70 { 2000 } else { 1900 };
        } else if year <= 0 {
            return Err(Problem::Range);
        }
        if !(1..=12).contains(&month) {
            return Err(Problem::MonthDay);
        }
        if !(1..=31).contains(&day) {
            return Err(Problem::MonthDay);
        }
        if day > days_in_month(year, month) {
            return Err(Problem::Range);
        }
        Ok(Some(Civil { year, month, day }))
    }

    fn clock_time(&self) -> Result<Option<i64>, Problem> {
        const HOUR: i64 = 3_600_000_000;
        let Some(time) = self.time else {
            return if self.meridiem.is_some() { Err(Problem::Format) } else { Ok(None) };
        };
        let hour = time / HOUR;
        match self.meridiem {
            Some(_) if hour > 12 => Err(Problem::Range),
            Some(Keyword::Pm) if hour != 12 => Ok(Some(time + 12 * HOUR)),
            Some(Keyword::Am) if hour == 12 => Ok(Some(time - 12 * HOUR)),
            _ => Ok(Some(time)),
        }
    }
}

/// Reads the fields of a text.
pub(super) fn read(text: &str, ctx: &EvalContext) -> Result<Meaning, Problem> {
    if text.len() > 1024 {
        return Err(Problem::Format);
    }
    let fields = split(text)?;
    if fields.is_empty() {
        return Err(Problem::Format);
    }
    let mut reader = Reader { order: ctx.date_order, ..Reader::default() };
    for field in &fields {
        reader.field(field)?;
    }
    if reader.julian_next || reader.time_next {
        return Err(Problem::Format);
    }
    let local_date = |offset_days: i64| {
        let local = local_now(ctx);
        let today = local.div_euclid(DAY_MICROS);
        civil_from_days(today + offset_days)
    };
    let date = match reader.special {
        Some(Keyword::Infinity) => return Ok(Meaning::Infinity),
        Some(Keyword::NegInfinity) => return Ok(Meaning::NegInfinity),
        Some(Keyword::Epoch) => return Ok(Meaning::Epoch),
        Some(Keyword::Now) if reader.time.is_none() => return Ok(Meaning::Now),
        Some(Keyword::Today) => Some(local_date(0)),
        Some(Keyword::Tomorrow) => Some(local_date(1)),
        Some(Keyword::Yesterday) => Some(local_date(-1)),
        Some(_) => return Err(Problem::Format),
        None => reader.civil()?,
    };
    Ok(Meaning::Civil { date, time: reader.clock_time()?, zone: reader.zone.clone() })
}

/// The transaction's time in the session's zone, as a local timestamp.
pub(super) fn local_now(ctx: &EvalContext) -> i64 {
    let utc = ctx.transaction_ts;
    utc + i64::from(ctx.time_zone.offset_at(utc)) * 1_000_000
}

/// 1970-01-01 as a timestamp.
const UNIX_EPOCH: i64 = -super::calendar::UNIX_EPOCH_SECONDS * 1_000_000;

/// Reads a date.
///
/// # Errors
/// 22007 and 22008 with PostgreSQL's texts.
pub(crate) fn parse_date(text: &str, ctx: &EvalContext) -> Result<i32, ValueError> {
    match read(text, ctx).map_err(|problem| problem.error("date", text))? {
        Meaning::Infinity => Ok(i32::MAX),
        Meaning::NegInfinity => Ok(i32::MIN),
        Meaning::Epoch => Ok((UNIX_EPOCH / DAY_MICROS) as i32),
        Meaning::Now => Ok(local_now(ctx).div_euclid(DAY_MICROS) as i32),
        Meaning::Civil { date: Some(date), .. } => date_from_civil(date).ok_or_else(|| {
            let message = format!("date out of range: \"{text}\"");
            ValueError::new(SqlState::DatetimeFieldOverflow, message)
        }),
        Meaning::Civil { .. } => Err(Problem::Format.error("date", text)),
    }
}

/// A time of six digits run together, `040506` with what may follow, with its colons.
pub(super) fn with_colons(text: &str) -> Option<String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let ends = |c: char| matches!(c, ' ' | '+' | '-' | '.') || c.is_ascii_alphabetic();
    let is_time = digits == 6 && text[6..].chars().next().is_none_or(ends);
    is_time.then(|| format!("{}:{}:{}", &text[..2], &text[2..4], &text[4..]))
}

/// Reads a time of day; a date beside it is ignored.
///
/// # Errors
/// As [`parse_date`].
pub(crate) fn parse_time(text: &str, ctx: &EvalContext) -> Result<i64, ValueError> {
    let invalid = || Problem::Format.error("time", text);
    // A T may come first.
    let trimmed = text.trim();
    let is_digit = |c: char| c.is_ascii_digit();
    let stripped = trimmed.strip_prefix(['T', 't']).filter(|rest| rest.starts_with(is_digit));
    let trimmed = stripped.unwrap_or(trimmed);
    // Digits without punctuation are a time here: 040506, 0405.
    let digits = trimmed.split('.').next().unwrap_or_default();
    if matches!(digits.len(), 4 | 6) && trimmed.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        let mut reader =
            Reader { year: Some(1), month: Some(1), day: Some(1), ..Reader::default() };
        reader.run_together(trimmed).map_err(|problem| problem.error("time", text))?;
        return reader.time.ok_or_else(invalid);
    }
    match read(trimmed, ctx).map_err(|problem| problem.error("time", text))? {
        Meaning::Now => Ok(local_now(ctx).rem_euclid(DAY_MICROS)),
        Meaning::Civil { time: Some(time), .. } => Ok(time),
        _ => Err(invalid()),
    }
}

/// Reads a timestamp; a zone beside it is ignored.
///
/// # Errors
/// As [`parse_date`].
pub(crate) fn parse_timestamp(text: &str, ctx: &EvalContext) -> Result<i64, ValueError> {
    match read(text, ctx).map_err(|problem| problem.error("timestamp", text))? {
        Meaning::Infinity => Ok(i64::MAX),
        Meaning::NegInfinity => Ok(i64::MIN),
        Meaning::Epoch => Ok(UNIX_EPOCH),
        Meaning::Now => Ok(local_now(ctx)),
        Meaning::Civil { date: Some(date), time, .. } => {
            combine(date, time).ok_or_else(|| out_of_range(text))
        }
        Meaning::Civil { .. } => Err(Problem::Format.error("timestamp", text)),
    }
}

fn combine(date: Civil, time: Option<i64>) -> Option<i64> {
    let at = i128::from(date.days()) * i128::from(DAY_MICROS) + i128::from(time.unwrap_or(0));
    let at = i64::try_from(at).ok()?;
    super::calendar::valid_timestamp(at).then_some(at)
}

fn out_of_range(text: &str) -> ValueError {
    let message = format!("timestamp out of range: \"{text}\"");
    ValueError::new(SqlState::DatetimeFieldOverflow, message)
}

/// Reads a timestamp with time zone; without one the session's holds.
///
/// # Errors
/// As [`parse_date`].
pub(crate) fn parse_timestamptz(text: &str, ctx: &EvalContext) -> Result<i64, ValueError> {
    const NAME: &str = "timestamp with time zone";
    match read(text, ctx).map_err(|problem| problem.error(NAME, text))? {
        Meaning::Infinity => Ok(i64::MAX),
        Meaning::NegInfinity => Ok(i64::MIN),
        Meaning::Epoch => Ok(UNIX_EPOCH),
        Meaning::Now => Ok(ctx.transaction_ts),
        Meaning::Civil { date: Some(date), time, zone } => {
            // The local time may be just outside the range that the UTC time is inside.
            let local =
                i128::from(date.days()) * i128::from(DAY_MICROS) + i128::from(time.unwrap_or(0));
            let local = i64::try_from(local).map_err(|_| out_of_range(text))?;
            let offset = match zone {
                Some(Zone::Offset(seconds)) => seconds,
                Some(Zone::Named(zone)) => zone.offset_of_local(local),
                None => ctx.time_zone.offset_of_local(local),
            };
            let utc = local.checked_sub(i64::from(offset) * 1_000_000);
            utc.filter(|utc| super::calendar::valid_timestamp(*utc))
                .ok_or_else(|| out_of_range(text))
        }
        Meaning::Civil { .. } => Err(Problem::Format.error(NAME, text)),
    }
}

/// The local calendar time of a UTC timestamp.
pub(super) fn local_civil(utc: i64, zone: &TimeZone) -> (CivilTime, i32) {
    let offset = zone.offset_at(utc);
    (split_timestamp(utc.saturating_add(i64::from(offset) * 1_000_000)), offset)
}
