//! Elements and slices of arrays, read and replaced.

use super::{Array, Dimension, MAX_DIMENSIONS, checked_count, too_large, too_many_dimensions};
use crate::{DataType, SqlState, Value, ValueError};

/// One subscript of a slice; what is left out is the array's own bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) lower: Option<i32>,
    pub(crate) upper: Option<i32>,
}

fn subscript_error(message: &str) -> ValueError {
    ValueError::new(SqlState::ArraySubscriptError, message)
}

/// All places within ranges of subscripts, as offsets into an array of some dimensions.
fn offsets(dimensions: &[Dimension], ranges: &[(i32, i32)]) -> Vec<usize> {
    let mut places = vec![0usize];
    for (dimension, (low, high)) in dimensions.iter().zip(ranges) {
        let first = (i64::from(*low) - i64::from(dimension.lower)) as usize;
        let last = (i64::from(*high) - i64::from(dimension.lower)) as usize;
        let length = dimension.length as usize;
        places = places
            .iter()
            .flat_map(|place| (first..=last).map(move |index| place * length + index))
            .collect();
    }
    places
}

impl Array {
    /// The element at some subscripts; `None` outside of the array, or where their number is not that
    /// of its dimensions.
    pub fn get(&self, subscripts: &[i32]) -> Option<&Value> {
        if subscripts.len() != self.dimensions.len() {
            return None;
        }
        let mut offset = 0usize;
        for (dimension, subscript) in self.dimensions.iter().zip(subscripts) {
            let index = i64::from(*subscript) - i64::from(dimension.lower);
            let index = usize::try_from(index).ok()?;
            let length = dimension.length as usize;
            if index >= length {
                return None;
            }
            offset = offset * length + index;
        }
        self.values.get(offset)
    }

    /// A part of the array, counted from 1; without elements if there is no such part.
    pub(crate) fn slice(&self, bounds: &[Bounds]) -> Self {
        if bounds.len() > self.dimensions.len() {
            return Self::empty(self.element);
        }
        let mut ranges = Vec::with_capacity(self.dimensions.len());
        for (index, dimension) in self.dimensions.iter().enumerate() {
            let given = bounds.get(index);
            let lower = given.and_then(|bounds| bounds.lower).unwrap_or(dimension.lower);
            let upper = given.and_then(|bounds| bounds.upper).unwrap_or(dimension.upper());
            let range = (lower.max(dimension.lower), upper.min(dimension.upper()));
            if range.0 > range.1 {
                return Self::empty(self.element);
            }
            ranges.push(range);
        }
        let places = offsets(&self.dimensions, &ranges);
        let length = |(low, high): &(i32, i32)| Dimension { length: high - low + 1, lower: 1 };
        Self {
            element: self.element,
            dimensions: ranges.iter().map(length).collect(),
            values: places.into_iter().map(|place| self.values[place].clone()).collect(),
        }
    }

    /// The array with one element replaced. One of one dimension grows to where the element is, by
    /// NULLs in between.
    ///
    /// # Errors
    /// 2202E when there is no such place, 54000 when the array becomes too large.
    pub(crate) fn with_value(
        mut self,
        subscripts: &[i32],
        value: Value,
    ) -> Result<Self, ValueError> {
        if subscripts.len() > MAX_DIMENSIONS {
            return Err(too_many_dimensions(subscripts.len()));
        }
        if self.dimensions.is_empty() {
            let dimensions = subscripts.iter().map(|&lower| Dimension { length: 1, lower });
            return Self::new(self.element, dimensions.collect(), vec![value]);
        }
        if subscripts.len() != self.dimensions.len() {
            return Err(subscript_error("wrong number of array subscripts"));
        }
        if let [subscript] = subscripts {
            self.grow(*subscript, *subscript)?;
        }
        let ranges: Vec<(i32, i32)> = subscripts.iter().map(|at| (*at, *at)).collect();
        self.check_range(&ranges)?;
        let place = offsets(&self.dimensions, &ranges)[0];
        self.values[place] = value;
        Ok(self)
    }

    /// The array with a slice replaced by the elements of another, in their order.
    ///
    /// # Errors
    /// As [`Array::with_value`], and 2202E when there are too few elements.
    pub(crate) fn with_slice(
        mut self,
        bounds: &[Bounds],
        source: &Self,
    ) -> Result<Self, ValueError> {
        if bounds.len() > MAX_DIMENSIONS {
            return Err(too_many_dimensions(bounds.len()));
        }
        if self.dimensions.is_empty() {
            return self.begin_with_slice(bounds, source);
        }
        if bounds.len() > self.dimensions.len() {
            return Err(subscript_error("wrong number of array subscripts"));
        }
        let mut ranges = Vec::with_capacity(self.dimensions.len());
        for (index, dimension) in self.dimensions.iter().enumerate() {
            let given = bounds.get(index);
            let lower = given.and_then(|bounds| bounds.lower).unwrap_or(dimension.lower);
            let upper = given.and_then(|bounds| bounds.upper).unwrap_or(dimension.upper());
            if lower > upper {
                return Err(subscript_error("upper bound cannot be less than lower bound"));
            }
            ranges.push((lower, upper));
        }
        if let [(lower, upper)] = ranges[..] {
            self.grow(lower, upper)?;
        }
        self.check_range(&ranges)?;
        let places = offsets(&self.dimensions, &ranges);
        if source.values.len() < places.len() {
            return Err(subscript_error("source array too small"));
        }
        for (place, value) in places.into_iter().zip(&source.values) {
            self.values[place] = value.clone();
        }
        Ok(self)
    }

    /// A slice assigned to the array without elements.
    fn begin_with_slice(self, bounds: &[Bounds], source: &Self) -> Result<Self, ValueError> {
        let mut dimensions = Vec::with_capacity(bounds.len());
        for bounds in bounds {
            let (Some(lower), Some(upper)) = (bounds.lower, bounds.upper) else {
                return Err(subscript_error("array slice subscript must provide both boundaries")
                    .with_detail(
                        "When assigning to a slice of an empty array value, slice boundaries \
                         must be fully specified.",
                    ));
            };
            if lower > upper {
                return Err(subscript_error("upper bound cannot be less than lower bound"));
            }
            let length = i64::from(upper) - i64::from(lower) + 1;
            let length = i32::try_from(length).map_err(|_| too_large())?;
            dimensions.push(Dimension { length, lower });
        }
        let count = checked_count(&dimensions)?;
        if source.values.len() < count {
            return Err(subscript_error("source array too small"));
        }
        Self::new(self.element, dimensions, source.values[..count].to_vec())
    }

    /// Makes an array of one dimension reach from `lower` to `upper` at least.
    fn grow(&mut self, lower: i32, upper: i32) -> Result<(), ValueError> {
        let old = self.dimensions[0];
        let from = lower.min(old.lower);
        let to = upper.max(old.upper());
        let length = i64::from(to) - i64::from(from) + 1;
        let length = i32::try_from(length).map_err(|_| too_large())?;
        let grown = Dimension { length, lower: from };
        checked_count(&[grown])?;
        let before = (i64::from(old.lower) - i64::from(from)) as usize;
        if before > 0 {
            self.values.splice(0..0, std::iter::repeat_n(Value::Null, before));
        }
        self.values.resize(length as usize, Value::Null);
        self.dimensions[0] = grown;
        Ok(())
    }

    fn check_range(&self, ranges: &[(i32, i32)]) -> Result<(), ValueError> {
        let is_within =
            self.dimensions.iter().zip(ranges).all(|(dimension, (low, high))| {
                *low >= dimension.lower && *high <= dimension.upper()
            });
        if is_within { Ok(()) } else { Err(subscript_error("array subscript out of range")) }
    }
}

/// The array to assign into: a NULL is the one without elements.
pub(crate) fn target(value: &Value, element: DataType) -> Array {
    value.as_array().cloned().unwrap_or_else(|| Array::empty(element))
}
