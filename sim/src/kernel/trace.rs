//! The trace: a hash over what ran when. Equal traces mean equal histories.
//!
//! Events name fibers by number and sites by their text, never by address, so that the hash of a
//! seed is the same in another process.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// A running hash over events.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trace(u64);

impl Trace {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Adds an event: who, when, where.
    pub(crate) fn note(&mut self, fiber: u32, now_ns: u64, site: &str) {
        let mut event = [0; 12];
        event[..4].copy_from_slice(&fiber.to_le_bytes());
        event[4..].copy_from_slice(&now_ns.to_le_bytes());
        self.0 = xxh3_64_with_seed(&event, self.0);
        self.0 = xxh3_64_with_seed(site.as_bytes(), self.0);
    }

    /// The hash of everything so far.
    pub(crate) fn hash(self) -> u64 {
        self.0
    }
}
