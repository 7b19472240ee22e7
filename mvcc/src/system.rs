//! The store's own keyspaces: what is in them, byte by byte.
//!
//! Both exist from the first record of a database on. Formats: docs/formats/commit-record.md.

use driftdb_concurrency::Counter;
use driftdb_env::planted;
use driftdb_storage::{
    KeyspaceId, Operation, Result, StorageError, Timestamp, WriteBatch, read_varint, write_varint,
};

/// From dense sequence number (8 bytes, big-endian) to commit timestamp.
pub const COMMITS: KeyspaceId = KeyspaceId(1);

/// From counter (1 byte) to the number up to which it is reserved.
pub const COUNTERS: KeyspaceId = KeyspaceId(2);

/// Lower keyspaces are the system's: see [`Counter::Keyspace`].
pub(crate) const FIRST_USER_KEYSPACE: KeyspaceId = KeyspaceId(1024);

const VERSION: u8 = 1;
/// A commit's entry with a note after its time.
const VERSION_WITH_NOTE: u8 = 2;
/// A commit's entry with the keyspaces that it wrote to, and then the note.
const VERSION_WITH_SPACES: u8 = 3;

/// A commit that wrote to more keyspaces does not name them: whoever asks must look.
const MOST_SPACES: usize = 64;

/// What the first record of a database does.
pub(crate) fn bootstrap() -> WriteBatch {
    let mut batch = WriteBatch::new();
    batch.create_keyspace(COMMITS);
    batch.create_keyspace(COUNTERS);
    batch
}

/// Adds the entry of a commit to its own batch; `note` is what the commit says of itself, as bytes.
pub(crate) fn note_commit(batch: &mut WriteBatch, sequence: u64, ts: Timestamp, note: &[u8]) {
    let spaces = written_spaces(batch);
    add_entry(batch, (sequence, ts), spaces.as_deref(), note);
}

/// Adds the entry of a commit in parts to the batch of its last part. What the other parts wrote to is not
/// known where a log is replayed, so no keyspaces are named.
pub(crate) fn note_parts(batch: &mut WriteBatch, sequence: u64, ts: Timestamp, note: &[u8]) {
    let spaces =
        if planted!("mvcc.last-part-names-keyspaces") { written_spaces(batch) } else { None };
    add_entry(batch, (sequence, ts), spaces.as_deref(), note);
}

fn add_entry(
    batch: &mut WriteBatch,
    (sequence, ts): (u64, Timestamp),
    spaces: Option<&[KeyspaceId]>,
    note: &[u8],
) {
    let mut entry = value(ts.0).to_vec();
    entry[0] = VERSION_WITH_SPACES;
    write_spaces(&mut entry, spaces);
    entry.extend_from_slice(note);
    batch.put(COMMITS, &sequence.to_be_bytes(), &entry);
}

/// The keyspaces in which a batch writes keys, ascending; `None` if they are too many to be named. Those
/// that it only makes or drops are not among them.
fn written_spaces(batch: &WriteBatch) -> Option<Vec<KeyspaceId>> {
    let mut spaces: Vec<KeyspaceId> = Vec::new();
    let mut last = None;
    for operation in batch.operations() {
        let space = match operation {
            Operation::Put { space, .. }
            | Operation::Delete { space, .. }
            | Operation::DeleteRange { space, .. } => space,
            Operation::CreateKeyspace(_) | Operation::DropKeyspace(_) => continue,
        };
        // A batch has its writes keyspace by keyspace.
        if last.replace(space) == Some(space) {
            continue;
        }
        if let Err(place) = spaces.binary_search(&space) {
            if spaces.len() == MOST_SPACES {
                return None;
            }
            spaces.insert(place, space);
        }
    }
    Some(spaces)
}

fn write_spaces(out: &mut Vec<u8>, spaces: Option<&[KeyspaceId]>) {
    let Some(spaces) = spaces else { return out.push(0) };
    write_varint(out, spaces.len() as u64 + 1);
    let mut before = 0;
    for space in spaces {
        write_varint(out, u64::from(space.0 - before));
        before = space.0;
    }
}

/// The reverse; the outer `None` if these are not such bytes.
fn read_spaces(bytes: &mut &[u8]) -> Option<Option<Vec<KeyspaceId>>> {
    let Some(count) = read_varint(bytes)?.checked_sub(1) else { return Some(None) };
    let count = usize::try_from(count).ok().filter(|count| *count <= MOST_SPACES)?;
    let mut spaces = Vec::with_capacity(count);
    let mut before = 0u32;
    for _ in 0..count {
        before = before.checked_add(u32::try_from(read_varint(bytes)?).ok()?)?;
        spaces.push(KeyspaceId(before));
    }
    Some(Some(spaces))
}

/// What is known of a commit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CommitEntry<'a> {
    pub(crate) ts: Timestamp,
    /// The keyspaces that it wrote to; `None` if it does not say.
    pub(crate) spaces: Option<Vec<KeyspaceId>>,
    /// What it says of itself.
    pub(crate) note: &'a [u8],
}

/// A commit from its entry, of whatever version.
pub(crate) fn commit_entry(value: &[u8]) -> Result<CommitEntry<'_>> {
    let ts = commit_time(value)?;
    let mut rest = &value[9..];
    let spaces = match value[0] {
        VERSION_WITH_SPACES => read_spaces(&mut rest).ok_or_else(|| {
            let what = "a commit's keyspaces that this program does not read";
            StorageError::corruption(format!("system keyspace {COMMITS}"), 0, what)
        })?,
        _ => None,
    };
    Ok(CommitEntry { ts, spaces, note: rest })
}

/// The time of a commit from its entry.
pub(crate) fn commit_time(value: &[u8]) -> Result<Timestamp> {
    match value.split_first_chunk::<9>() {
        Some(([VERSION_WITH_NOTE | VERSION_WITH_SPACES, ts @ ..], _)) => {
            Ok(Timestamp(u64::from_le_bytes(*ts)))
        }
        _ => Ok(Timestamp(number(COMMITS, value)?)),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn entry_of(batch: &WriteBatch, note: &[u8]) -> Vec<u8> {
        let mut noted = batch.clone();
        note_commit(&mut noted, 7, Timestamp(9), note);
        match noted.operations().last() {
            Some(Operation::Put { space: COMMITS, value, .. }) => value.to_vec(),
            other => panic!("the entry comes last, not {other:?}"),
        }
    }

    #[test]
    fn a_commit_names_the_keyspaces_that_it_wrote_to() {
        let mut batch = WriteBatch::new();
        batch.create_keyspace(KeyspaceId(3000));
        for space in [2000, 1024, 2000, 16] {
            batch.put(KeyspaceId(space), b"k", b"v");
        }
        batch.delete(KeyspaceId(1025), b"k");
        batch.drop_keyspace(KeyspaceId(2001));
        let bytes = entry_of(&batch, b"note");
        let named = [5, 16, 0xf0, 0x07, 1, 0xcf, 0x07];
        assert_eq!(bytes, [&[3][..], &9u64.to_le_bytes(), &named, b"note"].concat());
        let spaces = Some([16, 1024, 1025, 2000].map(KeyspaceId).to_vec());
        let expected = CommitEntry { ts: Timestamp(9), spaces, note: b"note" };
        assert_eq!(commit_entry(&bytes).unwrap(), expected);
        assert_eq!(commit_time(&bytes).unwrap(), Timestamp(9));
    }

    #[test]
    fn a_commit_that_wrote_to_very_many_does_not_name_them() {
        let mut batch = WriteBatch::new();
        for space in 0..=MOST_SPACES as u32 {
            batch.put(KeyspaceId(2000 - space), b"k", b"v");
        }
        let bytes = entry_of(&batch, b"note");
        let expected = CommitEntry { ts: Timestamp(9), spaces: None, note: b"note" };
        assert_eq!(commit_entry(&bytes).unwrap(), expected);
    }

    #[test]
    fn entries_of_older_versions_are_read() {
        let time = 9u64.to_le_bytes();
        let first = [&[1u8][..], &time].concat();
        let expected = CommitEntry { ts: Timestamp(9), spaces: None, note: b"" };
        assert_eq!(commit_entry(&first).unwrap(), expected);
        let second = [&[2u8][..], &time, b"note"].concat();
        let expected = CommitEntry { ts: Timestamp(9), spaces: None, note: b"note" };
        assert_eq!(commit_entry(&second).unwrap(), expected);
    }

    #[test]
    fn damaged_entries_are_refused_or_read_but_never_panic() {
        let mut batch = WriteBatch::new();
        batch.put(KeyspaceId(2000), b"k", b"v");
        let bytes = entry_of(&batch, b"");
        for at in 0..bytes.len() {
            commit_entry(&bytes[..at]).unwrap_err();
            for flip in [1u8, 2, 0x80, 0xff] {
                let mut damaged = bytes.clone();
                damaged[at] ^= flip;
                if let Ok(entry) = commit_entry(&damaged) {
                    assert!(entry.note.len() <= damaged.len());
                }
            }
        }
    }
}
