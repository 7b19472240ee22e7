//! The bytes of the log: segment headers and record heads.
//!
//! Every checksum also covers what is not stored beside it: the identity of the log and the place
//! where the bytes belong. A record that the disk put elsewhere, that an earlier use of the file
//! left behind, or that stems from another log, fails its own check.
//! Layout, byte by byte: `docs/formats/wal.md`; change both in one commit.

use driftdb_storage::Lsn;

/// Bytes of a segment header; the first record follows.
pub(crate) const SEGMENT_HEADER_BYTES: usize = 64;
/// Bytes of a record head; the payload follows.
pub(crate) const RECORD_HEAD_BYTES: usize = 24;
/// The largest payload of one record.
pub(crate) const MAX_PAYLOAD_BYTES: u64 = 1 << 30;
/// The format version this program writes and reads.
pub(crate) const FORMAT_VERSION: u32 = 1;
/// Where a new log begins: positive, so that `Lsn(0)` lies before every position; and in the first
/// segment positions equal file offsets, which helps whoever reads a dump.
pub(crate) const FIRST_LSN: Lsn = Lsn(SEGMENT_HEADER_BYTES as u64);

/// No log gets this far; below, no sum of a position and a length overflows.
const LSN_LIMIT: Lsn = Lsn(1 << 62);

const MAGIC: [u8; 8] = *b"DriftWAL";

/// Says what a segment file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    /// Drawn at random when the log was created.
    pub(crate) log_id: u64,
    /// Counts the segments of the log from 1.
    pub(crate) number: u32,
    /// Where the first record starts.
    pub(crate) first_lsn: Lsn,
}

/// Why bytes are not a segment header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotAHeader {
    /// Zeroes, other bytes, a failed checksum, or numbers that no log has.
    Invalid,
    /// A header of a format this program does not read.
    Version(u32),
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.log_id.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.first_lsn.0.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.number.to_le_bytes());
        let crc = header_crc(&bytes);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8; SEGMENT_HEADER_BYTES]) -> Result<Self, NotAHeader> {
        if bytes[..8] != MAGIC || u32_at(bytes, 12) != header_crc(bytes) {
            return Err(NotAHeader::Invalid);
        }
        let version = u32_at(bytes, 8);
        if version != FORMAT_VERSION {
            return Err(NotAHeader::Version(version));
        }
        let header = Self {
            log_id: u64_at(bytes, 16),
            number: u32_at(bytes, 32),
            first_lsn: Lsn(u64_at(bytes, 24)),
        };
        let is_possible = header.number > 0 && header.first_lsn < LSN_LIMIT;
        is_possible.then_some(header).ok_or(NotAHeader::Invalid)
    }

    /// The file offset of a log position.
    pub(crate) fn offset_of(&self, lsn: Lsn) -> u64 {
        assert!(lsn >= self.first_lsn);
        lsn.0 - self.first_lsn.0 + SEGMENT_HEADER_BYTES as u64
    }

    /// The log position of a file offset; `None` past the end of all numbers, which only a
    /// damaged header can claim.
    pub(crate) fn lsn_at(&self, offset: u64) -> Option<Lsn> {
        assert!(offset >= SEGMENT_HEADER_BYTES as u64);
        self.first_lsn.0.checked_add(offset - SEGMENT_HEADER_BYTES as u64).map(Lsn)
    }
}

/// What stands before a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecordHead {
    pub(crate) payload_crc: u32,
    pub(crate) payload_bytes: u32,
    /// A position that was durable when the record was appended: a promise to recovery.
    pub(crate) synced: Lsn,
}

impl RecordHead {
    pub(crate) fn encode(&self, segment: &SegmentHeader, start: Lsn) -> [u8; RECORD_HEAD_BYTES] {
        let mut bytes = [0; RECORD_HEAD_BYTES];
        bytes[4..8].copy_from_slice(&self.payload_crc.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.payload_bytes.to_le_bytes());
        bytes[12..16].copy_from_slice(&segment.number.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.synced.0.to_le_bytes());
        let crc = head_crc(&bytes, segment.log_id, start);
        bytes[..4].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The head at `start` of `segment`, or `None` if these bytes were not written for that place.
    pub(crate) fn decode(
        bytes: &[u8; RECORD_HEAD_BYTES],
        segment: &SegmentHeader,
        start: Lsn,
    ) -> Option<Self> {
        // The number first: it costs nothing and rejects zeroes and what an earlier use left.
        if u32_at(bytes, 12) != segment.number
            || u32_at(bytes, 0) != head_crc(bytes, segment.log_id, start)
        {
            return None;
        }
        let head = Self {
            payload_crc: u32_at(bytes, 4),
            payload_bytes: u32_at(bytes, 8),
            synced: Lsn(u64_at(bytes, 16)),
        };
        (head.synced <= start).then_some(head)
    }

    /// The bytes of the whole record.
    pub(crate) fn record_bytes(&self) -> u64 {
        RECORD_HEAD_BYTES as u64 + u64::from(self.payload_bytes)
    }
}

/// The checksum of a payload given in pieces.
pub(crate) fn payload_crc(pieces: &[&[u8]]) -> u32 {
    pieces.iter().fold(0, |crc, piece| crc32c::crc32c_append(crc, piece))
}

fn header_crc(bytes: &[u8; SEGMENT_HEADER_BYTES]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&bytes[..12]), &bytes[16..])
}

fn head_crc(bytes: &[u8; RECORD_HEAD_BYTES], log_id: u64, start: Lsn) -> u32 {
    let mut place = [0; 16];
    place[..8].copy_from_slice(&log_id.to_le_bytes());
    place[8..].copy_from_slice(&start.0.to_le_bytes());
    crc32c::crc32c_append(crc32c::crc32c(&place), &bytes[4..])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|index| bytes[at + index]))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|index| bytes[at + index]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEGMENT: SegmentHeader = SegmentHeader { log_id: 77, number: 3, first_lsn: Lsn(1000) };

    #[test]
    fn a_header_fails_on_every_flipped_bit() {
        let bytes = SEGMENT.encode();
        assert_eq!(SegmentHeader::decode(&bytes), Ok(SEGMENT));
        for bit in 0..SEGMENT_HEADER_BYTES * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(SegmentHeader::decode(&flipped), Err(NotAHeader::Invalid), "bit {bit}");
        }
    }

    #[test]
    fn numbers_that_no_log_has_are_no_header() {
        let last = SegmentHeader { number: u32::MAX, first_lsn: Lsn(LSN_LIMIT.0 - 1), ..SEGMENT };
        assert_eq!(SegmentHeader::decode(&last.encode()), Ok(last));
        let none = SegmentHeader { number: 0, ..SEGMENT };
        assert_eq!(SegmentHeader::decode(&none.encode()), Err(NotAHeader::Invalid));
        for first_lsn in [LSN_LIMIT, Lsn(u64::MAX)] {
            let far = SegmentHeader { first_lsn, ..SEGMENT };
            assert_eq!(SegmentHeader::decode(&far.encode()), Err(NotAHeader::Invalid));
        }
    }

    #[test]
    fn a_newer_version_is_named() {
        let mut bytes = SEGMENT.encode();
        bytes[8] = 9;
        let crc = header_crc(&bytes);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(SegmentHeader::decode(&bytes), Err(NotAHeader::Version(9)));
    }

    #[test]
    fn a_head_is_valid_only_in_its_place() {
        let head = RecordHead { payload_crc: 1, payload_bytes: 2, synced: Lsn(900) };
        let bytes = head.encode(&SEGMENT, Lsn(1100));
        assert_eq!(RecordHead::decode(&bytes, &SEGMENT, Lsn(1100)), Some(head));
        assert_eq!(RecordHead::decode(&bytes, &SEGMENT, Lsn(1101)), None);
        let other_log = SegmentHeader { log_id: 78, ..SEGMENT };
        assert_eq!(RecordHead::decode(&bytes, &other_log, Lsn(1100)), None);
        let other_segment = SegmentHeader { number: 4, ..SEGMENT };
        assert_eq!(RecordHead::decode(&bytes, &other_segment, Lsn(1100)), None);
        assert_eq!(RecordHead::decode(&[0; RECORD_HEAD_BYTES], &SEGMENT, Lsn(1100)), None);
        for bit in 0..RECORD_HEAD_BYTES * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(RecordHead::decode(&flipped, &SEGMENT, Lsn(1100)), None, "bit {bit}");
        }
    }
}
