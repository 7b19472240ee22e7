//! Poison, a full disk, a panic.

use std::sync::Arc;

use driftdb_env::{IoOp, OpenHow};
use driftdb_sim_disk::{CrashMode, Effect, Fault};
use driftdb_storage::{ErrorKind, Lsn, StorageError};
use driftdb_wal::Wal;

use super::harness::{Scratch, commit, records};

fn is_poisoned<T: std::fmt::Debug>(result: Result<T, StorageError>) -> bool {
    matches!(result, Err(StorageError::Poisoned { .. }))
}

#[test]
fn the_first_failure_is_kept_and_nothing_is_acknowledged_after_it() {
    for (op, text) in [(IoOp::Write, "could not write"), (IoOp::Sync, "could not sync")] {
        let scratch = Scratch::new();
        let wal = scratch.open();
        let before = commit(&wal, b"before");
        let lost = wal.append(&[b"lost"]).unwrap();
        scratch.disk.inject(Fault::at(1).on(&[op]).effect(Effect::LoseDirty));
        let Err(StorageError::Poisoned { first }) = wal.wait_durable(lost) else { panic!() };
        assert!(first.starts_with(text), "{first}");
        // The disk is fine again, the log is not.
        assert!(is_poisoned(wal.append(&[b"later"])));
        assert!(is_poisoned(wal.wait_durable(lost)));
        assert!(is_poisoned(wal.release_before(before)));
        assert_eq!(wal.durable(), before);
        wal.wait_durable(before).unwrap();
        assert_eq!(records(&wal, Lsn(0)), [(before, b"before".to_vec())]);
        drop(wal);
        scratch.disk.crash_with(CrashMode::LoseAll);
        assert_eq!(records(&scratch.open(), Lsn(0))[0], (before, b"before".to_vec()));
    }
}

#[test]
fn a_disk_full_for_the_next_segment_is_an_error_and_no_poison() {
    let scratch = Scratch::new();
    let wal = scratch.open();
    let mut expected = vec![(commit(&wal, b"first"), b"first".to_vec())];
    scratch.disk.set_capacity(Some(scratch.disk.used_bytes() + 1000));
    let error = loop {
        match wal.append(&[&[7; 300]]) {
            Ok(end) => {
                wal.wait_durable(end).unwrap();
                expected.push((end, vec![7; 300]));
            }
            Err(error) => break error,
        }
    };
    assert!(matches!(&error, StorageError::Io(error) if error.is_disk_full()), "{error}");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(records(&wal, Lsn(0)), expected);
    // What still fits goes on, and so does everything once there is space.
    expected.push((commit(&wal, b"small"), b"small".to_vec()));
    wal.append(&[&[7; 300]]).unwrap_err();
    scratch.disk.set_capacity(None);
    expected.push((commit(&wal, &[8; 300]), vec![8; 300]));
    drop(wal);
    assert_eq!(records(&scratch.open(), Lsn(0)), expected);
}

#[test]
fn a_disk_full_while_the_next_segment_is_filled_leaves_nothing_behind() {
    let scratch = Scratch::new();
    let wal = scratch.open();
    commit(&wal, &[1; 1000]);
    for op in [IoOp::Write, IoOp::Sync] {
        let full = Effect::Error(std::io::ErrorKind::StorageFull);
        scratch.disk.inject(Fault::at(1).on(&[op]).path(".tmp").effect(full));
        wal.append(&[&[7; 8000]]).unwrap_err();
        assert_eq!(scratch.files(".tmp").len(), 0);
    }
    commit(&wal, &[7; 8000]);
}

#[test]
fn a_panic_of_the_flusher_leaves_nobody_waiting() {
    let scratch = Scratch::new();
    let wal = Arc::new(scratch.open());
    let end = wal.append(&[b"a"]).unwrap();
    let entered = Arc::new((driftdb_env::sync::Mutex::new(0), driftdb_env::sync::Condvar::new()));
    let gate = Arc::clone(&entered);
    scratch.disk.set_pause(Some(Arc::new(move |op, _| {
        if op == IoOp::Sync {
            let mut waiting = gate.0.lock();
            while *waiting < 3 {
                gate.1.wait(&mut waiting);
            }
            drop(waiting);
            panic!("planted in a test");
        }
    })));
    let tasks: Vec<_> = (0..3)
        .map(|_| {
            let (wal, entered) = (Arc::clone(&wal), Arc::clone(&entered));
            scratch.env.spawn("waiter", move || {
                *entered.0.lock() += 1;
                entered.1.notify_all();
                // One of them panics; the others are told.
                assert!(is_poisoned(wal.wait_durable(end)));
            })
        })
        .collect();
    tasks.into_iter().for_each(driftdb_env::Task::join);
    assert!(is_poisoned(wal.wait_durable(end)));
}

#[test]
fn a_record_over_the_limit_is_refused() {
    let scratch = Scratch::new();
    let wal = scratch.open();
    let piece = vec![0; 64 << 20];
    let pieces: Vec<&[u8]> = vec![&piece; 17];
    let error = wal.append(&pieces).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(
        error.to_string(),
        "a log record of 1140850688 bytes exceeds the limit of 1073741824 bytes"
    );
    commit(&wal, b"goes on");
}

#[test]
fn a_read_only_directory_is_an_error() {
    let scratch = Scratch::new();
    let denied = Effect::Error(std::io::ErrorKind::PermissionDenied);
    scratch.disk.inject(Fault::from(1).on(&[IoOp::Open]).effect(denied));
    assert_eq!(scratch.try_open().unwrap_err().kind(), ErrorKind::Unavailable);
}

#[test]
fn a_wrong_claim_of_the_length_does_not_allocate() {
    let scratch = Scratch::new();
    let end = commit(&scratch.open(), b"x");
    let file = &scratch.files(".wal")[0];
    assert!(scratch.disk.overwrite(file, end.0 - 17, &[0xff; 4]));
    let wal = Wal::open(&scratch.env, std::path::Path::new(super::harness::DIR), &scratch.options);
    assert_eq!(records(&wal.unwrap(), Lsn(0)), []);
    let disk = scratch.env.disk();
    drop(disk.open(file, OpenHow::Read, driftdb_env::FileKind::Log).unwrap());
}
