//! A set of keys as disjoint ranges, in order.
//!
//! A range lies between two *cuts*: places between keys. `Included(k)` as a start and `Excluded(k)` as an
//! end are the cut before `k`; the other two are the cut after it. So ranges that touch or overlap are
//! those whose cuts do not pass each other, and no case of bounds is special.

use std::cmp::Ordering;
use std::ops::Bound;

use driftdb_storage::KeyRange;

/// More ranges than this become one that has them all.
const RANGES_MAX: usize = 1 << 12;

/// A place between keys: before `key` or after it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Cut {
    key: Box<[u8]>,
    is_after: bool,
}

impl Cut {
    fn compare(&self, key: &[u8], is_after: bool) -> Ordering {
        (*self.key).cmp(key).then(self.is_after.cmp(&is_after))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Range {
    start: Cut,
    /// `None`: no end.
    end: Option<Cut>,
}

/// Disjoint ranges, ascending, with keys between each two.
#[derive(Debug, Clone, Default)]
pub(super) struct RangeSet {
    ranges: Vec<Range>,
}

impl RangeSet {
    /// Adds every key of a range.
    pub(super) fn add(&mut self, range: &KeyRange<'_>) {
        let (start_key, start_after) = start_of(range);
        let end = end_of(range);
        if end.is_some_and(|(key, after)| (key, after) <= (start_key, start_after)) {
            return;
        }
        // Those before end before the new one starts; those after start after its end.
        let first = self.ranges.partition_point(|range| {
            range.end.as_ref().is_some_and(|cut| cut.compare(start_key, start_after).is_lt())
        });
        let past = self.ranges.partition_point(|range| {
            end.is_none_or(|(key, after)| range.start.compare(key, after).is_le())
        });
        let owned = |(key, is_after): (&[u8], bool)| Cut { key: key.into(), is_after };
        if first == past {
            let range = Range { start: owned((start_key, start_after)), end: end.map(owned) };
            self.ranges.insert(first, range);
        } else {
            let last = &self.ranges[past - 1];
            let ends_later = match (&last.end, end) {
                (None, _) => true,
                (Some(_), None) => false,
                (Some(cut), Some((key, after))) => cut.compare(key, after).is_ge(),
            };
            let end = if ends_later { last.end.clone() } else { end.map(owned) };
            let merged = &mut self.ranges[first];
            if merged.start.compare(start_key, start_after).is_gt() {
                merged.start = owned((start_key, start_after));
            }
            merged.end = end;
            self.ranges.drain(first + 1..past);
        }
        if self.ranges.len() > RANGES_MAX {
            let end = self.ranges.pop().expect("there are many").end;
            self.ranges.truncate(1);
            self.ranges[0].end = end;
        }
    }

    /// Whether a key is in the set.
    pub(super) fn contains(&self, key: &[u8]) -> bool {
        let past = self.ranges.partition_point(|range| range.start.compare(key, false).is_le());
        past > 0
            && self.ranges[past - 1].end.as_ref().is_none_or(|cut| cut.compare(key, false).is_gt())
    }

    /// How many ranges.
    pub(super) fn len(&self) -> usize {
        self.ranges.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The ranges, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = KeyRange<'_>> {
        self.ranges.iter().map(|range| KeyRange {
            start: match range.start.is_after {
                true => Bound::Excluded(&*range.start.key),
                false => Bound::Included(&*range.start.key),
            },
            end: match &range.end {
                None => Bound::Unbounded,
                Some(cut) if cut.is_after => Bound::Included(&*cut.key),
                Some(cut) => Bound::Excluded(&*cut.key),
            },
        })
    }
}

fn start_of<'a>(range: &KeyRange<'a>) -> (&'a [u8], bool) {
    match range.start {
        Bound::Unbounded => (&[], false),
        Bound::Included(key) => (key, false),
        Bound::Excluded(key) => (key, true),
    }
}

fn end_of<'a>(range: &KeyRange<'a>) -> Option<(&'a [u8], bool)> {
    match range.end {
        Bound::Unbounded => None,
        Bound::Included(key) => Some((key, true)),
        Bound::Excluded(key) => Some((key, false)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bound() -> impl Strategy<Value = Bound<Vec<u8>>> {
        let key = || prop::collection::vec(0..3u8, 0..3);
        prop_oneof![
            1 => Just(Bound::Unbounded),
            4 => key().prop_map(Bound::Included),
            4 => key().prop_map(Bound::Excluded),
        ]
    }

    fn keys() -> Vec<Vec<u8>> {
        let mut keys = vec![vec![]];
        for a in 0..3u8 {
            keys.push(vec![a]);
            for b in 0..3u8 {
                keys.push(vec![a, b]);
            }
        }
        keys
    }

    proptest! {
        #[test]
        fn it_holds_the_keys_of_its_ranges(
            bounds in prop::collection::vec((bound(), bound()), 0..8),
        ) {
            let mut set = RangeSet::default();
            let as_range = |(start, end): &(Bound<Vec<u8>>, Bound<Vec<u8>>)| KeyRange {
                start: start.as_ref().map(|key| key.clone().leak() as &[u8]),
                end: end.as_ref().map(|key| key.clone().leak() as &[u8]),
            };
            let ranges: Vec<_> = bounds.iter().map(as_range).collect();
            ranges.iter().for_each(|range| set.add(range));
            for key in keys() {
                let expected = ranges.iter().any(|range| range.contains(&key));
                prop_assert_eq!(set.contains(&key), expected, "{:?} in {:?}", key, set);
                prop_assert_eq!(set.iter().any(|range| range.contains(&key)), expected);
            }
            // Disjoint, and apart.
            for pair in set.ranges.windows(2) {
                prop_assert!(pair[0].end.as_ref().is_some_and(|end| *end < pair[1].start));
            }
        }
    }

    #[test]
    fn too_many_ranges_become_one() {
        let mut set = RangeSet::default();
        for n in 0..=RANGES_MAX as u32 {
            let key = (n * 2).to_be_bytes();
            set.add(&KeyRange { start: Bound::Included(&key), end: Bound::Included(&key) });
        }
        assert_eq!(set.len(), 1);
        assert!(set.contains(&1u32.to_be_bytes()));
        assert!(!set.contains(&u32::MAX.to_be_bytes()));
    }
}
