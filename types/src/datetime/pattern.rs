//! Printing dates and times by a pattern (`to_char`), and the patterns themselves.

use super::calendar::{CivilTime, HOUR_MICROS, MINUTE_MICROS, SECOND_MICROS, split_timestamp};
use super::keyword::{MONTHS, WEEKDAYS};
use super::zone::TimeZone;
use crate::{Interval, SqlState, ValueError};

/// Every pattern word in upper case, longest first where one begins another.
pub(super) const WORDS: [&str; 54] = [
    "A.D.", "A.M.", "AD", "AM", "B.C.", "BC", "CC", "DAY", "DDD", "DD", "DY", "D", "FF1", "FF2",
    "FF3", "FF4", "FF5", "FF6", "FX", "HH24", "HH12", "HH", "IDDD", "ID", "IW", "IYYY", "IYY",
    "IY", "I", "J", "MI", "MM", "MONTH", "MON", "MS", "OF", "P.M.", "PM", "Q", "RM", "SSSSS",
    "SSSS", "SS", "TZH", "TZM", "TZ", "US", "WW", "W", "Y,YYY", "YYYY", "YYY", "YY", "Y",
];

/// The words that also have a capitalised form.
const CAPITALISED: [(&str, &str); 4] =
    [("Month", "MONTH"), ("Mon", "MON"), ("Day", "DAY"), ("Dy", "DY")];

/// How letters are written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Case {
    Upper,
    Capital,
    Lower,
}

/// A part of a pattern.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Word {
        word: &'static str,
        case: Case,
        /// `FM`: without padding.
        fill: bool,
        /// `TM`: the name alone.
        translated: bool,
        /// `TH` or `th`, and which.
        ordinal: Option<Case>,
    },
    /// A character to copy; whether it was in quotes.
    Char(char, bool),
}

fn word_at(text: &str) -> Option<(&'static str, Case, usize)> {
    for (capital, word) in CAPITALISED {
        if text.starts_with(capital) {
            return Some((word, Case::Capital, word.len()));
        }
    }
    let find = |upper: bool| {
        WORDS.iter().copied().find(|word| {
            let Some(head) = text.get(..word.len()) else { return false };
            if upper { head == *word } else { head == word.to_ascii_lowercase() }
        })
    };
    if let Some(word) = find(true) {
        return Some((word, Case::Upper, word.len()));
    }
    find(false).map(|word| (word, Case::Lower, word.len()))
}

/// Splits a pattern into its parts.
pub(super) fn parse_pattern(pattern: &str) -> Vec<Node> {
    let mut nodes = Vec::new();
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        let mut after = rest;
        let (mut fill, mut translated) = (false, false);
        loop {
            if let Some(next) = after.strip_prefix("FM").or_else(|| after.strip_prefix("fm")) {
                fill = true;
                after = next;
            } else if let Some(next) = after.strip_prefix("TM").or_else(|| after.strip_prefix("tm"))
            {
                translated = true;
                after = next;
            } else if let Some(next) = after.strip_prefix("FX").or_else(|| after.strip_prefix("fx"))
            {
                after = next;
            } else {
                break;
            }
        }
        if let Some((word, case, length)) = word_at(after) {
            rest = &after[length..];
            let mut ordinal = None;
            if let Some(next) = rest.strip_prefix("TH") {
                ordinal = Some(Case::Upper);
                rest = next;
            } else if let Some(next) = rest.strip_prefix("th") {
                ordinal = Some(Case::Lower);
                rest = next;
            }
            nodes.push(Node::Word { word, case, fill, translated, ordinal });
        } else if after.len() < rest.len() {
            rest = after;
        } else if c == '"' {
            let mut chars = rest[1..].chars();
            while let Some(c) = chars.next() {
                match c {
                    '"' => break,
                    '\\' => nodes.extend(chars.next().map(|c| Node::Char(c, true))),
                    c => nodes.push(Node::Char(c, true)),
                }
            }
            rest = chars.as_str();
        } else if let Some(next) = rest.strip_prefix("\\\"") {
            nodes.push(Node::Char('"', true));
            rest = next;
        } else {
            nodes.push(Node::Char(c, false));
            rest = &rest[c.len_utf8()..];
        }
    }
    nodes
}

/// What is printed: a point in time, or an interval.
pub(crate) struct Moment {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    micros: i64,
    /// The calendar date; none for an interval.
    civil: Option<CivilTime>,
    offset: i64,
    abbreviation: Option<String>,
}

impl Moment {
    fn point(civil: CivilTime, offset: i64, abbreviation: Option<String>) -> Self {
        Self {
            year: i64::from(civil.date.year),
            month: i64::from(civil.date.month),
            day: i64::from(civil.date.day),
            hour: i64::from(civil.hour),
            minute: i64::from(civil.minute),
            second: i64::from(civil.second),
            micros: i64::from(civil.micros),
            civil: Some(civil),
            offset,
            abbreviation,
        }
    }

    /// A timestamp.
    pub(crate) fn local(v: i64) -> Self {
        Self::point(split_timestamp(v), 0, None)
    }

    /// An instant in a zone.
    pub(crate) fn zoned(v: i64, zone: &TimeZone) -> Self {
        let (civil, offset) = super::input::local_civil(v, zone);
        Self::point(civil, i64::from(offset), Some(zone.abbreviation_at(v)))
    }

    /// An interval.
    pub(crate) fn span(v: Interval) -> Self {
        Self {
            year: i64::from(v.months / 12),
            month: i64::from(v.months % 12),
            day: i64::from(v.days),
            hour: v.micros / HOUR_MICROS,
            minute: v.micros / MINUTE_MICROS % 60,
            second: v.micros / SECOND_MICROS % 60,
            micros: v.micros % SECOND_MICROS,
            civil: None,
            offset: 0,
            abbreviation: None,
        }
    }

    /// The year people say: there is none 0.
    fn display_year(&self) -> i64 {
        if self.civil.is_some() && self.year <= 0 { 1 - self.year } else { self.year }
    }
}

/// `%0*d` as C has it: the sign counts.
fn padded(v: i64, width: usize, fill: bool) -> String {
    if fill { v.to_string() } else { format!("{v:0width$}") }
}

/// The ending of an ordinal number.
fn ordinal_ending(number: &str, case: Case) -> &'static str {
    let bytes = number.as_bytes();
    let last = bytes.last().copied().unwrap_or(b'0');
    let teen = bytes.len() > 1 && bytes[bytes.len() - 2] == b'1';
    let upper = case == Case::Upper;
    match last {
        b'1' if !teen => {
            if upper {
                "ST"
            } else {
                "st"
            }
        }
        b'2' if !teen => {
            if upper {
                "ND"
            } else {
                "nd"
            }
        }
        b'3' if !teen => {
            if upper {
                "RD"
            } else {
                "rd"
            }
        }
        _ => {
            if upper {
                "TH"
            } else {
                "th"
            }
        }
    }
}

fn cased(name: &str, case: Case) -> String {
    match case {
        Case::Upper => name.to_uppercase(),
        Case::Capital => name.to_owned(),
        Case::Lower => name.to_lowercase(),
    }
}

const ROMAN: [&str; 12] =
    ["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"];

/// Prints by a pattern.
///
/// # Errors
/// 22007 for a word that needs a calendar date when there is only an interval.
pub(crate) fn format_moment(moment: &Moment, pattern: &str) -> Result<String, ValueError> {
    let mut out = String::new();
    for node in parse_pattern(pattern) {
        match node {
            Node::Char(c, _) => out.push(c),
            Node::Word { word, case, fill, translated, ordinal } => {
                if word == "FX" {
                    continue;
                }
                let text = word_text(moment, word, case, fill, translated)?;
                out.push_str(&text);
                if let Some(case) = ordinal
                    && text.ends_with(|c: char| c.is_ascii_digit())
                {
                    out.push_str(ordinal_ending(&text, case));
                }
            }
        }
    }
    Ok(out)
}

fn word_text(
    moment: &Moment,
    word: &str,
    case: Case,
    fill: bool,
    translated: bool,
) -> Result<String, ValueError> {
    let two = |v: i64| padded(v, if v >= 0 { 2 } else { 3 }, fill);
    Ok(match word {
        "HH" | "HH12" => {
            let hour = moment.hour % 12;
            two(if hour == 0 { 12 } else { hour })
        }
        "HH24" => two(moment.hour),
        "MI" => two(moment.minute),
        "SS" => two(moment.second),
        "MS" => format!("{:03}", moment.micros / 1000),
        "US" | "FF6" => format!("{:06}", moment.micros),
        "FF1" => format!("{}", moment.micros / 100_000),
        "FF2" => format!("{:02}", moment.micros / 10_000),
        "FF3" => format!("{:03}", moment.micros / 1000),
        "FF4" => format!("{:04}", moment.micros / 100),
        "FF5" => format!("{:05}", moment.micros / 10),
        "SSSS" | "SSSSS" => (moment.hour * 3600 + moment.minute * 60 + moment.second).to_string(),
        "AM" | "PM" => cased(half_day(moment, "AM", "PM"), case),
        "A.M." | "P.M." => cased(half_day(moment, "A.M.", "P.M."), case),
        "DD" => two(moment.day),
        "MM" => two(moment.month),
        "Q" if moment.month == 0 => String::new(),
        "Q" => ((moment.month - 1) / 3 + 1).to_string(),
        "W" => ((moment.day - 1) / 7 + 1).to_string(),
        "CC" => {
            let century = match moment.civil {
                None => moment.year / 100,
                Some(_) if moment.year > 0 => (moment.year - 1) / 100 + 1,
                Some(_) => moment.year / 100 - 1,
            };
            if (-99..=99).contains(&century) { two(century) } else { century.to_string() }
        }
        "Y,YYY" => {
            let year = moment.display_year();
            format!("{},{:03}", year / 1000, year % 1000)
        }
        "YYYY" | "YYY" | "YY" | "Y" => year_text(moment.display_year(), word.len(), fill),
        "RM" => roman_month(moment, case, fill),
        _ => return calendar_text(moment, word, case, fill, translated),
    })
}

fn half_day(moment: &Moment, am: &'static str, pm: &'static str) -> &'static str {
    if moment.hour.rem_euclid(24) >= 12 { pm } else { am }
}

fn year_text(year: i64, digits: usize, fill: bool) -> String {
    let shown = if digits == 4 { year } else { year % 10i64.pow(digits as u32) };
    padded(shown, digits + usize::from(shown < 0), fill)
}

fn roman_month(moment: &Moment, case: Case, fill: bool) -> String {
    let index = match moment.month {
        0 if moment.year == 0 => return String::new(),
        0 => {
            if moment.year >= 0 {
                11
            } else {
                0
            }
        }
        // Back from the year's end: -1 is XII.
        month if month < 0 => 12 + month,
        month => month - 1,
    };
    let name = cased(ROMAN[index.clamp(0, 11) as usize], case);
    if fill { name } else { format!("{name:<4}") }
}

/// The words that need a calendar date.
fn calendar_text(
    moment: &Moment,
    word: &str,
    case: Case,
    fill: bool,
    translated: bool,
) -> Result<String, ValueError> {
    if word == "DDD" && moment.civil.is_none() {
        let days = (moment.year * 12 + moment.month) * 30 + moment.day;
        return Ok(padded(days, 3, fill));
    }
    if word == "J" && moment.civil.is_none() {
        let days = (moment.year * 12 + moment.month) * 30 + moment.day;
        return Ok((days + super::calendar::EPOCH_JULIAN as i64).to_string());
    }
    let Some(civil) = moment.civil else {
        return Err(ValueError::new(
            SqlState::InvalidDatetimeFormat,
            "invalid format specification for an interval value",
        )
        .with_hint("Intervals are not tied to specific calendar dates."));
    };
    let date = civil.date;
    let name = |name: &str, short: bool, width: usize| {
        let name = cased(if short { &name[..3] } else { name }, case);
        if fill || translated || short { name } else { format!("{name:<width$}") }
    };
    let month = || MONTHS[date.month as usize - 1];
    let weekday = || WEEKDAYS[date.day_of_week() as usize];
    let iso_day = (date.day_of_week() + 6) % 7 + 1;
    let offset = moment.offset;
    let sign = if offset < 0 { '-' } else { '+' };
    let (hours, minutes) = (offset.abs() / 3600, offset.abs() / 60 % 60);
    Ok(match word {
        "MONTH" => name(month(), false, 9),
        "MON" => name(month(), true, 3),
        "DAY" => name(weekday(), false, 9),
        "DY" => name(weekday(), true, 3),
        "D" => (date.day_of_week() + 1).to_string(),
        "ID" => iso_day.to_string(),
        "DDD" => padded(i64::from(date.day_of_year()), 3, fill),
        "IDDD" => {
            let days = (date.iso_week().1 - 1) * 7 + iso_day;
            padded(i64::from(days), 3, fill)
        }
        "WW" => padded(i64::from((date.day_of_year() - 1) / 7 + 1), 2, fill),
        "IW" => padded(i64::from(date.iso_week().1), 2, fill),
        "IYYY" | "IYY" | "IY" | "I" => {
            let year = i64::from(date.iso_week().0);
            let year = if year <= 0 { 1 - year } else { year };
            year_text(year, word.len(), fill)
        }
        "BC" | "AD" => cased(if date.year <= 0 { "BC" } else { "AD" }, case),
        "B.C." | "A.D." => cased(if date.year <= 0 { "B.C." } else { "A.D." }, case),
        "J" => (date.days() + i64::from(super::calendar::EPOCH_JULIAN)).to_string(),
        "TZ" => cased(moment.abbreviation.as_deref().unwrap_or(""), case),
        "TZH" => format!("{sign}{hours:02}"),
        "TZM" => format!("{minutes:02}"),
        "OF" => {
            let hours = if fill { hours.to_string() } else { format!("{hours:02}") };
            if minutes == 0 {
                format!("{sign}{hours}")
            } else {
                format!("{sign}{hours}:{minutes:02}")
            }
        }
        _ => String::new(),
    })
}
