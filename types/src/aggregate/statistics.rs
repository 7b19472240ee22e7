//! Averages of floats, variances and standard deviations.
//!
//! Floats are summed by the Youngs-Cramer recurrence [Chan83], as PostgreSQL does; integers and numerics
//! exactly.

use super::Accumulator;
use crate::function::mistyped;
use crate::{Numeric, Value, ValueError};

/// What is asked of the moments.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Statistic {
    Average,
    VarPop,
    VarSamp,
    StddevPop,
    StddevSamp,
}

impl Statistic {
    fn is_sample(self) -> bool {
        matches!(self, Self::VarSamp | Self::StddevSamp)
    }

    fn is_root(self) -> bool {
        matches!(self, Self::StddevPop | Self::StddevSamp)
    }
}

/// Count, sum, and sum of squared differences from the mean.
#[derive(Clone)]
pub(super) struct FloatMoments {
    statistic: Statistic,
    count: f64,
    sum: f64,
    squares: f64,
}

impl FloatMoments {
    pub(super) fn new(statistic: Statistic) -> Self {
        Self { statistic, count: 0.0, sum: 0.0, squares: 0.0 }
    }
}

impl Accumulator for FloatMoments {
    fn update(&mut self, args: &[Value]) -> Result<(), ValueError> {
        match &args[0] {
            Value::Null => Ok(()),
            value => self.update_float(value.as_float().ok_or_else(|| mistyped(value))?),
        }
    }

    fn update_float(&mut self, v: f64) -> Result<(), ValueError> {
        let before = (self.count, self.sum);
        self.count += 1.0;
        self.sum += v;
        if before.0 == 0.0 {
            // One value that is not finite makes every difference undefined.
            if !v.is_finite() {
                self.squares = f64::NAN;
            }
            return Ok(());
        }
        let difference = v * self.count - self.sum;
        self.squares += difference * difference / (self.count * before.0);
        if self.sum.is_infinite() || self.squares.is_infinite() {
            if !before.1.is_infinite() && !v.is_infinite() {
                return Err(ValueError::out_of_range("value").overflow());
            }
            self.squares = f64::NAN;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<Value, ValueError> {
        if self.count == 0.0 || (self.statistic.is_sample() && self.count <= 1.0) {
            return Ok(Value::Null);
        }
        if self.statistic == Statistic::Average {
            return Ok(Value::Float8(self.sum / self.count));
        }
        let divisor = if self.statistic.is_sample() { self.count - 1.0 } else { self.count };
        let variance = self.squares / divisor;
        Ok(Value::Float8(if self.statistic.is_root() { variance.sqrt() } else { variance }))
    }

    fn merge(&mut self, other: &dyn Accumulator) -> Result<bool, ValueError> {
        let Some(other) = other.as_any().downcast_ref::<Self>() else { return Ok(false) };
        if self.count == 0.0 || other.count == 0.0 {
            if self.count == 0.0 {
                self.clone_from(other);
            }
            return Ok(true);
        }
        let count = self.count + other.count;
        let sum = self.sum + other.sum;
        if sum.is_infinite() && !self.sum.is_infinite() && !other.sum.is_infinite() {
            return Err(ValueError::out_of_range("value").overflow());
        }
        let difference = self.sum / self.count - other.sum / other.count;
        let squares = self.squares
            + other.squares
            + self.count * other.count * difference * difference / count;
        if squares.is_infinite() && !self.squares.is_infinite() && !other.squares.is_infinite() {
            return Err(ValueError::out_of_range("value").overflow());
        }
        (self.count, self.sum, self.squares) = (count, sum, squares);
        Ok(true)
    }
}

/// Count, sum, and sum of squares, exactly.
#[derive(Clone)]
pub(super) struct NumericMoments {
    statistic: Statistic,
    count: i64,
    sum: Numeric,
    squares: Numeric,
}

impl NumericMoments {
    pub(super) fn new(statistic: Statistic) -> Self {
        Self { statistic, count: 0, sum: Numeric::ZERO, squares: Numeric::ZERO }
    }
}

impl Accumulator for NumericMoments {
    fn update(&mut self, args: &[Value]) -> Result<(), ValueError> {
        let v = match &args[0] {
            Value::Null => return Ok(()),
            Value::Numeric(v) => v.clone(),
            value => Numeric::from(value.as_int().ok_or_else(|| mistyped(value))?),
        };
        self.count += 1;
        self.sum = self.sum.add(&v)?;
        self.squares = self.squares.add(&v.mul(&v)?)?;
        Ok(())
    }

    fn finish(&mut self) -> Result<Value, ValueError> {
        let sample = self.statistic.is_sample();
        if self.count == 0 || (sample && self.count == 1) {
            return Ok(Value::Null);
        }
        if !self.sum.is_finite() || !self.squares.is_finite() {
            return Ok(Value::Numeric(Numeric::NaN));
        }
        let count = Numeric::from(self.count);
        let numerator = self.squares.mul(&count)?.sub(&self.sum.mul(&self.sum)?)?;
        if numerator.signum() <= 0 {
            // Rounding could not make it negative: it is zero.
            return Ok(Value::Numeric(Numeric::ZERO));
        }
        let other = if sample { Numeric::from(self.count - 1) } else { count.clone() };
        let divisor = count.mul(&other)?;
        let scale = numerator.division_scale(&divisor);
        let variance = numerator.div_to_scale(&divisor, scale)?;
        Ok(Value::Numeric(if self.statistic.is_root() {
            variance.sqrt_at(scale as u32)
        } else {
            variance
        }))
    }

    fn merge(&mut self, other: &dyn Accumulator) -> Result<bool, ValueError> {
        let Some(other) = other.as_any().downcast_ref::<Self>() else { return Ok(false) };
        self.sum = self.sum.add(&other.sum)?;
        self.squares = self.squares.add(&other.squares)?;
        self.count += other.count;
        Ok(true)
    }
}
