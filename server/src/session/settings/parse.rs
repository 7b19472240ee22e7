//! Reading the values of settings.

use std::time::Duration;

use driftdb_concurrency::IsolationLevel;
use driftdb_types::{ByteaOutput, DateFormat, DateOrder, IntervalStyle};

/// The schemas of a user's search path, each once, in its order; `None` if it is no list of names.
pub(super) fn path(text: &str) -> Option<Vec<Box<str>>> {
    let mut names: Vec<Box<str>> = Vec::new();
    let mut rest = text.trim_start();
    if rest.is_empty() {
        return Some(names);
    }
    loop {
        let name = if let Some(quoted) = rest.strip_prefix('"') {
            let (name, after) = quoted_name(quoted)?;
            rest = after;
            name
        } else {
            let end = rest.find(|c: char| c == ',' || c.is_whitespace()).unwrap_or(rest.len());
            let name = rest[..end].to_ascii_lowercase();
            rest = &rest[end..];
            (!name.is_empty()).then_some(name)?
        };
        names.push(name.into());
        rest = rest.trim_start();
        if rest.is_empty() {
            return Some(names);
        }
        rest = rest.strip_prefix(',')?.trim_start();
    }
}

/// A name in quotes, from after the first of them; and what follows.
fn quoted_name(text: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut rest = text;
    loop {
        let end = rest.find('"')?;
        name.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(after) => {
                name.push('"');
                rest = after;
            }
            None => return Some((name, rest)),
        }
    }
}

/// The schemas that a search path means for a user, each once, in its order.
pub(super) fn schemas(text: &str, user: &str) -> Vec<Box<str>> {
    let mut found: Vec<Box<str>> = Vec::new();
    for name in path(text).unwrap_or_default() {
        let name: Box<str> = if &*name == "$user" { user.into() } else { name };
        if !name.is_empty() && !found.contains(&name) {
            found.push(name);
        }
    }
    found
}

/// `on`, `off` and their like; unique beginnings of words, as in PostgreSQL.
pub(crate) fn parse_bool(text: &str) -> Option<bool> {
    let text = text.trim().to_ascii_lowercase();
    if text.is_empty() {
        return None;
    }
    match text.as_str() {
        "1" | "on" => Some(true),
        "0" | "of" | "off" => Some(false),
        _ if "true".starts_with(&text) || "yes".starts_with(&text) => Some(true),
        _ if "false".starts_with(&text) || "no".starts_with(&text) => Some(false),
        _ => None,
    }
}

/// A level by its name.
pub(crate) fn isolation_level(text: &str) -> Option<IsolationLevel> {
    match text.trim().to_ascii_lowercase().as_str() {
        "read uncommitted" => Some(IsolationLevel::ReadUncommitted),
        "read committed" => Some(IsolationLevel::ReadCommitted),
        "repeatable read" => Some(IsolationLevel::RepeatableRead),
        "serializable" => Some(IsolationLevel::Serializable),
        _ => None,
    }
}

const UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000), ("ms", 1)];

/// A duration; a bare number is in milliseconds.
pub(super) fn millis(text: &str) -> Option<Duration> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().ok()?;
    let unit = text[digits..].trim();
    if unit == "us" {
        return Some(Duration::from_millis(number.div_ceil(1000)));
    }
    let factor = match unit {
        "" => 1,
        unit => UNITS.iter().find(|(name, _)| *name == unit)?.1,
    };
    let total = number.checked_mul(factor)?;
    // PostgreSQL keeps it in 32 bits.
    (total <= i32::MAX as u64).then(|| Duration::from_millis(total))
}

/// In the largest unit that is exact.
pub(super) fn canonical_millis(text: &str) -> Option<String> {
    let millis = millis(text)?.as_millis() as u64;
    if millis == 0 {
        return Some("0".to_owned());
    }
    let (unit, factor) = UNITS.iter().find(|(_, factor)| millis.is_multiple_of(*factor))?;
    Some(format!("{}{unit}", millis / factor))
}

fn order_name(order: DateOrder) -> &'static str {
    match order {
        DateOrder::Mdy => "MDY",
        DateOrder::Dmy => "DMY",
        DateOrder::Ymd => "YMD",
    }
}

/// Both halves of a DateStyle, where given.
fn date_style_parts(text: &str) -> Option<(Option<DateFormat>, Option<DateOrder>)> {
    let (mut format, mut order) = (None, None);
    let mut implied = None;
    for word in text.split(',').map(|word| word.trim().to_ascii_lowercase()) {
        let said = match word.as_str() {
            "iso" => (Some(DateFormat::Iso), None),
            "sql" => (Some(DateFormat::Sql), None),
            word if word.starts_with("postgres") => (Some(DateFormat::Postgres), None),
            "german" => {
                implied = Some(DateOrder::Dmy);
                (Some(DateFormat::German), None)
            }
            "mdy" | "us" => (None, Some(DateOrder::Mdy)),
            word if word.starts_with("noneuro") => (None, Some(DateOrder::Mdy)),
            "dmy" => (None, Some(DateOrder::Dmy)),
            word if word.starts_with("euro") => (None, Some(DateOrder::Dmy)),
            "ymd" => (None, Some(DateOrder::Ymd)),
            "default" => {
                implied = Some(DateOrder::Mdy);
                (Some(DateFormat::Iso), None)
            }
            _ => return None,
        };
        // Two that differ contradict each other.
        if said.0.is_some_and(|said| format.is_some_and(|before| before != said))
            || said.1.is_some_and(|said| order.is_some_and(|before| before != said))
        {
            return None;
        }
        (format, order) = (said.0.or(format), said.1.or(order));
    }
    Some((format, order.or(implied)))
}

/// A DateStyle in its one form. A half that is not given stays as it is.
pub(super) fn canonical_date_style(text: &str, current: &str) -> Option<String> {
    let (format, order) = date_style_parts(text)?;
    let (current_format, current_order) = date_style(current);
    let order = order.unwrap_or(current_order);
    let format = match format.unwrap_or(current_format) {
        DateFormat::Iso => "ISO",
        DateFormat::Sql => "SQL",
        DateFormat::Postgres => "Postgres",
        DateFormat::German => "German",
    };
    Some(format!("{format}, {}", order_name(order)))
}

pub(super) fn date_style(text: &str) -> (DateFormat, DateOrder) {
    let (format, order) = date_style_parts(text).unwrap_or_default();
    (format.unwrap_or_default(), order.unwrap_or_default())
}

pub(super) fn interval_style(text: &str) -> IntervalStyle {
    match text {
        "postgres_verbose" => IntervalStyle::PostgresVerbose,
        "sql_standard" => IntervalStyle::SqlStandard,
        "iso_8601" => IntervalStyle::Iso8601,
        _ => IntervalStyle::Postgres,
    }
}

pub(super) fn bytea_output(text: &str) -> ByteaOutput {
    if text == "escape" { ByteaOutput::Escape } else { ByteaOutput::Hex }
}
