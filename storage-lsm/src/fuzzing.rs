//! The decoders behind the checksums, for the targets in `fuzz/`. Built only with `--cfg fuzzing`.

use driftdb_storage::{Entry, FilterKind, KeyspaceId, Timestamp};

use crate::format::FRAME_HEADER_BYTES;
use crate::table::fuzzing as table;

/// A version that was read.
#[derive(Debug)]
pub struct OwnedEntry {
    key: Vec<u8>,
    ts: Timestamp,
    value: Option<Vec<u8>>,
}

impl OwnedEntry {
    /// The version, lent.
    pub fn lend(&self) -> Entry<'_> {
        Entry { key: &self.key, ts: self.ts, value: self.value.as_deref() }
    }
}

/// The payload of a block of `entries`, which are in the order of tables and not empty.
pub fn build_block(entries: &[Entry<'_>], has_older: bool) -> Vec<u8> {
    let mut builder = table::BlockBuilder::default();
    for entry in entries {
        builder.add(KeyspaceId(5), *entry);
        if has_older {
            builder.mark_older();
        }
    }
    builder.finish().to_vec()
}

/// Reads a payload by every accessor; `None` if it is not a block.
///
/// # Panics
/// If accessors disagree.
pub fn read_block(payload: Vec<u8>, is_v1: bool) -> Option<Vec<OwnedEntry>> {
    let block = if is_v1 { table::parse_v1(&payload) } else { table::Block::parse(payload, 0) };
    let block = block.ok()?;
    let (mut found, mut key) = (Vec::new(), Vec::new());
    block.copy_key(0, &mut key);
    for key_index in 0..block.key_count() {
        block.replace_key(key_index, &mut key);
        assert_eq!(block.find_key(&key), (key_index, true));
        for slot in block.start(key_index)..block.end(key_index) {
            let ts = block.ts(slot);
            assert_eq!(block.find_version(key_index, ts), slot);
            let value = block.value(slot).map(<[u8]>::to_vec);
            found.push(OwnedEntry { key: key.clone(), ts, value });
            std::hint::black_box(block.has_older(slot));
        }
    }
    assert_eq!(found.len(), block.len());
    Some(found)
}

/// The payload of an index of such blocks: offset, length, keyspace, last key and its time.
pub fn build_index(blocks: &[(u16, u16, u8, &[u8], u64)], filter: (u16, u16)) -> Vec<u8> {
    let mut builder = table::IndexBuilder::default();
    for &(offset, len, space, last_key, ts) in blocks {
        let ts = Timestamp(ts);
        let block = table::BlockRef {
            offset: offset.into(),
            len: len.into(),
            space: KeyspaceId(space.into()),
            last_ts: ts,
            min_ts: ts,
            max_ts: ts,
            filter: 0,
        };
        builder.add_block(&block, last_key);
    }
    builder.add_filter(filter.0.into(), filter.1.into());
    builder.finish()
}

/// Reads the payload of an index and looks for each of `wanted` in it.
///
/// # Panics
/// If what is found is not in the index.
pub fn read_index(payload: &[u8], index_offset: u64, wanted: &[Vec<u8>]) {
    let frame = [&[0; FRAME_HEADER_BYTES][..], payload].concat();
    let Ok(index) = table::Index::parse(frame, index_offset) else { return };
    for position in 0..index.len() {
        let block = *index.block(position);
        assert!(block.offset + u64::from(block.len) <= index_offset);
        assert!(index.blocks_of(block.space).contains(&position));
        let key = index.last_key(position).to_vec();
        let found = index.first_version(block.space, &key, block.last_ts);
        assert_eq!(found, Some(position), "a block is not found by its last entry");
        for key in wanted {
            for at in [
                index.first_at(block.space, key),
                index.first_after(block.space, key),
                index.first_version(block.space, key, block.min_ts),
            ] {
                assert!(at.is_none_or(|at| index.block(at).space == block.space));
            }
        }
        std::hint::black_box((index.lower_bound(position), index.first_beyond(block.space)));
    }
}

/// The payload of a filter over `hashes`.
pub fn build_filter(is_fuse: bool, hashes: &[u64], bits_per_key: usize) -> Vec<u8> {
    let kind = if is_fuse { FilterKind::Fuse } else { FilterKind::Bloom };
    table::build_filter(kind, &mut hashes.to_vec(), bits_per_key)
}

/// What a filter says of each hash; `None` if the payload is not a filter.
pub fn ask_filter(payload: &[u8], is_v1: bool, hashes: &[u64]) -> Option<Vec<bool>> {
    let filter =
        if is_v1 { table::Filter::parse_v1(payload) } else { table::Filter::parse(payload) };
    let filter = filter.ok()?;
    Some(hashes.iter().map(|&hash| filter.may_contain(hash)).collect())
}

fn codec(number: u8) -> table::Codec {
    [table::Codec::Lz4, table::Codec::Zstd, table::Codec::ZstdDictionary][usize::from(number % 3)]
}

/// The stored form of a block; `None` if it does not pay to compress it, or if there is no such dictionary.
pub fn compress(number: u8, dictionary: &[u8], raw: &[u8]) -> Option<Vec<u8>> {
    let mut compressor = table::Compressor::default();
    if !compressor.learn(dictionary) {
        return None;
    }
    let (used, stored) = compressor.compress(codec(number), raw);
    (used != table::Codec::Raw).then(|| stored.to_vec())
}

/// The raw form of a block; `None` if it or the dictionary is malformed.
pub fn decompress(number: u8, dictionary: &[u8], stored: &[u8]) -> Option<Vec<u8>> {
    let dictionary = table::Dictionary::parse(dictionary).ok()?;
    table::Decompressor::default().decompress(codec(number), Some(&dictionary), stored).ok()
}
