//! Reading the records of one segment, one after the other.

use std::ops::Range;
use std::sync::Arc;

use driftdb_env::planted;
use driftdb_storage::{Lsn, Result, StorageError};

use crate::format::{
    RECORD_HEAD_BYTES, RecordHead, SEGMENT_HEADER_BYTES, SegmentHeader, payload_crc,
};
use crate::segment::Segment;

const READ_AHEAD_BYTES: u64 = 256 << 10;
const PROBE_BYTES: usize = 4 << 10;
static ZEROES: [u8; PROBE_BYTES] = [0; PROBE_BYTES];

/// What stands at a place of a segment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A whole record; its payload is [`SegmentCursor::payload`] of the range.
    Record { end: Lsn, synced: Lsn, payload: Range<usize> },
    /// No record head: zeroes, stale bytes, or too little room.
    Nothing,
    /// A record head whose payload is not what was written, and where the record would end.
    TornPayload { end: Lsn },
}

/// A place in a segment. Any bytes may be in the file: they are records or they are not.
pub(crate) struct SegmentCursor {
    pub(crate) segment: Arc<Segment>,
    pub(crate) header: SegmentHeader,
    /// Where the next record starts in the file.
    pub(crate) offset: u64,
    window: Vec<u8>,
    window_offset: u64,
}

impl SegmentCursor {
    /// A cursor before the first record.
    pub(crate) fn new(segment: Arc<Segment>, header: SegmentHeader) -> Self {
        let offset = SEGMENT_HEADER_BYTES as u64;
        Self { segment, header, offset, window: Vec::new(), window_offset: 0 }
    }

    /// The record at the cursor, which moves past it. Reads nothing at or beyond the file offset
    /// `limit`: those bytes may be changing.
    pub(crate) fn next(&mut self, limit: u64) -> Result<Found> {
        match self.try_next(limit)? {
            record @ Found::Record { .. } => Ok(record),
            Found::Nothing | Found::TornPayload { .. } => {
                // Once more from the device: a bit that flipped on the way must not end the log.
                self.window.clear();
                self.try_next(limit)
            }
        }
    }

    fn try_next(&mut self, limit: u64) -> Result<Found> {
        let left = limit.saturating_sub(self.offset);
        let Some(start) = self.header.lsn_at(self.offset) else { return Ok(Found::Nothing) };
        if left < RECORD_HEAD_BYTES as u64 {
            return Ok(Found::Nothing);
        }
        let at = self.fetch(RECORD_HEAD_BYTES as u64, limit)?;
        let head = self.window[at..].first_chunk().expect("fetched");
        let Some(head) = RecordHead::decode(head, &self.header, start) else {
            return Ok(Found::Nothing);
        };
        let Some(end) = start.0.checked_add(head.record_bytes()) else { return Ok(Found::Nothing) };
        let end = Lsn(end);
        if head.record_bytes() > left {
            return Ok(Found::TornPayload { end });
        }
        // At most what the file has: a damaged length cannot ask for more memory.
        let at = self.fetch(head.record_bytes(), limit)? + RECORD_HEAD_BYTES;
        let payload = at..at + head.payload_bytes as usize;
        let crc_holds = payload_crc(&[&self.window[payload.clone()]]) == head.payload_crc;
        if !crc_holds && !planted!("wal.checksum-not-checked") {
            return Ok(Found::TornPayload { end });
        }
        self.offset += head.record_bytes();
        Ok(Found::Record { end, synced: head.synced, payload })
    }

    /// The payload that [`SegmentCursor::next`] found last.
    pub(crate) fn payload(&self, range: Range<usize>) -> &[u8] {
        &self.window[range]
    }

    /// The whole record of such a payload.
    pub(crate) fn record(&self, payload: Range<usize>) -> &[u8] {
        &self.window[payload.start - RECORD_HEAD_BYTES..payload.end]
    }

    /// The first record head past the cursor that promises that a position beyond the cursor's was
    /// durable. If there is one, what stands at the cursor is damage and not the end of the log.
    pub(crate) fn find_promise(&self, limit: u64) -> Result<Option<u64>> {
        let Some(tail) = self.header.lsn_at(self.offset) else { return Ok(None) };
        self.find_head(limit, |head| head.synced > tail)
    }

    /// The offset of the first record head past the cursor that is accepted.
    pub(crate) fn find_head(
        &self,
        limit: u64,
        accepts: impl Fn(&RecordHead) -> bool,
    ) -> Result<Option<u64>> {
        let mut probe = Self::new(Arc::clone(&self.segment), self.header);
        probe.offset = self.offset + 1;
        while limit.saturating_sub(probe.offset) >= RECORD_HEAD_BYTES as u64 {
            let len = PROBE_BYTES.min((limit - probe.offset) as usize);
            let at = probe.fetch(len as u64, limit)?;
            let bytes = &probe.window[at..at + len];
            // Most of what follows the end of a log is zeroes.
            let heads = if bytes == &ZEROES[..len] { &[] } else { bytes };
            for (offset, head) in (probe.offset..).zip(heads.windows(RECORD_HEAD_BYTES)) {
                let Some(start) = self.header.lsn_at(offset) else { return Ok(None) };
                let head = head.first_chunk().expect("a window has this size");
                let head = RecordHead::decode(head, &self.header, start);
                if head.is_some_and(|head| accepts(&head)) {
                    return Ok(Some(offset));
                }
            }
            // The last bytes may be the beginning of a head.
            probe.offset += (len - RECORD_HEAD_BYTES + 1) as u64;
        }
        Ok(None)
    }

    /// Brings `len` bytes from the cursor on into the window and returns where they start in it. What the
    /// window has of them already is not read again.
    fn fetch(&mut self, len: u64, limit: u64) -> Result<usize> {
        assert!(self.offset + len <= limit);
        let window_end = self.window_offset + self.window.len() as u64;
        if self.offset < self.window_offset || self.offset + len > window_end {
            if self.offset < self.window_offset || self.offset > window_end {
                self.window.clear();
            } else {
                self.window.drain(..(self.offset - self.window_offset) as usize);
            }
            self.window_offset = self.offset;
            let kept = self.window.len();
            let want = len.max(READ_AHEAD_BYTES).min(limit - self.offset) as usize;
            if want as u64 <= READ_AHEAD_BYTES {
                // Gives back the memory of a record that was larger than most.
                self.window.shrink_to(READ_AHEAD_BYTES as usize);
            }
            self.window.resize(want, 0);
            let got =
                self.segment.file.read_at(self.offset + kept as u64, &mut self.window[kept..]);
            // After an error nothing is known about the window.
            let got = got.inspect_err(|_| self.window.clear())?;
            self.window.truncate(kept + got);
            if (self.window.len() as u64) < len {
                let what = format!("the file ends before offset {}", self.offset + len);
                return Err(StorageError::Corruption(self.segment.damage(self.offset, what)));
            }
        }
        Ok((self.offset - self.window_offset) as usize)
    }
}
