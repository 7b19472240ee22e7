//! Packing slices into pages: what a checkpoint does with the slices made since the last.
//!
//! Slices of one keyspace and level share pages, in the order they were made, so that what lies
//! together dies together. A page's reference holds its checksum, so an index can be written only
//! after all that it leads to: level by level.

use std::collections::BTreeMap;
use std::sync::Arc;

use driftdb_storage::{Compression, Result, Timestamp};

use super::catalogue::Entry;
use super::slice::Slice;
use super::{Era, Past, Place, SliceRef};
use crate::codec::Overflow;
use crate::node::{Large, Location};
use crate::page::u32_at;

/// Bytes of a page's payload before the slices: how many there are, and for each its length.
const HEAD: usize = 2;
const LENGTH: usize = 4;

/// What the writer of a checkpoint does for slices.
pub(crate) trait Output {
    /// Writes a chain of one history page, or more if the payload needs it.
    fn history_page(&mut self, payload: &[u8]) -> Result<Location>;

    /// The chain of a large value, written now if it is not on disk; whether the caller owns it.
    fn large(&mut self, large: &Arc<Large>, is_owner: bool) -> Result<Overflow>;
}

/// What was written.
#[derive(Debug, Default)]
pub(crate) struct Packed {
    /// Where each slice lies, by its number.
    pub(crate) places: BTreeMap<u64, SliceRef>,
    pub(crate) entries: Vec<(u32, Entry)>,
}

impl Packed {
    /// Where the slice of `era` lies, if it is written.
    pub(crate) fn place(&self, era: &Era) -> Option<SliceRef> {
        let packed = |slice: &Arc<Slice>| self.places.get(&slice.id).copied();
        era.on_disk().or_else(|| match &era.place {
            Place::Memory(slice) => packed(slice),
            Place::Disk(_) => None,
        })
    }

    /// `past` with every slice by its place; dead eras have none and go.
    pub(crate) fn placed(&self, past: &Past) -> Past {
        let on_disk = |era: &Era| Some(Era { place: Place::Disk(self.place(era)?), ..era.clone() });
        Past::new(past.eras().iter().filter_map(on_disk).collect())
    }
}

/// A page being filled.
#[derive(Default)]
struct Page<'a> {
    slices: Vec<(&'a Arc<Slice>, Vec<u8>)>,
    bytes: usize,
}

/// Writes `slices` to pages of `capacity` bytes.
pub(crate) fn pack(
    slices: &[Arc<Slice>],
    compression: Compression,
    capacity: usize,
    output: &mut dyn Output,
) -> Result<Packed> {
    let mut groups: BTreeMap<(u8, u32), Vec<&Arc<Slice>>> = BTreeMap::new();
    for slice in slices {
        groups.entry((slice.level, slice.space)).or_default().push(slice);
    }
    let mut packed = Packed::default();
    for group in groups.values() {
        let mut page = Page::default();
        for slice in group {
            let mut chains = BTreeMap::new();
            for (large, is_owned) in slice.large() {
                chains.insert(Arc::as_ptr(large), output.large(large, is_owned)?);
            }
            let bytes =
                slice.encode(compression, &mut |large| chains[&Arc::as_ptr(large)], &|era| {
                    packed.place(era)
                });
            let needed = bytes.len() + LENGTH;
            if !page.slices.is_empty() && HEAD + page.bytes + needed > capacity {
                seal(&mut page, &mut packed, output)?;
            }
            page.bytes += needed;
            page.slices.push((slice, bytes));
        }
        seal(&mut page, &mut packed, output)?;
    }
    Ok(packed)
}

fn seal(page: &mut Page<'_>, packed: &mut Packed, output: &mut dyn Output) -> Result<()> {
    let Page { slices, bytes } = std::mem::take(page);
    let Some((first, _)) = slices.first() else { return Ok(()) };
    let mut payload = Vec::with_capacity(HEAD + bytes);
    let count = u16::try_from(slices.len()).expect("a slice takes more than a byte of its page");
    payload.extend_from_slice(&count.to_le_bytes());
    for (_, bytes) in &slices {
        payload.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    }
    slices.iter().for_each(|(_, bytes)| payload.extend_from_slice(bytes));
    let location = output.history_page(&payload)?;
    let mut entry = Entry {
        at: location.at,
        low: Timestamp::MAX,
        high: Timestamp::MIN,
        is_simple: location.more.is_empty(),
    };
    for (slot, (slice, _)) in (0..count).zip(&slices) {
        packed.places.insert(slice.id, SliceRef { page: location.at, slot });
        entry.low = entry.low.min(slice.low);
        entry.high = entry.high.max(slice.high);
        entry.low = entry.low.min(slice.oldest_owned());
        entry.is_simple &= slice.oldest_owned() == Timestamp::MAX;
    }
    packed.entries.push((first.space, entry));
    Ok(())
}

/// The slices in the payload of a history page; `None` if it is malformed.
pub(crate) fn unpack(payload: &[u8]) -> Option<Vec<&[u8]>> {
    let (count, mut lengths) = payload.split_first_chunk::<HEAD>()?;
    let count = usize::from(u16::from_le_bytes(*count));
    let mut rest = lengths.get(count * LENGTH..)?;
    let mut slices = Vec::with_capacity(count);
    for _ in 0..count {
        let (slice, after) = rest.split_at_checked(u32_at(lengths, 0) as usize)?;
        slices.push(slice);
        (lengths, rest) = (&lengths[LENGTH..], after);
    }
    rest.is_empty().then_some(slices)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_payload_is_slices_or_not(payload: Vec<u8>) {
            if let Some(slices) = unpack(&payload) {
                let bytes: usize = slices.iter().map(|slice| slice.len() + LENGTH).sum();
                prop_assert_eq!(bytes + HEAD, payload.len());
            }
        }
    }
}
