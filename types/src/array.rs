//! Arrays: values of one type in up to six dimensions.
//!
//! The elements lie in row-major order, NULLs among them. Each dimension has a length and a lower bound,
//! which is 1 unless somebody chose another. The array without elements has no dimensions.
//!
//! Invariants
//! * The product of the lengths is the number of elements; no length is zero.
//! * Elements are NULL or of the element type.

mod binary;
mod subscript;
mod text;

use std::cmp::Ordering;
use std::hash::Hasher;

pub(crate) use binary::{read_binary, write_binary};
pub(crate) use subscript::{Bounds, target};
pub(crate) use text::{parse_array, parse_vector, write_array, write_vector};

use crate::{DataType, SqlState, Value, ValueError, compare_typed, hash_typed};

/// No array has more dimensions.
pub(crate) const MAX_DIMENSIONS: usize = 6;
/// No array has more elements in PostgreSQL (`MaxArraySize`); errors name this limit.
const MAX_ELEMENTS: usize = 134_217_727;
/// Nor more memory there (`MaxAllocSize`): elements here are wider.
const MAX_HELD: usize = (1 << 30) / size_of::<Value>();

/// One dimension of an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dimension {
    /// How many elements.
    pub length: i32,
    /// The subscript of the first.
    pub lower: i32,
}

impl Dimension {
    /// The subscript of the last element.
    pub fn upper(self) -> i32 {
        // `Array::new` holds the upper bound within i32.
        self.lower + (self.length - 1)
    }
}

/// An array.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    element: DataType,
    dimensions: Vec<Dimension>,
    values: Vec<Value>,
}

/// `number of array dimensions (7) exceeds the maximum allowed (6)`
pub(crate) fn too_many_dimensions(count: usize) -> ValueError {
    ValueError::new(
        SqlState::ProgramLimitExceeded,
        format!(
            "number of array dimensions ({count}) exceeds the maximum allowed ({MAX_DIMENSIONS})"
        ),
    )
}

fn too_large() -> ValueError {
    ValueError::new(
        SqlState::ProgramLimitExceeded,
        format!("array size exceeds the maximum allowed ({MAX_ELEMENTS})"),
    )
}

/// How many elements there are in dimensions of these lengths.
///
/// # Errors
/// 54000 when they are too many, or an upper bound is beyond `integer`.
pub(crate) fn checked_count(dimensions: &[Dimension]) -> Result<usize, ValueError> {
    if dimensions.len() > MAX_DIMENSIONS {
        return Err(too_many_dimensions(dimensions.len()));
    }
    if dimensions.is_empty() {
        return Ok(0);
    }
    let mut count = 1usize;
    for dimension in dimensions {
        let length = usize::try_from(dimension.length).map_err(|_| too_large())?;
        count = count.checked_mul(length).filter(|n| *n <= MAX_HELD).ok_or_else(too_large)?;
    }
    for dimension in dimensions {
        if dimension.lower.checked_add(dimension.length).is_none() {
            let message = format!("array lower bound is too large: {}", dimension.lower);
            return Err(ValueError::new(SqlState::ProgramLimitExceeded, message));
        }
    }
    Ok(count)
}

impl Array {
    /// The array without elements.
    pub fn empty(element: DataType) -> Self {
        Self { element, dimensions: Vec::new(), values: Vec::new() }
    }

    /// An array of one dimension that begins at 1.
    ///
    /// # Errors
    /// 54000 when there are too many elements.
    pub fn from_values(element: DataType, values: Vec<Value>) -> Result<Self, ValueError> {
        let length = i32::try_from(values.len()).map_err(|_| too_large())?;
        Self::new(element, vec![Dimension { length, lower: 1 }], values)
    }

    /// An array that begins at 0, as `int2vector` and `oidvector` do.
    ///
    /// # Errors
    /// 54000 when there are too many elements.
    pub fn vector(element: DataType, values: Vec<Value>) -> Result<Self, ValueError> {
        let length = i32::try_from(values.len()).map_err(|_| too_large())?;
        Self::new(element, vec![Dimension { length, lower: 0 }], values)
    }

    /// An array. Dimensions of length zero make it the one without elements.
    ///
    /// # Errors
    /// 54000 when there are too many elements or dimensions.
    ///
    /// # Panics
    /// If the dimensions are not those of the values: our mistake.
    pub fn new(
        element: DataType,
        dimensions: Vec<Dimension>,
        values: Vec<Value>,
    ) -> Result<Self, ValueError> {
        let count = checked_count(&dimensions)?;
        assert_eq!(count, values.len(), "the dimensions are those of the values");
        if count == 0 {
            return Ok(Self::empty(element));
        }
        Ok(Self { element, dimensions, values })
    }

    /// An array as it was stored; `None` if it cannot have been.
    pub(crate) fn from_stored(
        element: DataType,
        dimensions: Vec<Dimension>,
        values: Vec<Value>,
    ) -> Option<Self> {
        let count = checked_count(&dimensions).ok()?;
        let is_sound = count == values.len() && (count > 0 || dimensions.is_empty());
        is_sound.then_some(Self { element, dimensions, values })
    }

    /// The same elements as of another type, which holds them alike.
    #[must_use]
    pub(crate) fn with_element(mut self, element: DataType) -> Self {
        self.element = element;
        self
    }

    /// Each element converted, in the same dimensions.
    ///
    /// # Errors
    /// What the conversion raises.
    pub(crate) fn map(
        &self,
        element: DataType,
        f: impl FnMut(&Value) -> Result<Value, ValueError>,
    ) -> Result<Self, ValueError> {
        let values = self.values.iter().map(f).collect::<Result<_, _>>()?;
        Ok(Self { element, dimensions: self.dimensions.clone(), values })
    }

    /// The type of the elements.
    pub fn element(&self) -> DataType {
        self.element
    }

    /// The dimensions; none if there are no elements.
    pub fn dimensions(&self) -> &[Dimension] {
        &self.dimensions
    }

    /// The elements in row-major order.
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// The elements in row-major order, to keep.
    pub fn into_values(self) -> Vec<Value> {
        self.values
    }

    /// Other values in the same places; there must be as many.
    pub(crate) fn with_values(&self, element: DataType, values: Vec<Value>) -> Self {
        assert_eq!(values.len(), self.values.len(), "as many values as places");
        Self { element, dimensions: self.dimensions.clone(), values }
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// An estimate of the memory it takes.
    pub fn heap_bytes(&self) -> usize {
        let values: usize = self.values.iter().map(Value::heap_bytes).sum();
        size_of::<Self>() + self.values.len() * size_of::<Value>() + values
    }

    /// PostgreSQL's order (`array_cmp`): by the elements in turn, NULL above all; then by how many
    /// there are, the number of dimensions, their lengths, and their lower bounds.
    pub fn compare(&self, other: &Self) -> Ordering {
        let by = |of: fn(&Dimension) -> i32| {
            self.dimensions.iter().map(of).cmp(other.dimensions.iter().map(of))
        };
        self.values
            .iter()
            .zip(&other.values)
            .map(|(a, b)| compare_typed(self.element, a, b))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
            .then_with(|| self.values.len().cmp(&other.values.len()))
            .then_with(|| self.dimensions.len().cmp(&other.dimensions.len()))
            .then_with(|| by(|dimension| dimension.length))
            .then_with(|| by(|dimension| dimension.lower))
    }

    /// Hashes it such that equal arrays hash alike.
    pub(crate) fn hash_into(&self, hasher: &mut impl Hasher) {
        hasher.write_usize(self.values.len());
        self.values.iter().for_each(|value| hash_typed(self.element, value, hasher));
    }
}

impl Value {
    /// An array value.
    pub fn array(array: Array) -> Self {
        Self::Array(std::sync::Arc::new(array))
    }

    /// The array in an array.
    pub fn as_array(&self) -> Option<&Array> {
        if let Self::Array(array) = self { Some(array) } else { None }
    }
}
