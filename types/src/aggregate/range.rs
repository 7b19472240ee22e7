//! `range_agg` and `range_intersect_agg`.

use super::Accumulator;
use crate::function::mistyped;
use crate::range::RangeSet;
use crate::{DataType, Multirange, Range, Value, ValueError};

/// The union of all ranges or multiranges, as a multirange.
#[derive(Clone)]
pub(super) struct RangeUnion {
    subtype: DataType,
    ranges: Vec<Range>,
    any: bool,
    heap_bytes: usize,
}

impl RangeUnion {
    pub(super) fn new(ty: DataType) -> Self {
        let subtype = ty.subtype().unwrap_or(ty);
        Self { subtype, ranges: Vec::new(), any: false, heap_bytes: 0 }
    }
}

impl Accumulator for RangeUnion {
    fn update(&mut self, args: &[Value]) -> Result<(), ValueError> {
        if args[0].is_null() {
            return Ok(());
        }
        let set = RangeSet::of(&args[0]).ok_or_else(|| mistyped(&args[0]))?;
        self.any = true;
        self.heap_bytes += args[0].heap_bytes();
        self.ranges.extend_from_slice(set.ranges);
        Ok(())
    }

    fn finish(&mut self) -> Result<Value, ValueError> {
        if !self.any {
            return Ok(Value::Null);
        }
        let ranges = std::mem::take(&mut self.ranges);
        Ok(Value::multirange(Multirange::new(self.subtype, ranges)))
    }

    fn size_bytes(&self) -> usize {
        size_of::<Self>() + self.ranges.capacity() * size_of::<Range>() + self.heap_bytes
    }
}

/// What is in all ranges, or in all multiranges.
#[derive(Clone, Default)]
pub(super) struct RangeIntersection {
    common: Option<Value>,
}

impl Accumulator for RangeIntersection {
    fn update(&mut self, args: &[Value]) -> Result<(), ValueError> {
        if args[0].is_null() {
            return Ok(());
        }
        let Some(common) = &self.common else {
            self.common = Some(args[0].clone());
            return Ok(());
        };
        let sets = RangeSet::of(common).zip(RangeSet::of(&args[0]));
        let (a, b) = sets.ok_or_else(|| mistyped(&args[0]))?;
        let mut ranges = a.intersection(b);
        self.common = Some(match common {
            Value::Range(_) => Value::range(ranges.pop().unwrap_or_else(|| Range::empty(a.ty))),
            _ => Value::multirange(Multirange::new(a.ty, ranges)),
        });
        Ok(())
    }

    fn finish(&mut self) -> Result<Value, ValueError> {
        Ok(self.common.take().unwrap_or(Value::Null))
    }
}
