//! One slice: the versions of a leaf in one era, or an index over older slices.
//!
//! In memory a slice is a leaf, so that what reads leaves reads slices. On disk its entries are
//! packed: each key by what it shares with the one before, each time by the distance to the newer
//! version of its key, and all of it compressed. The format: `docs/formats/btree.md`.

use std::io::Read;
use std::sync::{Arc, OnceLock};

use driftdb_storage::{Compression, Result, Timestamp, read_varint, write_varint};

use super::{Era, Past, SliceRef};
use crate::codec::Overflow;
use crate::key::VersionKey;
use crate::node::{Large, Leaf, Node, OVERFLOW_BYTES};
use crate::pager::Pager;
use crate::slotted::{Slot, Tag, Unpacked};

/// A slice that no checkpoint had written when it was made.
#[derive(Debug)]
pub(crate) struct Slice {
    /// Counts slices; an index has a higher number than all that it leads to.
    pub(crate) id: u64,
    pub(crate) space: u32,
    pub(crate) level: u8,
    pub(crate) low: Timestamp,
    pub(crate) high: Timestamp,
    /// Its versions, or its eras, as a leaf that no tree leads to.
    pub(crate) node: Arc<Node>,
    /// Entries whose large value, in memory, the leaf keeps as well: ascending indexes.
    pub(crate) kept: Vec<usize>,
    /// Where it lies, once a checkpoint has written it.
    pub(crate) location: OnceLock<SliceRef>,
}

/// A slice as read.
#[derive(Debug, Default)]
pub(crate) struct Content {
    pub(crate) leaf: Leaf,
    /// Overflow chains that are freed with the slice.
    pub(crate) owned: Vec<Overflow>,
}

/// Zstandard's level: beyond it history shrinks by a few per cent at several times the cost.
const ZSTD_LEVEL: i32 = 3;

/// No content is longer: far above a leaf of the longest keys that a log record takes.
const MAX_CONTENT: u64 = 1 << 31;

/// LZ4 cannot do better than this.
const LZ4_MAX_RATIO: u64 = 256;

/// Bytes of the smallest version: four numbers and a tag.
const MIN_VERSION: usize = 5;

impl Slice {
    pub(crate) fn leaf(&self) -> &Leaf {
        self.node.leaf()
    }

    /// The large values that go with the slice.
    fn owned(&self) -> impl Iterator<Item = Slot<'_>> {
        let is_owned = |(index, slot): &(usize, Slot<'_>)| match slot.tag {
            Tag::Overflow => true,
            Tag::Pending => self.kept.binary_search(index).is_err(),
            _ => false,
        };
        self.leaf().entries.iter().enumerate().filter(is_owned).map(|(_, slot)| slot)
    }

    /// The large values in memory, and whether they go with the slice.
    pub(crate) fn large(&self) -> impl Iterator<Item = (&Arc<Large>, bool)> {
        let pending = self.leaf().entries.iter().enumerate().filter(|(_, s)| s.tag == Tag::Pending);
        pending.map(|(index, slot)| {
            (self.leaf().pending(slot.value), self.kept.binary_search(&index).is_err())
        })
    }

    /// When the oldest of the large values that go with the slice was made. A pin anywhere in the life
    /// of such a value keeps its chain, not only within the era: older slices may lead to it.
    pub(crate) fn oldest_owned(&self) -> Timestamp {
        self.owned().map(|slot| slot.key.ts()).min().unwrap_or(Timestamp::MAX)
    }

    /// The pages of large values that go with the slice, which is not written.
    ///
    /// # Errors
    /// I/O; damage.
    pub(crate) fn owned_pages(&self, pager: &Pager) -> Result<Vec<u64>> {
        let mut pages = Vec::new();
        for slot in self.owned() {
            if slot.tag == Tag::Overflow {
                let chain = pager.read_overflow(Overflow::decode(slot.value))?;
                pages.extend(chain.location.pages());
            } else if let Some(location) = self.leaf().pending(slot.value).location.get() {
                pages.extend(location.pages());
            }
        }
        Ok(pages)
    }

    /// The bytes of the slice. `overflow` gives the chain of a large value, `place` that of an era.
    pub(crate) fn encode(
        &self,
        compression: Compression,
        compressor: &mut Compressor,
        overflow: &mut dyn FnMut(&Arc<Large>) -> Overflow,
        place: &dyn Fn(&Era) -> Option<SliceRef>,
    ) -> Vec<u8> {
        let mut content = Vec::with_capacity(self.leaf().entries.bytes());
        if self.level > 0 {
            self.leaf().past.encode(place, &mut content);
        } else {
            self.encode_versions(overflow, &mut content);
        }
        compressor.compress(compression, self.level, &content)
    }

    fn encode_versions(
        &self,
        overflow: &mut dyn FnMut(&Arc<Large>) -> Overflow,
        out: &mut Vec<u8>,
    ) {
        write_varint(out, u64::from(self.space));
        write_varint(out, self.high.0);
        write_varint(out, self.leaf().entries.len() as u64);
        let (mut last_key, mut last_ts): (&[u8], _) = (&[], self.high.0);
        for (index, slot) in self.leaf().entries.iter().enumerate() {
            let shared = last_key.iter().zip(slot.key.key).take_while(|(a, b)| a == b).count();
            let is_same_key = index > 0 && last_key == slot.key.key;
            let rest = &slot.key.key[shared..];
            let reference;
            let (tag, value) = match slot.tag {
                Tag::Pending => {
                    reference = overflow(self.leaf().pending(slot.value)).encode();
                    let kept = self.kept.binary_search(&index).is_ok();
                    (if kept { Tag::Borrowed } else { Tag::Overflow }, &reference[..])
                }
                tag => (tag, slot.value),
            };
            write_varint(out, shared as u64);
            write_varint(out, rest.len() as u64);
            out.extend_from_slice(rest);
            let newer = if is_same_key { last_ts } else { self.high.0 };
            write_varint(out, newer - slot.key.ts().0);
            out.push(tag.flags());
            write_varint(out, value.len() as u64);
            out.extend_from_slice(value);
            (last_key, last_ts) = (slot.key.key, slot.key.ts().0);
        }
    }
}

/// Compresses one slice after another.
#[derive(Default)]
pub(crate) struct Compressor {
    /// A context is dear to make.
    zstd: Option<zstd::bulk::Compressor<'static>>,
}

impl std::fmt::Debug for Compressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compressor").finish_non_exhaustive()
    }
}

impl Compressor {
    /// The bytes of a slice. History is read seldom and kept for long, so that it gets the codec that
    /// makes it smaller, whatever is set for tables; only `None` means none.
    fn compress(&mut self, compression: Compression, level: u8, content: &[u8]) -> Vec<u8> {
        let packed = match compression {
            Compression::None => None,
            Compression::Lz4 | Compression::Zstd => self.zstd(content),
        };
        // What does not shrink is kept as it is.
        let packed = packed.filter(|packed| packed.len() < content.len());
        let (codec, body) = packed.as_ref().map_or((0, content), |packed| (2, packed));
        let mut out = Vec::with_capacity(body.len() + 8);
        out.push(level);
        out.push(codec);
        write_varint(&mut out, content.len() as u64);
        out.extend_from_slice(body);
        out
    }

    fn zstd(&mut self, content: &[u8]) -> Option<Vec<u8>> {
        if self.zstd.is_none() {
            self.zstd = Some(zstd::bulk::Compressor::new(ZSTD_LEVEL).ok()?);
        }
        self.zstd.as_mut()?.compress(content).ok()
    }
}

fn decompress(codec: u8, len: u64, body: &[u8]) -> Option<Vec<u8>> {
    if len > MAX_CONTENT {
        return None;
    }
    let content = match codec {
        0 => body.to_vec(),
        // The buffer is made before the bytes prove that it is needed.
        1 if len <= (body.len() as u64).saturating_mul(LZ4_MAX_RATIO) => {
            lz4_flex::block::decompress(body, usize::try_from(len).ok()?).ok()?
        }
        2 => {
            let mut content = Vec::new();
            let decoder = zstd::stream::read::Decoder::new(body).ok()?;
            decoder.take(len + 1).read_to_end(&mut content).ok()?;
            content
        }
        _ => return None,
    };
    (content.len() as u64 == len).then_some(content)
}

/// Decodes what [`Slice::encode`] wrote; `None` if the bytes are something else.
pub(crate) fn decode(bytes: &[u8]) -> Option<(u8, Content)> {
    let (&[level, codec], mut rest) = bytes.split_first_chunk::<2>()?;
    let len = read_varint(&mut rest)?;
    let content = decompress(codec, len, rest)?;
    if level > 0 {
        let past = Past::decode(&content)?;
        let falls = past.eras().iter().all(|era| era.level < level);
        let leaf = Leaf { past, ..Leaf::default() };
        return falls.then(|| (level, Content { leaf, owned: Vec::new() }));
    }
    Some((0, decode_versions(&content)?))
}

fn decode_versions(mut bytes: &[u8]) -> Option<Content> {
    let bytes = &mut bytes;
    let space = u32::try_from(read_varint(bytes)?).ok()?;
    let high = read_varint(bytes)?;
    let count = read_varint(bytes)?;
    // A count is not to be trusted for an allocation: no version is smaller than this.
    let most = usize::try_from(count).ok()?.min(bytes.len() / MIN_VERSION);
    let mut entries = Unpacked::with_capacity(most, bytes.len());
    let mut owned = Vec::new();
    let (mut key, mut last_ts) = (Vec::new(), high);
    for index in 0..count {
        let shared = usize::try_from(read_varint(bytes)?).ok().filter(|n| *n <= key.len())?;
        let rest = take(bytes)?;
        let is_same_key = index > 0 && shared == key.len() && rest.is_empty();
        key.truncate(shared);
        key.extend_from_slice(rest);
        let newer = if is_same_key { last_ts } else { high };
        let ts = newer.checked_sub(read_varint(bytes)?)?;
        if ts == newer {
            return None;
        }
        let (&flags, after) = bytes.split_first()?;
        *bytes = after;
        let (tag, value) = (Tag::from_flags(flags)?, take(bytes)?);
        let valid = match tag {
            Tag::Tombstone => value.is_empty(),
            Tag::Inline => u16::try_from(value.len()).is_ok(),
            Tag::Overflow | Tag::Borrowed => {
                value.len() == OVERFLOW_BYTES && !Overflow::decode(value).at.is_none()
            }
            Tag::Pending | Tag::Child => false,
        };
        if !valid {
            return None;
        }
        if tag == Tag::Overflow {
            owned.push(Overflow::decode(value));
        }
        let version = VersionKey { space, key: &key, age: !ts };
        entries.push(version, tag, value)?;
        last_ts = ts;
    }
    let leaf = Leaf { entries: entries.finish(), ..Leaf::default() };
    bytes.is_empty().then_some(Content { leaf, owned })
}

fn take<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::try_from(read_varint(bytes)?).ok()?;
    let (taken, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn slice(versions: &BTreeMap<(Vec<u8>, u64), Option<Vec<u8>>>) -> Slice {
        let mut leaf = Leaf::default();
        for ((key, age), value) in versions {
            let key = VersionKey { space: 4, key, age: !(100 - age) };
            leaf.insert(leaf.entries.len(), key, value.as_deref(), 60_000);
        }
        let (low, high) = (Timestamp(0), Timestamp(101));
        let (kept, location) = (Vec::new(), OnceLock::new());
        let node = Arc::new(Node::of_slice(leaf));
        Slice { id: 0, space: 4, level: 0, low, high, node, kept, location }
    }

    fn encode(slice: &Slice, compression: Compression) -> Vec<u8> {
        slice.encode(
            compression,
            &mut Compressor::default(),
            &mut |_| unreachable!("no large values"),
            &|_| None,
        )
    }

    proptest! {
        #[test]
        fn versions_come_back(
            versions in prop::collection::btree_map(
                (prop::collection::vec(0u8..3, 0..4), 0u64..100),
                prop::option::of(prop::collection::vec(any::<u8>(), 0..40)),
                0..60,
            ),
        ) {
            let slice = slice(&versions);
            for compression in [Compression::None, Compression::Lz4, Compression::Zstd] {
                let bytes = encode(&slice, compression);
                let (level, again) = decode(&bytes).expect("what was encoded decodes");
                prop_assert_eq!(level, 0);
                let found: Vec<_> = again.leaf.entries.iter().map(|s| (s.key.to_owned(), s.tag, s.value.to_vec())).collect();
                let put: Vec<_> = slice.leaf().entries.iter().map(|s| (s.key.to_owned(), s.tag, s.value.to_vec())).collect();
                prop_assert_eq!(found, put);
            }
        }

        #[test]
        fn any_bytes_are_a_slice_or_not(level in 0u8..2, codec in 0u8..4, bytes: Vec<u8>) {
            let _content = decode(&[&[level, codec], &bytes[..]].concat());
        }
    }

    #[test]
    fn a_length_alone_makes_no_buffer() {
        for codec in 0..3 {
            let mut bytes = vec![0, codec];
            write_varint(&mut bytes, MAX_CONTENT);
            bytes.extend_from_slice(&[0; 9]);
            assert!(decode(&bytes).is_none());
        }
    }
}
