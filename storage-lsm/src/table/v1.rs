//! Data blocks of version 1, read into the form of version 2.
//!
//! ```text
//!   keyspace u32 │ entry… │ offset of each entry u32… │ count u32
//!   entry: tag u8 (0 tombstone, 1 value) │ timestamp u64 │ key length varint │ key │ value
//! ```
//!
//! Tables of version 1 have one section with all versions. Nothing writes them any more; a merge
//! turns them into tables of version 2.

use driftdb_storage::{Entry, KeyspaceId, Timestamp, read_varint};

use super::block::{Block, BlockBuilder};
use crate::format::{u32_at, u64_at};

const TAG_TOMBSTONE: u8 = 0;
const TAG_VALUE: u8 = 1;
/// Keyspace and count.
const FIXED_BYTES: usize = 8;

/// Checks the payload of a frame.
pub(crate) fn parse(payload: &[u8]) -> Result<Block, &'static str> {
    if payload.len() < FIXED_BYTES {
        return Err("the data block is too short");
    }
    let space = KeyspaceId(u32_at(payload, 0));
    let count = u32_at(payload, payload.len() - 4) as usize;
    let entries_end = count
        .checked_mul(4)
        .and_then(|offsets| (payload.len() - 4).checked_sub(offsets))
        .filter(|&end| end >= 4 && count > 0)
        .ok_or("the data block counts more entries than it holds")?;
    let mut builder = BlockBuilder::default();
    let mut start = 4;
    for slot in 0..count {
        let end = match slot + 1 {
            next if next < count => u32_at(payload, entries_end + 4 * next) as usize,
            _ => entries_end,
        };
        if u32_at(payload, entries_end + 4 * slot) as usize != start {
            return Err("the entries of a data block overlap");
        }
        let bytes = payload.get(start..end.min(entries_end)).unwrap_or_default();
        let entry = entry(bytes).ok_or("a data block holds a malformed entry")?;
        if !builder.is_empty() && builder.last_key() > entry.key {
            return Err("the keys of a data block are not in order");
        }
        builder.add(space, entry);
        start = end;
    }
    Block::parse(builder.finish().to_vec(), 0)
}

fn entry(bytes: &[u8]) -> Option<Entry<'_>> {
    let (&tag, rest) = bytes.split_first()?;
    let (ts, mut rest) = rest.split_at_checked(8)?;
    let ts = Timestamp(u64_at(ts, 0));
    let key_len = usize::try_from(read_varint(&mut rest)?).ok()?;
    let (key, value) = rest.split_at_checked(key_len)?;
    match tag {
        TAG_VALUE => Some(Entry { key, ts, value: Some(value) }),
        TAG_TOMBSTONE if value.is_empty() => Some(Entry { key, ts, value: None }),
        _ => None,
    }
}
