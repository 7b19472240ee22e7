//! Powers.

use num_bigint::{BigInt, Sign};

use super::rounding::divide_rounding;
use super::transcendental::{display_scale, exp_fixed, from_fixed, ln_fixed};
use super::{MAX_DISPLAY_SCALE, MIN_SIGNIFICANT, Numeric, overflow, power_of_ten};
use crate::{SqlState, ValueError};

fn invalid(message: &str) -> ValueError {
    ValueError::new(SqlState::InvalidArgumentForPowerFunction, message)
}

impl Numeric {
    fn is_one(&self) -> bool {
        self.compare(&Self::from(1)).is_eq()
    }

    fn is_integer(&self) -> bool {
        self.trunc(0).compare(self).is_eq()
    }

    fn is_odd(&self) -> bool {
        let two = Self::from(2);
        self.rem(&two).is_ok_and(|remainder| !remainder.is_zero())
    }

    /// `self` to the power of `exponent`.
    ///
    /// # Errors
    /// 2201F where the power is not a real number; 22003 beyond the format.
    pub fn power(&self, exponent: &Self) -> Result<Self, ValueError> {
        if !self.is_finite() || !exponent.is_finite() {
            return self.power_special(exponent);
        }
        if self.is_zero() && exponent.signum() < 0 {
            return Err(invalid("zero raised to a negative power is undefined"));
        }
        if exponent.is_integer()
            && let Some(whole) = exponent.to_i64()
            && let Ok(whole) = i32::try_from(whole)
        {
            return self.power_int(whole);
        }
        if self.is_zero() {
            return Ok(Self::Small { digits: 0, scale: MIN_SIGNIFICANT as u16 });
        }
        let mut negate = false;
        if self.signum() < 0 {
            if !exponent.is_integer() {
                return Err(invalid(
                    "a negative number raised to a non-integer power yields a complex result",
                ));
            }
            negate = exponent.is_odd();
        }
        let result = self.abs().power_by_logarithm(exponent)?;
        Ok(if negate { result.neg() } else { result })
    }

    fn power_by_logarithm(&self, exponent: &Self) -> Result<Self, ValueError> {
        let estimate = {
            let places = 24 + self.ln_weight().unsigned_abs() as u32;
            let logarithm = Self::from_big(ln_fixed(self, places), places as u16);
            logarithm.to_f64() * exponent.to_f64()
        };
        if estimate.abs() > 2000.0 * 3.01 {
            if estimate > 0.0 {
                return Err(overflow());
            }
            return Ok(Self::Small { digits: 0, scale: MAX_DISPLAY_SCALE as u16 });
        }
        let weight = estimate * std::f64::consts::LOG10_E;
        let wanted = MIN_SIGNIFICANT - weight as i64;
        let scale = display_scale(wanted, &[self.scale(), exponent.scale()]);
        // The error of the logarithm is multiplied by the exponent and by the result.
        let exponent_digits = exponent.trunc(0).to_string().len() as u32;
        let places = scale + 12 + weight.max(0.0) as u32 + exponent_digits;
        let logarithm = ln_fixed(self, places);
        let Some((digits, exponent_scale)) = exponent.unscaled() else { return Ok(Self::NaN) };
        let product = logarithm * digits / power_of_ten(u32::from(exponent_scale));
        from_fixed(&exp_fixed(&product, places), places, scale)
    }

    fn power_int(&self, exponent: i32) -> Result<Self, ValueError> {
        let weight =
            if self.is_zero() { 0.0 } else { f64::from(exponent) * self.approximate_log10() };
        if weight > 131_072.0 {
            return Err(overflow());
        }
        // Unlike other powers, and unlike later versions, the magnitude does not count here.
        let scale = display_scale(MIN_SIGNIFICANT, &[self.scale()]);
        if weight + 1.0 < -f64::from(scale) {
            return Ok(Self::Small { digits: 0, scale: scale as u16 });
        }
        if exponent == 0 {
            return Self::checked(power_of_ten(scale), i64::from(scale));
        }
        if self.is_zero() {
            return Ok(Self::Small { digits: 0, scale: scale as u16 });
        }
        // Multiply in as many digits as the result can show, with some for the errors of rounding.
        let significant = (i64::from(scale) + weight.abs() as i64 + 30).max(40);
        let bit_limit = (significant as f64 * std::f64::consts::LOG2_10) as u64 + 64;
        let (mantissa, places) = power_floating(self, exponent.unsigned_abs(), bit_limit);
        if exponent > 0 {
            let shift = i64::from(scale) - places;
            let digits = if shift >= 0 {
                mantissa * power_of_ten(shift as u32)
            } else {
                divide_rounding(&mantissa, &power_of_ten(shift.unsigned_abs() as u32))
            };
            return Self::checked(digits, i64::from(scale));
        }
        // 10^scale / (mantissa / 10^places)
        let shift = i64::from(scale) + places;
        let one = BigInt::from(1u8);
        let digits = if shift >= 0 {
            divide_rounding(&power_of_ten(shift as u32), &mantissa)
        } else {
            divide_rounding(&one, &(mantissa * power_of_ten(shift.unsigned_abs() as u32)))
        };
        Self::checked(digits, i64::from(scale))
    }

    /// log10 of the magnitude, near enough to choose a scale.
    fn approximate_log10(&self) -> f64 {
        let Some((digits, scale)) = self.unscaled() else { return 0.0 };
        let text = digits.magnitude().to_string();
        let kept = text.len().min(17);
        let mantissa: f64 = text[..kept].parse().unwrap_or(1.0);
        mantissa.log10() + (text.len() - kept) as f64 - f64::from(scale)
    }

    /// Powers with an infinite or NaN operand (`numeric_power`, after POSIX).
    fn power_special(&self, exponent: &Self) -> Result<Self, ValueError> {
        if matches!(self, Self::NaN) {
            return Ok(if exponent.is_zero() { Self::from(1) } else { Self::NaN });
        }
        if matches!(exponent, Self::NaN) {
            return Ok(if self.is_one() { Self::from(1) } else { Self::NaN });
        }
        if self.is_zero() && exponent.signum() < 0 {
            return Err(invalid("zero raised to a negative power is undefined"));
        }
        if self.is_finite() {
            // x to an infinite power.
            if self.is_one() {
                return Ok(Self::from(1));
            }
            let above_one = self.abs().compare(&Self::from(1));
            if above_one.is_eq() {
                return Ok(Self::from(1));
            }
            let grows = above_one.is_gt() == (exponent.signum() > 0);
            return Ok(if grows { Self::Infinity } else { Self::ZERO });
        }
        if exponent.is_zero() {
            return Ok(Self::from(1));
        }
        if matches!(self, Self::Infinity) {
            return Ok(if exponent.signum() > 0 { Self::Infinity } else { Self::ZERO });
        }
        // -Infinity
        if !exponent.is_finite() {
            return Ok(if exponent.signum() > 0 { Self::Infinity } else { Self::ZERO });
        }
        if !exponent.is_integer() {
            return Err(invalid(
                "a negative number raised to a non-integer power yields a complex result",
            ));
        }
        if exponent.signum() < 0 {
            return Ok(Self::ZERO);
        }
        Ok(if exponent.is_odd() { Self::NegInfinity } else { Self::Infinity })
    }
}

/// A power by squaring, as an integer and its decimal places; cut to about `bit_limit` bits.
fn power_floating(base: &Numeric, mut exponent: u32, bit_limit: u64) -> (BigInt, i64) {
    let (digits, scale) = base.unscaled().unwrap_or_default();
    let mut square = (digits, i64::from(scale));
    let mut result = (BigInt::from(1u8), 0i64);
    loop {
        if exponent & 1 == 1 {
            result = shorten(&result.0 * &square.0, result.1 + square.1, bit_limit);
        }
        exponent >>= 1;
        if exponent == 0 {
            return result;
        }
        square = shorten(&square.0 * &square.0, square.1 * 2, bit_limit);
    }
}

fn shorten(digits: BigInt, places: i64, bit_limit: u64) -> (BigInt, i64) {
    let excess = digits.bits().saturating_sub(bit_limit);
    let drop = (excess as f64 / std::f64::consts::LOG2_10) as u32;
    if drop == 0 || digits.sign() == Sign::NoSign {
        return (digits, places);
    }
    (divide_rounding(&digits, &power_of_ten(drop)), places - i64::from(drop))
}

#[cfg(test)]
mod tests {
    use super::super::transcendental::fixed;
    use super::*;

    #[test]
    fn fixed_point_agrees_with_floats() {
        let number = Numeric::parse("2.5").unwrap();
        let e = from_fixed(&exp_fixed(&fixed(&number, 40), 40), 40, 12).unwrap();
        assert_eq!(e.to_string(), "12.182493960703");
    }
}
