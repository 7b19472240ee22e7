//! The store's own keyspaces: what is in them, byte by byte.
//!
//! Both exist from the first record of a database on. Formats: docs/formats/commit-record.md.

use driftdb_concurrency::Counter;
use driftdb_storage::{KeyspaceId, Result, StorageError, Timestamp, WriteBatch};

/// From dense sequence number (8 bytes, big-endian) to commit timestamp.
pub const COMMITS: KeyspaceId = KeyspaceId(1);

/// From counter (1 byte) to the number up to which it is reserved.
pub const COUNTERS: KeyspaceId = KeyspaceId(2);

const VERSION: u8 = 1;
/// A commit's entry that goes on after its time.
const VERSION_WITH_NOTE: u8 = 2;

/// What the first record of a database does.
pub(crate) fn bootstrap() -> WriteBatch {
    let mut batch = WriteBatch::new();
    batch.create_keyspace(COMMITS);
    batch.create_keyspace(COUNTERS);
    batch
}

/// Adds the entry of a commit to its own batch; `note` is what the commit says of itself, as bytes.
pub(crate) fn note_commit(batch: &mut WriteBatch, sequence: u64, ts: Timestamp, note: &[u8]) {
    let mut entry = value(ts.0).to_vec();
    if !note.is_empty() {
        entry[0] = VERSION_WITH_NOTE;
        entry.extend_from_slice(note);
    }
    batch.put(COMMITS, &sequence.to_be_bytes(), &entry);
}

/// The time of a commit and what it says of itself, from its entry.
pub(crate) fn commit_entry(value: &[u8]) -> Result<(Timestamp, &[u8])> {
    match value.split_first_chunk::<9>() {
        Some(([VERSION_WITH_NOTE, ts @ ..], note)) => {
            Ok((Timestamp(u64::from_le_bytes(*ts)), note))
        }
        _ => Ok((Timestamp(number(COMMITS, value)?), &[])),
    }
}

pub(crate) fn counter_key(counter: Counter) -> [u8; 1] {
    match counter {
        Counter::RowId => [1],
        Counter::ObjectId => [2],
        Counter::Keyspace => [3],
    }
}

/// A version byte and a number, little-endian. More may follow in later versions.
pub(crate) fn value(number: u64) -> [u8; 9] {
    let mut value = [VERSION; 9];
    value[1..].copy_from_slice(&number.to_le_bytes());
    value
}

/// The number in a value of either keyspace.
pub(crate) fn number(space: KeyspaceId, value: &[u8]) -> Result<u64> {
    match value {
        [VERSION, number @ ..] if number.len() == 8 => {
            Ok(u64::from_le_bytes(number.try_into().expect("eight bytes were matched")))
        }
        _ => {
            let what = format!("a value of {} bytes that this program does not read", value.len());
            Err(StorageError::corruption(format!("system keyspace {space}"), 0, what))
        }
    }
}
