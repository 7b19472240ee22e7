//! Sums, products and quotients.

use num_bigint::{BigInt, Sign};

use super::rounding::{divide_rounding, divide_rounding_small};
use super::{MAX_DISPLAY_SCALE, MAX_SCALE, MIN_SIGNIFICANT, Numeric, power_of_ten, raise};
use crate::ValueError;

impl Numeric {
    /// The sum.
    ///
    /// # Errors
    /// 22003 when it exceeds the format, like all arithmetic here.
    pub fn add(&self, other: &Self) -> Result<Self, ValueError> {
        if let (
            Self::Small { digits: a, scale: scale_a },
            Self::Small { digits: b, scale: scale_b },
        ) = (self, other)
        {
            let scale = (*scale_a).max(*scale_b);
            if let (Some(a), Some(b)) = (raise(*a, scale - scale_a), raise(*b, scale - scale_b))
                && let Some(sum) = a.checked_add(b)
            {
                return Ok(Self::new(sum, scale));
            }
        }
        match (self.unscaled(), other.unscaled()) {
            (Some((a, scale_a)), Some((b, scale_b))) => {
                let scale = scale_a.max(scale_b);
                let a = a * power_of_ten(u32::from(scale - scale_a));
                let b = b * power_of_ten(u32::from(scale - scale_b));
                Self::checked(a + b, i64::from(scale))
            }
            _ => Ok(match (self, other) {
                (Self::NaN, _) | (_, Self::NaN) => Self::NaN,
                (Self::Infinity, Self::NegInfinity) | (Self::NegInfinity, Self::Infinity) => {
                    Self::NaN
                }
                (Self::Infinity, _) | (_, Self::Infinity) => Self::Infinity,
                _ => Self::NegInfinity,
            }),
        }
    }

    /// The difference.
    ///
    /// # Errors
    /// As [`Self::add`].
    pub fn sub(&self, other: &Self) -> Result<Self, ValueError> {
        self.add(&other.neg())
    }

    /// The opposite.
    #[must_use]
    pub fn neg(&self) -> Self {
        match self {
            Self::Small { digits, scale } => Self::Small { digits: -digits, scale: *scale },
            Self::Large(large) => Self::Large(Box::new((-&large.0, large.1))),
            Self::NaN => Self::NaN,
            Self::Infinity => Self::NegInfinity,
            Self::NegInfinity => Self::Infinity,
        }
    }

    /// The magnitude.
    #[must_use]
    pub fn abs(&self) -> Self {
        if self.signum() < 0 { self.neg() } else { self.clone() }
    }

    fn infinity_of_sign(sign: i32) -> Self {
        match sign {
            0 => Self::NaN,
            1 => Self::Infinity,
            _ => Self::NegInfinity,
        }
    }

    /// The product; its scale is the sum of the scales.
    ///
    /// # Errors
    /// As [`Self::add`].
    pub fn mul(&self, other: &Self) -> Result<Self, ValueError> {
        if let (
            Self::Small { digits: a, scale: scale_a },
            Self::Small { digits: b, scale: scale_b },
        ) = (self, other)
            && let Some(product) = a.checked_mul(*b)
            && scale_a + scale_b <= MAX_SCALE
        {
            return Ok(Self::new(product, scale_a + scale_b));
        }
        match (self.unscaled(), other.unscaled()) {
            (Some((a, scale_a)), Some((b, scale_b))) => {
                let scale = u32::from(scale_a) + u32::from(scale_b);
                let product = a * b;
                let excess = scale.saturating_sub(u32::from(MAX_SCALE));
                if excess > 0 {
                    let rounded = divide_rounding(&product, &power_of_ten(excess));
                    return Self::checked(rounded, i64::from(MAX_SCALE));
                }
                Self::checked(product, i64::from(scale))
            }
            _ if matches!(self, Self::NaN) || matches!(other, Self::NaN) => Ok(Self::NaN),
            _ => Ok(Self::infinity_of_sign(self.signum() * other.signum())),
        }
    }

    /// The place of the first base-10000 digit, and that digit: what PostgreSQL's scales follow.
    pub(crate) fn leading(&self) -> (i64, i64) {
        let Some((digits, scale)) = self.unscaled() else { return (0, 0) };
        if digits.sign() == Sign::NoSign {
            return (0, 0);
        }
        let text = match self {
            Self::Small { digits, .. } => {
                let magnitude = digits.unsigned_abs();
                let exponent = i64::from(magnitude.ilog10()) - i64::from(scale);
                let kept = exponent.rem_euclid(4) as u32 + 1;
                let count = magnitude.ilog10() + 1;
                let first = if count >= kept {
                    (magnitude / 10u128.pow(count - kept)) as i64
                } else {
                    (magnitude * 10u128.pow(kept - count)) as i64
                };
                return (exponent.div_euclid(4), first);
            }
            _ => digits.magnitude().to_string(),
        };
        let exponent = text.len() as i64 - 1 - i64::from(scale);
        let kept = exponent.rem_euclid(4) as usize + 1;
        // A `Large` has more than four digits.
        (exponent.div_euclid(4), text[..kept].parse().unwrap_or(0))
    }

    /// The scale of a quotient (`select_div_scale`).
    pub(crate) fn division_scale(&self, divisor: &Self) -> i64 {
        let (weight_a, first_a) = self.leading();
        let (weight_b, first_b) = divisor.leading();
        let mut weight = weight_a - weight_b;
        if first_a <= first_b {
            weight -= 1;
        }
        (MIN_SIGNIFICANT - weight * 4)
            .max(i64::from(self.scale()))
            .max(i64::from(divisor.scale()))
            .clamp(0, MAX_DISPLAY_SCALE)
    }

    /// The quotient.
    ///
    /// # Errors
    /// 22012 for a divisor of zero; 22003 beyond the format.
    pub fn div(&self, divisor: &Self) -> Result<Self, ValueError> {
        if self.is_finite() && divisor.is_finite() {
            return self.div_to_scale(divisor, self.division_scale(divisor));
        }
        match (self, divisor) {
            (Self::NaN, _) | (_, Self::NaN) => Ok(Self::NaN),
            (_, divisor) if divisor.is_zero() => Err(ValueError::division_by_zero()),
            (a, _) if a.is_finite() => Ok(Self::ZERO),
            (_, b) if b.is_finite() => Ok(Self::infinity_of_sign(self.signum() * b.signum())),
            _ => Ok(Self::NaN),
        }
    }

    /// The quotient of finite numbers, rounded to a scale.
    pub(crate) fn div_to_scale(&self, divisor: &Self, scale: i64) -> Result<Self, ValueError> {
        if divisor.is_zero() {
            return Err(ValueError::division_by_zero());
        }
        let shift = scale + i64::from(divisor.scale()) - i64::from(self.scale());
        if let (Self::Small { digits: a, .. }, Self::Small { digits: b, .. }) = (self, divisor)
            && let Ok(shift) = u16::try_from(shift)
            && let Some(a) = raise(*a, shift)
            && let Ok(scale) = u16::try_from(scale)
        {
            return Ok(Self::new(divide_rounding_small(a, *b), scale));
        }
        let (Some((mut a, _)), Some((mut b, _))) = (self.unscaled(), divisor.unscaled()) else {
            return Ok(Self::NaN);
        };
        if shift >= 0 {
            a *= power_of_ten(shift as u32);
        } else {
            b *= power_of_ten(shift.unsigned_abs() as u32);
        }
        Self::checked(divide_rounding(&a, &b), scale)
    }

    /// The quotient cut to an integer (`div`).
    ///
    /// # Errors
    /// As [`Self::div`].
    pub fn div_trunc(&self, divisor: &Self) -> Result<Self, ValueError> {
        if !self.is_finite() || !divisor.is_finite() {
            return self.div(divisor);
        }
        if divisor.is_zero() {
            return Err(ValueError::division_by_zero());
        }
        let (a, b) = self.aligned(divisor);
        Self::checked(a / b, 0)
    }

    /// Both unscaled numbers at their common scale.
    fn aligned(&self, other: &Self) -> (BigInt, BigInt) {
        let (a, scale_a) = self.unscaled().unwrap_or_default();
        let (b, scale_b) = other.unscaled().unwrap_or_default();
        let scale = scale_a.max(scale_b);
        (a * power_of_ten(u32::from(scale - scale_a)), b * power_of_ten(u32::from(scale - scale_b)))
    }

    /// The remainder, with the sign of the dividend.
    ///
    /// # Errors
    /// As [`Self::div`].
    pub fn rem(&self, divisor: &Self) -> Result<Self, ValueError> {
        if matches!(self, Self::NaN) || matches!(divisor, Self::NaN) {
            return Ok(Self::NaN);
        }
        if divisor.is_zero() {
            return Err(ValueError::division_by_zero());
        }
        if !self.is_finite() {
            return Ok(Self::NaN);
        }
        if !divisor.is_finite() {
            return Ok(self.clone());
        }
        let scale = self.scale().max(divisor.scale());
        if let (
            Self::Small { digits: a, scale: scale_a },
            Self::Small { digits: b, scale: scale_b },
        ) = (self, divisor)
            && let (Some(a), Some(b)) = (raise(*a, scale - scale_a), raise(*b, scale - scale_b))
        {
            return Ok(Self::new(a % b, scale));
        }
        let (a, b) = self.aligned(divisor);
        Ok(Self::from_big(a % b, scale))
    }

    /// The greatest common divisor, at the larger scale.
    ///
    /// # Errors
    /// As [`Self::rem`].
    pub fn gcd(&self, other: &Self) -> Result<Self, ValueError> {
        if !self.is_finite() || !other.is_finite() {
            return Ok(Self::NaN);
        }
        let scale = self.scale().max(other.scale());
        let (mut a, mut b) = self.aligned(other);
        while b.sign() != Sign::NoSign {
            let remainder = &a % &b;
            a = std::mem::replace(&mut b, remainder);
        }
        Ok(Self::from_big(BigInt::from(a.magnitude().clone()), scale))
    }

    /// The least common multiple, at the larger scale.
    ///
    /// # Errors
    /// As [`Self::mul`].
    pub fn lcm(&self, other: &Self) -> Result<Self, ValueError> {
        if !self.is_finite() || !other.is_finite() {
            return Ok(Self::NaN);
        }
        let scale = self.scale().max(other.scale());
        if self.is_zero() || other.is_zero() {
            return Ok(Self::Small { digits: 0, scale });
        }
        let gcd = self.gcd(other)?;
        let (a, b) = self.aligned(other);
        let divisor = gcd.unscaled().unwrap_or_default().0;
        let multiple = a / divisor * b;
        Self::checked(BigInt::from(multiple.magnitude().clone()), i64::from(scale))
    }

    /// `n!`
    ///
    /// # Errors
    /// 22003 for negative numbers and for results beyond the format.
    pub fn factorial(n: i64) -> Result<Self, ValueError> {
        if n < 0 {
            let message = "factorial of a negative number is undefined";
            return Err(super::overflow().with_message(message));
        }
        // 32178! has more digits than the format.
        if n > 32_177 {
            return Err(super::overflow());
        }
        let product = (2..=n).fold(BigInt::from(1u8), |product, factor| product * factor);
        Self::checked(product, 0)
    }
}
