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
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}", self.0 / 1_000_000_000, self.0 % 1_000_000_000)
    }
}

impl fmt::Display for Lsn {
    /// PostgreSQL's notation: two hexadecimal halves.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xffff_ffff)
    }
}
