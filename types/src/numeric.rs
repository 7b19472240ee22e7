//! `numeric`: exact decimal numbers.
//!
//! A number is an integer and a count of decimals. Up to 38 digits the integer is an `i128`, which is
//! where nearly all numbers stay; beyond, a [`BigInt`]. The forms are disjoint, so that equal numbers
//! with equal scale have equal representations. Result scales are PostgreSQL's (numeric.c).

mod arithmetic;
mod pattern;
mod pattern_input;
mod power;
mod rounding;
mod text;
mod transcendental;
mod wire;

pub(crate) use pattern::format_number;
pub(crate) use pattern_input::to_number;

use std::cmp::Ordering;
use std::hash::Hasher;

use num_bigint::{BigInt, Sign};

use crate::{SqlState, ValueError};

/// The most digits before the point.
pub(crate) const MAX_INTEGER_DIGITS: u64 = 131_072;
/// The most digits after the point.
pub(crate) const MAX_SCALE: u16 = 16_383;
/// The most digits after the point that division and the transcendental functions choose.
pub(crate) const MAX_DISPLAY_SCALE: i64 = 1000;
/// The significant digits that they give at least.
pub(crate) const MIN_SIGNIFICANT: i64 = 16;
/// The first magnitude that is not `Small`.
const SMALL_LIMIT: u128 = 10u128.pow(38);

/// An exact decimal number, or one of the three special values.
#[derive(Debug, Clone, PartialEq)]
pub enum Numeric {
    /// `digits / 10^scale`, when the digits fit 38 decimal places.
    Small {
        /// The unscaled number.
        digits: i128,
        /// Digits after the point that are displayed.
        scale: u16,
    },
    /// The same, beyond.
    Large(Box<(BigInt, u16)>),
    /// Not a number; equal to itself and above everything.
    NaN,
    /// Infinity.
    Infinity,
    /// Negative infinity.
    NegInfinity,
}

/// `10^n`
pub(crate) fn power_of_ten(n: u32) -> BigInt {
    match 10i128.checked_pow(n) {
        Some(small) => BigInt::from(small),
        None => BigInt::from(10u8).pow(n),
    }
}

/// `value overflows numeric format`
pub(crate) fn overflow() -> ValueError {
    ValueError::new(SqlState::NumericValueOutOfRange, "value overflows numeric format")
}

impl From<i64> for Numeric {
    fn from(v: i64) -> Self {
        Self::Small { digits: i128::from(v), scale: 0 }
    }
}

impl Numeric {
    /// Zero without decimals.
    pub const ZERO: Self = Self::Small { digits: 0, scale: 0 };

    /// `digits / 10^scale`
    pub fn new(digits: i128, scale: u16) -> Self {
        if digits.unsigned_abs() < SMALL_LIMIT {
            Self::Small { digits, scale }
        } else {
            Self::Large(Box::new((BigInt::from(digits), scale)))
        }
    }

    /// `digits / 10^scale`
    pub fn from_big(digits: BigInt, scale: u16) -> Self {
        match i128::try_from(&digits) {
            Ok(small) => Self::new(small, scale),
            Err(_) => Self::Large(Box::new((digits, scale))),
        }
    }

    /// Like [`Self::from_big`], for results that may exceed the format.
    ///
    /// # Errors
    /// 22003 beyond 131072 digits before the point or 16383 after it.
    pub(crate) fn checked(digits: BigInt, scale: i64) -> Result<Self, ValueError> {
        let scale = u16::try_from(scale).ok().filter(|scale| *scale <= MAX_SCALE);
        let scale = scale.ok_or_else(overflow)?;
        let limit = MAX_INTEGER_DIGITS + u64::from(scale);
        // A decimal digit is 3.3219 bits; only near the limit are the digits counted.
        let bits = digits.bits();
        if bits > limit * 3 && bits as f64 / std::f64::consts::LOG2_10 > limit as f64 - 1.0 {
            let bound = power_of_ten(limit as u32);
            if digits.magnitude() >= bound.magnitude() {
                return Err(overflow());
            }
        }
        Ok(Self::from_big(digits, scale))
    }

    /// The digits after the point, which is what is displayed; zero for the special values.
    pub fn scale(&self) -> u16 {
        match self {
            Self::Small { scale, .. } => *scale,
            Self::Large(large) => large.1,
            _ => 0,
        }
    }

    /// Whether it is neither NaN nor infinite.
    pub fn is_finite(&self) -> bool {
        matches!(self, Self::Small { .. } | Self::Large(_))
    }

    /// Whether it is zero.
    pub fn is_zero(&self) -> bool {
        matches!(self, Self::Small { digits: 0, .. })
    }

    /// -1, 0 or 1; for NaN 0.
    pub fn signum(&self) -> i32 {
        match self {
            Self::Small { digits, .. } => digits.signum() as i32,
            Self::Large(large) if large.0.sign() == Sign::Minus => -1,
            Self::Large(_) | Self::Infinity => 1,
            Self::NegInfinity => -1,
            Self::NaN => 0,
        }
    }

    /// The unscaled number and the scale of a finite number.
    pub(crate) fn unscaled(&self) -> Option<(BigInt, u16)> {
        match self {
            Self::Small { digits, scale } => Some((BigInt::from(*digits), *scale)),
            Self::Large(large) => Some((**large).clone()),
            _ => None,
        }
    }

    /// The order of values; numbers of different scale may be equal.
    pub fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (
                Self::Small { digits: a, scale: scale_a },
                Self::Small { digits: b, scale: scale_b },
            ) => {
                if scale_a == scale_b {
                    return a.cmp(b);
                }
                if a.signum() != b.signum() {
                    return a.cmp(b);
                }
                let common = (*scale_a).max(*scale_b);
                match (raise(*a, common - scale_a), raise(*b, common - scale_b)) {
                    (Some(a), Some(b)) => a.cmp(&b),
                    _ => self.compare_wide(other),
                }
            }
            _ => self.compare_wide(other),
        }
    }

    fn compare_wide(&self, other: &Self) -> Ordering {
        let rank = |number: &Self| match number {
            Self::NegInfinity => 0,
            Self::Small { .. } | Self::Large(_) => 1,
            Self::Infinity => 2,
            Self::NaN => 3,
        };
        match (self.unscaled(), other.unscaled()) {
            (Some((a, scale_a)), Some((b, scale_b))) => {
                let common = scale_a.max(scale_b);
                let a = a * power_of_ten(u32::from(common - scale_a));
                let b = b * power_of_ten(u32::from(common - scale_b));
                a.cmp(&b)
            }
            _ => rank(self).cmp(&rank(other)),
        }
    }

    /// Feeds a hash such that equal numbers of different scale hash alike.
    pub(crate) fn hash_canonical(&self, hasher: &mut impl Hasher) {
        match self.clone().trim_scale() {
            Self::Small { digits, scale } => {
                hasher.write_i128(digits);
                hasher.write_u16(scale);
            }
            Self::Large(large) => {
                hasher.write(&large.0.to_signed_bytes_le());
                hasher.write_u16(large.1);
            }
            Self::NaN => hasher.write_u8(1),
            Self::Infinity => hasher.write_u8(2),
            Self::NegInfinity => hasher.write_u8(3),
        }
    }

    /// The nearest float.
    pub fn to_f64(&self) -> f64 {
        match self {
            // Both are exact as floats, so that one division rounds once.
            Self::Small { digits, scale } if digits.unsigned_abs() < 1 << 53 && *scale <= 22 => {
                *digits as f64 / 10f64.powi(i32::from(*scale))
            }
            Self::NaN => f64::NAN,
            Self::Infinity => f64::INFINITY,
            Self::NegInfinity => f64::NEG_INFINITY,
            _ => self.to_string().parse().unwrap_or(f64::NAN),
        }
    }

    /// The nearest `real`.
    pub fn to_f32(&self) -> f32 {
        match self {
            Self::NaN => f32::NAN,
            Self::Infinity => f32::INFINITY,
            Self::NegInfinity => f32::NEG_INFINITY,
            _ => self.to_string().parse().unwrap_or(f32::NAN),
        }
    }

    /// The nearest `bigint`, ties away from zero; nothing beyond its range or for special values.
    pub fn to_i64(&self) -> Option<i64> {
        match self.round(0) {
            Self::Small { digits, .. } => i64::try_from(digits).ok(),
            _ => None,
        }
    }

    /// The number with as many significant digits as `%.{digits}g` gives.
    pub fn from_float(v: f64, digits: usize) -> Self {
        if v.is_nan() {
            return Self::NaN;
        }
        if v.is_infinite() {
            return if v > 0.0 { Self::Infinity } else { Self::NegInfinity };
        }
        let text = format!("{:.*e}", digits - 1, v);
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let mantissa = if mantissa.contains('.') {
            mantissa.trim_end_matches('0').trim_end_matches('.')
        } else {
            mantissa
        };
        Self::parse(&format!("{mantissa}e{exponent}")).unwrap_or(Self::NaN)
    }
}

/// `digits * 10^n`, if it fits.
pub(crate) fn raise(digits: i128, n: u16) -> Option<i128> {
    10i128.checked_pow(u32::from(n)).and_then(|power| digits.checked_mul(power))
}
