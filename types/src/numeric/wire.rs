//! The binary wire format of numbers: base-10000 digits.

use num_bigint::{BigInt, Sign};

use super::{MAX_SCALE, Numeric, power_of_ten};
use crate::{SqlState, ValueError};

const POSITIVE: u16 = 0x0000;
const NEGATIVE: u16 = 0x4000;
const NOT_A_NUMBER: u16 = 0xc000;
const INFINITY: u16 = 0xd000;
const NEGATIVE_INFINITY: u16 = 0xf000;

fn damaged(what: &str) -> ValueError {
    let message = format!("invalid {what} in external \"numeric\" value");
    ValueError::new(SqlState::InvalidBinaryRepresentation, message)
}

impl Numeric {
    /// Appends the digit count, the weight of the first digit, the sign, the scale and the digits.
    pub(crate) fn write_wire(&self, out: &mut Vec<u8>) {
        // What PostgreSQL sends as the scale of an infinity are bits of its sign.
        let special = |sign: u16, out: &mut Vec<u8>| {
            let scale = if sign == NOT_A_NUMBER { 0 } else { 0x20 };
            for field in [0, 0, sign, scale] {
                out.extend(field.to_be_bytes());
            }
        };
        let (digits, scale) = match self {
            Self::NaN => return special(NOT_A_NUMBER, out),
            Self::Infinity => return special(INFINITY, out),
            Self::NegInfinity => return special(NEGATIVE_INFINITY, out),
            Self::Small { digits, scale } => (digits.unsigned_abs().to_string(), *scale),
            Self::Large(large) => (large.0.magnitude().to_string(), large.1),
        };
        // Align the point between groups of four, as the key encoding does with pairs.
        let fraction = usize::from(scale);
        let right = fraction.div_ceil(4) * 4;
        let mut padded = digits;
        padded.extend(std::iter::repeat_n('0', right - fraction));
        let left = padded.len().div_ceil(4) * 4;
        let padded = "0".repeat(left - padded.len()) + &padded;
        let groups: Vec<u16> = padded
            .as_bytes()
            .chunks_exact(4)
            .map(|group| group.iter().fold(0, |sum, byte| sum * 10 + u16::from(byte - b'0')))
            .collect();
        let weight = groups.len() as i64 - (right / 4) as i64 - 1;
        let leading = groups.iter().take_while(|group| **group == 0).count();
        let trailing = groups[leading..].iter().rev().take_while(|group| **group == 0).count();
        let kept = &groups[leading..groups.len() - trailing];
        let weight = if kept.is_empty() { 0 } else { weight - leading as i64 };
        out.extend((kept.len() as u16).to_be_bytes());
        out.extend((weight as i16).to_be_bytes());
        let sign = if self.signum() < 0 { NEGATIVE } else { POSITIVE };
        out.extend(sign.to_be_bytes());
        out.extend(scale.to_be_bytes());
        kept.iter().for_each(|group| out.extend(group.to_be_bytes()));
    }

    /// Reads the binary form.
    ///
    /// # Errors
    /// 22P03 when it is malformed.
    pub(crate) fn read_wire(bytes: &[u8]) -> Result<Self, ValueError> {
        let too_short =
            || ValueError::new(SqlState::ProtocolViolation, "insufficient data left in message");
        let field = |index: usize| {
            let field = bytes.get(index * 2..index * 2 + 2).ok_or_else(too_short)?;
            Ok::<_, ValueError>(u16::from_be_bytes([field[0], field[1]]))
        };
        let (count, weight, sign, scale) = (field(0)?, field(1)? as i16, field(2)?, field(3)?);
        if bytes.len() > 8 + usize::from(count) * 2 {
            return Err(ValueError::new(
                SqlState::InvalidBinaryRepresentation,
                "incorrect binary data format",
            ));
        }
        match sign {
            POSITIVE | NEGATIVE => {}
            NOT_A_NUMBER => return Ok(Self::NaN),
            INFINITY => return Ok(Self::Infinity),
            NEGATIVE_INFINITY => return Ok(Self::NegInfinity),
            _ => return Err(damaged("sign")),
        }
        if scale > MAX_SCALE {
            return Err(damaged("scale"));
        }
        let mut text = String::with_capacity(usize::from(count) * 4);
        for index in 0..usize::from(count) {
            let digit = field(4 + index)?;
            if digit > 9999 {
                return Err(damaged("digit"));
            }
            text.push_str(&format!("{digit:04}"));
        }
        if text.is_empty() {
            return Ok(Self::Small { digits: 0, scale });
        }
        let magnitude: BigInt = text.parse().map_err(|_| damaged("digit"))?;
        let magnitude = if sign == NEGATIVE { -magnitude } else { magnitude };
        // The number is magnitude * 10000^(weight - count + 1); digits beyond the scale are cut.
        let shift = (i64::from(weight) - i64::from(count) + 1) * 4 + i64::from(scale);
        let digits = if shift >= 0 {
            magnitude * power_of_ten(shift as u32)
        } else {
            magnitude / power_of_ten(shift.unsigned_abs() as u32)
        };
        if digits.sign() == Sign::NoSign {
            return Ok(Self::Small { digits: 0, scale });
        }
        Self::checked(digits, i64::from(scale))
    }
}
