//! Rounding, cutting, and fitting to a precision.

use num_bigint::{BigInt, Sign};

use super::{Numeric, power_of_ten, raise};
use crate::typmod::numeric_typmod;
use crate::{SqlState, ValueError};

/// `a / b` rounded to the nearest, ties away from zero.
pub(crate) fn divide_rounding(a: &BigInt, b: &BigInt) -> BigInt {
    let quotient = a / b;
    let remainder = a - &quotient * b;
    let twice = remainder.magnitude() << 1u8;
    if twice >= *b.magnitude() {
        if (a.sign() == Sign::Minus) == (b.sign() == Sign::Minus) {
            quotient + 1
        } else {
            quotient - 1
        }
    } else {
        quotient
    }
}

/// The same for small numbers.
pub(crate) fn divide_rounding_small(a: i128, b: i128) -> i128 {
    let quotient = a / b;
    let remainder = (a % b).unsigned_abs();
    if remainder >= b.unsigned_abs() - remainder {
        quotient + if (a < 0) == (b < 0) { 1 } else { -1 }
    } else {
        quotient
    }
}

/// How the digits that are dropped count.
#[derive(Clone, Copy, PartialEq)]
enum Drop {
    Nearest,
    Cut,
}

impl Numeric {
    /// Rounds to `places` decimals, ties away from zero; negative places are before the point.
    #[must_use]
    pub fn round(&self, places: i32) -> Self {
        self.shorten(places, Drop::Nearest)
    }

    /// Cuts off after `places` decimals.
    #[must_use]
    pub fn trunc(&self, places: i32) -> Self {
        self.shorten(places, Drop::Cut)
    }

    fn shorten(&self, places: i32, drop: Drop) -> Self {
        let places = places.clamp(-200_000, i32::from(super::MAX_SCALE));
        let scale = i32::from(self.scale());
        let kept = places.max(0) as u16;
        if !self.is_finite() {
            return self.clone();
        }
        if places >= scale {
            return self.rescale_up(kept);
        }
        let dropped = (scale - places) as u32;
        match self {
            Self::Small { digits, .. } => {
                let Some(unit) = 10i128.checked_pow(dropped) else {
                    return Self::Small { digits: 0, scale: kept };
                };
                let quotient = match drop {
                    Drop::Nearest => divide_rounding_small(*digits, unit),
                    Drop::Cut => digits / unit,
                };
                match raise(quotient, (-places).max(0) as u16) {
                    Some(digits) => Self::new(digits, kept),
                    None => Self::from_big(
                        BigInt::from(quotient) * power_of_ten((-places).max(0) as u32),
                        kept,
                    ),
                }
            }
            Self::Large(large) => {
                let unit = power_of_ten(dropped);
                let quotient = match drop {
                    Drop::Nearest => divide_rounding(&large.0, &unit),
                    Drop::Cut => &large.0 / &unit,
                };
                Self::from_big(quotient * power_of_ten((-places).max(0) as u32), kept)
            }
            special => special.clone(),
        }
    }

    /// The same number with more decimals.
    pub(crate) fn rescale_up(&self, scale: u16) -> Self {
        match self {
            Self::Small { digits, scale: from } => match raise(*digits, scale - from) {
                Some(digits) => Self::new(digits, scale),
                None => Self::from_big(
                    BigInt::from(*digits) * power_of_ten(u32::from(scale - from)),
                    scale,
                ),
            },
            Self::Large(large) => {
                Self::from_big(&large.0 * power_of_ten(u32::from(scale - large.1)), scale)
            }
            special => special.clone(),
        }
    }

    /// The number without trailing zeros after the point.
    #[must_use]
    pub fn trim_scale(self) -> Self {
        match self {
            Self::Small { digits: 0, .. } => Self::ZERO,
            Self::Small { mut digits, mut scale } => {
                while scale > 0 && digits % 10 == 0 {
                    digits /= 10;
                    scale -= 1;
                }
                Self::Small { digits, scale }
            }
            Self::Large(large) => {
                let (digits, scale) = *large;
                if scale == 0 {
                    return Self::from_big(digits, scale);
                }
                let text = digits.magnitude().to_string();
                let zeros = text.bytes().rev().take_while(|byte| *byte == b'0').count();
                let cut = zeros.min(usize::from(scale)) as u16;
                Self::from_big(digits / power_of_ten(u32::from(cut)), scale - cut)
            }
            special => special,
        }
    }

    /// The smallest integer that is not less.
    #[must_use]
    pub fn ceil(&self) -> Self {
        let whole = self.trunc(0);
        if self.signum() > 0 && whole.compare(self).is_lt() { whole.plus_one(1) } else { whole }
    }

    /// The largest integer that is not greater.
    #[must_use]
    pub fn floor(&self) -> Self {
        let whole = self.trunc(0);
        if self.signum() < 0 && whole.compare(self).is_gt() { whole.plus_one(-1) } else { whole }
    }

    fn plus_one(&self, one: i64) -> Self {
        match self.unscaled() {
            Some((digits, scale)) => Self::from_big(digits + one, scale),
            None => self.clone(),
        }
    }

    /// Fits a number to `numeric(precision, scale)`.
    ///
    /// # Errors
    /// 22003 when its rounded value has more digits before the point than there is room for.
    pub(crate) fn apply_typmod(self, typmod: i32) -> Result<Self, ValueError> {
        let Some((precision, scale)) = numeric_typmod(typmod) else { return Ok(self) };
        let field_overflow = |detail: String| {
            ValueError::new(SqlState::NumericValueOutOfRange, "numeric field overflow")
                .with_detail(detail)
        };
        match self {
            Self::NaN => return Ok(self),
            Self::Infinity | Self::NegInfinity => {
                return Err(field_overflow(format!(
                    "A field with precision {precision}, scale {scale} cannot hold an infinite value."
                )));
            }
            _ => {}
        }
        let rounded = self.round(scale);
        let room = precision - scale;
        // |rounded| < 10^(precision - scale), compared as integers.
        let fits = match &rounded {
            number if number.is_zero() => true,
            Self::Small { digits, scale } => {
                let places = room + i32::from(*scale);
                places >= 39
                    || (places >= 0 && digits.unsigned_abs() < 10u128.pow(places.unsigned_abs()))
            }
            Self::Large(large) => {
                let places = room + i32::from(large.1);
                places >= 0 && large.0.magnitude() < power_of_ten(places.unsigned_abs()).magnitude()
            }
            _ => true,
        };
        if fits {
            return Ok(rounded);
        }
        let bound = if room == 0 { "1".to_owned() } else { format!("10^{room}") };
        Err(field_overflow(format!(
            "A field with precision {precision}, scale {scale} must round to an absolute value less than {bound}."
        )))
    }
}
