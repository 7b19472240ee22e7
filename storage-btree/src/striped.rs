//! A counter for what readers do all the time: on one cache line they would meet at every read.

use std::sync::atomic::{AtomicU64, Ordering};

const STRIPES: usize = 16;

/// A counter in parts.
#[derive(Debug, Default)]
pub(crate) struct Striped([Stripe; STRIPES]);

/// A part with a cache line (and the one that is fetched with it) of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Stripe(AtomicU64);

impl Striped {
    /// Adds `count` to the part that `hint` chooses: something in which two readers differ.
    #[inline]
    pub(crate) fn add(&self, hint: u64, count: u64) {
        self.0[hint as usize % STRIPES].0.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn sum(&self) -> u64 {
        self.0.iter().map(|stripe| stripe.0.load(Ordering::Relaxed)).sum()
    }
}
