//! Any payload is a filter or an error; a filter that was built denies no key, changed or not it
//! answers.
#![no_main]

use driftdb_fuzz::Edit;
use driftdb_storage_lsm::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|case: (Vec<u64>, u8, bool, Vec<u8>, Vec<Edit>)| {
    let (hashes, bits_per_key, is_v1, payload, edits) = case;
    let asked: Vec<u64> = hashes.iter().copied().chain([0, 1, u64::MAX, 1 << 63]).collect();
    drop(fuzzing::ask_filter(&payload, is_v1, &asked));
    if hashes.is_empty() {
        return;
    }
    for is_fuse in [false, true] {
        let bits = usize::from(bits_per_key % 30) + 1;
        let mut payload = fuzzing::build_filter(is_fuse, &hashes, bits);
        let answers =
            fuzzing::ask_filter(&payload, false, &hashes).expect("a filter that was built");
        assert!(answers.iter().all(|may| *may), "a filter denies a key");
        edits.iter().for_each(|edit| edit.apply(&mut payload));
        drop(fuzzing::ask_filter(&payload, false, &asked));
    }
});
