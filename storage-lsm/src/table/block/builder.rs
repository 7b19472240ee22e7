//! Collects entries into a data block.

use driftdb_storage::{Entry, KeyspaceId};

use super::{HAS_OLDER, HAS_TOMBSTONES, HEADER_BYTES};
use crate::table::column::{shape_of, width_of, write_int};

/// What an entry costs beside its key and value, for the size of a block under way.
const ENTRY_BYTES: usize = 6;

/// A block under way. Entries come in the order of tables.
#[derive(Debug, Default)]
pub(crate) struct BlockBuilder {
    space: KeyspaceId,
    /// Whole keys, each once.
    keys: Vec<u8>,
    key_ends: Vec<u32>,
    starts: Vec<u32>,
    times: Vec<u64>,
    is_tombstone: Vec<bool>,
    has_older: Vec<bool>,
    values: Vec<u8>,
    value_ends: Vec<u32>,
    payload: Vec<u8>,
}

impl BlockBuilder {
    /// Adds an entry; all of a block are of one keyspace.
    pub(crate) fn add(&mut self, space: KeyspaceId, entry: Entry<'_>) {
        self.space = space;
        if self.key_ends.is_empty() || self.last_key() != entry.key {
            self.keys.extend_from_slice(entry.key);
            self.key_ends.push(end_of(&self.keys));
            self.starts.push(self.times.len() as u32);
        }
        self.times.push(entry.ts.0);
        self.is_tombstone.push(entry.value.is_none());
        self.has_older.push(false);
        self.values.extend_from_slice(entry.value.unwrap_or_default());
        self.value_ends.push(end_of(&self.values));
    }

    /// Notes that the history section has older versions of the last key.
    pub(crate) fn mark_older(&mut self) {
        *self.has_older.last_mut().expect("an entry was added") = true;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    pub(crate) fn space(&self) -> KeyspaceId {
        self.space
    }

    pub(crate) fn last_key(&self) -> &[u8] {
        self.key_at(self.key_ends.len() - 1)
    }

    fn key_at(&self, position: usize) -> &[u8] {
        let start = match position {
            0 => 0,
            _ => self.key_ends[position - 1],
        };
        &self.keys[start as usize..self.key_ends[position] as usize]
    }

    /// About as long as the payload would be.
    pub(crate) fn size_bytes(&self) -> usize {
        self.keys.len() + self.values.len() + ENTRY_BYTES * self.times.len()
    }

    /// The payload, complete. [`BlockBuilder::clear`] comes next.
    ///
    /// # Panics
    /// If there is no entry.
    pub(crate) fn finish(&mut self) -> &[u8] {
        let key_count = self.key_ends.len();
        // Keys ascend: what the first and the last share, all share.
        let (first, last) = (self.key_at(0), self.last_key());
        let prefix_len = first.iter().zip(last).take_while(|(a, b)| a == b).count();
        let suffix_ends: Vec<u32> = self
            .key_ends
            .iter()
            .enumerate()
            .map(|(position, end)| end - (prefix_len * (position + 1)) as u32)
            .collect();
        let min_ts = *self.times.iter().min().expect("a block has entries");
        let max_ts = *self.times.iter().max().expect("a block has entries");
        let start_width = width_of(u64::from(*self.starts.last().expect("a block has a key")));
        let ts_width = width_of(max_ts - min_ts);
        let (key_width, key_len) = shape_of(&suffix_ends);
        let (value_width, value_len) = shape_of(&self.value_ends);
        let tombstone_flag = if self.is_tombstone.contains(&true) { HAS_TOMBSTONES } else { 0 };
        let older_flag = if self.has_older.contains(&true) { HAS_OLDER } else { 0 };
        let mut out = std::mem::take(&mut self.payload);
        out.clear();
        for number in [self.space.0, self.times.len() as u32, key_count as u32, prefix_len as u32] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&min_ts.to_le_bytes());
        out.extend_from_slice(&[start_width, ts_width, key_width, value_width]);
        out.extend_from_slice(&[tombstone_flag | older_flag, 0, 0, 0]);
        out.extend_from_slice(&key_len.to_le_bytes());
        out.extend_from_slice(&value_len.to_le_bytes());
        assert_eq!(out.len(), HEADER_BYTES);
        out.extend_from_slice(&self.key_at(0)[..prefix_len]);
        if key_count < self.times.len() {
            self.starts.iter().for_each(|&start| write_int(&mut out, start_width, start.into()));
        }
        self.times.iter().for_each(|ts| write_int(&mut out, ts_width, ts - min_ts));
        if tombstone_flag != 0 {
            write_bits(&mut out, &self.is_tombstone);
        }
        if older_flag != 0 {
            write_bits(&mut out, &self.has_older);
        }
        suffix_ends.iter().for_each(|&end| write_int(&mut out, key_width, end.into()));
        for position in 0..key_count {
            out.extend_from_slice(&self.key_at(position)[prefix_len..]);
        }
        self.value_ends.iter().for_each(|&end| write_int(&mut out, value_width, end.into()));
        out.extend_from_slice(&self.values);
        self.payload = out;
        &self.payload
    }

    /// Forgets the entries, keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.keys.clear();
        self.key_ends.clear();
        self.starts.clear();
        self.times.clear();
        self.is_tombstone.clear();
        self.has_older.clear();
        self.values.clear();
        self.value_ends.clear();
    }
}

fn end_of(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("entries are below 1 GiB")
}

fn write_bits(out: &mut Vec<u8>, bits: &[bool]) {
    for byte in bits.chunks(8) {
        out.push(byte.iter().rev().fold(0, |byte, &bit| byte << 1 | u8::from(bit)));
    }
}
