//! Any bytes are a set of free pages, facts about keyspaces, a superblock, a page of history, a slice of
//! one, or a catalogue, or they are not; what was read comes back when it is written.
#![no_main]

use driftdb_fuzz as _; // Limits allocations.
use driftdb_storage_btree::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|case: (u8, u16, Vec<u8>)| {
    let (part, page_count, bytes) = case;
    match part % 6 {
        0 => fuzzing::free_pages(&bytes, u64::from(page_count % 1000)),
        1 => fuzzing::facts(&bytes),
        2 => fuzzing::superblock(&bytes),
        3 => fuzzing::history_page(&bytes),
        4 => fuzzing::slice(&bytes),
        _ => {
            let (facts, bytes) = bytes.split_at(usize::from(page_count).min(bytes.len()));
            fuzzing::catalogue(facts, bytes);
        }
    }
});
