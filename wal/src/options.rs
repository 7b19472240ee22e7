//! Settings of the log.

/// Plain values; the defaults suit a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WalOptions {
    /// The size of a segment file, in bytes; at least 1 KiB. May change between opens: each file
    /// keeps the size it was made with.
    pub segment_bytes: u64,
    /// How many bytes may be gathered before appenders must flush, in bytes. A single record may
    /// be larger.
    pub buffer_bytes: usize,
    /// How many released segments are kept to be used again; further ones are removed.
    pub spare_segment_count: usize,
}

impl Default for WalOptions {
    fn default() -> Self {
        Self { segment_bytes: 16 << 20, buffer_bytes: 4 << 20, spare_segment_count: 4 }
    }
}

impl WalOptions {
    /// Values so small that a few dozen records reach every part of the log; for tests.
    pub fn tiny() -> Self {
        Self { segment_bytes: 4 << 10, buffer_bytes: 2 << 10, spare_segment_count: 2 }
    }
}
