//! Settings every engine understands, in its own terms.

/// Plain values; each engine reads those that mean something to it and documents which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineOptions {
    /// Memory for data that is not yet on disk, in bytes; more starts a flush or checkpoint.
    pub write_buffer_bytes: usize,
    /// Memory for cached blocks or pages, in bytes.
    pub cache_bytes: usize,
    /// The size of a block or page that the engine aims at, in bytes.
    pub block_size_bytes: usize,
    /// Bits per key of membership filters; 0 turns them off.
    pub filter_bits_per_key: usize,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            write_buffer_bytes: 64 << 20,
            cache_bytes: 256 << 20,
            block_size_bytes: 8 << 10,
            filter_bits_per_key: 10,
        }
    }
}

impl EngineOptions {
    /// Values so small that a few hundred writes reach every part of an engine; for tests.
    pub fn tiny() -> Self {
        Self {
            write_buffer_bytes: 4 << 10,
            cache_bytes: 16 << 10,
            block_size_bytes: 512,
            filter_bits_per_key: 10,
        }
    }
}
