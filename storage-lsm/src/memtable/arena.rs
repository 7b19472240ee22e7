//! Memory for one memtable: words that never move, taken from the front, given back all at once.
//!
//! Everything is an atomic word, also where keys and values lie. Storing through the atomics needs
//! no `unsafe` and cannot race; what does need it is lending stored bytes as a slice, and
//! taking zeroed memory without touching it. The block is taken whole, as [Pebble]'s arena is:
//! a position is then one addition away from its word. The operating system provides pages when
//! they are first written to, so that a large and nearly empty memtable costs little.
//!
//! Invariants
//! * Positions below the writer's front are taken; nothing is given back before the arena goes.
//! * Words filled by [`Arena::fill`] are never stored to again.

#![expect(
    unsafe_code,
    reason = "reads and scans lend keys and values, and a new arena touches no memory"
)]

use super::sync::{AtomicU32, AtomicU64, Ordering};

pub(super) const WORD_BYTES: usize = 8;

/// Words that hold so many bytes.
pub(super) const fn words_for(bytes: usize) -> usize {
    bytes.div_ceil(WORD_BYTES)
}

#[derive(Debug)]
pub(super) struct Arena {
    words: Box<[AtomicU64]>,
}

/// The right to take from an arena and to store into it.
#[derive(Debug)]
pub(super) struct Front {
    next: usize,
}

impl Front {
    pub(super) fn used_words(&self) -> usize {
        self.next
    }
}

impl Arena {
    #[cfg(not(loom))]
    pub(super) fn new(word_count: usize) -> (Self, Front) {
        // From the allocator as zeroed memory: no page of it is touched.
        let zeroes = Box::into_raw(vec![0u64; word_count].into_boxed_slice());
        // SAFETY: `AtomicU64` has the size, alignment and valid bits of `u64` on the 64-bit targets
        // that we support, and `into_raw` just gave up this allocation.
        let words = unsafe { Box::from_raw(zeroes as *mut [AtomicU64]) };
        (Self { words }, Front { next: 0 })
    }

    #[cfg(loom)]
    pub(super) fn new(word_count: usize) -> (Self, Front) {
        let words = (0..word_count).map(|_| AtomicU64::new(0)).collect();
        (Self { words }, Front { next: 0 })
    }

    /// The position of so many fresh words, which are zero.
    ///
    /// # Panics
    /// The arena is too small: its owner sized it for less than it then put in.
    #[inline]
    pub(super) fn take(&self, front: &mut Front, word_count: usize) -> usize {
        let at = front.next;
        assert!(word_count <= self.words.len() - at, "the memtable's arena is full");
        front.next += word_count;
        at
    }

    #[inline]
    pub(super) fn word(&self, at: usize) -> &AtomicU64 {
        &self.words[at]
    }

    /// Stores bytes from position `at` on.
    #[inline]
    pub(super) fn fill(&self, at: usize, bytes: &[u8]) {
        let words = &self.words[at..at + words_for(bytes.len())];
        // Relaxed: nobody is told of the position before it is published.
        let (whole, rest) = bytes.as_chunks::<WORD_BYTES>();
        for (word, chunk) in words.iter().zip(whole) {
            word.store(in_memory_order(*chunk), Ordering::Relaxed);
        }
        if !rest.is_empty() {
            let mut last = [0; WORD_BYTES];
            last[..rest.len()].copy_from_slice(rest);
            words[whole.len()].store(in_memory_order(last), Ordering::Relaxed);
        }
    }

    /// Lends bytes that [`Self::fill`] stored.
    ///
    /// # Safety
    /// `fill` stored at least `len` bytes at `at`; no word of them is stored to as long as the arena
    /// lives; and the stores happened before this call.
    #[cfg(not(loom))]
    #[inline]
    pub(super) unsafe fn bytes(&self, at: usize, len: usize) -> &[u8] {
        let words = &self.words[at..at + words_for(len)];
        // SAFETY: the slice of words is at least `len` bytes long and lives as long as the borrow of
        // `self`; the caller promises that nothing stores to it, before or after.
        unsafe { std::slice::from_raw_parts(words.as_ptr().cast::<u8>(), len) }
    }

    /// Under loom an atomic is not its memory. Reading through the atomics finds what was published
    /// too weakly: the words are then still zero in some execution.
    #[cfg(loom)]
    pub(super) unsafe fn bytes(&self, at: usize, len: usize) -> &[u8] {
        let words = &self.words[at..at + words_for(len)];
        let load = |word: &AtomicU64| word.load(Ordering::Relaxed).to_le().to_le_bytes();
        let mut bytes: Vec<u8> = words.iter().flat_map(load).collect();
        bytes.truncate(len);
        bytes.leak()
    }
}

/// Slots that are zero, for an index: no page of them is touched either.
#[cfg(not(loom))]
pub(super) fn zeroed_slots(count: usize) -> Box<[AtomicU32]> {
    let zeroes = Box::into_raw(vec![0u32; count].into_boxed_slice());
    // SAFETY: `AtomicU32` has the size, alignment and valid bits of `u32`, and `into_raw` just gave
    // up this allocation.
    unsafe { Box::from_raw(zeroes as *mut [AtomicU32]) }
}

#[cfg(loom)]
pub(super) fn zeroed_slots(count: usize) -> Box<[AtomicU32]> {
    (0..count).map(|_| AtomicU32::new(0)).collect()
}

/// The word whose bytes in memory are these.
fn in_memory_order(bytes: [u8; WORD_BYTES]) -> u64 {
    u64::from_le_bytes(bytes).to_le()
}
