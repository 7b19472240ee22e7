//! Which keyspaces exist when.
//!
//! Creation and removal are facts with a timestamp, like versions: a dropped keyspace stays
//! readable at earlier times. The record of a dropped keyspace stays for good (about 20 bytes each;
//! identifiers are never reused), so that a read in its past is told "too old", not "unknown".

use std::collections::BTreeMap;

use driftdb_storage::{KeyspaceId, Operation, Result, StorageError, Timestamp, WriteBatch};

/// The largest key and value together, in bytes. Keeps every block far below the 4 GiB that a
/// frame can hold.
const MAX_ENTRY_BYTES: usize = 1 << 30;

/// From when to when a keyspace exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Life {
    pub(crate) created: Timestamp,
    pub(crate) dropped: Option<Timestamp>,
}

impl Life {
    pub(crate) fn includes(&self, ts: Timestamp) -> bool {
        self.created <= ts && self.dropped.is_none_or(|dropped| ts < dropped)
    }
}

/// All keyspaces ever created.
pub(crate) type Keyspaces = BTreeMap<KeyspaceId, Life>;

/// The facts that commits up to `ts` made; later ones are undone.
pub(crate) fn known_at(keyspaces: &Keyspaces, ts: Timestamp) -> Keyspaces {
    let known = keyspaces.iter().filter(|(_, life)| life.created <= ts);
    known
        .map(|(&space, life)| {
            let dropped = life.dropped.filter(|&dropped| dropped <= ts);
            (space, Life { dropped, ..*life })
        })
        .collect()
}

/// Checks every operation of a batch before any of it is applied. Gives the keyspaces after it, if it
/// changes them.
///
/// # Errors
/// A write into, or removal of, a keyspace that does not exist; a second creation; an entry over
/// the limit.
pub(crate) fn check_batch(
    keyspaces: &Keyspaces,
    batch: &WriteBatch,
    ts: Timestamp,
) -> Result<Option<Keyspaces>> {
    let mut changed: Option<Keyspaces> = None;
    // Batches write in runs of one keyspace; a look-up per run is enough.
    let mut known: Option<KeyspaceId> = None;
    for operation in batch.operations() {
        let now = changed.as_ref().unwrap_or(keyspaces);
        let lives = |space| now.get(&space).is_some_and(|life| life.dropped.is_none());
        match operation {
            Operation::Put { space, .. }
            | Operation::Delete { space, .. }
            | Operation::DeleteRange { space, .. } => {
                if known != Some(space) && !lives(space) {
                    return Err(StorageError::UnknownKeyspace { space, at: ts });
                }
                known = Some(space);
                check_size(&operation)?;
            }
            Operation::CreateKeyspace(space) => {
                if now.contains_key(&space) {
                    let text = format!("keyspace {space} is created a second time");
                    return Err(StorageError::Internal(text));
                }
                let life = Life { created: ts, dropped: None };
                changed.get_or_insert_with(|| keyspaces.clone()).insert(space, life);
            }
            Operation::DropKeyspace(space) => {
                if !lives(space) {
                    return Err(StorageError::UnknownKeyspace { space, at: ts });
                }
                known = None;
                let all = changed.get_or_insert_with(|| keyspaces.clone());
                all.entry(space).and_modify(|life| life.dropped = Some(ts));
            }
        }
    }
    Ok(changed)
}

fn check_size(operation: &Operation<'_>) -> Result<()> {
    let size = operation.content_bytes();
    if size > MAX_ENTRY_BYTES {
        let text = format!("an entry of {size} bytes exceeds the limit of {MAX_ENTRY_BYTES}");
        return Err(StorageError::Internal(text));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: KeyspaceId = KeyspaceId(1);

    #[test]
    fn a_batch_creates_writes_and_drops_in_order() {
        let mut batch = WriteBatch::new();
        batch.put(A, b"k", b"v");
        check_batch(&Keyspaces::new(), &batch, Timestamp(5)).unwrap_err();
        let mut batch = WriteBatch::new();
        batch.create_keyspace(A);
        batch.put(A, b"k", b"v");
        let spaces = check_batch(&Keyspaces::new(), &batch, Timestamp(5)).unwrap().unwrap();
        assert!(!spaces[&A].includes(Timestamp(4)));
        assert!(spaces[&A].includes(Timestamp(5)));
        check_batch(&spaces, &batch, Timestamp(6)).unwrap_err();

        let mut batch = WriteBatch::new();
        batch.drop_keyspace(A);
        let dropped = check_batch(&spaces, &batch, Timestamp(9)).unwrap().unwrap();
        assert!(dropped[&A].includes(Timestamp(8)));
        assert!(!dropped[&A].includes(Timestamp(9)));
        assert_eq!(known_at(&dropped, Timestamp(8)), spaces);
        assert_eq!(known_at(&dropped, Timestamp(4)), Keyspaces::new());
        batch.put(A, b"k", b"v");
        check_batch(&spaces, &batch, Timestamp(9)).unwrap_err();
    }
}
