//! Ranges and multiranges of ordered types (rangetypes.c, multirangetypes.c).
//!
//! A range is empty or has two bounds, each a value that belongs to it or not, or none at all. Ranges of
//! types whose values can be counted (`integer`, `bigint`, `date`) are kept as `[a,b)`, so that equal
//! ranges have equal bounds. A multirange is ranges in order, none empty, none touching the next.

mod set;
mod text;
mod wire;

use std::cmp::Ordering;
use std::hash::Hasher;

pub(crate) use set::{RangeSet, hull};
pub(crate) use text::{parse_multirange, parse_range, write_multirange, write_range};
pub(crate) use wire::{
    decode_multirange_key, decode_range_key, encode_multirange_key, encode_range_key,
    multirange_payload, range_payload, read_multirange, read_multirange_payload, read_range,
    read_range_payload, write_multirange_wire, write_range_wire,
};

use crate::compare::compare_typed;
use crate::{DataType, SqlState, Value, ValueError, datetime, hash_value};

/// One end of a range; without a value it has no end there.
#[derive(Debug, Clone, PartialEq)]
pub struct Bound {
    /// The value; never NULL.
    pub value: Option<Value>,
    /// Whether the value belongs to the range.
    pub inclusive: bool,
}

/// A range of values of one type.
#[derive(Debug, Clone, PartialEq)]
pub struct Range {
    element: DataType,
    bounds: Option<(Bound, Bound)>,
}

/// Ranges in order, none touching another.
#[derive(Debug, Clone, PartialEq)]
pub struct Multirange {
    element: DataType,
    ranges: Vec<Range>,
}

/// Which end a bound is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Lower,
    Upper,
}

/// The order of two bounds (`range_cmp_bounds`).
pub(crate) fn compare_bounds(
    ty: DataType,
    a: &Bound,
    a_side: Side,
    b: &Bound,
    b_side: Side,
) -> Ordering {
    let end = |side: Side| if side == Side::Lower { Ordering::Less } else { Ordering::Greater };
    match (&a.value, &b.value) {
        (None, None) if a_side == b_side => Ordering::Equal,
        (None, _) => end(a_side),
        (_, None) => end(b_side).reverse(),
        (Some(x), Some(y)) => compare_typed(ty, x, y).then_with(|| {
            match (a.inclusive, b.inclusive) {
                (true, true) => Ordering::Equal,
                (false, false) if a_side == b_side => Ordering::Equal,
                // A bound that does not belong is a little inside of the value.
                (false, _) => end(a_side).reverse(),
                (true, false) => end(b_side),
            }
        }),
    }
}

/// The next value of a type whose values can be counted.
fn successor(ty: DataType, value: &Value) -> Result<Option<Value>, ValueError> {
    let range = || ValueError::out_of_range(ty.sql_name());
    Ok(match value {
        Value::Int4(v) => Some(Value::Int4(v.checked_add(1).ok_or_else(range)?)),
        Value::Int8(v) => Some(Value::Int8(v.checked_add(1).ok_or_else(range)?)),
        // The infinities are no days.
        Value::Date(i32::MIN | i32::MAX) => None,
        Value::Date(v) => match datetime::valid_date(v + 1) {
            true => Some(Value::Date(v + 1)),
            false => return Err(datetime::date_out_of_range("")),
        },
        _ => None,
    })
}

impl Range {
    /// The range without values.
    pub fn empty(element: DataType) -> Self {
        Self { element, bounds: None }
    }

    /// A range.
    ///
    /// # Errors
    /// 22000 when the bounds are upside down, 22003 and 22008 when the type ends before the bound.
    pub fn new(element: DataType, lower: Bound, upper: Bound) -> Result<Self, ValueError> {
        let (mut lower, mut upper) = (lower, upper);
        for bound in [&mut lower, &mut upper] {
            bound.inclusive &= bound.value.is_some();
        }
        let order = match (&lower.value, &upper.value) {
            (Some(a), Some(b)) => compare_typed(element, a, b),
            _ => Ordering::Less,
        };
        if order.is_gt() {
            let message = "range lower bound must be less than or equal to range upper bound";
            return Err(ValueError::new(SqlState::DataException, message));
        }
        if order.is_eq() && !(lower.inclusive && upper.inclusive) {
            return Ok(Self::empty(element));
        }
        if let Some(value) = &lower.value
            && !lower.inclusive
            && let Some(next) = successor(element, value)?
        {
            lower = Bound { value: Some(next), inclusive: true };
        }
        if let Some(value) = &upper.value
            && upper.inclusive
            && let Some(next) = successor(element, value)?
        {
            upper = Bound { value: Some(next), inclusive: false };
        }
        if let (Some(a), Some(b)) = (&lower.value, &upper.value) {
            let order = compare_typed(element, a, b);
            if order.is_gt() || (order.is_eq() && !(lower.inclusive && upper.inclusive)) {
                return Ok(Self::empty(element));
            }
        }
        Ok(Self { element, bounds: Some((lower, upper)) })
    }

    /// A range of bounds of other ranges, which are as they are kept.
    pub(crate) fn of_bounds(element: DataType, lower: Bound, upper: Bound) -> Self {
        Self { element, bounds: Some((lower, upper)) }
    }

    /// The type of the bounds.
    pub fn element(&self) -> DataType {
        self.element
    }

    /// The bounds; nothing if it is empty.
    pub fn bounds(&self) -> Option<(&Bound, &Bound)> {
        self.bounds.as_ref().map(|(lower, upper)| (lower, upper))
    }

    /// Whether there is no value in it.
    pub fn is_empty(&self) -> bool {
        self.bounds.is_none()
    }

    /// The order: the empty range first, then by the lower and the upper bounds.
    pub(crate) fn compare(&self, other: &Self) -> Ordering {
        match (self.bounds(), other.bounds()) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some((al, au)), Some((bl, bu))) => {
                compare_bounds(self.element, al, Side::Lower, bl, Side::Lower)
                    .then_with(|| compare_bounds(self.element, au, Side::Upper, bu, Side::Upper))
            }
        }
    }

    pub(crate) fn hash_into(&self, hasher: &mut impl Hasher) {
        let Some((lower, upper)) = self.bounds() else { return hasher.write_u8(0) };
        for bound in [lower, upper] {
            hasher.write_u8(1 + u8::from(bound.inclusive));
            match &bound.value {
                Some(value) => hash_value(value, hasher),
                None => hasher.write_u8(3),
            }
        }
    }

    /// An estimate of the memory it takes.
    pub(crate) fn heap_bytes(&self) -> usize {
        let bound = |bound: &Bound| bound.value.as_ref().map_or(0, Value::heap_bytes);
        let bounds = self.bounds().map_or(0, |(lower, upper)| bound(lower) + bound(upper));
        size_of::<Self>() + bounds
    }
}

impl Multirange {
    /// A multirange of ranges in any order.
    pub fn new(element: DataType, ranges: Vec<Range>) -> Self {
        let mut ranges: Vec<Range> = ranges.into_iter().filter(|range| !range.is_empty()).collect();
        ranges.sort_by(Range::compare);
        let mut merged: Vec<Range> = Vec::with_capacity(ranges.len());
        for range in ranges {
            match merged.last_mut() {
                Some(last) if set::touches(last, &range) => *last = hull(last, &range),
                _ => merged.push(range),
            }
        }
        Self { element, ranges: merged }
    }

    /// The type of the bounds.
    pub fn element(&self) -> DataType {
        self.element
    }

    /// The ranges.
    pub fn ranges(&self) -> &[Range] {
        &self.ranges
    }

    /// The order: by the ranges in turn, then the one of fewer first.
    pub(crate) fn compare(&self, other: &Self) -> Ordering {
        self.ranges
            .iter()
            .zip(&other.ranges)
            .map(|(a, b)| a.compare(b))
            .find(|order| order.is_ne())
            .unwrap_or_else(|| self.ranges.len().cmp(&other.ranges.len()))
    }

    pub(crate) fn hash_into(&self, hasher: &mut impl Hasher) {
        hasher.write_usize(self.ranges.len());
        self.ranges.iter().for_each(|range| range.hash_into(hasher));
    }

    /// An estimate of the memory it takes.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.ranges.iter().map(Range::heap_bytes).sum::<usize>() + size_of::<Self>()
    }
}
