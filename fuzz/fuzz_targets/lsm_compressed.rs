//! Any stored block is a raw one of the length that it claims, or an error; what was compressed
//! comes back. With a dictionary, too, whatever its bytes.
#![no_main]

use driftdb_fuzz as _; // Limits allocations.
use driftdb_storage_lsm::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|case: (u8, u16, u8, Vec<u8>)| {
    let (codec, claim, times, bytes) = case;
    let (dictionary, bytes) = bytes.split_at(if codec % 3 == 2 { bytes.len() / 2 } else { 0 });
    let stored = [&u32::from(claim).to_le_bytes()[..], bytes].concat();
    if let Some(raw) = fuzzing::decompress(codec, dictionary, &stored) {
        assert_eq!(raw.len(), usize::from(claim));
    }
    // The claim as part of the bytes: lengths beyond reason, too.
    if let Some(raw) = fuzzing::decompress(codec, dictionary, bytes) {
        assert!(raw.len() <= bytes.len() * 256 + (64 << 10));
    }
    let raw = bytes.repeat(usize::from(times));
    if let Some(stored) = fuzzing::compress(codec, dictionary, &raw) {
        assert!(stored.len() < raw.len());
        assert_eq!(fuzzing::decompress(codec, dictionary, &stored), Some(raw));
    }
});
