//! Entries in a page of format 2: what a node's keys have in common is written once.
//!
//! ```text
//! keyspaces u8 | prefix length u8 | age width u8 | least age u64 | keyspace u32, if one | prefix
//! entry: flags u8 | value length u16 | rest length u16 (u32 if flagged)
//!        | keyspace u32, if there are several | age - least age, in that width | rest of key | value
//! ```
//!
//! An age of 0, which separators have, is a flag and takes no bytes. Unpacking gives entries with
//! whole keys, so a reader is lent a key without putting it together; it grows a page by at most 255
//! bytes per entry, whatever the page says.

use crate::key::VersionKey;
use crate::slotted::{Slotted, Tag, Unpacked};
use crate::stem::{MAX_PREFIX, Stem};

/// Set in the flags when the length of the rest of the key takes four bytes.
const LONG_KEY: u8 = 0x80;

/// Set in the flags when the age is 0.
const NO_AGE: u8 = 0x40;

/// Bytes of the head before the keyspace.
const HEAD: usize = 11;

/// Bytes of an entry before its age.
const FIXED: usize = 5;

const SPACE: usize = size_of::<u32>();

/// Bytes that `count` entries take at most, if their keys and values have `content` bytes.
pub(crate) fn size(stem: &Stem, count: usize, content: usize) -> usize {
    let (once, each) = match stem.space() {
        Some(_) => (SPACE + stem.prefix_len(), 0),
        None => (0, SPACE),
    };
    let content = content - stem.prefix_len() * count;
    HEAD + once + count * (FIXED + each + stem.age_width()) + content
}

/// Writes entries after what `stem` says of them.
pub(crate) struct Packer<'a> {
    stem: &'a Stem,
    out: &'a mut Vec<u8>,
}

impl<'a> Packer<'a> {
    /// `first` is one of the entries' keys, or anything if there are none.
    pub(crate) fn new(stem: &'a Stem, first: VersionKey<'_>, out: &'a mut Vec<u8>) -> Self {
        out.push(u8::from(stem.space().is_none()));
        out.push(u8::try_from(stem.prefix_len()).expect("a prefix is at most 255 bytes"));
        out.push(u8::try_from(stem.age_width()).expect("a width is at most 8"));
        out.extend_from_slice(&stem.least_age().to_le_bytes());
        if let Some(space) = stem.space() {
            out.extend_from_slice(&space.to_le_bytes());
            out.extend_from_slice(&first.key[..stem.prefix_len()]);
        }
        Self { stem, out }
    }

    pub(crate) fn push(&mut self, key: VersionKey<'_>, tag: Tag, value: &[u8]) {
        let value_len = u16::try_from(value.len()).expect("larger values go to overflow pages");
        let rest = &key.key[self.stem.prefix_len()..];
        let short = u16::try_from(rest.len());
        let long = if short.is_ok() { 0 } else { LONG_KEY };
        let no_age = if key.age == 0 { NO_AGE } else { 0 };
        self.out.push(tag.flags() | long | no_age);
        self.out.extend_from_slice(&value_len.to_le_bytes());
        match short {
            Ok(len) => self.out.extend_from_slice(&len.to_le_bytes()),
            Err(_) => {
                let len = u32::try_from(rest.len()).expect("a key of a batch is below 4 GiB");
                self.out.extend_from_slice(&len.to_le_bytes());
            }
        }
        if self.stem.space().is_none() {
            self.out.extend_from_slice(&key.space.to_le_bytes());
        }
        if key.age != 0 {
            let age = (key.age - self.stem.least_age()).to_le_bytes();
            self.out.extend_from_slice(&age[..self.stem.age_width()]);
        }
        self.out.extend_from_slice(rest);
        self.out.extend_from_slice(value);
    }
}

/// The entries in `bytes`; `None` if they are not `count` packed entries in ascending order.
pub(crate) fn unpack(bytes: &[u8], count: usize) -> Option<Slotted> {
    let (&[several, prefix_len, width, least @ ..], rest) = bytes.split_first_chunk::<HEAD>()?;
    let least = u64::from_le_bytes(least);
    // A count is not to be trusted for an allocation: no entry is smaller than this.
    if several > 1 || width > 8 || (several == 1 && prefix_len > 0) || count > rest.len() / FIXED {
        return None;
    }
    let mut reader = Reader(rest);
    let one_space = if several == 0 { Some(reader.space()?) } else { None };
    let prefix = reader.take(usize::from(prefix_len))?;
    assert!(prefix.len() <= MAX_PREFIX);
    let mut entries = Unpacked::with_capacity(count, bytes.len() + count * (prefix.len() + 12));
    let mut key = prefix.to_vec();
    for _ in 0..count {
        let [flags, v0, v1] = reader.array()?;
        let tag = Tag::from_flags(flags & !(LONG_KEY | NO_AGE))?;
        let rest_len = if flags & LONG_KEY == 0 {
            usize::from(u16::from_le_bytes(reader.array()?))
        } else {
            usize::try_from(u32::from_le_bytes(reader.array()?)).ok()?
        };
        let space = match one_space {
            Some(space) => space,
            None => reader.space()?,
        };
        let age = if flags & NO_AGE == 0 {
            let mut above = [0; 8];
            above[..usize::from(width)].copy_from_slice(reader.take(usize::from(width))?);
            least.checked_add(u64::from_le_bytes(above))?
        } else {
            0
        };
        key.truncate(prefix.len());
        key.extend_from_slice(reader.take(rest_len)?);
        let value = reader.take(usize::from(u16::from_le_bytes([v0, v1])))?;
        entries.push(VersionKey { space, key: &key, age }, tag, value)?;
    }
    if reader.0.is_empty() { Some(entries.finish()) } else { None }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn space(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.array()?))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn entries_come_back_and_take_no_more_than_was_said(
            keys in prop::collection::btree_set(
                (0u32..2, prop::collection::vec(0u8..3, 0..40), prop_oneof![0u64..5, any::<u64>()]), 0..30),
            value in prop::collection::vec(any::<u8>(), 0..9),
        ) {
            let mut slotted = Slotted::default();
            for (space, key, age) in &keys {
                let key = VersionKey { space: *space, key, age: *age };
                slotted.insert(slotted.len(), key, Tag::Inline, &value);
            }
            let mut out = Vec::new();
            let first = keys.first().map_or(VersionKey::LOWEST, |_| slotted.key(0));
            let mut packer = Packer::new(slotted.stem(), first, &mut out);
            slotted.iter().for_each(|slot| packer.push(slot.key, slot.tag, slot.value));
            prop_assert!(out.len() <= slotted.packed_bytes());
            let again = unpack(&out, keys.len()).unwrap();
            prop_assert_eq!(again.len(), keys.len());
            for (slot, (space, key, age)) in again.iter().zip(&keys) {
                prop_assert_eq!((slot.key.space, slot.key.key, slot.key.age), (*space, &key[..], *age));
                prop_assert_eq!(slot.value, &value[..]);
            }
        }

        #[test]
        fn any_bytes_unpack_or_not(bytes: Vec<u8>, count in 0usize..10) {
            if let Some(slotted) = unpack(&bytes, count) {
                prop_assert_eq!(slotted.len(), count);
            }
        }
    }
}
