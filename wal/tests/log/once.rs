//! Opening and replaying reads the log once, and misses nothing that is replayed.

use std::path::{Path, PathBuf};

use driftdb_storage::{ErrorKind, Lsn, Result};
use driftdb_wal::{Wal, WalOptions};

use super::harness::{DIR, Records, Scratch, commit, try_records};

/// What is fetched ahead and then read again, where a segment ends.
const READ_AHEAD_ALLOWANCE: u64 = 1 << 20;

/// Segments that are long beside what a reader fetches at once, so that reading ahead does not count.
fn scratch() -> Scratch {
    let options = WalOptions { segment_bytes: 4 << 20, ..WalOptions::default() };
    Scratch { options, ..Scratch::new() }
}

/// A log of `record_count` records of 256 KiB.
fn filled(record_count: usize) -> (Scratch, Records) {
    let scratch = scratch();
    let wal = scratch.open();
    let record = |index: usize| {
        let payload = vec![index as u8 + 1; 256 << 10];
        (commit(&wal, &payload), payload)
    };
    let expected = (0..record_count).map(record).collect();
    drop(wal);
    (scratch, expected)
}

fn open(scratch: &Scratch) -> Result<Wal> {
    Wal::open_to_replay(&scratch.env, Path::new(DIR), &scratch.options)
}

#[test]
fn opening_and_replaying_reads_at_most_one_and_a_half_times_the_log() {
    // From less than half a segment to many, with and without a prepared one.
    for record_count in [1, 6, 10, 14, 20, 60] {
        let (scratch, expected) = filled(record_count);
        let files = scratch.files(".wal");
        let log_bytes: u64 =
            files.iter().map(|file| scratch.disk.read_file(file).unwrap().len() as u64).sum();
        let before = scratch.disk.counters().bytes_read;
        let wal = open(&scratch).unwrap();
        assert_eq!(try_records(&wal, Lsn(0)).unwrap(), expected);
        let read = scratch.disk.counters().bytes_read - before;
        assert!(
            read <= log_bytes * 3 / 2 + READ_AHEAD_ALLOWANCE,
            "{record_count} records: {read} bytes read of {log_bytes}"
        );
    }
}

#[test]
fn a_damaged_record_before_the_last_segment_stops_the_replay_that_needs_it() {
    let (scratch, expected) = filled(40);
    let files: Vec<PathBuf> = scratch.files(".wal");
    for file in &files[..2] {
        for offset in [70, 1_000_000, 3_000_000] {
            let bad = scratch.fork();
            let bad = Scratch { options: scratch.options.clone(), ..bad };
            assert!(bad.disk.corrupt(file, offset, 0x10));
            let wal = open(&bad).unwrap();
            let error = try_records(&wal, Lsn(0)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corruption, "{error}");
            assert!(error.to_string().contains(&file.display().to_string()), "{error}");
            // Those that lie in later segments are whole.
            let after = expected[expected.len() - 4].0;
            assert_eq!(try_records(&wal, after).unwrap(), expected[expected.len() - 3..]);
            drop(wal);
            assert_eq!(bad.try_open().unwrap_err().kind(), ErrorKind::Corruption);
        }
    }
}

#[test]
fn damaged_headers_and_missing_segments_are_refused_at_once() {
    let (scratch, _) = filled(40);
    let files = scratch.files(".wal");
    for hurt in [0, 1] {
        let options = &scratch.options;
        let bad = Scratch { options: options.clone(), ..scratch.fork() };
        assert!(bad.disk.corrupt(&files[hurt], 20, 1));
        assert_eq!(open(&bad).unwrap_err().kind(), ErrorKind::Corruption);
    }
    let bad = Scratch { options: scratch.options.clone(), ..scratch.fork() };
    assert!(bad.disk.remove_file(&files[1]));
    assert_eq!(open(&bad).unwrap_err().kind(), ErrorKind::Corruption);
}
