//! The footer: the last frame of a table, of fixed length, from which reading begins.

use driftdb_storage::Timestamp;

use super::TableMeta;
use crate::format::{FRAME_HEADER_BYTES, u32_at, u64_at};

const PAYLOAD_BYTES: usize = 64;
const V1_PAYLOAD_BYTES: usize = 56;

/// What the footer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Footer {
    /// Of the newest section; in version 1, of the only one.
    pub(crate) index: IndexPlace,
    /// Of the history section; of length 0 if that is empty.
    pub(crate) history: IndexPlace,
    pub(crate) entry_count: u64,
    pub(crate) key_count: u64,
    pub(crate) tombstone_count: u64,
    pub(crate) min_ts: Timestamp,
    pub(crate) max_ts: Timestamp,
}

/// Where an index is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct IndexPlace {
    pub(crate) offset: u64,
    /// With the frame's header.
    pub(crate) len: u32,
}

impl Footer {
    /// Bytes of the footer with its header.
    pub(crate) fn frame_bytes(version: u32) -> usize {
        FRAME_HEADER_BYTES + if version == 1 { V1_PAYLOAD_BYTES } else { PAYLOAD_BYTES }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(PAYLOAD_BYTES);
        out.extend_from_slice(&self.index.offset.to_le_bytes());
        out.extend_from_slice(&self.history.offset.to_le_bytes());
        out.extend_from_slice(&self.index.len.to_le_bytes());
        out.extend_from_slice(&self.history.len.to_le_bytes());
        for number in
            [self.entry_count, self.key_count, self.tombstone_count, self.min_ts.0, self.max_ts.0]
        {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out
    }

    /// Takes a checked frame of [`Footer::frame_bytes`].
    pub(crate) fn decode(frame: &[u8], version: u32) -> Self {
        let payload = &frame[FRAME_HEADER_BYTES..];
        let (index, history) = if version == 1 {
            let index = IndexPlace { offset: u64_at(payload, 0), len: u32_at(payload, 8) };
            (index, IndexPlace::default())
        } else {
            let index = IndexPlace { offset: u64_at(payload, 0), len: u32_at(payload, 16) };
            let history = IndexPlace { offset: u64_at(payload, 8), len: u32_at(payload, 20) };
            (index, history)
        };
        let counts = &payload[payload.len() - 40..];
        Self {
            index,
            history,
            entry_count: u64_at(counts, 0),
            key_count: u64_at(counts, 8),
            tombstone_count: u64_at(counts, 16),
            min_ts: Timestamp(u64_at(counts, 24)),
            max_ts: Timestamp(u64_at(counts, 32)),
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
