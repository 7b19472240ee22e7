//! `array_agg`.

use super::Accumulator;
use crate::function::nested;
use crate::{Array, DataType, SqlState, Value, ValueError};

/// Collects the values of all rows, NULLs among them.
#[derive(Clone)]
pub(super) struct ArrayAgg {
    element: DataType,
    values: Vec<Value>,
    heap_bytes: usize,
}

impl ArrayAgg {
    pub(super) fn new(element: DataType) -> Self {
        Self { element, values: Vec::new(), heap_bytes: 0 }
    }
}

impl Accumulator for ArrayAgg {
    fn update(&mut self, args: &[Value]) -> Result<(), ValueError> {
        self.heap_bytes += args[0].heap_bytes();
        self.values.push(args[0].clone());
        Ok(())
    }

    fn finish(&mut self) -> Result<Value, ValueError> {
        if self.values.is_empty() {
            return Ok(Value::Null);
        }
        let values = std::mem::take(&mut self.values);
        Ok(Value::array(Array::from_values(self.element, values)?))
    }

    fn size_bytes(&self) -> usize {
        size_of::<Self>() + self.values.capacity() * size_of::<Value>() + self.heap_bytes
    }
}

/// Collects arrays into one of a dimension more.
#[derive(Clone)]
pub(super) struct ArrayOfArrays {
    element: DataType,
    parts: Vec<Value>,
    heap_bytes: usize,
}

impl ArrayOfArrays {
    pub(super) fn new(array: DataType) -> Self {
        let element = array.element().unwrap_or(array);
        Self { element, parts: Vec::new(), heap_bytes: 0 }
    }
}

fn invalid(message: &str) -> ValueError {
    ValueError::new(SqlState::ArraySubscriptError, message)
}

impl Accumulator for ArrayOfArrays {
    fn update(&mut self, args: &[Value]) -> Result<(), ValueError> {
        let Some(array) = args[0].as_array() else {
            let message = "cannot accumulate null arrays";
            return Err(ValueError::new(SqlState::NullValueNotAllowed, message));
        };
        if array.is_empty() {
            return Err(invalid("cannot accumulate empty arrays"));
        }
        if let Some(first) = self.parts.first().and_then(Value::as_array)
            && first.dimensions() != array.dimensions()
        {
            return Err(invalid("cannot accumulate arrays of different dimensionality"));
        }
        self.heap_bytes += args[0].heap_bytes();
        self.parts.push(args[0].clone());
        Ok(())
    }

    fn finish(&mut self) -> Result<Value, ValueError> {
        if self.parts.is_empty() {
            return Ok(Value::Null);
        }
        let parts = std::mem::take(&mut self.parts);
        let arrays = parts.iter().filter_map(Value::as_array);
        Ok(Value::array(nested(self.element, arrays, parts.len())?))
    }

    fn size_bytes(&self) -> usize {
        size_of::<Self>() + self.parts.capacity() * size_of::<Value>() + self.heap_bytes
    }
}
