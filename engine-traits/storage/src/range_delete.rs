//! Range deletes, spelled out key by key.
//!
//! The definition of [`Operation::DeleteRange`] in terms of the others, for engines that keep nothing
//! better: a tombstone for each key that has a value. Costs a scan of the range.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::{
    Cursor, KeyRange, KeyspaceId, Operation, Result, ScanSpec, Snapshot, StorageError, Timestamp,
    Visible, WriteBatch,
};

/// The batch without range deletes, against what `before` shows; `None` if it has none.
///
/// # Errors
/// Those of reading `before`.
pub fn expand_range_deletes<S: Snapshot>(
    batch: &WriteBatch,
    before: &S,
) -> Result<Option<WriteBatch>> {
    if !batch.has_range_delete() {
        return Ok(None);
    }
    let mut expanded = WriteBatch::new();
    // What the batch itself has written so far: key to whether it has a value.
    let mut written: BTreeMap<KeyspaceId, BTreeMap<Vec<u8>, bool>> = BTreeMap::new();
    for operation in batch.operations() {
        match operation {
            Operation::Put { space, key, value } => {
                written.entry(space).or_default().insert(key.to_vec(), true);
                expanded.put(space, key, value);
            }
            Operation::Delete { space, key } => {
                written.entry(space).or_default().insert(key.to_vec(), false);
                expanded.delete(space, key);
            }
            Operation::CreateKeyspace(space) => expanded.create_keyspace(space),
            Operation::DropKeyspace(space) => expanded.drop_keyspace(space),
            Operation::DeleteRange { space, start, end } => {
                let written = written.entry(space).or_default();
                for key in keys_with_values(before, space, start, end)? {
                    written.entry(key).or_insert(true);
                }
                if start >= end {
                    continue;
                }
                let range = (Bound::Included(start), Bound::Excluded(end));
                for (key, has_value) in written.range_mut::<[u8], _>(range) {
                    if std::mem::take(has_value) {
                        expanded.delete(space, key);
                    }
                }
            }
        }
    }
    Ok(Some(expanded))
}

fn keys_with_values<S: Snapshot>(
    before: &S,
    space: KeyspaceId,
    start: &[u8],
    end: &[u8],
) -> Result<Vec<Vec<u8>>> {
    let range = KeyRange::half_open(start, end);
    let spec = ScanSpec { range, visible: Visible::AsOf(Timestamp::MAX), reverse: false };
    let mut cursor = match before.cursor(space, &spec) {
        Ok(cursor) => cursor,
        // Created by this very batch: nothing is in it yet.
        Err(StorageError::UnknownKeyspace { .. }) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut keys = Vec::new();
    while cursor.next()? {
        keys.push(cursor.entry().key.to_vec());
    }
    Ok(keys)
}
