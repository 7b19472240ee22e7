//! Logs of every released format still open. `tests/formats/v1` was written by format version 1
//! and never changes; a new version gets a directory of its own.

use std::path::PathBuf;

use super::harness::{DIR, Scratch, records};
use driftdb_storage::Lsn;

const V1: [(&str, &[u8]); 3] = [
    ("00000001.wal", include_bytes!("../formats/v1/00000001.wal")),
    ("00000002.wal", include_bytes!("../formats/v1/00000002.wal")),
    // Prepared, not begun.
    ("00000003.wal", include_bytes!("../formats/v1/00000003.wal")),
];

fn payloads() -> [Vec<u8>; 4] {
    [b"first".to_vec(), Vec::new(), vec![0xab; 900], b"the second".to_vec()]
}

fn write() -> Scratch {
    let mut scratch = Scratch::new();
    scratch.options.segment_bytes = 1024;
    let wal = scratch.open();
    for payload in payloads() {
        super::harness::commit(&wal, &payload);
    }
    scratch
}

#[test]
fn a_log_of_version_1_opens() {
    let mut scratch = Scratch::new();
    scratch.options.segment_bytes = 1024;
    scratch.env.disk().create_dir_all(DIR.as_ref()).unwrap();
    for (name, bytes) in V1 {
        assert!(scratch.disk.write_file(&PathBuf::from(DIR).join(name), bytes));
    }
    let found = records(&scratch.open(), Lsn(0));
    let ends = [Lsn(93), Lsn(117), Lsn(1041), Lsn(1075)];
    assert_eq!(found, ends.into_iter().zip(payloads()).collect::<Vec<_>>());
}

#[test]
fn the_bytes_of_version_1_are_still_written() {
    let scratch = write();
    for (name, bytes) in V1 {
        let written = scratch.disk.read_file(&PathBuf::from(DIR).join(name)).unwrap();
        assert!(written == bytes, "{name} differs");
    }
}
