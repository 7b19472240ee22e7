//! History by time split: old versions leave their leaf for immutable, compressed pages.
//!
//! When a leaf overflows and enough of its bytes are versions that a newer one supersedes, it is
//! split by time, not by key ([`split`]): at time *T*, the newest at which one of its versions
//! superseded another, a **slice** is made of all its versions made before *T*, and the leaf keeps
//! the newest version of each key. The slice answers every read of the leaf's keys as of a time in
//! its **era** [*T* of the split before, *T*) alone; it holds copies of the versions that live on in
//! the leaf for that. The leaf names its eras in a list ([`Past`]); groups of old ones move into
//! **index slices**, and these into index slices of the next level, so that the list stays short
//! and a time is found in O(log eras) reads.
//!
//! While a slice waits for a checkpoint and no other leaf leads to it, the next era of its leaf joins it,
//! so that copies are not made for each era.
//!
//! Checkpoints write slices: compressed ([`slice`]), several to a page, never rewritten ([`pack`]).
//! A page is freed whole once nobody is promised any time of its eras. The catalogue
//! ([`catalogue`]) knows every page, so nobody counts references: what still leads to a freed page
//! is *dead* by the facts ([`crate::facts::Facts::is_dead`]) of whoever looks, and is not followed.
//!
//! Invariants
//! * The eras of one keyspace in one list ascend and do not overlap; within its slice, an era's
//!   index holds eras of a lower level only.
//! * A leaf holds every version of its range that a time at or after its newest split reads.
//! * A list names no keyspace of which its leaf has no versions, unless the era is dead.
//! * Of all places that name the overflow chain of one version, one owns it: the leaf while it has
//!   the version, else the last slice that it was moved to, whose era ends last.
//!
//! Cost: a newest read compares one timestamp; a read as of an older time reads one slice, and one
//! index slice per level, of which there are log(eras) to the base of [`Past`]'s fanout.
//! Sources: [Lomet89] for the time split, [Lomet06] for immutable pages of history behind a leaf.
//! They split current pages below a share of current data and put references into the index above;
//! ours stay with the leaf, whose copying on write pays for them anyway.
//! Decisions: `docs/design/0009-history-pages.md`.

use std::sync::Arc;

use driftdb_storage::Timestamp;

use crate::node::PageRef;
use crate::page::{u32_at, u64_at};
use crate::swip::Seen;

pub(crate) mod catalogue;
pub(crate) mod lens;
pub(crate) mod pack;
pub(crate) mod slice;
pub(crate) mod split;
mod writing;

use slice::Slice;

/// Where a slice lies: one of those that a history page holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SliceRef {
    pub(crate) page: PageRef,
    pub(crate) slot: u16,
}

impl SliceRef {
    /// A name for the cache: pages are numbered below 2⁴⁸, so the slot fits above.
    pub(crate) fn cache_key(self) -> PageRef {
        let slot = u64::from(self.slot) + 1;
        PageRef { page: self.page.page | slot << 48, crc: self.page.crc }
    }
}

/// A way to a slice.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    Disk(SliceRef, Seen),
    /// Not written when the reference was made.
    Memory(Arc<Slice>),
}

impl Place {
    /// A way to a slice that was written.
    pub(crate) fn on_disk(at: SliceRef) -> Self {
        Self::Disk(at, Seen::default())
    }
}

/// A stretch of time of one keyspace, and the slice that covers it.
#[derive(Debug, Clone)]
pub(crate) struct Era {
    pub(crate) space: u32,
    /// 0 if the slice holds versions, else it holds eras of lower levels.
    pub(crate) level: u8,
    /// The first time covered.
    pub(crate) low: Timestamp,
    /// The first time not covered any more.
    pub(crate) high: Timestamp,
    pub(crate) place: Place,
}

/// Bytes of an encoded era.
pub(crate) const ERA_BYTES: usize = 35;

impl Era {
    /// Where the slice is, if it is on disk.
    pub(crate) fn on_disk(&self) -> Option<SliceRef> {
        match &self.place {
            Place::Disk(at, _) => Some(*at),
            Place::Memory(slice) => slice.location.get().copied(),
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        let same_place = match (&self.place, &other.place) {
            (Place::Memory(a), Place::Memory(b)) => Arc::ptr_eq(a, b),
            _ => self.on_disk().is_some() && self.on_disk() == other.on_disk(),
        };
        same_place && (self.space, self.low, self.high) == (other.space, other.low, other.high)
    }

    fn encode(&self, at: SliceRef, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.space.to_le_bytes());
        out.push(self.level);
        out.extend_from_slice(&self.low.0.to_le_bytes());
        out.extend_from_slice(&self.high.0.to_le_bytes());
        out.extend_from_slice(&at.page.page.to_le_bytes());
        out.extend_from_slice(&at.page.crc.to_le_bytes());
        out.extend_from_slice(&at.slot.to_le_bytes());
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let at = SliceRef {
            page: PageRef { page: u64_at(bytes, 21), crc: u32_at(bytes, 29) },
            slot: u16::from_le_bytes([bytes[33], bytes[34]]),
        };
        let (low, high) = (Timestamp(u64_at(bytes, 5)), Timestamp(u64_at(bytes, 13)));
        let place = Place::on_disk(at);
        let era = Self { space: u32_at(bytes, 0), level: bytes[4], low, high, place };
        (low < high && !at.page.is_none() && at.page.page < 1 << 48).then_some(era)
    }
}

/// The eras of a leaf, or of an index slice: ascending by keyspace, then by time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Past {
    eras: Option<Arc<[Era]>>,
    /// The end of the newest era: at this time and later, no era has an answer.
    end: Timestamp,
}

impl Past {
    pub(crate) fn new(eras: Vec<Era>) -> Self {
        let end = eras.iter().map(|era| era.high).max().unwrap_or_default();
        Self { eras: (!eras.is_empty()).then(|| eras.into()), end }
    }

    pub(crate) fn eras(&self) -> &[Era] {
        self.eras.as_deref().unwrap_or_default()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.eras.is_none()
    }

    /// Whether no other leaf, nor another copy of this one, has the same list.
    pub(crate) fn is_unshared(&self) -> bool {
        self.eras.as_ref().is_some_and(|eras| Arc::strong_count(eras) == 1)
    }

    /// Whether some era may cover `ts`.
    #[inline]
    pub(crate) fn reaches(&self, ts: Timestamp) -> bool {
        ts < self.end
    }

    /// The era of `space` that `ts` lies in.
    pub(crate) fn covering(&self, space: u32, ts: Timestamp) -> Option<&Era> {
        let after = self.eras().partition_point(|era| (era.space, era.low) <= (space, ts));
        let last = &self.eras()[after.checked_sub(1)?];
        (last.space == space && ts < last.high).then_some(last)
    }

    /// When the newest era of `space` ends: where the next one begins.
    pub(crate) fn end_of(&self, space: u32) -> Timestamp {
        let after = self.eras().partition_point(|era| era.space <= space);
        let newest = after.checked_sub(1).map(|last| &self.eras()[last]);
        newest.filter(|era| era.space == space).map_or(Timestamp::MIN, |era| era.high)
    }

    /// Whether both lead to the same slices.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let (a, b) = (self.eras(), other.eras());
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.is_same(b))
    }

    /// Drops eras that `dead` says nobody may follow, and the memory of slices written meanwhile.
    pub(crate) fn shed(&mut self, dead: impl Fn(&Era) -> bool) {
        let written = |era: &Era| matches!(&era.place, Place::Memory(slice) if slice.location.get().is_some());
        if !self.eras().iter().any(|era| dead(era) || written(era)) {
            return;
        }
        let mut eras = self.eras().to_vec();
        eras.retain(|era| !dead(era));
        for era in &mut eras {
            if let Some(at) = era.on_disk() {
                // One that is on disk already may have been seen in memory.
                if let Place::Memory(_) = era.place {
                    era.place = Place::on_disk(at);
                }
            }
        }
        *self = Self::new(eras);
    }

    /// Those of keyspaces within `low..=high`.
    pub(crate) fn of_spaces(&self, low: u32, high: u32) -> Self {
        let within = |era: &&Era| low <= era.space && era.space <= high;
        if self.eras().iter().all(|era| within(&era)) {
            return self.clone();
        }
        Self::new(self.eras().iter().filter(within).cloned().collect())
    }

    /// Bytes that the list takes in a page.
    pub(crate) fn encoded_len(&self) -> usize {
        if self.is_empty() { 0 } else { 4 + self.eras().len() * ERA_BYTES }
    }

    /// Appends the eras that `at` knows the place of; those that it does not are dead.
    pub(crate) fn encode(&self, at: impl Fn(&Era) -> Option<SliceRef>, out: &mut Vec<u8>) {
        let placed = self.eras().iter().filter_map(|era| Some((era, at(era)?)));
        placed.for_each(|(era, at)| era.encode(at, out));
    }

    /// Decodes what [`Past::encode`] wrote; `None` if the bytes are something else.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let chunks = bytes.chunks_exact(ERA_BYTES);
        if !chunks.remainder().is_empty() {
            return None;
        }
        let eras = chunks.map(Era::decode).collect::<Option<Vec<_>>>()?;
        let ascend = |pair: &[Era]| (pair[0].space, pair[0].high) <= (pair[1].space, pair[1].low);
        eras.windows(2).all(ascend).then(|| Self::new(eras))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn era(space: u32, low: u64, high: u64) -> Era {
        let page = PageRef { page: high, crc: 7 };
        let place = Place::on_disk(SliceRef { page, slot: 3 });
        Era { space, level: 0, low: Timestamp(low), high: Timestamp(high), place }
    }

    #[test]
    fn a_time_is_in_one_era_of_its_keyspace() {
        let past = Past::new(vec![era(1, 0, 10), era(1, 10, 20), era(2, 0, 30)]);
        let high = |space, ts| past.covering(space, Timestamp(ts)).map(|era| era.high.0);
        for (space, ts, expected) in [
            (1, 0, Some(10)),
            (1, 9, Some(10)),
            (1, 10, Some(20)),
            (1, 20, None),
            (2, 20, Some(30)),
            (3, 5, None),
        ] {
            assert_eq!(high(space, ts), expected, "keyspace {space} at {ts}");
        }
        assert_eq!((past.end_of(1), past.end_of(3)), (Timestamp(20), Timestamp::MIN));
    }

    #[test]
    fn a_list_comes_back_and_a_disordered_one_does_not() {
        let check = |eras: Vec<Era>, good: bool| {
            let past = Past::new(eras);
            let mut bytes = Vec::new();
            past.encode(Era::on_disk, &mut bytes);
            let again = Past::decode(&bytes);
            assert_eq!(again.is_some_and(|again| again.is_same(&past)), good, "{past:?}");
        };
        check(vec![], true);
        check(vec![era(1, 0, 10), era(1, 10, 20), era(2, 0, 30)], true);
        check(vec![era(1, 0, 10), era(1, 9, 20)], false);
        check(vec![era(2, 0, 10), era(1, 10, 20)], false);
        check(vec![era(1, 10, 10)], false);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_list_or_not(bytes: Vec<u8>) {
            let _past = Past::decode(&bytes);
        }
    }
}
