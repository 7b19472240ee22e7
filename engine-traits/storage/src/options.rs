//! Settings every engine understands, in its own terms.

/// Plain values; each engine reads those that mean something to it and documents which. All but
/// `block_size_bytes` may change between opens: files say how they were written.
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
    /// The kind of new filters.
    pub filter: FilterKind,
    /// How new blocks, or pages of history, are compressed.
    pub compression: Compression,
    /// Under zstd, how much of a new table, before compression, is kept back in memory to learn a dictionary from,
    /// in bytes; shorter tables have none. 0: none has.
    pub dictionary_sample_bytes: usize,
    /// How sorted runs are merged.
    pub compaction: Compaction,
    /// The input of one step of background work, in bytes: a step ends at the first boundary past
    /// it. At least one key goes through each step.
    pub step_bytes: usize,
}

/// A kind of membership filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FilterKind {
    /// Blocked Bloom filter: one cache line a probe.
    Bloom,
    /// Binary fuse filter: about a quarter smaller for the same rate of false positives, dearer to
    /// build.
    Fuse,
}

/// A compression of data at rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Bytes as they are.
    None,
    /// LZ4: cheap both ways.
    Lz4,
    /// Zstandard at a low level: half the size again, dearer.
    Zstd,
}

/// Which sorted runs are merged when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compaction {
    /// One sorted run per level, each ten times the one above: few runs to read, much rewriting.
    Leveled,
    /// Runs of similar size are merged together: little rewriting, more runs to read.
    Tiered,
}

/// Names for the values of a setting.
macro_rules! names {
    ($type:ident: $($name:literal => $value:ident),+) => {
        impl $type {
            /// The names in the configuration.
            pub const NAMES: &[&str] = &[$($name),+];

            /// The value of that name.
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$value),)+
                    _ => None,
                }
            }

            /// The name in the configuration.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$value => $name),+
                }
            }
        }
    };
}

names!(FilterKind: "bloom" => Bloom, "fuse" => Fuse);
names!(Compression: "none" => None, "lz4" => Lz4, "zstd" => Zstd);
names!(Compaction: "leveled" => Leveled, "tiered" => Tiered);

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            write_buffer_bytes: 64 << 20,
            cache_bytes: 256 << 20,
            block_size_bytes: 8 << 10,
            filter_bits_per_key: 10,
            filter: FilterKind::Bloom,
            compression: Compression::Lz4,
            dictionary_sample_bytes: 4 << 20,
            compaction: Compaction::Tiered,
            step_bytes: 4 << 20,
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
            dictionary_sample_bytes: 2 << 10,
            step_bytes: 8 << 10,
            ..Self::default()
        }
    }
}
