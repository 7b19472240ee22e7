//! The footer: the last frame of a table, of fixed length, from which reading begins.

use driftdb_storage::Timestamp;

use super::TableMeta;
use crate::format::{FRAME_HEADER_BYTES, u32_at, u64_at};

const PAYLOAD_BYTES: usize = 56;
/// Bytes of the footer with its header.
pub(crate) const FOOTER_FRAME_BYTES: usize = FRAME_HEADER_BYTES + PAYLOAD_BYTES;

/// What the footer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Footer {
    pub(crate) index_offset: u64,
    /// With the frame's header.
    pub(crate) index_len: u32,
    pub(crate) entry_count: u64,
    pub(crate) key_count: u64,
    pub(crate) tombstone_count: u64,
    pub(crate) min_ts: Timestamp,
    pub(crate) max_ts: Timestamp,
}

impl Footer {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(PAYLOAD_BYTES);
        out.extend_from_slice(&self.index_offset.to_le_bytes());
        out.extend_from_slice(&self.index_len.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        for number in
            [self.entry_count, self.key_count, self.tombstone_count, self.min_ts.0, self.max_ts.0]
        {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out
    }

    pub(crate) fn check(frame: &[u8]) -> Result<(), &'static str> {
        if frame.len() == FOOTER_FRAME_BYTES { Ok(()) } else { Err("the footer is malformed") }
    }

    /// Takes a frame that [`Footer::check`] accepted.
    pub(crate) fn decode(frame: &[u8]) -> Self {
        let payload = &frame[FRAME_HEADER_BYTES..];
        Self {
            index_offset: u64_at(payload, 0),
            index_len: u32_at(payload, 8),
            entry_count: u64_at(payload, 16),
            key_count: u64_at(payload, 24),
            tombstone_count: u64_at(payload, 32),
            min_ts: Timestamp(u64_at(payload, 40)),
            max_ts: Timestamp(u64_at(payload, 48)),
        }
    }

    /// Whether this is the table that the manifest means.
    pub(crate) fn agrees_with(&self, meta: &TableMeta) -> bool {
        self.entry_count == meta.entry_count
            && self.key_count == meta.key_count
            && self.tombstone_count == meta.tombstone_count
            && self.min_ts == meta.min_ts
            && self.max_ts == meta.max_ts
    }
}
