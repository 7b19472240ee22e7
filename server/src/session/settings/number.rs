//! Settings that are numbers, with units of memory or time or without.
//!
//! A value may be written in any unit of its kind, and with decimals; whole settings are rounded. It is
//! shown in the largest unit that it is a whole number of.
//!
//! Source: PostgreSQL 15, src/backend/utils/misc/guc.c.

use driftdb_query::{Result, SqlError};
use driftdb_types::SqlState;

/// What a bare number of a setting counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Plain,
    Bytes,
    Kilobytes,
    /// Of eight kilobytes.
    Blocks,
    Millis,
    Seconds,
}

/// The range of a setting.
#[derive(Debug, Clone, Copy)]
pub(super) struct Number {
    pub(super) unit: Unit,
    pub(super) least: f64,
    pub(super) most: f64,
    pub(super) is_real: bool,
}

const MEMORY: [(&str, f64); 5] = [
    ("TB", 1_099_511_627_776.0),
    ("GB", 1_073_741_824.0),
    ("MB", 1_048_576.0),
    ("kB", 1024.0),
    ("B", 1.0),
];
const TIME: [(&str, f64); 6] = [
    ("d", 86_400_000.0),
    ("h", 3_600_000.0),
    ("min", 60_000.0),
    ("s", 1000.0),
    ("ms", 1.0),
    ("us", 0.001),
];

impl Unit {
    /// The units that may be written, and how many of the first kind's base each is.
    fn written(self) -> &'static [(&'static str, f64)] {
        match self {
            Self::Plain => &[],
            Self::Bytes | Self::Kilobytes | Self::Blocks => &MEMORY,
            Self::Millis | Self::Seconds => &TIME,
        }
    }

    /// What one is, in bytes or milliseconds.
    fn size(self) -> f64 {
        match self {
            Self::Plain | Self::Bytes | Self::Millis => 1.0,
            Self::Kilobytes => 1024.0,
            Self::Blocks => 8192.0,
            Self::Seconds => 1000.0,
        }
    }

    /// How messages about a range name it.
    fn name(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Bytes => " B",
            Self::Kilobytes => " kB",
            Self::Blocks => " 8kB",
            Self::Millis => " ms",
            Self::Seconds => " s",
        }
    }

    fn hint(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Bytes | Self::Kilobytes | Self::Blocks => Some(
                "Valid units for this parameter are \"B\", \"kB\", \"MB\", \"GB\", and \"TB\".",
            ),
            Self::Millis | Self::Seconds => Some(
                "Valid units for this parameter are \"us\", \"ms\", \"s\", \"min\", \"h\", and \"d\".",
            ),
        }
    }
}

impl Number {
    /// A value of the setting `name` in its one form.
    ///
    /// # Errors
    /// 22023
    pub(super) fn canonical(&self, name: &str, text: &str) -> Result<String> {
        let refused = |message| SqlError::new(SqlState::InvalidParameterValue, message);
        let invalid = || refused(format!("invalid value for parameter \"{name}\": \"{text}\""));
        let trimmed = text.trim();
        let end = number_end(trimmed);
        let number: f64 = trimmed[..end].parse().map_err(|_| invalid())?;
        let unit = trimmed[end..].trim_start();
        let factor = if unit.is_empty() {
            1.0
        } else {
            let found = self.unit.written().iter().find(|(written, _)| *written == unit);
            let Some((_, size)) = found else {
                let error = invalid();
                return Err(match self.unit.hint() {
                    Some(hint) => error.with_hint(hint),
                    None => error,
                });
            };
            size / self.unit.size()
        };
        let mut value = number * factor;
        if !self.is_real {
            value = value.round_ties_even();
        }
        if !(self.least..=self.most).contains(&value) {
            let (least, most) = (general(self.least), general(self.most));
            let unit = self.unit.name();
            let (value, least, most) = if self.is_real {
                (general(value), least, most)
            } else {
                (format!("{value:.0}"), format!("{:.0}", self.least), format!("{:.0}", self.most))
            };
            return Err(refused(format!(
                "{value}{unit} is outside the valid range for parameter \"{name}\" ({least} .. {most})"
            )));
        }
        Ok(self.shown(value))
    }

    fn shown(&self, value: f64) -> String {
        let plain = |value: f64| if self.is_real { general(value) } else { format!("{value:.0}") };
        if value <= 0.0 {
            return plain(value);
        }
        // Whole numbers have no smaller unit than their own.
        let least = if self.is_real { 0.0 } else { self.unit.size().min(1024.0) };
        let units = self.unit.written().iter().filter(|(_, size)| *size >= least);
        for (name, size) in units {
            let count = value * self.unit.size() / size;
            if (count.round() / count - 1.0).abs() <= 1e-8 {
                return format!("{}{name}", plain(count.round()));
            }
        }
        plain(value)
    }
}

/// Where a number ends: its unit may begin with an `e` of no exponent.
fn number_end(text: &str) -> usize {
    let bytes = text.as_bytes();
    let digits = |mut at: usize| {
        while bytes.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        at
    };
    let mut at = digits(usize::from(text.starts_with(['-', '+'])));
    if bytes.get(at) == Some(&b'.') {
        at = digits(at + 1);
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(at + 1), Some(b'-' | b'+')));
        let end = digits(at + 1 + sign);
        if end > at + 1 + sign {
            at = end;
        }
    }
    at
}

/// As C prints `%g`: six digits at most.
fn general(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let text = format!("{value:.5e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trimmed = |text: &str| {
        let whole = text.contains('.');
        if whole {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text.into()
        }
    };
    if (-4..6).contains(&exponent) {
        let decimals = (5 - exponent).max(0) as usize;
        return trimmed(&format!("{value:.decimals$}"));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trimmed(mantissa), exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_in_and_out() {
        let memory =
            Number { unit: Unit::Kilobytes, least: 64.0, most: 2_147_483_647.0, is_real: false };
        let cases = [
            ("64", "64kB"),
            ("4096", "4MB"),
            ("1GB", "1GB"),
            (" 1.5 MB", "1536kB"),
            ("65537 B", "64kB"),
        ];
        for (text, shown) in cases {
            assert_eq!(memory.canonical("work_mem", text).unwrap(), shown, "{text}");
        }
        let delay = Number { unit: Unit::Millis, least: 0.0, most: 100.0, is_real: true };
        for (text, shown) in [("40", "40ms"), ("10.5", "10500us"), ("0", "0"), ("100us", "100us")] {
            assert_eq!(delay.canonical("vacuum_cost_delay", text).unwrap(), shown, "{text}");
        }
        let error = |text: &str| delay.canonical("vacuum_cost_delay", text).unwrap_err().message;
        assert_eq!(
            error("10s"),
            "10000 ms is outside the valid range for parameter \"vacuum_cost_delay\" (0 .. 100)"
        );
        assert_eq!(error("NaN"), "invalid value for parameter \"vacuum_cost_delay\": \"NaN\"");
        assert_eq!(error("1 kB"), "invalid value for parameter \"vacuum_cost_delay\": \"1 kB\"");
        let blocks = Number { unit: Unit::Blocks, least: 0.0, most: 715_827_882.0, is_real: false };
        assert_eq!(blocks.canonical("x", "1024").unwrap(), "8MB");
        assert_eq!([general(0.1), general(1e6), general(100_000.0)], ["0.1", "1e+06", "100000"]);
    }
}
