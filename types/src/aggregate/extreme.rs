//! `min` and `max`.

use super::Accumulator;
use crate::{DataType, Value, ValueError, compare_typed};

#[derive(Clone)]
pub(super) struct Extreme {
    ty: DataType,
    least: bool,
    best: Value,
}

impl Extreme {
    pub(super) fn new(ty: DataType, least: bool) -> Self {
        Self { ty, least, best: Value::Null }
    }
}

impl Accumulator for Extreme {
    fn update(&mut self, args: &[Value]) -> Result<(), ValueError> {
        let value = &args[0];
        if value.is_null() {
            return Ok(());
        }
        let order = compare_typed(self.ty, value, &self.best);
        let better = if self.least { order.is_lt() } else { order.is_gt() };
        if self.best.is_null() || better {
            self.best.clone_from(value);
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<Value, ValueError> {
        Ok(std::mem::replace(&mut self.best, Value::Null))
    }

    fn merge(&mut self, other: &dyn Accumulator) -> Result<bool, ValueError> {
        let Some(other) = other.as_any().downcast_ref::<Self>() else { return Ok(false) };
        self.update(std::slice::from_ref(&other.best))?;
        Ok(true)
    }

    fn size_bytes(&self) -> usize {
        size_of::<Self>() + self.best.heap_bytes()
    }
}
