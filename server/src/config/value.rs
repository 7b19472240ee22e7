//! Reading and writing single values.

use std::time::Duration;

/// A number of bytes: `65536`, `64KiB`, `64kB`.
pub(super) fn parse_bytes(text: &str) -> Result<u64, String> {
    let wrong = || "it must be a number of bytes, such as 1048576, 64MiB or 1GiB".to_owned();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
    let factor: u64 = match text[digits..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        _ => return Err(wrong()),
    };
    number.checked_mul(factor).ok_or_else(wrong)
}

/// The shortest exact form.
pub(super) fn write_bytes(bytes: u64) -> String {
    for (factor, unit) in [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")] {
        if bytes >= factor && bytes.is_multiple_of(factor) {
            return format!("{}{unit}", bytes / factor);
        }
    }
    bytes.to_string()
}

const UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000), ("ms", 1)];

/// A duration, `forever` being `None`.
pub(super) fn parse_duration(text: &str) -> Result<Option<Duration>, String> {
    if text.eq_ignore_ascii_case("forever") {
        return Ok(None);
    }
    let wrong = || "it must be forever or a duration, such as 7d, 24h, 30min or 90s".to_owned();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
    let unit = text[digits..].trim();
    let (_, millis) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
    let total = number.checked_mul(*millis).ok_or_else(wrong)?;
    Ok(Some(Duration::from_millis(total)))
}

pub(super) fn write_duration(duration: Option<Duration>) -> String {
    let Some(duration) = duration else { return "forever".to_owned() };
    let millis = duration.as_millis() as u64;
    for (name, factor) in UNITS {
        if millis.is_multiple_of(factor) {
            return format!("{}{name}", millis / factor);
        }
    }
    format!("{millis}ms")
}

/// One of some names.
pub(super) fn parse_choice(text: &str, names: &[&str]) -> Result<String, String> {
    if names.contains(&text) {
        return Ok(text.to_owned());
    }
    let mut why = format!("it must be one of {}", names.join(", "));
    let hint = super::suggestion(text, names.iter().copied());
    if hint.contains("did you mean") {
        why.push_str(&hint);
    }
    Err(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_durations() {
        assert_eq!(parse_bytes("64MiB"), Ok(64 << 20));
        assert_eq!(parse_bytes("10"), Ok(10));
        parse_bytes("99999999999GiB").unwrap_err();
        parse_bytes("").unwrap_err();
        assert_eq!(parse_duration("2h").unwrap(), Some(Duration::from_secs(7200)));
        assert_eq!(parse_duration("forever").unwrap(), None);
        parse_duration("2 fortnights").unwrap_err();
        assert_eq!(write_duration(Some(Duration::from_secs(90))), "90s");
        assert_eq!(write_bytes(3 << 20), "3MiB");
    }
}
