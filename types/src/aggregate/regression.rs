//! Aggregates of two variables: covariance, correlation, linear regression.
//!
//! Sums of squares and products of differences from the mean, by the recurrence of Youngs and Cramer, as
//! PostgreSQL computes them. The first argument is the dependent variable.
//!
//! Sources: [Chan83]; PostgreSQL 15, src/backend/utils/adt/float.c (float8_regr_accum and its finals).

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
    AvgX,
    AvgY,
    R2,
    Slope,
    Intercept,
    CovarPop,
    CovarSamp,
    Corr,
}

/// The sums.
#[derive(Clone)]
pub(super) struct Regression {
    asked: Relation,
    n: f64,
    x: f64,
    xx: f64,
    y: f64,
    yy: f64,
    xy: f64,
}

impl Regression {
    pub(super) fn new(asked: Relation) -> Self {
        Self { asked, n: 0.0, x: 0.0, xx: 0.0, y: 0.0, yy: 0.0, xy: 0.0 }
    }

    fn add(&mut self, y: f64, x: f64) -> Result<(), ValueError> {
        let before = (self.n, self.x, self.y);
        self.n += 1.0;
        self.x += x;
        self.y += y;
        if before.0 == 0.0 {
            // One value that is not finite makes every difference undefined.
            if !x.is_finite() {
                (self.xx, self.xy) = (f64::NAN, f64::NAN);
            }
            if !y.is_finite() {
                (self.yy, self.xy) = (f64::NAN, f64::NAN);
            }
            return Ok(());
        }
        let (dx, dy) = (x * self.n - self.x, y * self.n - self.y);
        let scale = 1.0 / (self.n * before.0);
        self.xx += dx * dx * scale;
        self.yy += dy * dy * scale;
        self.xy += dx * dy * scale;
        let all = [self.x, self.xx, self.y, self.yy, self.xy];
        if all.iter().any(|sum| sum.is_infinite()) {
            let x_finite = !before.1.is_infinite() && !x.is_infinite();
            let y_finite = !before.2.is_infinite() && !y.is_infinite();
            if (self.x.is_infinite() || self.xx.is_infinite()) && x_finite
                || (self.y.is_infinite() || self.yy.is_infinite()) && y_finite
                || self.xy.is_infinite() && x_finite && y_finite
            {
                return Err(ValueError::out_of_range("value").overflow());
            }
            for sum in [&mut self.xx, &mut self.yy, &mut self.xy] {
                if sum.is_infinite() {
                    *sum = f64::NAN;
                }
            }
        }
        Ok(())
    }
}

impl Accumulator for Regression {
    fn update(&mut self, args: &[Value]) -> Result<(), ValueError> {
        if args[0].is_null() || args[1].is_null() {
            return Ok(());
        }
        let number = |value: &Value| value.as_float().ok_or_else(|| mistyped(value));
        self.add(number(&args[0])?, number(&args[1])?)
    }

    fn finish(&mut self) -> Result<Value, ValueError> {
        use Relation as R;
        let Self { n, x, xx, y, yy, xy, .. } = *self;
        if self.asked == R::Count {
            return Ok(Value::Int8(n as i64));
        }
        let least = if self.asked == R::CovarSamp { 2.0 } else { 1.0 };
        if n < least {
            return Ok(Value::Null);
        }
        let result = match self.asked {
            R::Count => n,
            R::Sxx => xx,
            R::Syy => yy,
            R::Sxy => xy,
            R::AvgX => x / n,
            R::AvgY => y / n,
            R::CovarPop => xy / n,
            R::CovarSamp => xy / (n - 1.0),
            R::Corr if xx == 0.0 || yy == 0.0 => return Ok(Value::Null),
            R::Corr => xy / (xx * yy).sqrt(),
            // A vertical line says nothing, a horizontal one everything.
            R::R2 | R::Slope | R::Intercept if xx == 0.0 => return Ok(Value::Null),
            R::R2 if yy == 0.0 => 1.0,
            R::R2 => (xy * xy) / (xx * yy),
            R::Slope => xy / xx,
            R::Intercept => (y - x * xy / xx) / n,
        };
        Ok(Value::Float8(result))
    }
}
