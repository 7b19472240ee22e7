//! The four numbers that name things in storage.

use std::fmt;

/// A keyspace: one per table and index. Never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct KeyspaceId(pub u32);

/// A commit timestamp: nanoseconds since 1970-01-01 UTC, pushed forward so that it is unique and
/// monotonic (a hybrid logical clock [Kulkarni14]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub u64);

/// A position in the log: the count of bytes of all records before it. A record is named by the
/// position just after it, so that "durable up to" and "complete up to" are one comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Lsn(pub u64);

/// Where a batch stands in commit order: its log position (the end of its record) and timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Commit {
    /// The log position just after the record.
    pub lsn: Lsn,
    /// The commit timestamp.
    pub ts: Timestamp,
}

impl Timestamp {
    /// Before every commit.
    pub const MIN: Self = Self(0);
    /// After every commit.
    pub const MAX: Self = Self(u64::MAX);

    /// The next possible timestamp.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for KeyspaceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for Timestamp {
    /// ISO 8601 in UTC, to the nanosecond: `2026-11-22 12:00:00.000000001+00`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NANOS_PER_SECOND: u64 = 1_000_000_000;
        const SECONDS_PER_DAY: u64 = 86_400;
        let seconds = self.0 / NANOS_PER_SECOND;
        let (year, month, day) = civil_date(seconds / SECONDS_PER_DAY);
        let of_day = seconds % SECONDS_PER_DAY;
        let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
        let nanos = self.0 % NANOS_PER_SECOND;
        write!(f, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{nanos:09}+00")
    }
}

/// Year, month and day of a count of days since 1970-01-01, by Howard Hinnant's `civil_from_days`:
/// years begin in March, so that the leap day comes last.
fn civil_date(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

impl fmt::Display for Lsn {
    /// PostgreSQL's notation: two hexadecimal halves.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xffff_ffff)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_read_as_dates() {
        let check = |seconds: u64, expected: &str| {
            let text = Timestamp(seconds * 1_000_000_000 + 7).to_string();
            assert_eq!(text, format!("{expected}.000000007+00"));
        };
        check(0, "1970-01-01 00:00:00");
        check(951_782_400, "2000-02-29 00:00:00");
        check(1_795_348_799, "2026-11-22 11:59:59");
        check(4_107_542_399, "2100-02-28 23:59:59");
        check(4_107_542_400, "2100-03-01 00:00:00");
    }
}
