//! A manifest changed under a sound checksum, of any length and version, is refused or the engine
//! goes on.
#![no_main]

use std::path::Path;
use std::sync::OnceLock;

use arbitrary::Arbitrary;
use driftdb_fuzz::{
    DIR, Edit, FRAME_HEADER_BYTES, PREAMBLE_BYTES, exercise, new_disk, seal_frame, seal_preamble,
};
use driftdb_sim_disk::SimDisk;
use driftdb_storage::EngineOptions;
use driftdb_storage_lsm::LsmEngine;
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
struct Case {
    deeds: u8,
    version: u8,
    edits: Vec<Edit>,
    cut: u8,
    /// In place of the payload, if there is any.
    payload: Vec<u8>,
}

fn base() -> &'static SimDisk {
    static BASE: OnceLock<SimDisk> = OnceLock::new();
    BASE.get_or_init(|| new_disk::<LsmEngine>(&EngineOptions::tiny()))
}

fuzz_target!(|case: Case| {
    let disk = base().fork(1);
    let path = Path::new(DIR).join("MANIFEST");
    let mut file = disk.read_file(&path).expect("a manifest");
    let payload_at = PREAMBLE_BYTES + FRAME_HEADER_BYTES;
    if case.payload.is_empty() {
        case.edits.iter().for_each(|edit| edit.apply(&mut file[payload_at..]));
        let len = file.len() - usize::from(case.cut).min(file.len() - payload_at);
        file.truncate(len);
    } else {
        file.truncate(payload_at);
        file.extend_from_slice(&case.payload);
    }
    file[16] = case.version % 3 + 1;
    seal_preamble(&mut file);
    let len = (file.len() - payload_at) as u32;
    let frame = &mut file[PREAMBLE_BYTES..];
    frame[4..8].copy_from_slice(&len.to_le_bytes());
    seal_frame(frame, 0, PREAMBLE_BYTES as u64);
    assert!(disk.write_file(&path, &file));
    exercise::<LsmEngine>(&disk, &EngineOptions::tiny(), case.deeds);
});
