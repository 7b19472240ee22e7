//! `bool_and`, `bool_or` and the bitwise aggregates.

use super::Accumulator;
use crate::function::mistyped;
use crate::{DataType, Value, ValueError};

/// `bool_and` when it starts from true, `bool_or` from false.
#[derive(Clone)]
pub(super) struct Truth {
    all: bool,
    state: Option<bool>,
}

impl Truth {
    pub(super) fn new(all: bool) -> Self {
        Self { all, state: None }
    }
}

impl Accumulator for Truth {
    fn update(&mut self, args: &[Value]) -> Result<(), ValueError> {
        match &args[0] {
            Value::Null => {}
            Value::Bool(v) => {
                let before = self.state.unwrap_or(self.all);
                self.state = Some(if self.all { before && *v } else { before || *v });
            }
            other => return Err(mistyped(other)),
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<Value, ValueError> {
        Ok(self.state.map_or(Value::Null, Value::Bool))
    }

    fn merge(&mut self, other: &dyn Accumulator) -> Result<bool, ValueError> {
        let Some(other) = other.as_any().downcast_ref::<Self>() else { return Ok(false) };
        if let Some(state) = other.state {
            self.update(&[Value::Bool(state)])?;
        }
        Ok(true)
    }
}

/// `bit_and`, `bit_or`, `bit_xor`
#[derive(Clone)]
pub(super) struct Bits {
    ty: DataType,
    combine: fn(i64, i64) -> i64,
    state: Option<i64>,
}

impl Bits {
    pub(super) fn new(ty: DataType, combine: fn(i64, i64) -> i64) -> Self {
        Self { ty, combine, state: None }
    }
}

impl Accumulator for Bits {
    fn update(&mut self, args: &[Value]) -> Result<(), ValueError> {
        match &args[0] {
            Value::Null => Ok(()),
            value => {
                let v = value.as_int().ok_or_else(|| mistyped(value))?;
                self.update_int(self.ty, v)
            }
        }
    }

    fn update_int(&mut self, _: DataType, v: i64) -> Result<(), ValueError> {
        self.state = Some(self.state.map_or(v, |before| (self.combine)(before, v)));
        Ok(())
    }

    fn finish(&mut self) -> Result<Value, ValueError> {
        match self.state {
            Some(v) => Value::from_int(self.ty, v),
            None => Ok(Value::Null),
        }
    }

    fn merge(&mut self, other: &dyn Accumulator) -> Result<bool, ValueError> {
        let Some(other) = other.as_any().downcast_ref::<Self>() else { return Ok(false) };
        if let Some(state) = other.state {
            self.update_int(self.ty, state)?;
        }
        Ok(true)
    }
}
