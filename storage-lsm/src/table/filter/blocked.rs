//! Blocked Bloom filters [Putze07]: all probes of a key lie in one line of 64 bytes.
//!
//! So a question costs one cache miss. Keys spread unevenly over the lines, which costs a third more
//! false positives than a Bloom filter over all of the bits: 1.0 % at 10 bits a key.
//!
//! ```text
//!   probe count u8 │ lines of 64 bytes
//! ```

use crate::format::u64_at;

const LINE_BYTES: usize = 64;
const MAX_PROBES: usize = 16;

/// One cache line.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct Line([u64; 8]);

#[derive(Debug)]
pub(crate) struct Blocked {
    probes: usize,
    lines: Box<[Line]>,
}

impl Blocked {
    pub(crate) fn parse(payload: &[u8]) -> Option<Self> {
        let (&probes, bytes) = payload.split_first()?;
        let probes = usize::from(probes);
        let is_whole = !bytes.is_empty() && bytes.len().is_multiple_of(LINE_BYTES);
        if !is_whole || !(1..=MAX_PROBES).contains(&probes) {
            return None;
        }
        let line = |line: &[u8]| Line(std::array::from_fn(|word| u64_at(line, 8 * word)));
        Some(Self { probes, lines: bytes.chunks_exact(LINE_BYTES).map(line).collect() })
    }

    pub(crate) fn size_bytes(&self) -> usize {
        self.lines.len() * LINE_BYTES
    }

    #[inline]
    pub(crate) fn may_contain(&self, hash: u64) -> bool {
        let line = &self.lines[line_of(hash, self.lines.len())].0;
        bits_of(hash, self.probes).all(|bit| line[bit / 64] & (1 << (bit % 64)) != 0)
    }
}

/// Appends a filter over `hashes`.
pub(crate) fn build(hashes: &[u64], bits_per_key: usize, payload: &mut Vec<u8>) {
    // ln 2 probes a bit are optimal: 6 at 10 bits a key.
    let probes = (bits_per_key * 69 / 100).clamp(1, MAX_PROBES);
    let line_count = (hashes.len() * bits_per_key).div_ceil(8 * LINE_BYTES).max(1);
    payload.push(probes as u8);
    let start = payload.len();
    payload.resize(start + line_count * LINE_BYTES, 0);
    for &hash in hashes {
        let line = start + line_of(hash, line_count) * LINE_BYTES;
        for bit in bits_of(hash, probes) {
            payload[line + bit / 8] |= 1 << (bit % 8);
        }
    }
}

/// The line of a hash: its upper half, mapped onto the range without a division.
#[inline]
fn line_of(hash: u64, line_count: usize) -> usize {
    ((u128::from(hash) * line_count as u128) >> 64) as usize
}

/// The bits of a hash in its line, by multiplying on; the line took the highest bits.
#[inline]
fn bits_of(hash: u64, probes: usize) -> impl Iterator<Item = usize> {
    let mut state = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (0..probes).map(move |_| {
        let bit = (state >> 55) as usize;
        state = state.rotate_left(9).wrapping_mul(0xd6e8_feb8_6659_fd93);
        bit
    })
}
