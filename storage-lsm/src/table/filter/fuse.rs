//! Binary fuse filters [Graf22]: each key has three cells, whose exclusive or is its fingerprint.
//!
//! Fingerprints have 8 bits below 16 bits per key and 16 from there on. The cells of a key lie in
//! three neighbouring segments, so that filling by peeling succeeds with 21 % more cells than keys at
//! 32,768 keys. Sizes come from whole-number arithmetic, so that every machine writes the same bytes.
//!
//! ```text
//!   fingerprint bytes u8 │ log₂ of the segment's cells u8 │ segments u32 │ seed u64 │ cells
//! ```

use crate::format::{u32_at, u64_at};

const HEADER_BYTES: usize = 14;
const ARITY: usize = 3;
const MAX_SEEDS: u64 = 100;
/// For each log₂ of a segment's cells from 2 on, the fewest keys that it suits: 3.33^(log − 2.25).
const SEGMENT_KEYS: [usize; 11] = [0, 3, 9, 28, 92, 304, 1010, 3361, 11_190, 37_264, 124_086];

#[derive(Debug)]
pub(crate) struct Fuse {
    shape: Shape,
    seed: u64,
    is_wide: bool,
    cells: Box<[u8]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shape {
    segment_log: u8,
    /// Where a key's first cell may lie; two more segments follow.
    segments: u32,
}

impl Shape {
    fn of(key_count: usize) -> Self {
        let segment_log =
            SEGMENT_KEYS.iter().rposition(|&least| least <= key_count).unwrap_or(0) + 2;
        // 0.875 + 0.25 ln 10⁶ / ln n of the paper, in logarithms to base 2, rounded up.
        let log = key_count.max(2).ilog2() as usize;
        let cells = key_count * 7 / 8 + key_count * 5 / log;
        let segments = cells.div_ceil(1 << segment_log).saturating_sub(ARITY - 1).max(1);
        Self { segment_log: segment_log as u8, segments: segments as u32 }
    }

    fn cell_count(self) -> Option<usize> {
        (self.segments as usize).checked_add(ARITY - 1)?.checked_mul(1 << self.segment_log)
    }

    /// The cells of a mixed hash.
    #[inline]
    fn cells_of(self, mixed: u64) -> [usize; ARITY] {
        let segment_cells = 1usize << self.segment_log;
        let span = u128::from(self.segments) << self.segment_log;
        let first = ((u128::from(mixed) * span) >> 64) as usize;
        let mask = segment_cells - 1;
        // Bits that the first place did not take much of.
        let second = (first + segment_cells) ^ ((mixed >> 18) as usize & mask);
        let third = (first + 2 * segment_cells) ^ (mixed as usize & mask);
        [first, second, third]
    }
}

/// A bijection, another for each seed (the finalizer of MurmurHash3).
#[inline]
fn mix(hash: u64, seed: u64) -> u64 {
    let mut mixed = hash.wrapping_add(seed);
    mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    mixed ^ (mixed >> 33)
}

#[inline]
fn fingerprint(mixed: u64) -> u16 {
    (mixed ^ (mixed >> 32)) as u16
}

impl Fuse {
    pub(crate) fn parse(payload: &[u8]) -> Option<Self> {
        let (head, cells) = payload.split_at_checked(HEADER_BYTES)?;
        let is_wide = match head[0] {
            1 => false,
            2 => true,
            _ => return None,
        };
        let shape = Shape { segment_log: head[1], segments: u32_at(head, 2) };
        if shape.segment_log > 18 || shape.segments == 0 {
            return None;
        }
        let cell_bytes = if is_wide { 2 } else { 1 };
        let is_whole = shape.cell_count()?.checked_mul(cell_bytes)? == cells.len();
        is_whole.then(|| Self { shape, seed: u64_at(head, 6), is_wide, cells: cells.into() })
    }

    pub(crate) fn size_bytes(&self) -> usize {
        self.cells.len()
    }

    #[inline]
    pub(crate) fn may_contain(&self, hash: u64) -> bool {
        let mixed = mix(hash, self.seed);
        let cells = self.shape.cells_of(mixed);
        if self.is_wide {
            let cell = |at: usize| u16::from_le_bytes([self.cells[2 * at], self.cells[2 * at + 1]]);
            cells.into_iter().fold(fingerprint(mixed), |left, at| left ^ cell(at)) == 0
        } else {
            let left =
                cells.into_iter().fold(fingerprint(mixed) as u8, |left, at| left ^ self.cells[at]);
            left == 0
        }
    }
}

/// Appends a filter over `hashes`, which are sorted and lose their doubles. False if no seed worked.
pub(crate) fn build(hashes: &mut Vec<u64>, bits_per_key: usize, payload: &mut Vec<u8>) -> bool {
    // A double could never be peeled.
    hashes.sort_unstable();
    hashes.dedup();
    let shape = Shape::of(hashes.len());
    let is_wide = bits_per_key >= 16;
    let Some((seed, cells)) =
        (0..MAX_SEEDS).find_map(|seed| Some((seed, fill(hashes, shape, seed)?)))
    else {
        return false;
    };
    payload.extend_from_slice(&[if is_wide { 2 } else { 1 }, shape.segment_log]);
    payload.extend_from_slice(&shape.segments.to_le_bytes());
    payload.extend_from_slice(&seed.to_le_bytes());
    for cell in cells {
        let bytes = cell.to_le_bytes();
        payload.extend_from_slice(if is_wide { &bytes } else { &bytes[..1] });
    }
    true
}

/// Fills the cells by peeling; `None` if a core of keys is left.
fn fill(hashes: &[u64], shape: Shape, seed: u64) -> Option<Vec<u16>> {
    let cell_count = shape.cell_count().expect("a filter has a bounded number of keys");
    // For each cell how many keys it has, and the exclusive or of their mixed hashes.
    let mut counts = vec![0u32; cell_count];
    let mut sums = vec![0u64; cell_count];
    for &hash in hashes {
        let mixed = mix(hash, seed);
        for cell in shape.cells_of(mixed) {
            counts[cell] += 1;
            sums[cell] ^= mixed;
        }
    }
    let mut lone: Vec<usize> = (0..cell_count).filter(|&cell| counts[cell] == 1).collect();
    let mut peeled = Vec::with_capacity(hashes.len());
    while let Some(cell) = lone.pop() {
        if counts[cell] != 1 {
            continue;
        }
        let mixed = sums[cell];
        peeled.push((cell, mixed));
        for other in shape.cells_of(mixed) {
            counts[other] -= 1;
            sums[other] ^= mixed;
            if counts[other] == 1 {
                lone.push(other);
            }
        }
    }
    if peeled.len() < hashes.len() {
        return None;
    }
    // Last peeled first: the cell that a key was alone in is still free to be chosen.
    let mut cells = vec![0u16; cell_count];
    for (cell, mixed) in peeled.into_iter().rev() {
        let others = shape.cells_of(mixed).into_iter().filter(|&other| other != cell);
        cells[cell] = others.fold(fingerprint(mixed), |left, other| left ^ cells[other]);
    }
    Some(cells)
}
