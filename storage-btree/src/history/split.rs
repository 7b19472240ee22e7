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
        let mut eras = leaf.past.eras().to_vec();
        let mut bytes = 0;
        let mut from = 0;
        while from < leaving.len() {
            let space = leaf.entries.key(from).space;
            let is_space = |index: &usize| leaf.entries.key(*index).space == space;
            let to = (from..leaving.len()).find(|index| !is_space(index)).unwrap_or(leaving.len());
            if let Some(high) = leaving[from..to].iter().flatten().max().copied() {
                let (slice, kept) = cut(leaf, &leaving, from..to, high);
                bytes += slice.entries.memory();
                let era = self.add(slice, kept, (space, 0, leaf.past.end_of(space), high));
                let end = eras.partition_point(|era| era.space <= space);
                eras.insert(end, era);
                self.index(&mut eras, space, fanout(capacity));
            }
            from = to;
        }
        let staying: Vec<usize> =
            (0..leaving.len()).filter(|index| leaving[*index].is_none()).collect();
        let stays = staying.iter().map(|&index| (&*leaf, index, leaf.entries.get(index).tag));
        let stays = Leaf::gather(stays, leaving.len(), leaf.entries.bytes());
        *leaf = Leaf { past: Past::new(eras), ..stays };
        bytes
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

/// For each version, when it was superseded, if it leaves. One that was superseded at the very time
/// of the last split (by a later operation of the batch that caused it) has no place in the next era;
/// it waits for the split after.
fn leaving(leaf: &Leaf) -> Vec<Option<Timestamp>> {
    let superseded = |index: usize| {
        let (newer, key) = (leaf.entries.key(index.checked_sub(1)?), leaf.entries.key(index));
        let leaves = newer.same_key(&key) && newer.ts() > leaf.past.end_of(key.space);
        leaves.then(|| newer.ts())
    };
    (0..leaf.entries.len()).map(superseded).collect()
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
