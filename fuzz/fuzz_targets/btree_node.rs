//! Any payload is a leaf or a branch, or an error; a node written again in format 2 is the same
//! node, and takes no more bytes than was said.
#![no_main]

use arbitrary::Arbitrary;
use driftdb_fuzz::Edit;
use driftdb_storage_btree::fuzzing;
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
struct Case {
    level: u8,
    payload: Vec<u8>,
    edits: Vec<Edit>,
}

fuzz_target!(|case: Case| {
    let level = case.level % 3;
    for is_packed in [false, true] {
        let Some(node) = fuzzing::read_node(&case.payload, level, is_packed) else { continue };
        let mut packed = node.pack();
        let again = fuzzing::read_node(&packed, level, true).expect("a node that was written");
        assert!(again.pack() == packed, "a node changed when it was written");
        assert_eq!(again.describe(), node.describe());
        case.edits.iter().for_each(|edit| edit.apply(&mut packed));
        if let Some(node) = fuzzing::read_node(&packed, level, true) {
            node.pack();
        }
    }
});
