//! Bloom filters [Bloom70], as version 1 has them: probes all over the filter.
//!
//! ```text
//!   probe count u8 │ bits
//! ```

const MAX_PROBES: u8 = 30;

#[derive(Debug)]
pub(crate) struct Bloom {
    probes: u8,
    bits: Box<[u8]>,
}

impl Bloom {
    pub(crate) fn parse(payload: &[u8]) -> Option<Self> {
        match payload {
            &[probes, ref bits @ ..] if (1..=MAX_PROBES).contains(&probes) && !bits.is_empty() => {
                Some(Self { probes, bits: bits.into() })
            }
            _ => None,
        }
    }

    pub(crate) fn size_bytes(&self) -> usize {
        self.bits.len()
    }

    /// Probes by double hashing [Kirsch06].
    pub(crate) fn may_contain(&self, hash: u64) -> bool {
        let bit_count = self.bits.len() as u64 * 8;
        let (first, step) = (hash as u32, (hash >> 32) as u32 | 1);
        (0..u32::from(self.probes)).all(|probe| {
            let mixed = first.wrapping_add(probe.wrapping_mul(step));
            // Maps 32 bits onto the range without a division.
            let place = ((u64::from(mixed) * bit_count) >> 32) as usize;
            self.bits[place / 8] & (1 << (place % 8)) != 0
        })
    }
}
