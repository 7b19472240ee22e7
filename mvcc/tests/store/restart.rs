//! What is there after a restart, a crash, a failed disk.

use std::path::Path;
use std::sync::Arc;

use driftdb_concurrency::{ConcurrencyControl, Counter, Store, TxnError};
use driftdb_env::{Env, FileKind, IoOp};
use driftdb_mvcc::{MvccStore, SsiControl, StoreOptions};
use driftdb_sim_disk::{Effect, Fault, SimDisk, sim_env};
use driftdb_storage::{Commit, Engine, StorageError, Timestamp, VerifyDepth};
use driftdb_storage_btree::BtreeEngine;
use driftdb_storage_lsm::LsmEngine;
use driftdb_wal::{Wal, WalOptions};

use crate::support::*;

const NO_SPACE: Effect = Effect::Error(std::io::ErrorKind::StorageFull);

for_each_control!(
    a_crash_loses_nothing_acknowledged,
    a_crash_at_any_operation_leaves_a_prefix,
    a_failed_sync_leaves_the_outcome_unknown,
    a_keyspace_whose_end_may_be_lost_is_not_unknown,
    nobody_is_certified_beside_an_unknown_outcome,
    numbers_are_never_given_out_twice,
    close_refuses_and_reports,
);

fn a_crash_loses_nothing_acknowledged<C: ConcurrencyControl>() {
    let mut db = Fixture::<C>::new();
    let mut times: Vec<Timestamp> = Vec::new();
    for round in 0..4 {
        for i in 0..10 {
            times.push(db.set(&[("a", &format!("{round}.{i}"))]));
        }
        db = db.crash();
        assert_eq!(db.read("a"), Some(format!("{round}.9")));
        assert_eq!(db.store.newest(), *times.last().unwrap());
        assert_eq!(db.store.sequence_at(Timestamp::MAX).unwrap(), 1 + times.len() as u64);
        for (index, ts) in times.iter().enumerate() {
            let expected = format!("{}.{}", index / 10, index % 10);
            assert_eq!(get(&mut db.begin_as_of(*ts).unwrap(), "a"), Some(expected));
            assert_eq!(db.store.timestamp_of_sequence(index as u64 + 2).unwrap(), *ts);
        }
    }
    let mut damages = Vec::new();
    db.store.verify(VerifyDepth::Full, &mut |damage| damages.push(damage)).unwrap();
    assert_eq!(damages, []);
}

/// Commits 1, 2, 3, … under the keys `n` and `m`; returns the last that was acknowledged.
fn count_up<C: ConcurrencyControl>(disk: &SimDisk) -> u32 {
    let env = sim_env(disk, 1);
    let Ok(store) = open::<C>(&env, &options()) else { return 0 };
    let mut txn = begin(&*store, ReadCommitted);
    txn.create_keyspace(TABLE).unwrap();
    if txn.commit().is_err() {
        return 0;
    }
    for n in 1..=12u32 {
        let mut txn = begin(&*store, ReadCommitted);
        put(&mut txn, "n", &n.to_string()).unwrap();
        put(&mut txn, "m", &n.to_string()).unwrap();
        if txn.commit().is_err() {
            return n - 1;
        }
    }
    12
}

fn a_crash_at_any_operation_leaves_a_prefix<C: ConcurrencyControl>() {
    for operation in 0.. {
        let disk = SimDisk::new(operation);
        disk.halt_after(operation);
        let acknowledged = count_up::<C>(&disk);
        let has_finished = !disk.is_halted();
        disk.crash();
        disk.clear_faults();
        let env = sim_env(&disk, 2);
        let store = open::<C>(&env, &options()).unwrap();
        let mut txn = begin(&*store, ReadCommitted);
        let n = get_at(&mut txn, "n", driftdb_concurrency::ReadAt::Statement);
        match n {
            // The table itself was not acknowledged.
            Err(_) => assert_eq!(acknowledged, 0),
            Ok(n) => {
                assert_eq!(n, get(&mut txn, "m"), "a commit is all or nothing");
                let n: u32 = n.map_or(0, |n| n.parse().unwrap());
                assert!((acknowledged..=acknowledged + 1).contains(&n), "{n}, {acknowledged}");
            }
        }
        if has_finished {
            return;
        }
    }
}

fn a_failed_sync_leaves_the_outcome_unknown<C: ConcurrencyControl>() {
    let db = Fixture::<C>::holding(&[("a", "1")]);
    let before = db.store.newest();
    db.disk.inject(Fault::at(1).on(&[IoOp::Sync]).kind(FileKind::Log));
    let mut txn = db.begin(ReadCommitted);
    put(&mut txn, "a", "2").unwrap();
    let error = txn.commit().unwrap_err();
    assert!(matches!(error, TxnError::OutcomeUnknown { .. }), "{error}");
    // Not visible, and nothing more is taken; reads go on.
    assert_eq!(db.store.newest(), before);
    assert_eq!(db.read("a").as_deref(), Some("1"));
    let mut txn = db.begin(ReadCommitted);
    put(&mut txn, "a", "3").unwrap();
    let error = txn.commit().unwrap_err();
    assert!(matches!(error, TxnError::Storage(StorageError::Poisoned { .. })), "{error}");
    // A time that the lost commit may belong to has no answer now.
    let now = Timestamp(u64::try_from(db.env.wall().as_nanos()).unwrap());
    assert!(db.begin_as_of(now).is_err());
    let db = db.crash();
    let a = db.read("a").unwrap();
    assert!(a == "1" || a == "2", "{a}");
}

/// The engine has dropped it already; what there is to say is that the log failed.
fn a_keyspace_whose_end_may_be_lost_is_not_unknown<C: ConcurrencyControl>() {
    let db = Fixture::<C>::holding(&[("a", "1")]);
    db.disk.inject(Fault::at(1).on(&[IoOp::Sync]).kind(FileKind::Log));
    let mut txn = db.begin(ReadCommitted);
    txn.drop_keyspace(TABLE).unwrap();
    txn.commit().unwrap_err();
    assert_eq!(db.read("a").as_deref(), Some("1"));
    let mut txn = db.begin(ReadCommitted);
    let error = put(&mut txn, "a", "2").and_then(|()| txn.commit().map(drop)).unwrap_err();
    assert!(matches!(error, TxnError::Storage(StorageError::Poisoned { .. })), "{error}");
}

/// The commit may be found durable later, and then belong before what was read, or after.
fn nobody_is_certified_beside_an_unknown_outcome<C: ConcurrencyControl>() {
    let db = Fixture::<C>::holding(&[("a", "1")]);
    db.disk.inject(Fault::at(1).on(&[IoOp::Sync]).kind(FileKind::Log));
    let mut txn = db.begin(ReadCommitted);
    put(&mut txn, "a", "2").unwrap();
    txn.commit().unwrap_err();
    let error = db.begin(Serializable).commit().unwrap_err();
    assert!(matches!(error, TxnError::Storage(StorageError::Poisoned { .. })), "{error}");
}

fn numbers_are_never_given_out_twice<C: ConcurrencyControl>() {
    let mut db = Fixture::<C>::new();
    for (counter, first) in
        [(Counter::RowId, 1), (Counter::ObjectId, 16384), (Counter::Keyspace, 1024)]
    {
        let mut next = 0;
        for round in 0..4u64 {
            for count in [1, 3, 100, 9000] {
                let id = db.store.unique_ids(counter, count).unwrap();
                assert!(id >= next, "{counter:?}: {id} after {next}");
                assert!(next != 0 || id == first);
                next = id + count;
            }
            if round % 2 == 0 {
                db = db.crash();
            }
        }
        db.store.unique_ids(counter, u64::MAX).unwrap_err();
    }
}

fn close_refuses_and_reports<C: ConcurrencyControl>() {
    let options = StoreOptions::tiny();
    let db = Fixture::<C>::with(&options);
    for i in 0..200 {
        db.set(&[("a", &i.to_string())]);
    }
    let mut open_txn = db.begin(ReadCommitted);
    put(&mut open_txn, "a", "late").unwrap();
    db.store.close().unwrap();
    db.store.close().unwrap();
    assert!(matches!(open_txn.commit(), Err(TxnError::ShuttingDown)));
    let refused = db.store.begin(driftdb_concurrency::BeginOptions::default());
    assert!(matches!(refused.err(), Some(TxnError::ShuttingDown)));
    let db = db.crash();
    assert_eq!(db.read("a").as_deref(), Some("199"));
}

#[test]
fn a_record_of_another_version_is_damage() {
    let db = Fixture::<SsiControl>::holding(&[("a", "1")]);
    let Fixture { disk, env, store, .. } = db;
    drop(store);
    for payload in [&b"\x02\x01"[..], &[9; 40], b""] {
        let disk = disk.fork(1);
        let wal = Wal::open(&sim_env(&disk, 1), "/db/wal".as_ref(), &WalOptions::tiny()).unwrap();
        wal.wait_durable(wal.append(&[payload]).unwrap()).unwrap();
        drop(wal);
        let error = open::<SsiControl>(&sim_env(&disk, 1), &options()).err().unwrap();
        assert!(matches!(error, StorageError::Corruption(_)), "{error}");
    }
    open::<SsiControl>(&env, &options()).unwrap();
}

/// A store with some MiB of log that the engine does not have yet.
fn filled<E: Engine>(env: &Env) -> Arc<MvccStore<E, SsiControl>> {
    let store = MvccStore::open(env, Path::new("/db"), &options()).unwrap();
    let mut txn = begin(&*store, ReadCommitted);
    txn.create_keyspace(TABLE).unwrap();
    txn.commit().unwrap();
    for n in 0..160u32 {
        let mut txn = begin(&*store, ReadCommitted);
        put(&mut txn, &n.to_string(), &"v".repeat(16 << 10)).unwrap();
        txn.commit().unwrap();
    }
    store
}

fn a_full_disk_does_not_keep_it_shut<E: Engine>() {
    let disk = SimDisk::new(1);
    let env = sim_env(&disk, 1);
    drop(filled::<E>(&env));
    let files = disk.files();
    let used: usize = files.iter().map(|path| disk.read_file(path).unwrap().len()).sum();
    disk.set_capacity(Some(used as u64));
    let store = MvccStore::<E, SsiControl>::open(&env, Path::new("/db"), &options()).unwrap();
    let value = get(&mut begin(&*store, ReadCommitted), "159");
    assert_eq!(value.map(|value| value.len()), Some(16 << 10));
    let error = store.maintain().unwrap_err();
    assert!(matches!(error, TxnError::Storage(StorageError::Io(_))), "{error}");
    disk.set_capacity(None);
    store.maintain().unwrap();
}

#[test]
fn a_full_disk_does_not_keep_lsm_shut() {
    a_full_disk_does_not_keep_it_shut::<LsmEngine>();
}

#[test]
fn a_full_disk_does_not_keep_btree_shut() {
    a_full_disk_does_not_keep_it_shut::<BtreeEngine>();
}

#[test]
fn the_log_is_released_although_later_steps_fail() {
    let disk = SimDisk::new(1);
    let env = sim_env(&disk, 1);
    let store = filled::<LsmEngine>(&env);
    let segments = || {
        let files = disk.files();
        files.iter().filter(|path| path.extension().is_some_and(|end| end == "wal")).count()
    };
    let before = segments();
    // The first tables are written, a later one is not.
    disk.inject(Fault::from(20).on(&[IoOp::Open]).kind(FileKind::Table).effect(NO_SPACE));
    let error = store.maintain().unwrap_err();
    let TxnError::Storage(StorageError::Io(error)) = error else { panic!("{error}") };
    assert!(error.is_disk_full(), "{error}");
    let durable = store.engine().durable();
    assert!(durable != Commit::default() && durable < store.engine().applied());
    assert!(segments() < before, "{} of {before} segments are left", segments());
}
