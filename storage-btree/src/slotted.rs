//! Sorted entries in one flat allocation: the memory form of a leaf or a branch.
//!
//! Entries lie in a heap in the order they came; a slot array gives their order. Copying a node for
//! a new version of the tree is then two copies of memory, whatever the number of entries. An entry:
//!
//! ```text
//! flags u8 | value length u16 | keyspace u32 | age u64 | key length u16 (u32 if flagged) | key | value
//! ```
//!
//! The same bytes, in slot order, are the payload of a page (`docs/formats/btree.md`).

use crate::key::VersionKey;

/// Set in the flags when the key length takes four bytes.
const LONG_KEY: u8 = 0x80;

/// Bytes before the key length.
const FIXED: usize = 15;

/// What the value bytes of an entry are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tag {
    /// No value: the key is absent from this version on.
    Tombstone,
    /// The value itself.
    Inline,
    /// The reference of an overflow chain: page, checksum, length.
    Overflow,
    /// The index of a large value that is still in memory; never on disk.
    Pending,
    /// The reference of a child page; only in branches, and only on disk.
    Child,
    /// As [`Tag::Overflow`], but something else owns the chain; only in slices of history.
    Borrowed,
}

impl Tag {
    pub(crate) fn from_flags(flags: u8) -> Option<Self> {
        Some(match flags & !LONG_KEY {
            0 => Self::Tombstone,
            1 => Self::Inline,
            2 => Self::Overflow,
            3 => Self::Pending,
            4 => Self::Child,
            5 => Self::Borrowed,
            _ => return None,
        })
    }

    pub(crate) fn flags(self) -> u8 {
        match self {
            Self::Tombstone => 0,
            Self::Inline => 1,
            Self::Overflow => 2,
            Self::Pending => 3,
            Self::Child => 4,
            Self::Borrowed => 5,
        }
    }
}

/// One entry, decoded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slot<'a> {
    pub(crate) key: VersionKey<'a>,
    pub(crate) tag: Tag,
    pub(crate) value: &'a [u8],
}

/// Sorted entries.
#[derive(Debug, Default)]
pub(crate) struct Slotted {
    heap: Vec<u8>,
    slots: Vec<u32>,
    garbage: usize,
}

/// The bytes that an entry takes.
pub(crate) fn entry_size(key_len: usize, value_len: usize) -> usize {
    FIXED + if key_len > usize::from(u16::MAX) { 4 } else { 2 } + key_len + value_len
}

/// Appends the encoded entry.
pub(crate) fn encode_entry(out: &mut Vec<u8>, key: VersionKey<'_>, tag: Tag, value: &[u8]) {
    let value_len = u16::try_from(value.len()).expect("larger values go to overflow pages");
    let short = u16::try_from(key.key.len());
    out.push(tag.flags() | if short.is_ok() { 0 } else { LONG_KEY });
    out.extend_from_slice(&value_len.to_le_bytes());
    out.extend_from_slice(&key.space.to_le_bytes());
    out.extend_from_slice(&key.age.to_le_bytes());
    match short {
        Ok(len) => out.extend_from_slice(&len.to_le_bytes()),
        Err(_) => {
            let len = u32::try_from(key.key.len()).expect("a key of a batch is below 4 GiB");
            out.extend_from_slice(&len.to_le_bytes());
        }
    }
    out.extend_from_slice(key.key);
    out.extend_from_slice(value);
}

/// Decodes the entry at the front of `bytes`, and its size; `None` if it is not one.
pub(crate) fn decode_entry(bytes: &[u8]) -> Option<(Slot<'_>, usize)> {
    let (fixed, rest) = bytes.split_first_chunk::<FIXED>()?;
    let [flags, v0, v1, s0, s1, s2, s3, age @ ..] = *fixed;
    let tag = Tag::from_flags(flags)?;
    let value_len = usize::from(u16::from_le_bytes([v0, v1]));
    let (key_len, rest) = if flags & LONG_KEY == 0 {
        let (len, rest) = rest.split_first_chunk::<2>()?;
        (usize::from(u16::from_le_bytes(*len)), rest)
    } else {
        let (len, rest) = rest.split_first_chunk::<4>()?;
        (usize::try_from(u32::from_le_bytes(*len)).ok()?, rest)
    };
    let (key, rest) = rest.split_at_checked(key_len)?;
    let value = rest.get(..value_len)?;
    let key = VersionKey {
        space: u32::from_le_bytes([s0, s1, s2, s3]),
        key,
        age: u64::from_le_bytes(age),
    };
    let size = bytes.len() - rest.len() + value_len;
    Some((Slot { key, tag, value }, size))
}

impl Slotted {
    /// Takes encoded entries in ascending order; `None` if the bytes are not `count` such entries.
    pub(crate) fn decode(heap: Vec<u8>, count: usize) -> Option<Self> {
        // A count is not to be trusted for an allocation: no entry is smaller than this.
        if count > heap.len() / (FIXED + 2) {
            return None;
        }
        let mut slots = Vec::with_capacity(count + 8);
        let mut offset = 0;
        let mut last: Option<VersionKey<'_>> = None;
        for _ in 0..count {
            let (slot, size) = decode_entry(&heap[offset..])?;
            if last.is_some_and(|last| last >= slot.key) {
                return None;
            }
            last = Some(slot.key);
            slots.push(u32::try_from(offset).ok()?);
            offset += size;
        }
        (offset == heap.len()).then_some(Self { heap, slots, garbage: 0 })
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Bytes of the live entries.
    pub(crate) fn bytes(&self) -> usize {
        self.heap.len() - self.garbage
    }

    /// Bytes of memory held.
    pub(crate) fn memory(&self) -> usize {
        self.heap.capacity() + self.slots.capacity() * size_of::<u32>()
    }

    /// The entry at `index`.
    pub(crate) fn get(&self, index: usize) -> Slot<'_> {
        decode_entry(&self.heap[self.slots[index] as usize..])
            .expect("entries are checked when they enter the heap")
            .0
    }

    /// The key at `index`, without looking at the value: searches spend their time here.
    #[inline]
    pub(crate) fn key(&self, index: usize) -> VersionKey<'_> {
        let entry = &self.heap[self.slots[index] as usize..];
        let (fixed, rest) = entry.split_first_chunk::<FIXED>().expect("a checked entry");
        let [flags, _, _, s0, s1, s2, s3, age @ ..] = *fixed;
        let key = if flags & LONG_KEY == 0 {
            let (len, rest) = rest.split_first_chunk::<2>().expect("a checked entry");
            &rest[..usize::from(u16::from_le_bytes(*len))]
        } else {
            let (len, rest) = rest.split_first_chunk::<4>().expect("a checked entry");
            &rest[..u32::from_le_bytes(*len) as usize]
        };
        let (space, age) = (u32::from_le_bytes([s0, s1, s2, s3]), u64::from_le_bytes(age));
        VersionKey { space, key, age }
    }

    /// Where `key` is, or where it would go.
    pub(crate) fn search(&self, key: VersionKey<'_>) -> Result<usize, usize> {
        self.search_from(0, key)
    }

    /// As [`Slotted::search`], among the entries from `from` on.
    pub(crate) fn search_from(&self, from: usize, key: VersionKey<'_>) -> Result<usize, usize> {
        let mut low = from;
        let mut high = self.len();
        while low < high {
            let middle = low.midpoint(high);
            match self.key(middle).cmp(&key) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return Ok(middle),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Err(low)
    }

    /// Adds an entry before the one at `index`.
    pub(crate) fn insert(&mut self, index: usize, key: VersionKey<'_>, tag: Tag, value: &[u8]) {
        let offset = u32::try_from(self.heap.len()).expect("a node is far below 4 GiB");
        encode_entry(&mut self.heap, key, tag, value);
        self.slots.insert(index, offset);
    }

    /// Takes the entry at `index` out.
    pub(crate) fn remove(&mut self, index: usize) {
        let slot = self.get(index);
        let size = entry_size(slot.key.key.len(), slot.value.len());
        self.garbage += size;
        self.slots.remove(index);
    }

    /// Moves the entries from `index` on into a node of their own.
    pub(crate) fn split_off(&mut self, index: usize) -> Self {
        let right = self.copy_range(index, self.len());
        *self = self.copy_range(0, index);
        right
    }

    /// A copy, without garbage once there is much of it.
    pub(crate) fn copy(&self) -> Self {
        if self.garbage > self.heap.len() / 4 {
            return self.copy_range(0, self.len());
        }
        let mut heap = Vec::with_capacity(self.heap.len() + self.heap.len() / 8 + 256);
        heap.extend_from_slice(&self.heap);
        let mut slots = Vec::with_capacity(self.slots.len() + 8);
        slots.extend_from_slice(&self.slots);
        Self { heap, slots, garbage: self.garbage }
    }

    fn copy_range(&self, from: usize, to: usize) -> Self {
        let mut copy = Self {
            heap: Vec::with_capacity(self.bytes() + 256),
            slots: Vec::with_capacity(to - from + 8),
            garbage: 0,
        };
        for index in from..to {
            let slot = self.get(index);
            copy.insert(copy.len(), slot.key, slot.tag, slot.value);
        }
        copy
    }

    /// The entries in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Slot<'_>> {
        (0..self.len()).map(|index| self.get(index))
    }

    /// The first index such that the entries before it hold at least half of the bytes, with at
    /// least one entry on each side.
    pub(crate) fn middle(&self) -> usize {
        assert!(self.len() >= 2);
        let mut left = 0;
        for (index, slot) in self.iter().enumerate().take(self.len() - 1) {
            left += entry_size(slot.key.key.len(), slot.value.len());
            if left * 2 >= self.bytes() {
                return index + 1;
            }
        }
        self.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn key(n: u8) -> VersionKey<'static> {
        VersionKey { space: u32::from(n), key: b"k", age: 0 }
    }

    proptest! {
        #[test]
        fn agrees_with_a_map(operations in prop::collection::vec((any::<bool>(), 0u8..20, 0u8..9), 0..200)) {
            let mut slotted = Slotted::default();
            let mut model = BTreeMap::new();
            for (add, n, len) in operations {
                let value = vec![n; usize::from(len)];
                match slotted.search(key(n)) {
                    Ok(index) => {
                        prop_assert!(model.contains_key(&n));
                        slotted.remove(index);
                        if add {
                            slotted.insert(index, key(n), Tag::Inline, &value);
                            model.insert(n, value);
                        } else {
                            model.remove(&n);
                        }
                    }
                    Err(index) => {
                        prop_assert!(index == slotted.len() || slotted.key(index) == slotted.get(index).key);
                        prop_assert!(!model.contains_key(&n));
                        if add {
                            slotted.insert(index, key(n), Tag::Inline, &value);
                            model.insert(n, value);
                        }
                    }
                }
                slotted = slotted.copy();
            }
            let mut encoded = Vec::new();
            for slot in slotted.iter() {
                encode_entry(&mut encoded, slot.key, slot.tag, slot.value);
            }
            prop_assert_eq!(encoded.len(), slotted.bytes());
            let again = Slotted::decode(encoded, model.len()).unwrap();
            let entries: Vec<_> = again.iter().map(|s| (s.key.space as u8, s.value.to_vec())).collect();
            prop_assert_eq!(entries, model.into_iter().collect::<Vec<_>>());
        }

        #[test]
        fn any_bytes_decode_or_not(bytes: Vec<u8>, count in 0usize..10) {
            if let Some(slotted) = Slotted::decode(bytes, count) {
                prop_assert_eq!(slotted.iter().count(), count);
            }
        }
    }
}
