//! Any payload is an index or an error; whatever is looked up in one is inside.
#![no_main]

use driftdb_storage_lsm::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|case: (u16, Vec<Vec<u8>>, Vec<u8>)| {
    let (index_offset, wanted, payload) = case;
    fuzzing::read_index(&payload, u64::from(index_offset), &wanted);
});
