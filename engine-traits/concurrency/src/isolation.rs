//! The four levels.

use std::fmt;

/// An isolation level, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IsolationLevel {
    /// May read what is not committed.
    ReadUncommitted,
    /// Each statement reads what was committed when it began.
    ReadCommitted,
    /// The whole transaction reads one snapshot; a write to a row changed since then fails.
    RepeatableRead,
    /// As if transactions ran one after another.
    Serializable,
}

impl fmt::Display for IsolationLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReadUncommitted => "read uncommitted",
            Self::ReadCommitted => "read committed",
            Self::RepeatableRead => "repeatable read",
            Self::Serializable => "serializable",
        })
    }
}
