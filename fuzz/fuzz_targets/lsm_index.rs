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
    /// By keyspace and last key: where each block is, how long, and its last time.
    blocks: BTreeMap<(u8, Vec<u8>), (u16, u16, u64)>,
    filter: (u16, u16),
    edits: Vec<Edit>,
    wanted: Vec<Vec<u8>>,
    payload: Vec<u8>,
}

fuzz_target!(|case: Case| {
    let index_offset = u64::from(case.index_offset);
    fuzzing::read_index(&case.payload, index_offset, &case.wanted);
    let blocks: Vec<_> = case
        .blocks
        .iter()
        .map(|((space, key), &(offset, len, ts))| (offset, len, *space, &key[..], ts))
        .collect();
    let mut payload = fuzzing::build_index(&blocks, case.filter);
    fuzzing::read_index(&payload, index_offset, &case.wanted);
    case.edits.iter().for_each(|edit| edit.apply(&mut payload));
    fuzzing::read_index(&payload, index_offset, &case.wanted);
});
