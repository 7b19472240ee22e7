//! The first blocks of a table, which wait until it is known whether the table gets a dictionary.
//!
//! They are the sample that decides it, and so are compressed only then. Filters that come between them
//! wait too, so that the file has the order that it would have without.
//!
//! Memory: `dictionary_sample_bytes` and a block.

use driftdb_storage::{Compression, EngineOptions};

use super::Section;
use crate::table::index::BlockRef;

#[derive(Debug)]
pub(super) struct Held {
    /// At this length it is decided.
    sample_bytes: usize,
    size_bytes: usize,
    blocks: Vec<HeldBlock>,
}

#[derive(Debug)]
pub(super) struct HeldBlock {
    pub(super) section: Section,
    /// All but where it will lie.
    pub(super) place: BlockRef,
    pub(super) last_key: Vec<u8>,
    pub(super) payload: Vec<u8>,
    /// The filter that comes after it.
    pub(super) filter: Option<Vec<u8>>,
}

impl Held {
    /// `None` if nothing is to wait.
    pub(super) fn under(options: &EngineOptions) -> Option<Self> {
        let sample_bytes = options.dictionary_sample_bytes;
        // The others ask for speed first.
        let is_wanted = options.compression == Compression::Zstd && sample_bytes > 0;
        is_wanted.then(|| Self { sample_bytes, size_bytes: 0, blocks: Vec::new() })
    }

    pub(super) fn push(
        &mut self,
        section: Section,
        place: BlockRef,
        last_key: &[u8],
        payload: Vec<u8>,
    ) {
        self.size_bytes += payload.len();
        let last_key = last_key.to_vec();
        self.blocks.push(HeldBlock { section, place, last_key, payload, filter: None });
    }

    /// Adds the filter that comes after the last block.
    pub(super) fn push_filter(&mut self, payload: Vec<u8>) {
        let last = self.blocks.last_mut().expect("a filter comes after a block");
        last.filter = Some(payload);
    }

    /// Whether there is enough to decide by.
    pub(super) fn is_full(&self) -> bool {
        self.size_bytes >= self.sample_bytes
    }

    /// Bytes of blocks that wait.
    pub(super) fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    pub(super) fn payloads(&self) -> Vec<&[u8]> {
        self.blocks.iter().map(|block| block.payload.as_slice()).collect()
    }

    pub(super) fn into_blocks(self) -> Vec<HeldBlock> {
        self.blocks
    }
}
