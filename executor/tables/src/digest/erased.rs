//! What ERASE leaves of a change: the hash that it had, so that digests taken before stay right.
//!
//! Keyspace 24 has one key for each: the time of the commit (8 bytes, big-endian), then the hash. What the
//! erasing commit itself removed has no time yet and is noted under zero. The values are empty. The notes are
//! changes like others: the erasing commit's hash covers them, so that nobody can call a change erased that
//! was not, without a commit that says so.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use driftdb_concurrency::{
    LockIntent, LockStrength, RowBatch, ScanState, Transaction, VersionScan, WaitPolicy,
};
use driftdb_query::Result;
use driftdb_storage::{KeyRange, KeyspaceId, Timestamp};

use super::commit;
use super::merkle::Hash;

pub(crate) const ERASED: KeyspaceId = KeyspaceId(24);

/// The commit that made the note.
const OWN: Timestamp = Timestamp(0);
/// Versions read at a time.
const CHUNK: usize = 256;

fn key(ts: Timestamp, hash: &Hash) -> Vec<u8> {
    [&ts.0.to_be_bytes()[..], hash].concat()
}

/// The commit's time and the change's hash.
pub(super) fn entry(key: &[u8]) -> Option<(Timestamp, Hash)> {
    let (ts, hash) = key.split_first_chunk::<8>()?;
    Some((Timestamp(u64::from_be_bytes(*ts)), hash.try_into().ok()?))
}

/// The hash of a change of the commit that made the note.
pub(super) fn own(key: &[u8]) -> Option<Hash> {
    entry(key).filter(|(ts, _)| *ts == OWN).map(|(_, hash)| hash)
}

/// Notes the hashes of every version of keys that this transaction erases, and of their removal.
///
/// # Errors
/// Storage; canceled.
pub fn note_erased(
    txn: &mut dyn Transaction,
    doomed: &BTreeMap<KeyspaceId, BTreeSet<Vec<u8>>>,
) -> Result<()> {
    let up_to = txn.snapshot_ts();
    for (&space, keys) in doomed {
        let from = txn.oldest_readable(space)?;
        for row in keys {
            note_key(txn, space, row, (from, up_to))?;
        }
    }
    Ok(())
}

fn note_key(
    txn: &mut dyn Transaction,
    space: KeyspaceId,
    row: &[u8],
    (from, up_to): (Timestamp, Timestamp),
) -> Result<()> {
    let range = KeyRange { start: Bound::Included(row), end: Bound::Included(row) };
    let mut is_newest = true;
    // The tombstone that was read last: a change only if something older was there.
    let mut removed: Option<Timestamp> = None;
    let mut older_than = None;
    loop {
        let mut batch = RowBatch::new();
        let scan = VersionScan { range, from, up_to, older_than, reverse: false, max_rows: CHUNK };
        let state = txn.scan_versions(space, &scan, &mut batch)?;
        for version in batch.rows() {
            older_than = Some(version.ts);
            let was_there = version.value.is_some();
            if was_there && is_newest {
                note(txn, OWN, &commit::change(space, row, None))?;
            }
            is_newest = false;
            if let Some(ts) = removed.take().filter(|_| was_there) {
                note(txn, ts, &commit::change(space, row, None))?;
            }
            match version.value {
                Some(_) => note(txn, version.ts, &commit::change(space, row, version.value))?,
                None => removed = Some(version.ts),
            }
        }
        if state == ScanState::Done {
            return Ok(());
        }
    }
}

fn note(txn: &mut dyn Transaction, ts: Timestamp, hash: &Hash) -> Result<()> {
    let key = key(ts, hash);
    let (strength, intent) = (LockStrength::Update, LockIntent::Owned);
    txn.lock(ERASED, &key, strength, intent, WaitPolicy::Wait(None))?;
    Ok(txn.put(ERASED, &key, &[])?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_back() {
        let hash = [7; 32];
        assert_eq!(entry(&key(Timestamp(9), &hash)), Some((Timestamp(9), hash)));
        assert_eq!(own(&key(OWN, &hash)), Some(hash));
        assert_eq!(own(&key(Timestamp(9), &hash)), None);
        assert_eq!(entry(b"short"), None);
        assert_eq!(entry(&[0; 41]), None);
    }
}
