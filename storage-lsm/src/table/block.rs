//! Data blocks: versions of one keyspace, in order.
//!
//! ```text
//!   keyspace u32 │ entry… │ offset of each entry u32… │ count u32
//!   entry: tag u8 (0 tombstone, 1 value) │ timestamp u64 │ key length varint │ key │ value
//! ```
//!
//! Offsets count from the start of the payload; an entry ends where the next begins. Keys are whole,
//! not prefix-compressed: any entry is reached in one step, so binary search and reverse scans need
//! no restart points.

use driftdb_storage::{Entry, KeyspaceId, Timestamp, read_varint, write_varint};

use crate::cache::Frame;
use crate::format::{FRAME_HEADER_BYTES, u32_at, u64_at};

const TAG_TOMBSTONE: u8 = 0;
const TAG_VALUE: u8 = 1;
/// Keyspace and count.
const FIXED_BYTES: usize = 8;

/// A checked block. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct DataBlock {
    frame: Frame,
    count: usize,
}

impl DataBlock {
    /// Checks the structure of a frame, so that accessors cannot fail.
    pub(crate) fn check(frame: &[u8]) -> Result<(), &'static str> {
        let payload = &frame[FRAME_HEADER_BYTES..];
        if payload.len() < FIXED_BYTES {
            return Err("the data block is too short");
        }
        let count = u32_at(payload, payload.len() - 4) as usize;
        let entries_end = count
            .checked_mul(4)
            .and_then(|offsets| (payload.len() - 4).checked_sub(offsets))
            .filter(|&end| end >= 4 && count > 0)
            .ok_or("the data block counts more entries than it holds")?;
        let mut end = entries_end;
        for slot in (0..count).rev() {
            let start = u32_at(payload, entries_end + 4 * slot) as usize;
            if start >= end || start < 4 || (slot == 0 && start != 4) {
                return Err("the entries of a data block overlap");
            }
            parse(&payload[start..end]).ok_or("a data block holds a malformed entry")?;
            end = start;
        }
        Ok(())
    }

    /// Takes a frame that [`DataBlock::check`] accepted.
    pub(crate) fn new(frame: Frame) -> Self {
        let count = u32_at(&frame, frame.len() - 4) as usize;
        Self { frame, count }
    }

    pub(crate) fn space(&self) -> KeyspaceId {
        KeyspaceId(u32_at(&self.frame, FRAME_HEADER_BYTES))
    }

    /// How many entries; never 0.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// # Panics
    /// If there is no such slot.
    #[inline]
    pub(crate) fn entry(&self, slot: usize) -> Entry<'_> {
        assert!(slot < self.count, "slot {slot} of {}", self.count);
        let payload = &self.frame[FRAME_HEADER_BYTES..];
        let offsets = payload.len() - 4 - 4 * self.count;
        let start = u32_at(payload, offsets + 4 * slot) as usize;
        let end = match slot + 1 {
            next if next < self.count => u32_at(payload, offsets + 4 * next) as usize,
            _ => offsets,
        };
        parse(&payload[start..end]).expect("checked when it was read")
    }

    /// The first slot for which `is_before` is false; entries for which it is true come first.
    #[inline]
    pub(crate) fn partition_point(&self, is_before: impl Fn(Entry<'_>) -> bool) -> usize {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low.midpoint(high);
            if is_before(self.entry(middle)) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// The first slot at or after (key, ts) in the order of the table.
    #[inline]
    pub(crate) fn lower_bound(&self, key: &[u8], ts: Timestamp) -> usize {
        self.partition_point(|entry| precedes(entry.key, entry.ts, key, ts))
    }
}

/// Whether (a, `a_ts`) comes before (b, `b_ts`): keys ascending, timestamps descending.
#[inline]
pub(crate) fn precedes(a: &[u8], a_ts: Timestamp, b: &[u8], b_ts: Timestamp) -> bool {
    a.cmp(b).then(b_ts.cmp(&a_ts)).is_lt()
}

#[inline]
fn parse(bytes: &[u8]) -> Option<Entry<'_>> {
    let (&tag, rest) = bytes.split_first()?;
    let (ts, mut rest) = rest.split_at_checked(8)?;
    let ts = Timestamp(u64_at(ts, 0));
    let key_len = usize::try_from(read_varint(&mut rest)?).ok()?;
    let (key, value) = rest.split_at_checked(key_len)?;
    match tag {
        TAG_VALUE => Some(Entry { key, ts, value: Some(value) }),
        TAG_TOMBSTONE if value.is_empty() => Some(Entry { key, ts, value: None }),
        _ => None,
    }
}

/// Collects entries into a payload.
#[derive(Debug, Default)]
pub(crate) struct BlockBuilder {
    payload: Vec<u8>,
    offsets: Vec<u32>,
}

impl BlockBuilder {
    /// Adds an entry; all of a block are of one keyspace.
    pub(crate) fn add(&mut self, space: KeyspaceId, entry: Entry<'_>) {
        if self.payload.is_empty() {
            self.payload.extend_from_slice(&space.0.to_le_bytes());
        }
        let offset = u32::try_from(self.payload.len()).expect("entries are below 1 GiB");
        self.offsets.push(offset);
        self.payload.push(if entry.value.is_some() { TAG_VALUE } else { TAG_TOMBSTONE });
        self.payload.extend_from_slice(&entry.ts.0.to_le_bytes());
        write_varint(&mut self.payload, entry.key.len() as u64);
        self.payload.extend_from_slice(entry.key);
        self.payload.extend_from_slice(entry.value.unwrap_or_default());
    }

    pub(crate) fn size_bytes(&self) -> usize {
        self.payload.len() + 4 * self.offsets.len() + 4
    }

    /// The payload, complete. [`BlockBuilder::clear`] comes next.
    pub(crate) fn finish(&mut self) -> &[u8] {
        for offset in &self.offsets {
            self.payload.extend_from_slice(&offset.to_le_bytes());
        }
        let count = u32::try_from(self.offsets.len()).expect("a block has few entries");
        self.payload.extend_from_slice(&count.to_le_bytes());
        &self.payload
    }

    pub(crate) fn clear(&mut self) {
        self.payload.clear();
        self.offsets.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;

    fn frame_of(payload: &[u8]) -> Vec<u8> {
        [&[0; FRAME_HEADER_BYTES], payload].concat()
    }

    #[test]
    fn entries_come_back_and_are_found() {
        let entries: [(&[u8], u64, Option<&[u8]>); 4] =
            [(b"", 9, Some(b"")), (b"a", 7, None), (b"a", 3, Some(b"x")), (b"b", 5, Some(b"yz"))];
        let mut builder = BlockBuilder::default();
        for (key, ts, value) in entries {
            builder.add(KeyspaceId(5), Entry { key, ts: Timestamp(ts), value });
        }
        let frame = frame_of(builder.finish());
        DataBlock::check(&frame).unwrap();
        let block = DataBlock::new(Arc::new(frame));
        assert_eq!((block.space(), block.len()), (KeyspaceId(5), 4));
        for (slot, (key, ts, value)) in entries.into_iter().enumerate() {
            assert_eq!(block.entry(slot), Entry { key, ts: Timestamp(ts), value });
        }
        assert_eq!(block.lower_bound(b"a", Timestamp::MAX), 1);
        assert_eq!(block.lower_bound(b"a", Timestamp(6)), 2);
        assert_eq!(block.lower_bound(b"a", Timestamp(2)), 3);
        assert_eq!(block.lower_bound(b"c", Timestamp(2)), 4);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_block_or_an_error(payload in prop::collection::vec(0u8..12, 0..64)) {
            let frame = frame_of(&payload);
            if DataBlock::check(&frame).is_ok() {
                let block = DataBlock::new(Arc::new(frame));
                for slot in 0..block.len() {
                    let _ = block.entry(slot);
                }
            }
        }
    }
}
