//! Counts, sums and averages.

use super::Accumulator;
use crate::datetime::{interval_add, interval_div};
use crate::function::mistyped;
use crate::{DataType, Interval, Numeric, Value, ValueError};

/// `count`: of rows without an argument, else of values.
#[derive(Clone, Default)]
pub(super) struct Count {
    count: i64,
}

impl Accumulator for Count {
    fn update(&mut self, args: &[Value]) -> Result<(), ValueError> {
        if args.first().is_none_or(|value| !value.is_null()) {
            self.count += 1;
        }
        Ok(())
    }

    fn update_int(&mut self, _: DataType, _: i64) -> Result<(), ValueError> {
        self.count += 1;
        Ok(())
    }

    fn update_float(&mut self, _: f64) -> Result<(), ValueError> {
        self.count += 1;
        Ok(())
    }

    fn finish(&mut self) -> Result<Value, ValueError> {
        Ok(Value::Int8(self.count))
    }

    fn retract(&mut self, args: &[Value]) -> bool {
        if args.first().is_none_or(|value| !value.is_null()) {
            self.count -= 1;
        }
        true
    }

    fn merge(&mut self, other: &dyn Accumulator) -> Result<bool, ValueError> {
        let Some(other) = other.as_any().downcast_ref::<Self>() else { return Ok(false) };
        self.count += other.count;
        Ok(true)
    }
}

/// `sum` of `smallint` and `integer`: a `bigint`.
#[derive(Clone, Default)]
pub(super) struct IntSum {
    sum: i64,
    count: i64,
}

impl Accumulator for IntSum {
    fn update(&mut self, args: &[Value]) -> Result<(), ValueError> {
        match &args[0] {
            Value::Null => Ok(()),
            value => {
                let v = value.as_int().ok_or_else(|| mistyped(value))?;
                self.update_int(DataType::Int8, v)
            }
        }
    }

    fn update_int(&mut self, _: DataType, v: i64) -> Result<(), ValueError> {
        self.sum = self.sum.checked_add(v).ok_or_else(|| ValueError::out_of_range("bigint"))?;
        self.count += 1;
        Ok(())
    }

    fn finish(&mut self) -> Result<Value, ValueError> {
        Ok(if self.count == 0 { Value::Null } else { Value::Int8(self.sum) })
    }

    fn retract(&mut self, args: &[Value]) -> bool {
        if let Some(v) = args[0].as_int() {
            self.sum = self.sum.wrapping_sub(v);
            self.count -= 1;
        }
        true
    }

    fn merge(&mut self, other: &dyn Accumulator) -> Result<bool, ValueError> {
        let Some(other) = other.as_any().downcast_ref::<Self>() else { return Ok(false) };
        let sum = self.sum.checked_add(other.sum);
        self.sum = sum.ok_or_else(|| ValueError::out_of_range("bigint"))?;
        self.count += other.count;
        Ok(true)
    }
}

/// `sum` of `bigint` and `avg` of all integers: a `numeric`. No table has so many rows that the sum
/// would exceed 128 bits.
#[derive(Clone, Default)]
pub(super) struct BigSum {
    pub(super) average: bool,
    pub(super) sum: i128,
    pub(super) count: i64,
}

impl Accumulator for BigSum {
    fn update(&mut self, args: &[Value]) -> Result<(), ValueError> {
        match &args[0] {
            Value::Null => Ok(()),
            value => {
                let v = value.as_int().ok_or_else(|| mistyped(value))?;
                self.update_int(DataType::Int8, v)
            }
        }
    }

    fn update_int(&mut self, _: DataType, v: i64) -> Result<(), ValueError> {
        self.sum += i128::from(v);
        self.count += 1;
        Ok(())
    }

    fn finish(&mut self) -> Result<Value, ValueError> {
        if self.count == 0 {
            return Ok(Value::Null);
        }
        let sum = Numeric::new(self.sum, 0);
        let result = if self.average { sum.div(&Numeric::from(self.count))? } else { sum };
        Ok(Value::Numeric(result))
    }

    fn retract(&mut self, args: &[Value]) -> bool {
        if let Some(v) = args[0].as_int() {
            self.sum -= i128::from(v);
            self.count -= 1;
        }
        true
    }

    fn merge(&mut self, other: &dyn Accumulator) -> Result<bool, ValueError> {
        let Some(other) = other.as_any().downcast_ref::<Self>() else { return Ok(false) };
        self.sum += other.sum;
        self.count += other.count;
        Ok(true)
    }
}

/// `sum` and `avg` of `numeric`.
#[derive(Clone)]
pub(super) struct NumericSum {
    pub(super) average: bool,
    pub(super) sum: Numeric,
    pub(super) count: i64,
}

impl Default for NumericSum {
    fn default() -> Self {
        Self { average: false, sum: Numeric::ZERO, count: 0 }
    }
}

impl Accumulator for NumericSum {
    fn update(&mut self, args: &[Value]) -> Result<(), ValueError> {
        match &args[0] {
            Value::Null => {}
            Value::Numeric(v) => {
                self.sum = self.sum.add(v)?;
                self.count += 1;
            }
            other => return Err(mistyped(other)),
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<Value, ValueError> {
        if self.count == 0 {
            return Ok(Value::Null);
        }
        let result =
            if self.average { self.sum.div(&Numeric::from(self.count))? } else { self.sum.clone() };
        Ok(Value::Numeric(result))
    }

    fn merge(&mut self, other: &dyn Accumulator) -> Result<bool, ValueError> {
        let Some(other) = other.as_any().downcast_ref::<Self>() else { return Ok(false) };
        self.sum = self.sum.add(&other.sum)?;
        self.count += other.count;
        Ok(true)
    }
}

/// `sum` of floats. A sum of `real` is rounded to `real` at every step.
#[derive(Clone)]
pub(super) struct FloatSum {
    single: bool,
    sum: Option<f64>,
}

impl FloatSum {
    pub(super) fn new(single: bool) -> Self {
        Self { single, sum: None }
    }
}

impl Accumulator for FloatSum {
    fn update(&mut self, args: &[Value]) -> Result<(), ValueError> {
        match &args[0] {
            Value::Null => Ok(()),
            value => self.update_float(value.as_float().ok_or_else(|| mistyped(value))?),
        }
    }

    fn update_float(&mut self, v: f64) -> Result<(), ValueError> {
        let Some(before) = self.sum else {
            self.sum = Some(v);
            return Ok(());
        };
        let exact = before + v;
        let sum = if self.single { f64::from(exact as f32) } else { exact };
        if sum.is_infinite() && !before.is_infinite() && !v.is_infinite() {
            return Err(ValueError::out_of_range("value").overflow());
        }
        self.sum = Some(sum);
        Ok(())
    }

    fn finish(&mut self) -> Result<Value, ValueError> {
        Ok(match self.sum {
            None => Value::Null,
            Some(sum) if self.single => Value::Float4(sum as f32),
            Some(sum) => Value::Float8(sum),
        })
    }

    fn merge(&mut self, other: &dyn Accumulator) -> Result<bool, ValueError> {
        let Some(other) = other.as_any().downcast_ref::<Self>() else { return Ok(false) };
        if let Some(sum) = other.sum {
            self.update_float(sum)?;
        }
        Ok(true)
    }
}

/// `sum` and `avg` of intervals.
#[derive(Clone, Default)]
pub(super) struct IntervalSum {
    pub(super) average: bool,
    pub(super) sum: Interval,
    pub(super) count: i64,
}

impl Accumulator for IntervalSum {
    fn update(&mut self, args: &[Value]) -> Result<(), ValueError> {
        match &args[0] {
            Value::Null => {}
            Value::Interval(v) => {
                self.sum = interval_add(self.sum, *v)?;
                self.count += 1;
            }
            other => return Err(mistyped(other)),
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<Value, ValueError> {
        if self.count == 0 {
            return Ok(Value::Null);
        }
        let result =
            if self.average { interval_div(self.sum, self.count as f64)? } else { self.sum };
        Ok(Value::Interval(result))
    }

    fn merge(&mut self, other: &dyn Accumulator) -> Result<bool, ValueError> {
        let Some(other) = other.as_any().downcast_ref::<Self>() else { return Ok(false) };
        self.sum = interval_add(self.sum, other.sum)?;
        self.count += other.count;
        Ok(true)
    }
}
