//! Packing slices into pages: what a checkpoint does with the slices made since the last.
//!
//! Slices of one keyspace and level share pages, in the order they were made, so that what lies
//! together dies together. A page's reference holds its checksum, so an index can be written only
//! after all that it leads to: level by level.

use std::collections::BTreeMap;
use std::sync::Arc;

use driftdb_storage::{Compression, KeyspaceId, Result, Timestamp};

use super::catalogue::Entry;
use super::slice::{Compressor, Slice};
use super::{Era, Past, Place, SliceRef};
use crate::codec::Overflow;
use crate::facts::Facts;
use crate::node::{Large, Location};
use crate::page::u32_at;
use crate::pager::Pager;

/// Bytes of a page's payload before the slices: how many there are, and for each its length.
const HEAD: usize = 2;
const LENGTH: usize = 4;

/// What the writer of a checkpoint does for slices.
pub(crate) trait Output {
    /// How slices are compressed, and the bytes of payload that a page has.
    fn shape(&self) -> (Compression, usize);

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
            Place::Disk(..) => None,
        })
    }

    /// `past` with every slice by its place; dead eras have none and go.
    pub(crate) fn placed(&self, past: &Past) -> Past {
        let on_disk =
            |era: &Era| Some(Era { place: Place::on_disk(self.place(era)?), ..era.clone() });
        Past::new(past.eras().iter().filter_map(on_disk).collect())
    }
}

/// Slices on their way to pages.
#[derive(Debug, Default)]
pub(crate) struct Packing {
    /// Those to write, by level and keyspace, and the number of those that are done.
    live: Vec<Arc<Slice>>,
    done: usize,
    /// Those that nobody may follow any more: they are not written.
    dead: Vec<Arc<Slice>>,
    /// The page being filled.
    page: Page,
    compressor: Compressor,
    pub(crate) packed: Packed,
}

/// A page being filled.
#[derive(Debug, Default)]
struct Page {
    slices: Vec<(Arc<Slice>, Vec<u8>)>,
    bytes: usize,
}

impl Packing {
    /// Begins with `slices`, of which `facts` tells those that are dead already.
    pub(crate) fn new(slices: &[Arc<Slice>], facts: &Facts) -> Self {
        let is_dead = |slice: &Arc<Slice>| {
            let low = slice.low.min(slice.oldest_owned());
            facts.is_dead(KeyspaceId(slice.space), low, slice.high)
        };
        let (dead, mut live): (Vec<_>, Vec<_>) = slices.iter().cloned().partition(is_dead);
        live.sort_by_key(|slice| (slice.level, slice.space));
        Self { live, dead, ..Self::default() }
    }

    /// The pages of large values that were owned by slices which are not written.
    ///
    /// # Errors
    /// I/O; damage.
    pub(crate) fn owned_by_dead(&self, pager: &Pager) -> Result<Vec<u64>> {
        let mut pages = Vec::new();
        for slice in &self.dead {
            pages.extend(slice.owned_pages(pager)?);
        }
        Ok(pages)
    }

    /// Writes slices to pages, until about `bytes` are gathered, but at least one; true once all are
    /// written.
    ///
    /// # Errors
    /// I/O; a full disk.
    pub(crate) fn step(&mut self, output: &mut dyn Output, bytes: usize) -> Result<bool> {
        let mut gathered = 0;
        while let Some(slice) = self.live.get(self.done).cloned() {
            if gathered >= bytes {
                return Ok(false);
            }
            self.done += 1;
            gathered += self.add(slice, output)?;
        }
        self.seal(output)?;
        Ok(true)
    }

    /// How many slices lie on pages.
    pub(crate) fn written_count(&self) -> usize {
        self.packed.places.len()
    }

    /// Puts a slice on the page being filled, or on the next; gives its bytes in memory.
    fn add(&mut self, slice: Arc<Slice>, output: &mut dyn Output) -> Result<usize> {
        let mut chains = BTreeMap::new();
        for (large, is_owned) in slice.large() {
            chains.insert(Arc::as_ptr(large), output.large(large, is_owned)?);
        }
        let is_of_page = self
            .page
            .slices
            .first()
            .is_none_or(|(first, _)| (first.level, first.space) == (slice.level, slice.space));
        if !is_of_page {
            // Before the slice is encoded: an index names pages of the level below.
            self.seal(output)?;
        }
        let (compression, capacity) = output.shape();
        let bytes = slice.encode(
            compression,
            &mut self.compressor,
            &mut |large| chains[&Arc::as_ptr(large)],
            &|era| self.packed.place(era),
        );
        let needed = bytes.len() + LENGTH;
        if HEAD + self.page.bytes + needed > capacity {
            self.seal(output)?;
        }
        let memory = slice.leaf().entries.memory();
        self.page.bytes += needed;
        self.page.slices.push((slice, bytes));
        Ok(memory)
    }

    /// Writes the page being filled, if it has slices.
    fn seal(&mut self, output: &mut dyn Output) -> Result<()> {
        let Page { slices, bytes } = std::mem::take(&mut self.page);
        let Some((first, _)) = slices.first() else { return Ok(()) };
        let mut payload = Vec::with_capacity(HEAD + bytes);
        let count =
            u16::try_from(slices.len()).expect("a slice takes more than a byte of its page");
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
            self.packed.places.insert(slice.id, SliceRef { page: location.at, slot });
            entry.low = entry.low.min(slice.low).min(slice.oldest_owned());
            entry.high = entry.high.max(slice.high);
            entry.is_simple &= slice.oldest_owned() == Timestamp::MAX;
        }
        self.packed.entries.push((first.space, entry));
        Ok(())
    }
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
