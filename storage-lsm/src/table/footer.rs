//! The footer: the last frame of a table, of fixed length, from which reading begins.

use driftdb_storage::Timestamp;

use super::TableMeta;
use crate::format::{FRAME_HEADER_BYTES, u32_at, u64_at};

/// Of the numbers that follow the places.
const COUNTS_BYTES: usize = 40;
/// The version of a table without a dictionary, and of one that has one: a program that knows of none
/// goes on reading all tables that do without.
const PLAIN_VERSION: u32 = 2;
const DICTIONARY_VERSION: u32 = 3;

/// What the footer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Footer {
    /// The index of the newest section; in version 1, of the only one.
    pub(crate) index: FramePlace,
    /// The index of the history section; of length 0 if that is empty.
    pub(crate) history: FramePlace,
    /// In version 3, which is for tables that have one.
    pub(crate) dictionary: Option<FramePlace>,
    pub(crate) entry_count: u64,
    pub(crate) key_count: u64,
    pub(crate) tombstone_count: u64,
    pub(crate) min_ts: Timestamp,
    pub(crate) max_ts: Timestamp,
}

/// Where a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct FramePlace {
    pub(crate) offset: u64,
    /// With the frame's header.
    pub(crate) len: u32,
}

impl Footer {
    /// Bytes of the footer with its header.
    pub(crate) fn frame_bytes(version: u32) -> usize {
        let places_bytes = match version {
            1 => 16,
            PLAIN_VERSION => 24,
            _ => 36,
        };
        FRAME_HEADER_BYTES + places_bytes + COUNTS_BYTES
    }

    /// The version of the format that such a table has.
    pub(crate) fn version(&self) -> u32 {
        if self.dictionary.is_some() { DICTIONARY_VERSION } else { PLAIN_VERSION }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(Self::frame_bytes(self.version()));
        let places = || [self.index, self.history].into_iter().chain(self.dictionary);
        places().for_each(|place| out.extend_from_slice(&place.offset.to_le_bytes()));
        places().for_each(|place| out.extend_from_slice(&place.len.to_le_bytes()));
        for number in
            [self.entry_count, self.key_count, self.tombstone_count, self.min_ts.0, self.max_ts.0]
        {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out
    }

    /// Takes a checked frame of [`Footer::frame_bytes`].
    pub(crate) fn decode(frame: &[u8], version: u32) -> Self {
        let (places, counts) =
            frame[FRAME_HEADER_BYTES..].split_at(frame.len() - FRAME_HEADER_BYTES - COUNTS_BYTES);
        let place = |at: usize, count: usize| FramePlace {
            offset: u64_at(places, 8 * at),
            len: u32_at(places, 8 * count + 4 * at),
        };
        let (index, history, dictionary) = match version {
            1 => (place(0, 1), FramePlace::default(), None),
            PLAIN_VERSION => (place(0, 2), place(1, 2), None),
            _ => (place(0, 3), place(1, 3), Some(place(2, 3))),
        };
        Self {
            index,
            history,
            dictionary,
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
