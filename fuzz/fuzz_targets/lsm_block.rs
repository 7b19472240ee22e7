//! A block of any entries comes back; changed, it is a block or an error.
#![no_main]

use std::collections::BTreeMap;

use arbitrary::Arbitrary;
use driftdb_fuzz::Edit;
use driftdb_storage::{Entry, Timestamp};
use driftdb_storage_lsm::fuzzing;
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
enum Case {
    /// As they are, in a form of either version.
    Bytes { is_v1: bool, payload: Vec<u8> },
    /// A block of these versions, changed.
    Built {
        versions: BTreeMap<Vec<u8>, BTreeMap<u64, Option<Vec<u8>>>>,
        older: bool,
        edits: Vec<Edit>,
        cut: u8,
    },
}

fuzz_target!(|case: Case| {
    match case {
        Case::Bytes { is_v1, payload } => drop(fuzzing::read_block(payload, is_v1)),
        Case::Built { versions, older, edits, cut } => {
            let entries: Vec<Entry<'_>> = versions
                .iter()
                .flat_map(|(key, times)| times.iter().rev().map(move |time| (key, time)))
                .map(|(key, (&ts, value))| Entry {
                    key,
                    ts: Timestamp(ts),
                    value: value.as_deref(),
                })
                .collect();
            if entries.is_empty() {
                return;
            }
            let mut payload = fuzzing::build_block(&entries, older);
            let again =
                fuzzing::read_block(payload.clone(), false).expect("a block that was built");
            assert!(again.iter().map(fuzzing::OwnedEntry::lend).eq(entries));
            edits.iter().for_each(|edit| edit.apply(&mut payload));
            payload.truncate(payload.len().saturating_sub(usize::from(cut)));
            drop(fuzzing::read_block(payload, false));
        }
    }
});
