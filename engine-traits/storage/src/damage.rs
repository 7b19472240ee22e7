//! What `verify` reports, and to whom.

use std::fmt;

use crate::KeyspaceId;

/// One damaged place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub file: String,
    /// Where in it, in bytes.
    pub offset_bytes: u64,
    /// What is wrong, as a sentence fragment.
    pub what: String,
    /// Which keys lie there, where that is known.
    pub keys: Option<Box<DamagedKeys>>,
}

/// The keys that a damaged place holds: all from `first` to `last`, both included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedKeys {
    /// Their keyspace.
    pub space: KeyspaceId,
    /// No key there is below this one; `None` if nothing is known.
    pub first: Option<Box<[u8]>>,
    /// No key there is above this one; `None` if nothing is known.
    pub last: Option<Box<[u8]>>,
}

impl Damage {
    /// Damage at a place of which the keys are not known.
    pub fn new(file: impl Into<String>, offset_bytes: u64, what: impl Into<String>) -> Self {
        Self { file: file.into(), offset_bytes, what: what.into(), keys: None }
    }

    /// The same, with the keys that lie there.
    #[must_use]
    pub fn with_keys(
        mut self,
        space: KeyspaceId,
        first: Option<&[u8]>,
        last: Option<&[u8]>,
    ) -> Self {
        let (first, last) = (first.map(Box::from), last.map(Box::from));
        self.keys = Some(Box::new(DamagedKeys { space, first, last }));
        self
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}: {}", self.file, self.offset_bytes, self.what)?;
        match &self.keys {
            Some(keys) => write!(f, " ({keys})"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for DamagedKeys {
    /// Keys in hexadecimal: `keyspace 7, keys 0a01 to 0aff`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "keyspace {}", self.space)?;
        match (&self.first, &self.last) {
            (None, None) => Ok(()),
            (first, last) => {
                f.write_str(", keys ")?;
                write_key(f, first.as_deref(), "the lowest")?;
                f.write_str(" to ")?;
                write_key(f, last.as_deref(), "the highest")
            }
        }
    }
}

fn write_key(f: &mut fmt::Formatter<'_>, key: Option<&[u8]>, unknown: &str) -> fmt::Result {
    /// A longer key says no more to a person.
    const SHOWN_BYTES: usize = 32;
    let Some(key) = key else { return f.write_str(unknown) };
    if key.is_empty() {
        return f.write_str("the empty key");
    }
    key.iter().take(SHOWN_BYTES).try_for_each(|byte| write!(f, "{byte:02x}"))?;
    if key.len() > SHOWN_BYTES { f.write_str("…") } else { Ok(()) }
}

/// How thorough a check is. Each depth includes the ones before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum VerifyDepth {
    /// What leads to the data: manifests, superblocks, indexes, inner pages; and that files exist
    /// and are as long as they should be. Takes time in proportion to those.
    Structure,
    /// Every byte on disk is read and its checksum compared.
    Checksums,
    /// Everything is decoded too: order, bounds, counts, filters, references, and that every record
    /// of the log can be replayed.
    Full,
}

/// Told about what a check finds, and how far it is. Closures that take a [`Damage`] are reports
/// that do not care how far it is.
pub trait VerifyReport {
    /// A damaged place. The check goes on.
    fn damage(&mut self, damage: Damage);

    /// Called now and then: bytes checked so far, of about so many in all.
    fn progress(&mut self, done_bytes: u64, total_bytes: u64);
}

impl<F: FnMut(Damage)> VerifyReport for F {
    fn damage(&mut self, damage: Damage) {
        self(damage);
    }

    fn progress(&mut self, _done_bytes: u64, _total_bytes: u64) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_says_where_and_which_keys() {
        let damage = Damage::new("a.table", 36, "the block fails its checksum");
        assert_eq!(damage.to_string(), "a.table at byte 36: the block fails its checksum");
        let damage = damage.with_keys(KeyspaceId(7), Some(b"\x01\xab"), None);
        assert_eq!(
            damage.to_string(),
            "a.table at byte 36: the block fails its checksum \
             (keyspace 7, keys 01ab to the highest)"
        );
    }
}
