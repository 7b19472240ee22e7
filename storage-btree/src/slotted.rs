//! Sorted entries in one flat allocation: the memory form of a leaf or a branch.
//!
//! Entries lie in a heap in the order they came; two dense arrays give their order: the *head* of each
//! key, which is what its first eight bytes after the node's common prefix say as a number, and the
//! offset of its entry. A search looks at heads only, and at entries where heads are equal [Graefe01].
//! Copying a node for a new version of the tree is three copies of memory, whatever the number of
//! entries. An entry:
//!
//! ```text
//! flags u8 | value length u16 | keyspace u32 | age u64 | key length u16 (u32 if flagged) | key | value
//! ```
//!
//! Pages of format 1 hold the same bytes in slot order; those of format 2 leave out the prefix and
//! shorten the ages ([`crate::packed`]).
//!
//! Invariants
//! * All keys begin with the common prefix. It may be shorter than it could be, never longer. Keys are
//!   sorted, so only a key that comes first or last can shorten it.
//! * The range of ages holds the age of every entry, 0 aside; it too may be wider than it must.

use std::cmp::Ordering;
use std::ops::Range;

use crate::key::VersionKey;
use crate::packed;
use crate::stem::Stem;

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
        Some(match flags {
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
    stem: Stem,
    heads: Vec<u64>,
    offsets: Vec<u32>,
    heap: Vec<u8>,
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
    let tag = Tag::from_flags(flags & !LONG_KEY)?;
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
    pub(crate) fn decode(heap: &[u8], count: usize) -> Option<Self> {
        // A count is not to be trusted for an allocation: no entry is smaller than this.
        if count > heap.len() / (FIXED + 2) {
            return None;
        }
        let mut entries = Unpacked::with_capacity(count, heap.len());
        let mut rest = heap;
        for _ in 0..count {
            let (slot, size) = decode_entry(rest)?;
            entries.push(slot.key, slot.tag, slot.value)?;
            rest = &rest[size..];
        }
        if rest.is_empty() { Some(entries.finish()) } else { None }
    }

    pub(crate) fn len(&self) -> usize {
        self.offsets.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    /// Bytes of the live entries in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.heap.len() - self.garbage
    }

    /// Bytes of the live entries in a page, at most.
    pub(crate) fn packed_bytes(&self) -> usize {
        packed::size(&self.stem, self.len(), self.bytes() - self.len() * (FIXED + 2))
    }

    /// Bytes of memory held.
    pub(crate) fn memory(&self) -> usize {
        self.heap.capacity()
            + self.offsets.capacity() * size_of::<u32>()
            + self.heads.capacity() * size_of::<u64>()
    }

    /// What all keys have in common.
    pub(crate) fn stem(&self) -> &Stem {
        &self.stem
    }

    /// The entry at `index`.
    #[inline]
    pub(crate) fn get(&self, index: usize) -> Slot<'_> {
        decode_entry(&self.heap[self.offsets[index] as usize..])
            .expect("entries are checked when they enter the heap")
            .0
    }

    /// The key at `index`, without looking at the value.
    #[inline]
    pub(crate) fn key(&self, index: usize) -> VersionKey<'_> {
        let entry = &self.heap[self.offsets[index] as usize..];
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

    /// Whether the entry at `index`, which is not the first, is a version of the same key as the one
    /// before.
    #[inline]
    pub(crate) fn continues(&self, index: usize) -> bool {
        self.heads[index - 1] == self.heads[index] && self.key(index - 1).same_key(&self.key(index))
    }

    /// Where `key` is, or where it would go.
    #[inline]
    pub(crate) fn search(&self, key: VersionKey<'_>) -> Result<usize, usize> {
        if self.is_empty() {
            return Err(0);
        }
        match self.stem.compare(key, || self.key(0)) {
            Ordering::Less => return Err(0),
            Ordering::Greater => return Err(self.len()),
            Ordering::Equal => {}
        }
        let head = self.stem.head(key);
        let mut low = self.heads.partition_point(|&other| other < head);
        // Equal heads: nearly always none or one, but all of them where a key has many versions.
        let mut high = low;
        if self.heads.get(low) == Some(&head) {
            match self.key(low).cmp(&key) {
                Ordering::Less => low += 1,
                Ordering::Equal => return Ok(low),
                Ordering::Greater => return Err(low),
            }
            high = low + self.heads[low..].partition_point(|&other| other == head);
        }
        while low < high {
            let middle = low.midpoint(high);
            match self.key(middle).cmp(&key) {
                Ordering::Less => low = middle + 1,
                Ordering::Equal => return Ok(middle),
                Ordering::Greater => high = middle,
            }
        }
        Err(low)
    }

    /// Adds an entry before the one at `index`.
    pub(crate) fn insert(&mut self, index: usize, key: VersionKey<'_>, tag: Tag, value: &[u8]) {
        self.push(index, key, tag, value);
        let mut stem = self.stem;
        stem.admit_age(key.age);
        // Within, a key begins as its neighbours do.
        let is_at_end = index == 0 || index + 1 == self.len();
        let has_changed = is_at_end && stem.admit(self.key(0), self.key(self.len() - 1));
        self.stem = stem;
        if has_changed {
            self.fill_heads();
        } else {
            self.heads.insert(index, stem.head(key));
        }
    }

    /// Adds an entry and leaves its head to [`Slotted::look_again`].
    fn push(&mut self, index: usize, key: VersionKey<'_>, tag: Tag, value: &[u8]) {
        let offset = u32::try_from(self.heap.len()).expect("a node is far below 4 GiB");
        encode_entry(&mut self.heap, key, tag, value);
        self.offsets.insert(index, offset);
    }

    /// Takes the entry at `index` out.
    pub(crate) fn remove(&mut self, index: usize) {
        let slot = self.get(index);
        let size = entry_size(slot.key.key.len(), slot.value.len());
        self.garbage += size;
        self.offsets.remove(index);
        self.heads.remove(index);
        if self.garbage > self.heap.len() / 2 {
            *self = self.copy_range(0, self.len());
        }
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
        let mut offsets = Vec::with_capacity(self.len() + 8);
        offsets.extend_from_slice(&self.offsets);
        let mut heads = Vec::with_capacity(self.len() + 8);
        heads.extend_from_slice(&self.heads);
        Self { heap, offsets, heads, garbage: self.garbage, stem: self.stem }
    }

    fn copy_range(&self, from: usize, to: usize) -> Self {
        let mut copy = Self {
            heap: Vec::with_capacity(self.bytes() + 256),
            offsets: Vec::with_capacity(to - from + 8),
            ..Self::default()
        };
        for index in from..to {
            let slot = self.get(index);
            copy.push(copy.len(), slot.key, slot.tag, slot.value);
        }
        copy.look_again();
        copy
    }

    /// Finds the stem and the heads anew.
    fn look_again(&mut self) {
        if !self.is_empty() {
            let ages = (0..self.len()).map(|index| self.key(index).age);
            self.stem = Stem::of(self.key(0), self.key(self.len() - 1), ages);
        }
        self.fill_heads();
    }

    fn fill_heads(&mut self) {
        let mut heads = std::mem::take(&mut self.heads);
        heads.clear();
        heads.reserve_exact(self.offsets.capacity());
        heads.extend((0..self.len()).map(|index| self.stem.head(self.key(index))));
        self.heads = heads;
    }

    /// The entries in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Slot<'_>> {
        (0..self.len()).map(|index| self.get(index))
    }

    /// The ranges of entries that are of one keyspace each.
    pub(crate) fn spaces(&self) -> Vec<Range<usize>> {
        let mut spaces = Vec::new();
        let mut from = 0;
        while from < self.len() {
            let space = self.key(from).space;
            let one = self.stem.space().is_some();
            let is_other = |index: &usize| self.key(*index).space != space;
            let to = if one { None } else { (from..self.len()).find(is_other) };
            let to = to.unwrap_or(self.len());
            spaces.push(from..to);
            from = to;
        }
        spaces
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

/// Entries on their way from a page into memory.
pub(crate) struct Unpacked {
    entries: Slotted,
}

impl Unpacked {
    /// Room for `count` entries in a heap of about `heap_len` bytes.
    pub(crate) fn with_capacity(count: usize, heap_len: usize) -> Self {
        let (heap, offsets) = (Vec::with_capacity(heap_len), Vec::with_capacity(count));
        Self { entries: Slotted { heap, offsets, ..Slotted::default() } }
    }

    /// Adds an entry; `None` if it is not above the last one.
    pub(crate) fn push(&mut self, key: VersionKey<'_>, tag: Tag, value: &[u8]) -> Option<()> {
        let entries = &mut self.entries;
        if entries.len().checked_sub(1).is_some_and(|last| entries.key(last) >= key) {
            return None;
        }
        entries.push(entries.len(), key, tag, value);
        Some(())
    }

    pub(crate) fn finish(mut self) -> Slotted {
        self.entries.look_again();
        self.entries
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
            let again = Slotted::decode(&encoded, model.len()).unwrap();
            let entries: Vec<_> = again.iter().map(|s| (s.key.space as u8, s.value.to_vec())).collect();
            prop_assert_eq!(entries, model.into_iter().collect::<Vec<_>>());
        }

        #[test]
        fn any_bytes_decode_or_not(bytes: Vec<u8>, count in 0usize..10) {
            if let Some(slotted) = Slotted::decode(&bytes, count) {
                prop_assert_eq!(slotted.iter().count(), count);
            }
        }
    }
}
