//! Reading and printing decimal numbers.

use std::fmt;

use num_bigint::BigInt;

use super::{MAX_INTEGER_DIGITS, MAX_SCALE, Numeric, overflow};
use crate::ValueError;

impl Numeric {
    /// Reads a number: digits with a point and an exponent, `NaN`, `Infinity`, `inf`.
    ///
    /// # Errors
    /// 22P02 for what is not a number, 22003 for one that is too wide.
    pub fn parse(text: &str) -> Result<Self, ValueError> {
        let invalid = || ValueError::invalid_syntax("numeric", text);
        let trimmed = text.trim_matches(|c: char| c.is_ascii_whitespace() || c == '\x0b');
        let (negative, body) = match trimmed.as_bytes().first() {
            Some(b'-') => (true, &trimmed[1..]),
            Some(b'+') => (false, &trimmed[1..]),
            _ => (false, trimmed),
        };
        if !body.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
            if trimmed.eq_ignore_ascii_case("nan") {
                return Ok(Self::NaN);
            }
            if body.eq_ignore_ascii_case("infinity") || body.eq_ignore_ascii_case("inf") {
                return Ok(if negative { Self::NegInfinity } else { Self::Infinity });
            }
            return Err(invalid());
        }
        let (mantissa, exponent) = match body.find(['e', 'E']) {
            Some(at) => (&body[..at], parse_exponent(&body[at + 1..]).ok_or_else(invalid)?),
            None => (body, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits_only = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if (whole.is_empty() && fraction.is_empty())
            || !digits_only(whole)
            || !digits_only(fraction)
        {
            return Err(invalid());
        }
        assemble(negative, whole, fraction, exponent)
    }

    /// Appends the number as text.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::NaN => out.extend(b"NaN"),
            Self::Infinity => out.extend(b"Infinity"),
            Self::NegInfinity => out.extend(b"-Infinity"),
            Self::Small { digits, scale } => {
                if *digits < 0 {
                    out.push(b'-');
                }
                let mut buffer = [0u8; 40];
                let mut start = buffer.len();
                let mut rest = digits.unsigned_abs();
                while rest > 0 {
                    // Nineteen digits at a time: 128-bit division is slow.
                    let mut part = (rest % 10_000_000_000_000_000_000) as u64;
                    rest /= 10_000_000_000_000_000_000;
                    for _ in 0..19 {
                        if part == 0 && rest == 0 {
                            break;
                        }
                        start -= 1;
                        buffer[start] = b'0' + (part % 10) as u8;
                        part /= 10;
                    }
                }
                write_digits(&buffer[start..], usize::from(*scale), out);
            }
            Self::Large(large) => {
                if large.0.sign() == num_bigint::Sign::Minus {
                    out.push(b'-');
                }
                let digits = large.0.magnitude().to_string();
                write_digits(digits.as_bytes(), usize::from(large.1), out);
            }
        }
    }
}

fn write_digits(digits: &[u8], scale: usize, out: &mut Vec<u8>) {
    let whole = digits.len().saturating_sub(scale);
    if whole == 0 {
        out.push(b'0');
    } else {
        out.extend(&digits[..whole]);
    }
    if scale > 0 {
        out.push(b'.');
        out.extend(std::iter::repeat_n(b'0', scale.saturating_sub(digits.len())));
        out.extend(&digits[whole..]);
    }
}

fn parse_exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // Whatever does not fit is far outside the format.
    let magnitude = digits.parse::<i64>().unwrap_or(i64::MAX / 4).min(i64::MAX / 4);
    Some(if text.starts_with('-') { -magnitude } else { magnitude })
}

fn assemble(
    negative: bool,
    whole: &str,
    fraction: &str,
    exponent: i64,
) -> Result<Numeric, ValueError> {
    if exponent.abs() > i64::from(i32::MAX / 2) {
        return Err(overflow());
    }
    let scale = (fraction.len() as i64 - exponent).max(0);
    if scale > i64::from(MAX_SCALE) {
        return Err(overflow());
    }
    let mut digits = String::with_capacity(whole.len() + fraction.len());
    digits.push_str(whole);
    digits.push_str(fraction);
    let significant = digits.trim_start_matches('0');
    // Zeros that the exponent adds behind the digits.
    let zeros = (exponent - fraction.len() as i64).max(0);
    if significant.is_empty() {
        return Ok(Numeric::Small { digits: 0, scale: scale as u16 });
    }
    let width = significant.len() as i64 + zeros - scale;
    if width > MAX_INTEGER_DIGITS as i64 {
        return Err(overflow());
    }
    let total = significant.len() as i64 + zeros;
    if total <= 38 {
        let unsigned: i128 = significant.parse().map_err(|_| overflow())?;
        let unsigned = unsigned * 10i128.pow(zeros as u32);
        let digits = if negative { -unsigned } else { unsigned };
        return Ok(Numeric::new(digits, scale as u16));
    }
    let unsigned: BigInt = significant.parse().map_err(|_| overflow())?;
    let unsigned = unsigned * super::power_of_ten(zeros as u32);
    let digits = if negative { -unsigned } else { unsigned };
    Numeric::checked(digits, scale)
}

impl fmt::Display for Numeric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = Vec::new();
        self.write(&mut out);
        f.write_str(&String::from_utf8_lossy(&out))
    }
}
