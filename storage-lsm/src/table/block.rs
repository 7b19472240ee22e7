//! Data blocks: versions of one keyspace, in order, column by column.
//!
//! ```text
//!   keyspace u32 │ entries u32 │ keys u32 │ prefix length u32 │ least timestamp u64
//!   │ width of: starts u8, timestamps u8, key ends u8, value ends u8 │ flags u8 │ zeroes u8 × 3
//!   │ key length u32 │ value length u32
//!   │ prefix │ starts │ timestamps │ tombstones │ older │ key ends │ keys │ value ends │ values
//! ```
//!
//! A key is the *prefix* that all share and a rest of its own, which is there once however many
//! versions the key has: its versions are the entries from its *start* to the next key's. So a search
//! goes over distinct keys first and then over numbers. Where every key has one version there are no
//! starts; where rests or values are equally long, no ends. Timestamps are counted from the least.
//!
//! [`Block::parse`] checks it all, order included, so that accessors cannot fail and searches may
//! rely on order. Cost of a check: O(entries); of a search: O(log entries), in which keys are compared
//! eight bytes at a time first.

mod builder;

use std::cmp::Ordering;
use std::sync::Arc;

use driftdb_storage::{KeyspaceId, Timestamp};

use super::column::{Ints, Strings};
use crate::format::{u32_at, u64_at};

pub(crate) use builder::BlockBuilder;

const HEADER_BYTES: usize = 40;
const HAS_TOMBSTONES: u8 = 1;
const HAS_OLDER: u8 = 2;

/// A checked block.
#[derive(Debug)]
pub(crate) struct Block {
    bytes: Vec<u8>,
    space: KeyspaceId,
    count: usize,
    key_count: usize,
    min_ts: u64,
    prefix: (usize, usize),
    /// `None` if every key has one version.
    starts: Option<Ints>,
    times: Ints,
    /// Where the bitmap is.
    tombstones: Option<usize>,
    older: Option<usize>,
    keys: Strings,
    values: Strings,
}

/// A checked block, shared with the cache.
pub(crate) type DataBlock = Arc<Block>;

impl Block {
    /// Checks and takes the payload that begins at `at`.
    pub(crate) fn parse(bytes: Vec<u8>, at: usize) -> Result<Self, &'static str> {
        let end = bytes.len();
        let head = bytes
            .get(at..)
            .and_then(|payload| payload.get(..HEADER_BYTES))
            .ok_or("the data block is too short")?;
        let (count, key_count) = (u32_at(head, 4) as usize, u32_at(head, 8) as usize);
        if key_count == 0 || key_count > count {
            return Err("the data block has another number of keys than of entries");
        }
        let prefix_len = u32_at(head, 12) as usize;
        let [start_width, ts_width, key_width, value_width, flags, 0, 0, 0] = head[24..32] else {
            return Err("the data block has an unknown field");
        };
        if flags & !(HAS_TOMBSTONES | HAS_OLDER) != 0 {
            return Err("the data block has an unknown flag");
        }
        let key_shape = (key_width, u32_at(head, 32) as usize);
        let value_shape = (value_width, u32_at(head, 36) as usize);
        let (space, min_ts) = (KeyspaceId(u32_at(head, 0)), u64_at(head, 16));
        let lay_out = || {
            let mut next = at + HEADER_BYTES;
            let prefix = (next, next.checked_add(prefix_len).filter(|&to| to <= end)?);
            next = prefix.1;
            let mut starts = None;
            if key_count < count {
                starts = Some(Ints::take(&mut next, end, start_width, key_count)?);
            }
            let times = Ints::take(&mut next, end, ts_width, count)?;
            let mut bitmap = |is_there: bool| -> Option<Option<usize>> {
                let bits = next;
                next = next.checked_add(count.div_ceil(8)).filter(|&to| !is_there || to <= end)?;
                if !is_there {
                    next = bits;
                }
                Some(is_there.then_some(bits))
            };
            let tombstones = bitmap(flags & HAS_TOMBSTONES != 0)?;
            let older = bitmap(flags & HAS_OLDER != 0)?;
            let keys = Strings::take(&mut next, end, &bytes, key_shape, key_count)?;
            let values = Strings::take(&mut next, end, &bytes, value_shape, count)?;
            (next == end).then_some((prefix, starts, times, tombstones, older, keys, values))
        };
        let (prefix, starts, times, tombstones, older, keys, values) =
            lay_out().ok_or("the columns of a data block do not fit it")?;
        let block = Self {
            bytes,
            space,
            count,
            key_count,
            min_ts,
            prefix,
            starts,
            times,
            tombstones,
            older,
            keys,
            values,
        };
        block.check()?;
        Ok(block)
    }

    /// Checks what the columns hold.
    fn check(&self) -> Result<(), &'static str> {
        let mut start = 0;
        for key in 0..self.key_count {
            if self.start(key) != start {
                return Err("the keys of a data block overlap");
            }
            start = self.end(key);
            if start <= self.start(key) || start > self.count {
                return Err("a key of a data block has no entry");
            }
            if key > 0 && self.suffix(key - 1) >= self.suffix(key) {
                return Err("the keys of a data block are not in order");
            }
            let mut newer = None;
            for slot in self.start(key)..start {
                let delta = self.times.get(&self.bytes, slot);
                if self.min_ts.checked_add(delta).is_none() {
                    return Err("a timestamp of a data block is too large");
                }
                if newer.is_some_and(|newer| newer <= delta) {
                    return Err("the versions of a data block are not in order");
                }
                newer = Some(delta);
                if self.is_tombstone(slot) && !self.values.range(&self.bytes, slot).is_empty() {
                    return Err("a tombstone of a data block has a value");
                }
            }
        }
        if start != self.count {
            return Err("an entry of a data block has no key");
        }
        Ok(())
    }

    pub(crate) fn space(&self) -> KeyspaceId {
        self.space
    }

    /// How many entries; never 0.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// How many distinct keys; never 0.
    #[inline]
    pub(crate) fn key_count(&self) -> usize {
        self.key_count
    }

    /// Memory, in bytes.
    pub(crate) fn size_bytes(&self) -> usize {
        self.bytes.len() + size_of::<Self>()
    }

    /// The first entry of a key.
    #[inline]
    pub(crate) fn start(&self, key: usize) -> usize {
        match self.starts {
            None => key,
            Some(starts) => starts.get(&self.bytes, key) as usize,
        }
    }

    /// The entry after a key's last.
    #[inline]
    pub(crate) fn end(&self, key: usize) -> usize {
        if key + 1 < self.key_count { self.start(key + 1) } else { self.count }
    }

    #[inline]
    fn prefix(&self) -> &[u8] {
        &self.bytes[self.prefix.0..self.prefix.1]
    }

    #[inline]
    fn suffix(&self, key: usize) -> &[u8] {
        self.keys.get(&self.bytes, key)
    }

    /// Replaces what is in `out` by a key.
    #[inline]
    pub(crate) fn copy_key(&self, key: usize, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(self.prefix());
        out.extend_from_slice(self.suffix(key));
    }

    /// Replaces a key of this block that is in `out` by another.
    #[inline]
    pub(crate) fn replace_key(&self, key: usize, out: &mut Vec<u8>) {
        out.truncate(self.prefix.1 - self.prefix.0);
        out.extend_from_slice(self.suffix(key));
    }

    /// How a key compares with `other`.
    pub(crate) fn cmp_key(&self, key: usize, other: &[u8]) -> Ordering {
        let prefix = self.prefix();
        let shared = prefix.len().min(other.len());
        let by_prefix = prefix.cmp(&other[..shared]);
        by_prefix.then_with(|| self.suffix(key).cmp(&other[shared..]))
    }

    #[inline]
    pub(crate) fn ts(&self, slot: usize) -> Timestamp {
        Timestamp(self.min_ts + self.times.get(&self.bytes, slot))
    }

    #[inline]
    pub(crate) fn is_tombstone(&self, slot: usize) -> bool {
        self.tombstones.is_some_and(|bits| self.bit(bits, slot))
    }

    /// Whether the history section has older versions of the key of that entry.
    #[inline]
    pub(crate) fn has_older(&self, slot: usize) -> bool {
        self.older.is_some_and(|bits| self.bit(bits, slot))
    }

    #[inline]
    fn bit(&self, bits: usize, slot: usize) -> bool {
        self.bytes[bits + slot / 8] & (1 << (slot % 8)) != 0
    }

    /// The value of an entry; `None` for a tombstone.
    #[inline]
    pub(crate) fn value(&self, slot: usize) -> Option<&[u8]> {
        if self.is_tombstone(slot) {
            return None;
        }
        Some(self.values.get(&self.bytes, slot))
    }

    /// The first key at or after `wanted`, and whether it is that.
    pub(crate) fn find_key(&self, wanted: &[u8]) -> (usize, bool) {
        let prefix = self.prefix();
        let shared = prefix.len().min(wanted.len());
        match wanted[..shared].cmp(&prefix[..shared]) {
            Ordering::Less => return (0, false),
            Ordering::Greater => return (self.key_count, false),
            // A proper prefix of every key comes before all of them.
            Ordering::Equal if wanted.len() < prefix.len() => return (0, false),
            Ordering::Equal => {}
        }
        let wanted = &wanted[shared..];
        let wanted_head = head_of(wanted);
        let (mut low, mut high) = (0, self.key_count);
        while low < high {
            let middle = low.midpoint(high);
            let suffix = self.suffix(middle);
            // Heads are padded with zeroes: equal ones say nothing, unlike ones decide.
            match head_of(suffix).cmp(&wanted_head).then_with(|| suffix.cmp(wanted)) {
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
                Ordering::Equal => return (middle, true),
            }
        }
        (low, false)
    }

    /// The newest entry of a key at or below `ts`; [`Block::end`] if there is none here.
    #[inline]
    pub(crate) fn find_version(&self, key: usize, ts: Timestamp) -> usize {
        let (mut low, mut high) = (self.start(key), self.end(key));
        while low < high {
            let middle = low.midpoint(high);
            if self.ts(middle) > ts {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }
}

/// The first eight bytes as a number that orders like them; zeroes where there are fewer.
#[inline]
pub(crate) fn head_of(bytes: &[u8]) -> u64 {
    if let Some(head) = bytes.first_chunk() {
        return u64::from_be_bytes(*head);
    }
    let mut head = [0; 8];
    head[..bytes.len()].copy_from_slice(bytes);
    u64::from_be_bytes(head)
}

#[cfg(test)]
mod tests;
