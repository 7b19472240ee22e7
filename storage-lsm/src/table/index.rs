//! The index of a section: for each data block where it is, what its last entry is, and the bounds
//! of its timestamps; then where the filters are.
//!
//! ```text
//!   block… │ offset of each block's record u32… │ filter… │ block count u32 │ filter count u32
//!   block:  offset u64 │ length u32 │ keyspace u32 │ last ts u64 │ min ts u64 │ max ts u64
//!           │ filter u32 (none: 2³²−1) │ last key
//!   filter: offset u64 │ length u32
//! ```
//!
//! It stays in memory once used: about 1 % of the table at 8 KiB a block. A search looks at a dense
//! array of key heads, eight bytes behind what all last keys of the keyspace share, and at whole keys
//! only where heads are equal.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use driftdb_storage::{Damage, KeyspaceId, StorageError, Timestamp};

use super::block::{Block, head_of};
use super::filter::Filter;
use crate::format::{FRAME_HEADER_BYTES, PREAMBLE_BYTES, u32_at, u64_at};

const RECORD_BYTES: usize = 44;
const FILTER_BYTES: usize = 12;
/// The filter number of a block that has none.
pub(crate) const NO_FILTER: u32 = u32::MAX;

/// One data block, as the index describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BlockRef {
    pub(crate) offset: u64,
    /// With the frame's header.
    pub(crate) len: u32,
    pub(crate) space: KeyspaceId,
    pub(crate) last_ts: Timestamp,
    /// In the newest section, of all versions of its keys, those in the history section included.
    pub(crate) min_ts: Timestamp,
    pub(crate) max_ts: Timestamp,
    pub(crate) filter: u32,
}

/// Where a filter is.
#[derive(Debug)]
pub(crate) struct FilterRef {
    pub(crate) offset: u64,
    pub(crate) len: u32,
    /// The filter, if there was room to keep it.
    pub(crate) pinned: OnceLock<Arc<Filter>>,
}

/// The blocks of one keyspace.
#[derive(Debug)]
struct SpaceBlocks {
    space: KeyspaceId,
    blocks: Range<usize>,
    /// What all their last keys begin with.
    prefix_len: usize,
}

/// A checked index.
#[derive(Debug, Default)]
pub(crate) struct Index {
    blocks: Vec<BlockRef>,
    /// The frame, which has the keys, and where they are.
    frame: Vec<u8>,
    keys: Vec<(u32, u32)>,
    heads: Vec<u64>,
    spaces: Vec<SpaceBlocks>,
    filters: Vec<FilterRef>,
}

impl Index {
    /// Checks a frame; data and filters must lie between the preamble and `index_offset`.
    pub(crate) fn parse(frame: Vec<u8>, index_offset: u64) -> Result<Self, &'static str> {
        let payload = &frame[FRAME_HEADER_BYTES..];
        let records_end = payload.len().checked_sub(8).ok_or("the index is too short")?;
        let block_count = u32_at(payload, records_end) as usize;
        let filter_count = u32_at(payload, records_end + 4) as usize;
        let filters_at = filter_count
            .checked_mul(FILTER_BYTES)
            .and_then(|size| records_end.checked_sub(size))
            .ok_or("the index counts more filters than it holds")?;
        let offsets_at = block_count
            .checked_mul(4)
            .and_then(|size| filters_at.checked_sub(size))
            .ok_or("the index counts more blocks than it holds")?;
        let fits = |offset: u64, len: u32| {
            let end = offset.checked_add(u64::from(len));
            offset >= PREAMBLE_BYTES as u64
                && len as usize > FRAME_HEADER_BYTES
                && end.is_some_and(|end| end <= index_offset)
        };
        let mut index = Self::default();
        for at in (filters_at..records_end).step_by(FILTER_BYTES) {
            let (offset, len) = (u64_at(payload, at), u32_at(payload, at + 8));
            if !fits(offset, len) {
                return Err("the index places a filter outside of the table");
            }
            index.filters.push(FilterRef { offset, len, pinned: OnceLock::new() });
        }
        for position in 0..block_count {
            let start = u32_at(payload, offsets_at + 4 * position) as usize;
            let end = match position + 1 {
                next if next < block_count => u32_at(payload, offsets_at + 4 * next) as usize,
                _ => offsets_at,
            };
            let record = payload.get(start..end.min(offsets_at)).unwrap_or_default();
            let Some((fixed, _)) = record.split_at_checked(RECORD_BYTES) else {
                return Err("the records of the index overlap");
            };
            let block = BlockRef {
                offset: u64_at(fixed, 0),
                len: u32_at(fixed, 8),
                space: KeyspaceId(u32_at(fixed, 12)),
                last_ts: Timestamp(u64_at(fixed, 16)),
                min_ts: Timestamp(u64_at(fixed, 24)),
                max_ts: Timestamp(u64_at(fixed, 32)),
                filter: u32_at(fixed, 40),
            };
            if !fits(block.offset, block.len) {
                return Err("the index places a block outside of the table");
            }
            if block.filter != NO_FILTER && block.filter as usize >= index.filters.len() {
                return Err("the index names a filter that is not there");
            }
            index.blocks.push(block);
            let key_at = FRAME_HEADER_BYTES + start + RECORD_BYTES;
            let bound = |at| u32::try_from(at).map_err(|_| "the index is too large");
            index.keys.push((bound(key_at)?, bound(FRAME_HEADER_BYTES + end)?));
        }
        index.frame = frame;
        index.check_order()?;
        index.note_spaces();
        Ok(index)
    }

    fn check_order(&self) -> Result<(), &'static str> {
        let is_ordered = (1..self.len()).all(|position| {
            let (before, after) = (self.block(position - 1), self.block(position));
            let by_key = || self.last_key(position - 1).cmp(self.last_key(position));
            let by_time = || after.last_ts.cmp(&before.last_ts);
            before.space.cmp(&after.space).then_with(by_key).then_with(by_time).is_lt()
        });
        if is_ordered { Ok(()) } else { Err("the index is not in order") }
    }

    fn note_spaces(&mut self) {
        let mut start = 0;
        while start < self.len() {
            let space = self.block(start).space;
            let count = self.blocks[start..].partition_point(|block| block.space == space);
            let (first, last) = (self.last_key(start), self.last_key(start + count - 1));
            let prefix_len = first.iter().zip(last).take_while(|(a, b)| a == b).count();
            let heads = (start..start + count)
                .map(|position| head_of(&self.last_key(position)[prefix_len..]));
            let heads: Vec<u64> = heads.collect();
            self.heads.extend(heads);
            self.spaces.push(SpaceBlocks { space, blocks: start..start + count, prefix_len });
            start += count;
        }
    }

    /// How many data blocks.
    pub(crate) fn len(&self) -> usize {
        self.blocks.len()
    }

    /// # Panics
    /// If there is no such block.
    #[inline]
    pub(crate) fn block(&self, position: usize) -> &BlockRef {
        &self.blocks[position]
    }

    /// The last key of a block.
    #[inline]
    pub(crate) fn last_key(&self, position: usize) -> &[u8] {
        let (start, end) = self.keys[position];
        &self.frame[start as usize..end as usize]
    }

    /// No key of a block is below this one; `None` if nothing is known.
    pub(crate) fn lower_bound(&self, position: usize) -> Option<&[u8]> {
        let before = position.checked_sub(1)?;
        (self.block(before).space == self.block(position).space).then(|| self.last_key(before))
    }

    /// Whether a block is what its record says: its last entry is the one named, and its first comes
    /// after the last of the block before. Reads that go from block to block rely on it.
    pub(crate) fn describes(&self, position: usize, block: &Block) -> bool {
        let (last_key, last_slot) = (block.key_count() - 1, block.len() - 1);
        let is_last = block.cmp_key(last_key, self.last_key(position)).is_eq()
            && block.ts(last_slot) == self.block(position).last_ts;
        let is_first = self.lower_bound(position).is_none_or(|lower| {
            let by_time = || self.block(position - 1).last_ts.cmp(&block.ts(0));
            block.cmp_key(0, lower).then_with(by_time).is_gt()
        });
        is_last && is_first
    }

    /// Adds the keys between which a block lies: from the last of the block before, up to its own.
    pub(crate) fn name_keys(&self, position: usize, damage: Damage) -> Damage {
        let space = self.block(position).space;
        damage.with_keys(space, self.lower_bound(position), Some(self.last_key(position)))
    }

    /// Adds the keys of a block to damage that was met reading it.
    pub(crate) fn with_keys<T>(
        &self,
        position: usize,
        read: driftdb_storage::Result<T>,
    ) -> driftdb_storage::Result<T> {
        read.map_err(|error| match error {
            StorageError::Corruption(damage) => {
                StorageError::Corruption(self.name_keys(position, damage))
            }
            other => other,
        })
    }

    pub(crate) fn filters(&self) -> &[FilterRef] {
        &self.filters
    }

    /// The blocks of a keyspace; an empty range if there are none.
    pub(crate) fn blocks_of(&self, space: KeyspaceId) -> Range<usize> {
        self.space(space).map_or(0..0, |space| space.blocks.clone())
    }

    /// The first block whose last key is at or after `key`; `None` if all are before.
    #[inline]
    pub(crate) fn first_at(&self, space: KeyspaceId, key: &[u8]) -> Option<usize> {
        self.first(space, key, |_| false)
    }

    /// The first block of a later keyspace; their number if there is none.
    pub(crate) fn first_beyond(&self, space: KeyspaceId) -> usize {
        self.blocks.partition_point(|block| block.space <= space)
    }

    /// The first block whose last key is after `key`.
    #[inline]
    pub(crate) fn first_after(&self, space: KeyspaceId, key: &[u8]) -> Option<usize> {
        self.first(space, key, |_| true)
    }

    /// The first block whose last entry is at or after (key, ts) in the order of tables.
    #[inline]
    pub(crate) fn first_version(
        &self,
        space: KeyspaceId,
        key: &[u8],
        ts: Timestamp,
    ) -> Option<usize> {
        self.first(space, key, |block| block.last_ts > ts)
    }

    fn space(&self, space: KeyspaceId) -> Option<&SpaceBlocks> {
        let at = self.spaces.binary_search_by_key(&space, |blocks| blocks.space).ok()?;
        Some(&self.spaces[at])
    }

    /// The first block of the keyspace whose last key is after `key`, or equal to it and not before
    /// what is looked for.
    #[inline]
    fn first(
        &self,
        space: KeyspaceId,
        key: &[u8],
        is_equal_before: impl Fn(&BlockRef) -> bool,
    ) -> Option<usize> {
        let SpaceBlocks { blocks, prefix_len, .. } = self.space(space)?;
        let prefix = &self.last_key(blocks.start)[..*prefix_len];
        let shared = prefix.len().min(key.len());
        match key[..shared].cmp(&prefix[..shared]) {
            Ordering::Less => return Some(blocks.start),
            Ordering::Greater => return None,
            Ordering::Equal if key.len() < prefix.len() => return Some(blocks.start),
            Ordering::Equal => {}
        }
        let rest = &key[shared..];
        let head = head_of(rest);
        let (mut low, mut high) = (blocks.start, blocks.end);
        while low < high {
            let middle = low.midpoint(high);
            let by_rest = || self.last_key(middle)[shared..].cmp(rest);
            let is_before = match self.heads[middle].cmp(&head).then_with(by_rest) {
                Ordering::Less => true,
                Ordering::Equal => is_equal_before(self.block(middle)),
                Ordering::Greater => false,
            };
            if is_before {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        (low < blocks.end).then_some(low)
    }
}

/// Collects the records of an index.
#[derive(Debug, Default)]
pub(crate) struct IndexBuilder {
    records: Vec<u8>,
    offsets: Vec<u32>,
    filters: Vec<(u64, u32)>,
}

impl IndexBuilder {
    pub(crate) fn add_block(&mut self, block: &BlockRef, last_key: &[u8]) {
        let offset = u32::try_from(self.records.len()).expect("merges bound the size of a table");
        self.offsets.push(offset);
        self.records.extend_from_slice(&block.offset.to_le_bytes());
        self.records.extend_from_slice(&block.len.to_le_bytes());
        self.records.extend_from_slice(&block.space.0.to_le_bytes());
        for ts in [block.last_ts, block.min_ts, block.max_ts] {
            self.records.extend_from_slice(&ts.0.to_le_bytes());
        }
        self.records.extend_from_slice(&block.filter.to_le_bytes());
        self.records.extend_from_slice(last_key);
    }

    /// The number that the next filter will have.
    pub(crate) fn next_filter(&self) -> u32 {
        self.filters.len() as u32
    }

    pub(crate) fn add_filter(&mut self, offset: u64, len: u32) {
        self.filters.push((offset, len));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        for offset in &self.offsets {
            self.records.extend_from_slice(&offset.to_le_bytes());
        }
        for (offset, len) in &self.filters {
            self.records.extend_from_slice(&offset.to_le_bytes());
            self.records.extend_from_slice(&len.to_le_bytes());
        }
        self.records.extend_from_slice(&(self.offsets.len() as u32).to_le_bytes());
        self.records.extend_from_slice(&(self.filters.len() as u32).to_le_bytes());
        self.records
    }
}
