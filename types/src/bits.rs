//! Bit strings: `bit(n)` and `bit varying(n)`.
//!
//! Bits lie in bytes from the highest down; those of the last byte beyond the length are zero, so that
//! equal strings have equal bytes.

use std::cmp::Ordering;

use crate::{SqlState, ValueError};

/// No bit string is longer (`VARBITMAXLEN` over what a text may have).
const MAX_BITS: usize = 0x3fff_ffff - 4;

/// A bit string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bits {
    length: u32,
    bytes: Box<[u8]>,
}

/// `requested length too large`
fn too_long() -> ValueError {
    ValueError::new(SqlState::ProgramLimitExceeded, "bit string length exceeds the maximum allowed")
}

impl Bits {
    /// A string of bits.
    ///
    /// # Errors
    /// 54000 when there are too many.
    pub(crate) fn from_bits(bits: impl ExactSizeIterator<Item = bool>) -> Result<Self, ValueError> {
        let length = bits.len();
        if length > MAX_BITS {
            return Err(too_long());
        }
        let mut bytes = vec![0u8; length.div_ceil(8)];
        for (at, bit) in bits.enumerate() {
            bytes[at / 8] |= u8::from(bit) << (7 - at % 8);
        }
        Ok(Self { length: length as u32, bytes: bytes.into() })
    }

    /// A string of a length and its bytes; bits beyond the length are cleared. `None` if there are not so
    /// many bytes.
    pub(crate) fn from_bytes(length: u32, bytes: &[u8]) -> Option<Self> {
        if bytes.len() != (length as usize).div_ceil(8) || length as usize > MAX_BITS {
            return None;
        }
        let mut bytes: Box<[u8]> = bytes.into();
        let spare = bytes.len() * 8 - length as usize;
        if let Some(last) = bytes.last_mut() {
            *last &= 0xffu8 << spare;
        }
        Some(Self { length, bytes })
    }

    /// How many bits.
    pub fn len(&self) -> usize {
        self.length as usize
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The bytes that the bits lie in.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// One bit; those beyond the end are zero.
    pub(crate) fn get(&self, at: usize) -> bool {
        self.bytes.get(at / 8).is_some_and(|byte| byte >> (7 - at % 8) & 1 == 1)
    }

    /// All bits.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = bool> + '_ {
        (0..self.len()).map(|at| self.get(at))
    }

    /// The bits from one place up to another, as far as there are any.
    pub(crate) fn slice(&self, from: usize, to: usize) -> Self {
        let to = to.min(self.len());
        let from = from.min(to);
        Self::from_bits((from..to).map(|at| self.get(at))).unwrap_or_else(|_| self.clone())
    }

    /// The string cut, or filled with zeros, to a length.
    pub(crate) fn resized(&self, length: usize) -> Result<Self, ValueError> {
        Self::from_bits((0..length).map(|at| at < self.len() && self.get(at)))
    }

    /// One string after the other.
    pub(crate) fn concat(&self, other: &Self) -> Result<Self, ValueError> {
        let both = self.len().checked_add(other.len()).ok_or_else(too_long)?;
        let at =
            |at: usize| if at < self.len() { self.get(at) } else { other.get(at - self.len()) };
        Self::from_bits((0..both).map(at))
    }

    /// The lowest bits of a number, its sign repeated before them.
    pub(crate) fn from_int(v: i64, length: usize) -> Result<Self, ValueError> {
        let bit = |place: usize| v >> place.min(63) & 1 == 1;
        Self::from_bits((0..length).map(|at| bit(length - 1 - at)))
    }

    /// The number that the bits are, of at most `width` bits.
    pub(crate) fn to_int(&self, width: usize) -> Option<i64> {
        if self.len() > width {
            return None;
        }
        let v = self.iter().fold(0u64, |v, bit| v << 1 | u64::from(bit));
        Some(if width == 32 { i64::from(v as u32 as i32) } else { v as i64 })
    }

    /// The order: by the bits, then the shorter one first.
    pub(crate) fn compare(&self, other: &Self) -> Ordering {
        let common = self.bytes.len().min(other.bytes.len());
        self.bytes[..common]
            .cmp(&other.bytes[..common])
            .then_with(|| self.length.cmp(&other.length))
    }

    /// Reads `101`, `b101` or `x1F`.
    ///
    /// # Errors
    /// 22P02.
    pub(crate) fn parse(text: &str) -> Result<Self, ValueError> {
        let (digits, width) = match text.as_bytes().first() {
            Some(b'x' | b'X') => (&text[1..], 4),
            Some(b'b' | b'B') => (&text[1..], 1),
            _ => (text, 1),
        };
        let mut bits = Vec::with_capacity(digits.len() * width);
        for c in digits.chars() {
            let digit = c.to_digit(1 << width).ok_or_else(|| {
                let kind = if width == 4 { "hexadecimal" } else { "binary" };
                let message = format!("\"{c}\" is not a valid {kind} digit");
                ValueError::new(SqlState::InvalidTextRepresentation, message)
            })?;
            bits.extend((0..width).rev().map(|place| digit >> place & 1 == 1));
        }
        Self::from_bits(bits.into_iter())
    }

    /// Appends the digits.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.iter().map(|bit| b'0' + u8::from(bit)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_read_written_and_ordered() {
        let text = |text: &str| {
            let mut out = Vec::new();
            Bits::parse(text).unwrap().write(&mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(text("10101010101"), "10101010101");
        assert_eq!(text("x1F"), "00011111");
        Bits::parse("102").unwrap_err();
        let order = |a: &str, b: &str| Bits::parse(a).unwrap().compare(&Bits::parse(b).unwrap());
        assert_eq!(order("10", "100"), Ordering::Less);
        assert_eq!(order("11", "100000000"), Ordering::Greater);
        assert_eq!(Bits::from_int(-1, 4).unwrap(), Bits::parse("1111").unwrap());
        assert_eq!(Bits::parse("x80000000").unwrap().to_int(32), Some(i64::from(i32::MIN)));
    }
}
