//! Who made a commit, from where, how, and what for.

use std::fmt;

use driftdb_storage::{KeyspaceId, Timestamp};

/// What a transaction says of itself; kept with its commit for as long as the commit's number.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Provenance {
    /// Who.
    pub user: String,
    /// From where (`application_name`).
    pub application: String,
    /// What for (`driftdb.comment`).
    pub comment: String,
    /// With what kinds of statements.
    pub kinds: StatementKinds,
}

/// A set of kinds of statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StatementKinds(u8);

impl StatementKinds {
    /// INSERT, COPY FROM.
    pub const INSERT: Self = Self(1);
    /// UPDATE.
    pub const UPDATE: Self = Self(2);
    /// DELETE.
    pub const DELETE: Self = Self(4);
    /// CREATE, ALTER, DROP, TRUNCATE.
    pub const DEFINITION: Self = Self(8);
    /// RESTORE, UNDO, UNDROP.
    pub const RESTORE: Self = Self(16);

    /// ERASE.
    pub const ERASE: Self = Self(32);

    const NAMES: [(Self, &'static str); 6] = [
        (Self::INSERT, "INSERT"),
        (Self::UPDATE, "UPDATE"),
        (Self::DELETE, "DELETE"),
        (Self::DEFINITION, "DDL"),
        (Self::RESTORE, "RESTORE"),
        (Self::ERASE, "ERASE"),
    ];

    /// Adds kinds.
    pub fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// As one byte, for a file.
    pub fn bits(self) -> u8 {
        self.0
    }

    /// The kinds of [`StatementKinds::bits`]; bits that later versions gave a meaning are kept.
    pub fn from_bits(bits: u8) -> Self {
        Self(bits)
    }
}

/// `INSERT, DDL`
impl fmt::Display for StatementKinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (kind, name) in Self::NAMES {
            if self.0 & kind.0 != 0 {
                write!(f, "{separator}{name}")?;
                separator = ", ";
            }
        }
        Ok(())
    }
}

/// One commit, as the store remembers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitNote {
    /// Its dense number.
    pub sequence: u64,
    /// Its time.
    pub ts: Timestamp,
    /// What it said of itself.
    pub provenance: Provenance,
    /// The keyspaces in which it wrote keys, ascending; `None` if that is not known: it was made by a
    /// release that did not note them, or wrote to very many.
    pub keyspaces: Option<Vec<KeyspaceId>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_named_in_order() {
        let mut kinds = StatementKinds::default();
        assert_eq!(kinds.to_string(), "");
        kinds.add(StatementKinds::DEFINITION);
        kinds.add(StatementKinds::INSERT);
        assert_eq!(kinds.to_string(), "INSERT, DDL");
        assert_eq!(StatementKinds::from_bits(kinds.bits()), kinds);
    }
}
