//! Ranges and multiranges as sets: what is in both, in either, in one but not the other, and how they lie
//! to each other. A range is treated as a multirange of at most one.

use std::cmp::Ordering;

use super::{Bound, Range, Side, compare_bounds};
use crate::{DataType, Value};

fn lower(a: &Bound, b: &Bound, ty: DataType) -> Ordering {
    compare_bounds(ty, a, Side::Lower, b, Side::Lower)
}

fn upper(a: &Bound, b: &Bound, ty: DataType) -> Ordering {
    compare_bounds(ty, a, Side::Upper, b, Side::Upper)
}

/// The lower bound that begins where an upper bound ends, or the other way round.
fn flipped(bound: &Bound) -> Bound {
    Bound { value: bound.value.clone(), inclusive: !bound.inclusive }
}

/// Whether nothing lies between an upper bound and a lower one, and no value belongs to both
/// (`bounds_adjacent`).
fn meets(ty: DataType, end: &Bound, start: &Bound) -> bool {
    let (Some(a), Some(b)) = (&end.value, &start.value) else { return false };
    match crate::compare_typed(ty, a, b) {
        Ordering::Equal => end.inclusive != start.inclusive,
        Ordering::Less => {
            let counts = matches!(ty, DataType::Int4 | DataType::Int8 | DataType::Date);
            counts
                && Range::new(ty, flipped(end), flipped(start)).is_ok_and(|range| range.is_empty())
        }
        Ordering::Greater => false,
    }
}

/// Whether two ranges that are not empty have a value in common.
fn overlap(a: &Range, b: &Range) -> bool {
    let (Some((al, au)), Some((bl, bu))) = (a.bounds(), b.bounds()) else { return false };
    let ty = a.element();
    compare_bounds(ty, al, Side::Lower, bu, Side::Upper).is_le()
        && compare_bounds(ty, bl, Side::Lower, au, Side::Upper).is_le()
}

/// Whether two ranges that are not empty are side by side.
fn adjacent(a: &Range, b: &Range) -> bool {
    let (Some((al, au)), Some((bl, bu))) = (a.bounds(), b.bounds()) else { return false };
    meets(a.element(), au, bl) || meets(a.element(), bu, al)
}

/// Whether two ranges make one.
pub(super) fn touches(a: &Range, b: &Range) -> bool {
    overlap(a, b) || adjacent(a, b)
}

/// The smallest range that holds both.
pub(crate) fn hull(a: &Range, b: &Range) -> Range {
    let (Some((al, au)), Some((bl, bu))) = (a.bounds(), b.bounds()) else {
        return if a.is_empty() { b.clone() } else { a.clone() };
    };
    let ty = a.element();
    let first = if lower(al, bl, ty).is_le() { al } else { bl };
    let last = if upper(au, bu, ty).is_ge() { au } else { bu };
    Range::of_bounds(ty, first.clone(), last.clone())
}

/// What is in both of two ranges.
fn common(a: &Range, b: &Range) -> Option<Range> {
    if !overlap(a, b) {
        return None;
    }
    let ((al, au), (bl, bu)) = (a.bounds()?, b.bounds()?);
    let ty = a.element();
    let first = if lower(al, bl, ty).is_ge() { al } else { bl };
    let last = if upper(au, bu, ty).is_le() { au } else { bu };
    Some(Range::of_bounds(ty, first.clone(), last.clone()))
}

/// Some ranges, in order.
#[derive(Clone, Copy)]
pub(crate) struct RangeSet<'a> {
    pub(crate) ty: DataType,
    pub(crate) ranges: &'a [Range],
}

impl<'a> RangeSet<'a> {
    /// The ranges of a value; of a range that is empty, none.
    pub(crate) fn of(value: &'a Value) -> Option<Self> {
        match value {
            Value::Range(range) => Some(Self {
                ty: range.element(),
                ranges: if range.is_empty() { &[] } else { std::slice::from_ref(&**range) },
            }),
            Value::Multirange(multirange) => {
                Some(Self { ty: multirange.element(), ranges: multirange.ranges() })
            }
            _ => None,
        }
    }

    /// The first lower and the last upper bound.
    pub(crate) fn ends(self) -> Option<(&'a Bound, &'a Bound)> {
        let (first, last) = (self.ranges.first()?, self.ranges.last()?);
        Some((first.bounds()?.0, last.bounds()?.1))
    }

    pub(crate) fn contains_value(self, value: &Value) -> bool {
        let point = Bound { value: Some(value.clone()), inclusive: true };
        self.ranges.iter().filter_map(Range::bounds).any(|(from, to)| {
            compare_bounds(self.ty, from, Side::Lower, &point, Side::Lower).is_le()
                && compare_bounds(self.ty, &point, Side::Upper, to, Side::Upper).is_le()
        })
    }

    pub(crate) fn contains(self, other: Self) -> bool {
        other.ranges.iter().filter_map(Range::bounds).all(|(bl, bu)| {
            self.ranges
                .iter()
                .filter_map(Range::bounds)
                .any(|(al, au)| lower(al, bl, self.ty).is_le() && upper(au, bu, self.ty).is_ge())
        })
    }

    pub(crate) fn overlaps(self, other: Self) -> bool {
        self.ranges.iter().any(|a| other.ranges.iter().any(|b| overlap(a, b)))
    }

    /// Whether all of it lies before all of the other.
    pub(crate) fn is_before(self, other: Self) -> bool {
        match (self.ends(), other.ends()) {
            (Some((_, end)), Some((start, _))) => {
                compare_bounds(self.ty, end, Side::Upper, start, Side::Lower).is_lt()
            }
            _ => false,
        }
    }

    /// Whether it does not reach beyond the other's end.
    pub(crate) fn is_over_left(self, other: Self) -> bool {
        match (self.ends(), other.ends()) {
            (Some((_, a)), Some((_, b))) => upper(a, b, self.ty).is_le(),
            _ => false,
        }
    }

    /// Whether it does not begin before the other.
    pub(crate) fn is_over_right(self, other: Self) -> bool {
        match (self.ends(), other.ends()) {
            (Some((a, _)), Some((b, _))) => lower(a, b, self.ty).is_ge(),
            _ => false,
        }
    }

    pub(crate) fn is_adjacent(self, other: Self) -> bool {
        match (self.ends(), other.ends()) {
            (Some((al, au)), Some((bl, bu))) => meets(self.ty, au, bl) || meets(self.ty, bu, al),
            _ => false,
        }
    }

    /// What is in both.
    pub(crate) fn intersection(self, other: Self) -> Vec<Range> {
        let with = |a: &'a Range| other.ranges.iter().filter_map(move |b| common(a, b));
        self.ranges.iter().flat_map(with).collect()
    }

    /// What is in this one and not in the other.
    pub(crate) fn difference(self, other: Self) -> Vec<Range> {
        let mut out = Vec::new();
        for range in self.ranges {
            let mut rest = Some(range.clone());
            for cut in other.ranges {
                let Some(current) = rest.take() else { break };
                if !overlap(&current, cut) {
                    rest = Some(current);
                    continue;
                }
                let (Some((al, au)), Some((bl, bu))) = (current.bounds(), cut.bounds()) else {
                    continue;
                };
                if lower(al, bl, self.ty).is_lt() {
                    out.push(Range::of_bounds(self.ty, al.clone(), flipped(bl)));
                }
                if upper(au, bu, self.ty).is_gt() {
                    rest = Some(Range::of_bounds(self.ty, flipped(bu), au.clone()));
                }
            }
            out.extend(rest);
        }
        out
    }

    /// The smallest range that holds all.
    pub(crate) fn hull(self) -> Range {
        match self.ends() {
            Some((start, end)) => Range::of_bounds(self.ty, start.clone(), end.clone()),
            None => Range::empty(self.ty),
        }
    }
}
