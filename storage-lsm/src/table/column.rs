//! The two kinds of columns in a block: whole numbers of one width, and byte strings one after the
//! other.
//!
//! Both are lent by a block's bytes and know only where in them they lie. They are made from lengths
//! that were checked against those bytes, so that look-ups stay inside.

use std::ops::Range;

use crate::format::{u32_at, u64_at};

/// Unsigned numbers of 0, 1, 2, 4 or 8 bytes each. Of width 0, all are zero and take no space.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ints {
    at: usize,
    width: u8,
}

/// The narrowest width that holds `max`.
pub(crate) fn width_of(max: u64) -> u8 {
    match max {
        0 => 0,
        1..=0xff => 1,
        0x100..=0xffff => 2,
        0x1_0000..=0xffff_ffff => 4,
        _ => 8,
    }
}

/// Appends a number in `width` bytes.
pub(crate) fn write_int(out: &mut Vec<u8>, width: u8, value: u64) {
    out.extend_from_slice(&value.to_le_bytes()[..usize::from(width)]);
}

impl Ints {
    /// `count` numbers from `at` on; moves `at` past them. `None` if they do not fit below `end`,
    /// or there is no such width.
    pub(crate) fn take(at: &mut usize, end: usize, width: u8, count: usize) -> Option<Self> {
        if !matches!(width, 0 | 1 | 2 | 4 | 8) {
            return None;
        }
        let ints = Self { at: *at, width };
        *at = count.checked_mul(usize::from(width))?.checked_add(*at).filter(|&to| to <= end)?;
        Some(ints)
    }

    #[inline]
    pub(crate) fn get(self, bytes: &[u8], position: usize) -> u64 {
        match self.width {
            0 => 0,
            1 => u64::from(bytes[self.at + position]),
            2 => {
                let at = self.at + 2 * position;
                u64::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]))
            }
            4 => u64::from(u32_at(bytes, self.at + 4 * position)),
            _ => u64_at(bytes, self.at + 8 * position),
        }
    }
}

/// Byte strings, one after the other: all of one length, or with the end of each before them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Strings {
    /// Of width 0 if all are of one length.
    ends: Ints,
    /// That length.
    len: usize,
    at: usize,
}

impl Strings {
    /// `count` strings from `at` on; moves `at` past them. `None` if they do not fit below `end`
    /// or their ends do not ascend.
    pub(crate) fn take(
        at: &mut usize,
        end: usize,
        bytes: &[u8],
        (end_width, len): (u8, usize),
        count: usize,
    ) -> Option<Self> {
        let ends = Ints::take(at, end, end_width, count)?;
        let start = *at;
        let size = if end_width == 0 {
            count.checked_mul(len)?
        } else {
            let mut last = 0;
            for position in 0..count {
                let next = ends.get(bytes, position);
                if next < last {
                    return None;
                }
                last = next;
            }
            usize::try_from(last).ok()?
        };
        *at = start.checked_add(size).filter(|&to| to <= end)?;
        Some(Self { ends, len, at: start })
    }

    #[inline]
    pub(crate) fn range(self, bytes: &[u8], position: usize) -> Range<usize> {
        if self.ends.width == 0 {
            let start = self.at + self.len * position;
            return start..start + self.len;
        }
        let start = match position {
            0 => 0,
            _ => self.ends.get(bytes, position - 1) as usize,
        };
        self.at + start..self.at + self.ends.get(bytes, position) as usize
    }

    #[inline]
    pub(crate) fn get(self, bytes: &[u8], position: usize) -> &[u8] {
        &bytes[self.range(bytes, position)]
    }
}

/// How strings with these ends are written: the width of their ends and, if that is 0, the length of
/// each.
pub(crate) fn shape_of(ends: &[u32]) -> (u8, u32) {
    let first = ends.first().copied().unwrap_or(0);
    let is_uniform = ends.windows(2).all(|pair| pair[1] - pair[0] == first);
    if is_uniform {
        return (0, first);
    }
    let total = u64::from(*ends.last().expect("an empty list is uniform"));
    (width_of(total), 0)
}
