//! Square roots, exponentials and logarithms, computed in fixed point with guard digits and rounded to
//! the scale that PostgreSQL chooses.

use std::f64::consts::LOG10_E;

use num_bigint::{BigInt, Sign};

use super::rounding::divide_rounding;
use super::{MAX_DISPLAY_SCALE, MIN_SIGNIFICANT, Numeric, overflow, power_of_ten};
use crate::{SqlState, ValueError};

/// The largest exponent worth computing (three times NUMERIC_MAX_RESULT_SCALE).
const MAX_EXPONENT: f64 = 6000.0;

/// A scale within what these functions give.
pub(super) fn display_scale(wanted: i64, at_least: &[u16]) -> u32 {
    let least = at_least.iter().copied().max().unwrap_or(0);
    wanted.max(i64::from(least)).clamp(0, MAX_DISPLAY_SCALE) as u32
}

/// A number at `places` decimals as an integer, cut.
pub(super) fn fixed(number: &Numeric, places: u32) -> BigInt {
    let Some((digits, scale)) = number.unscaled() else { return BigInt::default() };
    let scale = u32::from(scale);
    if places >= scale {
        digits * power_of_ten(places - scale)
    } else {
        digits / power_of_ten(scale - places)
    }
}

/// The reverse, rounded.
pub(super) fn from_fixed(value: &BigInt, places: u32, scale: u32) -> Result<Numeric, ValueError> {
    let rounded = divide_rounding(value, &power_of_ten(places - scale));
    Numeric::checked(rounded, i64::from(scale))
}

/// `e^x` in fixed point, for any sign of `x`.
pub(super) fn exp_fixed(x: &BigInt, places: u32) -> BigInt {
    let one = power_of_ten(places);
    // Halve until x is small, so that the series is short; each squaring doubles the error.
    let whole_bits = (x / &one).bits() as u32;
    let halvings = whole_bits + 8;
    let guard = halvings / 3 + 6 + (f64::from(whole_bits) * 0.31) as u32;
    let unit = power_of_ten(places + guard);
    let reduced = (BigInt::from(x.magnitude().clone()) * power_of_ten(guard)) >> halvings;
    let mut sum = unit.clone();
    let mut term = unit.clone();
    for n in 1u32.. {
        term = term * &reduced / &unit / n;
        if term.sign() == Sign::NoSign {
            break;
        }
        sum += &term;
    }
    for _ in 0..halvings {
        sum = &sum * &sum / &unit;
    }
    if x.sign() == Sign::Minus {
        return one * &unit / sum;
    }
    sum / power_of_ten(guard)
}

/// `ln(m)` in fixed point, for `m` between a tenth and ten.
fn ln_near_one(m: &BigInt, places: u32) -> BigInt {
    let one = power_of_ten(places);
    let mut m = m.clone();
    let mut doublings = 0u32;
    // Roots bring m so near to one that the series gains two digits a term.
    while ((&m - &one).magnitude() * 10u8) > *one.magnitude() {
        m = (&m * &one).sqrt();
        doublings += 1;
    }
    // ln(m) = 2 artanh((m - 1) / (m + 1))
    let z = (&m - &one) * &one / (&m + &one);
    let square = &z * &z / &one;
    let mut sum = z.clone();
    let mut power = z;
    for n in (3u32..).step_by(2) {
        power = power * &square / &one;
        let term = &power / n;
        if term.sign() == Sign::NoSign {
            break;
        }
        sum += term;
    }
    sum << (doublings + 1)
}

/// `ln(number)` in fixed point, for a positive number.
pub(super) fn ln_fixed(number: &Numeric, places: u32) -> BigInt {
    let Some((digits, scale)) = number.unscaled() else { return BigInt::default() };
    let guard = 12;
    let working = places + guard;
    // number = m * 10^exponent with m near one.
    let count = decimal_digits(&digits);
    let near_one = {
        let value = number.to_f64();
        (0.5..2.0).contains(&value)
    };
    let exponent = if near_one { 0 } else { count - i64::from(scale) - 1 };
    let shift = i64::from(working) - i64::from(scale) - exponent;
    let m = if shift >= 0 {
        digits * power_of_ten(shift as u32)
    } else {
        digits / power_of_ten(shift.unsigned_abs() as u32)
    };
    let mut result = ln_near_one(&m, working);
    if exponent != 0 {
        let ten = power_of_ten(working + 1);
        result += ln_near_one(&ten, working) * exponent;
    }
    result / power_of_ten(guard)
}

fn decimal_digits(digits: &BigInt) -> i64 {
    digits.magnitude().to_string().len() as i64
}

impl Numeric {
    /// The square root.
    ///
    /// # Errors
    /// 2201F for negative numbers.
    pub fn sqrt(&self) -> Result<Self, ValueError> {
        if self.signum() < 0 {
            return Err(ValueError::new(
                SqlState::InvalidArgumentForPowerFunction,
                "cannot take square root of a negative number",
            ));
        }
        let Some((digits, scale)) = self.unscaled() else { return Ok(self.clone()) };
        let weight = self.leading().0;
        let root_weight = if weight >= 0 { weight * 2 + 1 } else { 1 - (1 - weight * 4) / 2 };
        let result_scale = display_scale(MIN_SIGNIFICANT - root_weight, &[scale]);
        Ok(sqrt_to_scale(&digits, scale, result_scale))
    }

    /// The square root of a number that is not negative, rounded to a scale.
    pub(crate) fn sqrt_at(&self, result_scale: u32) -> Self {
        let Some((digits, scale)) = self.unscaled() else { return self.clone() };
        sqrt_to_scale(&digits, scale, result_scale)
    }

    /// `e^self`
    ///
    /// # Errors
    /// 22003 beyond the format.
    pub fn exp(&self) -> Result<Self, ValueError> {
        match self {
            Self::NegInfinity => return Ok(Self::ZERO),
            Self::NaN | Self::Infinity => return Ok(self.clone()),
            _ => {}
        }
        let value = self.to_f64();
        let weight = (value * LOG10_E).clamp(-1000.0, 1000.0);
        let scale = display_scale(MIN_SIGNIFICANT - weight as i64, &[self.scale()]);
        if value.abs() >= MAX_EXPONENT {
            if value > 0.0 {
                return Err(overflow());
            }
            return Ok(Self::Small { digits: 0, scale: scale as u16 });
        }
        // A large result needs its digits before the point to be right as well.
        let places = scale + 12 + (value.max(0.0) * LOG10_E) as u32;
        from_fixed(&exp_fixed(&fixed(self, places), places), places, scale)
    }

    /// The place of the first decimal digit of `ln(self)` (`estimate_ln_dweight`).
    pub(super) fn ln_weight(&self) -> i64 {
        if self.signum() <= 0 {
            return 0;
        }
        let value = self.to_f64();
        if (0.9..=1.1).contains(&value) {
            let Ok(difference) = self.sub(&Self::from(1)) else { return 0 };
            if difference.is_zero() {
                return 0;
            }
            let (weight, first) = difference.leading();
            return weight * 4 + (first as f64).log10() as i64;
        }
        let (weight, _) = self.leading();
        // The two first base-10000 digits decide, as in PostgreSQL.
        let scaled = self.leading_two();
        let logarithm = scaled.0.ln() + (weight * 4 - scaled.1) as f64 * std::f64::consts::LN_10;
        logarithm.abs().log10() as i64
    }

    /// The first two base-10000 digits as a number, and how many decimal places the second takes.
    fn leading_two(&self) -> (f64, i64) {
        let Some((digits, scale)) = self.unscaled() else { return (1.0, 0) };
        let text = digits.magnitude().to_string();
        let exponent = text.len() as i64 - 1 - i64::from(scale);
        let first = exponent.rem_euclid(4) as usize + 1;
        let padded: String = text.chars().chain(std::iter::repeat('0')).take(first + 4).collect();
        let only_one = text.len() <= first || text[first..].bytes().all(|byte| byte == b'0');
        if only_one {
            (padded[..first].parse().unwrap_or(1.0), 0)
        } else {
            (padded.parse().unwrap_or(1.0), 4)
        }
    }

    fn check_logarithm(&self) -> Result<(), ValueError> {
        let problem = match self.signum() {
            _ if matches!(self, Self::NaN) => return Ok(()),
            0 => "cannot take logarithm of zero",
            -1 => "cannot take logarithm of a negative number",
            _ => return Ok(()),
        };
        Err(ValueError::new(SqlState::InvalidArgumentForLogarithm, problem))
    }

    /// The natural logarithm.
    ///
    /// # Errors
    /// 2201E for zero and below.
    pub fn ln(&self) -> Result<Self, ValueError> {
        self.check_logarithm()?;
        if !self.is_finite() {
            return Ok(self.clone());
        }
        let scale = display_scale(MIN_SIGNIFICANT - self.ln_weight(), &[self.scale()]);
        let places = scale + 8;
        from_fixed(&ln_fixed(self, places), places, scale)
    }

    /// The logarithm to a base.
    ///
    /// # Errors
    /// 2201E for zero and below; 22012 for base one.
    pub fn log(base: &Self, number: &Self) -> Result<Self, ValueError> {
        if matches!(base, Self::NaN) || matches!(number, Self::NaN) {
            return Ok(Self::NaN);
        }
        base.check_logarithm()?;
        number.check_logarithm()?;
        match (base.is_finite(), number.is_finite()) {
            (false, false) => return Ok(Self::NaN),
            (false, true) => return Ok(Self::ZERO),
            (true, false) => return Ok(Self::Infinity),
            (true, true) => {}
        }
        let base_weight = base.ln_weight();
        let weight = number.ln_weight() - base_weight;
        let scale = display_scale(MIN_SIGNIFICANT - weight, &[base.scale(), number.scale()]);
        // Enough places for the quotient to be right however small the base's logarithm is.
        let places = scale + 16 + base_weight.unsigned_abs() as u32 * 2;
        let divisor = ln_fixed(base, places);
        if divisor.sign() == Sign::NoSign {
            return Err(ValueError::division_by_zero());
        }
        let quotient = ln_fixed(number, places) * power_of_ten(places) / divisor;
        from_fixed(&quotient, places, scale)
    }
}

fn sqrt_to_scale(digits: &BigInt, scale: u16, result_scale: u32) -> Numeric {
    let shift = i64::from(result_scale) * 2 - i64::from(scale);
    let n = if shift >= 0 {
        digits * power_of_ten(shift as u32)
    } else {
        digits / power_of_ten(shift.unsigned_abs() as u32)
    };
    let root = n.sqrt();
    // (root + 1/2)^2 = root^2 + root + 1/4: above it the root rounds up.
    let rounded = if n - &root * &root > root { root + 1 } else { root };
    Numeric::from_big(rounded, result_scale as u16)
}
