//! What the engine did since it was opened, in numbers.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        // Relaxed: a figure for people; it orders nothing.
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number as it is now.
#[derive(Debug, Default)]
pub(crate) struct Gauge(AtomicU64);

impl Gauge {
    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The counters of one engine.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    pub(crate) flushes: Counter,
    pub(crate) compactions: Counter,
    pub(crate) compaction_bytes_read: Counter,
    pub(crate) compaction_bytes_written: Counter,
    pub(crate) user_bytes_written: Counter,
    /// Bytes that compactions due now have to read.
    pub(crate) debt_bytes: Gauge,
    pub(crate) manifest_bytes: Gauge,
    pub(crate) bytes_written: Counter,
    pub(crate) bytes_read: Counter,
    pub(crate) cache_hits: Counter,
    pub(crate) cache_misses: Counter,
    /// Calls that read several blocks.
    pub(crate) reads_ahead: Counter,
    pub(crate) filter_negatives: Counter,
    pub(crate) filter_false_positives: Counter,
    pub(crate) filters_damaged: Counter,
    pub(crate) versions_dropped: Counter,
    /// Tables written with a dictionary, and those for which one did not pay.
    pub(crate) dictionaries: Counter,
    pub(crate) dictionaries_declined: Counter,
}

impl Stats {
    pub(crate) fn report(&self, out: &mut dyn FnMut(&'static str, u64)) {
        out("flushes", self.flushes.get());
        out("compactions", self.compactions.get());
        out("compaction_bytes_read", self.compaction_bytes_read.get());
        out("compaction_bytes_written", self.compaction_bytes_written.get());
        out("compaction_debt_bytes_now", self.debt_bytes.get());
        out("user_bytes_written", self.user_bytes_written.get());
        out("bytes_written", self.bytes_written.get());
        out("bytes_read", self.bytes_read.get());
        out("cache_hits", self.cache_hits.get());
        out("cache_misses", self.cache_misses.get());
        out("reads_ahead", self.reads_ahead.get());
        out("filter_negatives", self.filter_negatives.get());
        out("filter_false_positives", self.filter_false_positives.get());
        out("filters_damaged", self.filters_damaged.get());
        out("versions_dropped", self.versions_dropped.get());
        out("dictionaries", self.dictionaries.get());
        out("dictionaries_declined", self.dictionaries_declined.get());
    }
}
