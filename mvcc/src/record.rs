//! What one record of the log holds: a commit, or a note of the store to itself.
//!
//! Layout (docs/formats/commit-record.md): version, kind, length of the note, sequence number and
//! timestamp (all little-endian), the note (what the commit says of itself; from version 2 on), in version
//! 3 which part of its commit it is, then the bytes of the write batch as they are. The log has checksummed all of it already.

use driftdb_storage::{Lsn, Result, StorageError, Timestamp, WriteBatch};

use crate::system;

/// A record without a note.
const VERSION: u8 = 1;
/// A record with one.
const VERSION_WITH_NOTE: u8 = 2;
/// A record that is a part of a commit; a note may follow.
const VERSION_OF_PARTS: u8 = 3;
/// Bytes before the note and the batch.
pub(crate) const HEADER_BYTES: usize = 20;
/// Bytes of a part's number, after the note.
const PART_BYTES: usize = 4;

/// Who made a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordKind {
    /// A transaction: it takes the next sequence number, and an entry in [`crate::COMMITS`] that is
    /// implied, not written.
    Commit,
    /// The store itself: new system keyspaces, a block of reserved numbers. It carries the sequence
    /// number of the commit before it.
    System,
    /// A part of a transaction that is too large for one record, not the last. Its parts follow one
    /// another in the log. It counts only if the last one is there too.
    Part,
    /// The last part of one: with it the commit is as one of a single record.
    LastPart,
}

impl RecordKind {
    /// Whether a transaction's commit ends here: it takes a number.
    pub fn ends_commit(self) -> bool {
        matches!(self, Self::Commit | Self::LastPart)
    }

    /// Whether it is one of several records of a commit.
    pub fn is_part(self) -> bool {
        matches!(self, Self::Part | Self::LastPart)
    }
}

/// One record of the log, decoded; what replay, replicas and change feeds read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitRecord {
    /// Who made it.
    pub kind: RecordKind,
    /// The dense sequence number; of a part, that of its commit.
    pub sequence: u64,
    /// The commit timestamp.
    pub ts: Timestamp,
    /// Which part of its commit it is, from 0; 0 for a whole one.
    pub part: u32,
    /// What the engine applies, the implied entry included.
    pub batch: WriteBatch,
}

impl CommitRecord {
    /// Decodes the payload of the record that ends at `end`.
    ///
    /// # Errors
    /// Damage: an unknown version or kind, a malformed batch.
    pub fn decode(end: Lsn, payload: &[u8]) -> Result<Self> {
        let fail = |what: String| {
            StorageError::corruption("the log", end.0, format!("record ending at {end}: {what}"))
        };
        let (header, bytes) = payload
            .split_first_chunk::<HEADER_BYTES>()
            .ok_or_else(|| fail(format!("{} bytes are too short", payload.len())))?;
        let note_len = match header[0] {
            VERSION => 0,
            VERSION_WITH_NOTE | VERSION_OF_PARTS => {
                usize::from(u16::from_le_bytes([header[2], header[3]]))
            }
            other => return Err(fail(format!("unknown commit record version {other}"))),
        };
        let Some((note, bytes)) = bytes.split_at_checked(note_len) else {
            return Err(fail(format!("a note of {note_len} bytes does not fit")));
        };
        let kind = match (header[0], header[1]) {
            (VERSION | VERSION_WITH_NOTE, 1) => RecordKind::Commit,
            (VERSION | VERSION_WITH_NOTE, 2) => RecordKind::System,
            (VERSION_OF_PARTS, 3) => RecordKind::Part,
            (VERSION_OF_PARTS, 4) => RecordKind::LastPart,
            (_, other) => return Err(fail(format!("unknown commit record kind {other}"))),
        };
        let (part, bytes) = match bytes.split_first_chunk::<PART_BYTES>() {
            _ if !kind.is_part() => (0, bytes),
            Some((part, bytes)) => (u32::from_le_bytes(*part), bytes),
            None => return Err(fail("the number of the part is missing".to_owned())),
        };
        let number = |at: usize| {
            u64::from_le_bytes(header[at..at + 8].try_into().expect("eight bytes of the header"))
        };
        let (sequence, ts) = (number(4), Timestamp(number(12)));
        let mut batch = WriteBatch::from_bytes(bytes).map_err(|error| fail(error.to_string()))?;
        match kind {
            RecordKind::Commit => system::note_commit(&mut batch, sequence, ts, note),
            RecordKind::LastPart => system::note_parts(&mut batch, sequence, ts, note),
            RecordKind::System | RecordKind::Part => {}
        }
        Ok(Self { kind, sequence, ts, part, batch })
    }
}

/// The bytes before the note and the batch.
///
/// # Panics
/// If the note is longer than 65,535 bytes.
pub(crate) fn header(
    kind: RecordKind,
    sequence: u64,
    ts: Timestamp,
    note: &[u8],
) -> [u8; HEADER_BYTES] {
    let note_len = u16::try_from(note.len()).expect("a note is short");
    let mut header = [0; HEADER_BYTES];
    header[0] = match note {
        _ if kind.is_part() => VERSION_OF_PARTS,
        [] => VERSION,
        _ => VERSION_WITH_NOTE,
    };
    header[2..4].copy_from_slice(&note_len.to_le_bytes());
    header[1] = match kind {
        RecordKind::Commit => 1,
        RecordKind::System => 2,
        RecordKind::Part => 3,
        RecordKind::LastPart => 4,
    };
    header[4..12].copy_from_slice(&sequence.to_le_bytes());
    header[12..20].copy_from_slice(&ts.0.to_le_bytes());
    header
}

#[cfg(test)]
mod tests {
    use driftdb_storage::KeyspaceId;

    use super::*;

    fn encoded(kind: RecordKind, batch: &WriteBatch) -> Vec<u8> {
        [&header(kind, 7, Timestamp(9), b"")[..], batch.as_bytes()].concat()
    }

    #[test]
    fn a_record_comes_back_with_its_implied_entry() {
        let mut batch = WriteBatch::new();
        batch.put(KeyspaceId(2000), b"k", b"v");
        let record = CommitRecord::decode(Lsn(1), &encoded(RecordKind::Commit, &batch)).unwrap();
        system::note_commit(&mut batch, 7, Timestamp(9), b"");
        let expected = CommitRecord {
            kind: RecordKind::Commit,
            sequence: 7,
            ts: Timestamp(9),
            part: 0,
            batch,
        };
        assert_eq!(record, expected);
    }

    #[test]
    fn a_note_is_in_the_implied_entry() {
        let mut batch = WriteBatch::new();
        batch.put(KeyspaceId(2000), b"k", b"v");
        let head = header(RecordKind::Commit, 7, Timestamp(9), b"note");
        let payload = [&head[..], b"note", batch.as_bytes()].concat();
        let record = CommitRecord::decode(Lsn(1), &payload).unwrap();
        system::note_commit(&mut batch, 7, Timestamp(9), b"note");
        assert_eq!(record.batch, batch);
        CommitRecord::decode(Lsn(1), &payload[..HEADER_BYTES + 3]).unwrap_err();
    }

    #[test]
    fn a_record_from_before_notes_is_read() {
        // Version 1 as the first release wrote it: what would be a note's length is zero.
        let mut batch = WriteBatch::new();
        batch.put(KeyspaceId(2000), b"k", b"v");
        let mut payload = vec![1, 1, 0, 0];
        payload.extend_from_slice(&7u64.to_le_bytes());
        payload.extend_from_slice(&9u64.to_le_bytes());
        payload.extend_from_slice(batch.as_bytes());
        assert_eq!(payload, encoded(RecordKind::Commit, &batch));
        CommitRecord::decode(Lsn(1), &payload).unwrap();
    }

    #[test]
    fn parts_come_back_and_the_last_has_the_entry() {
        let mut batch = WriteBatch::new();
        batch.put(KeyspaceId(2000), b"k", b"v");
        for (kind, note) in [(RecordKind::Part, &b""[..]), (RecordKind::LastPart, b"note")] {
            let head = header(kind, 7, Timestamp(9), note);
            let payload = [&head[..], note, &5u32.to_le_bytes(), batch.as_bytes()].concat();
            let mut expected = batch.clone();
            if kind.ends_commit() {
                system::note_parts(&mut expected, 7, Timestamp(9), note);
            }
            let record = CommitRecord::decode(Lsn(1), &payload).unwrap();
            assert_eq!((record.kind, record.part, record.batch), (kind, 5, expected));
            CommitRecord::decode(Lsn(1), &payload[..HEADER_BYTES + note.len() + 3]).unwrap_err();
        }
    }

    /// Records of a commit in parts as the release wrote them that began to: `tests/formats/record-3-*`.
    #[test]
    fn kept_records_of_parts_are_read() {
        let part = include_bytes!("../tests/formats/record-3-part");
        let last = include_bytes!("../tests/formats/record-3-last");
        let mut batch = WriteBatch::new();
        batch.create_keyspace(KeyspaceId(2000));
        batch.put(KeyspaceId(2000), b"k", b"v");
        let expected = CommitRecord {
            kind: RecordKind::Part,
            sequence: 7,
            ts: Timestamp(1_700_000_000_000_000_001),
            part: 0,
            batch,
        };
        assert_eq!(CommitRecord::decode(Lsn(1), part).unwrap(), expected);
        let mut batch = WriteBatch::new();
        batch.delete(KeyspaceId(2000), b"l");
        system::note_parts(&mut batch, 7, expected.ts, b"\x02\x03ann\x00why");
        let kind = RecordKind::LastPart;
        let expected = CommitRecord { kind, part: 1, batch, ..expected };
        assert_eq!(CommitRecord::decode(Lsn(1), last).unwrap(), expected);
    }

    #[test]
    fn strange_bytes_are_damage() {
        let mut batch = WriteBatch::new();
        batch.delete(KeyspaceId(2000), b"k");
        let good = encoded(RecordKind::System, &batch);
        for (at, value) in [(0, 3), (0, 4), (1, 3), (1, 9), (HEADER_BYTES, 77)] {
            let mut bad = good.clone();
            bad[at] = value;
            let error = CommitRecord::decode(Lsn(1), &bad).unwrap_err();
            assert!(matches!(error, StorageError::Corruption(_)), "{error}");
        }
        for len in 0..HEADER_BYTES {
            CommitRecord::decode(Lsn(1), &good[..len]).unwrap_err();
        }
    }
}
