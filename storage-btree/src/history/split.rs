//! Splitting a leaf by time, and moving old eras of its list into an index.

use std::sync::{Arc, OnceLock};

use driftdb_storage::Timestamp;

use super::slice::Slice;
use super::{Era, Past, Place};
use crate::node::{Leaf, Node};
use crate::slotted::{Slot, Tag, entry_size};

/// Slices that wait for a checkpoint.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    pub(crate) slices: Vec<Arc<Slice>>,
    made: u64,
    is_off: bool,
}

/// A leaf is split by time if at least one part in so many of it is superseded.
const WORTHWHILE: usize = 3;

/// A slice that waits for a checkpoint takes in the next era of its leaf up to about this many pages,
/// uncompressed. Larger ones hold fewer copies and cost more to read.
const SLICE_PAGES: usize = 4;

/// Eras of a keyspace and a level that a list holds before they move to an index.
fn fanout(capacity: usize) -> usize {
    (capacity / 1024).clamp(4, 8)
}

impl Pending {
    /// Splits no more leaves: for versions that do not come in the order of time, so that no time is over.
    pub(crate) fn turn_off(&mut self) {
        self.is_off = true;
    }

    /// Takes back the slices of a checkpoint that failed.
    pub(crate) fn put_back(&mut self, slices: Vec<Arc<Slice>>) {
        let newer = std::mem::replace(&mut self.slices, slices);
        self.slices.extend(newer);
    }

    fn add(&mut self, leaf: Leaf, kept: Vec<usize>, era: (u32, u8, Timestamp, Timestamp)) -> Era {
        let (space, level, low, high) = era;
        let (id, node, location) = (self.made, Arc::new(Node::of_slice(leaf)), OnceLock::new());
        self.made += 1;
        let slice = Arc::new(Slice { id, space, level, low, high, node, kept, location });
        self.slices.push(Arc::clone(&slice));
        Era { space, level, low, high, place: Place::Memory(slice) }
    }

    /// Moves the superseded versions of `leaf` into slices, if they are enough of it; gives the bytes
    /// of the slices, or 0 if nothing was moved.
    pub(crate) fn split(&mut self, leaf: &mut Leaf, capacity: usize) -> usize {
        if self.is_off {
            return 0;
        }
        if !(1..leaf.entries.len()).any(|index| leaf.entries.continues(index)) {
            return 0;
        }
        let leaving = leaving(leaf);
        let size = |slot: Slot<'_>| entry_size(slot.key.key.len(), slot.value.len());
        let moved: usize = leaving
            .iter()
            .enumerate()
            .filter(|(_, until)| until.is_some())
            .map(|(index, _)| size(leaf.entries.get(index)))
            .sum();
        let only_key = leaf.entries.key(0).same_key(&leaf.entries.key(leaf.entries.len() - 1));
        if moved == 0 || (moved * WORTHWHILE < leaf.entries.bytes() && !only_key) {
            return 0;
        }
        let may_extend = leaf.past.is_unshared();
        let mut eras = leaf.past.eras().to_vec();
        let mut bytes = 0;
        for range in leaf.entries.spaces() {
            let Some(high) = leaving[range.clone()].iter().flatten().max().copied() else {
                continue;
            };
            let space = leaf.entries.key(range.start).space;
            let (slice, kept) = cut(leaf, &leaving, range, high);
            let end = eras.partition_point(|era| era.space <= space);
            let last = eras[..end].last_mut().filter(|era| may_extend && era.space == space);
            let limit = capacity * SLICE_PAGES;
            if let Some(at) = last.as_ref().and_then(|era| self.extensible(era, limit))
                && let Some(last) = last
            {
                bytes += self.extend(at, last, &slice, &kept, high);
                continue;
            }
            bytes += slice.entries.memory();
            let era = self.add(slice, kept, (space, 0, leaf.past.end_of(space), high));
            eras.insert(end, era);
            self.index(&mut eras, space, fanout(capacity));
        }
        let staying: Vec<usize> =
            (0..leaving.len()).filter(|index| leaving[*index].is_none()).collect();
        let stays = staying.iter().map(|&index| (&*leaf, index, leaf.entries.get(index).tag));
        let stays = Leaf::gather(stays, leaving.len(), leaf.entries.bytes());
        *leaf = Leaf { past: Past::new(eras), ..stays };
        bytes
    }

    /// Where the slice of `era` waits, if it is below `limit` bytes and only one list leads to it: that of
    /// the leaf being split, and the copy of it that `era` is in.
    fn extensible(&self, era: &Era, limit: usize) -> Option<usize> {
        const REFERENCES: usize = 3;
        let Place::Memory(slice) = &era.place else { return None };
        let is_small = era.level == 0 && slice.leaf().entries.bytes() < limit;
        if !is_small || Arc::strong_count(slice) > REFERENCES {
            return None;
        }
        let at = self.slices.binary_search_by_key(&slice.id, |slice| slice.id).ok()?;
        Arc::ptr_eq(&self.slices[at], slice).then_some(at)
    }

    /// Makes the slice at `at`, the one of `era`, go on until `high` with what `newer` has: copies of
    /// versions that live long are then not made for each of two eras. Gives the bytes that it grew by.
    fn extend(
        &mut self,
        at: usize,
        era: &mut Era,
        newer: &Leaf,
        newer_kept: &[usize],
        high: Timestamp,
    ) -> usize {
        let older = &self.slices[at];
        let before = older.leaf().entries.memory();
        let of_newer = (0..newer.entries.len()).map(|index| (newer, index, newer_kept));
        let of_older = 0..older.leaf().entries.len();
        let of_older = of_older.map(|index| (older.leaf(), index, &older.kept[..]));
        let mut entries: Vec<_> = of_newer.chain(of_older).collect();
        // Stable: of a version that both have, the newer tells who owns its large value.
        entries.sort_by(|(a, i, _), (b, j, _)| a.entries.key(*i).cmp(&b.entries.key(*j)));
        entries.dedup_by(|(a, i, _), (b, j, _)| a.entries.key(*i) == b.entries.key(*j));
        let is_kept = |&(_, (_, index, kept)): &(usize, &(&Leaf, usize, &[usize]))| {
            kept.binary_search(index).is_ok()
        };
        let kept = entries.iter().enumerate().filter(is_kept).map(|(index, _)| index).collect();
        let bytes = newer.entries.bytes() + older.leaf().entries.bytes();
        let tagged =
            entries.iter().map(|(from, index, _)| (*from, *index, from.entries.get(*index).tag));
        let leaf = Leaf::gather(tagged, entries.len(), bytes);
        let grown = leaf.entries.memory().saturating_sub(before);
        let (node, location) = (Arc::new(Node::of_slice(leaf)), OnceLock::new());
        let Slice { id, space, level, low, .. } = **older;
        let slice = Arc::new(Slice { id, space, level, low, high, node, kept, location });
        self.slices[at] = Arc::clone(&slice);
        *era = Era { space, level, low, high, place: Place::Memory(slice) };
        grown
    }

    /// While the newest level of `space` is full, moves it into one slice of the next level.
    fn index(&mut self, eras: &mut Vec<Era>, space: u32, fanout: usize) {
        // Levels fall towards the newest era, since only whole levels move up.
        while let Some(newest) = eras.iter().rposition(|era| era.space == space) {
            let level = eras[newest].level;
            let other = |era: &Era| era.space != space || era.level != level;
            let from = eras[..newest].iter().rposition(other).map_or(0, |at| at + 1);
            if newest + 1 - from < fanout {
                return;
            }
            let (low, high) = (eras[from].low, eras[newest].high);
            let leaf = Leaf { past: Past::new(eras[from..=newest].to_vec()), ..Leaf::default() };
            let index = self.add(leaf, Vec::new(), (space, level + 1, low, high));
            eras.splice(from..=newest, [index]);
        }
    }
}

/// For each version, when it was superseded, if it leaves: if anything of its keyspace was superseded after
/// the last split, so that there is an era. A version that was superseded at the very time of that split (by
/// a later operation of the batch that caused it) has a copy in the slice of then, and leaves with the
/// others: it is read in neither era, but the later slice owns it.
fn leaving(leaf: &Leaf) -> Vec<Option<Timestamp>> {
    let entries = &leaf.entries;
    let superseded =
        |index: usize| (index > 0 && entries.continues(index)).then(|| entries.key(index - 1).ts());
    let mut leaving: Vec<_> = (0..entries.len()).map(superseded).collect();
    for space in entries.spaces() {
        let has_era = leaving[space.clone()].iter().flatten().max();
        let since = leaf.past.end_of(entries.key(space.start).space);
        if has_era.is_none_or(|newest| *newest <= since) {
            leaving[space].fill(None);
        }
    }
    leaving
}

/// The versions within `range` made before `high`, and which large ones the leaf keeps as well.
fn cut(
    leaf: &Leaf,
    leaving: &[Option<Timestamp>],
    range: std::ops::Range<usize>,
    high: Timestamp,
) -> (Leaf, Vec<usize>) {
    let old: Vec<usize> = range.filter(|index| leaf.entries.key(*index).ts() < high).collect();
    let tag = |index: usize| match (leaf.entries.get(index).tag, leaving[index]) {
        (Tag::Overflow, None) => Tag::Borrowed,
        (tag, _) => tag,
    };
    let is_kept = |index: usize| tag(index) == Tag::Pending && leaving[index].is_none();
    let kept = (0..old.len()).filter(|at| is_kept(old[*at])).collect();
    let entries = old.iter().map(|&index| (leaf, index, tag(index)));
    (Leaf::gather(entries, old.len(), leaf.entries.bytes()), kept)
}
