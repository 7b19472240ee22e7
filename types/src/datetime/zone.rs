//! Time zones: a fixed offset, or a name with rules.

use std::fmt;
use std::sync::Arc;

use super::calendar::{DAY_MICROS, SECOND_MICROS, UNIX_EPOCH_SECONDS, split_timestamp};
use super::keyword::abbreviation_offset;
use crate::ValueError;

/// The Gregorian calendar repeats after 400 years.
const CYCLE_MICROS: i64 = 146_097 * DAY_MICROS;
/// 9000-01-01: beyond, the rules of an earlier cycle are used.
const RULES_END: i64 = 2_556_693 * DAY_MICROS;

/// A time zone.
#[derive(Clone)]
pub struct TimeZone {
    name: Arc<str>,
    rules: Rules,
}

#[derive(Clone)]
enum Rules {
    /// Seconds east of Greenwich.
    Fixed(i32),
    Zone(jiff::tz::TimeZone),
}

impl fmt::Debug for TimeZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TimeZone").field(&self.name).finish()
    }
}

impl PartialEq for TimeZone {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Default for TimeZone {
    fn default() -> Self {
        Self::utc()
    }
}

impl TimeZone {
    /// UTC.
    pub fn utc() -> Self {
        Self { name: Arc::from("UTC"), rules: Rules::Fixed(0) }
    }

    /// A fixed offset in seconds east of Greenwich, named as PostgreSQL names it.
    pub fn fixed(seconds_east: i32) -> Self {
        let spell = |seconds: i32| {
            let magnitude = seconds.unsigned_abs();
            let sign = if seconds < 0 { '-' } else { '+' };
            let (hours, minutes) = (magnitude / 3600, magnitude / 60 % 60);
            if minutes == 0 {
                format!("{sign}{hours:02}")
            } else {
                format!("{sign}{hours:02}:{minutes:02}")
            }
        };
        let name = format!("<{}>{}", spell(seconds_east), spell(-seconds_east));
        Self { name: Arc::from(name), rules: Rules::Fixed(seconds_east) }
    }

    /// The zone with a name: IANA (`Europe/Berlin`) or POSIX (`EST5EDT`, `UTC+3`, where plus is west).
    pub fn named(name: &str) -> Option<Self> {
        let upper = name.to_ascii_uppercase();
        if matches!(upper.as_str(), "UTC" | "GMT" | "Z" | "ETC/UTC" | "UCT" | "ZULU") {
            let canonical = if upper == "ETC/UTC" { "Etc/UTC".to_owned() } else { upper };
            return Some(Self { name: Arc::from(canonical), rules: Rules::Fixed(0) });
        }
        // What the zone database would take for a path or an empty name is none.
        let plain = |c: char| c.is_ascii_alphanumeric() || "/_+-:,.<>".contains(c);
        if name.is_empty() || name.len() > 255 || !name.chars().all(plain) {
            return None;
        }
        if let Ok(zone) = jiff::tz::TimeZone::get(name) {
            let canonical = zone.iana_name().unwrap_or(name).to_owned();
            return Some(Self { name: Arc::from(canonical), rules: Rules::Zone(zone) });
        }
        // A fixed offset is named by minutes, too, where POSIX has hours alone: `<+10:30>-10:30`.
        let inside = upper.strip_prefix('<').and_then(|rest| rest.split_once('>'));
        if let Some(seconds) = inside.and_then(|(inside, _)| parse_offset(inside)) {
            let zone = Self::fixed(seconds);
            if *zone.name == *upper {
                return Some(zone);
            }
        }
        // Where a daylight saving time has no rule, PostgreSQL takes that of the United States.
        let zone = jiff::tz::TimeZone::posix(&upper)
            .or_else(|_| jiff::tz::TimeZone::posix(&format!("{upper},M3.2.0,M11.1.0")))
            .ok()?;
        Some(Self { name: Arc::from(upper), rules: Rules::Zone(zone) })
    }

    /// The zone that `SET TIME ZONE` means by a text: hours east of Greenwich (`-8`, `5.5`), an offset with
    /// minutes in the manner of POSIX (`+05:30`, where plus is west), or a name.
    pub fn from_setting(text: &str) -> Option<Self> {
        let trimmed = text.trim();
        match trimmed.parse::<f64>() {
            Ok(hours) if hours.abs() < 168.0 => Some(Self::fixed((hours * 3600.0) as i32)),
            Ok(_) => None,
            Err(_) => Self::named(trimmed).or_else(|| {
                let seconds = parse_offset(trimmed)?;
                Some(Self { name: Arc::from(trimmed), rules: Rules::Fixed(-seconds) })
            }),
        }
    }

    /// The zone that an interval of hours and minutes stands for: `+05:30`, where plus is east.
    pub fn from_interval(text: &str) -> Option<Self> {
        parse_offset(text.trim()).map(Self::fixed)
    }

    /// The zone that `AT TIME ZONE` means by a text: an abbreviation (`PST`), a name, or an offset in
    /// the manner of POSIX (`+05:30`, where plus is west).
    ///
    /// # Errors
    /// 22023 when there is none.
    pub fn parse(text: &str) -> Result<Self, ValueError> {
        let trimmed = text.trim();
        let lower = trimmed.to_ascii_lowercase();
        if let Some(zone) = Self::named(trimmed) {
            return Ok(zone);
        }
        if let Some((seconds, _)) = abbreviation_offset(&lower) {
            return Ok(Self {
                name: Arc::from(trimmed.to_uppercase()),
                rules: Rules::Fixed(seconds),
            });
        }
        if let Some(seconds) = parse_offset(trimmed) {
            return Ok(Self::fixed(-seconds));
        }
        Err(ValueError::invalid_parameter(format!("time zone \"{text}\" not recognized")))
    }

    /// The name, as `SHOW TimeZone` prints it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The names of all zones of the database of zones, in order.
    pub fn names() -> Vec<String> {
        let mut names: Vec<String> =
            jiff::tz::db().available().map(|name| name.to_string()).collect();
        names.sort_unstable();
        names
    }

    /// What holds at a UTC timestamp: the abbreviation, seconds east of Greenwich, and whether it is
    /// daylight saving time.
    pub fn facts_at(&self, utc: i64) -> (String, i32, bool) {
        let is_dst = match &self.rules {
            Rules::Fixed(_) => false,
            Rules::Zone(zone) => {
                jiff_timestamp(utc).is_some_and(|at| zone.to_offset_info(at).dst().is_dst())
            }
        };
        (self.abbreviation_at(utc), self.offset_at(utc), is_dst)
    }

    /// Seconds east of Greenwich at a UTC timestamp.
    pub(crate) fn offset_at(&self, utc: i64) -> i32 {
        match &self.rules {
            Rules::Fixed(seconds) => *seconds,
            Rules::Zone(zone) => jiff_timestamp(utc).map_or(0, |at| zone.to_offset(at).seconds()),
        }
    }

    /// Whether the offset is the same half a year before and after a local timestamp.
    pub(crate) fn is_fixed_at(&self, local: i64) -> bool {
        const HALF_YEAR: i64 = 182 * 86_400 * SECOND_MICROS;
        let at = |shift: i64| self.offset_of_local(local.saturating_add(shift));
        at(-HALF_YEAR) == at(0) && at(0) == at(HALF_YEAR)
    }

    /// The abbreviation in force at a UTC timestamp.
    pub(crate) fn abbreviation_at(&self, utc: i64) -> String {
        match &self.rules {
            Rules::Fixed(_) if self.name.starts_with('<') => {
                self.name[1..].split('>').next().unwrap_or_default().to_owned()
            }
            Rules::Fixed(_) => self.name.to_string(),
            Rules::Zone(zone) => jiff_timestamp(utc)
                .map(|at| zone.to_offset_info(at).abbreviation().to_owned())
                .unwrap_or_default(),
        }
    }

    /// Seconds east of Greenwich at a local timestamp. A time that a jump forward skips is read with the
    /// offset before the jump, one that a jump back repeats with the offset after it.
    pub(crate) fn offset_of_local(&self, local: i64) -> i32 {
        let Rules::Zone(zone) = &self.rules else {
            let Rules::Fixed(seconds) = &self.rules else { return 0 };
            return *seconds;
        };
        let civil = split_timestamp(within_rules(local));
        let datetime = jiff::civil::DateTime::new(
            civil.date.year as i16,
            civil.date.month as i8,
            civil.date.day as i8,
            civil.hour as i8,
            civil.minute as i8,
            civil.second as i8,
            0,
        );
        let Ok(datetime) = datetime else { return 0 };
        use jiff::tz::AmbiguousOffset;
        match zone.to_ambiguous_timestamp(datetime).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset.seconds(),
            AmbiguousOffset::Gap { before, .. } => before.seconds(),
            AmbiguousOffset::Fold { after, .. } => after.seconds(),
        }
    }
}

/// The same point of an earlier cycle of the calendar, for times after the rules' end.
fn within_rules(v: i64) -> i64 {
    if v < RULES_END { v } else { RULES_END - CYCLE_MICROS + (v - RULES_END) % CYCLE_MICROS }
}

fn jiff_timestamp(utc: i64) -> Option<jiff::Timestamp> {
    let seconds = within_rules(utc).div_euclid(SECOND_MICROS) + UNIX_EPOCH_SECONDS;
    jiff::Timestamp::from_second(seconds).ok()
}

/// `+hh`, `+hhmm`, `+hh:mm`, `+hh:mm:ss` as seconds, if within 15:59:59.
pub(crate) fn parse_offset(text: &str) -> Option<i32> {
    let (negative, body) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let numeric = |part: &str| {
        let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if digits { part.parse::<i32>().ok() } else { None }
    };
    let parts: Vec<&str> = body.split(':').collect();
    let (hours, minutes, seconds) = match parts[..] {
        [hours] if hours.len() > 2 => {
            let packed = numeric(hours)?;
            if hours.len() > 4 {
                (packed / 10_000, packed / 100 % 100, packed % 100)
            } else {
                (packed / 100, packed % 100, 0)
            }
        }
        [hours] => (numeric(hours)?, 0, 0),
        [hours, minutes] => (numeric(hours)?, numeric(minutes)?, 0),
        [hours, minutes, seconds] => (numeric(hours)?, numeric(minutes)?, numeric(seconds)?),
        _ => return None,
    };
    if hours > 15 || minutes > 59 || seconds > 59 {
        return None;
    }
    let total = hours * 3600 + minutes * 60 + seconds;
    Some(if negative { -total } else { total })
}
