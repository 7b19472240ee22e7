//! Keyspace 4: what is remembered of commits for digests of history, by number (8 bytes, big-endian).
//!
//! It comes into being with the first entry. Written by records of the store itself, so that a digest takes
//! no number and is no change that another digest would have to tell.

use std::ops::Bound;

use driftdb_concurrency::{CommitHashes, ConcurrencyControl, Result};
use driftdb_storage::{
    Cursor, Engine, KeyRange, KeyspaceId, ScanSpec, Snapshot, StorageError, Visible, WriteBatch,
};

use crate::MvccStore;

/// From the number of a commit to what is kept of it.
pub const HASHES: KeyspaceId = KeyspaceId(4);

impl<E: Engine, C: ConcurrencyControl> CommitHashes for MvccStore<E, C> {
    fn keep(&self, hashes: &[(u64, Vec<u8>)]) -> Result<()> {
        let shared = self.shared();
        // One at a time: whoever comes second finds the keyspace that the first made.
        let _one_at_a_time = shared.keeping_hashes.lock();
        let mut batch = WriteBatch::new();
        match shared.engine.snapshot().newest(HASHES, b"") {
            Ok(_) => {}
            Err(StorageError::UnknownKeyspace { .. }) => batch.create_keyspace(HASHES),
            Err(error) => return Err(error.into()),
        }
        for (number, bytes) in hashes {
            batch.put(HASHES, &number.to_be_bytes(), bytes);
        }
        shared.commit_system(batch).map(drop)
    }

    fn kept(&self, first: u64, last: u64, most: usize) -> Result<Vec<(u64, Vec<u8>)>> {
        let view = self.shared().newest_view();
        let ends = [first, last].map(u64::to_be_bytes);
        let range = KeyRange { start: Bound::Included(&ends[0]), end: Bound::Included(&ends[1]) };
        let spec = ScanSpec { range, visible: Visible::AsOf(view.ts), reverse: false };
        let mut cursor = match view.snapshot.cursor(HASHES, &spec) {
            Ok(cursor) => cursor,
            Err(StorageError::UnknownKeyspace { .. }) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let mut found = Vec::new();
        while found.len() < most && cursor.next()? {
            let entry = cursor.entry();
            let number = entry.key.try_into().map_err(|_| {
                let what = format!("a key of {} bytes", entry.key.len());
                StorageError::corruption(format!("system keyspace {HASHES}"), 0, what)
            })?;
            found.push((u64::from_be_bytes(number), entry.value.unwrap_or_default().to_vec()));
        }
        Ok(found)
    }
}
