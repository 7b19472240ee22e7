//! Ranges of keys that are kept.

use std::ops::Bound;

use driftdb_storage::KeyRange;

/// A range with its own bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OwnedRange {
    start: Bound<Box<[u8]>>,
    end: Bound<Box<[u8]>>,
}

impl OwnedRange {
    pub(crate) fn new(range: &KeyRange<'_>) -> Self {
        Self { start: range.start.map(Into::into), end: range.end.map(Into::into) }
    }

    pub(crate) fn as_range(&self) -> KeyRange<'_> {
        KeyRange { start: as_slice(&self.start), end: as_slice(&self.end) }
    }

    /// Whether every key of `other` is in this range.
    pub(crate) fn covers(&self, other: &KeyRange<'_>) -> bool {
        let range = self.as_range();
        let starts_before = match (range.start, other.start) {
            (Bound::Unbounded, _) => true,
            (_, Bound::Unbounded) => false,
            (Bound::Excluded(mine), Bound::Included(theirs)) => mine < theirs,
            (
                Bound::Included(mine) | Bound::Excluded(mine),
                Bound::Included(theirs) | Bound::Excluded(theirs),
            ) => mine <= theirs,
        };
        let ends_after = match (range.end, other.end) {
            (Bound::Unbounded, _) => true,
            (_, Bound::Unbounded) => false,
            (Bound::Excluded(mine), Bound::Included(theirs)) => mine > theirs,
            (
                Bound::Included(mine) | Bound::Excluded(mine),
                Bound::Included(theirs) | Bound::Excluded(theirs),
            ) => mine >= theirs,
        };
        starts_before && ends_after
    }

    /// Adds `range` to a list: not at all if one covers it, and as a longer one if it goes on where
    /// the last batch of the same scan ended.
    pub(crate) fn add(ranges: &mut Vec<Self>, range: &KeyRange<'_>) {
        if ranges.iter().any(|old| old.covers(range)) {
            return;
        }
        if let Some(last) = ranges.last_mut() {
            if touches(&last.end, range.start) {
                last.end = range.end.map(Into::into);
                return;
            }
            if touches(&last.start, range.end) {
                last.start = range.start.map(Into::into);
                return;
            }
        }
        ranges.push(Self::new(range));
    }
}

fn as_slice(bound: &Bound<Box<[u8]>>) -> Bound<&[u8]> {
    bound.as_ref().map(|key| &**key)
}

/// Whether one range ends with the very key that the other excludes.
fn touches(mine: &Bound<Box<[u8]>>, theirs: Bound<&[u8]>) -> bool {
    match (mine, theirs) {
        (Bound::Included(mine), Bound::Excluded(theirs)) => **mine == *theirs,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range<'a>(start: Bound<&'a [u8]>, end: Bound<&'a [u8]>) -> KeyRange<'a> {
        KeyRange { start, end }
    }

    #[test]
    fn batches_of_a_scan_grow_one_range() {
        let mut ranges = Vec::new();
        OwnedRange::add(&mut ranges, &range(Bound::Unbounded, Bound::Included(b"c")));
        OwnedRange::add(&mut ranges, &range(Bound::Excluded(b"c"), Bound::Included(b"f")));
        OwnedRange::add(&mut ranges, &range(Bound::Included(b"a"), Bound::Excluded(b"f")));
        let grown = OwnedRange::new(&range(Bound::Unbounded, Bound::Included(b"f")));
        assert_eq!(ranges, std::slice::from_ref(&grown));
        OwnedRange::add(&mut ranges, &range(Bound::Included(b"f"), Bound::Unbounded));
        assert_eq!(ranges.len(), 2);
        assert!(!grown.covers(&KeyRange::ALL));
    }
}
