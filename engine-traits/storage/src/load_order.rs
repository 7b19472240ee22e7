//! The order in which a loader takes entries, checked for every engine in one place.
//!
//! What a loader is fed was read from files, by another engine or by a salvage: a wrong order must not
//! become a tree that looks sound and answers wrongly. Cost: one comparison and one copy of the key an
//! entry.

use crate::{Entry, KeyspaceId, Result, StorageError, Timestamp};

/// Keyspaces ascend; in each, keys ascend; of each key, versions descend.
#[derive(Debug, Default)]
pub struct LoadOrder {
    space: Option<KeyspaceId>,
    key: Vec<u8>,
    /// The last version of `key`; `None` before the first entry of the keyspace.
    ts: Option<Timestamp>,
}

impl LoadOrder {
    /// Takes note of the next keyspace.
    ///
    /// # Errors
    /// It is not above the one before.
    pub fn keyspace(&mut self, space: KeyspaceId) -> Result<()> {
        if self.space.is_some_and(|last| last >= space) {
            return Err(broken(format!("keyspace {space} does not come after the one before")));
        }
        self.space = Some(space);
        self.ts = None;
        Ok(())
    }

    /// Takes note of the next entry.
    ///
    /// # Errors
    /// It is not after the one before; there is no keyspace yet.
    pub fn entry(&mut self, entry: Entry<'_>) -> Result<()> {
        let Some(space) = self.space else {
            return Err(broken("an entry comes before any keyspace".to_owned()));
        };
        let Entry { key, ts, .. } = entry;
        if let Some(last) = self.ts
            && !(*self.key < *key || (*self.key == *key && ts < last))
        {
            return Err(broken(format!("in keyspace {space} a version of {ts} comes too late")));
        }
        self.key.clear();
        self.key.extend_from_slice(key);
        self.ts = Some(ts);
        Ok(())
    }
}

fn broken(what: String) -> StorageError {
    StorageError::Internal(format!("what is loaded is not in order: {what}"))
}
