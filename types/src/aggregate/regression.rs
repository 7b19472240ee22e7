//! The aggregates of two floats: covariance, correlation and linear regression.
//!
//! Sums and products are kept by the Youngs-Cramer recurrence [Chan83], as in PostgreSQL. The first
//! argument is the dependent variable *y*, the second *x*; a row counts if both are there.

use super::Accumulator;
use crate::function::mistyped;
use crate::{Value, ValueError};

/// What is asked of the sums.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Relation {
    Count,
    Sxx,
    Syy,
    Sxy,
    MeanX,
    MeanY,
    CovarPop,
    CovarSamp,
    Correlation,
    Determination,
    Slope,
    Intercept,
}

/// Count, sums, and sums of products of the differences from the means.
#[derive(Clone)]
pub(super) struct Pairs {
    relation: Relation,
    count: f64,
    sum_x: f64,
    sum_y: f64,
    sxx: f64,
    syy: f64,
    sxy: f64,
}

impl Pairs {
    pub(super) fn new(relation: Relation) -> Self {
        Self { relation, count: 0.0, sum_x: 0.0, sum_y: 0.0, sxx: 0.0, syy: 0.0, sxy: 0.0 }
    }

    fn first(&mut self, x: f64, y: f64) {
        if !x.is_finite() {
            (self.sxx, self.sxy) = (f64::NAN, f64::NAN);
        }
        if !y.is_finite() {
            (self.syy, self.sxy) = (f64::NAN, f64::NAN);
        }
    }

    fn next(&mut self, x: f64, y: f64, before: (f64, f64, f64)) -> Result<(), ValueError> {
        let (count, sum_x, sum_y) = before;
        let (dx, dy) = (x * self.count - self.sum_x, y * self.count - self.sum_y);
        let scale = 1.0 / (self.count * count);
        self.sxx += dx * dx * scale;
        self.syy += dy * dy * scale;
        self.sxy += dx * dy * scale;
        let x_was_finite = !sum_x.is_infinite() && !x.is_infinite();
        let y_was_finite = !sum_y.is_infinite() && !y.is_infinite();
        let x_overflows = (self.sum_x.is_infinite() || self.sxx.is_infinite()) && x_was_finite;
        let y_overflows = (self.sum_y.is_infinite() || self.syy.is_infinite()) && y_was_finite;
        if x_overflows || y_overflows || (self.sxy.is_infinite() && x_was_finite && y_was_finite) {
            return Err(ValueError::out_of_range("value").overflow());
        }
        for product in [&mut self.sxx, &mut self.syy, &mut self.sxy] {
            if product.is_infinite() {
                *product = f64::NAN;
            }
        }
        Ok(())
    }
}

impl Accumulator for Pairs {
    fn update(&mut self, args: &[Value]) -> Result<(), ValueError> {
        if args.iter().any(Value::is_null) {
            return Ok(());
        }
        let float = |value: &Value| value.as_float().ok_or_else(|| mistyped(value));
        let (y, x) = (float(&args[0])?, float(&args[1])?);
        let before = (self.count, self.sum_x, self.sum_y);
        self.count += 1.0;
        self.sum_x += x;
        self.sum_y += y;
        if before.0 > 0.0 {
            return self.next(x, y, before);
        }
        self.first(x, y);
        Ok(())
    }

    fn finish(&mut self) -> Result<Value, ValueError> {
        let Self { relation, count, sum_x, sum_y, sxx, syy, sxy } = *self;
        let v = match relation {
            Relation::Count => return Ok(Value::Int8(count as i64)),
            _ if count < 1.0 => None,
            Relation::Sxx => Some(sxx),
            Relation::Syy => Some(syy),
            Relation::Sxy => Some(sxy),
            Relation::MeanX => Some(sum_x / count),
            Relation::MeanY => Some(sum_y / count),
            Relation::CovarPop => Some(sxy / count),
            Relation::CovarSamp => (count >= 2.0).then(|| sxy / (count - 1.0)),
            Relation::Correlation => (sxx != 0.0 && syy != 0.0).then(|| sxy / (sxx * syy).sqrt()),
            _ if sxx == 0.0 => None,
            Relation::Determination if syy == 0.0 => Some(1.0),
            Relation::Determination => Some(sxy * sxy / (sxx * syy)),
            Relation::Slope => Some(sxy / sxx),
            Relation::Intercept => Some((sum_y - sum_x * sxy / sxx) / count),
        };
        Ok(v.map_or(Value::Null, Value::Float8))
    }
}
