//! Any stored block is a raw one of the length that it claims, or an error; what was compressed
//! comes back.
#![no_main]

use driftdb_fuzz as _; // Limits allocations.
use driftdb_storage_lsm::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|case: (bool, u16, u8, Vec<u8>)| {
    let (is_zstd, claim, times, bytes) = case;
    let stored = [&u32::from(claim).to_le_bytes()[..], &bytes].concat();
    if let Some(raw) = fuzzing::decompress(is_zstd, &stored) {
        assert_eq!(raw.len(), usize::from(claim));
    }
    // The claim as part of the bytes: lengths beyond reason, too.
    if let Some(raw) = fuzzing::decompress(is_zstd, &bytes) {
        assert!(raw.len() <= bytes.len() * 256 + (64 << 10));
    }
    let raw = bytes.repeat(usize::from(times));
    if let Some(stored) = fuzzing::compress(is_zstd, &raw) {
        assert!(stored.len() < raw.len());
        assert_eq!(fuzzing::decompress(is_zstd, &stored), Some(raw));
    }
});
