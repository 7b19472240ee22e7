//! Ordered-set aggregates: `mode`, `percentile_disc`, `percentile_cont`. Their rows come sorted; the values
//! are the first argument, and a fraction, the same in all rows, is the second.

use super::Accumulator;
use crate::datetime::{interval_add, interval_mul, interval_sub};
use crate::function::mistyped;
use crate::{DataType, SqlState, Value, ValueError, compare_typed};

/// The most frequent value; of several the first.
#[derive(Clone)]
pub(super) struct Mode {
    ty: DataType,
    best: Value,
    best_count: u64,
    run: Value,
    run_count: u64,
}

impl Mode {
    pub(super) fn new(ty: DataType) -> Self {
        Self { ty, best: Value::Null, best_count: 0, run: Value::Null, run_count: 0 }
    }
}

impl Accumulator for Mode {
    fn update(&mut self, args: &[Value]) -> Result<(), ValueError> {
        let value = &args[0];
        if value.is_null() {
            return Ok(());
        }
        if self.run_count > 0 && compare_typed(self.ty, &self.run, value).is_eq() {
            self.run_count += 1;
        } else {
            self.run.clone_from(value);
            self.run_count = 1;
        }
        if self.run_count > self.best_count {
            self.best.clone_from(&self.run);
            self.best_count = self.run_count;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<Value, ValueError> {
        Ok(self.best.clone())
    }
}

/// The value at a fraction of the rows, or between two of them.
#[derive(Clone)]
pub(super) struct Percentile {
    ty: DataType,
    /// Between two rows: for numbers and intervals.
    continuous: bool,
    fraction: Value,
    values: Vec<Value>,
    heap_bytes: usize,
}

impl Percentile {
    pub(super) fn new(ty: DataType, continuous: bool) -> Self {
        Self { ty, continuous, fraction: Value::Null, values: Vec::new(), heap_bytes: 0 }
    }

    fn at(&self, fraction: &Value) -> Result<Value, ValueError> {
        let Some(fraction) = fraction.as_float() else { return Ok(Value::Null) };
        if !(0.0..=1.0).contains(&fraction) {
            let message = format!("percentile value {fraction} is not between 0 and 1");
            return Err(ValueError::new(SqlState::NumericValueOutOfRange, message));
        }
        let Some(last) = self.values.len().checked_sub(1) else { return Ok(Value::Null) };
        if !self.continuous {
            let row = (fraction * self.values.len() as f64).ceil() as usize;
            return Ok(self.values[row.saturating_sub(1).min(last)].clone());
        }
        let place = fraction * last as f64;
        let (low, high) = (place.floor() as usize, place.ceil() as usize);
        if low == high {
            return Ok(self.values[low].clone());
        }
        let share = place - low as f64;
        Ok(match (&self.values[low], &self.values[high]) {
            (Value::Float8(low), Value::Float8(high)) => Value::Float8(low + share * (high - low)),
            (Value::Interval(low), Value::Interval(high)) => {
                let part = interval_mul(interval_sub(*high, *low)?, share)?;
                Value::Interval(interval_add(*low, part)?)
            }
            (other, _) => return Err(mistyped(other)),
        })
    }
}

impl Accumulator for Percentile {
    fn update(&mut self, args: &[Value]) -> Result<(), ValueError> {
        self.fraction.clone_from(&args[1]);
        if !args[0].is_null() {
            self.heap_bytes += args[0].heap_bytes();
            self.values.push(args[0].clone());
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<Value, ValueError> {
        if self.values.is_empty() {
            return Ok(Value::Null);
        }
        let Some(fractions) = self.fraction.as_array() else { return self.at(&self.fraction) };
        if fractions.is_empty() {
            return Ok(self.fraction.clone());
        }
        let values = fractions.values().iter().map(|fraction| self.at(fraction));
        let values = values.collect::<Result<Vec<Value>, ValueError>>()?;
        Ok(Value::array(fractions.with_values(self.ty, values)))
    }

    fn size_bytes(&self) -> usize {
        size_of::<Self>() + self.values.capacity() * size_of::<Value>() + self.heap_bytes
    }
}
