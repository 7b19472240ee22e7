//! Any payload is an index or an error; whatever is looked up in one is inside.
#![no_main]

use std::collections::BTreeMap;

use arbitrary::Arbitrary;
use driftdb_fuzz::Edit;
use driftdb_storage_lsm::fuzzing;
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
struct Case {
    index_offset: u16,
    /// By keyspace and last key.
    blocks: BTreeMap<(u8, Vec<u8>), BlockCase>,
    filter: (u16, u16),
    edits: Vec<Edit>,
    wanted: Vec<Vec<u8>>,
    payload: Vec<u8>,
}

#[derive(Debug, Arbitrary)]
struct BlockCase {
    offset: u16,
    len: u16,
    /// Instead of the offset: where it ends, beyond the end of what the index covers.
    beyond: Option<i8>,
    last_ts: u64,
}

fuzz_target!(|case: Case| {
    let index_offset = u64::from(case.index_offset);
    fuzzing::read_index(&case.payload, index_offset, &case.wanted);
    let blocks: Vec<_> = case
        .blocks
        .iter()
        .map(|((space, key), block)| {
            let end = |by: i8| case.index_offset.wrapping_add_signed(by.into());
            let offset = block.beyond.map_or(block.offset, |by| end(by).wrapping_sub(block.len));
            (offset, block.len, *space, &key[..], block.last_ts)
        })
        .collect();
    let mut payload = fuzzing::build_index(&blocks, case.filter);
    fuzzing::read_index(&payload, index_offset, &case.wanted);
    case.edits.iter().for_each(|edit| edit.apply(&mut payload));
    fuzzing::read_index(&payload, index_offset, &case.wanted);
});
