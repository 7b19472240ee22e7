//! The past, and what survives.

use std::collections::BTreeMap;

use driftdb_concurrency::{BeginOptions, IsolationLevel, ReadAt, TxnError};
use driftdb_sim_disk::CrashMode;
use driftdb_storage::{Retention, RetentionPolicy, StorageError, Timestamp};

use super::driver::{Fixture, Open, SPACE, get, put, scan_all};

/// Any remembered time reads as it was, in a transaction of its own or beside the present; it
/// cannot be written, and the future cannot be read.
pub fn the_past_is_readable_and_not_writable(open: &Open) {
    let fixture = Fixture::new(open, &[("a", "0")]);
    let created = fixture.store.newest();
    let mut commits = vec![(created, "0".to_owned())];
    for round in 1..15 {
        let value = round.to_string();
        let done = fixture.set("a", &value);
        commits.push((done.commit.expect("something was written").ts, value));
        if round % 5 == 0 {
            fixture.store.checkpoint().expect("a healthy store checkpoints");
        }
    }
    let mut present = fixture.begin(IsolationLevel::RepeatableRead);
    put(&mut *present, "a", "own").expect("nobody else writes");
    for (ts, value) in &commits {
        let options = BeginOptions { as_of: Some(*ts), ..BeginOptions::default() };
        let mut past = fixture.store.begin(options).expect("a remembered time");
        past.begin_statement().expect("a healthy store begins statements");
        let read = get(&mut *past, "a", ReadAt::Statement).expect("a remembered time");
        assert_eq!(read.as_ref(), Some(value), "as of {ts:?}");
        assert!(past.is_read_only());
        let refused = past.put(SPACE, b"a", b"rewritten");
        assert!(matches!(refused, Err(TxnError::ReadOnly)), "writing the past: {refused:?}");
        drop(past);
        let beside = get(&mut *present, "a", ReadAt::AsOf(*ts)).expect("a remembered time");
        assert_eq!(beside.as_ref(), Some(value), "beside the present, as of {ts:?}");
    }
    let options = BeginOptions { as_of: Some(Timestamp(u64::MAX / 2)), ..BeginOptions::default() };
    let future = fixture.store.begin(options).err();
    assert!(matches!(future, Some(TxnError::FutureTime { .. })), "the future: {future:?}");
    let options = BeginOptions { read_only: true, ..BeginOptions::default() };
    let mut reader = fixture.store.begin(options).expect("a healthy store");
    reader.begin_statement().expect("a healthy store begins statements");
    let refused = reader.put(SPACE, b"a", b"x");
    assert!(matches!(refused, Err(TxnError::ReadOnly)), "read-only: {refused:?}");
}

/// After the promise has moved on, earlier times are errors that name the oldest, never another
/// answer; a transaction that began before keeps reading.
pub fn times_past_retention_are_refused(open: &Open) {
    let fixture = Fixture::new(open, &[("a", "0")]);
    let old = fixture.store.newest();
    let mut before = fixture.begin(IsolationLevel::RepeatableRead);
    let seen = scan_all(&mut *before, ReadAt::Statement).expect("a healthy store reads");
    // Written by the reader's own side of the story only where the control lets a writer pass.
    let Some(middle) = open_writer(&fixture) else { return };
    let default = Retention::since(middle);
    fixture.store.set_retention(RetentionPolicy { default, by_keyspace: BTreeMap::new() });
    fixture.store.checkpoint().expect("a healthy store checkpoints");
    let mut txn = fixture.begin(IsolationLevel::ReadCommitted);
    match get(&mut *txn, "a", ReadAt::AsOf(old)) {
        // What an open transaction needs is not forgotten yet.
        Ok(value) => assert_eq!(value.as_deref(), Some("0")),
        Err(TxnError::Storage(StorageError::SnapshotTooOld { .. })) => {}
        Err(error) => panic!("below the promise: {error}"),
    }
    let again = scan_all(&mut *before, ReadAt::Statement).expect("an open transaction reads on");
    assert_eq!(seen, again, "an open transaction reads what it read");
    drop(before);
    drop(txn);
    fixture.store.checkpoint().expect("a healthy store checkpoints");
    let mut txn = fixture.begin(IsolationLevel::ReadCommitted);
    let refused = get(&mut *txn, "a", ReadAt::AsOf(old));
    let too_old = matches!(refused, Err(TxnError::Storage(StorageError::SnapshotTooOld { .. })));
    assert!(too_old, "below the promise, with nobody needing it: {refused:?}");
    let kept = get(&mut *txn, "a", ReadAt::AsOf(middle)).expect("a promised time");
    assert_eq!(kept.as_deref(), Some("9"));
}

/// Writes "a" ten times, without waiting for readers; `None` if the control makes writers wait.
fn open_writer(fixture: &Fixture) -> Option<Timestamp> {
    use driftdb_concurrency::{LockIntent, LockStrength, WaitPolicy};
    let mut last = None;
    for round in 0..10 {
        let mut txn = fixture.begin(IsolationLevel::ReadCommitted);
        let (strength, wait) = (LockStrength::NoKeyUpdate, WaitPolicy::NoWait);
        match txn.lock(SPACE, b"a", strength, LockIntent::Existing, wait) {
            Err(TxnError::LockNotAvailable) => return None,
            other => drop(other.expect("no other conflict is possible")),
        }
        txn.put(SPACE, b"a", round.to_string().as_bytes()).expect("locked above");
        last = txn.commit().expect("nobody else writes").commit.map(|commit| commit.ts);
    }
    last
}

/// What was acknowledged is there after a power failure, with its timestamps and its past; what was
/// not committed is not.
pub fn acknowledged_commits_survive_power_loss(open: &Open) {
    for (seed, mode) in CrashMode::ALL.into_iter().enumerate() {
        let fixture = Fixture::new(open, &[("a", "0")]);
        let mut commits = Vec::new();
        for round in 0..12 {
            let value = format!("{round}");
            let done = fixture.set("a", &value);
            commits.push((done.commit.expect("something was written").ts, done.sequence, value));
            if seed % 2 == 0 && round % 5 == 4 {
                fixture.store.checkpoint().expect("a healthy store checkpoints");
            }
        }
        let mut unfinished = fixture.begin(IsolationLevel::ReadCommitted);
        put(&mut *unfinished, "a", "never committed").expect("nobody else writes");
        let Fixture { disk, env, store } = fixture;
        disk.crash_with(mode);
        drop(unfinished);
        drop(store);
        let store = open(&env);
        let fixture = Fixture { disk, env, store };
        let (last, _, value) = commits.last().expect("twelve commits");
        assert_eq!(fixture.store.newest(), *last, "{mode:?}: the newest commit");
        assert_eq!(fixture.value("a").as_ref(), Some(value), "{mode:?}");
        let mut txn = fixture.begin(IsolationLevel::ReadCommitted);
        for (ts, sequence, value) in &commits {
            let read = get(&mut *txn, "a", ReadAt::AsOf(*ts)).expect("a remembered time");
            assert_eq!(read.as_ref(), Some(value), "{mode:?}: as of {ts:?}");
            let named = fixture.store.timestamp_of_sequence(*sequence).expect("given out");
            assert_eq!(named, *ts, "{mode:?}: sequence {sequence}");
        }
        drop(txn);
        let after = fixture.set("a", "after");
        assert!(after.commit.expect("something was written").ts > *last, "{mode:?}: time goes on");
    }
}
