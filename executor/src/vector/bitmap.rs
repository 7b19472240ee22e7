//! A bitmap, least significant bit first.

/// Bits in words of 64.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bitmap {
    words: Vec<u64>,
    len: usize,
}

impl Bitmap {
    /// `len` equal bits.
    pub fn filled(len: usize, bit: bool) -> Self {
        let words = vec![if bit { u64::MAX } else { 0 }; len.div_ceil(64)];
        Self { words, len }
    }

    /// Bits computed from their positions.
    pub fn from_fn(len: usize, mut bit: impl FnMut(usize) -> bool) -> Self {
        let mut bitmap = Self { words: Vec::with_capacity(len.div_ceil(64)), len: 0 };
        (0..len).for_each(|index| bitmap.push(bit(index)));
        bitmap
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bit at `index`.
    ///
    /// # Panics
    /// If there is none.
    pub fn get(&self, index: usize) -> bool {
        assert!(index < self.len);
        self.words[index / 64] >> (index % 64) & 1 == 1
    }

    /// Sets the bit at `index`.
    ///
    /// # Panics
    /// If there is none.
    pub fn set(&mut self, index: usize, bit: bool) {
        assert!(index < self.len);
        let mask = 1 << (index % 64);
        if bit {
            self.words[index / 64] |= mask;
        } else {
            self.words[index / 64] &= !mask;
        }
    }

    /// Adds a bit.
    pub fn push(&mut self, bit: bool) {
        if self.len.is_multiple_of(64) {
            self.words.push(0);
        }
        self.len += 1;
        self.set(self.len - 1, bit);
    }

    /// The bits that are set in both.
    pub fn and(&self, other: &Self) -> Self {
        assert_eq!(self.len, other.len);
        let words = self.words.iter().zip(&other.words).map(|(a, b)| a & b).collect();
        Self { words, len: self.len }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_come_back() {
        let bits = Bitmap::from_fn(130, |index| index % 3 == 0);
        assert!((0..130).all(|index| bits.get(index) == (index % 3 == 0)));
        let mut all = Bitmap::filled(130, true);
        assert!(all.and(&bits).get(3));
        all.set(129, false);
        assert!(!all.and(&bits).get(129));
        all.push(false);
        assert!(!all.get(130));
    }
}
